//! The services of a house: lamps, plugs, sensors, climate, covers, locks, vacuums. Words are those of Matter's clusters
//! where there is one, of MIoT-Spec otherwise. A bridge takes a whole service and keeps what its device has:
//!
//! ```
//! use accord_model::catalogue;
//! let dimmable = catalogue::light().only(&["on", "level"], &["toggle"]).of(1, "Left");
//! assert_eq!(dimmable.properties.len(), 2);
//! ```

use super::{action, event, service, text};
use crate::{Action, Effect, FieldCode, Format, Property, Role, Service, Unit};

fn state(id: &str, format: Format) -> Property {
    Property::state(id, format).sensitive(FieldCode::HomeDeviceState)
}

fn is(id: &str) -> Property {
    state(id, Format::Bool)
}

fn number(id: &str, unit: Unit) -> Property {
    state(id, Format::Float).unit(unit)
}

fn percent(id: &str) -> Property {
    state(id, Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0)
}

fn one_of(id: &str, names: &[&str]) -> Property {
    state(id, Format::Enum).one_of(names.iter().copied())
}

fn physical(ids: &[&str]) -> Vec<Action> {
    ids.iter().map(|id| action(id, Effect::Physical, vec![])).collect()
}

fn sensor(id: &str, property: Property) -> Service {
    service(id, vec![property], vec![], vec![])
}

/// Switches something on and off. Matter's OnOff cluster.
pub fn on_off() -> Service {
    service("on-off", vec![is("on").writable()], physical(&["toggle"]), vec![])
}

/// A lamp. Matter's OnOff, LevelControl and ColorControl clusters; `color-mode` says which of temperature and colour holds.
pub fn light() -> Service {
    let properties = vec![
        is("on").writable(),
        percent("level").writable(),
        state("color-temperature", Format::Int).unit(Unit::Kelvin).range(1700.0, 6500.0, 1.0).writable(),
        state("hue", Format::Int).unit(Unit::Degree).range(0.0, 359.0, 1.0).writable(),
        percent("saturation").writable(),
        one_of("color-mode", &["temperature", "color"]),
        state("effect", Format::Enum).writable(),
    ];
    service("light", properties, physical(&["toggle"]), vec![])
}

/// A fan. Matter's FanControl cluster; names of modes are the device's.
pub fn fan() -> Service {
    let properties = vec![
        is("on").writable(),
        percent("percent").writable(),
        state("mode", Format::Enum).writable(),
        is("oscillating").writable(),
        one_of("direction", &["forward", "reverse"]).writable(),
    ];
    service("fan", properties, physical(&["toggle"]), vec![])
}

/// Heating and cooling. Matter's Thermostat cluster; `target-low` and `target-high` hold in the mode `heat-cool`. Names of
/// fan modes and presets are the device's.
pub fn climate() -> Service {
    let target = |id: &str| number(id, Unit::Celsius).range(5.0, 35.0, 0.5).writable();
    let properties = vec![
        number("temperature", Unit::Celsius),
        target("target"),
        target("target-low"),
        target("target-high"),
        one_of("mode", &["off", "heat", "cool", "heat-cool", "auto", "dry", "fan-only"]).writable(),
        one_of("running", &["idle", "heating", "cooling", "drying", "fan"]),
        percent("humidity"),
        percent("target-humidity").writable(),
        state("fan-mode", Format::Enum).writable(),
        state("preset", Format::Enum).writable(),
    ];
    service("climate", properties, vec![], vec![])
}

/// Adds water to the air, or takes it away.
pub fn humidifier() -> Service {
    let properties = vec![
        is("on").writable(),
        percent("humidity"),
        percent("target").writable(),
        state("mode", Format::Enum).writable(),
    ];
    service("humidifier", properties, physical(&["toggle"]), vec![])
}

/// A curtain, blind, shutter, or with [`guarded`](Service::guarded) a gate. Matter's WindowCovering cluster, but for the
/// direction: 100 is open.
pub fn cover() -> Service {
    let properties = vec![
        percent("position").writable(),
        percent("tilt").writable(),
        one_of("state", &["closed", "opening", "open", "closing", "stopped"]),
    ];
    service("cover", properties, physical(&["open", "close", "stop"]), vec![])
}

/// A door lock; unlocking is [`Effect::Security`]. Matter's DoorLock cluster; `open` also pulls the latch.
pub fn door_lock() -> Service {
    let properties =
        vec![is("locked"), one_of("state", &["locked", "unlocked", "locking", "unlocking", "open", "jammed"])];
    let mut actions = physical(&["lock"]);
    actions.extend(["unlock", "open"].map(|id| action(id, Effect::Security, vec![])));
    service("door-lock", properties, actions, vec![])
}

/// A robot that cleans. Matter's RvcOperationalState and RvcRunMode clusters; names of fan speeds are the device's.
pub fn vacuum() -> Service {
    let properties = vec![
        one_of("state", &["docked", "idle", "cleaning", "paused", "returning", "error"]),
        state("fan-speed", Format::Enum).writable(),
        state("error", Format::Text),
    ];
    let mut actions = physical(&["start", "pause", "stop", "dock"]);
    actions.push(action("locate", Effect::Safe, vec![]));
    service("vacuum", properties, actions, vec![])
}

/// Something to be looked at: what a camera sees now, the map of a robot, the last one at the door. A byte stream of this service,
/// opened with nothing, is one picture as it is at that moment, in a format that says itself what it is, and ends with it.
/// Whether a camera is on, few say. Matter's CameraAvStreamManagement cluster (`CaptureSnapshot`).
pub fn picture() -> Service {
    let actions = ["turn-on", "turn-off"].map(|id| action(id, Effect::Security, vec![]));
    service("picture", vec![is("recording"), is("streaming")], actions.to_vec(), vec![])
}

/// Lets water or gas through. Matter's ValveConfigurationAndControl cluster.
pub fn valve() -> Service {
    let properties = vec![is("open"), percent("position").writable()];
    service("valve", properties, physical(&["open", "close"]), vec![])
}

/// Watches the house. Disarming is [`Effect::Security`].
pub fn alarm() -> Service {
    let states = ["disarmed", "armed-home", "armed-away", "armed-night", "arming", "pending", "triggered"];
    let mut actions = physical(&["arm-home", "arm-away", "arm-night"]);
    actions.push(action("disarm", Effect::Security, vec![text("code").sensitive(FieldCode::TextContent)]));
    service("alarm", vec![one_of("state", &states)], actions, vec![])
}

/// Makes much noise.
pub fn siren() -> Service {
    service("siren", vec![is("on").writable()], vec![], vec![])
}

/// A button of the house that somebody pressed: `single`, `double`, `hold`, `release`, or the device's own word. Matter's
/// Switch cluster.
pub fn button() -> Service {
    let pressed = event("pressed", vec![text("kind")], Some(FieldCode::HomeDeviceState));
    service("button", vec![], vec![], vec![pressed])
}

/// Something that is done when it is told, and says nothing: a scene, a script, a button to be pressed from here.
pub fn press() -> Service {
    service("press", vec![], physical(&["press"]), vec![])
}

/// How warm it is. Matter's TemperatureMeasurement cluster.
pub fn temperature() -> Service {
    sensor("temperature", number("temperature", Unit::Celsius))
}

/// How humid the air is. Matter's RelativeHumidityMeasurement cluster.
pub fn humidity() -> Service {
    sensor("humidity", number("humidity", Unit::Percent))
}

/// The pressure of the air, in pascal. Matter's PressureMeasurement cluster.
pub fn pressure() -> Service {
    sensor("pressure", number("pressure", Unit::Pascal))
}

/// How bright it is. Matter's IlluminanceMeasurement cluster.
pub fn illuminance() -> Service {
    sensor("illuminance", number("illuminance", Unit::Lux))
}

/// Whether somebody is there or moves. Matter's OccupancySensing cluster.
pub fn occupancy() -> Service {
    sensor("occupancy", is("occupied").sensitive(FieldCode::Presence))
}

/// Whether a door or window is open. Matter's BooleanState cluster on a contact sensor, but for the direction.
pub fn contact() -> Service {
    sensor("contact", is("open"))
}

/// Whether there is water where none should be.
pub fn water_leak() -> Service {
    sensor("water-leak", is("detected"))
}

/// Whether there is smoke. Matter's SmokeCoAlarm cluster.
pub fn smoke() -> Service {
    sensor("smoke", is("detected"))
}

/// Whether there is gas.
pub fn gas() -> Service {
    sensor("gas", is("detected"))
}

/// Whether it shakes.
pub fn vibration() -> Service {
    sensor("vibration", is("detected"))
}

/// Whether somebody opened the device itself.
pub fn tamper() -> Service {
    sensor("tamper", is("detected"))
}

/// Carbon monoxide. Matter's SmokeCoAlarm and CarbonMonoxideConcentrationMeasurement clusters.
pub fn carbon_monoxide() -> Service {
    let properties = vec![is("detected"), number("concentration", Unit::PartsPerMillion)];
    service("carbon-monoxide", properties, vec![], vec![])
}

/// What is in the air. Matter's AirQuality and concentration clusters; `index` is the maker's own number.
pub fn air_quality() -> Service {
    let properties = vec![
        number("carbon-dioxide", Unit::PartsPerMillion),
        number("pm2-5", Unit::MicrogramPerCubicMetre),
        number("pm10", Unit::MicrogramPerCubicMetre),
        number("voc", Unit::MicrogramPerCubicMetre),
        state("index", Format::Float),
    ];
    service("air-quality", properties, vec![], vec![])
}

/// What flows through a plug or meter. Matter's ElectricalPowerMeasurement and ElectricalEnergyMeasurement clusters.
/// `energy` counts up and may begin anew; `produced` is what went the other way.
pub fn electricity() -> Service {
    let properties = vec![
        number("power", Unit::Watt),
        number("energy", Unit::KilowattHour),
        number("produced", Unit::KilowattHour),
        number("voltage", Unit::Volt),
        number("current", Unit::Ampere),
        number("frequency", Unit::Hertz),
        number("power-factor", Unit::Percent),
    ];
    service("electricity", properties, vec![], vec![])
}

/// What a device has that no standard service names: its bridge adds properties and actions under the native names, in
/// kebab-case.
pub fn more() -> Service {
    service("more", vec![], vec![], vec![])
}

impl Service {
    /// With only these properties and actions, in the order of the standard service. Events stay.
    #[must_use]
    pub fn only(mut self, properties: &[&str], actions: &[&str]) -> Self {
        self.properties.retain(|one| properties.contains(&one.id.as_str()));
        self.actions.retain(|one| actions.contains(&one.id.as_str()));
        self
    }

    /// One of several alike, with what it is called; an empty label is none.
    #[must_use]
    pub fn of(mut self, instance: u16, label: &str) -> Self {
        self.instance = instance;
        self.label = Some(label.to_owned()).filter(|label| !label.is_empty());
        self
    }

    /// With one property changed, when it has that: another range, other names of modes.
    #[must_use]
    pub fn change(mut self, property: &str, change: impl FnOnce(&mut Property)) -> Self {
        if let Some(found) = self.properties.iter_mut().find(|one| one.id == property) {
            change(found);
        }
        self
    }
}

impl Property {
    /// One of these, numbered from 0.
    #[must_use]
    pub fn one_of<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.values = (0..).zip(names.into_iter().map(str::to_owned)).collect();
        self
    }

    /// In the settings.
    #[must_use]
    pub fn config(mut self) -> Self {
        self.role = Role::Config;
        self
    }

    /// In the details.
    #[must_use]
    pub fn diagnostic(mut self) -> Self {
        self.role = Role::Diagnostic;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    #[test]
    fn what_opens_a_house_is_asked_each_time() {
        let effect = |service: &Service, id: &str| service.actions.iter().find(|one| one.id == id).unwrap().effect;
        for (service, id) in
            [(door_lock(), "unlock"), (door_lock(), "open"), (alarm(), "disarm"), (cover().guarded(), "open")]
        {
            assert!(effect(&service, id) >= Effect::Security, "{}: {id}", service.id);
        }
        assert_eq!(effect(&cover(), "open"), Effect::Physical, "a curtain");
        assert_eq!(effect(&cover().guarded(), "close"), Effect::Physical);
        let around =
            |service: Service| service.properties.into_iter().any(|one| one.write && one.effect < Effect::Security);
        assert!(!around(cover().guarded()) && around(cover()), "no way around it");
    }

    #[test]
    fn what_leads_into_the_house_is_guarded_whatever_its_bridge_says() {
        let device = |name: &str, services: &[Service]| {
            let mut device = Device::new(crate::DeviceId::new("d-1").unwrap(), crate::DeviceKind::Cover, name);
            device.services = services.to_vec();
            device.guard();
            device
        };
        let opens = |device: &Device, id: &str| device.service(id).unwrap().actions.iter().map(|one| one.effect).max();
        assert_eq!(opens(&device("Garage", &[cover()]), "cover"), Some(Effect::Security));
        assert_eq!(opens(&device("Left", &[cover().of(0, "Garden gate")]), "cover"), Some(Effect::Security));
        assert_eq!(opens(&device("Curtain", &[cover()]), "cover"), Some(Effect::Physical));
        let mut more = more();
        more.properties.push(Property::state("passage-mode", Format::Bool).writable());
        let lock = device("Front", &[door_lock(), press(), on_off(), more.clone()]);
        assert_eq!(opens(&lock, "press"), Some(Effect::Security));
        assert_eq!(lock.service("on-off").unwrap().properties[0].effect, Effect::Security);
        assert_eq!(lock.service("more").unwrap().properties[0].effect, Effect::Security);
        let locks = lock.service("door-lock").unwrap().actions.iter().find(|one| one.id == "lock").unwrap().effect;
        assert_eq!(locks, Effect::Physical, "locking is not asked about");
        assert_eq!(device("Plug", &[on_off(), more]).service("more").unwrap().properties[0].effect, Effect::Physical);
    }

    #[test]
    fn a_bridge_keeps_what_its_device_has() {
        let light = light().only(&["on", "color-temperature", "none"], &[]).of(2, "Left");
        let light = light.change("color-temperature", |one| *one = one.clone().range(2700.0, 5000.0, 1.0));
        let ids: Vec<&str> = light.properties.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((ids, light.actions.len()), (vec!["on", "color-temperature"], 0));
        assert_eq!((light.instance, light.label.as_deref()), (2, Some("Left")));
        assert_eq!(light.properties[1].range.unwrap().min, 2700.0);
    }

    #[test]
    fn services_of_the_house_survive_json_and_no_id_is_there_twice() {
        let all = [
            on_off(),
            light(),
            fan(),
            climate(),
            humidifier(),
            cover(),
            door_lock(),
            vacuum(),
            picture(),
            valve(),
            alarm(),
            siren(),
            button(),
            press(),
            temperature(),
            humidity(),
            pressure(),
            illuminance(),
            occupancy(),
            contact(),
            water_leak(),
            smoke(),
            gas(),
            vibration(),
            tamper(),
            carbon_monoxide(),
            air_quality(),
            electricity(),
            more(),
        ];
        let ids: std::collections::BTreeSet<String> = all.iter().map(|service| service.id.clone()).collect();
        assert_eq!(ids.len(), all.len());
        let device = all
            .into_iter()
            .fold(Device::new(crate::DeviceId::new("d-1").unwrap(), crate::DeviceKind::Climate, "x"), Device::with);
        let json = serde_json::to_string(&device).unwrap();
        assert_eq!(serde_json::from_str::<Device>(&json).unwrap(), device);
    }
}
