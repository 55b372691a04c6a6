//! Adding devices by a form: what is not found by itself, or may be used only with a secret of its owner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Choice, Consent, ConsentState, RecipientId, To};
use accord_model::why::Code;
use accord_model::{Data, DeviceId, DeviceKind, Inputs, Reach};
use accord_ports::added::AGAIN;
use accord_registry::Known;

use super::foreign::is_paired;
use super::hub::Hub;
use super::joining;
use super::offers::agrees_to_control;
use crate::api::error::{Answer, Failure};
use crate::api::forms as api;
use crate::api::why::{DeviceWhy, Weight};

/// How long a bridge may take to keep what was given.
pub(super) const KEPT_WITHIN: Duration = Duration::from_secs(10);
/// How long an added device is waited for, before it is told as being away.
const HERE_WITHIN: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(100);
/// How soon it is asked why it is not here, and how often.
const ASK: Duration = Duration::from_millis(1500);
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
            again: self.movable(form),
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
        let again = wanted.again.clone();
        let is_known = |id: &String| self.movable(form).iter().any(|one| one.id == *id);
        if again.as_ref().is_some_and(|id| !is_known(id)) {
            return Err(Failure::not_found(
                "No such device was added in this way; `GET /forms` lists those that were.",
            ));
        }
        let (signs_in, away) = (wanted.sign_in, wanted.away);
        if signs_in {
            sign_in(form).ok_or_else(|| Failure::bad_request(format!("{} has no signing in.", form.what)))?;
        }
        let (inputs, looked_up) = self.numbered(inputs(form, wanted)?).await?;
        if signs_in {
            let begun = self.begin_sign_in(form, inputs, control, surface, origin).await?;
            return Ok(api::Added { looked_up, ..begun });
        }
        self.agree_to_search(form, &agrees, surface)?;
        let before: BTreeSet<DeviceId> = self.added_by(form.bridge);
        let devices = self.registry.add(form.bridge, form.way, inputs, KEPT_WITHIN).await?.devices;
        self.agree_to_added(form, &devices, (control, again.is_some()), surface)?;
        let has_to_answer = !away && joining::ANSWERS.contains(&(form.bridge, form.way));
        // One that was added before is changed, and stays.
        let anew: Vec<&DeviceId> = devices.iter().filter(|id| has_to_answer && !before.contains(id)).collect();
        let said = self.awaited(&devices, anew.first().copied()).await;
        if let Some(first) = anew.first().filter(|id| !self.is_here(id)) {
            let said = match said {
                Some(said) => said,
                None => self.why(first).await?,
            };
            if !said.reached {
                for id in anew {
                    self.unpair_foreign(id).await?;
                    self.forget_agreed(id)?;
                }
                return Err(Failure::not_reached(not_added(&said)));
            }
        }
        let devices = devices.iter().map(|id| self.device(id)).collect::<Answer<Vec<_>>>()?;
        Ok(api::Added { devices, open: None, signing_in: None, looked_up })
    }

    /// Who was added to that bridge.
    fn added_by(&self, bridge: &str) -> BTreeSet<DeviceId> {
        let all = self.registry.devices().into_iter().filter(|known| known.bridge == bridge && !known.device.passing);
        all.map(|known| known.device.id.clone()).collect()
    }

    fn is_here(&self, id: &DeviceId) -> bool {
        self.registry.device(id).is_some_and(|known| known.device.reach != Reach::Offline)
    }

    /// Waits until they are here, for a while; for less when it turns out why `one` is not, and will not be.
    async fn awaited(&self, devices: &[DeviceId], one: Option<&DeviceId>) -> Option<DeviceWhy> {
        let here = async {
            while !devices.iter().all(|id| self.is_here(id)) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let settled = async {
            let Some(one) = one else { return std::future::pending().await };
            loop {
                tokio::time::sleep(ASK).await;
                match self.why(one).await {
                    Ok(said) if is_settled(&said) => return said,
                    _ => {}
                }
            }
        };
        tokio::select! {
            biased;
            () = here => None,
            said = settled => Some(said),
            () = tokio::time::sleep(HERE_WITHIN) => None,
        }
    }

    /// What was added by a form and can be added again.
    fn movable(&self, form: &Form) -> Vec<api::AddedBefore> {
        if !joining::AGAIN.contains(&(form.bridge, form.way)) {
            return Vec::new();
        }
        let devices = self.registry.devices().into_iter();
        let added = devices.filter(|known| known.bridge == form.bridge && known.device.via.is_none());
        let added = added.filter(|known| is_paired(&known.device));
        let before = |known: Arc<Known>| {
            let shown = self.device(&known.device.id).ok()?;
            Some(api::AddedBefore { id: known.device.id.to_string(), name: shown.name, reach: known.device.reach })
        };
        added.filter_map(before).collect()
    }

    /// Adding devices by a form is agreeing that they are spoken to. `control`: and that they are told what to do; `again`: the
    /// owner says that it is one that was added.
    fn agree_to_added(
        &self,
        form: &Form,
        devices: &[DeviceId],
        (control, again): (bool, bool),
        surface: &'static str,
    ) -> Answer<()> {
        let entry = self.entry_of(form.bridge);
        let entry = entry.ok_or_else(|| Failure::internal("No such entry", form.bridge))?;
        for device in devices {
            let to = To::One(RecipientId::device(device));
            // It may hold another key now: what was agreed for it before does not come back, unless its owner says that it is
            // the same.
            if !again {
                self.forget_given(device)?;
            }
            let is_given = |one: &Consent| one.to == to && one.entry == entry && one.state == ConsentState::Given;
            if !again || !self.gate.consents().iter().any(is_given) {
                self.decide_as(entry.clone(), to, Choice::Always, None, surface)?;
            }
            if control {
                self.agree_to_control(form.bridge, device, surface)?;
            }
        }
        Ok(())
    }
}

/// Whether waiting longer does not change what is in the way.
fn is_settled(said: &DeviceWhy) -> bool {
    let first = said.obstacles.first().filter(|one| !said.reached && one.weight == Weight::Blocks);
    let settled =
        [Code::AppClosed, Code::SecretWrong, Code::TurnedAway, Code::KeyChanged, Code::NoRoute, Code::StrangerThere];
    first.is_some_and(|one| settled.contains(&one.code))
}

/// What happened to what does not answer, and what to do.
fn not_added(said: &DeviceWhy) -> String {
    let why = match said.obstacles.first() {
        Some(one) => format!("{} {}", one.says, one.remedy),
        None => "It does not answer, and nothing here says why. Look at the address that you gave.".to_owned(),
    };
    format!("Nothing was added. {why}")
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
            // It has one.
            (Needs::Text, None) if field.secret && wanted.again.is_some() => continue,
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
        None => {
            inputs.extend(wanted.again.map(|id| (AGAIN.to_owned(), Data::Text(id))));
            Ok(inputs)
        }
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
            let add = api::Add {
                bridge: "lab".into(),
                way: "token".into(),
                inputs,
                sign_in: false,
                agrees: vec![],
                away: false,
                again: None,
            };
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
        // Secrets of one that is added again are there already.
        const TOKEN: Field = Field { id: "token", label: "Token", hint: "", needs: Needs::Text, secret: true };
        let secret = Form { fields: &[TOKEN], ..FORM };
        let bare = |again: Option<&str>| {
            let (bridge, way, again) = ("lab".into(), "token".into(), again.map(str::to_owned));
            inputs_or(
                &secret,
                api::Add { bridge, way, inputs: [].into(), sign_in: false, agrees: vec![], away: false, again },
            )
        };
        assert_eq!(bare(Some("lab-1")).map(|inputs| inputs.into_keys().collect()), Ok(vec!["again".to_owned()]));
        assert!(bare(None).is_err());
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
