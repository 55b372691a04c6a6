//! The standard services. A bridge describes its devices with these where they fit, so that one card
//! per service is enough for every UI, scene and assistant.

use crate::{Action, Effect, Event, FieldCode, Format, Property, Role, Service, Unit};

fn service(id: &str, properties: Vec<Property>, actions: Vec<Action>, events: Vec<Event>) -> Service {
    Service { id: id.to_owned(), instance: 0, label: None, properties, actions, events, values: Default::default() }
}

fn action(id: &str, effect: Effect, inputs: Vec<Property>) -> Action {
    Action { id: id.to_owned(), inputs, outputs: Vec::new(), effect }
}

fn event(id: &str, arguments: Vec<Property>, sensitive: Option<FieldCode>) -> Event {
    Event { id: id.to_owned(), arguments, sensitive }
}

fn text(id: &str) -> Property {
    Property::state(id, Format::Text)
}

/// Takes files, folders, text and links: action `send`, whose bytes travel on a stream.
pub fn files() -> Service {
    service(
        "files",
        vec![],
        vec![action("send", Effect::Safe, vec![text("name").sensitive(FieldCode::FileName)])],
        vec![],
    )
}

/// Shares what was copied.
pub fn clipboard() -> Service {
    let content = || text("content").sensitive(FieldCode::ClipboardContent);
    service(
        "clipboard",
        vec![],
        vec![action("set", Effect::Safe, vec![content()])],
        vec![event("changed", vec![content()], Some(FieldCode::ClipboardContent))],
    )
}

/// Shows notifications and tells of its own.
pub fn notifications() -> Service {
    let body = || vec![text("title"), text("body").sensitive(FieldCode::NotificationContent)];
    service(
        "notifications",
        vec![],
        vec![action("show", Effect::Safe, body()), action("dismiss", Effect::Safe, vec![text("id")])],
        vec![event("posted", body(), Some(FieldCode::NotificationContent)), event("removed", vec![text("id")], None)],
    )
}

/// Plays media and is controlled.
pub fn media() -> Service {
    service(
        "media",
        vec![
            Property::state("playing", Format::Bool),
            text("title").sensitive(FieldCode::MediaNowPlaying),
            Property::state("position", Format::Float).unit(Unit::Second).writable(),
            Property::state("volume", Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0).writable(),
        ],
        ["play", "pause", "next", "previous", "stop"].map(|id| action(id, Effect::Physical, vec![])).to_vec(),
        vec![],
    )
}

/// How full the battery is. Matter's PowerSource cluster.
pub fn battery() -> Service {
    service(
        "battery",
        vec![
            Property::state("percent", Format::Int)
                .unit(Unit::Percent)
                .range(0.0, 100.0, 1.0)
                .sensitive(FieldCode::BatteryLevel),
            Property::state("charging", Format::Bool),
        ],
        vec![],
        vec![],
    )
}

/// Rings so that it can be found.
pub fn ringer() -> Service {
    service("ringer", vec![], vec![action("ring", Effect::Physical, vec![])], vec![])
}

/// Can be locked from afar. Unlocking is not here on purpose: it needs its own proof.
pub fn screen_lock() -> Service {
    service(
        "screen-lock",
        vec![Property::state("locked", Format::Bool)],
        vec![action("lock", Effect::Safe, vec![])],
        vec![],
    )
}

/// Switches something on and off. Matter's OnOff cluster.
pub fn on_off() -> Service {
    service(
        "on-off",
        vec![Property::state("on", Format::Bool).writable()],
        vec![action("toggle", Effect::Physical, vec![])],
        vec![],
    )
}

/// A lamp: on, brightness and colour temperature.
pub fn light() -> Service {
    service(
        "light",
        vec![
            Property::state("on", Format::Bool).writable(),
            Property::state("level", Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0).writable(),
            Property::state("color-temperature", Format::Int).unit(Unit::Kelvin).range(1700.0, 6500.0, 1.0).writable(),
        ],
        vec![action("toggle", Effect::Physical, vec![])],
        vec![],
    )
}

/// A door lock; unlocking is [`Effect::Security`].
pub fn door_lock() -> Service {
    service(
        "door-lock",
        vec![Property::state("locked", Format::Bool)],
        vec![action("lock", Effect::Physical, vec![]), action("unlock", Effect::Security, vec![])],
        vec![],
    )
}

/// What the device says of itself; on every device that says anything.
pub fn information() -> Service {
    let detail = |id: &str| Property { role: Role::Diagnostic, ..text(id) };
    service("information", vec![detail("software"), detail("os")], vec![], vec![])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, DeviceId, DeviceKind};

    #[test]
    fn a_device_survives_json() {
        let device = [
            files(),
            clipboard(),
            notifications(),
            media(),
            battery(),
            ringer(),
            screen_lock(),
            on_off(),
            light(),
            door_lock(),
            information(),
        ]
        .into_iter()
        .fold(Device::new(DeviceId::new("d-1").unwrap(), DeviceKind::Phone, "x"), Device::with);
        let json = serde_json::to_string(&device).unwrap();
        assert_eq!(serde_json::from_str::<Device>(&json).unwrap(), device);
    }

    #[test]
    fn opening_a_door_is_asked_each_time() {
        let lock = door_lock();
        let unlock = lock.actions.iter().find(|action| action.id == "unlock").unwrap();
        assert!(unlock.effect >= Effect::Security);
    }
}
