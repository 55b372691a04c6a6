//! `accord home history` and `kept`: the course of what devices said, and what is kept of it.

use accord_home::say::{self, Wanted};
use accord_model::{Format, Property, Timestamp};
use anyhow::{Result, anyhow, bail};
use futures_util::TryStreamExt;
use hyper::Method;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Unit};

use super::{doors, graph, of_house};
use crate::api::home::{History as Course, HistoryKept, HistoryKind, HistorySeries, HistorySettings, HistoryState};
use crate::api::types::Device;
use crate::cli::devices::find;
use crate::cli::hub::escape;
use crate::cli::screen::{Cell, ago, can_ask, moment, name, size, yes};
use crate::cli::{Context, Usage};

/// Lines of a graph.
const HEIGHT: usize = 8;
/// Columns of a course among others.
const SMALL: usize = 40;
/// Courses that are shown at once.
const MOST: usize = 40;

#[derive(clap::Args)]
pub struct History {
    /// A device's name or id.
    device: String,
    /// `temperature`, `electricity/power`; without it, all in short.
    property: Option<String>,
    /// How far back (`90m`, `24h`, `7d`), or from when (`2026-11-01`).
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    since: String,
    /// Until then; now without it.
    #[arg(long, value_name = "SPAN")]
    until: Option<String>,
    /// One point for so much time (`5m`, `1h`, `1d`), as a list; `0` for everything that was said.
    #[arg(long, value_name = "SPAN")]
    every: Option<String>,
}

#[derive(clap::Args)]
pub struct Kept {
    #[command(subcommand)]
    action: Option<KeptAction>,
}

#[derive(clap::Subcommand)]
enum KeptAction {
    /// What is kept, how long, and how much that is (the default).
    Show,
    /// Say what is kept; nothing of it ever leaves this machine.
    Set {
        /// Keep anything new at all.
        #[arg(long, value_name = "BOOL")]
        on: Option<bool>,
        /// Days of everything that was said.
        #[arg(long, value_name = "DAYS")]
        all: Option<u32>,
        /// Days of least, mean and greatest of every five minutes, and of changes of what is on or off.
        #[arg(long, value_name = "DAYS")]
        five_minutes: Option<u32>,
        /// Days of those of every hour.
        #[arg(long, value_name = "DAYS")]
        hours: Option<u32>,
        /// Never more than this on the disk.
        #[arg(long)]
        megabytes: Option<u32>,
        /// Keep nothing new of this device.
        #[arg(long, value_name = "DEVICE")]
        without: Vec<String>,
        /// Keep what this device says again.
        #[arg(long, value_name = "DEVICE")]
        with: Vec<String>,
    },
    /// Write out everything that is kept, on standard output.
    Export {
        /// Only of this device.
        device: Option<String>,
        /// `csv` or `json`.
        #[arg(long, default_value = "csv")]
        format: String,
        /// How far back, or from when; everything without it.
        #[arg(long, value_name = "SPAN")]
        since: Option<String>,
    },
    /// Delete what was kept of a device, also of one that is gone (by its id).
    Delete {
        #[arg(required_unless_present = "all")]
        device: Option<String>,
        /// Of all devices.
        #[arg(long, conflicts_with = "device")]
        all: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// `24h` ago, or a date, or a moment.
fn when(text: &str) -> Result<Timestamp> {
    let wrong = || Usage(format!("`{}` is no span of time such as 24h or 7d, and no date", name(text)));
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<jiff::civil::DateTime>() {
        return Ok(TimeZone::system().to_timestamp(date).map_err(|_| wrong())?);
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    let now = Timestamp::now().to_zoned_datetime(TimeZone::system());
    Ok(now.checked_sub(span).map_err(|_| wrong())?.timestamp())
}

fn seconds(text: &str) -> Result<u64> {
    if text.trim() == "0" {
        return Ok(0);
    }
    let wrong = || Usage(format!("`{}` is no span of time such as 5m or 1h", name(text)));
    let span: Span = text.parse().map_err(|_| wrong())?;
    let total = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    if total < 1.0 { Err(wrong().into()) } else { Ok(total as u64) }
}

pub async fn run(args: History, context: &Context) -> Result<()> {
    let device = of_house(context, &args.device).await?;
    let from = when(&args.since)?;
    let to = args.until.as_deref().map(when).transpose()?.unwrap_or_else(Timestamp::now);
    let step = args.every.as_deref().map(seconds).transpose()?;
    let kept: HistoryKept = context.hub.get(&format!("/home/history/kept?device={}", escape(&device.id))).await?;
    let moments = match args.property {
        None => doors::moments(context, &device, &kept.kept, (from, to)).await?,
        Some(_) => Vec::new(),
    };
    if kept.kept.is_empty() && moments.is_empty() {
        bail!(
            "Nothing is kept of {}: `accord home kept` says whether anything is, and it has to say something first",
            name(&device.name)
        );
    }
    let Some(wanted) = args.property else {
        return overview(context, &device, (&kept.kept, &moments), (from, to)).await;
    };
    let found = say::property(&device.services, &wanted, Wanted::Read);
    let found = found.map_err(|error| anyhow!("{}: {error}", name(&device.name)))?;
    let (service, property) = (found.service, found.found);
    let is_it = |one: &&HistorySeries| {
        one.service == service.id && one.instance == service.instance && one.property == property.id
    };
    let Some(series) = kept.kept.iter().find(is_it) else {
        let known: Vec<String> = kept.kept.iter().map(place).collect();
        bail!("Nothing is kept of {}; there is: {}", say::place(service, &property.id), known.join(", "));
    };
    let course = course(context, series, (from, to), step).await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&course);
    }
    if course.points.is_empty() {
        screen.note(format!("{} said nothing of it in that time.", name(&device.name)));
        return Ok(());
    }
    if step.is_some() {
        table(context, &course, property);
    } else {
        graph::graph(&course, property, screen.width(), HEIGHT).iter().for_each(|line| screen.say(line));
    }
    screen.note(summary(&course, property));
    Ok(())
}

fn place(series: &HistorySeries) -> String {
    match series.instance {
        0 => format!("{}/{}", name(&series.service), name(&series.property)),
        instance => format!("{}.{instance}/{}", name(&series.service), name(&series.property)),
    }
}

pub async fn course(
    context: &Context,
    series: &HistorySeries,
    (from, to): (Timestamp, Timestamp),
    step: Option<u64>,
) -> Result<Course> {
    let step = step.map(|step| format!("&step={step}")).unwrap_or_default();
    let path = format!(
        "/home/history?device={}&service={}&instance={}&property={}&from={}&to={}{step}",
        escape(&series.device),
        escape(&series.service),
        series.instance,
        escape(&series.property),
        escape(&from.to_string()),
        escape(&to.to_string()),
    );
    Ok(context.hub.get(&path).await?)
}

async fn overview(
    context: &Context,
    device: &Device,
    (kept, moments): (&[HistorySeries], &[doors::Moment]),
    range: (Timestamp, Timestamp),
) -> Result<()> {
    let mut courses = Vec::new();
    for series in kept.iter().take(MOST) {
        courses.push(course(context, series, range, None).await?);
    }
    let screen = &context.screen;
    if screen.json {
        return screen.document(&serde_json::json!({ "device": device.id, "courses": courses, "moments": moments }));
    }
    let rows = courses.iter().zip(kept).map(|(course, series)| {
        let property = described(device, series);
        vec![Cell::new(place(series)), Cell::new(graph::line(course, SMALL)), Cell::new(summary(course, &property))]
    });
    if !kept.is_empty() {
        screen.table(&["PROPERTY", "COURSE", ""], rows.collect());
    }
    doors::table(context, moments);
    Ok(())
}

/// The property as the device describes it, or what is known of it without that.
pub fn described(device: &Device, series: &HistorySeries) -> Property {
    let service =
        device.services.iter().find(|service| service.id == series.service && service.instance == series.instance);
    let property =
        service.and_then(|service| service.properties.iter().find(|property| property.id == series.property));
    property.cloned().unwrap_or_else(|| {
        let format = if series.kind == HistoryKind::Switch { Format::Bool } else { Format::Float };
        Property { unit: series.unit, ..Property::state(&series.property, format) }
    })
}

fn summary(course: &Course, property: &Property) -> String {
    let value = |number: f64| say::value(property, &accord_model::Data::Float(number));
    let (least, most) = course
        .points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), point| (least.min(point.min), most.max(point.max)));
    match (course.kind, course.points.last()) {
        (_, None) => "nothing in that time".to_owned(),
        (HistoryKind::Meter, _) => format!("{} in that time", value(course.total.unwrap_or(0.0))),
        (HistoryKind::Switch, Some(last)) if course.step_s.is_none() => {
            let now = say::value(property, &accord_model::Data::Bool(last.mean > 0.5));
            let changes = course.points.len().saturating_sub(1);
            format!("{now} at last, {}", crate::cli::screen::count(changes as u64, "change", "changes"))
        }
        (HistoryKind::Switch, Some(_)) => {
            let yes = say::value(property, &accord_model::Data::Bool(true));
            let mean = course.points.iter().map(|point| point.mean).sum::<f64>() / course.points.len() as f64;
            format!("{yes} {} % of the time", (mean * 100.0).round())
        }
        (HistoryKind::Level, Some(last)) => {
            format!("least {}, greatest {}, at last {}", value(least), value(most), value(last.mean))
        }
    }
}

fn table(context: &Context, course: &Course, property: &Property) {
    let value = |number: f64| Cell::number(say::value(property, &accord_model::Data::Float(number)));
    let truth = |number: f64| Cell::new(say::value(property, &accord_model::Data::Bool(number > 0.5)));
    let rows = course.points.iter().map(|point| {
        let time = Cell::new(moment(point.time));
        match (course.kind, course.step_s) {
            (HistoryKind::Switch, None) => vec![time, truth(point.mean)],
            (HistoryKind::Switch, Some(_)) => vec![time, Cell::number(format!("{} %", (point.mean * 100.0).round()))],
            (HistoryKind::Meter, Some(_)) => vec![time, value(point.grown.unwrap_or(0.0))],
            (_, None) => vec![time, value(point.mean)],
            (HistoryKind::Level, Some(_)) => vec![time, value(point.min), value(point.mean), value(point.max)],
        }
    });
    let head: &[&str] = match (course.kind, course.step_s) {
        (HistoryKind::Level, Some(_)) => &["FROM", "LEAST", "MEAN", "GREATEST"],
        (HistoryKind::Meter, Some(_)) => &["FROM", "COUNTED"],
        (HistoryKind::Switch, Some(_)) => &["FROM", "OF THE TIME"],
        (_, None) => &["AT", "IS"],
    };
    context.screen.table(head, rows.collect());
}

const SETTINGS: &str = "/home/history/settings";

pub async fn kept(args: Kept, context: &Context) -> Result<()> {
    match args.action.unwrap_or(KeptAction::Show) {
        KeptAction::Show => show(context, &context.hub.get(SETTINGS).await?).await,
        KeptAction::Set { on, all, five_minutes, hours, megabytes, without, with } => {
            let state: HistoryState = context.hub.get(SETTINGS).await?;
            let mut settings: HistorySettings = state.settings.clone();
            settings.on = on.unwrap_or(settings.on);
            settings.all_days = all.unwrap_or(settings.all_days);
            settings.five_minutes_days = five_minutes.unwrap_or(settings.five_minutes_days);
            settings.hours_days = hours.unwrap_or(settings.hours_days);
            settings.megabytes = megabytes.unwrap_or(settings.megabytes);
            for device in &without {
                settings.off.insert(find(context, device).await?.id);
            }
            for device in &with {
                let device = find(context, device).await?;
                settings.off.retain(|id| *id != device.id && !device.faces.iter().any(|face| face.id == *id));
            }
            if settings == state.settings {
                return Err(Usage("say what to change, for example --all 14 or --without \"Door\"".into()).into());
            }
            let state: HistoryState = context.hub.put(SETTINGS, &settings).await?;
            show(context, &state).await
        }
        KeptAction::Export { device, format, since } => export(context, device, &format, since).await,
        KeptAction::Delete { device, all, yes: sure } => delete(context, device.filter(|_| !all), sure).await,
    }
}

async fn show(context: &Context, state: &HistoryState) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(state);
    }
    let HistorySettings { on, all_days, five_minutes_days, hours_days, megabytes, off } = &state.settings;
    if !on {
        screen.say("Nothing new is kept of what devices of the house say.");
    }
    screen.say(format!("everything that was said   {all_days} d"));
    screen.say(format!("five minutes, changes      {five_minutes_days} d"));
    screen.say(format!("hours                      {hours_days} d"));
    screen.say(format!("never more than            {megabytes} MB"));
    let since = state.since.map(|since| format!(", since {}", ago(since))).unwrap_or_default();
    screen.say(format!("there is now               {} of {} properties{since}", size(state.bytes), state.kept));
    if state.shortened {
        screen.note("Less is kept than that, because it would take more room than it may.");
    }
    for id in off {
        let known = find(context, id).await.map_or_else(|_| id.clone(), |device| device.name);
        screen.say(format!("nothing new of             {}", name(&known)));
    }
    Ok(())
}

async fn export(context: &Context, device: Option<String>, format: &str, since: Option<String>) -> Result<()> {
    let mut path = format!("/home/history/export?format={}", escape(format));
    if let Some(device) = device {
        let id = find(context, &device).await.map_or(device, |device| device.id);
        path.push_str(&format!("&device={}", escape(&id)));
    }
    if let Some(since) = since {
        path.push_str(&format!("&from={}", escape(&when(&since)?.to_string())));
    }
    let mut body = std::pin::pin!(context.hub.download(&path).await?);
    // A character may lie across two pieces.
    let mut left = Vec::new();
    while let Some(bytes) = body.try_next().await? {
        left.extend_from_slice(&bytes);
        let whole = match std::str::from_utf8(&left) {
            Ok(_) => left.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = left.split_off(whole);
        context.screen.write(String::from_utf8_lossy(&left));
        left = rest;
    }
    Ok(())
}

async fn delete(context: &Context, device: Option<String>, sure: bool) -> Result<()> {
    let (path, what) = match &device {
        Some(device) => {
            let known = find(context, device).await;
            let (id, shown) = known.map_or_else(|_| (device.clone(), device.clone()), |known| (known.id, known.name));
            (format!("/home/history/of/{}", escape(&id)), format!("what was kept of {}", name(&shown)))
        }
        None => ("/home/history".to_owned(), "everything that was kept".to_owned()),
    };
    if !sure {
        if !can_ask() {
            bail!("`--yes` deletes it without asking");
        }
        if !yes(&format!("Delete {what}? It cannot be brought back. [y/N]")).await? {
            bail!("Nothing was deleted");
        }
    }
    context.hub.tell(Method::DELETE, &path, None::<&()>).await?;
    if context.screen.json {
        return context.screen.document(&serde_json::json!({ "deleted": device }));
    }
    context.screen.say(format!("Deleted {what}."));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_dates_are_moments() {
        let now = Timestamp::now();
        let ago = |text: &str| now.duration_since(when(text).unwrap()).as_secs();
        assert!((ago("24h") - 86_400).abs() <= 1);
        assert!((ago("7d") - 7 * 86_400).abs() <= 7200, "a day may have an hour more");
        assert!((ago("90m") - 5400).abs() <= 1);
        assert!(when("2024-05-01").is_ok() && when("2024-05-01T10:00:00Z").is_ok());
        assert!(when("yesterday-ish").is_err() && when("").is_err());
        assert_eq!((seconds("5m").unwrap(), seconds("1d").unwrap(), seconds("0").unwrap()), (300, 86_400, 0));
        assert!(seconds("-5m").is_err() && seconds("5").is_err());
    }
}
