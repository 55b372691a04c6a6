//! `accord add`: what can be added, and adding what is not found by itself or needs a secret.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use accord_model::Reach;
use accord_model::text::for_screen;
use anyhow::{Context as _, Result, bail};
use data_encoding::BASE64;
use hyper::Method;

use super::agree::{Owner, with_consent};
use super::hub::escape;
use super::screen::{Cell, Style, ask, ask_secret, can_ask, name};
use super::{Context, Usage, why};
use crate::api::forms::{Add as Filled, Added, Form, FormField, FormKind, Forms, SigningIn, SigningInState};
use crate::api::types::{ConsentState, Entries, Offer};
use crate::api::why::{AddWhy, Obstacle, Searched};

/// Largest file of a field.
const MAX_FILE: u64 = 1 << 20;

#[derive(clap::Args)]
#[command(after_help = ADD_HELP)]
pub struct Add {
    /// What is added: the name of a bridge, such as `miio`. Without it, what can be added is listed.
    bridge: Option<String>,
    /// In which way, where a bridge has several.
    #[arg(long)]
    way: Option<String>,
    /// Sign in with its own web page instead of giving a secret, where it has one: the address to open is shown.
    #[arg(long)]
    sign_in: bool,
    /// It was added before, and is at another address or has other secrets: which device. What is not given stays as it was, and
    /// it stays the same device, with its names, rooms, history and what you agreed to.
    #[arg(long, value_name = "DEVICE")]
    again: Option<String>,
    /// Agree that it is controlled from here, too (`control/command`, names of commands); asked for at a terminal.
    #[arg(long)]
    control: bool,
    /// Add it although it does not answer now: it is reached once it is there. Without this what was given by its address and
    /// does not answer is not added.
    #[arg(long)]
    away: bool,
    /// What it wants. What is not given is asked for; a secret is not shown.
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
}

const ADD_HELP: &str = "\
A value `-` is read from standard input, `@FILE` from a file: a secret on the command line is seen by other programs.

  accord add
  accord add miio --way token address=192.168.1.40 token=- < token.txt
  accord add miio --way import file=@miio2.db
  accord add mqtt address=192.168.1.10:1883 password=@/run/secrets/mqtt
  accord add homeassistant --sign-in address=http://homeassistant.local:8123
  accord add mqtt --again \"MQTT broker 192.168.1.10\" address=192.168.1.11

What stands in the way on this machine, and where devices are looked for, is told before anything is asked for.
A name that ends in .local is looked up in your networks (`names/lookup`), once; other names are not: give the number.";

/// How often it is asked whether the browser is back.
const LOOK: Duration = Duration::from_secs(1);

pub async fn run(args: Add, context: &Context) -> Result<()> {
    let forms: Forms = context.hub.get("/forms").await?;
    let Some(bridge) = args.bridge else { return list(context, &forms).await };
    let mut of_bridge: Vec<&Form> = forms.forms.iter().filter(|form| form.bridge == bridge).collect();
    if of_bridge.is_empty() {
        let mut known: Vec<&str> = forms.forms.iter().map(|form| form.bridge.as_str()).collect();
        known.dedup();
        let known = if known.is_empty() { "nothing yet".to_owned() } else { known.join(", ") };
        bail!(
            "Nothing is added as `{}` by telling of it; this can be: {known}. What is found by itself is paired with: `accord devices`, `accord pair`",
            name(&bridge)
        );
    }
    if let Some(way) = &args.way {
        of_bridge.retain(|form| form.way == *way);
    }
    let form = match of_bridge.as_slice() {
        [form] => form,
        [] => bail!("`{}` has no such way; `accord add` lists them", name(&bridge)),
        many => {
            let ways: Vec<String> = many.iter().map(|form| format!("--way {} ({})", form.way, form.what)).collect();
            bail!("`{}` has several ways; choose one: {}", name(&bridge), ways.join(", "))
        }
    };
    let mut form = Form::clone(form);
    if args.sign_in {
        if form.sign_in.is_none() {
            bail!("{} has no web page to sign in with", form.what);
        }
        form.fields.retain(|field| !field.secret);
        form.steps.clear();
    }
    let hindered = hindered(&form, context).await;
    let again = which(&form, args.again.as_deref(), context).await?;
    if again.is_some() {
        form.fields.iter_mut().filter(|field| field.secret).for_each(|field| field.required = false);
        form.steps.clear();
    }
    let inputs = fill(&form, &args.fields, context).await?;
    let agrees = also(&form.offers, args.control, &form.what).await?;
    let filled = Filled {
        bridge: form.bridge.clone(),
        way: form.way.clone(),
        inputs,
        sign_in: args.sign_in,
        agrees,
        away: args.away,
        again,
    };
    let owner = Owner::AtTerminalForGood;
    let mut added: Added = with_consent(context, owner, async || context.hub.post("/add", &filled).await).await?;
    if let Some(found) = &added.looked_up {
        context.screen.note(format!("{} is at {}.", for_screen(&found.name, 100), for_screen(&found.address, 60)));
    }
    if let (Some(open), Some(id)) = (added.open.take(), added.signing_in.take()) {
        added.devices = signed_in(&open, &id, context).await?.devices;
    }
    let screen = &context.screen;
    if screen.json {
        let AddWhy { obstacles, searched, .. } = hindered.unwrap_or_default();
        return screen.document(&Told { added: &added, obstacles, searched });
    }
    for device in &added.devices {
        let shown = name(&device.name);
        match device.reach {
            Reach::Offline => screen
                .say(format!("Added {shown}; it is not reached yet: accord why {}", super::agree::quote(&device.name))),
            _ => screen.say(format!("Added {shown}.")),
        }
    }
    Ok(())
}

/// What was added, and what stood in the way on this machine.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    added: &'a Added,
    obstacles: Vec<Obstacle>,
    searched: Vec<Searched>,
}

/// What stands in the way on this machine is told before anything is asked for; to whoever sits there, also where it is looked for.
/// That it is not known keeps nobody from adding.
async fn hindered(form: &Form, context: &Context) -> Option<AddWhy> {
    let known: AddWhy = context.hub.get(&format!("/why/{}", escape(&form.bridge))).await.ok()?;
    let screen = &context.screen;
    if !screen.json {
        why::list(&known.obstacles, |line| screen.note(line), screen);
        if !known.searched.is_empty() && (can_ask() || !known.obstacles.is_empty()) {
            let places: Vec<String> = known.searched.iter().map(place).collect();
            screen.note(format!("{} is looked for on {}.", for_screen(&form.what, 60), places.join("; on ")));
        }
    }
    Some(known)
}

/// `eth0 (192.168.1.5/24)`. Link-local addresses are the same everywhere, and are shown where there is nothing else.
fn place(one: &Searched) -> String {
    let telling: Vec<&String> =
        one.networks.iter().filter(|net| !net.starts_with("fe80:") && !net.starts_with("169.254.")).collect();
    let shown: Vec<&String> = if telling.is_empty() { one.networks.iter().collect() } else { telling };
    let nets: Vec<String> = shown.into_iter().take(4).map(|net| for_screen(net, 60)).collect();
    let quiet = if one.heard == Some(false) { ", where nobody else is heard" } else { "" };
    format!("{} ({}){quiet}", for_screen(&one.interface, 20), nets.join(", "))
}

/// The device that is added again, by its id. Who says nothing of it is asked when one of them is away.
async fn which(form: &Form, said: Option<&str>, context: &Context) -> Result<Option<String>> {
    if let Some(said) = said {
        let found = super::devices::find(context, said).await?;
        let faces = found.faces.iter().map(|face| &face.id);
        let of_form = |id: &&String| form.again.iter().any(|one| one.id == **id);
        let again = std::iter::once(&found.id).chain(faces).find(of_form).cloned();
        if again.is_none() {
            bail!("{} was not added as “{}”, so it cannot be added again by that", name(&found.name), form.what);
        }
        return Ok(again);
    }
    if can_ask() {
        for away in form.again.iter().filter(|one| one.reach == Reach::Offline) {
            let question = format!("Is it {}, at another address? [y/N]", name(&away.name));
            if matches!(ask(&question).await?.as_deref(), Some("y" | "Y" | "yes")) {
                return Ok(Some(away.id.clone()));
            }
        }
    }
    Ok(None)
}

/// What of the offers the owner agrees to beside adding it. What is needed is asked for by the hub.
pub(super) async fn also(offers: &[Offer], control: bool, what: &str) -> Result<Vec<String>> {
    let mut agrees = Vec::new();
    for offer in offers.iter().filter(|offer| !offer.needed) {
        let gets = super::agree::fields(&offer.fields);
        let question = format!("{}? {} then gets {gets}. [Y/n]", for_screen(&offer.title, 100), name(what));
        let agreed =
            control || (can_ask() && !matches!(ask(&question).await?.as_deref(), None | Some("n" | "N" | "no")));
        if agreed {
            agrees.push(offer.entry.clone());
        }
    }
    Ok(agrees)
}

/// Shows where the browser is to go, and waits until it is back. Whoever presses Ctrl+C does not sign in.
async fn signed_in(open: &str, id: &str, context: &Context) -> Result<SigningIn> {
    context.screen.note("Open this address in a browser on this computer, sign in there, and come back here:");
    context.screen.note(format!("  {}", for_screen(open, 2000)));
    let path = format!("/add/sign-in/{id}");
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                context.hub.tell(Method::DELETE, &path, None::<&()>).await?;
                bail!("Given up: nobody signs in");
            }
        }
        let now: SigningIn = context.hub.get(&path).await?;
        match now.state {
            SigningInState::Waits => {}
            SigningInState::Done => return Ok(now),
            SigningInState::Failed => bail!("{}", for_screen(&now.message.unwrap_or_default(), 500)),
            SigningInState::None => bail!(
                "This signing in is over: it took longer than ten minutes, was given up, or another one was begun"
            ),
        }
    }
}

async fn list(context: &Context, forms: &Forms) -> Result<()> {
    let entries: Entries = context.hub.get("/entries").await?;
    let screen = &context.screen;
    if screen.json {
        let found: Vec<serde_json::Value> = entries
            .entries
            .iter()
            .filter_map(|entry| Some(serde_json::json!({ "entry": entry.key, "join": entry.join.as_ref()? })))
            .collect();
        return screen.document(&serde_json::json!({ "forms": forms.forms, "found": found }));
    }
    if !forms.forms.is_empty() {
        let rows = forms.forms.iter().map(|form| {
            let fields: Vec<String> = form
                .fields
                .iter()
                .map(|field| match field.required {
                    true => format!("{}=…", field.id),
                    false => format!("[{}=…]", field.id),
                })
                .collect();
            let way = if forms.forms.iter().filter(|other| other.bridge == form.bridge).count() > 1 {
                format!(" --way {}", form.way)
            } else {
                String::new()
            };
            vec![Cell::new(&form.what), Cell::new(format!("accord add {}{way} {}", form.bridge, fields.join(" ")))]
        });
        screen.table(&["ADDED BY TELLING OF IT", ""], rows.collect());
    }
    let found = entries.entries.iter().filter_map(|entry| {
        let join = entry.join.as_ref()?;
        let on = entry.consents.iter().any(|consent| consent.state == ConsentState::Given);
        let how = match on {
            true => Cell::styled("looked for; see `accord devices`", Style::Good),
            false => Cell::new(format!("accord consent grant {}", entry.key)),
        };
        Some(vec![Cell::new(&join.what), how])
    });
    screen.table(&["FOUND BY ITSELF", ""], found.collect());
    Ok(())
}

async fn fill(form: &Form, given: &[String], context: &Context) -> Result<BTreeMap<String, String>> {
    let mut inputs = BTreeMap::new();
    let mut stdin = 0;
    for word in given {
        let (id, value) = word
            .split_once('=')
            .ok_or_else(|| Usage("a field is given as FIELD=VALUE, for example address=…".into()))?;
        let Some(field) = form.fields.iter().find(|field| field.id == id) else {
            let known: Vec<&str> = form.fields.iter().map(|field| field.id.as_str()).collect();
            bail!("{} wants {}, not `{}`", form.what, known.join(", "), name(id));
        };
        stdin += usize::from(value == "-");
        if stdin > 1 {
            return Err(Usage("only one field can be read from standard input".into()).into());
        }
        inputs.insert(id.to_owned(), given_value(value, field.kind)?);
    }
    let missing: Vec<&FormField> = form.fields.iter().filter(|field| !inputs.contains_key(&field.id)).collect();
    if stdin == 0 && can_ask() && !missing.is_empty() {
        context.screen.note(context.screen.paint(Style::Bold, &form.what));
        for step in &form.steps {
            context.screen.note(format!("  - {}", for_screen(step, 500)));
        }
        for field in missing {
            if let Some(value) = ask_field(field, context).await? {
                inputs.insert(field.id.clone(), value);
            }
        }
    } else if let Some(field) = missing.into_iter().find(|field| field.required) {
        bail!("{} wants `{}` ({}); give it as {}=…", form.what, field.id, field.hint, field.id);
    }
    Ok(inputs)
}

async fn ask_field(field: &FormField, context: &Context) -> Result<Option<String>> {
    if !field.hint.is_empty() {
        context.screen.note(format!("  {}", for_screen(&field.hint, 500)));
    }
    let optional = if field.required { "" } else { " (may be left empty)" };
    let kind = match field.kind {
        FormKind::Text => "",
        FormKind::File => ", the path of a file",
        FormKind::Switch => " [yes/no]",
    };
    let question = format!("{}{kind}{optional}:", for_screen(&field.label, 100));
    let answer = if field.secret && field.kind == FormKind::Text {
        ask_secret(&question).await?
    } else {
        ask(&question).await?
    };
    let Some(answer) = answer.filter(|answer| !answer.is_empty()) else { return Ok(None) };
    match field.kind {
        FormKind::File => Ok(Some(file(&answer, FormKind::File)?)),
        _ => Ok(Some(answer)),
    }
}

/// The value itself, or what is in a file or comes on standard input.
pub fn given_value(value: &str, kind: FormKind) -> Result<String> {
    match value.strip_prefix('@') {
        Some(path) => file(path, kind),
        None if value == "-" => content(std::io::stdin().lock(), kind, "standard input"),
        None => Ok(value.to_owned()),
    }
}

fn file(path: &str, kind: FormKind) -> Result<String> {
    let file = std::fs::File::open(path).with_context(|| format!("{} cannot be opened", name(path)))?;
    content(file, kind, &name(path))
}

/// Its text; where a file is wanted and it is none, its bytes in a data URL.
fn content(from: impl Read, kind: FormKind, what: &str) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(|| format!("{what} cannot be read"))?;
    if bytes.len() as u64 > MAX_FILE {
        bail!("{what} is larger than {MAX_FILE} bytes");
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.trim().to_owned()),
        _ if kind != FormKind::File => bail!("{what} is no text"),
        Ok(text) => Ok(data_url(text.as_bytes())),
        Err(error) => Ok(data_url(error.as_bytes())),
    }
}

fn data_url(bytes: &[u8]) -> String {
    format!("data:application/octet-stream;base64,{}", BASE64.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_looked_for_is_told_by_the_networks_that_tell_something() {
        let on = |networks: &[&str], heard| {
            let networks = networks.iter().map(|net| (*net).to_owned()).collect();
            place(&Searched { interface: "eth0".to_owned(), networks, heard })
        };
        assert_eq!(on(&["10.66.0.1/24", "fe80::1/64"], None), "eth0 (10.66.0.1/24)");
        assert_eq!(on(&["fe80::1/64"], Some(true)), "eth0 (fe80::1/64)");
        assert_eq!(on(&["10.66.0.1/24"], Some(false)), "eth0 (10.66.0.1/24), where nobody else is heard");
    }

    #[test]
    fn a_file_is_given_as_its_text_and_one_that_is_none_as_its_bytes_where_a_file_is_wanted() {
        let of = |bytes: &[u8], kind| content(bytes, kind, "it").map_err(|error| error.to_string());
        assert_eq!(of(b" [1]\n", FormKind::File).unwrap(), "[1]");
        assert_eq!(of(b"geheim\n", FormKind::Text).unwrap(), "geheim");
        for bytes in [&b"SQLite format 3\0"[..], b"\xff\xfe"] {
            let url = of(bytes, FormKind::File).unwrap();
            let data = url.strip_prefix("data:application/octet-stream;base64,").unwrap();
            assert_eq!(BASE64.decode(data.as_bytes()).unwrap(), bytes);
            assert_eq!(of(bytes, FormKind::Text).unwrap_err(), "it is no text");
        }
        let large = vec![b'x'; MAX_FILE as usize + 1];
        assert!(of(&large, FormKind::File).unwrap_err().contains("larger than"));
        assert!(of(&large[1..], FormKind::File).is_ok());
    }
}
