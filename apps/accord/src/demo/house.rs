//! The processes of the demo home: real hubs, started as a person would start them, and ended with us.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use accord_consent::outlet::{command, own_program};
use accord_model::DeviceKind;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::api::types::Status;
use crate::cli::hub::Hub;
use crate::state::{StateDir, private_dir};

/// A hub on a busy machine may need a while for its first keys and databases.
const UP_WITHIN: Duration = Duration::from_secs(40);
const END_WITHIN: Duration = Duration::from_secs(6);
const BROWSER_WITHIN: Duration = Duration::from_secs(4);

/// The folder of the home and the hubs that run in it.
pub struct House {
    home: PathBuf,
    hubs: Vec<Running>,
}

struct Running {
    folder: String,
    child: Child,
}

impl House {
    pub fn new(home: PathBuf) -> Self {
        Self { home, hubs: Vec::new() }
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    pub fn hub(&self, folder: &str) -> Result<Hub> {
        Ok(Hub::new(StateDir::resolve(Some(&self.folder(folder)))?))
    }

    fn log(&self, folder: &str) -> PathBuf {
        self.folder(folder).join("hub.log")
    }

    /// Starts one hub in a folder of its own; it ends when this process does.
    pub fn start(
        &mut self,
        folder: &str,
        name: Option<&str>,
        kind: Option<DeviceKind>,
        http: Option<SocketAddr>,
    ) -> Result<Hub> {
        let state = self.folder(folder);
        private_dir(&state)?;
        let log = open_log(&self.log(folder))?;
        let mut command = own_program()?;
        if let Some(level) = std::env::var_os("ACCORD_LOG") {
            command.env("ACCORD_LOG", level);
        }
        command.arg("--state").arg(&state).args(["up", "--no-open", "--loopback"]);
        command.arg("--http").arg(http.map_or("127.0.0.1:0".to_owned(), |address| address.to_string()));
        command.arg("--with-parent").arg(std::process::id().to_string());
        if let Some(name) = name {
            command.arg("--name").arg(name);
        }
        if let Some(kind) = kind {
            command.arg("--kind").arg(kind.as_str());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start the hub `{folder}`"))?;
        self.hubs.push(Running { folder: folder.to_owned(), child });
        self.hub(folder)
    }

    /// Returns when the hub answers; fails when it ended or takes too long.
    pub async fn wait_until_up(&mut self, hub: &Hub) -> Result<Status> {
        let until = Instant::now() + UP_WITHIN;
        loop {
            match hub.get::<Status>("/status").await {
                Ok(status) => return Ok(status),
                Err(error) if Instant::now() > until => {
                    return Err(error).with_context(|| format!("the hub for {} did not come up", hub.state().label()));
                }
                Err(_) => {}
            }
            self.check()?;
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fails when a hub has ended by itself.
    fn check(&mut self) -> Result<()> {
        for index in 0..self.hubs.len() {
            let running = &mut self.hubs[index];
            if let Some(status) = running.child.try_wait()? {
                let log = self.log(&self.hubs[index].folder);
                bail!("the hub `{}` ended ({status}); {}", self.hubs[index].folder, last_words(&log));
            }
        }
        Ok(())
    }

    pub async fn until_one_ends(&mut self) -> Result<()> {
        loop {
            let ends = self.hubs.iter_mut().map(|running| Box::pin(running.child.wait()));
            let _ = futures_util::future::select_all(ends).await;
            self.check()?;
        }
    }

    /// Asks all to end; those that do not are ended.
    pub async fn stop(&mut self) {
        for running in &self.hubs {
            if let Some(pid) = running.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let until = Instant::now() + END_WITHIN;
        for mut running in self.hubs.drain(..) {
            let left = until.saturating_duration_since(Instant::now());
            if timeout(left, running.child.wait()).await.is_err() {
                let _ = running.child.kill().await;
            }
        }
    }
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
    format!("its last words, from {}:\n  {}", log.display(), last)
}

/// Makes this process end when the one that started it is gone.
pub fn end_with_parent(parent: i32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot ask to end with the parent process")?;
    // It may be gone already: then no signal comes any more.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        bail!("the process that started this hub is gone");
    }
    Ok(())
}

/// Opens a link in the person's browser; false when there is none.
pub async fn browse(link: &str) -> bool {
    if !["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    {
        return false;
    }
    let Ok(mut command) = command("xdg-open") else { return false };
    // A browser that it starts in the foreground stays when we end.
    command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
    match command.spawn() {
        Ok(mut child) => match timeout(BROWSER_WITHIN, child.wait()).await {
            Ok(Ok(status)) => status.success(),
            Ok(Err(_)) => false,
            Err(_) => true,
        },
        Err(_) => false,
    }
}
