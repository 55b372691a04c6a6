//! `accord home set` and `do`: telling a device what to be and what to do, and what came of it.

use std::time::Duration;

use accord_home::say::{self, Addressed, Misaddressed, Wanted};
use accord_model::value::CONFIRM_WITHIN;
use accord_model::{Action, Data, Effect, Inputs, Outputs, Property, Service, Verb, WriteState};
use anyhow::{Result, anyhow, bail};
use tokio::time::{Instant, timeout_at};

use super::of_house;
use crate::api::types::{Call, Device, Event, Written};
use crate::cli::agree::{Owner, with_consent};
use crate::cli::hub::{Events, HubError, escape};
use crate::cli::screen::{can_ask, name, yes};
use crate::cli::{Context, Unconfirmed, Usage};

/// What the hub takes to say that a write counts as not confirmed.
const TO_SAY_SO: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Set {
    /// A device's name or id.
    device: String,
    /// `PROPERTY VALUE`, `PROPERTY=VALUE …`, or a value alone. Anything but a number that begins with a hyphen goes behind `=`.
    #[arg(required = true, value_name = "WHAT", allow_negative_numbers = true)]
    words: Vec<String>,
    /// Do not wait until the device confirms it.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    sure: Sure,
}

#[derive(clap::Args)]
pub struct Do {
    /// A device's name or id.
    device: String,
    /// `toggle`, `unlock`, `vacuum/start`; without it they are listed.
    action: Option<String>,
    /// What goes with it.
    #[arg(value_name = "INPUT=VALUE")]
    inputs: Vec<String>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(clap::Args)]
struct Sure {
    /// Do not ask again before something is opened or unlocked. What cannot be undone is asked about all the same.
    #[arg(long, short)]
    yes: bool,
    /// Do not ask again before something that cannot be undone.
    #[arg(long)]
    destroy: bool,
}

struct Meant<'a> {
    service: &'a Service,
    property: &'a Property,
    data: Data,
}

/// What the words of `set` come to.
enum Wish<'a> {
    Set(Vec<Meant<'a>>),
    Do(Addressed<'a, Action>),
}

pub async fn set(args: Set, context: &Context) -> Result<()> {
    let device = of_house(context, &args.device).await?;
    let meant = match wish(&device, &args.words)? {
        Wish::Set(meant) => meant,
        Wish::Do(found) => return tell_to(context, &device, found, Inputs::new(), &args.sure).await,
    };
    // Before anything is said, so that no confirmation is missed.
    let mut events = context.hub.events().await?;
    let mut done = Vec::new();
    for one in &meant {
        let begun = Instant::now();
        let verb = Verb::Write { property: one.property.id.clone(), data: one.data.clone() };
        let place = say::place(one.service, &one.property.id);
        told(context, (&device, one.service), verb, (one.property.effect, &place), &args.sure).await?;
        let state = match args.no_wait {
            true => WriteState::Pending,
            false => confirmed(context, &mut events, &device, one).await?,
        };
        done.push((one, state, begun.elapsed()));
    }
    let screen = &context.screen;
    if screen.json {
        let of = |(one, state, took): &(&Meant<'_>, WriteState, Duration)| {
            serde_json::json!({
                "service": one.service.id, "instance": one.service.instance, "property": one.property.id,
                "data": one.data, "state": state, "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })
        };
        let writes: Vec<serde_json::Value> = done.iter().map(of).collect();
        screen.document(&serde_json::json!({ "device": device.id, "writes": writes }))?;
    } else {
        for (one, state, took) in &done {
            let what =
                format!("{} is {}", say::place(one.service, &one.property.id), say::value(one.property, &one.data));
            match state {
                WriteState::Confirmed => {
                    screen.say(format!("{}: {what}, confirmed after {} ms.", name(&device.name), took.as_millis()));
                }
                WriteState::Pending => screen.say(format!("{} was told: {what}.", name(&device.name))),
                WriteState::Unconfirmed => screen.note(format!(
                    "{} took it, and did not say within {} s that {what}.",
                    name(&device.name),
                    CONFIRM_WITHIN.as_secs()
                )),
            }
        }
    }
    if done.iter().any(|(_, state, _)| *state == WriteState::Unconfirmed) {
        return Err(Unconfirmed(format!(
            "{} did not confirm it; `accord home show` tells what it says",
            name(&device.name)
        ))
        .into());
    }
    Ok(())
}

fn wish<'a>(device: &'a Device, words: &[String]) -> Result<Wish<'a>> {
    let of_device = |error: String| anyhow!("{}: {error}", name(&device.name));
    let services = &device.services;
    let one = |property: &str, value: &str| -> Result<Meant<'a>> {
        let found = say::property(services, property, Wanted::Write);
        // What is only said, such as whether a lock is locked, is brought about by telling it to do something.
        let does = |error: Misaddressed| match (&error, say::alone(services, value)) {
            (Misaddressed::None { .. }, Ok(say::Meant::Do(does))) => {
                let action = name(&does.found.id);
                format!("{error}; `accord home do {} {action}` may be what you mean", in_shell(&device.name))
            }
            _ => error.to_string(),
        };
        let Addressed { service, found } = found.map_err(|error| of_device(does(error)))?;
        let data = say::data(found, value).map_err(of_device)?;
        Ok(Meant { service, property: found, data })
    };
    let pairs: Option<Vec<(&str, &str)>> = words.iter().map(|word| word.split_once('=')).collect();
    match (words, pairs) {
        ([_, ..], Some(pairs)) => {
            let all: Result<Vec<Meant<'a>>> = pairs.into_iter().map(|(property, value)| one(property, value)).collect();
            Ok(Wish::Set(all?))
        }
        ([property, value], None) => Ok(Wish::Set(vec![one(property, value)?])),
        ([value], None) => match say::alone(services, value).map_err(|error| of_device(error.to_string()))? {
            say::Meant::Set(Addressed { service, found }, data) => {
                Ok(Wish::Set(vec![Meant { service, property: found, data }]))
            }
            say::Meant::Do(found) => Ok(Wish::Do(found)),
        },
        _ => Err(Usage("say PROPERTY VALUE, or PROPERTY=VALUE for each of several".into()).into()),
    }
}

/// Follows what the hub says until the write is confirmed or counts as not confirmed. An event may be from before the write,
/// and tell of an earlier one: it only says when to ask the hub again.
async fn confirmed(context: &Context, events: &mut Events, device: &Device, one: &Meant<'_>) -> Result<WriteState> {
    let until = Instant::now() + CONFIRM_WITHIN + TO_SAY_SO;
    let state = |writes: &[Written]| {
        let is_it = |write: &&Written| {
            write.service == one.service.id
                && write.instance == one.service.instance
                && write.property == one.property.id
        };
        writes.iter().find(is_it).map(|write| write.state)
    };
    let over = |state: Option<WriteState>| state.filter(|state| *state != WriteState::Pending);
    let path = format!("/devices/{}", escape(&device.id));
    loop {
        let now: Device = context.hub.get(&path).await?;
        if let Some(state) = over(state(&now.writes)) {
            return Ok(state);
        }
        let lead = now.id;
        let mut is_told = false;
        while !is_told {
            is_told = match timeout_at(until, events.next()).await {
                Ok(Ok(Some(Event::Values(values)))) => values.device == lead && over(state(&values.writes)).is_some(),
                Ok(Ok(Some(Event::Device(device)))) => device.id == lead && over(state(&device.writes)).is_some(),
                // Something was missed.
                Ok(Ok(Some(Event::Hello(_)))) => true,
                Ok(Ok(Some(_))) => false,
                Ok(Ok(None)) => bail!("The hub stopped before {} said anything", name(&device.name)),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Ok(WriteState::Unconfirmed),
            };
        }
    }
}

pub async fn act(args: Do, context: &Context) -> Result<()> {
    let device = of_house(context, &args.device).await?;
    let Some(wanted) = args.action else { return super::list::actions(&device, context) };
    let found = say::action(&device.services, &wanted).map_err(|error| anyhow!("{}: {error}", name(&device.name)))?;
    let action = found.found;
    let mut inputs = Inputs::new();
    for word in &args.inputs {
        let (id, value) = word.split_once('=').ok_or_else(|| Usage(format!("`{}` is no INPUT=VALUE", name(word))))?;
        let input = action.inputs.iter().find(|input| input.id == id);
        let input = input.ok_or_else(|| {
            let known: Vec<String> = action.inputs.iter().map(|input| name(&input.id)).collect();
            let takes = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            anyhow!("`{}` takes {takes}, not `{}`", name(&action.id), name(id))
        })?;
        inputs.insert(id.to_owned(), say::data(input, value).map_err(|error| anyhow!(error))?);
    }
    tell_to(context, &device, found, inputs, &args.sure).await
}

/// Tells a device to do something, and says what it answered.
async fn tell_to(
    context: &Context,
    device: &Device,
    Addressed { service, found: action }: Addressed<'_, Action>,
    inputs: Inputs,
    sure: &Sure,
) -> Result<()> {
    let place = say::place(service, &action.id);
    let verb = Verb::Act { action: action.id.clone(), inputs };
    let answer = told(context, (device, service), verb, (action.effect, &place), sure).await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&serde_json::json!({
            "device": device.id, "service": service.id, "instance": service.instance, "action": action.id, "answer": answer,
        }));
    }
    screen.say(format!("{} took it: {place}.", name(&device.name)));
    for (id, data) in &answer {
        let described = action.outputs.iter().find(|output| output.id == *id);
        let said = match described {
            Some(property) => say::value(property, data),
            None => say::value(&Property::state(id, accord_model::Format::Text), data),
        };
        screen.say(format!("  {}: {said}", name(id)));
    }
    Ok(())
}

/// A name as one word of a shell.
fn in_shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name(text) {
        text if !text.is_empty() && text.chars().all(plain) => text,
        text => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Tells the device; what opens, unlocks or loses something is asked about first, unless its owner said otherwise.
async fn told(
    context: &Context,
    (device, service): (&Device, &Service),
    verb: Verb,
    (effect, place): (Effect, &str),
    sure: &Sure,
) -> Result<Outputs> {
    let (what, word, confirmed) = match effect {
        Effect::Destructive => ("cannot be undone", "--destroy", sure.destroy),
        _ => ("opens, unlocks or shows something", "--yes", sure.yes),
    };
    let what = format!("{place} of {} {what}", name(&device.name));
    let mut call = Call { service: service.id.clone(), instance: service.instance, verb, confirmed };
    let path = format!("/devices/{}/call", escape(&device.id));
    let outcome = tell(context, &path, &call).await;
    // The hub knows whether it has to be asked again.
    let asks = |error: &anyhow::Error| {
        error.downcast_ref::<HubError>().and_then(HubError::code).is_some_and(|code| code == "confirm-needed")
    };
    if !outcome.as_ref().is_err_and(asks) {
        return outcome;
    }
    if !can_ask() {
        bail!("{what}; `{word}` does it without asking");
    }
    if !yes(&format!("{what}. Do it? [y/N]")).await? {
        bail!("Nothing was done");
    }
    call.confirmed = true;
    tell(context, &path, &call).await
}

async fn tell(context: &Context, path: &str, call: &Call) -> Result<Outputs> {
    with_consent(context, Owner::AtTerminal, async || context.hub.post(path, call).await).await
}
