//! `accord cast`: films, sounds, pictures and addresses on a television or loudspeaker; and `accord casts`, which controls
//! what is cast. A word that controls (`pause`, `seek`) also does so behind `accord cast`; a device that is called like one
//! is named by its id there.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use accord_model::Timestamp;
use accord_model::text::for_screen;
use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use hyper::Method;

use super::Context;
use super::agree::{Owner, with_consent};
use super::devices::find;
use super::hub::escape;
use super::screen::{Cell, Style, ago, name, size};
use super::send::absolute;
use crate::api::casts::{Cast, CastAct, CastCaptions, CastItemState, CastStep, CastTitle, Casts as List, StartCast};

/// How long one waits for the device to show that it plays; every new way of trying begins that anew.
const SHOWS_WITHIN: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(400);
/// Words behind `accord cast` that control what is cast.
const CONTROLS: [&str; 14] = [
    "status",
    "list",
    "play",
    "pause",
    "seek",
    "next",
    "previous",
    "show",
    "volume",
    "captions",
    "audio-track",
    "hand-over",
    "stop",
    "help",
];

#[derive(clap::Args)]
#[command(
    after_help = "What is cast is controlled by `accord casts`, or from here by `accord cast pause`, `seek 90`, `next`, \
    `volume 30`, `stop`, `status`, `hand-over DEVICE`, …; a device that is called like such a word is named by its id."
)]
pub struct CastArgs {
    /// A device's name or id; then films, sounds, pictures, folders of them, http(s) addresses that the device fetches
    /// itself, or files of a media server as "NAS:/path".
    #[arg(value_name = "DEVICE WHAT", required = true, allow_negative_numbers = true, value_hint = clap::ValueHint::AnyPath)]
    words: Vec<OsString>,
    /// A file of captions for the first of it (SRT, WebVTT, ASS).
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    subtitles: Option<OsString>,
    /// Which sound of the first of it, from 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=100))]
    audio_track: Option<u16>,
    /// Where in the first of it to begin: seconds, or 1:02:03.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    start: Option<f64>,
    /// What the device shows as the title: "Accord", or what the file is called.
    #[arg(long, value_enum, default_value_t)]
    title: Title,
    /// How long a picture is shown when there are more: seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(2..=3600))]
    interval: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Title {
    #[default]
    Accord,
    Real,
}

#[derive(clap::Args)]
pub struct Casts {
    #[command(subcommand)]
    action: Option<Action>,
}

/// The same words behind `accord cast`.
#[derive(Parser)]
#[command(name = "accord cast", disable_help_flag = true)]
struct Behind {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List what is cast now, and what ended lately (the default).
    List,
    /// All about one: its queue, what was tried, what the device really does.
    Status { id: Option<String> },
    /// Go on; also with one that is over and can be gone on with.
    Play { id: Option<String> },
    /// Hold.
    Pause { id: Option<String> },
    /// To a place: 90, 1:02:03; +30 and -10 from where it is.
    Seek {
        #[arg(allow_hyphen_values = true)]
        to: String,
        id: Option<String>,
    },
    /// The next of the queue.
    Next { id: Option<String> },
    /// The one before; the beginning of this one when it is well under way.
    Previous { id: Option<String> },
    /// This one of the queue, from 1.
    Show {
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
        id: Option<String>,
    },
    /// How loud, in percent.
    Volume {
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
        id: Option<String>,
    },
    /// Captions: on, off, or which of the film's own, from 1.
    Captions { which: String, id: Option<String> },
    /// Which sound of the film, from 1.
    AudioTrack {
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
        number: u32,
        id: Option<String>,
    },
    /// On to another device from where it is; here it stops once it is seen there.
    HandOver { device: String, id: Option<String> },
    /// Stop.
    Stop { id: Option<String> },
}

pub async fn cast(args: CastArgs, context: &Context) -> Result<()> {
    if args.words[0].to_str().is_some_and(|first| CONTROLS.contains(&first)) {
        let words = std::iter::once(OsString::from("accord cast")).chain(args.words);
        return match Behind::try_parse_from(words) {
            Ok(behind) => control(behind.action, context).await,
            Err(error) => error.exit(),
        };
    }
    let (device, what) = args.words.split_first().unwrap_or_else(|| unreachable!("clap wants one at least"));
    if what.is_empty() {
        return Err(super::Usage("say what is to be cast: files, folders or addresses".into()).into());
    }
    let device = find(context, &device.to_string_lossy()).await?;
    let (from, what) = match elsewhere(what)? {
        Some((name, paths)) => (Some(find(context, &name).await?.id), paths),
        None => (None, what.iter().map(source).collect::<Result<_>>()?),
    };
    let start = StartCast {
        device: device.id.clone(),
        what,
        from,
        subtitles: args.subtitles.as_deref().map(absolute).transpose()?,
        sound: args.audio_track.map(|number| usize::from(number) - 1),
        start: args.start,
        title: match args.title {
            Title::Accord => CastTitle::Accord,
            Title::Real => CastTitle::Real,
        },
        interval: args.interval,
        ..StartCast::default()
    };
    let begun: Cast =
        with_consent(context, Owner::AtTerminal, async || context.hub.post("/casts", &start).await).await?;
    if begun.left_out > 0 {
        context.screen.note(format!("{} left out: nothing that is played.", begun.left_out));
    }
    watch(context, begun).await
}

/// `DEVICE:/path`, when nothing here is called so: files of another device, and which one.
fn elsewhere(what: &[OsString]) -> Result<Option<(String, Vec<String>)>> {
    let there = |what: &OsString| -> Option<(String, String)> {
        let (device, path) =
            what.to_str().filter(|text| !text.contains("://") && !Path::new(text).exists())?.split_once(":/")?;
        (!device.is_empty() && !device.contains('/')).then(|| (device.to_owned(), format!("/{path}")))
    };
    let found: Vec<_> = what.iter().filter_map(there).collect();
    let Some((first, _)) = found.first().cloned() else { return Ok(None) };
    if found.len() < what.len() || found.iter().any(|(device, _)| *device != first) {
        return Err(
            super::Usage("files of another device are cast by themselves, and of one device at a time".into()).into()
        );
    }
    Ok(Some((first, found.into_iter().map(|(_, path)| path).collect())))
}

fn source(what: &OsString) -> Result<String> {
    match what.to_str() {
        Some(text) if text.contains("://") && !Path::new(text).exists() => Ok(text.to_owned()),
        _ => absolute(what),
    }
}

/// Follows a cast until it is seen on the device, or over.
async fn watch(context: &Context, begun: Cast) -> Result<()> {
    let screen = &context.screen;
    let line = indicatif::ProgressBar::new_spinner();
    let (mut since, mut told, mut tries) = (Instant::now(), None, begun.tries.len());
    loop {
        let all: List = context.hub.get("/casts").await?;
        let now = all.casts.into_iter().find(|cast| cast.id == begun.id).unwrap_or_else(|| begun.clone());
        if now.tries.len() != tries {
            for failed in now.tries.iter().skip(tries.saturating_sub(1)).filter(|one| one.failed.is_some()) {
                line.suspend(|| screen.note(format!("{}: {}", failed.how, failed.failed.clone().unwrap_or_default())));
            }
            (since, tries) = (Instant::now(), now.tries.len());
        }
        if told != Some(now.step) && !screen.json && now.step != CastStep::Over {
            line.suspend(|| screen.say(says(&now)));
        }
        told = Some(now.step);
        line.set_message(progress(&now));
        line.tick();
        if now.step == CastStep::Over || now.seen {
            line.finish_and_clear();
            if screen.json {
                screen.document(&now)?;
            }
            return match now.over {
                None => Ok(()),
                Some(_) if now.done => Ok(()),
                Some(why) => bail!("{}", for_screen(&why, 300)),
            };
        }
        if since.elapsed() > SHOWS_WITHIN {
            line.finish_and_clear();
            bail!("{} did not show that it plays it; see `accord casts status`", name(&now.device_name));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn progress(cast: &Cast) -> String {
    let fetched = match cast.size {
        Some(all) => format!("{} of {} fetched", size(cast.fetched.min(all)), size(all)),
        None => "fetched from elsewhere".to_owned(),
    };
    format!("{} · {} · {fetched}", for_screen(&cast.name, 40), place(cast))
}

fn says(cast: &Cast) -> String {
    let device = name(&cast.device_name);
    match cast.step {
        CastStep::Begins => format!("{device} is being told."),
        CastStep::Commanded => format!("{device} was told, and said yes."),
        CastStep::Fetched => format!("{device} fetches it."),
        CastStep::Moving => format!("{device} plays it. `accord casts` controls it, `accord casts stop` ends it."),
        CastStep::Away => format!("{device} does not answer."),
        CastStep::Over => format!("{device}: over."),
    }
}

pub async fn casts(args: Casts, context: &Context) -> Result<()> {
    control(args.action.unwrap_or(Action::List), context).await
}

async fn control(action: Action, context: &Context) -> Result<()> {
    let all: List = context.hub.get("/casts").await?;
    let (act, id) = match action {
        Action::List => return list(context, &all),
        Action::Status { id } => return status(context, &all, id),
        Action::Stop { id } => {
            let cast = pick(&all, id, false)?;
            context.hub.tell(Method::DELETE, &format!("/casts/{}", escape(&cast.id)), None::<&()>).await?;
            return Ok(());
        }
        Action::HandOver { device, id } => {
            let cast = pick(&all, id, false)?;
            let device = find(context, &device).await?;
            let taken = say(context, &cast.id, CastAct::HandOver { device: device.id }).await?;
            return watch(context, taken).await;
        }
        Action::Play { id } => {
            let cast = pick(&all, id, true)?;
            let now = say(context, &cast.id, CastAct::Play).await?;
            return if now.id == cast.id { show(context, &now) } else { watch(context, now).await };
        }
        Action::Pause { id } => (CastAct::Pause, id),
        Action::Next { id } => (CastAct::Next, id),
        Action::Previous { id } => (CastAct::Previous, id),
        Action::Show { number, id } => (CastAct::Show { at: number as usize - 1 }, id),
        Action::Volume { percent, id } => (CastAct::Volume { percent }, id),
        Action::AudioTrack { number, id } => (CastAct::Sound { sound: number as usize - 1 }, id),
        Action::Seek { to, id } => (seek(&to)?, id),
        Action::Captions { which, id } => {
            let cast = pick(&all, id.clone(), false)?;
            (CastAct::Captions { captions: captions(&which, cast)? }, id)
        }
    };
    let cast = pick(&all, id, false)?;
    let now = say(context, &cast.id, act).await?;
    show(context, &now)
}

async fn say(context: &Context, id: &str, act: CastAct) -> Result<Cast> {
    let path = format!("/casts/{}", escape(id));
    with_consent(context, Owner::AtTerminal, async || context.hub.post(&path, &act).await).await
}

fn show(context: &Context, cast: &Cast) -> Result<()> {
    if context.screen.json { context.screen.document(cast) } else { Ok(()) }
}

fn seek(to: &str) -> Result<CastAct> {
    let bad = || super::Usage("seek takes seconds or 1:02:03; +30 and -10 from where it is".into());
    let (sign, rest) = match to.strip_prefix('+') {
        Some(rest) => (Some(1.0), rest),
        None => to.strip_prefix('-').map_or((None, to), |rest| (Some(-1.0), rest)),
    };
    let seconds = seconds(rest).map_err(|_| bad())?;
    Ok(match sign {
        Some(sign) => CastAct::Skip { by: sign * seconds },
        None => CastAct::Seek { to: seconds },
    })
}

fn captions(which: &str, cast: &Cast) -> Result<CastCaptions> {
    match which {
        "off" => Ok(CastCaptions::Off),
        "on" if cast.captions_file.is_some() => Ok(CastCaptions::File),
        "on" if !cast.texts.is_empty() => Ok(CastCaptions::Track(0)),
        "on" => bail!("{} has no captions; give a file of them with `accord cast --subtitles`", name(&cast.name)),
        number => match number.parse::<usize>() {
            Ok(number @ 1..) if number <= cast.texts.len() => Ok(CastCaptions::Track(number - 1)),
            _ => Err(super::Usage("captions are on, off, or the number of one of the film's own".into()).into()),
        },
    }
}

/// `90`, `1:30` or `1:02:03`, also with a fraction.
fn seconds(text: &str) -> Result<f64, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let bad = || "a time is seconds, 1:30 or 1:02:03".to_owned();
    let plain =
        parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    if parts.len() > 3 || !plain {
        return Err(bad());
    }
    let sum = |sum: f64, part: &&str| part.parse::<f64>().map(|part| sum * 60.0 + part);
    parts.iter().try_fold(0.0, sum).ok().filter(|sum| (0.0..=1e6).contains(sum)).ok_or_else(bad)
}

/// One that was named, or the only one that is meant. `resumes`: one that is over and can be gone on with is meant, too.
fn pick(all: &List, id: Option<String>, resumes: bool) -> Result<&Cast> {
    if let Some(id) = id {
        let found = all.casts.iter().find(|cast| cast.id == id);
        return found.ok_or_else(|| anyhow::anyhow!("There is no cast {}; `accord casts` lists them", name(&id)));
    }
    let mut meant: Vec<&Cast> = all.casts.iter().filter(|cast| cast.step != CastStep::Over).collect();
    if meant.is_empty() && resumes {
        meant.extend(all.casts.iter().find(|cast| cast.resumes));
    }
    match meant.as_slice() {
        [one] => Ok(one),
        [] => bail!("Nothing is cast now"),
        many => {
            let ids: Vec<String> =
                many.iter().map(|cast| format!("{} ({})", cast.id, name(&cast.device_name))).collect();
            bail!("Several are cast; name one: {}", ids.join(", "))
        }
    }
}

fn place(cast: &Cast) -> String {
    let clock = |seconds: f64| {
        let seconds = seconds.clamp(0.0, 1e7) as u64;
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
            (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
        }
    };
    match (here(cast), cast.length) {
        (Some(here), Some(length)) => format!("{} / {}", clock(here.min(length)), clock(length)),
        (Some(here), None) => clock(here),
        _ => String::new(),
    }
}

/// Where it is now: what was said last, and the time since while it moves.
fn here(cast: &Cast) -> Option<f64> {
    let moves = cast.step == CastStep::Moving && !cast.held && cast.trouble.is_none();
    let age = Timestamp::now().duration_since(cast.position_seen?);
    let since = Duration::try_from(age).unwrap_or_default().min(Duration::from_secs(15));
    Some(cast.position? + if moves { since.as_secs_f64() } else { 0.0 })
}

fn step(cast: &Cast) -> Cell {
    match cast.step {
        CastStep::Over => Cell::styled(for_screen(cast.over.as_deref().unwrap_or("over"), 90), Style::Dim),
        _ if cast.trouble.is_some() => {
            Cell::styled(for_screen(cast.trouble.as_deref().unwrap_or_default(), 90), Style::Warn)
        }
        CastStep::Begins => Cell::styled("begins", Style::Dim),
        CastStep::Commanded => Cell::styled("told", Style::Warn),
        CastStep::Fetched if cast.seen => Cell::styled("shown", Style::Good),
        CastStep::Fetched => Cell::styled("fetches", Style::Plain),
        CastStep::Moving if cast.held => Cell::styled("on hold", Style::Plain),
        CastStep::Moving => Cell::styled("plays", Style::Good),
        CastStep::Away => Cell::styled("away", Style::Warn),
    }
}

fn list(context: &Context, all: &List) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(all);
    }
    if all.casts.is_empty() {
        screen.note("Nothing is cast; `accord cast DEVICE FILE` begins.");
        return Ok(());
    }
    let rows = all.casts.iter().map(|cast| {
        vec![
            Cell::new(&cast.id),
            Cell::new(&cast.device_name),
            Cell::new(for_screen(&cast.name, 40)),
            Cell::number(format!("{}/{}", cast.at + 1, cast.queue.len())),
            Cell::number(place(cast)),
            step(cast),
            Cell::styled(ago(cast.since), Style::Dim),
        ]
    });
    screen.table(&["ID", "DEVICE", "WHAT", "NO", "PLACE", "", "SINCE"], rows.collect());
    Ok(())
}

fn status(context: &Context, all: &List, id: Option<String>) -> Result<()> {
    let screen = &context.screen;
    // The last one is still worth telling of.
    let newest = all.casts.first().filter(|_| all.casts.iter().all(|cast| cast.step == CastStep::Over));
    let cast = match (id, newest) {
        (None, Some(newest)) => newest,
        (id, _) => pick(all, id, false)?,
    };
    if screen.json {
        return screen.document(cast);
    }
    let fetched = match cast.size {
        Some(all) => format!("{} of {}", size(cast.fetched), size(all)),
        None => "from elsewhere".to_owned(),
    };
    let state = step(cast);
    let mut rows = vec![
        vec![Cell::new("Device"), Cell::new(&cast.device_name)],
        vec![Cell::new("Now"), Cell::new(format!("{} ({} of {})", cast.name, cast.at + 1, cast.queue.len()))],
        vec![Cell::new("State"), state],
        vec![Cell::new("Place"), Cell::new(place(cast))],
        vec![Cell::new("Fetched"), Cell::new(fetched)],
    ];
    let mut line = |head: &str, text: String| rows.push(vec![Cell::new(head), Cell::new(text)]);
    if let Some(volume) = cast.volume {
        line("Volume", format!("{volume} %"));
    }
    for one in &cast.tries {
        line("Tried", one.failed.as_ref().map_or(one.how.clone(), |why| format!("{}: {why}", one.how)));
    }
    if let Some(next) = &cast.next {
        line("If that fails", next.clone());
    }
    if let Some(advice) = &cast.advice {
        line("Advice", advice.clone());
    }
    for (at, sound) in cast.sounds.iter().enumerate() {
        line("Sound", format!("{}{} {sound}", at + 1, if cast.sound == Some(at) { " *" } else { "" }));
    }
    for (at, text) in cast.texts.iter().enumerate() {
        let shown = cast.captions == CastCaptions::Track(at);
        line("Captions", format!("{}{} {text}", at + 1, if shown { " *" } else { "" }));
    }
    if let Some(file) = &cast.captions_file {
        line("Captions", format!("{file}{}", if cast.captions == CastCaptions::File { " *" } else { "" }));
    }
    for item in cast.queue.iter().filter(|item| item.state == CastItemState::Failed) {
        line("Not shown", format!("{}: {}", item.name, item.message.clone().unwrap_or_default()));
    }
    if cast.resumes {
        line("Offer", "`accord casts play` goes on from there".to_owned());
    }
    screen.table(&["", ""], rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(seconds("90"), Ok(90.0));
        assert_eq!(seconds("1:30"), Ok(90.0));
        assert_eq!(seconds("1:02:03.5"), Ok(3723.5));
        for bad in ["", ":", "1:", "-1", "1e3", "1:2:3:4", "soon", "1.2.3", "99999999"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(seek("-10").unwrap(), CastAct::Skip { by: -10.0 });
        assert_eq!(seek("+1:00").unwrap(), CastAct::Skip { by: 60.0 });
        assert_eq!(seek("1:00").unwrap(), CastAct::Seek { to: 60.0 });
        assert!(seek("--1").is_err());
    }

    #[test]
    fn files_of_another_device_are_told_from_files_here() {
        let read = |words: &[&str]| elsewhere(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let there = Some(("Cellar NAS".to_owned(), vec!["/Music/a: b.mp3".to_owned(), "/x".to_owned()]));
        assert_eq!(read(&["Cellar NAS:/Music/a: b.mp3", "Cellar NAS:/x"]).unwrap(), there);
        for here in [&["film.mp4"][..], &["https://example.org/x", "/tmp"], &["folder/odd:/name"], &[":/x"]] {
            assert_eq!(read(here).unwrap(), None, "{here:?}");
        }
        for mixed in [&["NAS:/x", "film.mp4"], &["NAS:/x", "Other:/y"]] {
            assert!(read(mixed).is_err(), "{mixed:?}");
        }
    }

    #[test]
    fn every_word_that_controls_is_understood_behind_cast() {
        for words in
            ["status", "pause 3", "seek -10", "seek 1:30 2", "volume 30", "captions on", "hand-over Lounge", "show 2"]
        {
            let all = std::iter::once("accord cast").chain(words.split(' '));
            assert!(Behind::try_parse_from(all).is_ok(), "{words}");
        }
        for words in ["volume 101", "show 0", "seek", "hand-over"] {
            let all = std::iter::once("accord cast").chain(words.split(' '));
            assert!(Behind::try_parse_from(all).is_err(), "{words}");
        }
    }
}
