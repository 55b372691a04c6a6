//! Captions: SubRip, WebVTT and (Advanced) SubStation Alpha read, SubRip and WebVTT written. Only the words and their times
//! are kept; of the styles, italics, bold and underlined are. What cannot be read is passed over, as players do.

use std::fmt::Write;
use std::path::Path;

/// The largest file, the most captions of one, the longest of them in bytes.
pub(crate) const MAX_FILE: u64 = 4 << 20;
const MAX_CUES: usize = 20_000;
const MAX_TEXT: usize = 2000;
/// A day, in milliseconds: no caption is later.
const MAX_TIME: u64 = 24 * 3600 * 1000;

/// What is said when, in the order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cues(Vec<Cue>);

/// One of them; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cue {
    from: u64,
    to: u64,
    /// Lines of plain text with `<i>`, `<b>`, `<u>` alone.
    text: String,
}

impl Cues {
    /// Reads a file of captions. Blocks for the disk.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        use std::io::Read;
        let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err("it is no file, or larger than captions are (4 MiB)".to_owned());
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Self::read(&bytes)
    }

    /// Reads captions in any of the formats; what is no UTF-8 or UTF-16 is taken for Latin-1.
    ///
    /// # Errors
    /// In words: there is not one in it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = decoded(bytes);
        let is_ass = text.lines().map(str::trim).take_while(|line| !line.contains("-->"));
        let is_ass = is_ass.take(2000).any(|line| line.eq_ignore_ascii_case("[events]"));
        let mut cues = if is_ass { ass(&text) } else { blocks(&text) };
        if cues.is_empty() {
            return Err("there are no captions in it that can be read (SubRip, WebVTT and SSA/ASS can)".to_owned());
        }
        cues.sort_by_key(|cue| (cue.from, cue.to));
        Ok(Self(cues))
    }

    /// As if the film began at this second.
    pub(crate) fn begun_at(&self, second: f64) -> Self {
        let by = (second.clamp(0.0, 86_400.0) * 1000.0) as u64;
        let later = self.0.iter().filter(|cue| cue.to > by);
        Self(
            later
                .map(|cue| Cue { from: cue.from.saturating_sub(by), to: cue.to - by, text: cue.text.clone() })
                .collect(),
        )
    }

    /// As WebVTT (W3C, 4.1).
    pub(crate) fn web_vtt(&self) -> String {
        let mut out = String::from("WEBVTT\n\n");
        for cue in &self.0 {
            // Bare `<`, `&` and `-->` would be read as something else.
            let text = tags(&cue.text, |plain| plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
            let _ = write!(out, "{} --> {}\n{text}\n\n", time(cue.from, '.'), time(cue.to, '.'));
        }
        out
    }

    /// As SubRip.
    pub(crate) fn srt(&self) -> String {
        let mut out = String::new();
        for (number, cue) in self.0.iter().enumerate() {
            let text = cue.text.replace("-->", "-- >");
            let _ = write!(out, "{}\r\n{} --> {}\r\n", number + 1, time(cue.from, ','), time(cue.to, ','));
            for line in text.lines() {
                let _ = write!(out, "{line}\r\n");
            }
            out.push_str("\r\n");
        }
        out
    }
}

fn time(milliseconds: u64, mark: char) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}{mark}{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn decoded(bytes: &[u8]) -> String {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    }
}

/// SubRip and WebVTT: blocks of lines, in each a line with `-->`, and what is said in those behind it.
fn blocks(text: &str) -> Vec<Cue> {
    let is_vtt = text.trim_start().starts_with("WEBVTT");
    let mut cues = Vec::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let Some((from, to)) = line.split_once("-->") else { continue };
        // Behind the end, WebVTT has settings and SubRip coordinates.
        let to = to.split_whitespace().next().unwrap_or_default();
        let mut said = String::new();
        while let Some(line) = lines.next_if(|line| !line.is_empty() && !line.contains("-->")) {
            // A number alone before the next time is its number, where the empty line between is missing.
            let is_number = line.bytes().all(|byte| byte.is_ascii_digit());
            if is_number && lines.peek().is_some_and(|next| next.contains("-->")) {
                break;
            }
            push_line(&mut said, line);
        }
        let (Some(from), Some(to)) = (clock(from.trim()), clock(to)) else { continue };
        push(&mut cues, from, to, &if is_vtt { entities(&said) } else { said });
        if cues.len() >= MAX_CUES {
            break;
        }
    }
    cues
}

/// SSA and ASS: lines `Dialogue:` in `[Events]`, in which `Format:` says what is where; the text is last.
fn ass(text: &str) -> Vec<Cue> {
    let mut cues = Vec::new();
    let (mut amid, mut places) = (false, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            amid = line.eq_ignore_ascii_case("[events]");
        } else if let Some(format) = line.strip_prefix("Format:").filter(|_| amid) {
            let names: Vec<_> = format.split(',').map(|name| name.trim().to_ascii_lowercase()).take(32).collect();
            let place = |wanted: &str| names.iter().position(|name| name == wanted);
            places = place("start").zip(place("end")).map(|(start, end)| (start, end, names.len()));
        } else if let (Some(said), Some((start, end, count))) =
            (line.strip_prefix("Dialogue:").filter(|_| amid), places)
        {
            let parts: Vec<_> = said.splitn(count, ',').map(str::trim).collect();
            let (Some(from), Some(to)) = (parts.get(start), parts.get(end)) else { continue };
            let (Some(from), Some(to), true) = (clock(from), clock(to), parts.len() == count) else { continue };
            push(&mut cues, from, to, &ass_text(parts.last().copied().unwrap_or_default()));
            if cues.len() >= MAX_CUES {
                break;
            }
        }
    }
    cues
}

/// Without overrides (`{\i1}`), but for italics, bold and underlined; drawings say nothing.
fn ass_text(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((plain, override_)) = rest.split_once('{') {
        out.push_str(plain);
        let Some((codes, after)) = override_.split_once('}') else {
            rest = override_;
            break;
        };
        for code in codes.split('\\') {
            match code.trim() {
                "i1" => out.push_str("<i>"),
                "i0" => out.push_str("</i>"),
                "b1" => out.push_str("<b>"),
                "b0" => out.push_str("</b>"),
                "u1" => out.push_str("<u>"),
                "u0" => out.push_str("</u>"),
                "p1" | "p2" | "p3" | "p4" => return String::new(),
                _ => {}
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
}

fn push_line(said: &mut String, line: &str) {
    // Longer than a caption may be, for what stands for one letter.
    if said.len() + line.len() < 8 * MAX_TEXT {
        if !said.is_empty() {
            said.push('\n');
        }
        said.push_str(line);
    }
}

fn push(cues: &mut Vec<Cue>, from: u64, to: u64, text: &str) {
    // What is left of one tag can make another.
    // Before tags are looked for: what is left out here could make one.
    let mut text: String = text.chars().filter(|letter| *letter == '\n' || !letter.is_control()).collect();
    for _ in 0..8 {
        let plain = tags(&text, str::to_owned);
        if plain == text {
            break;
        }
        text = plain;
    }
    let is_plain = tags(&text, str::to_owned) == text;
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    if is_plain && from < to && to <= MAX_TIME && !text.is_empty() && text.len() <= MAX_TEXT {
        cues.push(Cue { from, to, text });
    }
}

/// `1:02:03,456`, `02:03.4`: hours may be missing, and parts of a second have any number of digits.
fn clock(text: &str) -> Option<u64> {
    let (clock, part) = text.split_once([',', '.']).unwrap_or((text, "0"));
    let number = |text: &str| {
        let fits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse::<u64>().ok())?
    };
    let mut seconds = 0;
    let parts: Vec<_> = clock.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for one in parts {
        seconds = seconds * 60 + number(one.trim())?;
    }
    let part = &part.as_bytes()[..part.len().min(3)];
    let mut milliseconds = number(std::str::from_utf8(part).ok()?)?;
    for _ in part.len()..3 {
        milliseconds *= 10;
    }
    Some(seconds * 1000 + milliseconds)
}

/// The text with `<i>`, `<b>`, `<u>` left as they are, other tags taken out, and what is between them changed.
fn tags(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&change(&rest[..at]));
        let from = &rest[at..];
        let is_tag =
            from[1..].starts_with(|next: char| next == '/' || next.is_ascii_alphabetic() || next.is_ascii_digit());
        let end = from.find('>').filter(|end| is_tag && *end < 200);
        let Some(end) = end else {
            out.push_str(&change("<"));
            rest = &from[1..];
            continue;
        };
        let tag = &from[..=end];
        if ["<i>", "</i>", "<b>", "</b>", "<u>", "</u>"].iter().any(|known| tag.eq_ignore_ascii_case(known)) {
            out.push_str(&tag.to_ascii_lowercase());
        }
        rest = &from[end + 1..];
    }
    out.push_str(&change(rest));
    out
}

/// WebVTT, 6.4: the few that there are. A `<` that comes out of one is made harmless when it is written.
fn entities(text: &str) -> String {
    let spaced = text.replace("&nbsp;", " ").replace("&lrm;", "").replace("&rlm;", "");
    // Kept apart from tags by a blank.
    spaced.replace("&lt;", "< ").replace("&gt;", ">").replace("&amp;", "&")
}

/// For the fuzzer: whatever comes is read, and what is written reads back the same.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(cues) = Cues::read(bytes) else { return };
    assert!(cues.0.len() <= MAX_CUES && cues.0.is_sorted_by_key(|cue| cue.from));
    let (vtt, srt) = (cues.web_vtt(), cues.srt());
    assert_eq!(vtt.matches("-->").count(), cues.0.len());
    assert_eq!(srt.matches("-->").count(), cues.0.len());
    let times = |cues: &Cues| cues.0.iter().map(|cue| (cue.from, cue.to)).collect::<Vec<_>>();
    let again = Cues::read(srt.as_bytes()).map(|again| times(&again));
    assert_eq!(again.as_ref(), Ok(&times(&cues)));
    let again = Cues::read(vtt.as_bytes()).map(|again| times(&again));
    assert_eq!(again, Ok(times(&cues)));
    let _ = cues.begun_at(bytes.len() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(u64, u64, String)> {
        let cues = Cues::read(text.as_bytes()).unwrap();
        cues.0.into_iter().map(|cue| (cue.from, cue.to, cue.text)).collect()
    }

    #[test]
    fn all_three_formats_say_the_same() {
        let srt = "\u{feff}1\r\n00:00:01,500 --> 00:00:03,000 X1:40\r\n<i>Hello</i> <font color=\"red\">there</font>\r\nB & <3\r\n\r\n2\r\n01:00:00,000 --> 01:00:01,000\r\nEnd";
        let vtt = "WEBVTT\n\nNOTE nothing\n\nid\n00:01.500 --> 00:03.000 align:start\n<i>Hello</i> <c.red>there</c>\nB &amp; &lt;3\n\n01:00:00.000 --> 01:00:01.000\nEnd\n";
        let ass = "[Script Info]\nTitle: --\n[Events]\nFormat: Layer, Start, End, Style, Text\nComment: 0,0:00:00.00,0:00:01.00,D,no\nDialogue: 0,1:00:00.00,1:00:01.00,D,End\nDialogue: 0,0:00:01.50,0:00:03.00,D,{\\pos(1,2)\\i1}Hello{\\i0} there\\NB & <3\nDialogue: 0,0:00:01.50,0:00:03.00,D,{\\p1}m 0 0 l 5 5\n";
        let wanted =
            vec![(1500, 3000, "<i>Hello</i> there\nB & <3".to_owned()), (3_600_000, 3_601_000, "End".to_owned())];
        assert_eq!(read(srt.trim_start_matches('\u{feff}')), wanted);
        assert_eq!(Cues::read(srt.as_bytes()).unwrap().0.len(), 2);
        let spaced: Vec<_> =
            read(vtt).into_iter().map(|(from, to, text)| (from, to, text.replace("< 3", "<3"))).collect();
        assert_eq!(spaced, wanted);
        assert_eq!(read(ass), wanted);
        let cues = Cues::read(srt.as_bytes()).unwrap();
        assert!(
            cues.web_vtt()
                .starts_with("WEBVTT\n\n00:00:01.500 --> 00:00:03.000\n<i>Hello</i> there\nB &amp; &lt;3\n\n")
        );
        assert!(
            cues.srt().starts_with("1\r\n00:00:01,500 --> 00:00:03,000\r\n<i>Hello</i> there\r\nB & <3\r\n\r\n2\r\n")
        );
    }

    #[test]
    fn letters_of_old_and_wide_files_are_read() {
        let line = "1\n00:00:01,000 --> 00:00:02,000\ngr\u{fc}\u{df}";
        let latin: Vec<u8> = line.chars().map(|letter| letter as u8).collect();
        let wide: Vec<u8> = [0xFF, 0xFE].into_iter().chain(line.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        for bytes in [latin, wide, line.as_bytes().to_vec()] {
            assert_eq!(Cues::read(&bytes).unwrap().0[0].text, "gr\u{fc}\u{df}");
        }
    }

    #[test]
    fn what_begins_later_has_its_captions_earlier() {
        let cues =
            Cues::read(b"0:00:01.0 --> 0:00:09.0\na\n\n0:00:20.0 --> 0:00:21.5\nb\n\n0:00:02.0 --> 0:00:03.0\nc")
                .unwrap();
        let later = cues.begun_at(5.0);
        assert_eq!(
            later.srt(),
            "1\r\n00:00:00,000 --> 00:00:04,000\r\na\r\n\r\n2\r\n00:00:15,000 --> 00:00:16,500\r\nb\r\n\r\n"
        );
    }

    #[test]
    fn what_is_no_captions_is_refused_and_nonsense_passed_over() {
        for none in ["", "hello", "WEBVTT\n", "00:02 --> 00:01\nback", "x --> y\nno", "99:00:00,0 --> 99:00:01,0\nlate"]
        {
            assert!(Cues::read(none.as_bytes()).is_err(), "{none}");
        }
        assert_eq!(read("00:01,0 --> 00:02,0\nno ---> time\n00:03,0 --> 00:04,0\nb"), [(3000, 4000, "b".to_owned())]);
        assert_eq!(read("00:01,0 --> 00:02,0\n<<x>b c>still").len(), 1);
        let script = "00:01,0 --> 00:02,0\n<script>alert(1)</script>hi";
        assert!(!Cues::read(script.as_bytes()).unwrap().web_vtt().contains("script"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.srt");
        std::fs::File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(Cues::open(&path).is_err());
        assert!(Cues::open(dir.path()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_and_reads_back(text in "[-0-9:,.> <bi/{}\\\\\r\n&;a\\[\\]]{0,300}") {
            fuzz(text.as_bytes());
            fuzz(format!("00:01,0 --> 00:02,0\n{text}").as_bytes());
            fuzz(format!("[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.0,0:00:02.0,{text}").as_bytes());
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&bytes);
        }
    }
}
