//! The demo home: this machine's real hub beside further real hubs, with a driver that plays the
//! persons at those devices.

use std::net::SocketAddr;

use anyhow::Result;

use crate::cli::Context;

#[derive(clap::Args)]
pub struct Demo {
    /// Where the main hub's web UI listens.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// Do not open the web UI in a browser.
    #[arg(long)]
    no_open: bool,
    /// Go on with the home of last time instead of a fresh one.
    #[arg(long)]
    keep: bool,
}

pub async fn run(_args: Demo, _context: Context) -> Result<()> {
    anyhow::bail!("the demo home cannot run yet")
}

/// Makes this process end when the one that started it is gone.
pub fn end_with_parent(_parent: i32) -> Result<()> {
    Ok(())
}

/// Opens a link in the person's browser; false when there is none.
pub fn browse(_link: &str) -> bool {
    false
}
