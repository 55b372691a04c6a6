//! Where one renderer tells of changes: a listener for it alone, at an address that nobody can guess.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::interfaces::{Network, list};
use accord_consent::outlet::{Served, ServedStream, serve};
use accord_consent::{Permit, SendError};
use accord_http::response_head;
use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::exchange::{NoAnswer, failed};
use crate::core::gena::{Notice, Reading, Teller};

/// Connections at once.
const CONNECTIONS: usize = 4;
/// How long one may take.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How long one listens at one address.
const LASTS: Duration = Duration::from_secs(24 * 3600);
/// What is heard and not read yet.
pub(crate) const QUEUE: usize = 16;
const AFTER_ERROR: Duration = Duration::from_millis(300);

/// What comes.
pub(crate) enum Heard {
    /// An event; the status answers it.
    Told { teller: Teller, notice: Notice, answer: oneshot::Sender<u16> },
    /// Nothing comes any more.
    Over,
}

/// Listens until it is dropped, the consent ends, or its time is over.
pub(crate) struct Ear {
    at: SocketAddr,
    served: Arc<Served>,
    _task: AbortOnDropHandle<()>,
}

impl Ear {
    pub(crate) async fn open(
        permit: Permit,
        renderer: Ipv4Addr,
        network: Network,
        to: mpsc::Sender<Heard>,
    ) -> Result<Self, NoAnswer> {
        let renderer = IpAddr::from(renderer);
        let near = list(network).await;
        let here = near.iter().filter(|interface| interface.is_on_link(renderer)).find_map(|one| one.v4.first());
        let (here, _) = here.ok_or_else(|| NoAnswer::Unreachable("no network is shared with it".to_owned()))?;
        let served = serve(permit, SocketAddr::new((*here).into(), 0), renderer, LASTS).await;
        let served = Arc::new(served.map_err(|error| failed(error, NoAnswer::Unreachable))?);
        let at = served.local_addr().map_err(|error| NoAnswer::Unreachable(error.to_string()))?;
        let task = AbortOnDropHandle::new(tokio::spawn(listen(served.clone(), to)));
        Ok(Self { at, served, _task: task })
    }

    /// Where it is to tell.
    pub(crate) fn callback(&self, teller: Teller) -> String {
        format!("http://{}{}{}", self.at, self.served.path(), teller.path())
    }
}

async fn listen(served: Arc<Served>, to: mpsc::Sender<Heard>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, they end.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match served.accept().await {
            Ok(Some(stream)) => {
                // Whoever floods is closed unanswered.
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let (served, to) = (served.clone(), to.clone());
                connections.spawn(async move {
                    let _place = place;
                    match tokio::time::timeout(TOLD_WITHIN, answer(&served, stream, &to)).await {
                        Ok(Err(error)) => tracing::debug!(%error, "an event was not answered"),
                        Ok(Ok(())) => {}
                        Err(_) => tracing::debug!("an event did not come in time"),
                    }
                });
            }
            Ok(None) => {
                let _ = to.send(Heard::Over).await;
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// One event, one answer.
async fn answer(served: &Served, mut stream: ServedStream, to: &mpsc::Sender<Heard>) -> Result<(), SendError> {
    let status = match read(&mut stream).await? {
        Ok((path, notice)) => match teller_at(served, &path) {
            Some(teller) => tell(to, teller, notice).await,
            None => 404,
        },
        Err(status) => status,
    };
    stream.frame(&response_head(status, 0, "text/plain", false, "")).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn read(stream: &mut ServedStream) -> Result<Result<(String, Notice), u16>, SendError> {
    let mut reading = Reading::default();
    let mut buffer = vec![0; 8192];
    loop {
        let length = stream.read(&mut buffer).await?;
        match reading.bytes(&buffer[..length]) {
            Ok(Some(read)) => return Ok(Ok(read)),
            Ok(None) if length == 0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            Ok(None) => {}
            Err(status) => return Ok(Err(status)),
        }
    }
}

fn teller_at(served: &Served, path: &str) -> Option<Teller> {
    let below = path.get(served.path().len()..).filter(|_| served.is_path(path))?;
    Teller::ALL.into_iter().find(|teller| teller.path() == below)
}

async fn tell(to: &mpsc::Sender<Heard>, teller: Teller, notice: Notice) -> u16 {
    let (answer, answered) = oneshot::channel();
    match to.try_send(Heard::Told { teller, notice, answer }) {
        Ok(()) => answered.await.unwrap_or(503),
        Err(_) => 503,
    }
}
