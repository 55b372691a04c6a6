//! The command line. One file per group of commands; each talks to the running hub, or reads this
//! hub's stores where that works without one.

mod add;
mod agree;
mod browse;
mod cast;
mod clip;
mod commands;
mod completions;
mod consent;
mod control;
mod desk;
mod devices;
mod home;
pub mod hub;
mod input;
mod ledger;
pub mod look;
mod media;
mod notices;
mod pair;
mod people;
pub mod screen;
mod send;
mod share;
mod statement;
mod transfers;
mod tv;
mod why;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use accord_model::DeviceKind;
use clap::{Parser, Subcommand};

use self::hub::Hub;
use self::screen::{Color, Screen};
use crate::state::{StateDir, UpOptions};

#[derive(Parser)]
#[command(name = "accord", version, about, max_term_width = 110, disable_help_subcommand = true)]
struct Cli {
    /// Keep everything (configuration, keys, databases, socket, inbox) in this folder.
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub.
    Up(Up),
    /// What this hub is, what is on and what is off.
    Status,
    /// Devices that are here or known, this machine included.
    Devices(devices::Devices),
    /// The house: lamps, plugs, sensors, locks by rooms; see, set and watch them, and their history.
    Home(home::Home),
    /// Why a device cannot be reached, and what to do; without a device, how this machine itself stands.
    Why(why::Why),
    /// Add what is not found by itself or needs a secret: tell of it. Without anything, list what can be added.
    Add(add::Add),
    /// Pair with a device: compare a code on both screens, or use a ticket.
    Pair(pair::Pair),
    /// Paired devices, and pairings that run.
    Pairings(pair::Pairings),
    /// Send files, folders, text or a link to a device.
    Send(send::Send),
    /// What lies on a device: list its folders, fetch its files.
    Browse(browse::Browse),
    /// Play films, sounds, pictures, folders and addresses on a television or loudspeaker.
    Cast(cast::CastArgs),
    /// What is cast now; hold it, wind it, hand it over, stop it.
    Casts(cast::Casts),
    /// A page that any television or tablet opens in its browser to become a screen: open and close it, add a screen.
    Tv(tv::Tv),
    /// Share files, folders or a text with any browser near: prints an address and a QR code, shows who comes.
    Share(share::ShareArgs),
    /// What is shared by link now; stop it, let visitors in.
    Shares(share::Shares),
    /// Transfers that run or ran.
    Transfers(transfers::Transfers),
    /// What others offer you, and what you received.
    Inbox(transfers::Inbox),
    /// Let a device ring, so that you find it.
    Ring(control::Ring),
    /// Say a word to whoever is in front of a device.
    Ping(control::Ping),
    /// See and control players of a device, or of this machine.
    Media(media::Media),
    /// Type and point on a device.
    Input(input::Input),
    /// A phone's text messages: its conversations, or one of them; have it send one.
    Messages(people::Messages),
    /// A phone's address book.
    Contacts(people::Contacts),
    /// Run a command that a device offers, or list them.
    Run(control::Run),
    /// Paired devices that are here.
    Who,
    /// Your own commands, which devices may be allowed to run.
    Commands(commands::Commands),
    /// Show a notification on a device.
    Notify(notices::Notify),
    /// Notifications that are here now, this computer's and your devices'; dismiss and answer them.
    Notifications(notices::Notifications),
    /// This computer's clipboard: see it, send it to a device, take what a device copied.
    Clip(clip::Clip),
    /// What is shared with whom and why: ours, and other publishers'.
    Statement(statement::Statement),
    /// What you agreed to and refused; decide and withdraw.
    Consent(consent::Consent),
    /// What was decided, sent and refused; verify and export it.
    Ledger(ledger::Ledger),
    /// This hub's settings.
    Settings(look::Settings),
    /// Open the web UI, signed in.
    Open(look::Open),
    /// Print the OpenAPI document of the local API.
    Openapi,
    /// Print completions for a shell.
    Completions(completions::Completions),
    /// A demo home: further real hubs beside this machine's, to try everything at once.
    Demo(crate::demo::Demo),
}

#[derive(clap::Args)]
struct Up {
    /// Where the web UI listens. Beyond this machine (`0.0.0.0:8443`) over TLS; see `accord open --for-other`.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// This device's name; the host name without it.
    #[arg(long)]
    name: Option<String>,
    /// What this device is: computer, laptop, phone, tablet, tv, …
    #[arg(long)]
    kind: Option<DeviceKind>,
    /// Do not open the web UI in a browser.
    #[arg(long)]
    no_open: bool,
    /// Talk to hubs on this machine only.
    #[arg(long)]
    loopback: bool,
    /// Stop when this process, which started the hub, is gone.
    #[arg(long, hide = true, value_name = "PID")]
    with_parent: Option<i32>,
}

/// What every command works with.
pub struct Context {
    pub state: StateDir,
    pub hub: Hub,
    pub screen: Screen,
}

/// The command line itself was wrong: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A device took what it was told and did not confirm it: exit status 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unconfirmed(pub String);

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(cli.json, cli.color);
    let result = StateDir::resolve(cli.state.as_deref()).and_then(|state| run(cli.command, state, screen));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.error(&error);
            ExitCode::from(match () {
                () if error.is::<Usage>() => 2,
                () if error.is::<Unconfirmed>() => 3,
                () => 1,
            })
        }
    }
}

fn run(command: Command, state: StateDir, screen: Screen) -> anyhow::Result<()> {
    let mut builder = match command {
        Command::Up(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(dispatch(command, Context { hub: Hub::new(state.clone()), state, screen }));
    // A question that nobody answered still holds a thread; it must not hold the exit.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, context: Context) -> anyhow::Result<()> {
    match command {
        Command::Up(up) => {
            let Up { http, name, kind, no_open, loopback, with_parent } = up;
            if let Some(parent) = with_parent {
                crate::demo::end_with_parent(parent)?;
            }
            crate::daemon::run(UpOptions { state: context.state, http, name, kind, open: !no_open, loopback }).await
        }
        Command::Status => look::status(&context).await,
        Command::Devices(args) => devices::run(args, &context).await,
        Command::Home(args) => home::run(args, &context).await,
        Command::Why(args) => why::run(args, &context).await,
        Command::Add(args) => add::run(args, &context).await,
        Command::Pair(args) => pair::run(args, &context).await,
        Command::Pairings(args) => pair::pairings(args, &context).await,
        Command::Send(args) => send::run(args, &context).await,
        Command::Browse(args) => browse::run(args, &context).await,
        Command::Cast(args) => cast::cast(args, &context).await,
        Command::Casts(args) => cast::casts(args, &context).await,
        Command::Tv(args) => tv::run(args, &context).await,
        Command::Share(args) => share::share(args, &context).await,
        Command::Shares(args) => share::shares(args, &context).await,
        Command::Transfers(args) => transfers::run(args, &context).await,
        Command::Inbox(args) => transfers::inbox(args, &context).await,
        Command::Ring(args) => control::ring(args, &context).await,
        Command::Ping(args) => control::ping(args, &context).await,
        Command::Media(args) => media::run(args, &context).await,
        Command::Input(args) => input::run(args, &context).await,
        Command::Messages(args) => people::messages(args, &context).await,
        Command::Contacts(args) => people::contacts(args, &context).await,
        Command::Run(args) => control::run(args, &context).await,
        Command::Who => control::who(&context).await,
        Command::Commands(args) => commands::run(args, &context).await,
        Command::Notify(args) => notices::notify(args, &context).await,
        Command::Notifications(args) => notices::run(args, &context).await,
        Command::Clip(args) => clip::run(args, &context).await,
        Command::Statement(args) => statement::run(args, &context),
        Command::Consent(args) => consent::run(args, &context).await,
        Command::Ledger(args) => ledger::run(args, &context).await,
        Command::Settings(args) => look::settings(args, &context).await,
        Command::Open(args) => look::open(args, &context).await,
        Command::Openapi => look::openapi(&context),
        Command::Completions(args) => {
            completions::run(&args, &<Cli as clap::CommandFactory>::command());
            Ok(())
        }
        Command::Demo(args) => crate::demo::run(args, context).await,
    }
}

/// The command line as a test says it.
#[cfg(test)]
pub async fn say(state: &StateDir, words: &[&str]) -> anyhow::Result<()> {
    let cli = Cli::try_parse_from(std::iter::once("accord").chain(words.iter().copied()))?;
    let screen = Screen::new(cli.json, cli.color);
    dispatch(cli.command, Context { hub: Hub::new(state.clone()), state: state.clone(), screen }).await
}
