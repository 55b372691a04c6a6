//! `accord cast`: a file on a television or loudspeaker; and `accord casts`.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use accord_model::text::for_screen;
use anyhow::{Result, bail};
use hyper::Method;

use super::Context;
use super::agree::{Owner, with_consent};
use super::devices::find;
use super::hub::escape;
use super::screen::{Cell, Style, ago, name, size};
use super::send::absolute;
use crate::api::casts::{Cast, CastStep, Casts as List, StartCast};

/// How long one waits for the device to show that it plays.
const SHOWS_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub struct CastArgs {
    /// A device's name or id.
    device: String,
    /// A film, a sound or a picture.
    file: OsString,
}

#[derive(clap::Args)]
pub struct Casts {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List what is cast now, and what ended lately (the default).
    List,
    /// Stop: one, or the only one.
    Stop { id: Option<String> },
}

pub async fn cast(args: CastArgs, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let start = StartCast { device: device.id.clone(), path: absolute(&args.file)? };
    let begun: Cast =
        with_consent(context, Owner::AtTerminal, async || context.hub.post("/casts", &start).await).await?;
    let screen = &context.screen;
    let began = Instant::now();
    let mut told = None;
    loop {
        let all: List = context.hub.get("/casts").await?;
        let now = all.casts.into_iter().find(|cast| cast.id == begun.id).unwrap_or_else(|| begun.clone());
        if told != Some(now.step) && !screen.json {
            screen.say(says(&now));
        }
        told = Some(now.step);
        match now.step {
            CastStep::Over => {
                if screen.json {
                    screen.document(&now)?;
                }
                bail!("{}", for_screen(now.over.as_deref().unwrap_or("it is over"), 200));
            }
            CastStep::Moving => {
                return if screen.json { screen.document(&now) } else { Ok(()) };
            }
            CastStep::Fetched if now.picture && now.fetched >= now.size => {
                return if screen.json { screen.document(&now) } else { Ok(()) };
            }
            _ if began.elapsed() > SHOWS_WITHIN => {
                bail!("{} did not show that it plays it; see `accord casts`", name(&now.device_name));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

fn says(cast: &Cast) -> String {
    let device = name(&cast.device_name);
    match cast.step {
        CastStep::Commanded => format!("{device} was told, and said yes."),
        CastStep::Fetched => format!("{device} fetches it."),
        CastStep::Moving => format!("{device} plays it. `accord media` controls it, `accord casts stop` ends it."),
        CastStep::Over => format!("{device}: over."),
    }
}

pub async fn casts(args: Casts, context: &Context) -> Result<()> {
    let all: List = context.hub.get("/casts").await?;
    match args.action {
        None | Some(Action::List) => list(context, &all),
        Some(Action::Stop { id }) => {
            let running: Vec<&Cast> = all.casts.iter().filter(|cast| cast.step != CastStep::Over).collect();
            let id = match (id, running.as_slice()) {
                (Some(id), _) => id,
                (None, [one]) => one.id.clone(),
                (None, []) => bail!("Nothing is cast now"),
                (None, _) => bail!("Several are cast; name one: {}", ids(&running)),
            };
            context.hub.tell(Method::DELETE, &format!("/casts/{}", escape(&id)), None::<&()>).await?;
            Ok(())
        }
    }
}

fn ids(casts: &[&Cast]) -> String {
    casts.iter().map(|cast| cast.id.as_str()).collect::<Vec<_>>().join(", ")
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
        let step = match cast.step {
            CastStep::Commanded => Cell::styled("told", Style::Warn),
            CastStep::Fetched => Cell::styled("fetches", Style::Plain),
            CastStep::Moving => Cell::styled("plays", Style::Good),
            CastStep::Over => Cell::styled(for_screen(cast.over.as_deref().unwrap_or("over"), 90), Style::Dim),
        };
        vec![
            Cell::new(&cast.id),
            Cell::new(&cast.device_name),
            Cell::new(&cast.name),
            Cell::number(format!("{} of {}", size(cast.fetched), size(cast.size))),
            step,
            Cell::styled(ago(cast.since), Style::Dim),
        ]
    });
    screen.table(&["ID", "DEVICE", "FILE", "FETCHED", "", "SINCE"], rows.collect());
    Ok(())
}
