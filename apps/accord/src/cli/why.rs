//! `accord why`: why a device cannot be reached, and what to do.

use anyhow::Result;

use super::hub::escape;
use super::screen::{Screen, Style, name};
use super::{Context, devices};
use crate::api::why::{DeviceWhy, HouseWhy, Obstacle, Weight};

#[derive(clap::Args)]
pub struct Why {
    /// The device that is not reached; without one, how this machine itself stands.
    device: Option<String>,
}

pub async fn run(args: Why, context: &Context) -> Result<()> {
    match args.device {
        Some(device) => of_device(&device, context).await,
        None => here(context).await,
    }
}

async fn of_device(wanted: &str, context: &Context) -> Result<()> {
    let device = devices::find(context, wanted).await?;
    let screen = &context.screen;
    let why: DeviceWhy = context.hub.get(&format!("/devices/{}/why", escape(&device.id))).await?;
    if screen.json {
        return screen.document(&why);
    }
    let head = match (why.reached, why.obstacles.first()) {
        (true, _) => screen.paint(Style::Good, &format!("{} answers, by {}.", name(&why.name), why.app)),
        (false, Some(first)) if first.weight == Weight::Blocks => {
            screen.paint(Style::Bold, &format!("{} is not reached by {}:", name(&why.name), why.app))
        }
        _ => format!("{} is not reached by {}, and nothing here says why.", name(&why.name), why.app),
    };
    screen.say(head);
    show(context, &why.obstacles);
    Ok(())
}

async fn here(context: &Context) -> Result<()> {
    let why: HouseWhy = context.hub.get("/why").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&why);
    }
    for way in &why.ways {
        if way.obstacles.is_empty() {
            screen.say(format!("{}: {}", way.app, screen.paint(Style::Good, "nothing is in the way")));
        } else {
            screen.say(screen.paint(Style::Bold, &format!("{}:", way.app)));
        }
        show(context, &way.obstacles);
    }
    Ok(())
}

fn show(context: &Context, obstacles: &[Obstacle]) {
    list(obstacles, |line| context.screen.say(line), &context.screen);
}

/// Each obstacle and its remedy, a line for each.
pub fn list(obstacles: &[Obstacle], tell: impl Fn(String), screen: &Screen) {
    for one in obstacles {
        let style = if one.weight == Weight::Blocks { Style::Bad } else { Style::Warn };
        tell(format!("  {} {}", screen.paint(style, "•"), one.says));
        tell(screen.paint(Style::Dim, &format!("    {}", one.remedy)));
    }
}
