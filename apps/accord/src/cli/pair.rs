//! `accord pair` and `accord pairings`: two screens, one code; or a ticket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use accord_model::DeviceKind;
use accord_model::text::for_screen;
use anyhow::{Result, bail};
use hyper::Method;
use tokio::time::{Instant, sleep};

use super::agree::{self, Owner, with_consent};
use super::devices::{find, kind_label};
use super::hub::{HubError, escape};
use super::screen::{Cell, Screen, Style, ago, ask_secret, can_ask, name, yes};
use super::{Context, Usage};
use crate::api::forms::FormKind;
use crate::api::types::{
    ConfirmPairing, Device, Direction, Pairing, PairingState, Pairings as List, StartPairing, Ticket,
};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["device", "ticket", "incoming"]))]
pub struct Pair {
    /// A device from `accord devices` (name or id), a ticket (`accord:pair/1?…`), or a hub's `ip:port`.
    device: Option<String>,
    /// Show a ticket, as text and QR code, for the other device to use.
    #[arg(long)]
    ticket: bool,
    /// Answer a device that wants to pair with this one; waits for one.
    #[arg(long)]
    incoming: bool,
    /// Agree without asking: for scripts, and when nobody else can be on this network.
    #[arg(long)]
    accept: bool,
    /// Agree if this is the code that the other device shows.
    #[arg(long, value_name = "CODE", conflicts_with = "accept")]
    code: Option<String>,
    /// Agree that it is controlled from here, too, where pairing offers that (`control/command`, names of commands); asked for
    /// at a terminal.
    #[arg(long)]
    control: bool,
    /// What the device wants, such as a token, where it wants something; `-` is read from standard input, `@FILE` from a
    /// file. What is not given is asked for.
    #[arg(long = "with", value_name = "INPUT=VALUE", requires = "device")]
    inputs: Vec<String>,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
}

#[derive(clap::Args)]
pub struct Pairings {
    #[command(subcommand)]
    action: Option<PairingsAction>,
}

#[derive(clap::Subcommand)]
enum PairingsAction {
    /// Paired devices and running pairings (the default).
    List,
    /// Forget a paired device; it has to pair again.
    Remove { device: String },
}

impl Pair {
    /// With a device whose code was read on its screen.
    pub(super) fn with_code(device: String, code: String) -> Self {
        Self {
            device: Some(device),
            ticket: false,
            incoming: false,
            accept: false,
            code: Some(code),
            control: false,
            inputs: Vec::new(),
            wait: 60,
        }
    }
}

/// How often a running pairing is looked at.
const LOOK: Duration = Duration::from_millis(150);

pub async fn run(args: Pair, context: &Context) -> Result<()> {
    if let Some(code) = &args.code
        && (!(6..=12).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return Err(
            Usage("a code has six digits, or eight letters and digits for devices of other makes".into()).into()
        );
    }
    let until = Instant::now() + Duration::from_secs(args.wait);
    let owner = if args.accept || args.code.is_some() { Owner::Deliberate } else { Owner::AtTerminalForGood };
    // What we call the device, until it says its own name.
    let mut known = None;
    let pairing = if args.incoming {
        incoming(context, until).await?
    } else if args.ticket {
        let ticket: Ticket =
            with_consent(context, owner, async || context.hub.post("/pairings/ticket", &serde_json::json!({})).await)
                .await?;
        show_ticket(context, &ticket)?;
        context.hub.get(&format!("/pairings/{}", escape(&ticket.pairing))).await?
    } else {
        let start;
        (start, known) = begin(context, args.device.as_deref().unwrap_or_default(), &args.inputs).await?;
        with_consent(context, owner, async || context.hub.post("/pairings", &start).await).await?
    };
    let follow = follow(context, pairing.id.clone(), known, &args, owner, until);
    let done = tokio::select! {
        done = follow => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("Pairing stopped")),
    };
    match done {
        Ok(pairing) if context.screen.json => context.screen.document(&pairing),
        Ok(pairing) => {
            context.screen.say(format!("Paired with {}.", partner(&pairing)));
            Ok(())
        }
        Err(error) => {
            reject(context, &pairing.id).await;
            Err(error)
        }
    }
}

async fn begin(context: &Context, whom: &str, given: &[String]) -> Result<(StartPairing, Option<String>)> {
    let mut start = StartPairing::default();
    let mut known = None;
    if whom.starts_with("accord:") {
        start.ticket = Some(whom.to_owned());
    } else if whom.parse::<SocketAddr>().is_ok() {
        start.address = Some(whom.to_owned());
    } else {
        let device = find(context, whom).await?;
        start.inputs = wanted_inputs(&device, given).await?;
        known = Some(device.name).filter(|name| !name.is_empty());
        start.device = Some(device.id);
    }
    Ok((start, known))
}

/// What the device wants to be paired, such as a token; never shown.
async fn wanted_inputs(device: &Device, given: &[String]) -> Result<BTreeMap<String, String>> {
    let mut inputs = BTreeMap::new();
    for word in given {
        let (id, value) = word.split_once('=').ok_or_else(|| Usage("say --with INPUT=VALUE".into()))?;
        inputs.insert(id.to_owned(), super::add::given_value(value, FormKind::Text)?);
    }
    let pairing = device.services.iter().find(|service| service.id == "pairing");
    let request = pairing.and_then(|pairing| pairing.actions.iter().find(|action| action.id == "request"));
    for wanted in request.into_iter().flat_map(|request| &request.inputs) {
        if inputs.contains_key(&wanted.id) || !can_ask() {
            continue;
        }
        let question = format!("{} of {}:", name(&wanted.id), name(&device.name));
        if let Some(answer) = ask_secret(&question).await?.filter(|answer| !answer.is_empty()) {
            inputs.insert(wanted.id.clone(), answer);
        }
    }
    Ok(inputs)
}

/// The newest pairing that another device began.
async fn incoming(context: &Context, until: Instant) -> Result<Pairing> {
    let mut told = false;
    loop {
        let list: List = context.hub.get("/pairings").await?;
        let live = |pairing: &&Pairing| {
            pairing.direction == Direction::In && matches!(pairing.state, PairingState::Compare | PairingState::Waiting)
        };
        if let Some(pairing) = list.running.iter().find(live) {
            return Ok(pairing.clone());
        }
        if !told {
            told = true;
            context.screen.note("Waiting for a device that wants to pair…");
        }
        if Instant::now() > until {
            bail!("No device asked to pair");
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => bail!("Stopped waiting"),
        }
    }
}

async fn follow(
    context: &Context,
    id: String,
    known: Option<String>,
    args: &Pair,
    owner: Owner,
    until: Instant,
) -> Result<Pairing> {
    let path = format!("/pairings/{}", escape(&id));
    let mut shown = false;
    let mut told_to_wait = false;
    loop {
        let mut pairing: Pairing = context.hub.get(&path).await?;
        pairing.name = pairing.name.or_else(|| known.clone());
        match pairing.state {
            PairingState::Done => return Ok(pairing),
            PairingState::Failed => bail!(
                "Pairing with {} failed: {}",
                partner(&pairing),
                for_screen(pairing.error.as_deref().unwrap_or("no reason given"), 500)
            ),
            PairingState::Connecting => {}
            PairingState::Compare if !shown => {
                shown = true;
                show_pairing(context, &pairing);
                compare(context, &pairing, args, owner, &path).await?;
                continue;
            }
            PairingState::Compare => {}
            PairingState::Waiting if !told_to_wait => {
                told_to_wait = true;
                context.screen.note(format!("Waiting for the person at {} to agree…", partner(&pairing)));
            }
            PairingState::Waiting => {}
        }
        if Instant::now() > until {
            bail!("{} did not answer in time; try again", partner(&pairing));
        }
        sleep(LOOK).await;
    }
}

fn show_pairing(context: &Context, pairing: &Pairing) {
    let screen = &context.screen;
    if let Some(code) = &pairing.code {
        // The code is what a script reads too: standard output, unless that is kept for the document.
        let line = format!("Code: {}", screen.paint(Style::Bold, &for_screen(code, 12)));
        if screen.json { screen.note(line) } else { screen.say(line) }
    }
    if !pairing.shares.is_empty() {
        screen.note(format!("Once paired, {} learns: {}", partner(pairing), agree::fields(&pairing.shares)));
    }
}

/// The owner's word: do both screens show the same?
async fn compare(context: &Context, pairing: &Pairing, args: &Pair, owner: Owner, path: &str) -> Result<()> {
    if !args.accept && args.code.is_none() {
        if !can_ask() {
            bail!("Nobody is here to compare the code; say --code with the other device's code, or --accept");
        }
        let question = match pairing.code {
            Some(_) => format!("Does {} show the same code? [y/N]", partner(pairing)),
            None if is_of_people(pairing.kind) => format!("Let {} in? [y/N]", partner(pairing)),
            None => format!("Add {}? [y/N]", partner(pairing)),
        };
        let answer = tokio::select! {
            answer = yes(&question) => answer?,
            over = until_over(context, path) => return over,
        };
        if !answer {
            bail!("Not paired: you said that the codes differ or did not agree");
        }
    }
    // Who gives the code or `--accept` is not asked more.
    let asks = !args.accept && args.code.is_none();
    let offers = if asks || args.control { pairing.offers.as_slice() } else { &[] };
    let agrees = super::add::also(offers, args.control, &partner(pairing)).await?;
    let confirm = ConfirmPairing { code: args.code.clone(), agrees };
    let confirm_path = format!("{path}/confirm");
    with_consent(context, owner, async || context.hub.tell(Method::POST, &confirm_path, Some(&confirm)).await).await
}

/// Ends when the pairing is over while its owner still thinks.
async fn until_over(context: &Context, path: &str) -> Result<()> {
    loop {
        sleep(LOOK).await;
        let pairing: Pairing = context.hub.get(path).await?;
        if matches!(pairing.state, PairingState::Failed | PairingState::Done) {
            context.screen.note("");
            return Ok(());
        }
    }
}

/// Tells the hub that this owner does not agree; it may know already.
async fn reject(context: &Context, id: &str) {
    let path = format!("/pairings/{}/reject", escape(id));
    let _: Result<(), HubError> = context.hub.tell(Method::POST, &path, None::<&()>).await;
}

/// What somebody sits at, and that is let in; other things are added.
fn is_of_people(kind: Option<DeviceKind>) -> bool {
    kind.is_none_or(|kind| {
        matches!(kind, DeviceKind::Computer | DeviceKind::Laptop | DeviceKind::Phone | DeviceKind::Tablet)
    })
}

fn partner(pairing: &Pairing) -> String {
    match (&pairing.name, pairing.kind) {
        (Some(text), Some(kind)) => format!("{} ({})", name(text), kind_label(kind)),
        (Some(text), None) => name(text),
        _ => "the other device".to_owned(),
    }
}

fn show_ticket(context: &Context, ticket: &Ticket) -> Result<()> {
    let screen = &context.screen;
    let lines = [
        qr(&ticket.ticket)?,
        "Scan this with the other device, or run there:".into(),
        format!("  accord pair '{}'", for_screen(&ticket.ticket, 2000)),
        format!("It works once, until {}.", super::screen::moment(ticket.expires)),
    ];
    for line in lines {
        if screen.json { screen.note(line) } else { screen.say(line) }
    }
    Ok(())
}

/// A QR code in half blocks, light on dark as terminals are, with the quiet zone it needs.
pub(super) fn qr(text: &str) -> Result<String> {
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::L)?;
    let width = code.width() as isize;
    let colors = code.to_colors();
    let light = |x: isize, y: isize| {
        let inside = (0..width).contains(&x) && (0..width).contains(&y);
        !inside || colors[(y * width + x) as usize] == qrcode::Color::Light
    };
    let mut out = String::new();
    for y in (-2..width + 2).step_by(2) {
        for x in -2..width + 2 {
            // Below the last row lies nothing.
            out.push(match (light(x, y), y + 1 < width + 2 && light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    Ok(out)
}

pub async fn pairings(args: Pairings, context: &Context) -> Result<()> {
    let list: List = context.hub.get("/pairings").await?;
    match args.action.unwrap_or(PairingsAction::List) {
        PairingsAction::List if context.screen.json => context.screen.document(&list),
        PairingsAction::List => {
            show_list(&context.screen, &list);
            Ok(())
        }
        PairingsAction::Remove { device } => {
            let known = list.paired.iter().find(|paired| paired.device == device);
            let id = match known {
                Some(paired) => paired.device.clone(),
                None => find(context, &device).await?.id,
            };
            if !list.paired.iter().any(|paired| paired.device == id) {
                bail!("{} is not paired", name(&device));
            }
            context.hub.tell(Method::DELETE, &format!("/pairings/paired/{}", escape(&id)), None::<&()>).await?;
            if context.screen.json {
                return context.screen.document(&serde_json::json!({ "removed": id }));
            }
            context.screen.say(format!("{} is no longer paired.", name(&device)));
            Ok(())
        }
    }
}

fn show_list(screen: &Screen, list: &List) {
    if list.paired.is_empty() {
        screen.note("No device is paired. `accord devices` shows who is here; `accord pair <device>` pairs.");
    } else {
        let rows = list.paired.iter().map(|paired| {
            vec![
                Cell::new(&paired.name),
                Cell::new(kind_label(paired.kind)),
                Cell::new(ago(paired.since)),
                Cell::new(paired.until.map(super::screen::moment).unwrap_or_default()),
                Cell::new(&paired.fingerprint),
                Cell::styled(&paired.device, Style::Dim),
            ]
        });
        screen.table(&["NAME", "KIND", "PAIRED", "UNTIL", "FINGERPRINT", "ID"], rows.collect());
    }
    let live = |pairing: &&Pairing| !matches!(pairing.state, PairingState::Done | PairingState::Failed);
    for pairing in list.running.iter().filter(live) {
        let code = pairing.code.as_deref().map(|code| format!(", code {}", for_screen(code, 12))).unwrap_or_default();
        let how = match pairing.direction {
            Direction::In => "wants to pair; answer with `accord pair --incoming`",
            Direction::Out => "is asked to pair",
        };
        screen.say(format!("{} {how}{code}", partner(pairing)));
    }
}

#[cfg(test)]
mod tests {
    use super::qr;

    #[test]
    fn a_ticket_fits_a_terminal_as_a_square() {
        let ticket = format!("accord:pair/1?{}", "a".repeat(180));
        let code = qr(&ticket).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        assert!(lines.len() <= 40, "{} lines", lines.len());
        let width = lines[0].chars().count();
        assert!(width <= 80 && lines.iter().all(|line| line.chars().count() == width));
        assert!(lines[0].chars().all(|c| c == '█'), "quiet zone above");
    }
}
