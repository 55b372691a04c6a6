//! `accord home`: the devices of the house, by rooms: what they say, setting them, their history.

mod doors;
mod graph;
mod history;
mod list;
mod look;
mod set;
mod shown;
mod watch;

use anyhow::{Result, bail};

use super::Context;
use super::devices::find;
use super::screen::name;
use crate::api::types::Device;

#[derive(clap::Args)]
pub struct Home {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Devices by rooms, with the one thing worth saying of each (the default).
    List(list::List),
    /// Everything that a device says and can be told.
    Show {
        /// A device's name or id.
        device: String,
    },
    /// What one property is, how old that is, and who said so.
    Get(list::Get),
    /// Set a property, and see whether the device confirms it. Ends with status 3 when it does not.
    #[command(after_help = SET_HELP)]
    Set(set::Set),
    /// Tell a device to do something: toggle, open, start, lock. What opens or unlocks is asked about again.
    Do(set::Do),
    /// What a camera sees now, or whatever else a device has to be looked at, as a file.
    Look(look::Look),
    /// What changes, as it changes, until Ctrl-C.
    Watch(watch::Watch),
    /// The course of a property, as a graph; of a lock or door also when it was opened, and from where.
    History(history::History),
    /// What is kept of what devices say, and how long; write it out, delete it.
    Kept(history::Kept),
    /// Which devices are shown beside this hub, such as to Home Assistant by an MQTT broker, and what may be done with them.
    Shown,
    /// Show a device on an MQTT broker, for Home Assistant and whoever else reads there.
    #[command(after_help = shown::HELP)]
    Share(shown::Show),
    /// Show a device there no more; the broker deletes what it kept of it.
    Unshare(shown::TakeBack),
    /// Give a room another name; a device goes to a room with `accord devices set DEVICE --room ROOM`.
    Room {
        /// The room.
        from: String,
        /// What it is called from now on; another room that is there already takes its devices.
        to: String,
    },
}

const SET_HELP: &str = "\
A property is named as `level`, `light/level`, or `on-off.1/on` where there are several alike; a value is typed as
`on`, `30%`, `2700K`, `warm`, `21.5`, `68F`, or by its name. A value alone is for what the device is about: the level of a
lamp, what a heating is set to; a word such as `locked` or `open` tells it to do that.

  accord home set \"Desk lamp\" on
  accord home set \"Desk lamp\" 30%
  accord home set Heating 21.5
  accord home set \"Desk lamp\" level 30
  accord home set \"Desk lamp\" level=30 color-temperature=warm";

pub async fn run(args: Home, context: &Context) -> Result<()> {
    match args.action.unwrap_or(Action::List(list::List::default())) {
        Action::List(args) => list::list(args, context).await,
        Action::Show { device } => list::show(&device, context).await,
        Action::Get(args) => list::get(args, context).await,
        Action::Set(args) => set::set(args, context).await,
        Action::Do(args) => set::act(args, context).await,
        Action::Look(args) => look::run(args, context).await,
        Action::Watch(args) => watch::run(args, context).await,
        Action::History(args) => history::run(args, context).await,
        Action::Kept(args) => history::kept(args, context).await,
        Action::Shown => shown::list(context).await,
        Action::Share(args) => shown::show(args, context).await,
        Action::Unshare(args) => shown::take_back(args, context).await,
        Action::Room { from, to } => list::rename(from, to, context).await,
    }
}

/// The device that is meant, and a word of what it is when it has nothing for the house.
async fn of_house(context: &Context, wanted: &str) -> Result<Device> {
    let device = find(context, wanted).await?;
    let is_house = |service: &&accord_model::Service| accord_home::history::is_house_service(&service.id);
    if device.services.iter().find(is_house).is_none() {
        bail!("{} has said nothing that can be shown or set here; `accord why {}`", name(&device.name), name(wanted));
    }
    Ok(device)
}
