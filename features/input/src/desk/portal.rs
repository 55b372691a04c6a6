//! Wayland: strokes by the desktop's portal (`org.freedesktop.portal.RemoteDesktop`, version 1). The portal asks the person in
//! front of the screen first, once per run of the hub, and shows for as long as it lasts that somebody else is let in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use accord_consent::outlet;
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use zbus::{Connection, MatchRule, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use super::{Desk, DeskError, keys};
use crate::{Button, Modifier, Stroke};

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const REMOTE: &str = "org.freedesktop.portal.RemoteDesktop";
const REQUEST: &str = "org.freedesktop.portal.Request";
const WITHIN: Duration = Duration::from_secs(5);
/// How long the person in front of the screen may think.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// After a no, nobody is asked again for so long.
const NOT_AGAIN: Duration = Duration::from_secs(600);
const KEYBOARD: u32 = 1;
const POINTER: u32 = 2;
const QUEUE: std::num::NonZeroUsize = std::num::NonZeroUsize::new(8).expect("8 is not 0");
/// A point's fractions are of a screen whose size the portal does not tell: this many pixels.
const WIDTH: f64 = 1920.0;

type Options<'a> = HashMap<&'a str, Variant<'a>>;

/// The portal's word, once it is there.
pub(super) enum Portal {
    /// It asks the person.
    Asking(JoinHandle<Result<Session, String>>),
    /// It agreed.
    Open(Session),
    /// It did not, for these reasons.
    Closed(String, Instant),
}

pub(super) struct Session {
    bus: Connection,
    session: OwnedObjectPath,
    devices: u32,
}

impl Portal {
    /// Asks the portal, and does not wait for its answer: that is a person's.
    #[allow(clippy::unused_async, reason = "one form for all desktops")]
    pub async fn open() -> Result<Self, DeskError> {
        Ok(Self::Asking(tokio::spawn(async {
            let asked = tokio::time::timeout(ANSWER_WITHIN, Session::begin());
            match asked.await {
                Ok(outcome) => outcome.map_err(|error| accord_model::text::for_screen(&error, 200)),
                Err(_) => Err("nobody answered in front of this screen".to_owned()),
            }
        })))
    }

    async fn session(&mut self) -> Result<&Session, DeskError> {
        if let Self::Asking(asking) = self {
            if !asking.is_finished() {
                return Err(DeskError::Refused(
                    "it asks the person in front of the screen; try again after that".into(),
                ));
            }
            *self = match asking.await {
                Ok(Ok(session)) => Self::Open(session),
                Ok(Err(why)) => Self::Closed(why, Instant::now()),
                Err(panic) => Self::Closed(panic.to_string(), Instant::now()),
            };
        }
        match self {
            Self::Open(session) => Ok(session),
            Self::Closed(why, since) if since.elapsed() > NOT_AGAIN => Err(DeskError::Gone(why.clone())),
            Self::Closed(why, _) => Err(DeskError::Refused(why.clone())),
            Self::Asking(_) => Err(DeskError::Deadline),
        }
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        if let Self::Asking(asking) = self {
            asking.abort();
        }
    }
}

#[async_trait]
impl Desk for Portal {
    async fn play(&mut self, stroke: &Stroke) -> Result<(), DeskError> {
        let session = self.session().await?;
        let needs = if matches!(stroke, Stroke::Key(..) | Stroke::Type(_)) { KEYBOARD } else { POINTER };
        if session.devices & needs == 0 {
            return Err(DeskError::Refused("the person in front of the screen let in something else".into()));
        }
        session.play(stroke).await.map_err(|error| DeskError::Gone(error.to_string()))
    }

    /// Nothing that was typed stays with the portal. The session stays: another one would ask again.
    async fn tidy(&mut self) {}
}

impl Session {
    async fn begin() -> Result<Self, String> {
        let bus = outlet::session_bus().await.map_err(|error| error.to_string())?;
        let asked = async {
            let token = Variant::from("accord");
            let options = Options::from([("session_handle_token", token)]);
            let said = request(&bus, "CreateSession", |options| (options,), options).await?;
            let handle = said.get("session_handle").ok_or("it named no session")?;
            let handle: &str = handle.try_into().map_err(|_| "it named no session")?;
            let session = ObjectPath::try_from(handle.to_owned()).map_err(|error| error.to_string())?;
            let session = OwnedObjectPath::from(session);
            let options = Options::from([("types", Variant::from(KEYBOARD | POINTER))]);
            request(&bus, "SelectDevices", |options| (&session, options), options).await?;
            let said = request(&bus, "Start", |options| (&session, "", options), Options::new()).await?;
            let devices = said.get("devices").and_then(|devices| u32::try_from(devices).ok());
            Ok::<_, String>((session, devices.unwrap_or(0)))
        };
        let (session, devices) = asked.await?;
        Ok(Self { bus, session, devices })
    }

    async fn play(&self, stroke: &Stroke) -> zbus::Result<()> {
        match stroke {
            Stroke::Move { dx, dy } => self.notify("NotifyPointerMotion", (*dx, *dy)).await,
            Stroke::Point { dx, dy } => self.notify("NotifyPointerMotion", (dx * WIDTH, dy * WIDTH)).await,
            // Axis 0 is the vertical one, and its steps go down.
            Stroke::Scroll { dx, dy } => {
                let axis = u32::from(dx.abs() > dy.abs());
                let forward = if axis == 1 { *dx > 0.0 } else { *dy <= 0.0 };
                self.notify("NotifyPointerAxisDiscrete", (axis, if forward { 1i32 } else { -1 })).await
            }
            Stroke::Click(button, times) => {
                for _ in 0..*times {
                    self.button(*button, true).await?;
                    self.button(*button, false).await?;
                }
                Ok(())
            }
            Stroke::Hold(button) => self.button(*button, true).await,
            Stroke::Release(button) => self.button(*button, false).await,
            Stroke::Key(key, held) => self.tap(keys::of_key(*key), &keys::held(*key, held)).await,
            Stroke::Type(text) => {
                for char in keys::typed(text) {
                    self.tap(keys::of_char(char), &[]).await?;
                }
                Ok(())
            }
        }
    }

    async fn tap(&self, sym: u32, held: &[Modifier]) -> zbus::Result<()> {
        let held: Vec<u32> = held.iter().map(|held| keys::of_modifier(*held)).collect();
        for sym in &held {
            self.key(*sym, true).await?;
        }
        self.key(sym, true).await?;
        self.key(sym, false).await?;
        for sym in held.iter().rev() {
            self.key(*sym, false).await?;
        }
        Ok(())
    }

    async fn key(&self, sym: u32, down: bool) -> zbus::Result<()> {
        self.notify("NotifyKeyboardKeysym", (sym.cast_signed(), u32::from(down))).await
    }

    /// Buttons as the kernel numbers them (`linux/input-event-codes.h`).
    async fn button(&self, button: Button, down: bool) -> zbus::Result<()> {
        let code = match button {
            Button::Left => 0x110i32,
            Button::Right => 0x111,
            Button::Middle => 0x112,
        };
        self.notify("NotifyPointerButton", (code, u32::from(down))).await
    }

    async fn notify<A, B>(&self, method: &str, (first, second): (A, B)) -> zbus::Result<()>
    where
        A: serde::Serialize + zbus::Type,
        B: serde::Serialize + zbus::Type,
    {
        let body = (&self.session, Options::new(), first, second);
        let told = self.bus.call_method(Some(PORTAL), PATH, Some(REMOTE), method, &body);
        tokio::time::timeout(WITHIN, told).await.map_err(|_| timed_out())?.map(drop)
    }
}

/// One of the portal's requests: called, and answered later by a signal of its own.
async fn request<'a, B: serde::Serialize + zbus::DynamicType>(
    bus: &Connection,
    method: &str,
    body: impl FnOnce(Options<'a>) -> B,
    mut options: Options<'a>,
) -> Result<HashMap<String, OwnedVariant>, String> {
    let plain = |error: zbus::Error| error.to_string();
    let token = format!("accord_{}", method.to_lowercase());
    options.insert("handle_token", Variant::from(token.clone()));
    let name = bus.unique_name().map(|name| name.trim_start_matches(':').replace('.', "_")).unwrap_or_default();
    let path = format!("{PATH}/request/{name}/{token}");
    let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).interface(REQUEST).member("Response");
    let rule = rule.path(path.as_str()).build().map_err(plain)?;
    let mut answers = MessageStream::for_match_rule(rule, bus, Some(QUEUE)).await.map_err(plain)?;
    let body = body(options);
    let asked = bus.call_method(Some(PORTAL), PATH, Some(REMOTE), method, &body);
    match tokio::time::timeout(WITHIN, asked).await {
        Ok(outcome) => drop(outcome.map_err(|error| format!("this desktop's portal lets nobody in: {error}"))?),
        Err(_) => return Err("this desktop's portal does not answer".into()),
    }
    let answer = answers.next().await.ok_or("the bus is gone")?.map_err(plain)?;
    let (code, said): (u32, HashMap<String, OwnedVariant>) = answer.body().deserialize().map_err(plain)?;
    match code {
        0 => Ok(said),
        1 => Err("the person in front of the screen said no".into()),
        _ => Err("the portal ended it".into()),
    }
}

fn timed_out() -> zbus::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the portal does not answer").into()
}
