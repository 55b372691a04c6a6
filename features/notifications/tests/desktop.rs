//! The real desktop: a D-Bus of the test's own, `notify-send` as the app, dunst as the notification server.
//!
//! Each test runs itself again in a process whose session bus is a fresh one. Without the programs it says so and passes.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test starts the programs that it tries things with"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, To};
use accord_model::{
    Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Inputs, Outputs, Reach, Target, ToBridge, Verb, catalogue,
};
use accord_notifications::{
    DesktopState, Notification, Notifications, NotificationsConfig, NotificationsEvent, STATEMENT,
};
use accord_registry::{Bridge, BridgeSide, Registry};
use accord_statement::{Publisher, Statement};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);
const CHILD: &str = "ACCORD_TEST_ON_A_BUS";

const BUS: &str = r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"#;

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// True in the process that is to run the test; in the first one it starts a bus and that process.
fn on_a_bus(test: &str, programs: &[&str]) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let missing: Vec<_> = ["dbus-daemon"].iter().chain(programs).filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED {test}: these programs are not installed: {missing:?}");
        return false;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bus.conf");
    std::fs::write(&config, BUS).unwrap();
    let mut bus = Command::new("dbus-daemon");
    bus.arg(format!("--config-file={}", config.display())).args(["--nofork", "--print-address"]);
    let mut bus = Running(bus.stdout(Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    BufReader::new(bus.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env(CHILD, "1").env("DBUS_SESSION_BUS_ADDRESS", address.trim());
    let outcome = again.env_remove("WAYLAND_DISPLAY").output().unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    false
}

struct Phone {
    say: mpsc::Sender<FromBridge>,
    told: mpsc::Receiver<(String, Inputs)>,
}

struct Memory(mpsc::Receiver<FromBridge>, mpsc::Sender<(String, Inputs)>);

fn phone() -> DeviceId {
    DeviceId::new("phone").unwrap()
}

#[async_trait]
impl Bridge for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut device = Device::new(phone(), DeviceKind::Phone, "Pixel").with(catalogue::notifications());
        device.reach = Reach::Local;
        side.tell(FromBridge::Seen { device }).await.map_err(|_| "gone")?;
        loop {
            tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, verb: Verb::Act { action, inputs }, .. }, _)) => {
                        let _ = self.1.send((action, inputs)).await;
                        let outcome = Ok(Outputs::new());
                        side.tell(FromBridge::Reply { call, outcome }).await.map_err(|_| "gone")?;
                    }
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => {}
                },
                Some(said) = self.0.recv() => side.tell(said).await.map_err(|_| "gone")?,
            }
        }
    }
}

impl Phone {
    async fn next(&mut self) -> (String, Inputs) {
        timeout(SOON, self.told.recv()).await.expect("the phone is told something").unwrap()
    }
    async fn event(&self, event: &str, pairs: &[(&str, &str)]) {
        let arguments = pairs.iter().map(|(name, text)| ((*name).to_owned(), Data::from(*text))).collect();
        let target = Target::new("notifications");
        self.say.send(FromBridge::Event { device: phone(), target, event: event.into(), arguments }).await.unwrap();
    }
}

fn text<'a>(inputs: &'a Inputs, name: &str) -> &'a str {
    inputs.get(name).and_then(Data::as_text).unwrap_or("")
}

struct Hub {
    feature: Notifications,
    _registry: Registry,
    _dir: tempfile::TempDir,
}

fn hub() -> (Hub, Phone) {
    let dir = tempfile::tempdir().unwrap();
    let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(&dir.path().join("gate"), statement, accord_consent::example::key(7)).unwrap();
    for entry in ["notifications/mirror", "notifications/answer"] {
        let entry = EntryKey::new(entry).unwrap();
        let shown = gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(&phone()));
        gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    }
    let registry = Registry::new();
    let ((say, heard), (tell, told)) = (mpsc::channel(64), mpsc::channel(64));
    registry.add_bridge(Box::new(Memory(heard, tell)));
    let config = NotificationsConfig::new(dir.path());
    let feature = Notifications::new(gate.bind("notifications"), registry.clone(), config).unwrap();
    (Hub { feature, _registry: registry, _dir: dir }, Phone { say, told })
}

impl Hub {
    async fn until<T>(&self, mut found: impl FnMut(&Notifications) -> Option<T>) -> T {
        timeout(SOON, async {
            loop {
                if let Some(found) = found(&self.feature) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("it does not come to that: {:?} {:?}", self.feature.desktop(), self.feature.list()))
    }
    async fn stands(&self, wanted: fn(&DesktopState) -> bool) {
        self.until(|feature| wanted(&feature.desktop()).then_some(())).await;
    }
    async fn listed(&self, title: &str) -> Notification {
        self.until(|feature| feature.list().into_iter().find(|one| one.title == title)).await
    }
}

fn notify_send(arguments: &[&str]) -> Running {
    let mut command = Command::new("notify-send");
    Running(command.args(["--app-name", "Chat"]).args(arguments).stdout(Stdio::piped()).spawn().unwrap())
}

async fn output(mut running: Running) -> String {
    let done = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        std::io::Read::read_to_string(running.0.stdout.as_mut().unwrap(), &mut said).unwrap();
        running.0.wait().unwrap();
        said
    });
    timeout(SOON, done).await.expect("the app ends").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_server_runs_accord_lists_what_apps_say_and_passes_answers_back() {
    let test = "where_no_server_runs_accord_lists_what_apps_say_and_passes_answers_back";
    if !on_a_bus(test, &["notify-send"]) {
        return;
    }
    let (hub, mut phone) = hub();
    hub.stands(|state| *state == DesktopState::Serving).await;
    let asks = notify_send(&["--action", "yes=Yes, at noon", "--action", "no=No", "Mira", "<b>Lunch</b> &amp; tea?"]);
    let (action, shown) = phone.next().await;
    assert_eq!((action.as_str(), text(&shown, "app"), text(&shown, "title")), ("show", "Chat", "Mira"));
    assert_eq!(text(&shown, "body"), "Lunch & tea?");
    assert_eq!(shown["actions"], Data::Texts(vec!["Yes, at noon".into(), "No".into()]));
    assert_eq!(hub.listed("Mira").await.actions.len(), 2);

    phone.event("acted", &[("id", text(&shown, "id")), ("action", "Yes, at noon")]).await;
    assert_eq!(output(asks).await.trim(), "yes", "the app is told what was chosen on the phone");
    hub.until(|feature| feature.list().is_empty().then_some(())).await;
    assert_eq!(phone.next().await.0, "dismiss");

    // Dismissed on the phone, the app is told that it is closed.
    let waits = notify_send(&["--wait", "Second", "One"]);
    let (_, shown) = phone.next().await;
    phone.event("removed", &[("id", text(&shown, "id"))]).await;
    output(waits).await;

    // One that ends by itself stays listed and on the phone.
    output(notify_send(&["--expire-time", "50", "Third", "One"])).await;
    phone.next().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hub.listed("Third").await;
    assert!(phone.told.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_hub_follows_the_first_takes_its_place_and_no_popup_echoes() {
    let test = "a_second_hub_follows_the_first_takes_its_place_and_no_popup_echoes";
    if !on_a_bus(test, &["notify-send"]) {
        return;
    }
    let (first, mut of_first) = hub();
    first.stands(|state| *state == DesktopState::Serving).await;
    let (second, mut of_second) = hub();
    let follows = |state: &DesktopState| matches!(state, DesktopState::Following { server, message: None } if server.as_deref() == Some("Accord"));
    second.stands(follows).await;
    output(notify_send(&["Mira", "Lunch?"])).await;
    assert_eq!(text(&of_first.next().await.1, "body"), "Lunch?");
    assert_eq!(text(&of_second.next().await.1, "body"), "Lunch?");
    of_second.event("posted", &[("id", "7"), ("app", "Mail"), ("title", "New mail")]).await;
    second.listed("New mail").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(first.feature.list().iter().all(|one| one.title != "New mail"), "a popup is not an app's notification");
    assert!(of_first.told.try_recv().is_err() && of_second.told.try_recv().is_err());

    first.feature.stop().await;
    drop(first);
    second.stands(|state| *state == DesktopState::Serving).await;
    output(notify_send(&["Later", "Dinner?"])).await;
    second.listed("Later").await;
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// dunst in a screen of its own, and how many popups it shows.
struct Dunst {
    _screen: Running,
    _server: Running,
    display: String,
}

impl Dunst {
    async fn start() -> Self {
        let mut screen = Command::new("Xvfb");
        screen.args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"]);
        let mut screen = Running(screen.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let mut number = String::new();
        BufReader::new(screen.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let mut server = Command::new("dunst");
        let server = Running(server.env("DISPLAY", &display).stderr(Stdio::null()).spawn().unwrap());
        Self { _screen: screen, _server: server, display }
    }
    fn shown(&self) -> String {
        let count = run("dunstctl", &["count", "displayed"]);
        String::from_utf8_lossy(&count.stdout).trim().to_owned()
    }
    async fn shows(&self, wanted: &str) {
        for _ in 0..300 {
            if self.shown() == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("dunst on {} shows {}, not {wanted}", self.display, self.shown());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_dunst_notifications_go_both_ways_and_dunst_keeps_running() {
    let test = "beside_dunst_notifications_go_both_ways_and_dunst_keeps_running";
    if !on_a_bus(test, &["notify-send", "dunst", "dunstctl", "Xvfb"]) {
        return;
    }
    let dunst = Dunst::start().await;
    dunst.shows("0").await;
    let (hub, mut phone) = hub();
    let follows = |state: &DesktopState| matches!(state, DesktopState::Following { server, message: None } if server.as_deref() == Some("dunst"));
    hub.stands(follows).await;

    // An app's, changed by its number, to the phone; dismissed there, gone here.
    let number = output(notify_send(&["--print-id", "--expire-time", "0", "Mira", "Lunch?"])).await;
    let (_, shown) = phone.next().await;
    assert_eq!(text(&shown, "body"), "Lunch?");
    dunst.shows("1").await;
    output(notify_send(&["--replace-id", number.trim(), "--expire-time", "0", "Mira", "Dinner?"])).await;
    let (_, changed) = phone.next().await;
    assert_eq!((text(&changed, "body"), text(&changed, "id")), ("Dinner?", text(&shown, "id")));
    phone.event("removed", &[("id", text(&shown, "id"))]).await;
    dunst.shows("0").await;
    assert!(phone.told.try_recv().is_err());

    // An app's, dismissed here, gone there.
    output(notify_send(&["--expire-time", "0", "Second", "One"])).await;
    let (_, shown) = phone.next().await;
    dunst.shows("1").await;
    run("dunstctl", &["close"]);
    let (action, gone) = phone.next().await;
    assert_eq!((action.as_str(), text(&gone, "id")), ("dismiss", text(&shown, "id")));

    // The phone's, shown by dunst; taken back there, gone here; dismissed here, told there.
    phone.event("posted", &[("id", "a"), ("app", "Mail"), ("title", "First mail"), ("body", "<b>Hi</b>")]).await;
    dunst.shows("1").await;
    phone.event("removed", &[("id", "a")]).await;
    dunst.shows("0").await;
    let history = run("dunstctl", &["history"]);
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    assert!(history.contains("First mail") && history.contains("&lt;b&gt;Hi"), "{history}");
    phone.event("posted", &[("id", "b"), ("app", "Mail"), ("title", "Second mail")]).await;
    dunst.shows("1").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    run("dunstctl", &["close"]);
    let (action, gone) = phone.next().await;
    assert_eq!((action.as_str(), text(&gone, "id")), ("dismiss", "b"));

    // A code is copied by the popup's action.
    let mut events = hub.feature.events();
    phone.event("posted", &[("id", "c"), ("app", "Bank"), ("title", "Code"), ("body", "Your code is 493021")]).await;
    dunst.shows("1").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    run("dunstctl", &["action", "0"]);
    let copied = timeout(SOON, async {
        loop {
            if let Ok(NotificationsEvent::Copy(code)) = events.recv().await {
                return code;
            }
        }
    });
    assert_eq!(copied.await.expect("the popup's action is heard"), "493021");
}
