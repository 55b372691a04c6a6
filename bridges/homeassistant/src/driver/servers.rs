//! Servers as the house knows them: those that are announced, and those that the owner added, with their tokens, on disk.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;

use accord_model::why::Outcome;
use accord_model::{
    CallError, Claims, Data, Device, DeviceId, DeviceKind, FieldCode, Format, FromBridge, Inputs, Outputs, Property,
    Reach, Source, Timestamp, Value, catalogue,
};
use accord_ports::Secret;
use accord_ports::added::{AGAIN, LASTING_S, Record, Register, again, device_id, first_free, pairing};
use serde::{Deserialize, Serialize};

use crate::core::advert::{Advert, Place};
use crate::core::home::Summary;
use crate::core::session::About;
use accord_ports::tls::Key;
use accord_store::Vault;

/// Servers that are merely announced, at most.
const MOST_FOUND: usize = 32;
/// Servers that can be added: each has a connection of its own.
const MOST_ADDED: usize = 16;
/// Shortest and longest token. Home Assistant's have about 180 letters.
const TOKEN: std::ops::RangeInclusive<usize> = 16..=2048;

/// A server that the owner added. The file that it is in can be opened by its owner alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    /// What it announces as its id, when it was seen announced where it was added.
    pub uuid: Option<String>,
    pub name: String,
    /// Where the token may go: there alone.
    pub place: String,
    /// The owner's token, or what tokens are given for when the owner signed in.
    pub token: Secret,
    /// The owner signed in: to whom tokens are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The hash of the key that it holds, where it is reached by https.
    pub pin: Option<String>,
    /// It showed another one since, and when.
    pub other: Option<Changed>,
    pub version: Option<String>,
    pub since: Timestamp,
    pub seen: Option<Timestamp>,
}

/// Another key was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub at: Timestamp,
    pub key: String,
}

impl Record for Added {
    fn since(&self) -> Timestamp {
        self.since
    }
    fn seen(&mut self) -> &mut Option<Timestamp> {
        &mut self.seen
    }
}

impl Added {
    pub(crate) fn place(&self) -> Option<Place> {
        Place::parse(&self.place).ok()
    }
    pub(crate) fn pin(&self) -> Option<Key> {
        self.pin.as_deref()?.parse().ok()
    }
}

/// How it stands with a server now.
#[derive(Debug, Default)]
pub(crate) struct Server {
    /// What it announces, and where: for one that is not added, where it was first, as long as it is announced at all.
    pub announced: Option<(Advert, Place)>,
    /// Where it was announced first.
    first: Option<Place>,
    /// It is announced at several places, or was: one of them may be somebody else, who waits for the token.
    disputed: bool,
    /// It let us in.
    pub up: bool,
    /// There is no connection, and why.
    pub down: Option<(String, Outcome)>,
    /// It does not take the token, since when, and in which words.
    pub refused: Option<(Timestamp, String)>,
    admin: Option<bool>,
    summary: Option<Summary>,
}

impl Server {
    /// What is announced of it, and nothing else.
    fn anew(&mut self) -> Self {
        let (announced, first, disputed) = (self.announced.take(), self.first, self.disputed);
        Self { announced, first, disputed, ..Self::default() }
    }
}

/// All that are known.
pub(crate) struct Servers {
    known: BTreeMap<DeviceId, Server>,
    /// By the name of the announcement. Several may be of one server.
    names: HashMap<String, DeviceId>,
    added: Register<Added>,
}

impl Servers {
    pub(crate) fn open(folder: &Vault) -> Result<Self, String> {
        let added: Register<Added> = Register::open(folder)?;
        let known = added.all().keys().map(|id| (id.clone(), Server::default())).collect();
        Ok(Self { known, names: HashMap::new(), added })
    }

    pub(crate) fn get(&self, id: &DeviceId) -> Option<&Server> {
        self.known.get(id)
    }
    pub(crate) fn added(&self, id: &DeviceId) -> Option<&Added> {
        self.added.get(id)
    }
    pub(crate) fn all_added(&self) -> Vec<DeviceId> {
        self.added.all().keys().cloned().collect()
    }
    pub(crate) fn all(&self) -> Vec<FromBridge> {
        self.known.keys().map(|id| self.told(id)).collect()
    }
    pub(crate) fn name(&self, id: &DeviceId) -> String {
        let server = self.known.get(id);
        let announced = server.and_then(|server| server.announced.as_ref()).map(|(advert, _)| advert.name.clone());
        self.added.get(id).map(|added| added.name.clone()).or(announced).unwrap_or_else(|| "Home Assistant".to_owned())
    }

    /// It announces itself elsewhere than where it was added. Anybody can announce, so that nothing follows from it.
    pub(crate) fn elsewhere(&self, id: &DeviceId) -> Option<Place> {
        let (_, announced) = self.known.get(id)?.announced.as_ref()?;
        let added = self.added.get(id)?.place()?;
        (announced.address != added.address).then_some(*announced)
    }

    // -- who is announced ---------------------------------------------------------------------------

    /// Somebody announces a server. Which added one, if any; and what to tell.
    pub(crate) fn found(
        &mut self,
        name: &str,
        advert: Advert,
        at: &[SocketAddrV4],
    ) -> (Option<DeviceId>, Vec<FromBridge>) {
        let Some(first) = at.first() else { return (None, Vec::new()) };
        let tls = advert.tls;
        // Where it was added counts before where else it is.
        let of_added = |(_, added): &(&DeviceId, &Added)| {
            let here = added.place().is_some_and(|place| at.iter().any(|at| place.address == (*at).into()));
            added.uuid.as_ref().map_or(here, |uuid| *uuid == advert.uuid)
        };
        let added = self.added.all().iter().find(of_added).map(|(id, added)| (id.clone(), added.clone()));
        let (id, place) = match &added {
            Some((id, added)) => {
                let here = added.place().filter(|place| at.iter().any(|at| place.address == (*at).into()));
                (id.clone(), here.unwrap_or(Place { address: (*first).into(), tls }))
            }
            None => (id_of(&advert.uuid), Place { address: (*first).into(), tls }),
        };
        if !self.known.contains_key(&id) && self.known.len() >= MOST_FOUND + self.added.all().len() {
            return (None, Vec::new());
        }
        // Only what is where it was added is believed, and its own word over the connection counts more.
        if let Some((id, mut record)) = added.clone()
            && record.place().is_some_and(|before| before.address == place.address)
        {
            record.uuid.get_or_insert_with(|| advert.uuid.clone());
            if record.version.is_none() {
                (record.name, record.version) = (advert.name.clone(), advert.version.clone());
            }
            self.added.note(&id, record);
        }
        let server = self.known.entry(id.clone()).or_default();
        // Anybody can announce anything. Who came later does not get the place of who was first, nor is it known who is right.
        let before = *server.first.get_or_insert(place);
        server.disputed |= at.iter().any(|at| Place { address: (*at).into(), tls } != before);
        if added.is_some() || place == before {
            server.announced = Some((advert, place));
        }
        self.names.insert(name.to_owned(), id.clone());
        let told = vec![self.told(&id)];
        (added.map(|(id, _)| id), told)
    }

    /// An announcement is taken back, or nothing was heard of it for long.
    pub(crate) fn lost(&mut self, name: &str) -> Option<FromBridge> {
        let id = self.names.remove(name)?;
        if self.names.values().any(|other| *other == id) {
            return None;
        }
        let server = self.known.get_mut(&id)?;
        (server.announced, server.first, server.disputed) = (None, None, false);
        if self.added.get(&id).is_none() {
            self.known.remove(&id);
        }
        Some(self.told(&id))
    }

    /// Nobody is looked for any more.
    pub(crate) fn all_lost(&mut self) -> Vec<FromBridge> {
        let names: Vec<String> = self.names.keys().cloned().collect();
        names.iter().filter_map(|name| self.lost(name)).collect()
    }

    // -- who is added -------------------------------------------------------------------------------

    /// The owner adds one by its address, or gives it another address or token. At another address it may show any key then,
    /// or the one that the owner names; with the token that it has, only the key that it has.
    /// What it replaces, too.
    pub(crate) fn add(&mut self, inputs: &Inputs) -> Result<(DeviceId, Option<Added>, Vec<FromBridge>), CallError> {
        let given = inputs.get("token").and_then(Data::as_text).map(str::trim).filter(|token| !token.is_empty());
        let (id, record) = self.wanted(inputs)?;
        let before = self.added.get(&id).cloned();
        let kept = before.as_ref().filter(|_| given.is_none() && again(inputs).is_ok_and(|again| again.is_some()));
        let record = match kept {
            Some(before) => with_token_of(record, before)?,
            None => Added { token: token(given)?, ..record },
        };
        let (id, told) = self.keep(id, record)?;
        Ok((id, before, told))
    }

    /// The owner goes to sign in with one: until that is done it is merely seen, unless it was added before.
    pub(crate) fn sign_in(&mut self, inputs: &Inputs) -> Result<(DeviceId, Added, Vec<FromBridge>), CallError> {
        let (id, record) = self.wanted(inputs)?;
        self.has_room(&id)?;
        self.known.entry(id.clone()).or_default();
        let told = vec![self.told(&id)];
        Ok((id, record, told))
    }

    /// The owner signed in.
    pub(crate) fn signed_in(&mut self, id: DeviceId, record: Added) -> Result<Vec<FromBridge>, CallError> {
        self.keep(id, record).map(|(_, told)| told)
    }

    /// The owner did not.
    pub(crate) fn not_signed_in(&mut self, id: &DeviceId) -> Option<FromBridge> {
        let is_nobody = |server: &Server| server.announced.is_none();
        let left = self.added.get(id).is_none() && self.known.get(id).is_some_and(is_nobody);
        left.then(|| {
            self.known.remove(id);
            self.told(id)
        })
    }

    /// What the owner says of a server, without a token.
    fn wanted(&self, inputs: &Inputs) -> Result<(DeviceId, Added), CallError> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text).map(str::trim).filter(|text| !text.is_empty());
        let address = text("address").ok_or_else(|| CallError::BadInput("the address is missing".to_owned()))?;
        let place = Place::parse(address).map_err(CallError::BadInput)?;
        let wrong = || {
            CallError::BadInput(
                "a key's hash has 64 hexadecimal digits, as Accord shows it once it is added".to_owned(),
            )
        };
        let pin = text("certificate").map(|text| text.parse::<Key>().map_err(|_| wrong())).transpose()?;
        if pin.is_some() && !place.tls {
            return Err(CallError::BadInput("only what is reached by https has a certificate".to_owned()));
        }
        let mut all = self.known.values().filter_map(|server| server.announced.as_ref());
        let announced = all.find(|(_, at)| at.address == place.address).map(|(advert, _)| advert.clone());
        let same = |(_, added): &(&DeviceId, &Added)| {
            let known = announced.as_ref().is_some_and(|advert| added.uuid.as_ref() == Some(&advert.uuid));
            known || added.place().is_some_and(|before| before.address == place.address)
        };
        let there = self.added.all().iter().find(same).map(|(id, added)| (id.clone(), added.clone()));
        let before = match again(inputs).map_err(CallError::BadInput)? {
            None => there,
            Some(id) => Some(self.moved(id, there.map(|(id, _)| id), announced.as_ref())?),
        };
        let moved = inputs.contains_key(AGAIN);
        let id = match (&before, &announced) {
            (Some((id, _)), _) => id.clone(),
            (None, Some(advert)) => id_of(&advert.uuid),
            // One that moved away from there may be known by it.
            (None, None) => id_of(&first_free(&place.to_string(), |name| self.added.get(&id_of(name)).is_some())),
        };
        let name = announced.as_ref().map(|advert| advert.name.clone());
        let before = before.map(|(_, added)| added);
        // Where it was before, its key is the one still; or the other one that the owner was told of, and nobody else's.
        let there = before.as_ref().filter(|before| before.place() == Some(place) && place.tls);
        let shown = |before: &Added| before.other.as_ref().map(|other| other.key.clone()).or(before.pin.clone());
        let had = || before.as_ref().filter(|_| moved && place.tls).and_then(|before| before.pin.clone());
        let pin = pin.map(|key| key.to_string()).or_else(|| there.and_then(shown)).or_else(had);
        let seen = before.as_ref().filter(|_| moved).and_then(|before| before.seen);
        let record = Added {
            uuid: announced
                .as_ref()
                .map(|advert| advert.uuid.clone())
                .or_else(|| before.as_ref().and_then(|one| one.uuid.clone())),
            name: name
                .or_else(|| before.as_ref().map(|one| one.name.clone()))
                .unwrap_or_else(|| "Home Assistant".to_owned()),
            place: place.to_string(),
            token: "".into(),
            client: None,
            pin,
            other: None,
            version: announced.and_then(|advert| advert.version),
            since: before.map_or_else(Timestamp::now, |before| before.since),
            seen,
        };
        Ok((id, record))
    }

    /// An added server is said to be there now. `there`: who was added there. Who says of itself that it is another is another.
    fn moved(
        &self,
        id: DeviceId,
        there: Option<DeviceId>,
        announced: Option<&Advert>,
    ) -> Result<(DeviceId, Added), CallError> {
        let no = |why: &str| CallError::BadInput(why.to_owned());
        let added = self.added.get(&id).ok_or_else(|| no("that is no Home Assistant that was added"))?;
        if there.is_some_and(|there| there != id) {
            return Err(no("another Home Assistant was added at that address; remove that one first"));
        }
        let other = |uuid: &String| announced.is_some_and(|advert| advert.uuid != *uuid);
        if added.uuid.as_ref().is_some_and(other) {
            return Err(no(
                "what announces itself at that address is another Home Assistant, which is added by itself",
            ));
        }
        Ok((id, added.clone()))
    }

    /// The owner adds one that is announced, with a token.
    pub(crate) fn request(&mut self, id: &DeviceId, inputs: &Inputs) -> Result<Vec<FromBridge>, CallError> {
        if self.added.get(id).is_some() {
            let why = "it is added; to give it another token or address, add it again by its address";
            return Err(CallError::Unsupported(why.to_owned()));
        }
        let server = self.known.get(id).filter(|server| server.announced.is_some());
        let (advert, place) = server
            .and_then(|server| server.announced.clone())
            .ok_or_else(|| CallError::Unreachable("it is not announced now; add it by its address".to_owned()))?;
        if server.is_some_and(|server| server.disputed) {
            let why = "it is announced at several places, and anybody can announce: so that your token goes to nobody else, \
                       add it by its address, in “Add a device”";
            return Err(CallError::Unsupported(why.to_owned()));
        }
        let token = token(inputs.get("token").and_then(Data::as_text))?;
        let record = Added {
            uuid: Some(advert.uuid),
            name: advert.name,
            place: place.to_string(),
            token,
            client: None,
            pin: None,
            other: None,
            version: advert.version,
            since: Timestamp::now(),
            seen: None,
        };
        self.keep(id.clone(), record).map(|(_, told)| told)
    }

    fn has_room(&self, id: &DeviceId) -> Result<(), CallError> {
        match self.added.get(id).is_none() && self.added.all().len() >= MOST_ADDED {
            true => Err(CallError::BadInput(format!("{MOST_ADDED} servers are added; remove one first"))),
            false => Ok(()),
        }
    }

    fn keep(&mut self, id: DeviceId, record: Added) -> Result<(DeviceId, Vec<FromBridge>), CallError> {
        self.has_room(&id)?;
        self.added.set(&id, Some(record)).map_err(CallError::Device)?;
        let server = self.known.entry(id.clone()).or_default();
        *server = server.anew();
        let told = vec![self.told(&id), self.added.paired(&id)];
        Ok((id, told))
    }

    /// The owner wants nothing of it any more; the token is forgotten.
    pub(crate) fn remove(&mut self, id: &DeviceId) -> Result<Vec<FromBridge>, CallError> {
        let known =
            self.known.get_mut(id).ok_or_else(|| CallError::Unreachable("no such server is known".to_owned()))?;
        *known = known.anew();
        if let (Some((_, place)), Some(first)) = (&mut known.announced, known.first) {
            *place = first;
        }
        let announced = known.announced.is_some();
        self.added.set(id, None).map_err(CallError::Device)?;
        if !announced {
            self.known.remove(id);
            return Ok(vec![FromBridge::Gone { device: id.clone() }]);
        }
        Ok(vec![self.told(id), self.added.paired(id)])
    }

    // -- how it stands ------------------------------------------------------------------------------

    fn change(&mut self, id: &DeviceId, change: impl FnOnce(&mut Server, &mut Added)) -> Vec<FromBridge> {
        let (Some(server), Some(mut added)) = (self.known.get_mut(id), self.added.get(id).cloned()) else {
            return Vec::new();
        };
        change(server, &mut added);
        self.added.note(id, added);
        vec![self.told(id)]
    }

    /// It let us in.
    pub(crate) fn up(&mut self, id: &DeviceId, version: String) -> Vec<FromBridge> {
        self.change(id, |server, added| {
            (server.up, server.down, server.refused) = (true, None, None);
            (added.version, added.seen) = (Some(version).filter(|version| !version.is_empty()), Some(Timestamp::now()));
        })
    }

    pub(crate) fn about(&mut self, id: &DeviceId, about: About) -> Vec<FromBridge> {
        self.change(id, |server, added| {
            server.admin = about.admin;
            if let Some(name) =
                about.name.map(|name| accord_model::text::for_screen(name.trim(), 64)).filter(|name| !name.is_empty())
            {
                added.name = name;
            }
        })
    }

    pub(crate) fn has(&mut self, id: &DeviceId, summary: Summary) -> Vec<FromBridge> {
        self.change(id, |server, _| server.summary = Some(summary))
    }

    /// It holds this key. The first is the one from now on.
    pub(crate) fn key(&mut self, id: &DeviceId, key: Key) -> Vec<FromBridge> {
        self.change(id, |_, added| {
            added.pin.get_or_insert_with(|| key.to_string());
            added.other = None;
        })
    }

    /// It holds another one.
    pub(crate) fn other(&mut self, id: &DeviceId, key: Key) -> Vec<FromBridge> {
        self.change(id, |_, added| {
            let is_new = added.other.as_ref().is_none_or(|other| other.key != key.to_string());
            if is_new {
                added.other = Some(Changed { at: Timestamp::now(), key: key.to_string() });
            }
        })
    }

    pub(crate) fn refused(&mut self, id: &DeviceId, why: String) -> Vec<FromBridge> {
        self.change(id, |server, _| {
            (server.up, server.refused) = (false, Some((Timestamp::now(), why)));
        })
    }

    /// There is no connection. Nothing to tell when that is nothing new.
    pub(crate) fn down(&mut self, id: &DeviceId, why: String, outcome: Outcome) -> Vec<FromBridge> {
        let is_new = self.known.get(id).is_some_and(|server| server.up || server.down.is_none());
        let told = self.change(id, |server, _| (server.up, server.down) = (false, Some((why, outcome))));
        if is_new { told } else { Vec::new() }
    }

    /// Nothing is said to it any more.
    pub(crate) fn quiet(&mut self, id: &DeviceId) -> Vec<FromBridge> {
        self.change(id, |server, _| server.up = false)
    }

    // -- telling ------------------------------------------------------------------------------------

    /// What is known of a service of a server.
    pub(crate) fn read(&self, id: &DeviceId, service: &str, wanted: &[String]) -> Option<Outputs> {
        let FromBridge::Seen { device } = self.told(id) else { return None };
        let values = device.services.into_iter().find(|one| one.id == service)?.values;
        let fits = |id: &String| wanted.is_empty() || wanted.contains(id);
        Some(values.into_iter().filter(|(id, _)| fits(id)).map(|(id, value)| (id, value.data)).collect())
    }

    fn told(&self, id: &DeviceId) -> FromBridge {
        match self.known.get(id) {
            Some(server) => FromBridge::Seen { device: self.describe(id, server) },
            None => FromBridge::Gone { device: id.clone() },
        }
    }

    fn describe(&self, id: &DeviceId, server: &Server) -> Device {
        let added = self.added.get(id);
        let mut device = Device::new(id.clone(), DeviceKind::Hub, self.name(id));
        (device.maker, device.model) = (Some("Home Assistant".to_owned()), None);
        device.passing = added.is_none();
        let announced = server.announced.as_ref();
        // One that was neither added nor seen is somewhere the owner is to sign in: nobody knows whether it is there.
        let is_here = server.up || (added.is_none() && announced.is_some());
        device.reach = if is_here { Reach::Local } else { Reach::Offline };
        let place = added.and_then(Added::place).or(announced.map(|(_, place)| *place));
        device.claims = Claims::peer(place.map(|place| place.address.ip()));
        if let Some(uuid) = added.and_then(|added| added.uuid.as_ref()).or(announced.map(|(advert, _)| &advert.uuid)) {
            device.claims = device.claims.unique(uuid);
        }
        let seen = Timestamp::now();
        let value = |data: Data| Value { data, seen, source: Source::Pushed, fresh_for_s: LASTING_S };
        let version = added
            .and_then(|added| added.version.clone())
            .or_else(|| announced.and_then(|(advert, _)| advert.version.clone()));
        let mut information = catalogue::information().only(&["software"], &[]);
        information
            .values
            .extend(version.map(|version| ("software".to_owned(), value(format!("Home Assistant {version}").into()))));
        let mut more = catalogue::more();
        let mut say = |property: Property, data: Option<Data>| {
            if let Some(data) = data {
                more.values.insert(property.id.clone(), value(data));
                more.properties.push(property.diagnostic());
            }
        };
        let number = |number: usize| Some(Data::Int(i64::try_from(number).unwrap_or(i64::MAX)));
        say(
            Property::state("address", Format::Text).sensitive(FieldCode::NetIp),
            place.map(|place| place.to_string().into()),
        );
        say(Property::state("certificate", Format::Text), added.and_then(|added| added.pin.clone()).map(Data::Text));
        say(Property::state("administrator", Format::Bool), server.admin.map(Data::Bool));
        if let Some(summary) = server.summary {
            say(Property::state("devices", Format::Int), number(summary.devices));
            say(Property::state("entities", Format::Int), number(summary.entities));
            say(Property::state("left-out", Format::Int), number(summary.beyond).filter(|_| summary.beyond > 0));
        }
        let mut pairing = pairing(added.map(|added| added.since));
        for request in pairing.actions.iter_mut().filter(|one| one.id == "request" && added.is_none()) {
            request.inputs = vec![Property::state("token", Format::Text).sensitive(FieldCode::AccountId)];
        }
        device.with(information).with(more).with(pairing)
    }
}

fn id_of(name: &str) -> DeviceId {
    device_id("homeassistant", name)
}

/// A server with the token that it had, or the sign-in. What was encrypted is not said in clear by an oversight.
fn with_token_of(record: Added, before: &Added) -> Result<Added, CallError> {
    let is_encrypted = |added: &Added| added.place().is_some_and(|place| place.tls);
    if is_encrypted(before) && !is_encrypted(&record) {
        let why = "the token was given for https; for http, by which it goes in clear, give it again or sign in again";
        return Err(CallError::BadInput(why.to_owned()));
    }
    Ok(Added { token: before.token.clone(), client: before.client.clone(), ..record })
}

/// What was given as a token. No message repeats it.
fn token(given: Option<&str>) -> Result<Secret, CallError> {
    let given = given.unwrap_or_default().trim();
    let plain = TOKEN.contains(&given.len()) && given.bytes().all(|byte| byte.is_ascii_graphic());
    match plain {
        true => Ok(given.into()),
        false => Err(CallError::BadInput(
            "that is no token: make one in Home Assistant, in your profile under Security, as a long-lived access token".to_owned(),
        )),
    }
}

#[cfg(test)]
#[path = "servers_tests.rs"]
mod tests;
