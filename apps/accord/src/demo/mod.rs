//! The demo home: this machine's real hub beside further real hubs, with a driver that plays the
//! persons at those devices. Everything in it is real but the persons.

mod house;
mod person;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accord_model::DeviceKind;
use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::house::House;
pub use self::house::{browse, end_with_parent};
use self::person::{Habit, Person};
use crate::cli::screen::Style;
use crate::cli::{Context, look::setup_link};
use crate::state::{StateDir, private_dir};

#[derive(clap::Args)]
pub struct Demo {
    /// Where the main hub's web UI listens; any free port without it.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// Do not open the web UI in a browser.
    #[arg(long)]
    no_open: bool,
    /// Go on with the home of last time instead of a fresh one.
    #[arg(long)]
    keep: bool,
}

/// The devices beside this machine, and how the person at each behaves.
const HOME: [(&str, &str, DeviceKind, Habit); 4] = [
    ("phone", "Mira's phone", DeviceKind::Phone, Habit::Friend),
    ("tablet", "Kitchen tablet", DeviceKind::Tablet, Habit::Slow),
    ("laptop", "Work laptop", DeviceKind::Laptop, Habit::SaysNoOnce),
    ("tv", "Living room TV", DeviceKind::Tv, Habit::TakesAll),
];

const MARKER: &str = "demo-home";
const FREE_WITHIN: Duration = Duration::from_secs(12);

pub async fn run(args: Demo, context: Context) -> Result<()> {
    log();
    let screen = context.screen;
    let home = place(&context)?;
    prepare(&home, args.keep).await?;
    // Before the first child: from here on a signal must end them all.
    let mut stop = Stop::new()?;
    let mut house = House::new(home);
    let result = tokio::select! {
        result = live(&mut house, &args, &context) => result,
        () = stop.asked() => Ok(()),
    };
    screen.note("Stopping the demo home…");
    house.stop().await;
    result
}

/// What the persons do is said only when asked for.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ACCORD_LOG").unwrap_or_default();
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).try_init();
}

/// Starts everything, tells the person, and stays until a hub is gone.
async fn live(house: &mut House, args: &Demo, context: &Context) -> Result<()> {
    let screen = context.screen;
    screen.note("Starting five hubs…");
    let main = house.start("this", None, None, args.http)?;
    for (folder, name, kind, _) in &HOME {
        house.start(folder, Some(name), Some(*kind), None)?;
    }
    house.wait_until_up(&main).await?;
    let mut persons = JoinSet::new();
    let mut rows = vec![("This machine".to_owned(), setup_link(&main).await?)];
    for (folder, name, kind, habit) in HOME {
        let hub = house.hub(folder)?;
        house.wait_until_up(&hub).await?;
        rows.push((name.to_owned(), setup_link(&hub).await?));
        let person = Person::new(name, kind, habit, hub, main.clone(), house.folder(folder));
        persons.spawn(person.live());
    }

    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    screen.say("");
    screen.say(screen.paint(Style::Bold, "The demo home is up. Each of these is a real hub with a web UI of its own:"));
    for (name, link) in &rows {
        screen.say(format!("  {name:<width$}  {link}"));
    }
    screen.say(tour(&house.folder("this"), screen.paint(Style::Bold, "Two minutes:")));
    let link = &rows[0].1;
    if !args.no_open && !browse(link).await {
        screen.say(format!("Open this in a browser: {link}"));
    }
    house.until_one_ends().await
}

fn tour(state: &Path, title: String) -> String {
    let accord = format!("accord --state {}", state.display());
    format!(
        "
{title}
  1. Open the first address. This machine is still silent: it has sent nothing to anyone.
     Switch on discovery: four devices appear, with name and kind.
  2. Pair with Mira's phone. Both screens show six digits; Mira compares them and agrees.
     Soon after, her phone sends you a photo and a message: accept or refuse them.
  3. Drop a file on Mira's phone. You are asked what may be shared, with whom and why.
     Then pair with Work laptop and send it something: its owner refuses the first time.
  4. Open Privacy: the statement, your decisions with their switches, and the ledger of
     everything that left or was refused. Press verify. Withdraw a consent and send again.

The same in a terminal:
  {accord} devices
  {accord} pair \"Kitchen tablet\"
  {accord} send \"Kitchen tablet\" README.md
  {accord} ledger list

Setup links work once, for ten minutes; `{accord} open` makes a new one. Ctrl-C ends the home."
    )
}

/// `--state DIR`, or a folder beside the real hub's data.
fn place(context: &Context) -> Result<PathBuf> {
    if context.state.is_explicit() {
        return Ok(context.state.data().to_owned());
    }
    let parent = context.state.data().parent().context("the data folder has no parent")?;
    Ok(parent.join("accord-demo"))
}

/// A fresh home, unless the last one is kept. Only folders that we made are ever emptied.
async fn prepare(home: &Path, keep: bool) -> Result<()> {
    private_dir(home)?;
    let marker = home.join(MARKER);
    let mut entries = fs::read_dir(home).with_context(|| format!("cannot read {}", home.display()))?;
    let empty = entries.next().is_none();
    if !marker.exists() && !empty {
        bail!("{} holds other things; give the demo home an empty folder with --state", home.display());
    }
    if !keep && !empty {
        for folder in std::iter::once("this").chain(HOME.iter().map(|(folder, ..)| *folder)) {
            wait_until_free(&home.join(folder)).await?;
            match fs::remove_dir_all(home.join(folder)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("cannot clear the last demo home in {}", home.display()));
                }
                _ => {}
            }
        }
    }
    fs::write(&marker, "The demo home of Accord. `accord demo` starts it afresh.\n")
        .with_context(|| format!("cannot write {}", marker.display()))
}

/// The hubs of a home that was killed may still be on their way out.
async fn wait_until_free(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let state = StateDir::resolve(Some(folder))?;
    let until = Instant::now() + FREE_WITHIN;
    loop {
        match state.lock() {
            Ok(_free) => return Ok(()),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Ctrl-C, a terminal that closes, or a polite end.
struct Stop([tokio::signal::unix::Signal; 3]);

impl Stop {
    fn new() -> Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demo_home_never_empties_a_folder_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("photos");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("this"), "precious").unwrap();
        assert!(prepare(&taken, false).await.is_err());
        assert!(taken.join("this").exists());

        let home = dir.path().join("home");
        prepare(&home, false).await.unwrap();
        fs::create_dir(home.join("phone")).unwrap();
        prepare(&home, true).await.unwrap();
        assert!(home.join("phone").exists(), "kept");
        prepare(&home, false).await.unwrap();
        assert!(!home.join("phone").exists(), "fresh");
    }
}
