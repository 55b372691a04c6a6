//! Adding devices by a form: what is not found by itself, or may be used only with a secret of its owner.

use std::time::Duration;

use accord_consent::{Choice, RecipientId, To};
use accord_model::{Data, DeviceId, DeviceKind, Inputs, Reach};

use super::hub::Hub;
use super::joining;
use super::offers::agrees_to_control;
use crate::api::error::{Answer, Failure};
use crate::api::forms as api;

/// How long a bridge may take to keep what was given.
pub(super) const KEPT_WITHIN: Duration = Duration::from_secs(10);
/// How long an added device is waited for, before it is told as being away.
const HERE_WITHIN: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(100);
/// Longest text of a field, and of one that may hold a whole file: 1 MiB, as bytes in base64 in a data URL.
const MAX_TEXT: usize = 4096;
const MAX_FILE: usize = (1usize << 20).div_ceil(3) * 4 + 256;

/// One way in which a bridge adds devices.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub bridge: &'static str,
    pub way: &'static str,
    /// As a title: `Home Assistant`.
    pub what: &'static str,
    /// The same beside other ways of its bridge: `By address`.
    pub how: &'static str,
    /// What is mostly added by it.
    pub kind: DeviceKind,
    /// What the owner has to do before.
    pub steps: &'static [&'static str],
    pub fields: &'static [Field],
}

/// One thing to be given.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub id: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub needs: Needs,
    /// Not shown while it is typed, and never read back.
    pub secret: bool,
}

/// What a field needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Text,
    /// Nothing, if the owner wishes.
    Optional,
    /// The content of a file: its text, or its bytes in base64 in a data URL (RFC 2397).
    File,
    /// `yes` or `no`; no when nothing is given.
    Switch,
}

impl Hub {
    pub fn forms(&self) -> api::Forms {
        let field = |field: &Field| api::FormField {
            id: field.id.to_owned(),
            label: field.label.to_owned(),
            hint: field.hint.to_owned(),
            kind: match field.needs {
                Needs::Text | Needs::Optional => api::FormKind::Text,
                Needs::File => api::FormKind::File,
                Needs::Switch => api::FormKind::Switch,
            },
            required: matches!(field.needs, Needs::Text | Needs::File),
            secret: field.secret,
        };
        let form = |form: &Form| api::Form {
            bridge: form.bridge.to_owned(),
            way: form.way.to_owned(),
            what: form.what.to_owned(),
            how: form.how.to_owned(),
            kind: form.kind,
            steps: form.steps.iter().map(|step| (*step).to_owned()).collect(),
            fields: form.fields.iter().map(field).collect(),
            sign_in: sign_in(form).map(str::to_owned),
            offers: self.form_offers(form),
        };
        api::Forms { forms: joining::FORMS.iter().map(form).collect() }
    }

    /// Adds what the owner describes. That is consent to the bridge's entry for these devices, as pairing is; beside it to what
    /// was offered with the form and is among `agrees`, and to nothing else.
    /// `origin`: where the owner's browser finds this hub.
    pub async fn add(&self, wanted: api::Add, surface: &'static str, origin: Option<String>) -> Answer<api::Added> {
        let form = joining::FORMS.iter().find(|form| form.bridge == wanted.bridge && form.way == wanted.way);
        let form = form.ok_or_else(|| Failure::not_found("There is no such form; `GET /forms` lists them."))?;
        let agrees = wanted.agrees.clone();
        let control = agrees_to_control(&agrees, Some(form))?;
        if wanted.sign_in {
            sign_in(form).ok_or_else(|| Failure::bad_request(format!("{} has no signing in.", form.what)))?;
            return self.begin_sign_in(form, inputs(form, wanted)?, control, surface, origin).await;
        }
        let inputs = inputs(form, wanted)?;
        self.agree_to_search(form, &agrees, surface)?;
        let devices = self.registry.add(form.bridge, form.way, inputs, KEPT_WITHIN).await?.devices;
        self.agree_to_added(form, &devices, control, surface)?;
        let until = tokio::time::Instant::now() + HERE_WITHIN;
        let is_here =
            |id: &DeviceId| self.registry.device(id).is_some_and(|known| known.device.reach != Reach::Offline);
        while !devices.iter().all(is_here) && tokio::time::Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        let devices = devices.iter().map(|id| self.device(id)).collect::<Answer<Vec<_>>>()?;
        Ok(api::Added { devices, open: None, signing_in: None })
    }

    /// Adding devices by a form is agreeing that they are spoken to.
    fn agree_to_added(&self, form: &Form, devices: &[DeviceId], control: bool, surface: &'static str) -> Answer<()> {
        let entry = self.entry_of(form.bridge);
        let entry = entry.ok_or_else(|| Failure::internal("No such entry", form.bridge))?;
        for device in devices {
            // It may hold another key now: what was agreed for it before does not come back.
            self.forget_given(device)?;
            let to = To::One(RecipientId::device(device));
            self.decide_as(entry.clone(), to, Choice::Always, None, surface)?;
            if control {
                self.agree_to_control(form.bridge, device, surface)?;
            }
        }
        Ok(())
    }
}

/// What the button for signing in says, where that is possible.
fn sign_in(form: &Form) -> Option<&'static str> {
    let of_form = |(bridge, way, _): &&(&str, &str, &str)| *bridge == form.bridge && *way == form.way;
    joining::SIGN_INS.iter().find(of_form).map(|(.., label)| *label)
}

/// What was given, as the form wants it. No message repeats it: it may hold a secret.
fn inputs(form: &Form, wanted: api::Add) -> Answer<Inputs> {
    let mut given = wanted.inputs;
    let mut inputs = Inputs::new();
    // Who signs in gives no secret.
    for field in form.fields.iter().filter(|field| !(wanted.sign_in && field.secret)) {
        let text = given.remove(field.id).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let most = if field.needs == Needs::File { MAX_FILE } else { MAX_TEXT };
        let refused = |what: &str| Failure::bad_request(format!("“{}” {what}.", field.label));
        let data = match (field.needs, text) {
            (_, Some(text)) if text.len() > most => return Err(refused("is too long")),
            (Needs::Text | Needs::File, None) => return Err(refused("is missing")),
            (Needs::Optional, None) => continue,
            (Needs::Switch, None) => Data::Bool(false),
            (Needs::Switch, Some(text)) => match text.as_str() {
                "yes" | "true" | "on" => Data::Bool(true),
                "no" | "false" | "off" => Data::Bool(false),
                _ => return Err(refused("is yes or no")),
            },
            (_, Some(text)) => Data::Text(text),
        };
        inputs.insert(field.id.to_owned(), data);
    }
    match given.keys().next() {
        None => Ok(inputs),
        Some(more) => {
            let more = accord_model::text::for_screen(more, 40);
            Err(Failure::bad_request(format!("“{}” has no `{more}`.", form.what)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        bridge: "lab",
        way: "token",
        what: "Lab",
        how: "By address",
        kind: DeviceKind::Hub,
        steps: &[],
        fields: &[
            Field { id: "address", label: "Address", hint: "", needs: Needs::Text, secret: false },
            Field { id: "token", label: "Token", hint: "", needs: Needs::Optional, secret: true },
            Field { id: "tls", label: "Encrypted", hint: "", needs: Needs::Switch, secret: false },
        ],
    };

    #[test]
    fn a_form_takes_its_fields_and_says_what_is_missing_without_repeating_secrets() {
        let given = |pairs: &[(&str, &str)]| {
            let inputs = pairs.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect();
            inputs_of(inputs)
        };
        fn inputs_of(inputs: std::collections::BTreeMap<String, String>) -> Result<Inputs, String> {
            let add = api::Add { bridge: "lab".into(), way: "token".into(), inputs, sign_in: false, agrees: vec![] };
            inputs_or(&FORM, add)
        }
        fn inputs_or(form: &Form, add: api::Add) -> Result<Inputs, String> {
            super::inputs(form, add).map_err(|failure| format!("{failure:?}"))
        }
        let whole = given(&[("address", " 10.0.0.2 "), ("token", "geheim"), ("tls", "yes")]).unwrap();
        assert_eq!(whole["address"], Data::Text("10.0.0.2".into()));
        assert_eq!(whole["tls"], Data::Bool(true));
        let bare = given(&[("address", "a")]).unwrap();
        assert_eq!((bare.get("token"), &bare["tls"]), (None, &Data::Bool(false)));
        let long = "geheim".repeat(MAX_TEXT);
        for wrong in [
            &[][..],
            &[("address", "  ")],
            &[("address", "a"), ("tls", "geheim")],
            &[("address", "a"), ("token", &long)],
            &[("address", "a"), ("port", "geheim")],
        ] {
            let failure = given(wrong).unwrap_err();
            assert!(!failure.contains("geheim"), "{failure}");
        }
    }
}
