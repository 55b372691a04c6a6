//! Who may have which command run, and what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use accord_commands::{Commands, OwnCommand, SHARE};
use accord_consent::{Choice, Decision, Gate, RecipientId, To, example};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, FieldSet, Inputs, Reach, Target, Verb,
    catalogue,
};
use accord_ports::remote::{Grants, Remote};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

#[derive(Default)]
struct Owner(AtomicBool);

impl Grants for Owner {
    fn allows(&self, _: &DeviceId, what: Remote) -> bool {
        what == Remote::Commands && self.0.load(SeqCst)
    }
}

struct Home {
    gate: Gate,
    registry: Registry,
    commands: Commands,
    owner: Arc<Owner>,
    phone: Memory,
    id: DeviceId,
    dir: tempfile::TempDir,
}

async fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_commands::STATEMENT), example::key(1)).unwrap();
    let registry = Registry::new();
    registry.set_own(Device::new(DeviceId::new("this").unwrap(), DeviceKind::Computer, "Desk"));
    let owner = Arc::new(Owner::default());
    let commands = Commands::new(&gate.bind("commands"), &registry, owner.clone()).unwrap();
    let id = DeviceId::new("phone").unwrap();
    let mut device = Device::new(id.clone(), DeviceKind::Phone, "Phone").with(catalogue::mirror());
    device.reach = Reach::Local;
    let (phone, memory) = bridge(vec![device]);
    registry.add_bridge(phone);
    Home { gate, registry, commands, owner, phone: memory, id, dir }
}

impl Home {
    fn list(&self, commands: &[(&str, &[&str])]) {
        let list: Vec<OwnCommand> = commands
            .iter()
            .map(|(name, argv)| OwnCommand {
                name: (*name).into(),
                argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            })
            .collect();
        self.commands.set(&list).unwrap();
    }
    fn agree(&self, only: Option<FieldSet>) {
        let entry = EntryKey::new(SHARE).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(&self.id));
        self.gate.decide(Decision { entry, to, choice: Choice::Always, fields: only, shown }).unwrap();
    }
    fn number(&self, name: &str) -> u16 {
        let own = self.registry.device(&DeviceId::new("this").unwrap()).unwrap().device.clone();
        own.services.iter().find(|one| one.label.as_deref() == Some(name)).unwrap().instance
    }
    async fn run(&self, instance: u16) -> Result<accord_model::Outputs, CallError> {
        let verb =
            Verb::Act { action: "run".into(), inputs: Inputs::from([("argv".into(), Data::Text("evil".into()))]) };
        self.phone.ask(&self.id, Target { service: "command".into(), instance }, verb).await
    }
}

#[tokio::test]
async fn a_device_runs_nothing_until_the_owner_allows_it() {
    let home = home().await;
    let mark = home.dir.path().join("ran");
    home.list(&[("Mark", &["touch", mark.to_str().unwrap()])]);
    home.agree(None);
    let number = home.number("Mark");
    assert!(matches!(home.run(number).await, Err(CallError::Refused(_))));
    assert!(!mark.exists());
    home.owner.0.store(true, SeqCst);
    home.run(number).await.unwrap();
    assert!(mark.exists());
    assert!(matches!(home.run(number.wrapping_add(1)).await, Err(CallError::Unsupported(_))));
    home.list(&[]);
    assert!(matches!(home.run(number).await, Err(CallError::Unsupported(_))), "what left the list is not run");
}

#[tokio::test]
async fn what_a_command_prints_goes_out_only_by_consent_and_only_so_much() {
    let home = home().await;
    home.owner.0.store(true, SeqCst);
    home.list(&[("Loud", &["sh", "-c", "echo canary-91bc; head -c 300000 /dev/zero; exit 3"])]);
    let number = home.number("Loud");
    assert_eq!(home.run(number).await, Err(CallError::Device("the command failed".into())));
    home.agree(Some(FieldSet::one(FieldCode::CommandName)));
    assert_eq!(home.run(number).await, Err(CallError::Device("the command failed".into())), "names are not output");
    home.agree(None);
    let outputs = home.run(number).await.unwrap();
    assert_eq!(outputs["code"], Data::Int(3));
    let output = outputs["output"].as_text().unwrap();
    assert!(output.starts_with("canary-91bc\n") && output.len() <= 16 * 1024, "{}", output.len());
}

#[tokio::test]
async fn a_command_knows_nothing_of_the_hubs_environment_and_no_shell_reads_it() {
    let home = home().await;
    home.owner.0.store(true, SeqCst);
    home.agree(None);
    home.list(&[("Env", &["env"]), ("Words", &["echo", "$HOME; id"])]);
    let output = |outputs: accord_model::Outputs| outputs["output"].as_text().unwrap().to_owned();
    let env = output(home.run(home.number("Env")).await.unwrap());
    assert!(!env.contains("CARGO"), "{env}");
    assert_eq!(output(home.run(home.number("Words")).await.unwrap()), "$HOME; id\n");
}

#[tokio::test]
async fn names_are_shown_by_consent_and_taken_back_when_they_leave_the_list() {
    let mut home = home().await;
    home.list(&[("Lights out", &["secret-program-5d1e", "--key", "canary-5d1e"])]);
    assert!(home.phone.stays_silent().await);
    home.agree(None);
    let (_, target, verb) = home.phone.called().await;
    assert_eq!(target, Target::new("mirror"));
    let said = serde_json::to_string(&verb).unwrap();
    assert!(said.contains("Lights out") && !said.contains("5d1e"), "the name, not the command line: {said}");
    home.list(&[]);
    let (_, _, verb) = home.phone.called().await;
    assert!(matches!(verb, Verb::Act { action, .. } if action == "gone"));
}
