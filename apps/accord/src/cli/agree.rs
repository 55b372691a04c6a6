//! Asking the owner in context: what a call would share, with whom, why; then the call again.

use accord_model::text::for_screen;
use anyhow::{Result, bail};
use hyper::Method;

use super::Context;
use super::hub::HubError;
use super::screen::{Style, ask, can_ask, name};
use crate::api::types::{Choice, Decide, Entry, Field, Prompt};

/// Who answers when a decision is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The person at the terminal, if there is one: once, always, no or never.
    AtTerminal,
    /// The person at the terminal: yes or no, for something that lasts, like a pairing.
    AtTerminalForGood,
    /// The command itself is the owner's deliberate act (`--accept`).
    Deliberate,
}

/// More missing decisions than this for one act is an error of ours.
const MAX_PROMPTS: usize = 8;

/// Calls the hub; where the owner's decision is missing, asks for it and calls again.
pub async fn with_consent<T>(
    context: &Context,
    owner: Owner,
    call: impl AsyncFn() -> Result<T, HubError>,
) -> Result<T> {
    for _ in 0..MAX_PROMPTS {
        let prompt = match call().await {
            Err(HubError::Said(error)) if error.error == "consent-needed" => match error.prompt.clone() {
                Some(prompt) => prompt,
                None => return Err(HubError::Said(error).into()),
            },
            other => return Ok(other?),
        };
        decide(context, owner, &prompt).await?;
    }
    bail!("the hub asks for one decision after another; look at `accord consent list`")
}

async fn decide(context: &Context, owner: Owner, prompt: &Prompt) -> Result<()> {
    let choice = match owner {
        Owner::Deliberate => {
            show(context, prompt);
            Choice::Always
        }
        Owner::AtTerminal if can_ask() => {
            show(context, prompt);
            match prompt.adds {
                // What was agreed to before stays, whatever is said to the rest.
                true => always_or_no(prompt).await?,
                false => once_always_no_never(context, prompt).await?,
            }
        }
        Owner::AtTerminalForGood if can_ask() => {
            show(context, prompt);
            match ask("Share this? [y/N]").await?.unwrap_or_default().to_lowercase().as_str() {
                "y" | "yes" => Choice::Always,
                _ => bail!("Nothing was shared"),
            }
        }
        Owner::AtTerminal | Owner::AtTerminalForGood => {
            show(context, prompt);
            bail!(
                "You have not decided whether {} may receive this; to agree: {}",
                name(&prompt.to_name),
                grant_command(context, &prompt.entry.key, &prompt.to)
            )
        }
    };
    let decision = Decide {
        entry: prompt.entry.key.clone(),
        to: Some(prompt.to.clone()),
        choice,
        until: None,
        fields: prompt.fields.clone().filter(|_| choice != Choice::Never),
        surface: Some("cli".into()),
    };
    context.hub.tell(Method::POST, "/consents", Some(&decision)).await?;
    if choice == Choice::Never {
        bail!("Noted: never; nothing was shared. `accord consent withdraw {}` takes this back", prompt.entry.key)
    }
    Ok(())
}

async fn always_or_no(prompt: &Prompt) -> Result<Choice> {
    match ask("Share this, too? [y/N]").await?.unwrap_or_default().trim().to_lowercase().as_str() {
        "y" | "yes" | "a" | "always" => Ok(Choice::Always),
        _ => bail!("Nothing more was shared with {}", name(&prompt.to_name)),
    }
}

async fn once_always_no_never(context: &Context, prompt: &Prompt) -> Result<Choice> {
    for _ in 0..3 {
        let answer = ask("Share this? [o]nce, [a]lways, [n]o, [N]ever:").await?;
        match answer.as_deref().map(str::trim) {
            Some("o" | "O" | "once") => return Ok(Choice::Once),
            Some("a" | "A" | "always") => return Ok(Choice::Always),
            Some("N" | "never" | "Never") => return Ok(Choice::Never),
            Some("n" | "no" | "") | None => bail!("Nothing was shared with {}", name(&prompt.to_name)),
            Some(_) => context.screen.note("Please answer o, a, n or N."),
        }
    }
    bail!("Nothing was shared with {}", name(&prompt.to_name))
}

/// Recipient first, then what, why and how.
fn show(context: &Context, prompt: &Prompt) {
    let screen = &context.screen;
    screen.note("");
    screen.note(screen.paint(Style::Bold, &for_screen(&prompt.because, 200)));
    screen.note(format!("  with   {}", name(&prompt.to_name)));
    let mut entry = prompt.entry.clone();
    if let Some(wanted) = &prompt.fields {
        entry.fields.retain(|field| wanted.contains(&field.code));
    }
    for line in describe(&entry) {
        screen.note(format!("  {line}"));
    }
    let left: Vec<Field> = prompt
        .entry
        .fields
        .iter()
        .filter(|one| !entry.fields.iter().any(|kept| kept.code == one.code))
        .cloned()
        .collect();
    if !left.is_empty() {
        let labels: Vec<String> = left.iter().map(|field| name(&field.label)).collect();
        screen.note(format!("  not    {} (asked about when it is needed)", labels.join(", ")));
    }
    if let Some(difference) = &prompt.difference {
        screen.note(format!("  new    {}", for_screen(difference, 500)));
    }
}

/// What, why, when, how and for how long, one line each.
pub fn describe(entry: &Entry) -> Vec<String> {
    let mut lines = vec![format!("what   {}", fields(&entry.fields))];
    let mut line = |head: &str, text: &str| {
        if !text.trim().is_empty() {
            lines.push(format!("{head}{}", for_screen(text.trim(), 500)));
        }
    };
    line("why    ", &entry.purpose);
    line("when   ", &entry.scenario);
    line("how    ", &entry.method);
    line("kept   ", &kept(&entry.retention));
    lines
}

/// A retention as people say it: `PT2H`, `P30D`, `until-deleted`, `session`, `none`.
pub fn kept(retention: &str) -> String {
    let words = match retention {
        "none" => "not at all",
        "until-deleted" => "until it is deleted there",
        "session" => "as long as it is connected",
        _ => match retention.parse::<jiff::Span>() {
            Ok(span) => return format!("{span:#}"),
            Err(_) => retention,
        },
    };
    words.to_owned()
}

pub fn fields(fields: &[Field]) -> String {
    let labels: Vec<String> = fields
        .iter()
        .map(|field| match field.required {
            true => name(&field.label),
            false => format!("{} (optional)", name(&field.label)),
        })
        .collect();
    if labels.is_empty() { "nothing personal".into() } else { labels.join(", ") }
}

/// The exact command that agrees to what was just refused.
pub fn grant_command(context: &Context, entry: &str, to: &str) -> String {
    let state = match context.state.is_explicit() {
        true => format!(" --state {}", quote(&context.state.data().to_string_lossy())),
        false => String::new(),
    };
    let to = if to == "any" { String::new() } else { format!(" --to {}", quote(to)) };
    format!("accord{state} consent grant {}{to}", quote(entry))
}

/// A word as it is typed into a shell; escaped for the screen.
pub fn quote(word: &str) -> String {
    let word = for_screen(word, 200);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_command_to_paste_survives_the_shell() {
        assert_eq!(quote("device:ab12"), "device:ab12");
        assert_eq!(quote("Mira's phone"), r"'Mira'\''s phone'");
        assert_eq!(quote(""), "''");
    }
}
