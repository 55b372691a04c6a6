//! The hub: what `accord up` runs. Opens everything, serves the API, starts link and features, and
//! ends in order: running transfers keep their place, the ledger is sealed.

mod alarms;
mod browse;
mod casts;
mod control;
mod devices;
mod everyday;
pub mod faces;
mod foreign;
pub mod forms;
pub mod home;
pub mod house;
pub mod hub;
pub mod joining;
mod listen;
mod names;
mod notes;
mod notices;
mod notify;
mod offers;
mod order;
mod people;
pub mod pipes;
mod privacy;
pub mod prompts;
mod receiver;
mod screens;
mod shares;
mod shown;
mod signing;
mod tls;
mod transfers;
pub mod uploads;
mod view;
mod watch;
mod why;
mod witness;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::{self, OutletError, local};
use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::guard::{Door, Guard};
use crate::state::{HubLock, UpOptions};
use hub::{Authority, DEFAULT_HTTP, Hub, Web};
use listen::Serving;
use tls::Tls;

const END_WITHIN: Duration = Duration::from_secs(8);

/// Runs the hub until it is told to stop.
pub async fn run(options: UpOptions) -> Result<()> {
    log();
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be awaited")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be awaited")?;
    let running = start(&options).await?;
    greet(&running.hub, options.open).await;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    // A second signal does not wait.
    tokio::select! {
        () = running.end() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A hub that runs.
pub struct Running {
    pub hub: Arc<Hub>,
    tracker: TaskTracker,
    _lock: HubLock,
}

/// Opens the state folder and starts everything in it.
pub async fn start(options: &UpOptions) -> Result<Running> {
    let lock = options.state.lock()?;
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    let hub = Hub::open(options, stop.clone())?;
    let names = hub.config().http_names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let guard = Guard { auth: hub.auth.clone(), names };
    let serving = Serving { router: crate::api::router(hub.clone(), guard), stop, tracker: tracker.clone() };
    watch::start(&hub, &tracker)?;
    let address = options.state.socket_address()?;
    let socket = Arc::new(local::unix_listener(address.path()).await?);
    let accept = move || {
        let socket = socket.clone();
        async move {
            let (stream, _) = socket.accept().await?;
            // The folder and the socket are the owner's alone; this holds even where permissions do not.
            let uid = stream.peer_cred()?.uid();
            if uid != 0 && uid != rustix::process::getuid().as_raw() {
                return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "another user called"));
            }
            Ok((stream, Door::Owner))
        }
    };
    serving.on(accept, None);
    serve_web(&hub, &serving, options.http).await?;
    hub.begin();
    tracing::info!(state = %options.state.label(), web = hub.web_url(), "the hub runs");
    Ok(Running { hub, tracker, _lock: lock })
}

impl Running {
    /// Stops in order; what does not end in time is left to the journals.
    pub async fn end(self) {
        let finished = async {
            self.hub.end().await;
            self.hub.stop.cancel();
            self.tracker.close();
            self.tracker.wait().await;
        };
        if tokio::time::timeout(END_WITHIN, finished).await.is_err() {
            tracing::warn!("something did not end in time; it goes on where it was at the next start");
            self.hub.stop.cancel();
        }
        let _ = std::fs::remove_file(self.hub.state.socket());
    }
}

/// Accepts browsers. A macro, because the listener's type is the outlet's to name.
macro_rules! browsers {
    ($listener:ident) => {{
        let listener = Arc::new($listener);
        move || {
            let listener = listener.clone();
            async move {
                let (stream, peer) = listener.accept().await?;
                let local = stream.local_addr()?;
                stream.set_nodelay(true)?;
                Ok((stream, Door::Web { peer, local, tls: false }))
            }
        }
    }};
}

/// The web UI: on loopback always, and with TLS on the address beyond it that the owner chose.
async fn serve_web(hub: &Arc<Hub>, serving: &Serving, asked: Option<SocketAddr>) -> Result<()> {
    let config = hub.config();
    let chosen = asked.or(config.http);
    let (loopback, beyond) = match chosen {
        Some(address) if !address.ip().is_loopback() => (None, Some(address)),
        chosen => (chosen, None),
    };
    let listener = match loopback {
        Some(address) => local::web_listener(address).await?,
        None => match local::web_listener(DEFAULT_HTTP).await {
            Err(OutletError::Io { .. }) => local::web_listener((Ipv4Addr::LOCALHOST, 0).into()).await?,
            outcome => outcome?,
        },
    };
    let url = listen::url(listener.local_addr()?, false);
    serving.on(browsers!(listener), None);
    let (mut authority, mut open_at) = (None, None);
    if let Some(address) = beyond {
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(certificate), Some(key)) => Tls::given(certificate, key)?,
            (None, None) => Tls::own(&hub.vault.folder("tls"), &config.http_names)?,
            _ => anyhow::bail!("`tls-cert` and `tls-key` belong together; give both or neither"),
        };
        authority = tls
            .authority_pem()
            .map(|pem| Ok::<_, anyhow::Error>(Authority { pem: pem.to_owned(), fingerprint: tls::fingerprint(pem)? }))
            .transpose()?;
        let listener = local::tls_web_listener(address).await?;
        let bound = listener.local_addr()?;
        open_at = Some(bound);
        tracing::info!(address = %bound, "the web UI is open beyond this machine, over TLS");
        serving.on(browsers!(listener), Some(Arc::new(tls)));
    }
    hub.set_web(Web { url, beyond: open_at, authority });
    Ok(())
}

/// Tells the person at the terminal where to go on.
async fn greet(hub: &Hub, open: bool) {
    let mut out = std::io::stdout();
    let Some(url) = hub.web_url() else { return };
    if !out.is_terminal() {
        // A log keeps lines; a link that signs in is not for keeping.
        let _ = writeln!(out, "Accord runs: {url} (run `accord open` to sign in)");
        return;
    }
    let setup = match crate::api::make_link(hub).await {
        Ok(setup) => setup,
        Err(error) => {
            tracing::warn!(%error, "no setup link");
            return;
        }
    };
    let link = &setup.url;
    let _ = writeln!(out, "Accord runs. Open it once within ten minutes:\n\n  {link}\n");
    if let Some(other) = setup.others.first() {
        let _ =
            writeln!(out, "On another device (`accord open --for-other` shows a code for its camera):\n\n  {other}\n");
        if let Some(install) = &setup.install {
            let _ = writeln!(out, "First install its certificate there, from {}, and compare:", install.url);
            let _ = writeln!(out, "  {}\n", install.fingerprint);
        }
    }
    let _ = writeln!(out, "Later: `accord open`. Stop it with Ctrl-C.");
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if open && desktop {
        match outlet::command("xdg-open").map(|mut command| command.arg(link).kill_on_drop(false).spawn()) {
            Ok(Ok(child)) => drop(child),
            Ok(Err(error)) => tracing::debug!(%error, "no browser could be opened"),
            Err(error) => tracing::debug!(%error, "no browser could be opened"),
        }
    }
}

fn log() {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_env("ACCORD_LOG").unwrap_or_else(|_| EnvFilter::new("warn,accord=info"));
    let _ = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).try_init();
}
