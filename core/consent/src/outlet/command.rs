//! Child processes: few, known, and told nothing.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where processes are started")]

use tokio::process::Command;

use super::{OutletError, failed};

/// The programs that may be started, each for something on this machine alone.
const PROGRAMS: [&str; 8] =
    ["xdg-open", "wl-copy", "wl-paste", "xclip", "loginctl", "systemctl", "notify-send", "xdg-user-dir"];

/// What a child may know of the environment.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_ID",
    "XDG_CURRENT_DESKTOP",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// A child process of one of the known programs, with an empty environment but for the desktop's own
/// variables, ended when it is dropped.
///
/// # Errors
/// [`OutletError::UnknownProgram`].
pub fn command(program: &str) -> Result<Command, OutletError> {
    if !PROGRAMS.contains(&program) {
        return Err(OutletError::UnknownProgram(accord_model::text::for_screen(program, 60)));
    }
    Ok(bare(Command::new(program)))
}

/// This program again, in a process of its own (the demo home's hubs).
///
/// # Errors
/// [`OutletError`] when the system does not say where it is.
pub fn own_program() -> Result<Command, OutletError> {
    let path = std::env::current_exe().map_err(failed("finding this program"))?;
    Ok(bare(Command::new(path)))
}

fn bare(mut command: Command) -> Command {
    command.env_clear().kill_on_drop(true);
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
