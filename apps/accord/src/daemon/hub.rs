//! One running hub: everything that the API, the link and the features meet in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use accord_airplay::AirplayBridge;
use accord_browser::BrowserBridge;
use accord_casting::Casting;
use accord_clipboard::{Clipboard, ClipboardConfig};
use accord_consent::{Choice, ConsentState, Gate, Signer, To, outlet};
use accord_files::{Files, FilesConfig};
use accord_googlecast::GoogleCastBridge;
use accord_home::{History, Share};
use accord_homeassistant::HomeAssistantBridge;
use accord_identity::{Identity, Peers};
use accord_kdeconnect::KdeConnectBridge;
use accord_lebo::LeboBridge;
use accord_link::{Link, LinkOptions, Network, PairingId};
use accord_localsend::LocalSendBridge;
use accord_matter::MatterBridge;
use accord_miio::MiioBridge;
use accord_model::{DeviceKind, EntryKey};
use accord_mqtt::MqttBridge;
use accord_names::Names;
use accord_notifications::{Notifications, NotificationsConfig};
use accord_recognition::Recogniser;
use accord_registry::{Bridge, Registry};
use accord_screen::Screens;
use accord_share::Shares;
use accord_store::Vault;
use accord_upnp::UpnpBridge;
use accord_yeelight::YeelightBridge;
use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::everyday::Everyday;
use super::faces::{self, Said};
use super::foreign::Foreign;
use super::notes::Notes;
use super::order::Order;
use super::pipes::Pipes;
use super::prompts::Prompts;
use super::shares::Belongings;
use super::signing::Signings;
use super::transfers::{Trusted, needs_upload};
use super::uploads::Uploads;
use super::witness::Heads;
use super::{house, listen, view};
use crate::api::auth::Auth;
use crate::api::error::{Answer, Failure};
use crate::api::events::Events;
use crate::api::types as api;
use crate::state::{Config, StateDir, UpOptions, credential};

const BRIDGES_WITHIN: Duration = Duration::from_secs(3);

/// Shared by all handlers and tasks.
pub struct Hub {
    pub state: StateDir,
    config: RwLock<Config>,
    /// From the command line; wins over the configuration file for this run.
    given: Given,
    pub identity: Arc<Identity>,
    /// The state folder, for what is to be sealed there.
    pub(super) vault: Vault,
    pub peers: Arc<Peers>,
    pub gate: Gate,
    pub registry: Registry,
    pub link: Link,
    pub files: Files,
    pub notifications: Notifications,
    pub clipboard: Clipboard,
    pub shares: Shares,
    pub casting: Casting,
    pub names: Names,
    pub screens: Screens,
    pub(super) history: History,
    /// Devices shown elsewhere.
    pub(super) shown: Share,
    /// Where the page for screens is.
    pub(super) receiver: Option<accord_browser::Place>,
    pub belongings: Belongings,
    pub auth: Arc<Auth>,
    pub events: Events,
    pub prompts: Prompts,
    /// Pairings that our owner confirmed, and where.
    pub(super) confirmed: Mutex<HashMap<PairingId, &'static str>>,
    pub notes: Arc<Notes>,
    pub(super) order: Order,
    pub(super) faces: Said,
    pub recogniser: Recogniser,
    pub(super) everyday: OnceLock<Everyday>,
    pub(super) foreign: Foreign,
    pub(super) signing: Signings,
    pub uploads: Uploads,
    pub pipes: Pipes,
    pub stop: CancellationToken,
    pub(super) network: Network,
    started: Instant,
    web: OnceLock<Web>,
    bridges: Mutex<Bridges>,
}

/// The bridges, until they are started, and then their tasks.
struct Bridges {
    waiting: Vec<Box<dyn Bridge>>,
    running: Vec<JoinHandle<()>>,
}

/// Name and kind from the command line.
struct Given(Mutex<(Option<String>, Option<DeviceKind>)>);

impl Given {
    fn name(&self, config: &Config) -> String {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        given.or_else(|| config.name.clone()).unwrap_or_else(host_name)
    }
    fn kind(&self, config: &Config) -> DeviceKind {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner).1;
        given.or(config.kind).unwrap_or_else(guess_kind)
    }
}

/// Where the web UI is.
pub struct Web {
    /// For a browser on this machine.
    pub url: String,
    /// Where other devices reach it, over TLS.
    pub beyond: Option<SocketAddr>,
    /// The authority that other devices have to install, beyond loopback.
    pub authority: Option<Authority>,
}

pub struct Authority {
    pub pem: String,
    /// SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
}

/// Signs checkpoints with the device's statement key.
struct DeviceSigner(Arc<Identity>);

impl Signer for DeviceSigner {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
    fn public(&self) -> [u8; 32] {
        self.0.statement_public()
    }
}

/// What versions without seals wrote in plain, by folder of the state folder. What came later was sealed from its beginning, and is
/// never added here.
const PLAIN: [(&str, &str); 15] = [
    ("", "peers.json"),
    ("", "home-shown.json"),
    ("airplay", "added.json"),
    ("browser", "added.json"),
    ("googlecast", "added.json"),
    ("homeassistant", "added.json"),
    ("kdeconnect", "identity.json"),
    ("kdeconnect", "paired.json"),
    ("localsend", "*.json"),
    ("matter", "*.json"),
    ("miio", "added.json"),
    ("mqtt", "*.json"),
    ("tls", "authority.key"),
    ("upnp", "added.json"),
    ("yeelight", "added.json"),
];
const LARGEST_PLAIN: u64 = 64 << 20;

/// Once in the life of a state folder: seals what an earlier version left in plain. From then on a file in plain in place of a
/// sealed one was put there by somebody else, and is refused. What is not done is tried again at the next start.
fn seal_all(identity: Identity, data: &Path, credential: Option<&[u8]>) -> Identity {
    if identity.is_sealed() {
        return identity;
    }
    let vault = identity.vault(data, credential);
    let of = |folder: &str| if folder.is_empty() { vault.clone() } else { vault.folder(folder) };
    let done = PLAIN.iter().try_for_each(|(folder, name)| of(folder).seal_all(name, LARGEST_PLAIN));
    match done.and_then(|()| identity.all_sealed()) {
        Ok(sealed) => sealed,
        Err(error) => {
            tracing::warn!("what an earlier version left in plain is not all sealed yet: {error}");
            identity
        }
    }
}

/// What an entry's ids are derived from by its bridge, for each recipient another one. New after new ids, at the next start.
fn derived(identity: &Identity, entry: &str) -> String {
    let entry = EntryKey::new(entry).expect("an entry of this build is well formed");
    identity.derived_id(&entry, "", identity.id_epoch(&entry))
}

impl Hub {
    /// Opens everything under the state folder. Nothing is sent yet.
    pub fn open(options: &UpOptions, stop: CancellationToken) -> Result<Arc<Self>> {
        let state = options.state.clone();
        let config = state.load_config()?;
        let data = state.data();
        let identity = Identity::load_or_create(data).context("this device's keys cannot be used")?;
        let credential = credential()?;
        let credential = credential.as_deref().map(Vec::as_slice);
        let identity = Arc::new(seal_all(identity, data, credential));
        let vault = identity.vault(data, credential);
        let peers = Arc::new(Peers::open(&vault).context("the list of paired devices cannot be used")?);
        let statement =
            house::statement(config.relay.as_deref()).context("the statement of this build is not sound")?;
        let gate = Gate::open(data, statement, Arc::new(DeviceSigner(identity.clone())))
            .context("consents and ledger cannot be opened")?;
        let recogniser = faces::recogniser(&gate, &state.config_file().with_file_name("models.toml"))?;
        let registry = Registry::new();
        if let Err(error) = registry.remember(data) {
            tracing::error!("what was known of devices before is not shown: {error}");
        }
        let given = Given(Mutex::new((options.name.clone(), options.kind)));
        let own = house::own_device(&given.name(&config), given.kind(&config));
        let network = if options.loopback { Network::Loopback } else { Network::All };
        let (link, bridge) = Link::new(
            LinkOptions {
                name: own.name.clone(),
                kind: own.kind,
                services: own.services.clone(),
                relay: config.relay.clone(),
                state: data.to_owned(),
                network,
            },
            identity.clone(),
            peers.clone(),
            gate.bind("link"),
            Arc::new(Heads(gate.ledger().clone())),
        )
        .context("the link cannot be made")?;
        let mut bridges: Vec<Box<dyn Bridge>> = vec![Box::new(bridge)];
        let localsend = accord_localsend::Options::new(&own.name, own.kind, vault.folder("localsend"));
        let localsend = accord_localsend::Options {
            network,
            unverified: config.localsend.unverified,
            addresses: config.localsend.addresses.clone(),
            ..localsend
        };
        match LocalSendBridge::new(gate.bind("localsend"), localsend) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("LocalSend is not available: {why}"),
        }
        let kdeconnect = accord_kdeconnect::Options {
            name: own.name.clone(),
            kind: own.kind,
            folder: vault.folder("kdeconnect"),
            network,
        };
        match KdeConnectBridge::new(gate.bind("kdeconnect"), kdeconnect) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("KDE Connect is not available: {why}"),
        }
        let upnp = accord_upnp::Options { folder: vault.folder("upnp"), network, recogniser: recogniser.clone() };
        match UpnpBridge::new(gate.bind("upnp"), upnp) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("UPnP is not available: {why}"),
        }
        bridges.push(Box::new(LeboBridge::new(gate.bind("lebo"), network)));
        let googlecast = accord_googlecast::Options { folder: vault.folder("googlecast"), network };
        match GoogleCastBridge::new(gate.bind("googlecast"), googlecast) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("Google Cast is not available: {why}"),
        }
        let homeassistant = accord_homeassistant::Options { folder: vault.folder("homeassistant"), network };
        match HomeAssistantBridge::new(gate.bind("homeassistant"), homeassistant) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("Home Assistant is not available: {why}"),
        }
        match MqttBridge::new(gate.bind("mqtt"), accord_mqtt::Options { folder: vault.folder("mqtt") }) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("MQTT is not available: {why}"),
        }
        let matter = accord_matter::Options { folder: vault.folder("matter"), network };
        match MatterBridge::new(gate.bind("matter"), matter) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("Matter is not available: {why}"),
        }
        let airplay = accord_airplay::Options { folder: vault.folder("airplay"), network };
        match AirplayBridge::new(gate.bind("airplay"), airplay) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("AirPlay is not available: {why}"),
        }
        let yeelight = accord_yeelight::Options { folder: vault.folder("yeelight"), network };
        match YeelightBridge::new(gate.bind("yeelight"), yeelight) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("Yeelight is not available: {why}"),
        }
        let miio = accord_miio::Options {
            folder: vault.folder("miio"),
            network,
            port: accord_miio::PORT,
            secret: derived(&identity, "miio/push").into(),
        };
        match MiioBridge::new(gate.bind("miio"), miio) {
            Ok(bridge) => bridges.push(Box::new(bridge)),
            Err(why) => tracing::error!("miIO is not available: {why}"),
        }
        let port = accord_browser::DEFAULT_PORT;
        let browser = accord_browser::Options { folder: vault.folder("browser"), network, port };
        let receiver = match BrowserBridge::new(gate.bind("browser"), browser) {
            Ok((bridge, place)) => {
                bridges.push(Box::new(bridge));
                Some(place)
            }
            Err(why) => {
                tracing::error!("screens with a browser are not available: {why}");
                None
            }
        };
        let inbox = config.inbox.clone().unwrap_or_else(|| state.default_inbox());
        let notes = Arc::new(Notes::open(data)?);
        faces::prefer(&registry);
        let faces = Said::open(data, &registry)?;
        let policy = Arc::new(Trusted { peers: peers.clone(), notes: notes.clone(), registry: registry.clone() });
        let files = FilesConfig { policy, ..FilesConfig::new(inbox, data) };
        let files = Files::new(gate.bind("files"), registry.clone(), files)
            .context("what was sent and received before cannot be opened")?;
        let uploads =
            Uploads::open(data, |id| needs_upload(&files, id)).context("the spool for uploads cannot be opened")?;
        let notifications = NotificationsConfig::new(data);
        let notifications = Notifications::new(gate.bind("notifications"), registry.clone(), notifications)
            .context("notifications cannot be begun")?;
        let clipboard = Clipboard::new(gate.bind("clipboard"), registry.clone(), ClipboardConfig::new(data))
            .context("the clipboard cannot be begun")?;
        let shares = Shares::new(gate.bind("share"), network);
        let names = Names::new(gate.bind("names"), network);
        let casting = Casting::new(gate.bind("casting"), registry.clone(), network, recogniser.clone(), data)
            .context("casting cannot be begun")?;
        let screens =
            Screens::new(gate.bind("screen"), registry.clone(), network).context("showing a screen cannot be begun")?;
        let history = History::open(data, &registry).context("the history of the house cannot be opened")?;
        let shown = Share::open(gate.bind("home"), &registry, &vault, house::OF_HOME_ASSISTANT)
            .context("what is shown elsewhere cannot be read")?;
        let hub = Self {
            config: RwLock::new(config),
            given,
            identity,
            vault,
            peers,
            gate,
            registry,
            link,
            files,
            notifications,
            clipboard,
            shares,
            casting,
            names,
            screens,
            history,
            shown,
            receiver,
            belongings: Belongings::default(),
            auth: Arc::new(Auth::open(data).context("the sessions cannot be opened")?),
            events: Events::new(stop.clone()),
            prompts: Prompts::default(),
            confirmed: Mutex::default(),
            notes,
            order: Order::open(data),
            faces,
            recogniser,
            everyday: OnceLock::new(),
            foreign: Foreign::default(),
            signing: Signings::default(),
            uploads,
            pipes: Pipes::default(),
            stop,
            network,
            started: Instant::now(),
            web: OnceLock::new(),
            bridges: Mutex::new(Bridges { waiting: bridges, running: Vec::new() }),
            state,
        };
        hub.registry.set_own(own);
        hub.apply_refusals()?;
        hub.forget_visitors();
        Ok(Arc::new(hub))
    }

    /// Lets the bridges run. What they may do, the gate says.
    pub fn begin(&self) {
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let Bridges { waiting, running } = &mut *bridges;
        running.extend(waiting.drain(..).map(|bridge| self.registry.add_bridge(bridge)));
    }

    /// The bridges close first: what runs then breaks off as on a cut link, keeps its place on both sides
    /// and goes on later. A transfer that is ended before its stream would tell the other side that the
    /// owner stopped it.
    pub async fn end(&self) {
        self.stop_shares().await;
        self.casting.close();
        self.screens.close();
        if let Some(everyday) = self.everyday.get() {
            everyday.stop().await;
        }
        self.registry.stop().await;
        let running = std::mem::take(&mut self.bridges.lock().unwrap_or_else(PoisonError::into_inner).running);
        if tokio::time::timeout(BRIDGES_WITHIN, futures_util::future::join_all(running)).await.is_err() {
            tracing::warn!("a bridge did not close in time");
        }
        if let Err(error) = self.registry.keep_known().await {
            tracing::warn!("what is known of devices is not kept for the next start: {error}");
        }
        self.files.stop().await;
        self.history.stop().await;
        self.shown.stop().await;
        self.notifications.stop().await;
        self.clipboard.stop();
        let ledger = self.gate.ledger().clone();
        match tokio::task::spawn_blocking(move || ledger.checkpoint()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the ledger's last records are not signed yet"),
            Err(error) => tracing::error!(%error, "the ledger's last records are not signed yet"),
        }
    }

    /// What the configuration file refuses is refused, whatever was decided elsewhere.
    fn apply_refusals(&self) -> Result<()> {
        for entry in &self.config().refuse {
            if self.gate.statement().entry(entry).is_none() {
                anyhow::bail!(
                    "{} refuses `{entry}`, which is not in the statement; `accord statement show` lists the entries",
                    self.state.config_file().display()
                );
            }
            let consents = self.gate.consents();
            let of_entry = || consents.iter().filter(|consent| consent.entry == *entry);
            for given in of_entry().filter(|consent| consent.state == ConsentState::Given) {
                self.gate.withdraw(given.id)?;
            }
            if !of_entry().any(|consent| consent.to == To::Any && consent.state == ConsentState::Refused) {
                self.decide_as(entry.clone(), To::Any, Choice::Never, None, "config")
                    .map_err(|failure| anyhow::anyhow!("{failure}"))?;
            }
        }
        Ok(())
    }

    pub fn config(&self) -> Config {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the configuration file; on disk when this returns.
    pub(super) fn change_config(&self, change: impl FnOnce(&mut Config)) -> Answer<()> {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = config.clone();
        change(&mut changed);
        self.state.save_config(&changed).map_err(|error| Failure::internal("The change could not be saved", error))?;
        *config = changed;
        Ok(())
    }

    pub fn name(&self) -> String {
        self.given.name(&self.config())
    }

    pub fn kind(&self) -> DeviceKind {
        self.given.kind(&self.config())
    }

    pub fn inbox_folder(&self) -> PathBuf {
        self.config().inbox.unwrap_or_else(|| self.state.default_inbox())
    }

    pub fn settings(&self) -> api::Settings {
        let config = self.config();
        api::Settings {
            name: self.name(),
            kind: self.kind(),
            inbox: self.inbox_folder().to_string_lossy().into_owned(),
            notify: config.notify,
            alarms: config.alarms,
            relay: config.relay,
        }
    }

    /// Checks and keeps the settings; they take effect at once.
    pub fn change_settings(&self, settings: &api::Settings) -> Answer<api::Settings> {
        let name = settings.name.trim();
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(accord_model::text::is_unsafe) {
            return Err(Failure::bad_request("A device's name has 1 to 64 characters and no control characters."));
        }
        let inbox = PathBuf::from(&settings.inbox);
        if !inbox.is_absolute() {
            return Err(Failure::bad_request("The inbox is a folder with its full path."));
        }
        if let Some(relay) = &settings.relay
            && !(relay.starts_with("https://") && relay.len() < 256 && relay.is_ascii())
        {
            return Err(Failure::bad_request("A relay is an address like https://relay.example."));
        }
        let before = self.config();
        let statement = house::statement(settings.relay.as_deref())
            .map_err(|error| Failure::bad_request(format!("This relay cannot be declared: {error}")))?;
        let config = Config {
            name: Some(name.to_owned()),
            kind: Some(settings.kind),
            inbox: (inbox != self.state.default_inbox()).then_some(inbox),
            notify: settings.notify,
            alarms: settings.alarms,
            relay: settings.relay.clone(),
            ..before.clone()
        };
        self.state.save_config(&config).map_err(|error| Failure::internal("The settings could not be saved", error))?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        if before.relay != settings.relay {
            self.gate.adopt(statement)?;
        }
        // The owner's word now goes before the command line's of the start.
        *self.given.0.lock().unwrap_or_else(PoisonError::into_inner) = (None, None);
        let own = house::own_device(&self.name(), self.kind());
        self.link.set_own(own.name.clone(), own.kind, own.services.clone());
        self.link.set_relay(settings.relay.clone());
        self.files.set_inbox(self.inbox_folder());
        self.registry.set_own(own);
        let settings = self.settings();
        self.events.tell(api::Event::Settings(settings.clone()));
        Ok(settings)
    }

    /// Gives this device new ids; what became of the paired devices, by id.
    pub async fn reset_id(&self) -> Answer<api::IdReset> {
        let done = self.link.reset_ids().await.map_err(|error| Failure::internal("No new ids were made", error))?;
        let ids = |ids: Vec<accord_model::DeviceId>| ids.iter().map(ToString::to_string).collect();
        Ok(api::IdReset { told: ids(done.told), pair_again: ids(done.away) })
    }

    pub fn set_web(&self, web: Web) {
        let _ = self.web.set(web);
    }
    /// Where a browser on this machine finds the UI.
    pub fn web_url(&self) -> Option<&str> {
        self.web.get().map(|web| web.url.as_str())
    }
    /// The same for other devices: by the owner's names, and by the addresses that this machine has now.
    pub async fn urls_beyond(&self) -> Vec<String> {
        let Some(bound) = self.web.get().and_then(|web| web.beyond) else { return Vec::new() };
        let names = self.config().http_names.into_iter().map(|name| format!("https://{name}:{}", bound.port()));
        let mut ips = vec![bound.ip()];
        if bound.ip().is_unspecified() {
            let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
            let usable = |ip: &IpAddr| (bound.is_ipv6() || ip.is_ipv4()) && !link_local(ip);
            let interfaces = outlet::interfaces::list(Network::All).await;
            let beyond = interfaces.iter().filter(|interface| !interface.loopback);
            ips = beyond.flat_map(outlet::interfaces::Interface::addresses).filter(usable).collect();
        }
        names.chain(ips.into_iter().map(|ip| listen::url(SocketAddr::new(ip, bound.port()), true))).collect()
    }
    pub fn authority(&self) -> Option<&Authority> {
        self.web.get()?.authority.as_ref()
    }

    pub fn status(&self) -> Answer<api::Status> {
        let statement = self.gate.statement();
        let consents = self.gate.consents();
        let state_of = |key: &str| {
            let mut all = consents.iter().filter(|consent| consent.entry.as_str() == key);
            let mut found = api::Switch::Undecided;
            for consent in &mut all {
                match consent.state {
                    ConsentState::Given => return api::Switch::On,
                    ConsentState::Refused => found = api::Switch::Off,
                    _ => {}
                }
            }
            found
        };
        let off = statement
            .entries
            .iter()
            .filter(|entry| state_of(entry.key.as_str()) != api::Switch::On)
            .map(|entry| api::OffFeature {
                entry: entry.key.to_string(),
                title: entry.title("en").to_owned(),
                effect: house::effect(&entry.key).to_owned(),
                turn_on: format!("accord consent grant {}", entry.key),
            })
            .collect();
        Ok(api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: self.name(),
            kind: self.kind(),
            device: house::OWN.to_owned(),
            state_dir: self.state.data().to_string_lossy().into_owned(),
            http: self.web_url().map(str::to_owned),
            discovery: state_of("link/discovery"),
            uptime_s: self.started.elapsed().as_secs(),
            ledger: view::head(&self.gate.ledger().head()?),
            prompts: self.prompts.list().len(),
            offers: self.offers(),
            off,
            first_run: consents.is_empty(),
        })
    }

    /// Runs what waits for the disk beside the async tasks.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Arc<Hub>) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let hub = self.clone();
        tokio::task::spawn_blocking(move || run(&hub))
            .await
            .unwrap_or_else(|error| Err(Failure::internal("The hub failed at this call", error)))
    }
}

/// Where the web UI listens when nobody said.
pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8420);

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = accord_model::text::for_screen(name.trim().split('.').next().unwrap_or_default(), 60);
    if name.is_empty() || name == "localhost" { "Computer".to_owned() } else { name }
}

/// A machine with a battery is a laptop.
fn guess_kind() -> DeviceKind {
    let batteries = std::fs::read_dir("/sys/class/power_supply").into_iter().flatten().flatten();
    let is_battery = |entry: &std::fs::DirEntry| {
        let read = |file| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        read("type").trim() == "Battery" && read("scope").trim() != "Device"
    };
    if batteries.into_iter().any(|entry| is_battery(&entry)) { DeviceKind::Laptop } else { DeviceKind::Computer }
}
