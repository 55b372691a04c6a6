//! What is wished from where devices are shown: done as far as the owner allowed it for that device in that place, one after the
//! other, and not too often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use accord_consent::{Received, RecipientId};
use accord_model::text::for_screen;
use accord_model::{CallError, Device, DeviceId, Effect, FieldCode, FieldSet, Inputs, Target, Verb};
use accord_ports::showcase::{WISH, Wish};
use accord_registry::{Answer, ByteStream, ServiceHandler};
use async_trait::async_trait;

use super::{Inner, outside};

/// How many wishes a place has at once (all lamps of a large house go off), and how many more a second.
const BURST: f64 = 120.0;
const A_SECOND: f64 = 20.0;
/// A wish is one for so long: what could not be begun by then is not done later. What was begun is waited for a little longer.
const TERM: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Handler(pub Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        let Some(inner) = self.0.upgrade() else {
            return Err(CallError::Unreachable("this hub is ending".into()));
        };
        let wish = match &verb {
            Verb::Act { action, inputs } if action == WISH => Wish::of(inputs),
            _ => None,
        };
        let wish = wish.ok_or_else(|| CallError::BadInput("it is no wish".into()))?;
        inner.fulfil(&from, wish).await.map(|()| Answer::Done)
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

impl Inner {
    async fn fulfil(&self, place: &DeviceId, wish: Wish) -> Result<(), CallError> {
        let until = tokio::time::Instant::now() + TERM;
        let refused = |why: &str| CallError::Refused(why.to_owned());
        let house = self.house().ok_or_else(|| refused("this hub is starting"))?;
        if house.is_blocked(place) {
            return Err(refused("you are blocked"));
        }
        let (id, granted) =
            self.book.thing(place, &wish.device).ok_or_else(|| refused("no such device is shown to you"))?;
        let chosen = granted.chosen;
        if !chosen.control {
            return Err(refused("the owner has not allowed you to control it"));
        }
        let to = RecipientId::device(place);
        let thing = self.registry.thing(&id).ok_or_else(|| CallError::Unreachable("it is not here".into()))?;
        // What is not shown is not obeyed either.
        let device = self.as_granted(&thing, &granted);
        self.gate.check(&self.entry, &to, outside::fields(&device)).map_err(|refusal| refused(&refusal.to_string()))?;
        self.can_show(&thing, place).map_err(|why| refused(&why))?;
        if thing.faces.iter().any(|face| house.is_blocked(&face.known.device.id)) {
            return Err(refused("it is blocked"));
        }
        if !self.pace.may(place, Instant::now()) {
            return Err(refused("too much is wished at once"));
        }
        let name = house.called(&thing.device);
        let shown = outside::device(&device, wish.device.clone(), chosen, name);
        let mut verbs = Vec::new();
        for verb in wish.verbs {
            verbs.push(checked(&shown, &wish.target, verb)?);
        }
        let face = self.way(&thing, &granted, &wish.target.service);
        let face = face.ok_or_else(|| CallError::Unreachable("it is not here".into()))?;
        self.note(place, &wish.target, verbs.len()).await?;
        for verb in verbs {
            if tokio::time::Instant::now() >= until {
                return Err(CallError::Deadline(TERM.as_secs()));
            }
            let told = house.tell((&face, place), wish.target.clone(), verb, chosen.opens);
            // Nobody waits for it any more: it is taken back as far as it was not done.
            let told = tokio::time::timeout_at(until + ENDS_WITHIN, told).await;
            told.map_err(|_| CallError::Deadline((TERM + ENDS_WITHIN).as_secs()))??;
        }
        Ok(())
    }

    /// Who wished it is written down before it is done.
    async fn note(&self, place: &DeviceId, target: &Target, verbs: usize) -> Result<(), CallError> {
        let received = Received {
            entry: Some(self.entry.clone()),
            from: RecipientId::device(place),
            address: String::new(),
            fields: FieldSet::one(FieldCode::CommandName),
            bytes: 0,
            scenario: "on.request".to_owned(),
            items: Vec::new(),
            about: Some(format!("{} of {verbs} wishes", for_screen(&target.service, 40))),
        };
        let noted = self.gate.received(received).await;
        noted.map(drop).map_err(|error| CallError::Device(format!("it cannot be written down: {error}")))
    }
}

/// A wish in the form in which the device takes it, when it may be fulfilled: `shown` has nothing else.
fn checked(shown: &Device, target: &Target, verb: Verb) -> Result<Verb, CallError> {
    let service = shown.services.iter().find(|one| one.id == target.service && one.instance == target.instance);
    let service = service.ok_or_else(|| CallError::Unsupported(for_screen(&target.service, 60)))?;
    let no = |id: &str| CallError::Refused(format!("`{}` is not to be done from there", for_screen(id, 60)));
    match verb {
        Verb::Write { property: id, data } => {
            let property = service.properties.iter().find(|one| one.id == id && one.write).ok_or_else(|| no(&id))?;
            let data = property.fit(data).map_err(|unfit| CallError::BadInput(unfit.to_string()))?;
            Ok(Verb::Write { property: id, data })
        }
        Verb::Act { action, .. } => {
            let found = service.actions.iter().find(|one| one.id == action).ok_or_else(|| no(&action))?;
            match found.effect {
                Effect::Destructive => Err(no(&action)),
                _ => Ok(Verb::Act { action, inputs: Inputs::new() }),
            }
        }
        Verb::Read { .. } => Err(CallError::Unsupported("what it says is shown".into())),
    }
}

/// How often each place may wish something.
#[derive(Default)]
pub(crate) struct Pace(Mutex<HashMap<DeviceId, (f64, Instant)>>);

impl Pace {
    fn may(&self, place: &DeviceId, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has all of it again need not be remembered.
        all.retain(|_, (_, since)| now.saturating_duration_since(*since) < Duration::from_secs(60));
        let (left, since) = all.entry(place.clone()).or_insert((BURST, now));
        *left = (*left + now.saturating_duration_since(*since).as_secs_f64() * A_SECOND).min(BURST);
        *since = now;
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use accord_model::{Data, DeviceKind, catalogue};

    use super::super::Chosen;
    use super::*;

    #[test]
    fn a_place_wishes_no_more_than_it_may() {
        let (pace, now) = (Pace::default(), Instant::now());
        let (one, two) = (DeviceId::new("one").unwrap(), DeviceId::new("two").unwrap());
        let taken = (0..200).filter(|_| pace.may(&one, now)).count();
        assert_eq!((taken, pace.may(&two, now)), (BURST as usize, true));
        assert!(!pace.may(&one, now + Duration::from_millis(10)));
        assert!(pace.may(&one, now + Duration::from_secs(1)));
    }

    #[test]
    fn what_is_wished_is_what_is_shown_and_fits() {
        let thing = Device::new(DeviceId::new("lock").unwrap(), DeviceKind::Lock, "Front")
            .with(catalogue::door_lock())
            .with(catalogue::light());
        let shown =
            |chosen| outside::device(&thing, DeviceId::new("shown-1").unwrap(), chosen, ("Front".to_owned(), None));
        let act = |shown: &Device, action: &str| {
            checked(shown, &Target::new("door-lock"), Verb::Act { action: action.into(), inputs: Inputs::new() })
                .is_ok()
        };
        let control = shown(Chosen { control: true, opens: false });
        assert!(act(&control, "lock") && !act(&control, "unlock") && !act(&control, "open"));
        assert!(act(&shown(Chosen { control: true, opens: true }), "unlock"));
        assert!(!act(&shown(Chosen::default()), "lock"));
        let write =
            |data| checked(&control, &Target::new("light"), Verb::Write { property: "level".into(), data }).is_ok();
        assert!(write(Data::Float(30.0)) && !write(Data::Int(101)) && !write(Data::Text("30".into())));
        let far = Target { service: "light".into(), instance: 1 };
        assert!(checked(&control, &far, Verb::Act { action: "toggle".into(), inputs: Inputs::new() }).is_err());
    }
}
