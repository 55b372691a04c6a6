//! Real sessions: xclip in a screen of Xvfb, wl-clipboard in a headless sway.
//!
//! Each test runs itself again in a process whose session is a fresh one. Without the programs it says so and passes.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test starts the programs that it tries things with"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use accord_clipboard::{
    Clipboard, ClipboardConfig, ClipboardError, ClipboardRules, Content, DeviceRule, Receiving, STATEMENT,
};
use accord_consent::{Choice, Decision, Gate, RecipientId, To};
use accord_model::{
    Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Inputs, Outputs, Reach, Target, ToBridge, Verb, catalogue,
};
use accord_registry::{Bridge, BridgeSide, Registry};
use accord_statement::{Publisher, Statement};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);
const CHILD: &str = "ACCORD_TEST_IN_A_SESSION";

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn are_there(test: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED {test}: these programs are not installed: {missing:?}");
    }
    missing.is_empty()
}

/// Runs the test again, as a process of that session.
fn again(test: &str, session: &[(&str, &str)]) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env(CHILD, "1");
    again.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").envs(session.iter().copied());
    let outcome = again.output().unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
}

fn is_inside() -> bool {
    std::env::var_os(CHILD).is_some()
}

struct Phone {
    say: mpsc::Sender<FromBridge>,
    told: mpsc::Receiver<Inputs>,
}

struct Memory(mpsc::Receiver<FromBridge>, mpsc::Sender<Inputs>);

fn phone() -> DeviceId {
    DeviceId::new("phone").unwrap()
}

#[async_trait]
impl Bridge for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut device = Device::new(phone(), DeviceKind::Phone, "Pixel").with(catalogue::clipboard());
        device.reach = Reach::Local;
        side.tell(FromBridge::Seen { device }).await.map_err(|_| "gone")?;
        loop {
            tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, verb: Verb::Act { inputs, .. }, .. }, _)) => {
                        let _ = self.1.send(inputs).await;
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
    async fn next(&mut self) -> Inputs {
        timeout(SOON, self.told.recv()).await.expect("the phone is told something").unwrap()
    }
    async fn nothing(&mut self) {
        let told = timeout(Duration::from_millis(2500), self.told.recv()).await;
        assert!(told.is_err(), "the phone was told {told:?}");
    }
    async fn copied(&self, name: &str, data: Data) {
        let arguments = Outputs::from([(name.to_owned(), data)]);
        let target = Target::new("clipboard");
        self.say.send(FromBridge::Event { device: phone(), target, event: "changed".into(), arguments }).await.unwrap();
    }
}

/// A hub whose phone gets whatever is copied, and whose clipboard takes whatever the phone copied.
async fn hub(dir: &tempfile::TempDir) -> (Clipboard, Registry, Phone) {
    let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(&dir.path().join("gate"), statement, accord_consent::example::key(7)).unwrap();
    let entry = EntryKey::new("clipboard/share").unwrap();
    let shown = gate.notice(&entry, "en").unwrap().shown("test");
    gate.decide(Decision::new(entry, To::One(RecipientId::device(&phone())), Choice::Always, shown)).unwrap();
    let registry = Registry::new();
    let ((say, heard), (tell, told)) = (mpsc::channel(64), mpsc::channel(64));
    registry.add_bridge(Box::new(Memory(heard, tell)));
    let feature = Clipboard::new(gate.bind("clipboard"), registry.clone(), ClipboardConfig::new(dir.path())).unwrap();
    let devices = BTreeMap::from([(phone(), DeviceRule { send: true, receive: None })]);
    feature.set_rules(ClipboardRules { receive: Receiving::Automatic, devices }).await.unwrap();
    // The clipboard is looked at once before changes count.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    (feature, registry, Phone { say, told })
}

fn copy(program: &[&str], content: &[u8]) {
    let mut copy = Command::new(program[0]);
    copy.args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut copy = copy.spawn().unwrap();
    copy.stdin.take().unwrap().write_all(content).unwrap();
    assert!(copy.wait().unwrap().success());
}

fn paste(program: &[&str]) -> Vec<u8> {
    Command::new(program[0]).args(&program[1..]).output().unwrap().stdout
}

fn png(seed: u8) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".to_vec(), (0..=255).collect(), vec![seed]].concat()
}

/// The program that holds it takes the selection a moment after it was started.
async fn can_be_pasted(command: &[&str], wanted: &[u8]) {
    let there = async {
        while paste(command) != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, there).await.expect("it can be pasted");
}

async fn goes_both_ways(copy_text: &[&str], copy_png: &[&str], paste_text: &[&str], paste_png: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let (feature, _registry, mut phone) = hub(&dir).await;
    assert!(matches!(feature.get().await, Err(ClipboardError::Empty)), "{:?}", feature.get().await);
    copy(copy_text, "Grüße\n".as_bytes());
    assert_eq!(phone.next().await["content"], Data::from("Grüße\n"));
    copy(copy_png, &png(1));
    assert_eq!(phone.next().await["image"], Data::Bytes(png(1)));

    phone.copied("content", Data::from("from the phone")).await;
    can_be_pasted(paste_text, b"from the phone").await;
    phone.nothing().await;
    phone.copied("image", Data::Bytes(png(2))).await;
    can_be_pasted(paste_png, &png(2)).await;
    phone.nothing().await;
    assert_eq!(feature.get().await.unwrap(), Content::Image(png(2)));
    feature.set(Content::Text("a code".into())).await.unwrap();
    can_be_pasted(paste_text, b"a code").await;
    phone.nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_xclip_what_is_copied_goes_both_ways_and_no_secret_does() {
    let test = "with_xclip_what_is_copied_goes_both_ways_and_no_secret_does";
    if !are_there(test, &["Xvfb", "xclip"]) {
        return;
    }
    if !is_inside() {
        let mut screen = Command::new("Xvfb");
        screen.args(["-displayfd", "1", "-screen", "0", "320x200x24", "-nolisten", "tcp"]);
        let mut screen = Running(screen.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let mut number = String::new();
        BufReader::new(screen.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        return again(test, &[("DISPLAY", &format!(":{}", number.trim()))]);
    }
    let clipboard = |more: &[&'static str]| [&["xclip", "-selection", "clipboard"], more].concat();
    let (text, image) = (clipboard(&["-in"]), clipboard(&["-in", "-target", "image/png"]));
    let (paste, paste_png) = (clipboard(&["-out"]), clipboard(&["-out", "-target", "image/png"]));
    goes_both_ways(&text, &image, &paste, &paste_png).await;

    let dir = tempfile::tempdir().unwrap();
    let (feature, _registry, mut phone) = hub(&dir).await;
    copy(&clipboard(&["-in", "-target", "x-kde-passwordManagerHint"]), b"secret");
    phone.nothing().await;
    assert!(matches!(feature.send(&self::phone()).await, Err(ClipboardError::Secret)));
    copy(&clipboard(&["-in", "-target", "text/uri-list"]), b"file:///etc/hostname\r\n");
    phone.nothing().await;
    assert!(matches!(feature.send(&self::phone()).await, Err(ClipboardError::Other)));
    copy(&text, &vec![b'x'; (1 << 20) + 1]);
    assert!(matches!(feature.send(&self::phone()).await, Err(ClipboardError::BadContent(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_wl_clipboard_what_is_copied_goes_both_ways_and_no_secret_does() {
    let test = "with_wl_clipboard_what_is_copied_goes_both_ways_and_no_secret_does";
    if !are_there(test, &["sway", "wl-copy", "wl-paste", "setpriv"]) {
        return;
    }
    if !is_inside() {
        let dir = tempfile::tempdir().unwrap();
        let (runtime, config) = (dir.path().join("run"), dir.path().join("config"));
        std::fs::create_dir(&runtime).unwrap();
        std::fs::write(&config, "xwayland disable\n").unwrap();
        // sway does not run as root.
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut sway = Command::new(if is_root { "setpriv" } else { "sway" });
        if is_root {
            sway.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sway"]);
            std::os::unix::fs::chown(&runtime, Some(65534), Some(65534)).unwrap();
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
        sway.arg("-c")
            .arg(&config)
            .env("XDG_RUNTIME_DIR", &runtime)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        sway.envs([("WLR_BACKENDS", "headless"), ("WLR_RENDERER", "pixman"), ("WLR_LIBINPUT_NO_DEVICES", "1")]);
        let _sway = Running(sway.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for _ in 0..100 {
            if runtime.join("wayland-1").exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let runtime = runtime.to_str().unwrap();
        return again(test, &[("WAYLAND_DISPLAY", "wayland-1"), ("XDG_RUNTIME_DIR", runtime)]);
    }
    let paste = ["wl-paste", "--no-newline"];
    let paste_png = ["wl-paste", "--no-newline", "--type", "image/png"];
    goes_both_ways(&["wl-copy"], &["wl-copy", "--type", "image/png"], &paste, &paste_png).await;

    let dir = tempfile::tempdir().unwrap();
    let (feature, _registry, mut phone) = hub(&dir).await;
    copy(&["wl-copy", "--type", "x-kde-passwordManagerHint"], b"secret");
    phone.nothing().await;
    assert!(matches!(feature.send(&self::phone()).await, Err(ClipboardError::Secret)));
}
