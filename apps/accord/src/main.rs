//! `accord`: the hub, the command line and the demo home in one program.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod api;
mod cli;
mod daemon;
mod demo;
mod state;

fn main() -> std::process::ExitCode {
    cli::main()
}
