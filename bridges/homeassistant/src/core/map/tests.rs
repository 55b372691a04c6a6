use super::*;
use accord_model::{Effect, Service, Unit};
use serde_json::{Value, json};

const NONE: &Entry = &Entry { name: None, category: None, device: None, area: None, hidden: false };

/// When everything was said.
const AT: f64 = 1_000_000_060.0;

struct One {
    id: String,
    state: String,
    attrs: Attrs,
    entry: Entry,
    fahrenheit: bool,
}

impl One {
    fn new(id: &str, state: &str, attrs: Value) -> Self {
        let attrs = serde_json::from_value(attrs).unwrap();
        Self { id: id.into(), state: state.into(), attrs, entry: NONE.clone(), fahrenheit: false }
    }
    fn entity(&self) -> Entity<'_> {
        Entity {
            id: &self.id,
            state: &self.state,
            attrs: &self.attrs,
            at: AT,
            entry: &self.entry,
            fahrenheit: self.fahrenheit,
        }
    }
    fn parts(&self) -> Vec<Part> {
        match map(&self.entity()) {
            Mapped::Parts(parts) => parts,
            Mapped::LeftOut(reason) => panic!("{reason:?}"),
        }
    }
    fn part(&self, service: &str) -> Part {
        let parts = self.parts();
        parts.iter().find(|part| part.service.id == service).unwrap_or_else(|| panic!("{service} in {parts:?}")).clone()
    }
    /// What is called, as `service {data}`.
    fn write(&self, property: &str, data: impl Into<Data>) -> String {
        said(write(&self.entity(), "", property, &data.into(), color(&self.entity())).unwrap())
    }
    fn act(&self, service: &str, action: &str) -> String {
        said(act(&self.entity(), service, action, &Inputs::new()).unwrap())
    }
}

fn said(call: Call) -> String {
    format!("{}.{} {}", call.domain, call.service, Value::Object(call.data))
}

fn ids(service: &Service) -> Vec<&str> {
    service.properties.iter().map(|one| one.id.as_str()).collect()
}

#[test]
fn a_lamp_has_what_its_modes_can() {
    let lamp = One::new(
        "light.bed",
        "on",
        json!({"supported_color_modes": ["color_temp", "hs"], "color_mode": "hs", "brightness": 180, "hs_color": [345.4, 75.0],
            "min_color_temp_kelvin": 2000, "max_color_temp_kelvin": 6535, "effect_list": ["rainbow", "none"],
            "effect": "none", "supported_features": 4}),
    );
    let part = lamp.part("light");
    assert_eq!(ids(&part.service), ["on", "level", "color-temperature", "hue", "saturation", "color-mode", "effect"]);
    assert_eq!(part.service.properties[2].range.map(|range| (range.min, range.max)), Some((2000.0, 6535.0)));
    let value = |id: &str| part.values.get(id).cloned();
    assert_eq!(
        (value("on"), value("level"), value("hue")),
        (Some(true.into()), Some(71i64.into()), Some(345i64.into()))
    );
    assert_eq!(
        (value("color-temperature"), value("color-mode"), value("effect")),
        (None, Some(1i64.into()), Some(1i64.into()))
    );
    assert_eq!(lamp.write("level", 30i64), r#"light.turn_on {"brightness_pct":30}"#);
    assert_eq!(lamp.write("hue", 10i64), r#"light.turn_on {"hs_color":[10,75.0]}"#);
    assert_eq!(lamp.write("effect", 0i64), r#"light.turn_on {"effect":"rainbow"}"#);
    assert_eq!(lamp.write("on", false), "light.turn_off {}");
    assert_eq!(lamp.act("light", "toggle"), "light.toggle {}");
    assert!(write(&lamp.entity(), "light", "effect", &Data::Int(7), (0.0, 0.0)).is_err());
    let plain = One::new("light.x", "off", json!({"supported_color_modes": ["onoff"], "brightness": null}));
    assert_eq!(ids(&plain.part("light").service), ["on"]);
    let old = One::new("light.x", "off", json!({"supported_features": 3, "min_mireds": 153, "max_mireds": 500}));
    assert_eq!(ids(&old.part("light").service), ["on", "level", "color-temperature"]);
    assert_eq!(old.part("light").service.properties[2].range.map(|range| range.max), Some(6536.0));
}

#[test]
fn no_value_is_not_false() {
    for state in ["unavailable", "unknown"] {
        let lamp = One::new("light.x", state, json!({"supported_color_modes": ["brightness"], "brightness": 3}));
        assert_eq!(lamp.part("light").values.get("on"), None);
        let door = One::new("binary_sensor.x", state, json!({"device_class": "door"}));
        assert!(door.part("contact").values.is_empty());
        let warm = One::new("sensor.x", state, json!({"device_class": "temperature", "unit_of_measurement": "°C"}));
        assert!(warm.part("temperature").values.is_empty());
        let lock = One::new("lock.x", state, json!({}));
        assert!(lock.part("door-lock").values.is_empty());
    }
}

#[test]
fn climate_speaks_celsius_whatever_the_server_shows() {
    let mut heating = One::new(
        "climate.x",
        "heat_cool",
        json!({"hvac_modes": ["off", "heat", "heat_cool", "invented"], "min_temp": 45, "max_temp": 95, "current_temperature": 68,
            "target_temp_low": 65, "target_temp_high": 77, "hvac_action": "preheating", "current_humidity": 50.4,
            "fan_modes": ["Low", "High"], "fan_mode": "High", "swing_modes": ["a"], "supported_features": 1 | 2 | 8 | 32}),
    );
    heating.fahrenheit = true;
    let part = heating.part("climate");
    assert_eq!(
        ids(&part.service),
        ["temperature", "target", "target-low", "target-high", "mode", "running", "humidity", "fan-mode"]
    );
    assert_eq!(part.values["temperature"], Data::Float(20.0));
    assert_eq!(part.values["target-high"], Data::Float(25.0));
    assert_eq!((&part.values["mode"], &part.values["running"]), (&Data::Int(2), &Data::Int(1)));
    assert_eq!(part.service.properties[1].range.map(|range| range.min), Some(7.222_222_22));
    assert_eq!(heating.write("target", 20.0), r#"climate.set_temperature {"temperature":68.0}"#);
    assert_eq!(
        heating.write("target-low", 20.0),
        r#"climate.set_temperature {"target_temp_high":77.0,"target_temp_low":68.0}"#.replace(
            r#""target_temp_high":77.0,"target_temp_low":68.0"#,
            r#""target_temp_low":68.0,"target_temp_high":77.0"#
        )
    );
    assert_eq!(heating.write("mode", 1i64), r#"climate.set_hvac_mode {"hvac_mode":"heat"}"#);
    assert_eq!(heating.write("fan-mode", 0i64), r#"climate.set_fan_mode {"fan_mode":"Low"}"#);
    assert_eq!(ids(&heating.part("more").service), ["swing-mode"]);
}

#[test]
fn what_opens_the_house_is_asked_each_time() {
    let effect = |part: &Part, id: &str| part.service.actions.iter().find(|one| one.id == id).map(|one| one.effect);
    for class in ["garage", "gate", "door", "window"] {
        let gate = One::new(
            "cover.x",
            "closed",
            json!({"device_class": class, "current_position": 0, "supported_features": 15}),
        );
        let part = gate.part("cover");
        assert_eq!(effect(&part, "open"), Some(Effect::Security));
        let position = part.service.properties.iter().find(|one| one.id == "position").unwrap();
        assert!(position.write && position.effect == Effect::Security, "no way around it");
    }
    let curtain = One::new(
        "cover.x",
        "open",
        json!({"device_class": "curtain", "current_position": 40, "supported_features": 15}),
    );
    assert_eq!(effect(&curtain.part("cover"), "open"), Some(Effect::Physical));
    assert_eq!(curtain.write("position", 30i64), r#"cover.set_cover_position {"position":30}"#);
    let lock = One::new("lock.x", "locked", json!({"code_format": "^\\d{4}$", "supported_features": 1}));
    let part = lock.part("door-lock");
    assert_eq!((effect(&part, "unlock"), effect(&part, "open")), (Some(Effect::Security), Some(Effect::Security)));
    let inputs = Inputs::from([("code".to_owned(), Data::from("1234"))]);
    assert_eq!(said(act(&lock.entity(), "door-lock", "unlock", &inputs).unwrap()), r#"lock.unlock {"code":"1234"}"#);
    let alarm =
        One::new("alarm_control_panel.x", "armed_vacation", json!({"code_format": "number", "supported_features": 63}));
    let part = alarm.part("alarm");
    assert_eq!(effect(&part, "disarm"), Some(Effect::Security));
    assert!(part.values.contains_key("state"));
    assert_eq!(alarm.act("alarm", "arm-vacation"), "alarm_control_panel.alarm_arm_vacation {}");
}

#[test]
fn sensors_are_known_by_class_and_unit() {
    let sensor = |class: &str, unit: &str, state: &str| {
        let one = One::new(
            "sensor.x",
            state,
            json!({"device_class": class, "unit_of_measurement": unit, "state_class": "measurement"}),
        );
        let part = one.part(&one.parts()[0].service.id);
        let (id, data) = part.values.iter().next().map(|(id, data)| (id.clone(), data.clone())).unwrap();
        (part.service.id, id, data.as_number().unwrap())
    };
    let is = |service: &str, property: &str, number: f64| (service.to_owned(), property.to_owned(), number);
    assert_eq!(sensor("temperature", "°F", "68"), is("temperature", "temperature", 20.0));
    assert_eq!(sensor("atmospheric_pressure", "hPa", "1013.2"), is("pressure", "pressure", 101_320.0));
    assert_eq!(sensor("pressure", "bar", "1.5"), is("more", "value", 150_000.0));
    assert_eq!(sensor("power", "kW", "1.5"), is("electricity", "power", 1500.0));
    assert_eq!(sensor("energy", "Wh", "1500"), is("electricity", "energy", 1.5));
    assert_eq!(sensor("battery", "%", "41.6"), is("battery", "percent", 42.0));
    assert_eq!(sensor("pm25", "µg/m³", "7"), is("air-quality", "pm2-5", 7.0));
    assert_eq!(sensor("signal_strength", "dBm", "-70"), is("more", "value-dbm", -70.0));
    assert_eq!(sensor("temperature", "parsecs", "3"), is("more", "value-parsecs", 3.0));
    assert_eq!(sensor("power_factor", "", "0.9"), is("electricity", "power-factor", 90.0));
    let mut chip = One::new("sensor.x", "51", json!({"device_class": "temperature", "unit_of_measurement": "°C"}));
    chip.entry.category = Some(Category::Diagnostic);
    let part = chip.part("more");
    assert_eq!(
        (part.service.properties[0].role, part.service.properties[0].unit),
        (Role::Diagnostic, Some(Unit::Celsius))
    );
    let nonsense = One::new("sensor.x", "warm", json!({"device_class": "temperature", "unit_of_measurement": "°C"}));
    assert!(nonsense.part("temperature").values.is_empty());
    let phase = One::new("sensor.x", "wash", json!({"device_class": "enum", "options": ["rinse", "wash"]}));
    assert_eq!(phase.part("more").values["value"], Data::Int(1));
}

#[test]
fn binary_sensors_are_known_by_class() {
    for (class, service, property) in [
        ("motion", "occupancy", "occupied"),
        ("window", "contact", "open"),
        ("moisture", "water-leak", "detected"),
        ("smoke", "smoke", "detected"),
        ("battery", "battery", "low"),
        ("running", "more", "value"),
    ] {
        let one = One::new("binary_sensor.x", "on", json!({"device_class": class}));
        assert_eq!(one.part(service).values.get(property), Some(&Data::Bool(true)), "{class}");
    }
    let lock = One::new("binary_sensor.x", "on", json!({"device_class": "lock"}));
    assert_eq!(lock.part("door-lock").values["locked"], Data::Bool(false), "on is unlocked");
    assert!(lock.part("door-lock").service.actions.is_empty());
}

#[test]
fn settings_are_more_and_can_be_set() {
    let number = One::new(
        "number.x",
        "77",
        json!({"min": 32, "max": 212, "step": 1, "unit_of_measurement": "°F", "device_class": "temperature"}),
    );
    let part = number.part("more");
    let property = &part.service.properties[0];
    assert_eq!((property.range.map(|range| (range.min, range.max)), property.write), (Some((0.0, 100.0)), true));
    assert_eq!(part.values["value"], Data::Float(25.0));
    assert_eq!(number.write("value", 100.0), r#"number.set_value {"value":212.0}"#);
    let select = One::new("select.x", "b", json!({"options": ["a", "b"]}));
    assert_eq!(select.write("value", 0i64), r#"select.select_option {"option":"a"}"#);
    let secret = One::new("text.x", "hunter2", json!({"mode": "password"}));
    let part = secret.part("more");
    assert!(part.values.is_empty() && !part.service.properties[0].read && part.service.properties[0].write);
    let when = One::new("input_datetime.x", "12:00:00", json!({"has_date": false, "has_time": true}));
    assert_eq!(when.write("value", "13:00:00"), r#"input_datetime.set_datetime {"time":"13:00:00"}"#);
    let mut restart = One::new("button.x", "unknown", json!({}));
    assert_eq!(restart.part("press").service.actions.len(), 1);
    restart.entry.category = Some(Category::Config);
    assert_eq!(restart.part("more").service.actions[0].id, "value");
    assert_eq!(restart.act("more", "value"), "button.press {}");
}

#[test]
fn players_robots_fans_and_the_rest_do_what_they_can() {
    let player = One::new(
        "media_player.x",
        "playing",
        json!({"volume_level": 0.355, "is_volume_muted": true, "repeat": "one", "media_title": "A", "source_list": ["dvd", "tv"],
            "source": "tv", "supported_features": 1 | 2 | 4 | 8 | 128 | 256 | 2048 | 16384 | 262_144}),
    );
    let media = player.part("media");
    assert_eq!((&media.values["volume"], &media.values["loop"]), (&Data::Int(36), &Data::from("Track")));
    assert_eq!(player.part("volume").values["muted"], Data::Bool(true));
    assert_eq!(player.part("more").values["source"], Data::Int(1));
    assert_eq!(
        said(write(&player.entity(), "volume", "level", &Data::Int(30), (0.0, 0.0)).unwrap()),
        r#"media_player.volume_set {"volume_level":0.3}"#
    );
    assert_eq!(player.act("media", "pause"), "media_player.media_pause {}");
    let robot = One::new(
        "vacuum.x",
        "returning",
        json!({"battery_level": 60, "fan_speed_list": ["low", "high"], "supported_features": 16380}),
    );
    assert_eq!(robot.part("battery").values["percent"], Data::Int(60));
    assert_eq!(robot.act("vacuum", "dock"), "vacuum.return_to_base {}");
    assert_eq!(robot.act("more", "clean-spot"), "vacuum.clean_spot {}");
    let fan =
        One::new("fan.x", "on", json!({"percentage": 33, "percentage_step": 33.333_333, "supported_features": 1}));
    assert_eq!(fan.part("fan").service.properties[1].range.map(|range| range.step), Some(33.333_333));
    let kettle = One::new(
        "water_heater.x",
        "eco",
        json!({"operation_list": ["eco", "gas"], "operation_mode": "eco", "away_mode": "off", "supported_features": 7}),
    );
    assert_eq!(kettle.write("preset", 1i64), r#"water_heater.set_operation_mode {"operation_mode":"gas"}"#);
    let unknown = One::new("fridge_magnet.x", "stuck", json!({}));
    let part = unknown.part("more");
    assert!(part.values["value"] == Data::from("stuck") && !part.service.properties[0].write);
}

#[test]
fn a_camera_is_looked_at_where_home_assistant_has_pictures_and_nowhere_else() {
    let camera =
        |path: &str| One::new("camera.door", "recording", json!({"supported_features": 3, "entity_picture": path}));
    let there = "/api/camera_proxy/camera.door?token=0123abcd";
    let one = camera(there);
    let [part] = &one.parts()[..] else { panic!() };
    assert_eq!((part.service.id.as_str(), part.service.actions.len()), ("picture", 2));
    assert_eq!((&part.values["recording"], &part.values["streaming"]), (&true.into(), &false.into()));
    assert_eq!(picture::path(&one.entity()), Some(there));
    assert_eq!(kind(&one.entity()).1, DeviceKind::Camera);
    for elsewhere in [
        "",
        "http://example.org/a.jpg",
        "//example.org/api/camera_proxy/camera.door?token=a",
        "/api/camera_proxy/camera.other?token=a",
        "/api/camera_proxy/../../config?token=a",
        "/api/camera_proxy/camera.door",
        "/api/camera_proxy/camera.door?token=a b",
        "/api/camera_proxy/camera.door?token=a\r\nX: y",
        "/api/image_proxy/camera.door?token=a",
    ] {
        assert_eq!(picture::path(&camera(elsewhere).entity()), None, "{elsewhere}");
    }
    let map = "/api/image_proxy/image.map?token=1&state=2024-01-01T00:00:00";
    let one = One::new("image.map", "2024-01-01T00:00:00", json!({"entity_picture": map}));
    assert_eq!((picture::path(&one.entity()), one.parts()[0].service.properties.len()), (Some(map), 0));
    assert_eq!(kind(&one.entity()).1, DeviceKind::Other);
    // A door camera is not named after what it measures beside.
    let bell = One::new("binary_sensor.ring", "on", json!({"device_class": "occupancy"}));
    assert!(kind(&camera(there).entity()).0 > kind(&bell.entity()).0);
}

#[test]
fn what_is_left_out_has_a_reason() {
    for id in ["person.a", "device_tracker.a", "image_processing.a", "calendar.a", "automation.a"] {
        let one = One::new(id, "x", json!({}));
        assert!(matches!(map(&one.entity()), Mapped::LeftOut(_)), "{id}");
    }
    let mut hidden = One::new("light.a", "on", json!({}));
    hidden.entry.hidden = true;
    assert_eq!(map(&hidden.entity()), Mapped::LeftOut(Reason::Hidden));
}

#[test]
fn what_plays_is_where_it_got_to_since_that_was_measured() {
    let player = |state, measured: &str, length| {
        let attrs = json!({"media_position": 100, "media_duration": length, "media_position_updated_at": measured});
        One::new("media_player.radio", state, attrs).part("media").values.get("position").cloned()
    };
    // 60 seconds before.
    let measured = "2001-09-09T01:46:40.000000+00:00";
    assert_eq!(player("playing", measured, 300), Some(Data::Float(160.0)));
    assert_eq!(player("playing", measured, 120), Some(Data::Float(120.0)), "no further than its end");
    assert_eq!(player("paused", measured, 300), Some(Data::Float(100.0)));
    for odd in ["", "yesterday", "2099-01-01T00:00:00+00:00"] {
        assert_eq!(player("playing", odd, 300), Some(Data::Float(100.0)), "{odd}");
    }
}

#[test]
fn a_sensor_that_says_how_full_its_battery_is_has_one() {
    let sensor = One::new("sensor.outside", "15.6", json!({"device_class": "temperature", "battery_level": 12.4}));
    assert_eq!(sensor.part("battery").values["percent"], Data::Int(12));
    assert_eq!(sensor.parts().len(), 2);
}
