//! Where a hub keeps everything: its state folder, its configuration, its lock and its socket.
//!
//! `--state DIR` puts all of it into one folder; without it the XDG folders are used.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use accord_commands::OwnCommand;
use accord_model::{DeviceKind, EntryKey};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What `accord up` was asked for.
#[derive(Debug, Clone)]
pub struct UpOptions {
    pub state: StateDir,
    /// Where the web UI listens; without it the configured address or the default.
    pub http: Option<SocketAddr>,
    pub name: Option<String>,
    pub kind: Option<DeviceKind>,
    /// Open the web UI in a browser when it listens.
    pub open: bool,
    /// Talk to hubs on this machine only; for the demo home and tests.
    pub loopback: bool,
}

/// The folders of one hub.
#[derive(Debug, Clone)]
pub struct StateDir {
    config: PathBuf,
    data: PathBuf,
    runtime: PathBuf,
    explicit: bool,
}

impl StateDir {
    /// `--state DIR`, or the XDG folders. Makes nothing yet.
    pub fn resolve(state: Option<&Path>) -> Result<Self> {
        if let Some(dir) = state {
            let dir = std::path::absolute(dir).with_context(|| format!("{} is no usable folder", dir.display()))?;
            return Ok(Self { config: dir.clone(), data: dir.clone(), runtime: dir, explicit: true });
        }
        let data = xdg("XDG_DATA_HOME", ".local/share")?.join("accord");
        let runtime = match absolute_from_env("XDG_RUNTIME_DIR") {
            Some(dir) => dir.join("accord"),
            None => data.clone(),
        };
        Ok(Self { config: xdg("XDG_CONFIG_HOME", ".config")?.join("accord"), data, runtime, explicit: false })
    }

    /// Makes the folders, readable by the owner alone.
    pub fn prepare(&self) -> Result<()> {
        for dir in [&self.config, &self.data, &self.runtime] {
            private_dir(dir)?;
        }
        Ok(())
    }

    /// Keys, databases and what else must last.
    pub fn data(&self) -> &Path {
        &self.data
    }
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("hub.sock")
    }
    /// Whether `--state` was given.
    pub fn is_explicit(&self) -> bool {
        self.explicit
    }
    /// Received files go here unless configured otherwise.
    pub fn default_inbox(&self) -> PathBuf {
        if self.explicit { self.data.join("inbox") } else { downloads().join("Accord") }
    }
    /// The folder as messages name it.
    pub fn label(&self) -> String {
        accord_model::text::for_screen(&self.data.to_string_lossy(), 300)
    }
    /// A form of the socket's path that fits a socket address (107 bytes), however deep the folder
    /// lies. Valid while the returned value lives.
    pub fn socket_address(&self) -> std::io::Result<SocketAddress> {
        let path = self.socket();
        if path.as_os_str().len() <= 107 {
            return Ok(SocketAddress { path, _dir: None });
        }
        use rustix::fs::{CWD, Mode, OFlags, openat};
        let dir = openat(CWD, &self.runtime, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/hub.sock", dir.as_raw_fd()));
        Ok(SocketAddress { path, _dir: Some(dir) })
    }

    /// Makes sure that this is the only hub on these folders. Held until dropped.
    pub fn lock(&self) -> Result<HubLock> {
        self.prepare()?;
        let path = self.data.join("hub.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                let mut pid = String::new();
                let _ = (&mut file).take(20).read_to_string(&mut pid);
                bail!(
                    "A hub is already running for {} (process {}); stop it first, or choose another folder with --state",
                    self.label(),
                    pid.trim().parse::<u32>().map_or("unknown".to_owned(), |pid| pid.to_string())
                );
            }
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(HubLock { _file: file })
    }

    pub fn load_config(&self) -> Result<Config> {
        let path = self.config_file();
        match fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).with_context(|| format!("{} cannot be understood; correct it", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Replaces the configuration file whole, or leaves the old one.
    pub fn save_config(&self, config: &Config) -> Result<()> {
        self.prepare()?;
        let path = self.config_file();
        let write =
            || -> Result<()> { Ok(accord_store::replace_private(&path, toml::to_string_pretty(config)?.as_bytes())?) };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A socket path that fits; keeps the folder open while it is used.
pub struct SocketAddress {
    path: PathBuf,
    _dir: Option<OwnedFd>,
}

impl SocketAddress {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Proof that this process is the only hub on its folders.
#[must_use = "the folders are free again when this is dropped"]
pub struct HubLock {
    _file: File,
}

/// `config.toml`. It can refuse entries, never consent to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// This device's name; the host name without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DeviceKind>,
    /// Folder for received files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox: Option<PathBuf>,
    /// Show desktop notifications for offers.
    pub notify: bool,
    /// Tell of alarms of the house.
    pub alarms: bool,
    /// A relay of the owner's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// Where the web UI listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// Host names of the owner's own under which the web UI may be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_names: Vec<String>,
    /// Certificate chain and private key (PEM files) for the web UI beyond loopback; the hub's own
    /// authority without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Entries that stay refused whatever was decided elsewhere.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub refuse: BTreeSet<EntryKey>,
    /// Commands that devices may be allowed to have run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<OwnCommand>,
    /// How LocalSend is spoken.
    #[serde(skip_serializing_if = "LocalSend::is_usual")]
    pub localsend: LocalSend,
}

/// `[localsend]` in `config.toml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalSend {
    /// Devices that cannot prove who they are may offer files: plain HTTP, and apps before version 1.18.
    pub unverified: bool,
    /// Devices to ask by address, where multicast does not reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SocketAddr>,
}

impl LocalSend {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: None,
            kind: None,
            inbox: None,
            notify: true,
            alarms: true,
            relay: None,
            http: None,
            http_names: Vec::new(),
            tls_cert: None,
            tls_key: None,
            refuse: BTreeSet::new(),
            localsend: LocalSend::default(),
            commands: Vec::new(),
        }
    }
}

/// Makes a folder, and makes it the owner's alone when it lets others in.
pub fn private_dir(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let mode = fs::metadata(dir).with_context(|| format!("cannot read {}", dir.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("{} is open to other users and cannot be closed", dir.display()))?;
    }
    Ok(())
}

/// Largest credential, in bytes.
const MAX_CREDENTIAL: u64 = 4096;

/// The secret that the system hands this service as its credential `accord`, so that what is sealed in the state folder needs
/// more than what lies there (systemd.exec(5), `LoadCredentialEncrypted=`). None when it hands none.
pub fn credential() -> Result<Option<Zeroizing<Vec<u8>>>> {
    absolute_from_env("CREDENTIALS_DIRECTORY").map_or(Ok(None), |dir| credential_in(&dir))
}

fn credential_in(dir: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let path = dir.join("accord");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("the credential {} cannot be read", path.display())),
    };
    let mut secret = Zeroizing::new(Vec::with_capacity(MAX_CREDENTIAL as usize + 1));
    file.take(MAX_CREDENTIAL + 1).read_to_end(&mut secret)?;
    if !(16..=MAX_CREDENTIAL).contains(&(secret.len() as u64)) {
        bail!("the credential {} has to be 16 to {MAX_CREDENTIAL} bytes of chance", path.display());
    }
    Ok(Some(secret))
}

fn absolute_from_env(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn home() -> Result<PathBuf> {
    absolute_from_env("HOME").context("HOME is not set; say where to keep everything with --state DIR")
}

fn xdg(variable: &str, under_home: &str) -> Result<PathBuf> {
    match absolute_from_env(variable) {
        Some(dir) => Ok(dir),
        None => Ok(home()?.join(under_home)),
    }
}

/// The person's folder for downloads, by xdg-user-dirs when set up.
fn downloads() -> PathBuf {
    let home = home().unwrap_or_else(|_| PathBuf::from("/"));
    let config = xdg("XDG_CONFIG_HOME", ".config").unwrap_or_else(|_| home.join(".config"));
    fs::read_to_string(config.join("user-dirs.dirs"))
        .ok()
        .and_then(|text| download_dir(&text, &home))
        .unwrap_or_else(|| home.join("Downloads"))
}

/// Reads `XDG_DOWNLOAD_DIR="$HOME/…"` as xdg-user-dirs writes it.
fn download_dir(text: &str, home: &Path) -> Option<PathBuf> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("XDG_DOWNLOAD_DIR="))?;
    let value = value.trim().trim_matches('"');
    let path = match value.strip_prefix("$HOME") {
        Some(rest) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(value),
    };
    // xdg-user-dirs writes "$HOME/" for a folder that is switched off.
    (path.is_absolute() && path != home.join("")).then_some(path)
}

#[cfg(test)]
mod tests {
    use accord_consent::outlet::local;

    use super::*;

    #[test]
    fn a_state_folder_holds_everything_and_lets_nobody_else_in() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::resolve(Some(&dir.path().join("hub"))).unwrap();
        state.prepare().unwrap();
        for path in [state.data().to_owned(), state.config_file(), state.socket(), state.default_inbox()] {
            assert!(path.starts_with(dir.path()), "{path:?}");
        }
        assert_eq!(fs::metadata(state.data()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_hub_is_told_which_process_is_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::resolve(Some(dir.path())).unwrap();
        let first = state.lock().unwrap();
        let message = state.lock().err().unwrap().to_string();
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(first);
        let _again = state.lock().unwrap();
    }

    #[tokio::test]
    async fn a_socket_works_in_a_folder_deeper_than_an_address_is_long() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::resolve(Some(&dir.path().join("x".repeat(120)))).unwrap();
        state.prepare().unwrap();
        let address = state.socket_address().unwrap();
        let _listener = local::unix_listener(address.path()).await.unwrap();
        drop(address);
        let address = state.socket_address().unwrap();
        local::unix_connect(address.path()).await.unwrap();
        assert!(state.socket().exists());
    }

    #[test]
    fn a_configuration_can_refuse_and_has_no_word_for_consent() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::resolve(Some(dir.path())).unwrap();
        fs::write(state.config_file(), "refuse = [\"link/discovery\"]\n").unwrap();
        let config = state.load_config().unwrap();
        assert!(config.refuse.contains(&EntryKey::new("link/discovery").unwrap()));
        state.save_config(&config).unwrap();
        assert_eq!(state.load_config().unwrap(), config);
        fs::write(state.config_file(), "grant = [\"link/discovery\"]\n").unwrap();
        assert!(state.load_config().is_err());
    }

    #[test]
    fn a_credential_is_taken_whole_and_one_that_is_no_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let read = || credential_in(dir.path());
        assert!(read().unwrap().is_none());
        for bad in [0, 15, 4097] {
            fs::write(dir.path().join("accord"), vec![7; bad]).unwrap();
            assert!(read().unwrap_err().to_string().contains("16 to 4096 bytes"), "{bad}");
        }
        fs::write(dir.path().join("accord"), [7; 32]).unwrap();
        assert_eq!(read().unwrap().unwrap().as_slice(), [7; 32]);
    }

    #[test]
    fn the_download_folder_follows_the_desktop() {
        let home = Path::new("/home/mira");
        let read = |text| download_dir(text, home);
        assert_eq!(read("# x\nXDG_DOWNLOAD_DIR=\"$HOME/Hämtningar\"\n"), Some("/home/mira/Hämtningar".into()));
        assert_eq!(read("XDG_DOWNLOAD_DIR=\"/srv/dl\"\n"), Some("/srv/dl".into()));
        assert_eq!(read("XDG_DOWNLOAD_DIR=\"$HOME/\"\n"), None);
        assert_eq!(read("XDG_DESKTOP_DIR=\"$HOME/Desktop\"\n"), None);
    }
}
