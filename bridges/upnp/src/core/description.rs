//! What a device says it is, and what its services can do (UPnP Device Architecture 1.1, chapter 2). Every field may be
//! missing; what is there is a claim.

use std::collections::BTreeSet;

use accord_model::text::for_screen;
use accord_model::{Origin, Told, What};

use super::place::Place;
use super::ssdp::Udn;
use super::xml::{Element, XmlError, parse};

/// Most devices that are taken of one description: an amplifier has a renderer for each zone.
const MAX_DEVICES: usize = 8;
/// Longest name, maker or model that is kept, in characters.
const MAX_TEXT: usize = 64;
/// Most actions of a service, and the longest name of one.
const MAX_ACTIONS: usize = 128;
const MAX_NAME: usize = 64;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name for good.
    pub udn: Udn,
    /// As its owner calls it.
    pub name: String,
    /// Who made it.
    pub maker: Option<String>,
    /// Which model it is.
    pub model: Option<String>,
    /// All that it says of make and model, word for word.
    pub told: Vec<Told>,
    /// What it does.
    pub face: Face,
}

/// What a device does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Face {
    /// It plays what is at an address.
    Renderer(Box<Renderer>),
    /// It has what renderers play.
    Server(Server),
}

/// What a renderer is told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renderer {
    /// What plays.
    pub transport: Service,
    /// What is loud.
    pub rendering: Option<Service>,
    /// What knows the formats.
    pub connection: Option<Service>,
}

/// What a media server is asked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What knows the content.
    pub directory: Service,
}

/// Where a service is told what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its type with the version, as the device wrote it.
    pub kind: String,
    /// Where it is told.
    pub control: Place,
    /// Where it says what it can do.
    pub scpd: Option<Place>,
    /// Where it is asked to tell of changes.
    pub events: Option<Place>,
}

/// Why a description holds no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDescription {
    /// See there.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// None in it, or one that cannot be told anything on its own host.
    #[error("it describes no media renderer or server that can be told anything on its own host")]
    NoDevice,
}

/// The renderers and media servers that a description at `location` holds.
///
/// # Errors
/// [`BadDescription`].
pub fn devices(bytes: &[u8], location: &Place) -> Result<Vec<Described>, BadDescription> {
    let root = parse(bytes)?;
    let base = match root.text_of("URLBase") {
        Some(base) => location.join(base).map_err(|_| BadDescription::NoDevice)?,
        None => location.clone(),
    };
    let devices = root.all().filter(|element| element.name == "device");
    let found: Vec<Described> = devices.filter_map(|device| described(device, &base)).take(MAX_DEVICES).collect();
    if found.is_empty() { Err(BadDescription::NoDevice) } else { Ok(found) }
}

fn described(device: &Element, base: &Place) -> Option<Described> {
    let kind = device.text_of("deviceType")?;
    let face = if is_of(kind, "device", "MediaRenderer") {
        Face::Renderer(Box::new(Renderer {
            transport: service(device, "AVTransport", base)?,
            rendering: service(device, "RenderingControl", base),
            connection: service(device, "ConnectionManager", base),
        }))
    } else if is_of(kind, "device", "MediaServer") {
        Face::Server(Server { directory: service(device, "ContentDirectory", base)? })
    } else {
        return None;
    };
    let text = |name: &str| device.text_of(name).map(|text| for_screen(text, MAX_TEXT));
    let model = [text("modelName"), text("modelNumber")];
    let model = match model {
        [Some(name), Some(number)] if !name.contains(&number) => {
            Some(for_screen(&format!("{name} {number}"), MAX_TEXT))
        }
        [name, number] => name.or(number),
    };
    let said = [
        (What::Maker, "manufacturer"),
        (What::Model, "modelName"),
        (What::Number, "modelNumber"),
        (What::Description, "modelDescription"),
    ];
    let said = said.into_iter().filter_map(|(what, name)| Some((what, device.text_of(name)?)));
    let told = said.map(|(what, text)| Told::new(Origin::UpnpDescription, what, text)).collect();
    let nameless = if matches!(face, Face::Renderer(_)) { "Renderer" } else { "Media server" };
    Some(Described {
        told,
        udn: Udn::parse(device.text_of("UDN")?)?,
        name: text("friendlyName").or_else(|| model.clone()).unwrap_or_else(|| nameless.to_owned()),
        maker: text("manufacturer"),
        model,
        face,
    })
}

fn service(device: &Element, name: &str, base: &Place) -> Option<Service> {
    let listed = device.child("serviceList")?.children.iter();
    listed.filter(|one| one.name == "service").find_map(|one| {
        let kind = one.text_of("serviceType").filter(|kind| is_of(kind, "service", name))?;
        let control = base.join(one.text_of("controlURL")?).ok()?;
        let scpd = one.text_of("SCPDURL").and_then(|place| base.join(place).ok());
        let events = one.text_of("eventSubURL").and_then(|place| base.join(place).ok());
        Some(Service { kind: kind.to_owned(), control, scpd, events })
    })
}

/// True for `urn:schemas-upnp-org:device:MediaRenderer:2` and the like. What is not exactly that would be written back
/// into a header.
fn is_of(kind: &str, what: &str, name: &str) -> bool {
    let mut parts = kind.split(':');
    let known = ["urn", "schemas-upnp-org", what, name].iter().all(|part| parts.next() == Some(part));
    let version = parts.next().unwrap_or_default();
    known && parts.next().is_none() && (1..=2).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit())
}

/// What a service can do, as it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Names of its actions.
    pub actions: BTreeSet<String>,
    /// The range of its volume.
    pub volume: Option<(u16, u16)>,
}

impl Abilities {
    /// Reads a service's own description (2.5).
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let root = parse(bytes)?;
        let actions = root.child("actionList").map(|list| list.children.as_slice()).unwrap_or_default();
        let names = actions.iter().filter_map(|action| action.text_of("name")).filter(|name| name.len() <= MAX_NAME);
        let variables = root.child("serviceStateTable").map(|table| table.children.as_slice()).unwrap_or_default();
        let volume = variables.iter().find(|variable| variable.text_of("name") == Some("Volume"));
        let range = volume.and_then(|variable| variable.child("allowedValueRange"));
        let bound = |name: &str| range.and_then(|range| range.text_of(name)).and_then(|text| text.parse::<u16>().ok());
        Ok(Self {
            actions: names.take(MAX_ACTIONS).map(str::to_owned).collect(),
            volume: bound("minimum").zip(bound("maximum")).filter(|(least, most)| least < most),
        })
    }
}

/// Entry for fuzzing: any bytes as a description and as a service's own.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let location = Place::parse("http://10.0.0.2:80/dir/d.xml").expect("a plain address");
    if let Ok(found) = devices(bytes, &location) {
        for one in found {
            let services = match &one.face {
                Face::Renderer(one) => vec![Some(&one.transport), one.rendering.as_ref(), one.connection.as_ref()],
                Face::Server(one) => vec![Some(&one.directory)],
            };
            let places = |service| {
                let Service { control, scpd, events, .. }: &Service = service;
                [Some(control), scpd.as_ref(), events.as_ref()]
            };
            for service in services.into_iter().flatten().flat_map(places).flatten() {
                assert!(service.at.ip() == location.at.ip() && !service.path.contains(['\r', '\n', ' ']));
            }
            assert!(one.name.chars().count() <= MAX_TEXT + 1);
        }
    }
    let _ = Abilities::parse(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::parse("http://10.0.0.2:49494/dir/description.xml").unwrap()
    }

    fn device(more: &str, services: &str) -> String {
        format!(
            "<root xmlns='urn:schemas-upnp-org:device-1-0'><device><deviceType>urn:schemas-upnp-org:device:Basic:1</deviceType>\
             <UDN>uuid:root</UDN><deviceList><device><deviceType>urn:schemas-upnp-org:device:MediaRenderer:3</deviceType>\
             <UDN>uuid:AB-1</UDN>{more}<serviceList>{services}</serviceList></device></deviceList></device></root>"
        )
    }

    fn service(name: &str, control: &str) -> String {
        format!(
            "<service><serviceType>urn:schemas-upnp-org:service:{name}:1</serviceType><controlURL>{control}</controlURL>\
             <SCPDURL>/{name}.xml</SCPDURL><eventSubURL>x</eventSubURL></service>"
        )
    }

    #[test]
    fn a_renderer_inside_another_device_is_found_with_its_services() {
        let services = [service("RenderingControl", "rc"), service("AVTransport", "/av")].concat();
        let more = "<friendlyName>Lounge \u{202e}TV</friendlyName><manufacturer>Maker</manufacturer>\
                    <modelName>LG Smart TV</modelName><modelNumber>OLED55</modelNumber>";
        let found = devices(device(more, &services).as_bytes(), &place()).unwrap();
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((one.udn.as_str(), one.name.as_str()), ("uuid:ab-1", "Lounge \u{fffd}TV"));
        assert_eq!((one.maker.as_deref(), one.model.as_deref()), (Some("Maker"), Some("LG Smart TV OLED55")));
        let Face::Renderer(does) = &one.face else { panic!("{one:?}") };
        assert_eq!(does.transport.control.to_string(), "http://10.0.0.2:49494/av");
        assert_eq!(does.transport.events.as_ref().unwrap().to_string(), "http://10.0.0.2:49494/dir/x");
        assert_eq!(does.rendering.as_ref().unwrap().control.to_string(), "http://10.0.0.2:49494/dir/rc");
        let server = device("", &service("ContentDirectory", "/cd")).replace("MediaRenderer:3", "MediaServer:1");
        let found = devices(server.as_bytes(), &place()).unwrap();
        assert!(matches!(&found[0].face, Face::Server(server) if server.directory.control.path == "/cd"));
        assert!(devices(server.replace("ContentDirectory", "X").as_bytes(), &place()).is_err());
    }

    #[test]
    fn a_description_that_leads_elsewhere_describes_nothing() {
        let none = Err(BadDescription::NoDevice);
        let elsewhere = device("", &service("AVTransport", "http://10.0.0.9/av"));
        assert_eq!(devices(elsewhere.as_bytes(), &place()), none);
        let base = device("", &service("AVTransport", "/av")).replace(
            "<device><deviceType>urn:schemas-upnp-org:device:Basic",
            "<URLBase>http://192.168.0.1/</URLBase><device><deviceType>urn:schemas-upnp-org:device:Basic",
        );
        assert_eq!(devices(base.as_bytes(), &place()), none);
        let header = device("", &service("AVTransport:1&#13;&#10;X", "/av"));
        assert_eq!(devices(header.as_bytes(), &place()), none, "a type is written into a header");
        assert_eq!(devices(b"<root/>", &place()), none);
    }

    #[test]
    fn names_of_a_megabyte_and_thousands_of_devices_are_held_in() {
        let name = format!("<friendlyName>{}</friendlyName>", "n".repeat(200_000));
        let found = devices(device(&name, &service("AVTransport", "/av")).as_bytes(), &place()).unwrap();
        assert_eq!(found[0].name.chars().count(), MAX_TEXT + 1);
        let large = format!("<friendlyName>{}</friendlyName>", "n".repeat(1 << 20));
        let refused = devices(device(&large, "").as_bytes(), &place());
        assert_eq!(refused, Err(BadDescription::Xml(XmlError::Large)));
        let one = format!(
            "<device><deviceType>urn:schemas-upnp-org:device:MediaRenderer:1</deviceType><UDN>uuid:x</UDN><serviceList>{}</serviceList></device>",
            service("AVTransport", "/av")
        );
        let many = format!("<root>{}</root>", one.repeat(500));
        assert_eq!(devices(many.as_bytes(), &place()).unwrap().len(), MAX_DEVICES);
    }

    #[test]
    fn abilities_are_read() {
        let scpd = b"<scpd><actionList><action><name>Play</name></action><action><name>Next</name></action></actionList>\
            <serviceStateTable><stateVariable sendEvents='no'><name>Volume</name><allowedValueRange><minimum>0</minimum>\
            <maximum>40</maximum></allowedValueRange></stateVariable></serviceStateTable></scpd>";
        let abilities = Abilities::parse(scpd).unwrap();
        assert!(abilities.actions.contains("Next") && !abilities.actions.contains("Stop"));
        assert_eq!(abilities.volume, Some((0, 40)));
        let turned = String::from_utf8_lossy(scpd).replace("<minimum>0", "<minimum>90");
        assert_eq!(Abilities::parse(turned.as_bytes()).unwrap().volume, None);
    }
}
