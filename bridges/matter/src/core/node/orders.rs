//! What the house wants of a device, as commands for its node.

use std::collections::BTreeMap;
use std::time::Duration;

use accord_model::text::for_screen;
use accord_model::{CallError, Data, DeviceId, Inputs, Outputs, Property, Service, Target, Timestamp, Verb};

use super::{Node, Placed};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::map::{self, Part};

/// Hue and saturation that are written one after the other belong together.
const TOGETHER: Duration = Duration::from_secs(2);
/// Longest text that is passed on.
const MAX_TEXT: usize = 256;

/// Colours that lamps were told a moment ago, by device and instance.
pub(super) type Wishes = BTreeMap<(DeviceId, u16), ((f64, f64), Timestamp)>;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Order {
    /// Those are the values; nothing is sent.
    Read(Outputs),
    /// Send this.
    Send(Command),
}

impl Node {
    /// What is to be done so that a device does that. Bad values are refused here, before anything leaves.
    ///
    /// # Errors
    /// [`CallError`]: what it is not, cannot, or does not take.
    pub fn order(
        &mut self,
        device: &DeviceId,
        target: &Target,
        verb: Verb,
        now: Timestamp,
    ) -> Result<Order, CallError> {
        let placed = self.devices.get(device).ok_or_else(|| CallError::Unreachable("it is gone".to_owned()))?;
        let services = &placed.device.services;
        let service = services.iter().find(|one| one.id == target.service && one.instance == target.instance);
        let service = service.ok_or_else(|| {
            CallError::Unsupported(format!("it has no `{}` {}", for_screen(&target.service, 60), target.instance))
        })?;
        match verb {
            Verb::Read { properties } => {
                let wanted = |id: &String| properties.is_empty() || properties.contains(id);
                let values = service.values.iter().filter(|(id, _)| wanted(id));
                Ok(Order::Read(values.map(|(id, value)| (id.clone(), value.data.clone())).collect()))
            }
            Verb::Write { property, data } => {
                let known = service.properties.iter().find(|one| one.id == property);
                let known = known
                    .ok_or_else(|| CallError::Unsupported(format!("it has no `{}`", for_screen(&property, 60))))?;
                if !known.write {
                    return Err(CallError::Unsupported(format!("`{}` is only to be read", known.id)));
                }
                let data = fit(known, data)?;
                let (look, part) = self.part(placed, target)?;
                let key = (device.clone(), target.instance);
                let wished = self.wishes.get(&key).filter(|(_, at)| is_together(*at, now)).map(|(color, _)| *color);
                let color = wished.unwrap_or_else(|| map::color(&look));
                let command = map::write(part, &look, &property, &data, color)?;
                let color = match (property.as_str(), data.as_number()) {
                    ("hue", Some(hue)) => Some((hue, color.1)),
                    ("saturation", Some(saturation)) => Some((color.0, saturation)),
                    _ => None,
                };
                if let Some(color) = color {
                    self.wishes.retain(|_, (_, at)| is_together(*at, now));
                    self.wishes.insert(key, (color, now));
                }
                Ok(Order::Send(command))
            }
            Verb::Act { action, inputs } => {
                let known = service.actions.iter().find(|one| one.id == action).ok_or_else(|| {
                    CallError::Unsupported(format!("`{}` is nothing that it can", for_screen(&action, 60)))
                })?;
                let mut fitting = Inputs::new();
                for (id, data) in inputs {
                    let input = known.inputs.iter().find(|one| one.id == id);
                    let input =
                        input.ok_or_else(|| CallError::BadInput(format!("it takes no `{}`", for_screen(&id, 60))))?;
                    fitting.insert(id, fit(input, data)?);
                }
                let (look, part) = self.part(placed, target)?;
                map::act(part, &look, &action, &fitting).map(Order::Send)
            }
        }
    }

    fn part<'a>(&'a self, placed: &Placed, target: &Target) -> Result<(Look<'a>, &'a Part), CallError> {
        let is_it = |one: &Service| one.id == target.service && one.instance == target.instance;
        let place = placed.device.services.iter().position(is_it).and_then(|at| placed.places.get(at));
        let found = place.and_then(|(endpoint, at)| {
            let look = Look::new(*endpoint, self.endpoints.get(endpoint)?);
            Some((look, self.mapped.get(endpoint)?.parts.get(*at)?))
        });
        found.ok_or_else(|| CallError::Unsupported("that is only told".to_owned()))
    }
}

fn is_together(at: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(at)).is_ok_and(|age| age < TOGETHER)
}

fn fit(property: &Property, data: Data) -> Result<Data, CallError> {
    let data = property.fit(data).map_err(|unfit| CallError::BadInput(unfit.to_string()))?;
    match data.as_text() {
        Some(text) if text.len() > MAX_TEXT => Err(CallError::BadInput(format!("`{}` is too long", property.id))),
        _ => Ok(data),
    }
}
