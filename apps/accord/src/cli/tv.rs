//! `accord tv`: the page that a television or tablet opens in its browser to become a screen.

use anyhow::{Result, bail};
use hyper::Method;

use super::Context;
use super::agree::{Owner, with_consent};
use super::devices::find;
use super::pair::{self, Pair, qr};
use crate::api::receiver::Receiver;
use crate::api::types::{Devices, Trust};
use accord_model::Reach;

#[derive(clap::Args)]
pub struct Tv {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Where the page is (the default).
    Show,
    /// Open the page, and leave it open: screens that were added are reached while it is.
    Open,
    /// Close the page. Screens that were added stay so, and are not reached.
    Close,
    /// Add the screen that shows this code.
    Add {
        /// Six digits.
        code: String,
        /// Which one, when several wait.
        device: Option<String>,
    },
}

pub async fn run(args: Tv, context: &Context) -> Result<()> {
    match args.action.unwrap_or(Action::Show) {
        Action::Show => show(context, &context.hub.get("/receiver").await?),
        Action::Open => {
            let nothing = serde_json::json!({});
            let opened: Receiver =
                with_consent(context, Owner::AtTerminalForGood, async || context.hub.post("/receiver", &nothing).await)
                    .await?;
            show(context, &opened)
        }
        Action::Close => {
            context.hub.tell(Method::DELETE, "/receiver", None::<&()>).await?;
            show(context, &context.hub.get("/receiver").await?)
        }
        Action::Add { code, device } => {
            let device = match device {
                Some(device) => find(context, &device).await?.id,
                None => waiting(context).await?,
            };
            pair::run(Pair::with_code(device, code.replace(' ', "")), context).await
        }
    }
}

/// The only screen that shows a code.
async fn waiting(context: &Context) -> Result<String> {
    let all: Devices = context.hub.get("/devices").await?;
    let waits = |one: &&crate::api::types::Device| {
        one.bridge == "browser" && one.trust == Trust::Seen && one.reach != Reach::Offline
    };
    let waiting: Vec<_> = all.devices.iter().filter(waits).collect();
    match waiting.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => bail!("No screen shows a code; open the page in its browser first: accord tv open"),
        many => {
            let names: Vec<String> = many.iter().map(|one| super::screen::name(&one.name)).collect();
            bail!("Several screens show a code; name the one: {}", names.join(", "))
        }
    }
}

fn show(context: &Context, receiver: &Receiver) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(receiver);
    }
    if !receiver.open {
        screen.say("The page for screens is closed; `accord tv open` opens it.");
        return Ok(());
    }
    let Some(first) = receiver.urls.first() else {
        screen.say("The page for screens is open; this machine is in no network now.");
        return Ok(());
    };
    screen.say(qr(first)?);
    screen.say("Open this in the browser of the television or tablet:");
    for url in &receiver.urls {
        screen.say(format!("  {url}"));
    }
    screen.say("It shows a code. Add it with `accord tv add CODE`.");
    Ok(())
}
