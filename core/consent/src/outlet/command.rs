//! Child processes: few, known, and told nothing.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where processes are started")]

use tokio::process::Command;

use super::{OutletError, failed};

/// The programs that may be started, each for something on this machine alone.
const PROGRAMS: [&str; 11] = [
    "xdg-open",
    "wl-copy",
    "wl-paste",
    "xclip",
    "loginctl",
    "systemctl",
    "notify-send",
    "xdg-user-dir",
    "pw-play",
    "paplay",
    "aplay",
];

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

/// Most words of an owner's command, and bytes of one word.
pub(super) const MAX_WORDS: usize = 64;
pub(super) const MAX_WORD: usize = 4096;

/// A command line from the owner's own list, which devices may be allowed to ask for. Word by word: no shell reads it, and
/// nothing that a device says becomes part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnersCommand(Vec<String>);

impl OwnersCommand {
    /// Takes a program and its arguments as the owner wrote them down. Never make one of what a device sent.
    ///
    /// # Errors
    /// [`OutletError::NoCommand`] when there is no program, or too much.
    pub fn new(words: &[String]) -> Result<Self, OutletError> {
        let fits = |word: &String| word.len() <= MAX_WORD && !word.contains('\0');
        let has_program = words.first().is_some_and(|program| !program.trim().is_empty());
        if !has_program || words.len() > MAX_WORDS || !words.iter().all(fits) {
            return Err(OutletError::NoCommand);
        }
        Ok(Self(words.to_vec()))
    }
    /// The words.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

/// A child process of the owner's own choosing, with the desktop's variables alone, ended when it is dropped.
pub fn owners_command(command: &OwnersCommand) -> Command {
    let mut words = command.0.iter();
    let mut child = Command::new(words.next().map_or("", String::as_str));
    child.args(words);
    bare(child)
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
