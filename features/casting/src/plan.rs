//! Which ways there are to serve a thing to a receiver, the cheapest first: as it is; packed anew; its sound converted; all of
//! it converted. A way that failed is followed by the next one, so the list says too what is tried when the receiver lied
//! about what it plays, as many do.

use crate::prepare::Receiver;
use crate::probe::{Audio, Probed, Video};
use crate::sniff::{Container, Format, Sort};
use crate::tool::Encoders;

/// Pictures larger than this are made smaller: what DLNA's largest profile (JPEG_LRG) allows.
const LARGEST_PICTURE: u32 = 4096;

/// How much is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The file as it is.
    Direct,
    /// The same picture and sound in another container.
    Pack,
    /// The same picture, its sound converted.
    Sound,
    /// All of it converted.
    All,
}

/// What becomes of the picture, and of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Leave,
    Copy,
    Convert,
}

/// One way to serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub step: Step,
    pub target: Container,
    pub format: Format,
    pub video: Job,
    pub audio: Job,
    /// In words for the owner.
    pub words: String,
    /// What it is remembered by when it failed on a model.
    pub name: String,
}

/// What is asked for beside the thing itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Another sound than the first.
    pub other_sound: bool,
    /// Captions become part of the picture.
    pub burn: bool,
    /// As it is, whatever is known.
    pub as_it_is: bool,
}

/// Whether it says that it plays something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// By this name.
    Yes(&'static str),
    /// It says nothing, or anything.
    Nothing,
    No,
}

/// All ways, the best first; none when there is none.
///
/// # Errors
/// Why there cannot be one, in words.
pub(crate) fn ways(
    container: Container,
    probed: Option<&Probed>,
    receiver: &Receiver,
    encoders: Option<&Encoders>,
    ask: Ask,
) -> Result<Vec<Way>, String> {
    let thing = Thing::new(container, probed, receiver, encoders, ask);
    let ways = match thing.sort {
        _ if ask.as_it_is => vec![thing.direct("as it is, because you want it so")],
        Sort::Picture if receiver.is_loudspeaker() => return Err("a loudspeaker shows no pictures".to_owned()),
        Sort::Picture => thing.picture(),
        Sort::Film if !receiver.is_loudspeaker() => thing.film(),
        _ => thing.sound(),
    };
    if ways.is_empty() {
        return Err(thing.no_way());
    }
    Ok(ways)
}

impl Receiver {
    fn says(&self, container: Container) -> Says {
        let mimes = container.mimes();
        if mimes.iter().any(|mime| self.vetoes(mime)) {
            return Says::No;
        }
        if let Some(mime) = mimes.iter().find(|mime| self.formats.iter().any(|format| format == *mime)) {
            return Says::Yes(mime);
        }
        let kind = mimes.first().and_then(|mime| mime.split_once('/')).map_or("", |(kind, _)| kind);
        let any = |format: &String| format == "*/*" || format == "*" || format.strip_suffix("/*") == Some(kind);
        if self.formats.is_empty() || self.formats.iter().any(any) { Says::Nothing } else { Says::No }
    }

    fn vetoes(&self, mime: &str) -> bool {
        self.veto.iter().any(|veto| match veto.strip_suffix('*') {
            Some(kind) => mime.starts_with(kind),
            None => veto == mime,
        })
    }

    /// It plays sound alone.
    pub(crate) fn is_loudspeaker(&self) -> bool {
        let shows =
            |format: &String| format.starts_with('*') || format.starts_with("video/") || format.starts_with("image/");
        self.sound.is_some() || (!self.formats.is_empty() && !self.formats.iter().any(shows))
    }

    /// It plays what browsers play, and so knows of codecs what they do.
    fn is_browser(&self) -> bool {
        let has = |container| matches!(self.says(container), Says::Yes(_));
        let web = has(Container::Mp4) || has(Container::Webm);
        web && ![Container::Ts, Container::Ps, Container::Avi, Container::Mkv].into_iter().any(has)
    }

    /// A program on a computer, which decodes nearly everything.
    fn is_program(&self) -> bool {
        let said = format!("{} {}", self.maker, self.model).to_ascii_lowercase();
        ["kodi", "xbmc", "gmediarender", "gmrender", "gstreamer", "rygel", "vlc", "macast", "mpv"]
            .iter()
            .any(|name| said.contains(name))
    }
}

struct Thing<'a> {
    container: Container,
    sort: Sort,
    probed: Option<&'a Probed>,
    receiver: &'a Receiver,
    encoders: Option<&'a Encoders>,
    ask: Ask,
}

impl<'a> Thing<'a> {
    fn new(
        container: Container,
        probed: Option<&'a Probed>,
        receiver: &'a Receiver,
        encoders: Option<&'a Encoders>,
        ask: Ask,
    ) -> Self {
        // Some containers hold both; what is in it says what it is.
        let moves = probed.map(|probed| probed.video.is_some());
        let (container, sort) = match (container, container.sort(), moves) {
            (Container::Mp4 | Container::Mov, _, Some(false)) => (Container::M4a, Sort::Sound),
            (_, Sort::Film, Some(false)) => (container, Sort::Sound),
            (Container::Ogg | Container::M4a, _, Some(true)) => (container, Sort::Film),
            (_, sort, _) => (container, sort),
        };
        Self { container, sort, probed, receiver, encoders, ask }
    }

    fn video(&self) -> Option<&Video> {
        self.probed?.video.as_ref()
    }

    fn audio(&self) -> Option<&Audio> {
        self.probed?.audio.first()
    }

    fn has(&self, encoder: &str) -> bool {
        self.encoders.is_some_and(|encoders| encoders.has(encoder))
    }

    fn way(&self, step: Step, target: Container, video: Job, audio: Job, words: String) -> Way {
        let mime = match self.receiver.says(target) {
            Says::Yes(mime) => mime,
            _ => target.format().mime,
        };
        let codec = |name: Option<&str>| name.unwrap_or("-").to_owned();
        let (seen, heard) = (self.video().map(|video| &*video.codec), self.audio().map(|audio| &*audio.codec));
        let (from, seen, heard) = (self.container.end(), codec(seen), codec(heard));
        let step_name = match step {
            Step::Direct => "direct",
            Step::Pack => "pack",
            Step::Sound => "sound",
            Step::All => "all",
        };
        let name = format!("{step_name} {from} {seen} {heard} to {}", target.end());
        Way { step, target, format: Format { mime, end: target.end() }, video, audio, words, name }
    }

    fn direct(&self, words: &str) -> Way {
        self.way(Step::Direct, self.container, Job::Copy, Job::Copy, words.to_owned())
    }

    /// Why not as it is; or, in words, why it may go.
    fn is_direct(&self) -> Result<String, String> {
        let mime = self.container.format().mime;
        if self.ask.burn {
            return Err("its captions become part of the picture".to_owned());
        }
        if self.ask.other_sound {
            return Err("another of its sounds is wanted".to_owned());
        }
        let said = match self.receiver.says(self.container) {
            Says::No if self.receiver.vetoes(mime) => return Err(format!("this make does not play {mime}")),
            Says::No => return Err(format!("the device does not say that it plays {mime}")),
            Says::Nothing => "as it is; the device does not say what it plays".to_owned(),
            Says::Yes(mime) => format!("as it is; the device says that it plays {mime}"),
        };
        match (self.doubtful_picture(), self.doubtful_sound()) {
            (Some(why), _) | (None, Some(why)) => Err(why),
            (None, None) => Ok(said),
        }
    }

    /// What receivers of this sort do not decode, whatever container they take.
    fn doubtful_picture(&self) -> Option<String> {
        let video = self.video()?;
        let plain = ["yuv420p", "yuvj420p", ""].contains(&&*video.dots);
        let browser = self.receiver.is_browser();
        let no = match &*video.codec {
            _ if self.receiver.is_program() || self.sort == Sort::Picture => false,
            "h264" => !plain,
            "hevc" => browser || !(plain || video.dots == "yuv420p10le"),
            "vp8" | "vp9" | "av1" => false,
            _ => browser,
        };
        no.then(|| format!("devices of this sort do not show {} ({})", video.codec, video.dots))
    }

    fn doubtful_sound(&self) -> Option<String> {
        let audio = self.audio()?;
        let no = match &*audio.codec {
            _ if self.receiver.is_program() => false,
            "aac" => self.receiver.is_browser() && audio.channels > 2,
            "mp3" | "flac" | "opus" | "vorbis" => false,
            "ac3" | "eac3" | "mp2" => self.receiver.is_browser(),
            codec if codec.starts_with("pcm_s16") || codec.starts_with("pcm_s24") => {
                self.receiver.is_browser() && self.sort == Sort::Film
            }
            "wmav1" | "wmav2" => self.container != Container::Asf,
            _ => true,
        };
        no.then(|| format!("many devices do not decode {}", audio.codec))
    }

    // -- films --------------------------------------------------------------------------------------

    fn film(&self) -> Vec<Way> {
        let direct = self.is_direct();
        let reason = direct.clone().err().unwrap_or_else(|| "it did not play as it is".to_owned());
        let mut ways: Vec<_> = direct.iter().map(|words| self.direct(words)).collect();
        if self.probed.is_none() {
            return ways;
        }
        let targets = self.targets();
        if let Some(&target) = targets.first().filter(|_| !self.ask.burn) {
            let same = self.container == target && direct.is_ok();
            if self.video().is_some_and(|video| self.copies_picture(target, video)) {
                let copies = self.audio().is_none_or(|audio| self.copies_sound(target, audio));
                let packed = format!("packed anew, its picture and sound as they are: {reason}");
                if copies && !same {
                    ways.push(self.way(Step::Pack, target, Job::Copy, Job::Copy, packed));
                }
                let converts = self.audio().is_some() && self.has(sound_for(target));
                // Where the sound is nothing special, it was not what failed.
                if converts && (!copies || self.doubtful_sound().is_some()) {
                    let words = format!("its picture as it is, its sound converted: {reason}");
                    ways.push(self.way(Step::Sound, target, Job::Copy, Job::Convert, words));
                }
            }
        }
        for target in targets {
            let audio = if self.audio().is_some() { Job::Convert } else { Job::Leave };
            if self.has(picture_for(target)) && (audio == Job::Leave || self.has(sound_for(target))) {
                ways.push(self.way(Step::All, target, Job::Convert, audio, format!("converted as it plays: {reason}")));
            }
        }
        ways
    }

    /// In what it can be converted while it plays, best first: two at most.
    fn targets(&self) -> Vec<Container> {
        let order = if self.receiver.is_browser() {
            [Container::Mp4, Container::Webm, Container::Mkv, Container::Ts]
        } else {
            [Container::Ts, Container::Mp4, Container::Mkv, Container::Webm]
        };
        let yes = order.into_iter().filter(|target| matches!(self.receiver.says(*target), Says::Yes(_)));
        let maybe = order.into_iter().filter(|target| self.receiver.says(*target) == Says::Nothing);
        yes.chain(maybe).take(2).collect()
    }

    fn copies_picture(&self, target: Container, video: &Video) -> bool {
        let fits = match target {
            Container::Ts => ["h264", "hevc", "mpeg2video", "mpeg1video"].contains(&&*video.codec),
            Container::Mp4 => ["h264", "hevc", "mpeg4"].contains(&&*video.codec),
            Container::Webm => ["vp8", "vp9", "av1"].contains(&&*video.codec),
            _ => true,
        };
        fits && self.doubtful_picture().is_none()
    }

    fn copies_sound(&self, target: Container, audio: &Audio) -> bool {
        let fits = match target {
            Container::Ts => ["aac", "mp3", "mp2", "ac3", "eac3"].contains(&&*audio.codec),
            Container::Mp4 => ["aac", "mp3", "ac3", "eac3"].contains(&&*audio.codec),
            Container::Webm => ["opus", "vorbis"].contains(&&*audio.codec),
            _ => true,
        };
        fits && self.doubtful_sound().is_none()
    }

    // -- sounds and pictures ------------------------------------------------------------------------

    fn sound(&self) -> Vec<Way> {
        let is_film = self.sort == Sort::Film || self.container.sort() == Sort::Film;
        let direct = if is_film { Err("the device plays sound alone".to_owned()) } else { self.is_direct() };
        let mut ways: Vec<_> = direct.iter().map(|words| self.direct(words)).collect();
        let reason = direct.err().unwrap_or_else(|| "it did not play as it is".to_owned());
        for (target, encoder) in [(Container::Mp3, "libmp3lame"), (Container::Aac, "aac"), (Container::Wav, "")] {
            let can = self.encoders.is_some() && (encoder.is_empty() || self.has(encoder));
            if can && self.probed.is_some() && self.receiver.says(target) != Says::No && ways.len() < 3 {
                ways.push(self.way(
                    Step::All,
                    target,
                    Job::Leave,
                    Job::Convert,
                    format!("converted as it plays: {reason}"),
                ));
            }
        }
        ways
    }

    fn picture(&self) -> Vec<Way> {
        let large = self.video().filter(|seen| seen.width.max(seen.height) > LARGEST_PICTURE);
        let direct = match (self.is_direct(), large) {
            (Ok(_), Some(seen)) if !self.receiver.is_program() => {
                Err(format!("it is {} by {}, larger than devices take", seen.width, seen.height))
            }
            (direct, _) => direct,
        };
        let mut ways: Vec<_> = direct.iter().map(|words| self.direct(words)).collect();
        if self.has("mjpeg") && self.probed.is_some() && self.receiver.says(Container::Jpeg) != Says::No {
            let reason = direct.err().unwrap_or_else(|| "it was not shown as it is".to_owned());
            ways.push(self.way(Step::All, Container::Jpeg, Job::Convert, Job::Leave, format!("as a JPEG: {reason}")));
        }
        ways
    }

    fn no_way(&self) -> String {
        let why = self.is_direct().err().unwrap_or_else(|| "it is not known how".to_owned());
        match self.encoders {
            None => format!("{why}. {}", crate::tool::INSTALL),
            Some(_) => format!("{why}, and there is nothing that it could be converted to for it"),
        }
    }
}

/// Which encoder makes the picture, and the sound, of a container.
pub(crate) fn picture_for(target: Container) -> &'static str {
    if target == Container::Webm { "libvpx" } else { "libx264" }
}

pub(crate) fn sound_for(target: Container) -> &'static str {
    if target == Container::Webm { "libopus" } else { "aac" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(video: &str, dots: &str, audio: &[(&str, u32)]) -> Probed {
        let video = Video { codec: video.into(), dots: dots.into(), width: 1280, height: 720 };
        let audio = audio.iter().map(|(codec, channels)| Audio {
            codec: (*codec).into(),
            channels: *channels,
            label: String::new(),
        });
        Probed { length: Some(60.0), video: Some(video), audio: audio.collect(), texts: vec![] }
    }

    fn receiver(formats: &str) -> Receiver {
        Receiver { formats: formats.split_whitespace().map(str::to_owned).collect(), ..Receiver::default() }
    }

    fn steps(container: Container, probed: &Probed, receiver: &Receiver, ask: Ask) -> String {
        let encoders = Encoders::all();
        match ways(container, Some(probed), receiver, Some(&encoders), ask) {
            Ok(ways) => {
                let all = ways.iter().map(|way| format!("{:?}:{}", way.step, way.format.mime)).collect::<Vec<_>>();
                all.join(" ").to_ascii_lowercase()
            }
            Err(why) => why,
        }
    }

    const TV: &str = "video/mp4 video/mpeg video/mp2t audio/mpeg image/jpeg";
    const CAST: &str = "video/mp4 video/webm audio/mpeg audio/flac image/jpeg image/png image/webp";

    #[test]
    fn the_cheapest_way_that_can_work_comes_first() {
        let plain = film("h264", "yuv420p", &[("aac", 2)]);
        let dts = film("h264", "yuv420p", &[("dts", 6)]);
        let ten = film("h264", "yuv420p10le", &[("aac", 2)]);
        let hevc = film("hevc", "yuv420p10le", &[("ac3", 6)]);
        let silent = film("h264", "yuv420p", &[]);
        let nothing = Ask::default();
        for (container, probed, formats, wanted) in [
            (Container::Mp4, &plain, TV, "direct:video/mp4 pack:video/mp2t all:video/mp2t all:video/mp4"),
            (Container::Mkv, &plain, TV, "pack:video/mp2t all:video/mp2t all:video/mp4"),
            (Container::Mkv, &dts, TV, "sound:video/mp2t all:video/mp2t all:video/mp4"),
            (Container::Mp4, &ten, TV, "all:video/mp2t all:video/mp4"),
            (Container::Mkv, &hevc, TV, "pack:video/mp2t all:video/mp2t all:video/mp4"),
            (Container::Mkv, &hevc, CAST, "all:video/mp4 all:video/webm"),
            (Container::Mkv, &plain, CAST, "pack:video/mp4 all:video/mp4 all:video/webm"),
            (Container::Mkv, &silent, CAST, "pack:video/mp4 all:video/mp4 all:video/webm"),
            (Container::Mkv, &plain, "", "direct:video/x-matroska pack:video/mp2t all:video/mp2t all:video/mp4"),
            (Container::Mkv, &dts, "*/*", "sound:video/mp2t all:video/mp2t all:video/mp4"),
            (Container::Mkv, &plain, "video/x-mkv", "direct:video/x-mkv pack:video/x-mkv all:video/x-mkv"),
            (Container::Mkv, &plain, "audio/mpeg", "all:audio/mpeg"),
        ] {
            assert_eq!(
                steps(container, probed, &receiver(formats), nothing).replace(" pack:video/x-mkv", ""),
                wanted.replace(" pack:video/x-mkv", ""),
                "{container:?} on {formats}"
            );
        }
        let kodi = Receiver { maker: "XBMC Foundation".into(), ..receiver("*/*") };
        assert!(steps(Container::Mkv, &dts, &kodi, nothing).starts_with("direct:"), "a program decodes it");
    }

    #[test]
    fn what_is_wanted_beside_decides_too() {
        let plain = film("h264", "yuv420p", &[("aac", 2), ("ac3", 6)]);
        let tv = receiver(TV);
        let burn = Ask { burn: true, ..Ask::default() };
        assert_eq!(steps(Container::Mp4, &plain, &tv, burn), "all:video/mp2t all:video/mp4");
        let other = Ask { other_sound: true, ..Ask::default() };
        assert!(steps(Container::Mp4, &plain, &tv, other).starts_with("pack:video/mp2t"));
        let as_it_is = Ask { as_it_is: true, ..Ask::default() };
        assert_eq!(steps(Container::Mkv, &plain, &tv, as_it_is), "direct:video/x-matroska");
        let vetoed = Receiver { veto: vec!["video/mp4".into()], ..tv };
        assert_eq!(steps(Container::Mp4, &plain, &vetoed, Ask::default()), "pack:video/mp2t all:video/mp2t");
    }

    #[test]
    fn sounds_and_pictures_have_ways_of_their_own() {
        let sound = Probed {
            audio: vec![Audio { codec: "flac".into(), channels: 2, ..Audio::default() }],
            ..Probed::default()
        };
        let nothing = Ask::default();
        assert_eq!(steps(Container::Flac, &sound, &receiver(TV), nothing), "all:audio/mpeg");
        assert_eq!(steps(Container::Flac, &sound, &receiver(CAST), nothing), "direct:audio/flac all:audio/mpeg");
        assert_eq!(steps(Container::Flac, &sound, &receiver("audio/wav"), nothing), "all:audio/wav");
        assert_eq!(steps(Container::Mp4, &sound, &receiver("audio/x-m4a"), nothing), "direct:audio/x-m4a");
        let seen = |width| Probed {
            video: Some(Video { codec: "webp".into(), width, height: 10, ..Video::default() }),
            ..Probed::default()
        };
        assert_eq!(steps(Container::Webp, &seen(10), &receiver(TV), nothing), "all:image/jpeg");
        assert_eq!(steps(Container::Webp, &seen(10), &receiver(CAST), nothing), "direct:image/webp all:image/jpeg");
        assert_eq!(steps(Container::Webp, &seen(9000), &receiver(CAST), nothing), "all:image/jpeg");
        assert!(steps(Container::Jpeg, &seen(10), &receiver("audio/mpeg"), nothing).contains("no pictures"));
    }

    #[test]
    fn without_ffmpeg_it_goes_as_it_is_or_is_said() {
        let tv = receiver(TV);
        let direct = ways(Container::Mp4, None, &tv, None, Ask::default()).unwrap();
        assert_eq!((direct.len(), direct[0].step), (1, Step::Direct));
        let why = ways(Container::Mkv, None, &tv, None, Ask::default()).unwrap_err();
        assert!(why.contains("video/x-matroska") && why.contains("install it"), "{why}");
    }
}
