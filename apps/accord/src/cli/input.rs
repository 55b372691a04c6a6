//! `accord input`: types and points on another device.

use std::io::Read;

use accord_input::{Button, Key, MAX_TEXT, Modifier, Named};
use accord_model::{Data, Inputs};
use anyhow::{Context as _, Result, bail};

use super::control::{act, said, service};
use super::devices::find;
use super::screen::name;
use super::{Context, Usage};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Input {
    /// A device's name or id.
    device: String,
    /// Type this text where the cursor is there; `-` takes it from standard input.
    #[arg(long, group = "what", allow_hyphen_values = true)]
    text: Option<String>,
    /// Press a key: a character, `enter`, `page-down`, `f5`, `ctrl+shift+t`, …; again for more of them.
    #[arg(long, group = "what", value_name = "KEY")]
    key: Vec<String>,
    /// Press a button of the pointer: left, middle, right or double.
    #[arg(long, group = "what", value_name = "BUTTON")]
    click: Option<String>,
    /// Move the pointer by so many pixels to the right and down.
    #[arg(long = "move", group = "what", value_name = "X,Y", allow_hyphen_values = true)]
    by: Option<String>,
    /// Turn the wheel one step: up, down, left or right.
    #[arg(long, group = "what", value_name = "WAY")]
    scroll: Option<String>,
}

type Wanted = (&'static str, Inputs);

pub async fn run(args: Input, context: &Context) -> Result<()> {
    let wanted = wanted(&args)?;
    let device = find(context, &args.device).await?;
    let input = service(&device, "input", "takes no keys and no pointer; its owner decides that")?;
    let mut answer = Default::default();
    for (action, inputs) in wanted {
        answer = act(context, &device, input, action, inputs, false).await?;
    }
    said(context, &answer, format!("{} was told.", name(&device.name)))
}

fn wanted(args: &Input) -> Result<Vec<Wanted>> {
    let one = |action, id: &str, data: Data| vec![(action, Inputs::from([(id.to_owned(), data)]))];
    if let Some(text) = &args.text {
        let text = if text == "-" { from_input()? } else { text.clone() };
        if text.len() > MAX_TEXT {
            bail!("At most {} KiB are typed at once; `accord send` takes more", MAX_TEXT / 1024);
        }
        return Ok(one("type", "text", text.into()));
    }
    if let Some(button) = &args.click {
        if button != "double" && Button::of(button).is_none() {
            return Err(Usage("buttons are left, middle, right and double".into()).into());
        }
        return Ok(one("click", "button", button.as_str().into()));
    }
    let amounts = |x: f64, y: f64| Inputs::from([("dx".to_owned(), x.into()), ("dy".to_owned(), y.into())]);
    if let Some(by) = &args.by {
        let parts: Option<Vec<f64>> = by.split(',').map(|part| part.trim().parse().ok()).collect();
        return match parts.as_deref() {
            Some([x, y]) if x.is_finite() && y.is_finite() => Ok(vec![("move", amounts(*x, *y))]),
            _ => Err(Usage("--move takes two numbers, for example 20,-5".into()).into()),
        };
    }
    if let Some(way) = &args.scroll {
        let (x, y) = match way.as_str() {
            "up" => (0.0, 1.0),
            "down" => (0.0, -1.0),
            "left" => (-1.0, 0.0),
            "right" => (1.0, 0.0),
            _ => return Err(Usage("--scroll takes up, down, left or right".into()).into()),
        };
        return Ok(vec![("scroll", amounts(x, y))]);
    }
    Ok(args.key.iter().map(|key| self::key(key)).collect::<Result<_, _>>()?)
}

/// `ctrl+shift+t`; a `+` alone, or at the end, is the key itself.
fn key(word: &str) -> Result<Wanted, Usage> {
    let (held, key) = match word.strip_suffix('+') {
        Some(held) => (held.strip_suffix('+').unwrap_or(held), "+"),
        None => word.rsplit_once('+').unwrap_or(("", word)),
    };
    let held: Vec<&str> = held.split('+').filter(|word| !word.is_empty()).collect();
    if let Some(bad) = held.iter().find(|word| Modifier::of(&word.to_lowercase()).is_none()) {
        return Err(Usage(format!("`{}` is not held; shift, ctrl, alt and super are", name(bad))));
    }
    if Key::of(key).is_none() {
        let names: Vec<&str> = Named::ALL.iter().map(|named| named.word()).collect();
        let message = format!("`{}` is no key: a character, or one of {}", name(key), names.join(", "));
        return Err(Usage(message));
    }
    let held: Vec<String> = held.iter().map(|word| word.to_lowercase()).collect();
    let inputs = [("key".to_owned(), Data::from(key)), ("modifiers".to_owned(), held.into())];
    Ok(("key", Inputs::from(inputs)))
}

fn from_input() -> Result<String> {
    let mut text = String::new();
    let most = MAX_TEXT as u64 + 1;
    std::io::stdin().take(most).read_to_string(&mut text).context("the text cannot be read from standard input")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_what_is_held() {
        let read = |word: &str| {
            let (_, inputs) = key(word).ok()?;
            let held = inputs["modifiers"].as_texts().unwrap().join(" ");
            Some((inputs["key"].as_text().unwrap().to_owned(), held))
        };
        let of = |key: &str, held: &str| Some((key.to_owned(), held.to_owned()));
        assert_eq!(read("enter"), of("enter", ""));
        assert_eq!(read("Ctrl+Shift+t"), of("t", "ctrl shift"));
        assert_eq!((read("+"), read("ctrl++")), (of("+", ""), of("+", "ctrl")));
        for bad in ["", "entr", "hyper+a"] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
