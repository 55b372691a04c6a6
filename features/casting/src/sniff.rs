//! What a file is, by its first bytes. Names say nothing: a film called `.mp4` that is a transport stream is a classic, and a
//! playlist called so an attack.

/// How many bytes are looked at.
pub(crate) const HEAD: usize = 4096;

/// How a film, a sound or a picture is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Container {
    Mp4,
    Mov,
    Mkv,
    Webm,
    Ts,
    Ps,
    Avi,
    Asf,
    Flv,
    Mp3,
    M4a,
    Aac,
    Flac,
    Ogg,
    Wav,
    Jpeg,
    Png,
    Gif,
    Webp,
    Heic,
    Avif,
    Bmp,
}

/// What sort of thing it is to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Film,
    Sound,
    Picture,
}

/// A format as it is told: the MIME type and how an address ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub mime: &'static str,
    pub end: &'static str,
}

impl Format {
    /// True for pictures, of which nothing moves.
    pub(crate) fn is_picture(self) -> bool {
        self.mime.starts_with("image/")
    }
}

impl Container {
    /// How receivers call it, our own word first.
    pub(crate) fn mimes(self) -> &'static [&'static str] {
        match self {
            Self::Mp4 => &["video/mp4", "video/x-m4v"],
            Self::Mov => &["video/quicktime"],
            Self::Mkv => &["video/x-matroska", "video/x-mkv", "video/matroska"],
            Self::Webm => &["video/webm"],
            Self::Ts => &["video/mp2t", "video/vnd.dlna.mpeg-tts", "video/mpeg", "video/mpegts", "video/x-mpegts"],
            Self::Ps => &["video/mpeg", "video/mp2p"],
            Self::Avi => &["video/avi", "video/x-msvideo", "video/msvideo", "video/x-divx"],
            Self::Asf => &["video/x-ms-wmv", "video/x-ms-asf", "audio/x-ms-wma"],
            Self::Flv => &["video/x-flv"],
            Self::Mp3 => &["audio/mpeg", "audio/mp3", "audio/x-mp3"],
            Self::M4a => &["audio/mp4", "audio/x-m4a", "audio/m4a"],
            Self::Aac => &["audio/aac", "audio/aacp", "audio/vnd.dlna.adts", "audio/x-aac"],
            Self::Flac => &["audio/flac", "audio/x-flac"],
            Self::Ogg => &["audio/ogg", "application/ogg", "audio/x-ogg", "audio/opus"],
            Self::Wav => &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"],
            Self::Jpeg => &["image/jpeg", "image/jpg"],
            Self::Png => &["image/png"],
            Self::Gif => &["image/gif"],
            Self::Webp => &["image/webp"],
            Self::Heic => &["image/heic", "image/heif"],
            Self::Avif => &["image/avif"],
            Self::Bmp => &["image/bmp", "image/x-bmp", "image/x-ms-bmp"],
        }
    }

    /// How an address ends.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Mkv => "mkv",
            Self::Webm => "webm",
            Self::Ts => "ts",
            Self::Ps => "mpg",
            Self::Avi => "avi",
            Self::Asf => "wmv",
            Self::Flv => "flv",
            Self::Mp3 => "mp3",
            Self::M4a => "m4a",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
            Self::Heic => "heic",
            Self::Avif => "avif",
            Self::Bmp => "bmp",
        }
    }

    /// A film, a sound or a picture. What holds both films and sounds counts as a film until it was looked into.
    pub(crate) fn sort(self) -> Sort {
        match self {
            Self::Mp3 | Self::M4a | Self::Aac | Self::Flac | Self::Ogg | Self::Wav => Sort::Sound,
            Self::Jpeg | Self::Png | Self::Gif | Self::Webp | Self::Heic | Self::Avif | Self::Bmp => Sort::Picture,
            _ => Sort::Film,
        }
    }

    /// In our own word.
    pub(crate) fn format(self) -> Format {
        Format { mime: self.mimes().first().copied().unwrap_or("application/octet-stream"), end: self.end() }
    }
}

/// What these first bytes begin; nothing for what is no film, sound or picture that we know.
pub(crate) fn sniff(head: &[u8]) -> Option<Container> {
    let has = |at: usize, what: &[u8]| head.get(at..at + what.len()) == Some(what);
    Some(match head {
        _ if has(4, b"ftyp") => brand(head.get(8..12)?),
        // Files of old cameras and recorders begin with another box.
        _ if [&b"moov"[..], b"mdat", b"wide", b"free", b"skip"].iter().any(|kind| has(4, kind)) => Container::Mov,
        _ if has(0, &[0x1A, 0x45, 0xDF, 0xA3]) => ebml(head)?,
        _ if has(0, b"RIFF") && has(8, b"AVI ") => Container::Avi,
        _ if has(0, b"RIFF") && has(8, b"WAVE") => Container::Wav,
        _ if has(0, b"RIFF") && has(8, b"WEBP") => Container::Webp,
        _ if has(0, b"RF64") && has(8, b"WAVE") => Container::Wav,
        _ if has(0, b"fLaC") => Container::Flac,
        _ if has(0, b"OggS") => Container::Ogg,
        _ if has(0, &[0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) => Container::Asf,
        _ if has(0, b"FLV\x01") => Container::Flv,
        _ if has(0, &[0xFF, 0xD8, 0xFF]) => Container::Jpeg,
        _ if has(0, b"\x89PNG\r\n\x1a\n") => Container::Png,
        _ if has(0, b"GIF87a") || has(0, b"GIF89a") => Container::Gif,
        _ if has(0, b"BM") && has(6, &[0, 0, 0, 0]) => Container::Bmp,
        _ if has(0, &[0, 0, 1, 0xBA]) || has(0, &[0, 0, 1, 0xB3]) => Container::Ps,
        _ if is_ts(head, 0, 188) || is_ts(head, 4, 192) => Container::Ts,
        _ if has(0, b"ID3") => tagged(head),
        _ if is_adts(head) => Container::Aac,
        _ if is_mp3(head) => Container::Mp3,
        _ => return None,
    })
}

/// ISO/IEC 14496-12, 4.3: the major brand.
fn brand(brand: &[u8]) -> Container {
    match brand {
        b"M4A " | b"M4B " | b"M4P " | b"F4A " => Container::M4a,
        b"qt  " => Container::Mov,
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1" => Container::Heic,
        b"avif" | b"avis" => Container::Avif,
        _ => Container::Mp4,
    }
}

/// RFC 8794, 11.2.4: the DocType is near the beginning.
fn ebml(head: &[u8]) -> Option<Container> {
    let near = &head[..head.len().min(128)];
    let has = |word: &[u8]| near.windows(word.len()).any(|part| part == word);
    match () {
        () if has(b"webm") => Some(Container::Webm),
        () if has(b"matroska") => Some(Container::Mkv),
        () => None,
    }
}

/// ISO/IEC 13818-1, 2.4.3.2: each packet begins with 0x47; on discs, four bytes stand before it.
fn is_ts(head: &[u8], first: usize, step: usize) -> bool {
    let starts: Vec<_> = head.iter().skip(first).step_by(step).take(5).collect();
    starts.len() >= 3 && starts.iter().all(|byte| **byte == 0x47)
}

/// ID3v2.4, 3.1. What stands behind a tag is MPEG audio, but for a few.
fn tagged(head: &[u8]) -> Container {
    let size = head.get(6..10).unwrap_or_default().iter().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7F));
    let rest = head.get(10 + size..).unwrap_or_default();
    match rest {
        _ if rest.starts_with(b"fLaC") => Container::Flac,
        _ if is_adts(rest) => Container::Aac,
        _ => Container::Mp3,
    }
}

/// ISO/IEC 13818-7, 6.2.
fn is_adts(head: &[u8]) -> bool {
    matches!(head, [0xFF, second, third, ..] if second & 0xF6 == 0xF0 && (third >> 2) & 0xF < 13)
}

/// ISO/IEC 11172-3, 2.4.1: a frame, and where it ends another.
fn is_mp3(head: &[u8]) -> bool {
    let Some(length) = mp3_frame(head) else { return false };
    head.len() <= length + 4 || mp3_frame(&head[length..]).is_some()
}

fn mp3_frame(head: &[u8]) -> Option<usize> {
    const KBITS_1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const KBITS_2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let &[0xFF, second, third, _, ..] = head else { return None };
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    let (bits, rate) = (usize::from(third >> 4), usize::from(third >> 2 & 3));
    // Layer III alone: the others are no files that people have.
    if second & 0xE0 != 0xE0 || version == 1 || layer != 1 || bits == 0 || bits == 15 || rate == 3 {
        return None;
    }
    let hertz = [44100, 48000, 32000][rate] / [4, 1, 2, 1][usize::from(version)];
    let (kbits, samples) = if version == 3 { (KBITS_1[bits], 144) } else { (KBITS_2[bits], 72) };
    Some(samples * kbits * 1000 / hertz + usize::from(third >> 1 & 1))
}

/// For the fuzzer.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some(found) = sniff(bytes) {
        assert!(!found.mimes().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_says_what_it_is() {
        let ts: Vec<u8> = (0..5).flat_map(|_| [&[0x47][..], &[0; 187]].concat()).collect();
        let disc: Vec<u8> = (0..5).flat_map(|_| [&[0, 0, 0, 0, 0x47][..], &[0; 187]].concat()).collect();
        let frame = [&[0xFF, 0xFB, 0x90, 0x64][..], &[0; 413]].concat();
        let two_frames = [&frame[..], &frame[..]].concat();
        let flac_behind_a_tag = [b"ID3\x04\0\0\0\0\0\x02..".as_slice(), b"fLaC"].concat();
        let kinds: [(&[u8], Option<Container>); 21] = [
            (b"\0\0\0\x18ftypisom\0\0\0\0", Some(Container::Mp4)),
            (b"\0\0\0\x18ftypM4A \0\0\0\0", Some(Container::M4a)),
            (b"\0\0\0\x14ftypqt  \0\0\0\0", Some(Container::Mov)),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Some(Container::Heic)),
            (b"\0\0\0\x18ftypavif\0\0\0\0", Some(Container::Avif)),
            (b"\x1A\x45\xDF\xA3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", Some(Container::Mkv)),
            (b"\x1A\x45\xDF\xA3\x9f\x42\x86\x81\x01\x42\x82\x84webm", Some(Container::Webm)),
            (b"\x1A\x45\xDF\xA3\x9f", None),
            (&ts, Some(Container::Ts)),
            (&disc, Some(Container::Ts)),
            (b"RIFF\0\0\0\0WAVEfmt ", Some(Container::Wav)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Container::Webp)),
            (&two_frames, Some(Container::Mp3)),
            (&flac_behind_a_tag, Some(Container::Flac)),
            (b"ID3\x04\0\0\0\0\x0f\x7f", Some(Container::Mp3)),
            (&[0xFF, 0xF1, 0x50, 0x80, 0, 0], Some(Container::Aac)),
            (b"#EXTM3U\n#EXT-X-VERSION:3\nfile:///etc/passwd", None),
            (b"ffconcat version 1.0\nfile /etc/passwd", None),
            (b"<?xml version='1.0'?><MPD/>", None),
            (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1", None),
            (b"", None),
        ];
        for (head, kind) in kinds {
            assert_eq!(sniff(head), kind, "{:?}", &head[..head.len().min(16)]);
        }
        let other = [&frame[..], b"not a frame"].concat();
        assert_eq!(sniff(&other), None, "one frame and then something else is no sound");
    }
}
