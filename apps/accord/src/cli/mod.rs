//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use accord_model::DeviceKind;
use clap::{Parser, Subcommand};

use crate::state::{StateDir, UpOptions};

#[derive(Parser)]
#[command(name = "accord", version, about)]
struct Cli {
    /// Keep everything (configuration, keys, databases, socket, inbox) in this folder.
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub.
    Up {
        /// Where the web UI listens.
        #[arg(long, value_name = "ADDR:PORT")]
        http: Option<SocketAddr>,
        /// This device's name.
        #[arg(long)]
        name: Option<String>,
        /// What this device is: computer, laptop, phone, tablet, tv, …
        #[arg(long)]
        kind: Option<DeviceKind>,
        /// Do not open the web UI in a browser.
        #[arg(long)]
        no_open: bool,
    },
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "accord: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let state = StateDir::resolve(cli.state.as_deref())?;
    match cli.command {
        Command::Up { http, name, kind, no_open } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(crate::daemon::run(UpOptions { state, http, name, kind, open: !no_open }))
        }
    }
}
