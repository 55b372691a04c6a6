//! The real program, driven as a person or a script drives it.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests start the real program")]

pub mod homes;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A person's account: a home and a state folder of its own.
pub struct Person {
    pub dir: TempDir,
    /// More of the environment of all that this person runs.
    pub env: Vec<(&'static str, String)>,
}

/// What a command answered.
pub struct Answer {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    fn new(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }
    #[track_caller]
    pub fn fails(self, status: i32, message: &str) -> Self {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.err.contains(message), "`{message}` is not in: {}", self.err);
        self
    }
    #[track_caller]
    pub fn json(self) -> Value {
        let this = self.ok();
        serde_json::from_str(&this.out).unwrap_or_else(|error| panic!("{error}: {}", this.out))
    }
}

impl Person {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }
    fn command(&self) -> Command {
        self.command_at(&self.state())
    }
    fn command_at(&self, state: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accord"));
        command.arg("--state").arg(state).env_clear().env("HOME", self.dir.path()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TZ", "UTC");
        command.envs(self.env.iter().cloned());
        command
    }
    /// `accord --state … words`, to its end.
    pub fn accord(&self, words: &[&str]) -> Answer {
        Answer::new(self.command().args(words).output().unwrap())
    }
    pub fn accord_at(&self, state: &Path, words: &[&str]) -> Answer {
        Answer::new(self.command_at(state).args(words).output().unwrap())
    }
    pub fn accord_with_input(&self, words: &[&str], input: &[u8]) -> Answer {
        let mut child = self.spawn_with(words, Stdio::piped());
        let _ = child.stdin.take().unwrap().write_all(input);
        Answer::new(child.wait_with_output().unwrap())
    }
    pub fn spawn_with(&self, words: &[&str], stdin: Stdio) -> Child {
        self.command().args(words).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
    pub fn spawn(&self, words: &[&str]) -> Background {
        Background(Some(self.spawn_with(words, Stdio::null())))
    }
    /// Runs beside the test; what it says goes to a file.
    pub fn spawn_quietly(&self, words: &[&str]) -> Running {
        let log = self.path("log");
        let out = File::create(&log).unwrap();
        let child = self.command().args(words).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        Running { child, log }
    }
    /// Shows a ticket and goes on waiting for someone to use it.
    pub fn show_ticket(&self) -> (Background, String) {
        self.show_ticket_at(&self.state())
    }
    pub fn show_ticket_at(&self, state: &Path) -> (Background, String) {
        let mut command = self.command_at(state);
        command.args(["pair", "--ticket", "--accept", "--wait", "60"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let ticket = lines.find_map(|line| {
            let line = line.unwrap();
            line.trim().strip_prefix("accord pair '").map(|rest| rest.trim_end_matches('\'').to_owned())
        });
        (Background(Some(child)), ticket.expect("a ticket is shown"))
    }
    pub fn json(&self, words: &[&str]) -> Value {
        let mut all = words.to_vec();
        all.push("--json");
        self.accord(&all).json()
    }
    /// A real hub that talks to hubs on this machine only.
    pub fn up(&self, name: &str, kind: &str) -> Running {
        let log = self.path("hub.log");
        let out = File::create(&log).unwrap();
        let words = ["up", "--no-open", "--loopback", "--http", "127.0.0.1:0", "--name", name, "--kind", kind];
        let child = self.command().args(words).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        let mut running = Running { child, log };
        let until = Instant::now() + Duration::from_secs(30);
        while self.accord(&["status", "--json"]).status != 0 {
            running.is_alive();
            assert!(Instant::now() < until, "{name} does not answer: {}", running.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }
}

/// A command that runs beside the test.
pub struct Background(pub Option<Child>);

impl Background {
    pub fn end(mut self) -> Answer {
        Answer::new(self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A hub; ends with the test.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    #[track_caller]
    fn is_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the hub ended ({status}): {}", self.log());
        }
    }
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
