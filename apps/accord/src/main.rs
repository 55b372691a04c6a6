//! `accord`: the hub, the command line and the demo home in one program.

mod api;
mod cli;
mod daemon;
mod demo;
mod state;

fn main() -> std::process::ExitCode {
    cli::main()
}
