//! What leads into the house: decided here, for every bridge, by the class that a device or entity has and else by its names, in
//! the common languages of Europe. What it finds is asked about each time; a bridge, and whoever described a device to it, can add
//! to that and take nothing away.

use crate::{Device, DeviceKind, Effect, Service};

/// Whether what has this class leads into the house: the `device_class` of covers in Home Assistant and on MQTT, or the kind of
/// a MIoT device or service.
pub fn is_way_in(class: &str) -> bool {
    let class = class.replace('_', "-");
    matches!(
        class.as_str(),
        "garage" | "garage-door" | "garage-door-opener" | "gate" | "door" | "window" | "window-opener"
    )
}

impl Service {
    /// Of a way into the house: a gate, a garage. Opening it, or setting where it stands, is asked each time.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guard(|action| !matches!(action, "close" | "stop"));
        self
    }

    fn guard(&mut self, actions: impl Fn(&str) -> bool) {
        for action in self.actions.iter_mut().filter(|one| actions(&one.id)) {
            action.effect = action.effect.max(Effect::Security);
        }
        for property in self.properties.iter_mut().filter(|one| one.write) {
            property.effect = property.effect.max(Effect::Security);
        }
    }

    /// Asked about by now, whoever said so.
    fn is_guarded(&self) -> bool {
        let effects = self.actions.iter().map(|one| one.effect);
        effects.chain(self.properties.iter().map(|one| one.effect)).any(|effect| effect >= Effect::Security)
    }
}

impl Device {
    /// Makes what leads into the house be asked each time, whatever its bridge says of it: locks and alarms, and everything
    /// beside their own service, for that may open them too; and a cover, a switch or a button that is a way in by its name.
    pub fn guard(&mut self) {
        let secures = self.services.iter().any(|one| matches!(one.id.as_str(), "door-lock" | "alarm"));
        // What is for something else is not what it is named after: a camera at the front door, a light in the garage.
        let is_else = matches!(
            self.kind,
            DeviceKind::Light
                | DeviceKind::Camera
                | DeviceKind::Sensor
                | DeviceKind::Climate
                | DeviceKind::Fan
                | DeviceKind::Air
                | DeviceKind::Vacuum
                | DeviceKind::Tv
                | DeviceKind::Speaker
        );
        let names = [self.name.as_str(), self.model.as_deref().unwrap_or_default()].map(Named::of);
        for service in &mut self.services {
            let moves = service.id == "cover";
            let label = Named::of(service.label.as_deref().unwrap_or_default());
            let by_name = |is_else: bool| match label.leads_in(moves) {
                Some(leads_in) => leads_in,
                None => !is_else && names.iter().find_map(|name| name.leads_in(moves)).unwrap_or(false),
            };
            match service.id.as_str() {
                "door-lock" => service.guard(|id| id != "lock"),
                "alarm" => service.guard(|id| id == "disarm"),
                "cover" if by_name(false) => service.guard(|id| !matches!(id, "close" | "stop")),
                "on-off" | "press" if secures || by_name(is_else) => service.guard(|_| true),
                "more" if secures => service.guard(|_| true),
                _ => {}
            }
        }
        // On what moves a gate there may be other ways of moving it.
        if self.services.iter().any(|one| one.id == "cover" && one.is_guarded()) {
            let is_light = |service: &Service| {
                Named::of(service.label.as_deref().unwrap_or_default()).leads_in(false) == Some(false)
            };
            let beside = self.services.iter_mut().filter(|one| matches!(one.id.as_str(), "on-off" | "press" | "more"));
            beside.filter(|one| !is_light(one)).for_each(|one| one.guard(|_| true));
        }
    }
}

/// What the words of a name are of.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    /// A gate, a garage, a barrier, something that unlocks.
    gate: bool,
    /// A door.
    door: bool,
    /// Light, a bell, a camera.
    light: bool,
    /// What hangs before a door or window.
    blind: bool,
}

impl Named {
    fn of(name: &str) -> Self {
        let mut named = Self::default();
        for word in words(name) {
            let word = word.as_str();
            named.gate |= is_gate(word) || is_opener(word);
            named.door |= is_door(word);
            named.light |= has(LIGHTS, word) || ends(LIGHT_ENDS, word);
            named.blind |= has(BLINDS, word) || BLIND_BEGINS.split(' ').any(|begin| word.starts_with(begin));
        }
        named
    }

    /// Whether a cover (what `moves`) or a switch of that name does; `None`: the name says nothing of it.
    fn leads_in(self, moves: bool) -> Option<bool> {
        let Self { gate, door, light, blind } = self;
        match moves {
            true if gate => Some(true),
            true if door => Some(!blind),
            true => blind.then_some(false),
            false if light => Some(false),
            false => (gate || door).then_some(true),
        }
    }
}

/// Words in small letters, as [`fold`] leaves them; a large letter or a number behind a small one begins another.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars().take(200) {
        // A mark belongs to the letter before it.
        let is_mark = ('\u{300}'..='\u{36f}').contains(&c);
        if !c.is_alphabetic() && !is_mark || c.is_uppercase() && was_small {
            words.push(String::new());
        }
        let last = words.last_mut().expect("there is one from the beginning");
        if c.is_alphabetic() || is_mark {
            c.to_lowercase().for_each(|c| fold(c, last));
        }
        was_small = c.is_lowercase() || is_mark && was_small;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Letters without their marks; those that German and the Nordic languages take for letters of their own are written in two.
fn fold(c: char, to: &mut String) {
    let folded = match c {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'å' => "aa",
        'ß' => "ss",
        'à' | 'á' | 'â' | 'ã' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' | 'ģ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ł' | 'ľ' | 'ĺ' | 'ļ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ő' | 'ō' => "o",
        'ř' | 'ŕ' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ű' | 'ū' | 'ů' | 'ų' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ά' => "α",
        'έ' => "ε",
        'ή' => "η",
        'ί' => "ι",
        'ό' => "ο",
        'ύ' => "υ",
        'ώ' => "ω",
        // Marks that come behind their letter.
        '\u{308}' if to.ends_with(['a', 'o', 'u']) => "e",
        '\u{30a}' if to.ends_with('a') => "a",
        '\u{300}'..='\u{36f}' => "",
        c => {
            to.push(c);
            return;
        }
    };
    to.push_str(folded);
}

fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

fn ends(list: &str, word: &str) -> bool {
    list.split(' ').any(|end| word.ends_with(end))
}

fn is_gate(word: &str) -> bool {
    let is_garage = GARAGES.split(' ').any(|part| word.contains(part));
    is_garage || has(GATES, word) || ends(GATE_ENDS, word) || is_tor(word) || drive(word).is_some_and(is_gate)
}

fn is_door(word: &str) -> bool {
    let one = word.strip_suffix('s').unwrap_or(word);
    let is_english = one.ends_with("door") && !one.ends_with("indoor") && !one.ends_with("outdoor");
    is_english || has(DOORS, word) || ends(DOOR_ENDS, word) || drive(word).is_some_and(is_door)
}

fn is_opener(word: &str) -> bool {
    has(OPENERS, word)
}

/// Of what something is the drive, opener or button, in one word: of `toroeffner` that is `tor`.
fn drive(word: &str) -> Option<&str> {
    DRIVES.split(' ').find_map(|end| word.strip_suffix(end)).filter(|driven| !driven.is_empty())
}

/// German gates (`hoftor`, `rolltor`), and not what ends so in Latin (`motor`, `monitor`, `aktor`, `transistor`).
fn is_tor(word: &str) -> bool {
    let Some(stem) = word.strip_suffix("tor") else { return false };
    let mut back = stem.chars().rev();
    let (last, before) = (back.next(), back.next());
    let is = |c: Option<char>, of: &str| c.is_some_and(|c| of.contains(c));
    let latin = is(last, "aiou")
        || is(last, "ckp") && is(before, "aeiou")
        || ["is", "nc", "pros", "impos"].iter().any(|end| stem.ends_with(end))
        || has(LATIN, stem);
    !latin || has(GERMAN, stem)
}

/// Before `tor`, where the letters alone do not tell.
const LATIN: &str = "s can cas cen exten extin hjemmekon inven inves kan kon men nes pas pin proprie tormen";
const GERMAN: &str = "auto bau elektro fabrik klinik zoo";

const GARAGES: &str = "garag garaj garaz garasj garaaz autotalli гараж γκαραζ";

/// Gates and barriers, and what a house has for them.
const GATES: &str = "\
    gate gates backgate drivewaygate frontgate gardengate maingate sidegate barrier barriers turnstile pforte \
    gartenpforte tore hek hekwerk tuinhek schuifhek inrijhek slagboom portail portails portillon barriere cancello \
    cancelli cancelletto cancellino sbarra portone portoni basculante porton portones cancela cochera verja barrera \
    portao portoes barreira poarta portii bariera grind grinden grindar traedgaardsgrind laage havelaage bom vejbom \
    portti pihaportti puomi brama bramy bramka furtka furtki szlaban brana brany branka zavora vrata kapija rampa \
    vartai varti kapu vaerav vaeravad bariyer bahcekapisi ворота калитка шлагбаум брама хвіртка врата капија бариера \
    πυλη καγκελοπορτα αυλοπορτα μπαρα";
const GATE_ENDS: &str = "poort grinden sgrind pforte kapu einfahrtsschranke parkschranke";

const DOORS: &str = "\
    tuer tueren deur voordeur achterdeur tuindeur schuifdeur zijdeur schuurdeur kelderdeur buitendeur hoofddeur \
    poortdeur balkondeur porte portes porta puerta puertas portas doerr doerren doer doeren ovi etuovi ulkoovi \
    takaovi nostoovi drzwi dvere durys durvis ajto uks kapi kapisi дверь двери порта πορτα";
const DOOR_ENDS: &str = "tuer tueren doerr doerren doer ajto";

/// What opens, without a word of what.
const OPENERS: &str = "\
    opener oeffner unlock entriegeln entriegelung schranke tuersummer tuerschloss fensteroeffner fensterantrieb \
    windowopener deadbolt deverrouiller deverrouillage gache serrure cerradura abrepuertas fechadura serratura \
    elettroserratura apriporta apricancello elektrozaczep ontgrendel ontgrendelen";
/// Behind the name of a gate or door in the same word.
const DRIVES: &str = "\
    oeffner opener antrieb steuerung motor relais schalter taster impuls schloss summer riegel nyito aabner oeppnare \
    aapner";

const LIGHTS: &str = "\
    light lights lighting lamp lamps led bell doorbell chime camera cam sensor heater lampe lampen leuchte leuchten \
    beleuchtung klingel gong kamera heizung lumiere lumieres eclairage sonnette luce luci luz luces luzes iluminacion \
    iluminacao illuminazione timbre campanello campainha verlichting deurbel lys lampa lampy lampka swiatlo \
    oswietlenie svetlo osvetleni osvetlenie svjetlo rasvjeta lumina lumini valo valot valgus belysning ljus vilagitas \
    isik isigi свет светло освещение світло лампа φως φωτα";
const LIGHT_ENDS: &str =
    "licht lichter lichtschranke lampe leuchte beleuchtung klingel bell lampa belysning light lights";

/// What hangs before a door is no door; before a gate nothing hangs.
const BLINDS: &str = "\
    blind blinds curtain curtains shade shades awning shutter shutters screen drape drapes volet volets rideau \
    rideaux store stores persiana persianas cortina cortinas estore toldo tapparella tapparelle tenda tende gordijn \
    gordijnen rolluik rolluiken zonwering roleta rolety zaluzje zaluzie zaslona firanka rolo redoeny verho verhot \
    kaihdin rulo perde persienne gardin rullegardin markis jaluzele roletne";
const BLIND_BEGINS: &str = "vorhang rolllad rollad rollo jalousie raffstore markise plissee gardine tuervorhang";

#[cfg(test)]
mod tests {
    use super::super::{alarm, cover, door_lock, light, more, on_off, press};
    use super::*;
    use crate::{DeviceId, Format, Property};

    fn device(kind: DeviceKind, name: &str, services: impl IntoIterator<Item = Service>) -> Device {
        let device = Device::new(DeviceId::new("d-1").unwrap(), kind, name);
        let mut device = services.into_iter().fold(device, Device::with);
        device.guard();
        device
    }

    fn is_asked(kind: DeviceKind, name: &str, service: Service) -> bool {
        device(kind, name, [service]).services[0].is_guarded()
    }

    /// Names of covers, switches and buttons alike.
    const WAYS_IN: &str = "\
        Garage|Garage door|GarageDoor|garage_door_1|Gate|Garden gate|Front Door|FRONT DOOR|Backdoor|Door opener|\
        Gate barrier|Unlock|Frontgate|Garage2|Hoftor|Rolltor|Gartentor|Einfahrtstor|Garagentor|Schiebetor|\
        Sektionaltor|Haupttor|Zauntor|Glastor|Balkontor|Fabriktor|Elektrotor|Tore|Haustor|Parktor|Hof-Tor|Tor|Tor 2|Toröffner|Hoftorantrieb|Tormotor|Türöffner|\
        Tueroeffner|Haustür|HAUSTÜR|Haustu\u{308}r|Kellertür|Türsummer|Haustürschloss|Einfahrtsschranke|\
        Gartenpforte|Portail|Portillon|Porte d'entrée|Porte de garage|Barrière|Gâche électrique|Cancello|\
        cancelletto|Portone|Porta|Apricancello|Garage box|Portón|Puerta principal|Garaje|Cancela|Cochera|Portão|\
        Portão da garagem|Porta|Poort|Tuinpoort|Voordeur|Garagedeur|Deuropener|Poortopener|Slagboom|Hek|Garageport|\
        Garasjeport|Ytterdörr|Hoveddør|Grinden|Havelåge|Autotallin ovi|Ulko-ovi|Portti|Brama|Brama garażowa|Furtka|\
        Drzwi|Szlaban|Garáž|Brána|Dveře|Vrata|Kapija|Garažas|Vartai|Garāža|Vārti|Kapu|Garázs|Kapunyitó|\
        Bejárati ajtó|Poartă|Garaj|Ворота|Гараж|Калитка|Дверь|Хвіртка|Kapı|Bahçe kapısı|Γκαράζ|Πόρτα|Γκαραζόπορτα|\
        Värav";

    const OTHERS: &str = "\
        Monitor|Motor|Tortilla|Actor|Aktor|Rotor|Ventilator|Radiator|Projektor|Detektor|Generator|Transistor|Doktor|\
        Kontor|Mentor|Extintor|Interruptor|Întrerupător|Traktor|Kondensator|Interruttore|Motore|Store|Stor lampe|Motorsteuerung|\
        Motorantrieb|Ventilatorsteuerung|Storage|History|Gateway|Zigbee Gateway|Aggregate|Indoor|Outdoor|Outdoors|\
        Temperatur|Natur|Kultur|Rapport|Report|Port 1|USB-Port|Portal|Import|Sport|Plug|Kitchen|Curtain|Wohnzimmer|\
        Labrador|Tornado|Torte|Fenster Küche|Summer mode|Child lock|Profondeur|Chauffage|Lage|Dosenöffner-Regal";

    #[test]
    fn a_way_in_is_asked_about_by_its_name_whether_it_moves_is_switched_or_pressed() {
        for name in WAYS_IN.split('|') {
            for service in [cover(), on_off(), press()] {
                let id = service.id.clone();
                assert!(is_asked(DeviceKind::Switch, name, service.clone()), "{name}: {id}");
                assert!(is_asked(DeviceKind::Other, "Relay", service.of(1, name)), "{name} as a label: {id}");
            }
        }
        for name in OTHERS.split('|').chain([""]) {
            for service in [cover(), on_off(), press()] {
                let id = service.id.clone();
                assert!(!is_asked(DeviceKind::Switch, name, service.clone()), "{name}: {id}");
                assert!(!is_asked(DeviceKind::Other, "Relay", service.of(1, name)), "{name} as a label: {id}");
            }
        }
    }

    #[test]
    fn what_is_at_a_way_in_and_is_none_is_not_asked_about() {
        let not_asked =
            |kind, name: &str, service: Service| assert!(!is_asked(kind, name, service.clone()), "{name}: {service:?}");
        not_asked(DeviceKind::Light, "Garage light", light());
        not_asked(DeviceKind::Light, "Garage", light());
        not_asked(DeviceKind::Light, "Garage", on_off());
        for name in [
            "Garage light",
            "GarageLight",
            "Garagenlicht",
            "Torbeleuchtung",
            "Luz del garaje",
            "Lumière portail",
            "Garagenlampe",
            "Doorbell",
            "Türklingel",
            "Front door camera",
            "Garage heater",
            "Lichtschranke",
            "Oświetlenie bramy",
        ] {
            not_asked(DeviceKind::Switch, name, on_off());
            not_asked(DeviceKind::Switch, "Garage", on_off().of(1, name));
        }
        not_asked(DeviceKind::Camera, "Front door", on_off().of(1, "Motion detection"));
        assert!(is_asked(DeviceKind::Camera, "Front door", press().of(1, "Gate")), "its label says so");
        for name in ["Terrassentür Rollladen", "Door curtain", "Volet porte", "Jalousie Balkontür"] {
            not_asked(DeviceKind::Cover, name, cover());
        }
        assert!(is_asked(DeviceKind::Cover, "Garage shutter", cover()), "before a garage hangs nothing");
        assert!(is_asked(DeviceKind::Cover, "Garage light", cover()), "what moves is no light");
    }

    #[test]
    fn closing_and_locking_are_not_asked_about_and_nothing_leads_around() {
        let gate = device(DeviceKind::Cover, "Hoftor", [cover(), on_off(), more()]);
        let effect = |device: &Device, service: &str, id: &str| {
            device.service(service).unwrap().actions.iter().find(|one| one.id == id).unwrap().effect
        };
        assert_eq!(effect(&gate, "cover", "open"), Effect::Security);
        assert_eq!(effect(&gate, "cover", "close"), Effect::Physical);
        assert_eq!(effect(&gate, "cover", "stop"), Effect::Physical);
        assert!(gate.services[0].properties.iter().filter(|one| one.write).all(|one| one.effect == Effect::Security));
        let mut extra = more();
        extra.properties.push(Property::state("trigger", Format::Bool).writable());
        // By its class, under any name.
        let window =
            device(DeviceKind::Cover, "Bath", [cover().guarded(), extra, on_off().of(1, "Light"), press().of(2, "Go")]);
        assert!(window.service("more").unwrap().is_guarded() && window.service("press").unwrap().is_guarded());
        assert!(!window.service("on-off").unwrap().is_guarded());
        // A bridge's own idea of a lock.
        let mut lock = door_lock();
        lock.actions.iter_mut().for_each(|one| one.effect = Effect::Safe);
        lock.properties[0].write = true;
        let lock = device(DeviceKind::Lock, "Front", [lock, alarm()]);
        assert_eq!(
            (effect(&lock, "door-lock", "unlock"), effect(&lock, "door-lock", "lock")),
            (Effect::Security, Effect::Safe)
        );
        assert_eq!(lock.services[0].properties[0].effect, Effect::Security);
        assert_eq!(effect(&lock, "alarm", "arm-away"), Effect::Physical);
    }

    #[test]
    fn classes_of_other_systems_say_what_leads_in() {
        for class in ["garage", "garage_door", "gate", "door", "window", "window-opener"] {
            assert!(is_way_in(class), "{class}");
        }
        for class in ["curtain", "blind", "shade", "awning", "shutter", "damper", "airer", ""] {
            assert!(!is_way_in(class), "{class}");
        }
    }

    #[test]
    fn any_name_is_read() {
        for name in ["\u{308}", "ö\u{308}\u{300}", "İstanbul kapı", "\u{0}\u{10ffff}", &"tor".repeat(10_000)] {
            let _ = Named::of(name);
        }
        assert_eq!(words("Frontdoor/GarageDoor-2 u\u{308}ber"), ["frontdoor", "garage", "door", "ueber"]);
    }
}
