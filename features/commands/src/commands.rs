//! The feature: offers the list, and obeys whom the owner allowed.

use std::sync::{Arc, Mutex, PoisonError};

use accord_consent::{BoundGate, Envelope, Personal};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, FieldSet, IdError, Inputs, Service, Target, Verb};
use accord_ports::mirror::Mirror;
use accord_ports::remote::{Grants, Remote};
use accord_ports::tasks::Tasks;
use accord_registry::{Answer, ByteStream, Port, Registry, ServiceHandler};
use async_trait::async_trait;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::list::{BadList, Numbered, OwnCommand, numbered, services};
use crate::{SHARE, run};

const SERVICE: &str = "command";
/// Commands that run at once.
const AT_ONCE: usize = 8;
const EVENTS: usize = 64;

/// A device had a command run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Which device.
    pub device: DeviceId,
    /// The command's name.
    pub name: String,
}

/// The owner's commands. Cheap to clone.
#[derive(Clone)]
pub struct Commands(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    registry: Registry,
    port: Port,
    mirror: Mirror,
    grants: Arc<dyn Grants>,
    commands: Mutex<Numbered>,
    services: watch::Sender<Vec<Service>>,
    turns: Arc<Semaphore>,
    ran: broadcast::Sender<Ran>,
}

impl Commands {
    /// Offers nothing until [`Commands::set`]. Make it inside a tokio runtime.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: &BoundGate, registry: &Registry, grants: Arc<dyn Grants>) -> Result<Self, IdError> {
        let entry = EntryKey::new(SHARE)?;
        let mirror = Mirror::new(registry, gate, entry.clone(), FieldCode::CommandName);
        let services = watch::Sender::new(Vec::new());
        let inner = Arc::new(Inner {
            tasks: Tasks::new().with(mirror.clone().run(services.subscribe())),
            registry: registry.clone(),
            port: registry.port(gate, entry, "on.request"),
            mirror,
            grants,
            commands: Mutex::default(),
            services,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            ran: broadcast::channel(EVENTS).0,
        });
        registry.serve(SERVICE, Arc::new(Handler(Arc::downgrade(&inner))));
        Ok(Self(inner))
    }

    /// Whether a list can be [`Commands::set`].
    ///
    /// # Errors
    /// [`BadList`].
    pub fn check(list: &[OwnCommand]) -> Result<(), BadList> {
        numbered(list).map(drop)
    }

    /// This list from now on.
    ///
    /// # Errors
    /// [`BadList`]; then the list before is kept.
    pub fn set(&self, list: &[OwnCommand]) -> Result<(), BadList> {
        let commands = numbered(list)?;
        let offered = services(&commands);
        *self.0.commands.lock().unwrap_or_else(PoisonError::into_inner) = commands;
        self.0.registry.offer(SERVICE, offered.clone());
        self.0.services.send_replace(offered);
        Ok(())
    }

    /// What devices have run, from now on.
    pub fn events(&self) -> broadcast::Receiver<Ran> {
        self.0.ran.subscribe()
    }

    /// Ends what runs. Nothing is offered any more.
    pub async fn stop(&self) {
        self.0.tasks.stop().await;
    }
}

impl Inner {
    async fn obey(&self, from: DeviceId, target: Target, verb: Verb) -> Result<Answer, CallError> {
        match verb {
            Verb::Read { properties } => {
                let services = self.services.borrow().clone();
                return self.mirror.answer(&from, &services, &target, &properties).await;
            }
            Verb::Act { action, .. } if action == "run" => {}
            _ => return Err(CallError::Unsupported("a command can be run, nothing else".into())),
        }
        if !self.grants.allows(&from, Remote::Commands) {
            return Err(CallError::Refused("the owner has not allowed you to run commands here".into()));
        }
        let found = self.commands.lock().unwrap_or_else(PoisonError::into_inner).get(&target.instance).cloned();
        let (name, command) = found.ok_or_else(|| CallError::Unsupported("that command is not on the list".into()))?;
        let turn = self.turns.clone().try_acquire_owned();
        let turn = turn.map_err(|_| CallError::Refused("too many commands run already".into()))?;
        tracing::info!(device = %from, command = name, "a device has a command run");
        let _ = self.ran.send(Ran { device: from.clone(), name });
        match run::run(&command, turn).await {
            Ok(Some(ended)) => self.answer(&from, ended).await,
            Ok(None) => Ok(Answer::Done),
            // What is wrong with the command line is the owner's to know.
            Err(error) => {
                tracing::warn!(%error, program = command.words()[0], "a command could not be started");
                Err(CallError::Device("the command could not be started".into()))
            }
        }
    }

    /// What it printed goes out only where the owner agreed to that.
    async fn answer(&self, to: &DeviceId, ended: run::Ended) -> Result<Answer, CallError> {
        let shared = FieldSet::from_iter([FieldCode::CommandName, FieldCode::TextContent]);
        if self.port.check(to, shared).is_err() {
            return match ended.code {
                Some(0) => Ok(Answer::Done),
                _ => Err(CallError::Device("the command failed".into())),
            };
        }
        let output = String::from_utf8_lossy(&ended.output).into_owned();
        let code = ended.code.map_or(-1, i64::from);
        let envelope = Envelope::new()
            .data("code", &Personal::new(FieldCode::CommandName, Data::Int(code)))
            .data("output", &Personal::new(FieldCode::TextContent, Data::Text(output)));
        self.port.answer(to, envelope).await
    }
}

struct Handler(std::sync::Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, target: Target, verb: Verb) -> Result<Answer, CallError> {
        match self.0.upgrade() {
            Some(inner) => inner.obey(from, target, verb).await,
            None => Err(CallError::Unreachable("this hub is ending".into())),
        }
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}
