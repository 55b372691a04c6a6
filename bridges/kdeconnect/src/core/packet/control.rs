//! Remote control: ringing, commands, files over SFTP, locking, pointer and keys.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::json::{Field, Private, object};

object! {
    /// Rings, or stops ringing when it rings already.
    pub struct FindMyPhone {}
}
object! {
    /// The commands that the sender offers.
    pub struct RunCommand {
        /// By key.
        command_list: Commands = "commandList",
        /// Whether `setup` of the request does something.
        can_add_command: Option<bool> = "canAddCommand",
    }
}
object! {
    /// One command.
    pub struct Command {
        /// For people.
        name: String = "name",
        /// The command line; shown to the peer.
        command: Private = "command",
    }
}
object! {
    /// Asks for commands or runs one. Run only keys that we listed.
    pub struct RunCommandRequest {
        /// Asks for the list.
        request_command_list: Option<bool> = "requestCommandList",
        /// Which to run.
        key: Option<String> = "key",
        /// Opens the settings there.
        setup: Option<bool> = "setup",
        /// Stops it instead.
        stop: Option<bool> = "stop",
    }
}
object! {
    /// What a command does.
    pub struct RunCommandOutput {
        /// Which run.
        id: String = "id",
        /// It began.
        command_started: Option<bool> = "commandStarted",
        /// Its command line.
        command: Option<Private> = "command",
        /// It wrote something.
        command_output: Option<bool> = "commandOutput",
        /// Lines.
        stdout: Option<Vec<Private>> = "stdout",
        /// Lines.
        stderr: Option<Vec<Private>> = "stderr",
        /// It ended.
        command_finished: Option<bool> = "commandFinished",
        /// Well.
        success: Option<bool> = "success",
        /// With this.
        exit_code: Option<i64> = "exitCode",
    }
}
object! {
    /// Asks for a way to browse the files there.
    pub struct SftpRequest {
        /// Always true.
        start_browsing: bool = "startBrowsing",
    }
}
object! {
    /// How files can be browsed. Connect to the peer's own address, never to `ip`.
    pub struct Sftp {
        /// Where the sender believes to be.
        ip: Option<String> = "ip",
        /// Where its SFTP server listens.
        port: Option<u16> = "port",
        /// `kdeconnect`.
        user: Option<String> = "user",
        /// Good for this once.
        password: Option<Private> = "password",
        /// Where to begin.
        path: Option<Private> = "path",
        /// Several places to begin.
        multi_paths: Option<Vec<Private>> = "multiPaths",
        /// What they are called.
        path_names: Option<Vec<Private>> = "pathNames",
        /// Why not.
        error_message: Option<String> = "errorMessage",
    }
}
object! {
    /// Whether the screen is locked.
    pub struct Lock {
        /// It is.
        is_locked: bool = "isLocked",
        /// Whether a request worked.
        lock_result: Option<bool> = "lockResult",
    }
}
object! {
    /// Asks for the lock's state or sets it. `set_locked: false` unlocks without any proof beyond the pairing:
    /// refuse it.
    pub struct LockRequest {
        /// Asks.
        request_locked: Option<bool> = "requestLocked",
        /// Sets.
        set_locked: Option<bool> = "setLocked",
    }
}
object! {
    /// Pointer, buttons and keys.
    pub struct Mousepad {
        /// Pixels to the right.
        dx: Option<f64> = "dx",
        /// Pixels down.
        dy: Option<f64> = "dy",
        /// Absolute, from 2026.
        x: Option<f64> = "x",
        /// Absolute, from 2026.
        y: Option<f64> = "y",
        /// Left button.
        singleclick: Option<bool> = "singleclick",
        /// Left button, twice.
        doubleclick: Option<bool> = "doubleclick",
        /// Middle button.
        middleclick: Option<bool> = "middleclick",
        /// Right button.
        rightclick: Option<bool> = "rightclick",
        /// Left button down.
        singlehold: Option<bool> = "singlehold",
        /// Left button up.
        singlerelease: Option<bool> = "singlerelease",
        /// `dx` and `dy` scroll.
        scroll: Option<bool> = "scroll",
        /// Text to type.
        key: Option<Private> = "key",
        /// One of [`special_key`].
        special_key: Option<i64> = "specialKey",
        /// Held down with the key.
        shift: Option<bool> = "shift",
        /// Held down with the key.
        ctrl: Option<bool> = "ctrl",
        /// Held down with the key.
        alt: Option<bool> = "alt",
        /// Held down with the key.
        super_key: Option<bool> = "super",
        /// Answer with an echo.
        send_ack: Option<bool> = "sendAck",
    }
}
object! {
    /// A key was typed.
    pub struct MousepadEcho {
        /// Which text.
        key: Option<Private> = "key",
        /// Which key.
        special_key: Option<i64> = "specialKey",
        /// Held down with the key.
        shift: Option<bool> = "shift",
        /// Held down with the key.
        ctrl: Option<bool> = "ctrl",
        /// Held down with the key.
        alt: Option<bool> = "alt",
        /// Held down with the key.
        super_key: Option<bool> = "super",
        /// Always true.
        is_ack: bool = "isAck",
    }
}
object! {
    /// Whether keys can be typed there.
    pub struct KeyboardState {
        /// They can.
        state: bool = "state",
    }
}
object! {
    /// Moves a spot on the slides.
    pub struct Presenter {
        /// To the right, in fractions of the screen's width.
        dx: Option<f64> = "dx",
        /// Down, in fractions of the screen's width as well.
        dy: Option<f64> = "dy",
        /// Takes the spot away.
        stop: Option<bool> = "stop",
    }
}

/// The numbers of [`Mousepad::special_key`].
#[allow(missing_docs)]
pub mod special_key {
    pub const BACKSPACE: i64 = 1;
    pub const TAB: i64 = 2;
    pub const LEFT: i64 = 4;
    pub const UP: i64 = 5;
    pub const RIGHT: i64 = 6;
    pub const DOWN: i64 = 7;
    pub const PAGE_UP: i64 = 8;
    pub const PAGE_DOWN: i64 = 9;
    pub const HOME: i64 = 10;
    pub const END: i64 = 11;
    pub const RETURN: i64 = 12;
    pub const DELETE: i64 = 13;
    pub const ESCAPE: i64 = 14;
    pub const SYS_RQ: i64 = 15;
    pub const SCROLL_LOCK: i64 = 16;
    pub const CTRL: i64 = 17;
    pub const ALT: i64 = 18;
    pub const SHIFT: i64 = 19;
    pub const SUPER: i64 = 20;
    /// F1; F2 to F12 follow.
    pub const F1: i64 = 21;
    pub const F12: i64 = 32;
}

/// Commands by key; on the wire JSON text in a string.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Commands(pub BTreeMap<String, Command>);

impl Field for Commands {
    fn read(value: Option<&Value>) -> Option<Self> {
        let read = |value: &Value| BTreeMap::read(Some(value)).map(Self);
        match value? {
            Value::String(text) => read(&serde_json::from_str(text).ok()?),
            other => read(other),
        }
    }
    fn write(&self) -> Option<Value> {
        self.0.write().map(|map| Value::String(map.to_string()))
    }
}
