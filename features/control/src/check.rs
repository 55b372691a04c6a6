//! Whether a device offers what is asked of it, in this form.

use accord_model::text::for_screen;
use accord_model::{CallError, Data, Device, Effect, Inputs, Property, Service, Target, Verb};

/// Longest text, and most bytes, that one input holds.
const MAX_TEXT: usize = 64 * 1024;
const MAX_BYTES: usize = 48 * 1024;
const MAX_TEXTS: usize = 256;
/// What is done by features of its own, which know more than a form: pairing asks both owners, files travel as streams,
/// looking into a device, keys, messages and contacts have consents of their own, and a mirror shows what is really ours.
/// What is set of a device that takes files, such as its PIN, is set here.
fn is_done_elsewhere(service: &str, verb: &Verb) -> bool {
    match service {
        "pairing" | "mirror" | "storage" | "input" | "messages" | "contacts" => true,
        "files" => matches!(verb, Verb::Act { .. }),
        _ => false,
    }
}

/// `verb` as the device takes it, and what it does there.
pub fn checked(device: &Device, target: &Target, verb: Verb) -> Result<(Verb, Effect), CallError> {
    let shown = |text: &str| for_screen(text, 60);
    let unsupported = |what: String| CallError::Unsupported(what);
    if is_done_elsewhere(&target.service, &verb) {
        return Err(unsupported(format!("`{}` is not controlled by hand", shown(&target.service))));
    }
    let service = service(device, target).ok_or_else(|| unsupported(shown(&target.service)))?;
    let property = |id: &str| {
        let found = service.properties.iter().find(|one| one.id == id);
        found.ok_or_else(|| unsupported(format!("`{}` has no `{}`", shown(&service.id), shown(id))))
    };
    match verb {
        Verb::Read { properties } => {
            for id in &properties {
                if !property(id)?.read {
                    return Err(unsupported(format!("`{}` cannot be read", shown(id))));
                }
            }
            Ok((Verb::Read { properties }, Effect::Safe))
        }
        Verb::Write { property: id, data } => {
            let property = property(&id)?;
            if !property.write {
                return Err(unsupported(format!("`{}` cannot be set", shown(&id))));
            }
            let data = fit(property, data)?;
            Ok((Verb::Write { property: id, data }, property.effect))
        }
        Verb::Act { action, inputs } => {
            let found = service.actions.iter().find(|one| one.id == action);
            let found = found.ok_or_else(|| {
                unsupported(format!("`{}` cannot be told to `{}`", shown(&service.id), shown(&action)))
            })?;
            let inputs = inputs
                .into_iter()
                .map(|(id, data)| match found.inputs.iter().find(|input| input.id == id) {
                    Some(input) => Ok((id, fit(input, data)?)),
                    None => Err(CallError::BadInput(format!("`{}` takes no `{}`", shown(&action), shown(&id)))),
                })
                .collect::<Result<Inputs, CallError>>()?;
            Ok((Verb::Act { action, inputs }, found.effect))
        }
    }
}

/// The properties that describe what goes out with `verb`.
pub fn described<'a>(device: &'a Device, target: &Target, verb: &Verb) -> &'a [Property] {
    let Some(service) = service(device, target) else { return &[] };
    match verb {
        Verb::Read { .. } => &[],
        Verb::Write { .. } => &service.properties,
        Verb::Act { action, .. } => {
            service.actions.iter().find(|one| one.id == *action).map_or(&[], |action| action.inputs.as_slice())
        }
    }
}

fn service<'a>(device: &'a Device, target: &Target) -> Option<&'a Service> {
    device.services.iter().find(|one| one.id == target.service && one.instance == target.instance)
}

fn fit(property: &Property, data: Data) -> Result<Data, CallError> {
    let data = property.fit(data).map_err(|unfit| CallError::BadInput(unfit.to_string()))?;
    let fits = match &data {
        Data::Text(text) => text.len() <= MAX_TEXT,
        Data::Texts(texts) => texts.len() <= MAX_TEXTS && texts.iter().map(String::len).sum::<usize>() <= MAX_TEXT,
        Data::Bytes(bytes) => bytes.len() <= MAX_BYTES,
        _ => true,
    };
    if !fits {
        return Err(CallError::BadInput(format!("`{}` is too long", for_screen(&property.id, 60))));
    }
    Ok(data)
}
