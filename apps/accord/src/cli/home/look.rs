//! `accord home look`: what a camera sees, as a file.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use accord_model::Timestamp;
use accord_ports::picture::Picture;
use anyhow::{Context as _, Result, bail};
use jiff::tz::TimeZone;

use super::of_house;
use crate::cli::Context;
use crate::cli::agree::{Owner, with_consent};
use crate::cli::hub::escape;
use crate::cli::screen::{name, size};

#[derive(clap::Args)]
pub struct Look {
    /// A device's name or id.
    device: String,
    /// Write the picture there; `-` for standard output. Without it, to a file here named after the device and the time.
    #[arg(long, short, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Which one, where a device has several: as `accord home show` numbers them.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    number: u16,
}

pub async fn run(args: Look, context: &Context) -> Result<()> {
    let device = of_house(context, &args.device).await?;
    let to_output = args.to.as_ref().is_some_and(|to| to.as_os_str() == "-");
    if to_output && (std::io::stdout().is_terminal() || context.screen.json) {
        bail!("a picture is no text; give `--to FILE`");
    }
    let path = format!("/devices/{}/picture?instance={}", escape(&device.id), args.number);
    let bytes = with_consent(context, Owner::AtTerminal, async || context.hub.content(&path).await).await?;
    let picture = Picture::new(bytes.into())?;
    if to_output {
        return Ok(std::io::stdout().write_all(&picture.into_bytes())?);
    }
    let (format, ending) = (picture.format(), picture.ending());
    let bytes = picture.into_bytes();
    let file = args.to.unwrap_or_else(|| named(&device.name, ending));
    // It never takes the place of another file.
    let shown = name(&file.to_string_lossy());
    let mut open = std::fs::File::create_new(&file)
        .with_context(|| format!("{shown} cannot be made; give another name with `--to`"))?;
    open.write_all(&bytes).with_context(|| format!("{shown} cannot be written"))?;
    if context.screen.json {
        let file = file.to_string_lossy();
        return context.screen.document(
            &serde_json::json!({ "device": device.id, "file": file, "format": format, "bytes": bytes.len() }),
        );
    }
    context.screen.say(format!("What {} shows is in {shown} ({}).", name(&device.name), size(bytes.len() as u64)));
    Ok(())
}

/// A file here, whatever the device is called.
fn named(device: &str, ending: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, ' ' | '-' | '_') { c } else { '-' };
    let plain: String = device.chars().take(60).map(plain).collect();
    let at = Timestamp::now().to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H.%M.%S").to_string();
    PathBuf::from(format!("{} {at}.{ending}", plain.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lies_here_whatever_the_device_is_called() {
        for device in ["Front door", "../../etc/passwd", "a/b\0c", "..", ""] {
            let file = named(device, "jpg");
            assert_eq!(file.components().count(), 1, "{device}");
            assert!(file.to_string_lossy().ends_with(".jpg") && !file.to_string_lossy().starts_with('.'), "{file:?}");
        }
        assert!(named("Front door", "png").to_string_lossy().starts_with("Front door 20"));
    }
}
