//! What another hub shows of itself through our service `mirror`: its battery, players, volumes and commands become services
//! of that device here, as if its bridge had spoken of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use accord_model::text::for_screen;
use accord_model::{
    CallError, Data, DeviceId, Inputs, Reach, Service, Source, Target, Timestamp, Value, Verb, catalogue,
};
use accord_registry::{Answer, ByteStream, Registry, RegistryEvent, ServiceHandler, WeakRegistry};
use async_trait::async_trait;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// A device tells of every change while it is connected.
const FRESH_FOR_S: u64 = 3600;
const MAX_LABEL: usize = 64;
const MAX_TEXT: usize = 1000;
const MAX_BYTES: usize = 128 * 1024;

/// Takes what devices show, and forgets what is of no use when they are away. Make it inside a tokio runtime; it lasts as long
/// as the registry.
pub fn serve(registry: &Registry) {
    registry.serve("mirror", Arc::new(Handler(registry.downgrade())));
    tokio::spawn(forget(registry.events(), registry.downgrade()));
}

/// A device that is away plays nothing and runs nothing; how full its battery was is still worth knowing, with its age.
async fn forget(mut events: Receiver<RegistryEvent>, registry: WeakRegistry) {
    loop {
        match events.recv().await {
            Ok(RegistryEvent::Seen(known)) if known.device.reach == Reach::Offline => {
                let Some(registry) = registry.upgrade() else { return };
                registry.unshow(&known.device.id, |service| service.id != "battery");
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// The services that are taken, as the catalogue describes them: what a device says is values only.
fn known(service: &str) -> Option<Service> {
    Some(match service {
        "battery" => catalogue::battery(),
        "media" => catalogue::media(),
        "volume" => catalogue::volume(),
        "command" => catalogue::command(),
        _ => return None,
    })
}

fn which(inputs: &Inputs) -> Result<(Service, u16), CallError> {
    let name = inputs.get("service").and_then(Data::as_text).unwrap_or_default();
    let service = known(name).ok_or_else(|| CallError::Unsupported(format!("showing `{}`", for_screen(name, 40))))?;
    let instance = match inputs.get("instance") {
        None => Some(0),
        Some(data) => data.as_int().and_then(|number| u16::try_from(number).ok()),
    };
    let instance = instance.ok_or_else(|| CallError::BadInput("`instance` is a small whole number".into()))?;
    Ok((service, instance))
}

/// The service that a `show` describes, over what was shown before.
fn shown(mut inputs: Inputs, before: Option<&Service>) -> Result<Service, CallError> {
    let (mut service, instance) = which(&inputs)?;
    service.instance = instance;
    service.label = inputs.get("label").and_then(Data::as_text).map(|label| for_screen(label, MAX_LABEL));
    let mut values: BTreeMap<String, Value> = before.map(|before| before.values.clone()).unwrap_or_default();
    // A picture is told when it changes; everything else each time.
    values.retain(|_, value| matches!(value.data, Data::Bytes(_)));
    let seen = Timestamp::now();
    for property in &service.properties {
        let Some(data) = inputs.remove(&property.id) else { continue };
        let data = match property.fit(data).map_err(|unfit| CallError::BadInput(unfit.to_string()))? {
            Data::Text(text) => Data::Text(for_screen(&text, MAX_TEXT)),
            Data::Bytes(bytes) if bytes.is_empty() || bytes.len() > MAX_BYTES => {
                values.remove(&property.id);
                continue;
            }
            data => data,
        };
        let value = Value { data, seen, source: Source::Pushed, fresh_for_s: FRESH_FOR_S };
        values.insert(property.id.clone(), value);
    }
    service.values = values;
    Ok(service)
}

struct Handler(WeakRegistry);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        let Verb::Act { action, inputs } = verb else {
            return Err(CallError::Unsupported("a mirror is shown something, nothing else".into()));
        };
        let Some(registry) = self.0.upgrade() else {
            return Err(CallError::Unreachable("this hub is ending".into()));
        };
        match action.as_str() {
            "show" => {
                let (service, instance) = which(&inputs)?;
                let device = registry.device(&from).map(|known| known.device.clone());
                let is_it = |one: &&Service| one.id == service.id && one.instance == instance;
                let before = device.as_ref().and_then(|device| device.services.iter().find(is_it));
                let service = shown(inputs, before)?;
                if !registry.show(&from, service) {
                    return Err(CallError::Refused("too much is shown already".into()));
                }
            }
            "gone" => {
                let (service, instance) = which(&inputs)?;
                registry.unshow(&from, |one| one.id == service.id && one.instance == instance);
            }
            other => return Err(CallError::Unsupported(for_screen(other, 40))),
        }
        Ok(Answer::Done)
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, Data)]) -> Inputs {
        pairs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect()
    }

    #[test]
    fn only_known_services_are_shown_with_values_that_fit() {
        let battery = |percent: Data| inputs(&[("service", "battery".into()), ("percent", percent)]);
        let service = shown(battery(Data::Int(40)), None).unwrap();
        assert_eq!(service.values["percent"].data, Data::Int(40));
        assert!(shown(battery(Data::Int(400)), None).is_err());
        assert!(shown(inputs(&[("service", "door-lock".into())]), None).is_err());
        assert!(shown(inputs(&[("service", "media".into()), ("instance", Data::Int(-1))]), None).is_err());
    }

    #[test]
    fn names_are_made_safe_and_a_picture_stays_until_it_changes() {
        let media = |more: &[(&str, Data)]| {
            let mut all = inputs(&[("service", "media".into()), ("label", "m\u{1b}pv".into())]);
            all.extend(inputs(more));
            all
        };
        let first = shown(media(&[("artwork", Data::Bytes(vec![1])), ("title", "a".into())]), None).unwrap();
        assert_eq!(first.label.as_deref(), Some("m\u{FFFD}pv"));
        let second = shown(media(&[("title", "b".into())]), Some(&first)).unwrap();
        assert_eq!(second.values["artwork"].data, Data::Bytes(vec![1]));
        let third = shown(media(&[("artwork", Data::Texts(vec![]))]), Some(&second)).unwrap();
        assert!(!third.values.contains_key("artwork") && !third.values.contains_key("title"));
    }
}
