//! The hub's side of casting.

use std::path::{Path, PathBuf};
use std::time::Duration;

use accord_browse::Located;
use accord_casting::{
    Act, Captions, CastError, CastEvent, Casting, Kind, Other, QueuedState, Request, Source, Step, There, natural_order,
};
use accord_consent::{RecipientId, Refusal};
use accord_model::text::for_screen;
use accord_model::{DeviceId, EntryKey};
use accord_registry::Job;

use super::faces::cast_goes_on;
use super::house;
use super::hub::Hub;
use super::transfers::absolute;
use crate::api::casts as api;
use crate::api::error::{Answer, Failure};
use crate::api::types::{Event, Trust};

/// Most that is named in one call.
const MOST: usize = 1000;
/// Most files of another device: it is asked about each.
const MOST_THERE: usize = 50;
/// How names of captions end.
const CAPTIONS: [&str; 4] = ["srt", "vtt", "ass", "ssa"];

impl From<CastError> for Failure {
    fn from(error: CastError) -> Self {
        let message = error.to_string();
        match error {
            CastError::NoRenderer(_) | CastError::NoCast => Self::not_found(message),
            CastError::File(_) => Self::bad_request(message),
            CastError::NoWay | CastError::NotNow(_) => Self::conflict(message),
            CastError::NotConsented(_) => Self::refused(message),
            CastError::Serve(_) => Self::internal("The file could not be served", message),
            CastError::Told(error) => error.into(),
        }
    }
}

impl Hub {
    pub fn casts_now(&self) -> Vec<api::Cast> {
        self.casting.list().into_iter().map(|cast| self.cast_view(cast)).collect()
    }

    pub async fn start_cast(&self, wanted: api::StartCast) -> Answer<api::Cast> {
        let device = self.resolve(&wanted.device)?;
        let mut request = Request::new(device.clone(), Vec::new());
        request.sound = wanted.sound;
        request.real_title = wanted.title == api::CastTitle::Real;
        if let Some(seconds) = wanted.interval {
            request.interval = Duration::from_secs(seconds.into());
        }
        request.start = wanted.start.unwrap_or_default();
        if !(0.0..=1e6).contains(&request.start) {
            return Err(Failure::bad_request("`start` is in seconds from the beginning."));
        }
        request.subtitles = match wanted.subtitles {
            Some(path) => absolute(vec![path])?.pop(),
            None => None,
        };
        match (&wanted.upload, wanted.what.is_empty()) {
            (None, false) => {
                request.what = match &wanted.from {
                    Some(from) => self.there(&self.resolve(from)?, &wanted.what).await?,
                    None => sources(wanted.what)?,
                }
            }
            // Which entries it takes is known before the upload is taken.
            (Some(_), true) => request.what = vec![Source::Path(PathBuf::new())],
            _ => return Err(Failure::bad_request("Give one of `what` and `upload`.")),
        }
        if wanted.upload.is_some() && wanted.from.is_some() {
            return Err(Failure::bad_request("What is uploaded lies on no other device: leave out `from`."));
        }
        let faces = self.castable(&device, job(&request.what))?;
        request.device = faces[0].clone();
        self.may_cast(&request)?;
        if let Some(upload) = &wanted.upload {
            let claim = format!("cast-{upload}");
            let (captions, mut paths): (Vec<_>, Vec<_>) =
                self.uploads.claim(upload, &claim)?.into_iter().partition(|path| is_captions(path));
            paths.sort_by(|one, other| natural_order(&one.to_string_lossy(), &other.to_string_lossy()));
            request.what = paths.into_iter().map(Source::Path).collect();
            request.subtitles = request.subtitles.or_else(|| captions.into_iter().next());
            request.keeps = Some(claim);
        }
        let mut failed = None;
        // Another face of the device is tried when the best one is not there.
        for (index, face) in faces.iter().enumerate() {
            request.device = face.clone();
            request.others = self.others(&request, &faces[index + 1..]);
            let begun = match self.may_cast(&request) {
                Ok(()) => self.casting.start(request.clone()).await,
                Err(failure) => return Err(self.give_up(wanted.upload.as_deref(), failure)),
            };
            match begun {
                Ok(cast) => return Ok(self.cast_view(cast)),
                Err(error) if cast_goes_on(&error) => failed = failed.or(Some(error)),
                Err(error) => return Err(self.give_up(wanted.upload.as_deref(), error.into())),
            }
        }
        let failure = failed.map_or_else(|| super::devices::no_device(device.as_str()), Into::into);
        Err(self.give_up(wanted.upload.as_deref(), failure))
    }

    /// Files of a media server, as it tells of them.
    async fn there(&self, from: &DeviceId, paths: &[String]) -> Answer<Vec<Source>> {
        if paths.len() > MOST_THERE {
            return Err(Failure::bad_request(format!("Give at most {MOST_THERE} files of another device.")));
        }
        let face = self.face_for(from, accord_ports::storage::SERVICE);
        let mut all = Vec::new();
        for path in paths {
            let Located { address, title, format, seek, length } = self.file_address(&face, path).await?;
            let parts = seek.map(|seek| seek == "bytes");
            let length = length.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            all.push(Source::There(There { address, name: title, format, parts, length }));
        }
        Ok(all)
    }

    fn give_up(&self, upload: Option<&str>, failure: Failure) -> Failure {
        if let Some(upload) = upload {
            self.uploads.release(upload);
        }
        failure
    }

    pub async fn act_on_cast(&self, id: &str, act: api::CastAct) -> Answer<api::Cast> {
        let cast = self.casting.get(id).ok_or(CastError::NoCast)?;
        let mut request = self.casting.request(id).ok_or(CastError::NoCast)?;
        let known = self.registry.device(&request.device);
        if known.is_some_and(|known| self.trust_of(&known) == Trust::Blocked) {
            return Err(Failure::refused(format!(
                "{} is blocked.",
                self.device_name(cast.device.as_str()).unwrap_or_default()
            )));
        }
        let act = match act {
            api::CastAct::HandOver { device } => {
                let faces = self.castable(&self.resolve(&device)?, job(&request.what))?;
                let to = faces[0].clone();
                request.device = to.clone();
                self.may_cast(&request)?;
                let others = self.others(&request, &faces[1..]);
                return Ok(self.cast_view(self.casting.hand_over(id, &to, others).await?));
            }
            api::CastAct::Play => Act::Play,
            api::CastAct::Pause => Act::Pause,
            api::CastAct::Seek { to } => Act::Seek(to),
            api::CastAct::Skip { by } => Act::Seek((cast.place().unwrap_or_default() + by).max(0.0)),
            api::CastAct::Next => Act::Next,
            api::CastAct::Previous => Act::Previous,
            api::CastAct::Show { at } => Act::Show(at),
            api::CastAct::Volume { percent } if percent > 100 => {
                return Err(Failure::bad_request("A volume is between 0 and 100."));
            }
            api::CastAct::Volume { percent } => Act::Volume(percent),
            api::CastAct::Sound { sound } => Act::Sound(sound),
            api::CastAct::Captions { captions } => Act::Captions(match captions {
                api::CastCaptions::Off => Captions::Off,
                api::CastCaptions::File => Captions::File,
                api::CastCaptions::Track(track) => Captions::Track(track),
            }),
        };
        self.may_cast(&request)?;
        Ok(self.cast_view(self.casting.act(id, act).await?))
    }

    pub async fn stop_cast(&self, id: &str) -> Answer<()> {
        Ok(self.casting.stop(id).await?)
    }

    /// A picture of a queue, for the owner's own screen.
    pub async fn cast_picture(&self, id: &str, at: usize) -> Answer<(&'static str, Vec<u8>)> {
        let none = || Failure::not_found("There is no such picture.");
        let casting = self.casting.clone();
        let id = id.to_owned();
        let read = tokio::task::spawn_blocking(move || casting.picture(&id, at)).await;
        read.map_err(|error| Failure::internal("The picture could not be read", error))?.ok_or_else(none)
    }

    /// Whether a cast still needs what was uploaded for it.
    pub fn casts_need_upload(&self, claim: &str) -> bool {
        let needs = |cast: &accord_casting::Cast| !cast.is_over() || cast.resumes;
        self.casting.list().iter().any(|cast| cast.keeps.as_deref() == Some(claim) && needs(cast))
    }

    /// A cast changed.
    pub(super) fn on_cast(&self, event: CastEvent) {
        match event {
            CastEvent::Changed(cast) => {
                if let Some(claim) =
                    cast.keeps.as_deref().filter(|claim| cast.is_over() && !self.casts_need_upload(claim))
                {
                    self.uploads.transfer_over(claim);
                }
                self.events.tell(Event::Cast(Box::new(self.cast_view(*cast))));
            }
            CastEvent::Gone(id) => self.events.tell(Event::CastGone { id }),
        }
    }

    /// The faces of a device that may be told what to play, best first; at least one.
    fn castable(&self, id: &DeviceId, job: Job<'_>) -> Answer<Vec<DeviceId>> {
        let name = self.device(id)?.name;
        let faces = self.ways(id, job);
        for face in &faces {
            let known = self.registry.device(face).ok_or_else(|| super::devices::no_device(face.as_str()))?;
            match self.trust_of(&known) {
                Trust::Blocked => return Err(Failure::refused(format!("{name} is blocked."))),
                Trust::Seen => return Err(Failure::conflict(format!("{name} is not added; pair with it first."))),
                _ => {}
            }
        }
        Ok(faces)
    }

    /// The owner is asked for what is missing.
    fn may_cast(&self, request: &Request) -> Answer<()> {
        let to = RecipientId::device(&request.device);
        let name = self.device_name(request.device.as_str()).unwrap_or_default();
        for (entry, fields) in Casting::needs(request) {
            let entry = EntryKey::new(entry).map_err(|error| Failure::internal("No such entry", error))?;
            self.gate
                .check(&entry, &to, fields)
                .map_err(|refusal| self.not_let_out(refusal, &to, format!("Cast to {name}")))?;
        }
        self.bridge_casts(&request.device).map_err(|refusal| self.not_let_out(refusal, &to, format!("Cast to {name}")))
    }

    /// What a device's own way of playing tells others is its bridge's affair, and asked with the rest.
    fn bridge_casts(&self, device: &DeviceId) -> Result<(), Refusal> {
        let to = RecipientId::device(device);
        let bridge = self.registry.device(device).map(|known| known.bridge.clone()).unwrap_or_default();
        let statement = self.gate.statement();
        let of_bridge = statement.entries.iter().filter(|entry| entry.key.owner() == bridge);
        let casts = |word: &String| word == "on.cast";
        let mut of_bridge = of_bridge.filter(|entry| entry.scenario.iter().any(casts));
        of_bridge.try_for_each(|entry| self.gate.check(&entry.key, &to, entry.field_set()))
    }

    /// Faces on which this may go on when the first plays it in no way: those that the owner agreed to already, for he is
    /// not asked in the middle of it.
    fn others(&self, request: &Request, faces: &[DeviceId]) -> Vec<Other> {
        let agreed = |face: &&DeviceId| {
            let to = RecipientId::device(face);
            let mut needs = Casting::needs(request).into_iter();
            needs.all(|(entry, fields)| {
                EntryKey::new(entry).is_ok_and(|entry| self.gate.check(&entry, &to, fields).is_ok())
            }) && self.bridge_casts(face).is_ok()
        };
        let other = |face: &DeviceId| {
            let bridge = self.registry.device(face).map(|known| known.bridge.clone()).unwrap_or_default();
            let speaks = house::BRIDGES.iter().find(|(name, _)| *name == bridge);
            Other { device: face.clone(), label: speaks.map_or(bridge.clone(), |(_, label)| (*label).to_owned()) }
        };
        faces.iter().filter(agreed).map(other).collect()
    }

    fn cast_view(&self, cast: accord_casting::Cast) -> api::Cast {
        let words = |text: &str| for_screen(text, 255);
        let (name, seen, done) = (words(&cast.now().name), cast.is_seen(), cast.is_done());
        let picture = cast.is_picture();
        let (step, over) = match cast.step {
            Step::Begins => (api::CastStep::Begins, None),
            Step::Commanded => (api::CastStep::Commanded, None),
            Step::Fetched => (api::CastStep::Fetched, None),
            Step::Moving => (api::CastStep::Moving, None),
            Step::Away => (api::CastStep::Away, None),
            Step::Over(why) => (api::CastStep::Over, Some(for_screen(&why, 400))),
        };
        api::Cast {
            id: cast.id,
            device_name: self.device_name(cast.device.as_str()).unwrap_or_default(),
            device: cast.device.to_string(),
            queue: cast.queue.iter().map(item_view).collect(),
            at: cast.at,
            left_out: cast.left_out,
            name,
            size: cast.size,
            picture,
            fetched: cast.fetched,
            step,
            seen,
            over,
            done,
            resumes: cast.resumes,
            held: cast.held,
            trouble: cast.trouble.as_deref().map(words),
            tries: cast.tries.iter().map(try_view).collect(),
            next: cast.next.as_deref().map(words),
            advice: cast.advice.as_deref().map(|advice| for_screen(advice, 400)),
            position: cast.position.map(|(place, _)| place),
            position_seen: cast.position.map(|(_, seen)| seen),
            length: cast.length,
            seeks: cast.seeks,
            volume: cast.volume,
            sounds: cast.sounds.iter().map(|one| words(&one.label)).collect(),
            sound: cast.sound,
            texts: cast.texts.iter().map(|one| words(&one.label)).collect(),
            captions: match cast.captions {
                Captions::Off => api::CastCaptions::Off,
                Captions::File => api::CastCaptions::File,
                Captions::Track(track) => api::CastCaptions::Track(track),
            },
            captions_file: cast.captions_file.as_deref().map(words),
            interval: cast.interval.as_secs(),
            real_title: cast.real_title,
            to: cast.to.map(|device| device.to_string()),
            since: cast.since,
        }
    }
}

/// What a device has to be good for to play what comes first.
fn job(what: &[Source]) -> Job<'static> {
    const SOUND: [&str; 8] = ["mp3", "flac", "ogg", "oga", "opus", "wav", "m4a", "aac"];
    let end = match what.first() {
        Some(Source::Path(path)) => path.extension().and_then(|end| end.to_str()).unwrap_or_default(),
        Some(Source::Address(address)) => address.rsplit('.').next().unwrap_or_default(),
        Some(Source::There(there)) if there.format.as_deref().is_some_and(|mime| mime.starts_with("audio/")) => "mp3",
        Some(Source::There(there)) => there.address.rsplit('.').next().unwrap_or_default(),
        None => "",
    };
    if SOUND.contains(&end.to_ascii_lowercase().as_str()) { Job::Sound } else { Job::Show }
}

fn try_view(one: &accord_casting::Try) -> api::CastTry {
    api::CastTry { how: for_screen(&one.how, 255), failed: one.failed.as_deref().map(|why| for_screen(why, 400)) }
}

fn item_view(queued: &accord_casting::Queued) -> api::CastItem {
    let (state, message) = match &queued.state {
        QueuedState::Waits => (api::CastItemState::Waits, None),
        QueuedState::Now => (api::CastItemState::Now, None),
        QueuedState::Done => (api::CastItemState::Done, None),
        QueuedState::Failed(why) => (api::CastItemState::Failed, Some(for_screen(why, 400))),
    };
    let kind = match queued.kind {
        Kind::Film => api::CastKind::Film,
        Kind::Sound => api::CastKind::Sound,
        Kind::Picture => api::CastKind::Picture,
        Kind::Address => api::CastKind::Address,
    };
    api::CastItem { name: for_screen(&queued.name, 255), kind, state, message }
}

fn is_captions(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
    end.is_some_and(|end| CAPTIONS.contains(&end.as_str()))
}

fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| scheme != "file")
}

fn sources(what: Vec<String>) -> Answer<Vec<Source>> {
    if what.len() > MOST {
        return Err(Failure::bad_request(format!("Give at most {MOST} files, folders and addresses.")));
    }
    let source = |one: String| {
        if is_address(&one) {
            return Ok(Source::Address(one));
        }
        let path = absolute(vec![one])?.pop();
        path.map(Source::Path).ok_or_else(|| Failure::bad_request("A file is missing."))
    };
    what.into_iter().map(source).collect()
}
