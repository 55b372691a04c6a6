//! What the house wants of a device, as a call of Home Assistant for one entity.

use std::time::{Duration, Instant};

use accord_model::text::for_screen;
use accord_model::{CallError, Data, DeviceId, Inputs, Outputs, Property, Target, Verb};
use accord_ports::picture;

use super::{Home, Part, Place};
use crate::core::map;
use crate::core::words::Call;

/// Hue and saturation that are written one after the other belong together.
const TOGETHER: Duration = Duration::from_secs(2);
/// Longest text that is passed on.
const MAX_TEXT: usize = 1024;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Order {
    /// Those are the values.
    Read(Outputs),
    /// Call that.
    Call(Call),
}

impl Home {
    /// # Errors
    /// [`CallError`]: what it is not, cannot, or is not there for.
    pub fn order(&mut self, device: &DeviceId, target: &Target, verb: Verb, now: Instant) -> Result<Order, CallError> {
        match verb {
            Verb::Read { properties } => self.read(device, target, &properties).map(Order::Read),
            Verb::Write { property, data } => {
                let unknown = || CallError::Unsupported(format!("it has no `{}`", for_screen(&property, 60)));
                let (entity, part, place) = self
                    .find(device, target, |part, place| {
                        part.service.properties.iter().any(|one| one.id == place.local(&property))
                    })?
                    .ok_or_else(unknown)?;
                let local = place.local(&property).to_owned();
                let known = part.service.properties.iter().find(|one| one.id == local).ok_or_else(unknown)?;
                if !known.write {
                    return Err(CallError::Unsupported(format!("`{}` is only to be read", for_screen(&property, 60))));
                }
                let data = fit(known, data)?;
                self.write(&entity, &part, &local, &data, now).map(Order::Call)
            }
            Verb::Act { action, inputs } => {
                let unknown =
                    || CallError::Unsupported(format!("`{}` is nothing that it can", for_screen(&action, 60)));
                let (entity, part, place) = self
                    .find(device, target, |part, place| {
                        part.service.actions.iter().any(|one| one.id == place.local(&action))
                    })?
                    .ok_or_else(unknown)?;
                let known =
                    part.service.actions.iter().find(|one| one.id == place.local(&action)).ok_or_else(unknown)?;
                let mut fitting = Inputs::new();
                for (id, data) in inputs {
                    let input = known.inputs.iter().find(|one| one.id == id);
                    let input =
                        input.ok_or_else(|| CallError::BadInput(format!("it takes no `{}`", for_screen(&id, 60))))?;
                    fitting.insert(id, fit(input, data)?);
                }
                let local = known.id.clone();
                let now = self.now.get(&entity).ok_or_else(unknown)?;
                let entity = self.entity(&entity, now);
                reached(&entity)?;
                map::act(&entity, &part.service.id, &local, &fitting).map(Order::Call)
            }
        }
    }

    /// Where the server gives what a camera sees now: a path.
    ///
    /// # Errors
    /// [`CallError`]: what it is not, or is not there for.
    pub fn picture(&self, device: &DeviceId, target: &Target) -> Result<String, CallError> {
        let none = || CallError::Unsupported("it has nothing to be looked at".to_owned());
        let (id, ..) = self.find(device, target, |part, _| part.service.id == picture::SERVICE)?.ok_or_else(none)?;
        let now = self.now.get(&id).ok_or_else(none)?;
        let entity = self.entity(&id, now);
        reached(&entity)?;
        let path = map::picture::path(&entity).map(str::to_owned);
        path.ok_or_else(|| CallError::Device("Home Assistant has no picture of it now".to_owned()))
    }

    fn write(&mut self, id: &str, part: &Part, local: &str, data: &Data, now: Instant) -> Result<Call, CallError> {
        let state = self.now.get(id).ok_or_else(|| CallError::Unreachable("it is gone".to_owned()))?;
        let entity = self.entity(id, state);
        reached(&entity)?;
        let told = self.colors.get(id).filter(|(_, at)| now.duration_since(*at) < TOGETHER).map(|(color, _)| *color);
        let color = told.unwrap_or_else(|| map::color(&entity));
        let call = map::write(&entity, &part.service.id, local, data, color)?;
        let wanted = match (local, data.as_number()) {
            ("hue", Some(hue)) => Some((hue, color.1)),
            ("saturation", Some(saturation)) => Some((color.0, saturation)),
            _ => None,
        };
        self.colors.retain(|_, (_, at)| now.duration_since(*at) < TOGETHER);
        if let Some(wanted) = wanted {
            self.colors.insert(id.to_owned(), (wanted, now));
        }
        Ok(call)
    }

    fn read(&self, device: &DeviceId, target: &Target, wanted: &[String]) -> Result<Outputs, CallError> {
        let placed = self.devices.get(device).ok_or_else(nobody)?;
        let (whole, _) = self.describe(device, placed, accord_model::Timestamp::UNIX_EPOCH);
        let service =
            whole.services.into_iter().find(|one| one.id == target.service && one.instance == target.instance);
        let service = service.ok_or_else(|| CallError::Unsupported(for_screen(&target.service, 60)))?;
        let fits = |id: &String| wanted.is_empty() || wanted.contains(id);
        Ok(service.values.into_iter().filter(|(id, _)| fits(id)).map(|(id, value)| (id, value.data)).collect())
    }

    /// The entity whose part of that service fits.
    fn find(
        &self,
        device: &DeviceId,
        target: &Target,
        fits: impl Fn(&Part, &Place) -> bool,
    ) -> Result<Option<(String, Part, Place)>, CallError> {
        let placed = self.devices.get(device).ok_or_else(nobody)?;
        for (id, places) in placed.entities.iter().zip(&placed.places) {
            let Some(now) = self.now.get(id) else { continue };
            let parts = self.parts(id, now).unwrap_or_default();
            let here = parts.into_iter().zip(places);
            let found = here.into_iter().find(|(part, place)| {
                part.service.id == target.service && place.instance == target.instance && fits(part, place)
            });
            if let Some((part, place)) = found {
                return Ok(Some((id.clone(), part, place.clone())));
            }
        }
        Ok(None)
    }
}

fn nobody() -> CallError {
    CallError::Unreachable("no such device is known".to_owned())
}

/// Home Assistant says yes to whatever is asked of a thing that it does not reach, and does nothing.
fn reached(entity: &map::Entity<'_>) -> Result<(), CallError> {
    match entity.available() {
        true => Ok(()),
        false => Err(CallError::Unreachable("Home Assistant does not reach it now".to_owned())),
    }
}

fn fit(property: &Property, data: Data) -> Result<Data, CallError> {
    if data.as_text().is_some_and(|text| text.len() > MAX_TEXT) {
        return Err(CallError::BadInput(format!("a text of at most {MAX_TEXT} bytes is taken")));
    }
    // A name where a number stands for it does as well.
    let named = data.as_text().and_then(|text| property.values.iter().find(|(_, name)| name == text));
    let data = named.map_or(data.clone(), |(number, _)| Data::Int(*number));
    property.fit(data).map_err(|unfit| CallError::BadInput(unfit.to_string()))
}
