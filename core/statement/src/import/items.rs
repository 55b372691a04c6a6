//! Takes a list of data apart: separators of several scripts, nested brackets, and several items hidden
//! in one phrase. Every item stands alone afterwards: `TV name and type` is `TV name` and `TV type`;
//! `IDs, icons, and names of lamps` is `IDs of lamps`, `icons of lamps`, `names of lamps`.

use super::{
    DataItem,
    labels::is_cjk,
    words::{ANDS, CJK_ENTITY, CJK_GENERIC, ENTITY, FRONT, GENERIC, OWNERS, RULES, SLASHED, SUCH, WHOLE},
};

/// The most items that are read of one value.
const MAX_ITEMS: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// First of a segment: the value's start, a semicolon, a line.
    Start,
    Comma,
    And,
}

#[derive(Debug, Clone)]
struct Atom {
    text: String,
    detail: Vec<String>,
    joint: Joint,
    /// An "and" stands before it, after a comma or not.
    last: bool,
}

/// The items of a value, and whether a bracket was left open.
pub(crate) fn items(raw: &str) -> (Vec<DataItem>, bool) {
    let (mut atoms, open) = atoms(raw);
    merge(&mut atoms);
    share_suffix(&mut atoms);
    inherit(&mut atoms);
    share_prefix(&mut atoms);
    let items = atoms
        .into_iter()
        .filter(|atom| !atom.text.is_empty())
        .map(|atom| DataItem { item: atom.text, detail: (!atom.detail.is_empty()).then(|| atom.detail.join("; ")) });
    (items.take(MAX_ITEMS).collect(), open)
}

fn is_open(c: char) -> bool {
    matches!(c, '(' | '（' | '[' | '【' | '{' | '〔' | '［' | '｛')
}
fn is_close(c: char) -> bool {
    matches!(c, ')' | '）' | ']' | '】' | '}' | '〕' | '］' | '｝')
}

struct Splitter {
    atoms: Vec<Atom>,
    text: String,
    detail: Vec<String>,
    joint: Joint,
    last: bool,
}

impl Splitter {
    fn cut(&mut self, joint: Joint, last: bool) {
        let text = tidy(&self.text);
        let (text, and) = if self.atoms.is_empty() { (text, false) } else { strip_and(&text) };
        self.text.clear();
        if text.is_empty() && self.detail.is_empty() {
            // ", and": what follows is the last of the list.
            self.last |= last;
            if joint == Joint::Start {
                self.joint = joint;
            }
            return;
        }
        if text.is_empty() {
            if let Some(before) = self.atoms.last_mut() {
                before.detail.append(&mut self.detail);
            } else {
                let text = self.detail.join("; ");
                self.detail.clear();
                self.atoms.push(Atom { text, detail: Vec::new(), joint: self.joint, last: false });
            }
        } else {
            let detail = std::mem::take(&mut self.detail);
            self.atoms.push(Atom { text, detail, joint: self.joint, last: self.last || and });
        }
        self.joint = joint;
        self.last = last;
    }
    fn clause(&self) -> bool {
        let start: String = self.text.trim_start().chars().take(24).collect::<String>().to_lowercase();
        ["whether", "if ", "and whether", "how ", "that ", "是否", "用户是否", "ob ", "si ", "ли "]
            .iter()
            .any(|word| start.starts_with(word))
    }
}

fn atoms(raw: &str) -> (Vec<Atom>, bool) {
    let mut s =
        Splitter { atoms: Vec::new(), text: String::new(), detail: Vec::new(), joint: Joint::Start, last: false };
    let mut inner = String::new();
    let mut depth = 0usize;
    let mut rule = false;
    let mut before = ' ';
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        if s.atoms.len() > MAX_ITEMS {
            break;
        }
        let used = c.len_utf8();
        if depth > 0 {
            depth = if is_open(c) {
                depth + 1
            } else if is_close(c) {
                depth - 1
            } else {
                depth
            };
            if depth == 0 {
                let detail = inner.split_whitespace().collect::<Vec<_>>().join(" ");
                if !detail.is_empty() {
                    s.detail.push(detail);
                }
                inner.clear();
                s.text.push(' ');
            } else {
                inner.push(c);
            }
            before = c;
            rest = &rest[used..];
            continue;
        }
        let mut step = used;
        let next = rest[used..].chars().next().unwrap_or(' ');
        let word_start = before.is_whitespace() || c.is_whitespace();
        if rule && !matches!(c, ';' | '；' | '\n') {
            inner.push(c);
        } else if numbered_bracket(rest) > 0 {
            s.cut(Joint::Start, false);
            step = numbered_bracket(rest);
        } else if is_open(c) {
            depth = 1;
        } else if rule {
            s.detail.push(inner.split_whitespace().collect::<Vec<_>>().join(" "));
            inner.clear();
            rule = false;
            s.cut(Joint::Start, false);
        } else if matches!(c, ';' | '；' | '\n' | '•' | '●' | '。')
            || parts_colon(c, before, &rest[used..]) && !s.text.trim().is_empty()
        {
            s.cut(Joint::Start, false);
        } else if matches!(c, ',' | '，' | '、' | '､') {
            if c == ',' && before.is_ascii_digit() && next.is_ascii_digit() {
                s.text.push(c);
            } else {
                s.cut(Joint::Comma, false);
            }
        } else if c == '/' && splits_slash(raw, raw.len() - rest.len(), before, next) {
            s.cut(Joint::And, false);
        } else if word_start && c.is_ascii_digit() && numbered(rest) > 0 {
            s.cut(Joint::Start, false);
            step = numbered(rest);
        } else if let Some(found) = starts(rest, RULES) {
            rule = true;
            step = found.len() - 1;
            inner.push_str(found.trim_start());
        } else if let Some(found) = starts(rest, SUCH) {
            s.cut(Joint::Comma, false);
            step = if found.ends_with(' ') { found.len() - 1 } else { found.len() };
        } else if let Some(found) = starts(rest, ANDS).filter(|_| !s.clause()) {
            s.cut(Joint::And, true);
            step = if found.ends_with(' ') { found.len() - 1 } else { found.len() };
        } else if cjk_and(c, before, next) && !s.clause() {
            s.cut(Joint::And, true);
        } else {
            s.text.push(c);
        }
        before = rest[..step].chars().next_back().unwrap_or(' ');
        rest = &rest[step..];
    }
    let open = depth > 0;
    if !inner.trim().is_empty() {
        s.detail.push(inner.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    s.cut(Joint::Start, false);
    (s.atoms, open)
}

fn starts<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let bytes = text.as_bytes();
    words
        .iter()
        .copied()
        .find(|word| bytes.len() >= word.len() && bytes[..word.len()].eq_ignore_ascii_case(word.as_bytes()))
}

/// A colon between a thing and its parts; not in an address or a time.
fn parts_colon(c: char, before: char, rest: &str) -> bool {
    let time = before.is_ascii_digit() && rest.starts_with(|next: char| next.is_ascii_digit());
    matches!(c, ':' | '：') && !rest.starts_with("//") && !time
}

/// `和`, `及`, `与`, `或` between two words, not inside one.
fn cjk_and(c: char, before: char, next: char) -> bool {
    let inside = match c {
        '和' => matches!(next, '谐' | '平' | '解' | '其') || matches!(before, '总' | '温' | '饱'),
        '及' => matches!(next, '时' | '其' | '格') || matches!(before, '涉' | '普' | '以' | '提' | '触'),
        '与' => matches!(next, '否' | '其') || matches!(before, '参' | '给' | '赋' | '授'),
        '或' => matches!(next, '者' | '许') || matches!(before, '者'),
        _ => return false,
    };
    !inside && !before.is_whitespace() && before != ' '
        || (c == '和' || c == '及' || c == '与') && before.is_whitespace() && next.is_whitespace()
}

fn splits_slash(raw: &str, at: usize, before: char, next: char) -> bool {
    if before == '/' || next == '/' || before == ':' {
        return false;
    }
    let floor = raw[..at].char_indices().rev().take(24).last().map_or(at, |(from, _)| from);
    let roof = raw[at + 1..].char_indices().take(24).last().map_or(at + 1, |(to, c)| at + 1 + to + c.len_utf8());
    let left =
        raw[floor..at].rsplit(|c: char| c.is_whitespace() || ",;、，；(（".contains(c)).next().unwrap_or_default();
    let right =
        raw[at + 1..roof].split(|c: char| c.is_whitespace() || ",;、，；)）".contains(c)).next().unwrap_or_default();
    let word = format!("{}/{}", left.to_lowercase(), right.to_lowercase());
    let known = SLASHED.contains(&word.as_str());
    let address = left.contains("://") || (left.contains('.') && right.contains('/'));
    let numbers = before.is_ascii_digit() && next.is_ascii_digit();
    !(known || address || numbers)
}

/// Length of `2.` or `3、` in front of an item.
fn numbered(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let after = text[digits..].chars().next().unwrap_or(' ');
    let then = text[digits..].chars().nth(1).unwrap_or(' ');
    if (1..=2).contains(&digits) && matches!(after, '.' | '、' | ')' | '）' | '．') && !then.is_ascii_digit() {
        digits + after.len_utf8()
    } else {
        0
    }
}

/// Length of `(2)`, `（二）` or `②` in front of an item.
fn numbered_bracket(text: &str) -> usize {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    if ('①'..='⑳').contains(&first) || ('⑴'..='⒇').contains(&first) {
        return first.len_utf8();
    }
    let inner: String = chars.take_while(|c| !is_close(*c)).take(3).collect();
    let number = (1..=2).contains(&inner.chars().count())
        && inner.chars().all(|c| c.is_ascii_digit() || "一二三四五六七八九十".contains(c));
    let end = first.len_utf8() + inner.len();
    let close = text.get(end..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
    if is_open(first) && number && is_close(close) { end + close.len_utf8() } else { 0 }
}

/// Without what belongs to the list and not to the item.
fn tidy(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for _ in 0..8 {
        let before = text.len();
        text = text
            .trim_matches(|c: char| {
                c.is_whitespace() || matches!(c, '.' | '。' | '-' | '–' | '—' | '*' | '·' | '…' | ',' | '"' | '“' | '”')
            })
            .to_owned();
        for end in [
            " etc",
            " and so on",
            " and so forth",
            " and others",
            " among others",
            "等信息",
            "等数据",
            "等等",
            "等",
            " usw",
            " u.a",
            " и т.д",
            " и т. д",
            " entre otros",
        ] {
            let at = text.len().saturating_sub(end.len());
            if at > 0 && text.get(at..).is_some_and(|last| last.to_lowercase() == *end) {
                text.truncate(at);
            }
        }
        if ["etc", "and so on", "usw", "others"].contains(&text.to_lowercase().as_str()) || text == "等" {
            text.clear();
        }
        for start in ["the ", "your ", "a ", "an ", "i.e. ", "namely ", "您的", "such as "] {
            if text.len() > start.len()
                && text.is_char_boundary(start.len())
                && text[..start.len()].eq_ignore_ascii_case(start)
            {
                text.drain(..start.len());
            }
        }
        if text.len() == before {
            break;
        }
    }
    text
}

fn strip_and(text: &str) -> (String, bool) {
    for start in [
        "and ",
        "or ",
        "& ",
        "und ",
        "oder ",
        "et ",
        "ou ",
        "y ",
        "o ",
        "и ",
        "или ",
        "as well as ",
        "plus ",
        "以及",
        "或者",
        "和",
        "及",
        "与",
    ] {
        if text.len() > start.len()
            && text.is_char_boundary(start.len())
            && text[..start.len()].eq_ignore_ascii_case(start)
        {
            let glued = start.chars().next().is_some_and(is_cjk)
                && ["谐", "其", "时"].iter().any(|next| text[start.len()..].starts_with(next));
            if !glued {
                return (tidy(&text[start.len()..]), true);
            }
        }
    }
    (text.to_owned(), false)
}

fn is_generic(text: &str) -> bool {
    GENERIC.contains(&text.to_lowercase().as_str()) || CJK_GENERIC.contains(&text.to_uppercase().as_str())
}

/// What stands before the generic word: `device` of `device ID`.
fn modifier(text: &str) -> Option<String> {
    if let Some(generic) = CJK_GENERIC.iter().find(|generic| text.to_uppercase().ends_with(**generic))
        && text.chars().any(is_cjk)
    {
        let front = text.get(..text.len() - generic.len())?;
        return CJK_ENTITY.contains(&front).then(|| front.to_owned());
    }
    let words: Vec<&str> = text.split(' ').collect();
    let (last, front) = words.split_last()?;
    let first = front.first()?;
    if ENTITY.contains(&first.to_lowercase().as_str()) && !is_generic(first) && front.len() <= 2 {
        return Some((*first).to_owned());
    }
    (is_generic(last) && front.len() <= 2).then(|| front.join(" "))
}

fn joined(modifier: &str, text: &str) -> String {
    let space = if modifier.chars().next_back().is_some_and(is_cjk) { "" } else { " " };
    format!("{modifier}{space}{text}")
}

/// Pairs joined by "and" that are one item, or that share a word.
fn merge(atoms: &mut Vec<Atom>) {
    let mut at = 1;
    while at < atoms.len() {
        if atoms[at].joint != Joint::And {
            at += 1;
            continue;
        }
        let (left, right) = (atoms[at - 1].clone(), atoms[at].clone());
        let whole = format!("{} and {}", left.text, right.text);
        let lower = whole.to_lowercase();
        let single = !left.text.contains(' ') && left.text.is_ascii() && left.detail.is_empty();
        let words = right.text.split(' ').count();
        let front = FRONT.contains(&left.text.to_lowercase().as_str())
            || (ENTITY.contains(&left.text.to_lowercase().as_str()) && !left.text.ends_with('s'));
        if WHOLE.iter().any(|kept| lower.contains(kept)) || (single && front && words >= 2 && !right.detail.is_empty())
        {
            atoms[at - 1] = Atom { text: whole, detail: right.detail, ..left };
            atoms.remove(at);
            continue;
        }
        if single && front && words >= 2 && !right.text.contains(" of ") {
            let head = right.text.split_once(' ').map(|(_, head)| head).unwrap_or_default();
            atoms[at - 1].text = format!("{} {head}", left.text);
        } else if right.detail.is_empty() || is_generic(&right.text) {
            let bare = right.text.split(" of ").next().unwrap_or_default();
            if is_generic(bare)
                && !is_generic(&left.text)
                && let Some(modifier) = modifier(&left.text)
            {
                atoms[at].text = joined(&modifier, &right.text);
            }
        }
        at += 1;
    }
}

/// `type of the TV`: what stands behind the thing, joint included.
fn owner_of(text: &str) -> Option<&str> {
    OWNERS.iter().filter_map(|joint| text.find(joint)).min().map(|at| &text[at..])
}

/// True when an item says whose it is already: `Geräte-ID` of ` des Geräts`.
fn names(item: &str, owner: &str) -> bool {
    let item = item.to_lowercase();
    let mut words = owner.split_whitespace().skip(1).filter(|word| word.chars().count() >= 4).peekable();
    let said = |word: &str| item.contains(&word.to_lowercase().chars().take(5).collect::<String>());
    words.peek().is_some() && words.all(said)
}

/// `A, B, and C of Y`: Y belongs to all when one of them says nothing alone.
fn share_suffix(atoms: &mut [Atom]) {
    for at in 1..atoms.len() {
        if !atoms[at].last || atoms[at].joint == Joint::Start {
            continue;
        }
        let Some(owner) = owner_of(&atoms[at].text).map(str::to_owned) else { continue };
        let mut from = at;
        while from > 0 && at - from < 30 {
            let joint = atoms[from].joint;
            let before = &atoms[from - 1];
            if joint == Joint::Start
                || owner_of(&before.text).is_some()
                || !before.detail.is_empty()
                || before.text.starts_with("whether")
            {
                break;
            }
            from -= 1;
        }
        if atoms[from..at].iter().any(|atom| is_generic(&atom.text)) {
            for atom in atoms[from..at].iter_mut().filter(|atom| !names(&atom.text, &owner)) {
                atom.text.push_str(&owner);
            }
        }
    }
}

/// `device ID, name, and type`: the bare words take over what the item before them is about.
fn inherit(atoms: &mut [Atom]) {
    for at in 1..atoms.len() {
        if atoms[at].joint == Joint::Start || !is_generic(&atoms[at].text) || atoms[at].text.ends_with("地址") {
            continue;
        }
        if let Some(found) = modifier(&atoms[at - 1].text)
            && (ENTITY.contains(&found.to_lowercase().as_str()) || CJK_ENTITY.contains(&found.as_str()))
        {
            atoms[at].text = joined(&found, &atoms[at].text);
        }
    }
}

/// `米家设备的ID、图标和名称`: the owner in front belongs to all bare words behind it.
fn share_prefix(atoms: &mut [Atom]) {
    let mut owner: Option<String> = None;
    for atom in atoms {
        let split = atom.text.rfind('的').filter(|_| !atom.text.starts_with("是否"));
        if atom.joint == Joint::Start {
            owner = None;
        }
        match split {
            Some(at) => {
                let tail = &atom.text[at + '的'.len_utf8()..];
                owner = (tail.chars().count() <= 8).then(|| atom.text[..at + '的'.len_utf8()].to_owned());
            }
            None => match &owner {
                Some(owner) if is_generic(&atom.text) || is_generic(atom.text.trim_start_matches("屏幕")) => {
                    atom.text = format!("{owner}{}", atom.text)
                }
                _ => owner = None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(raw: &str) -> Vec<String> {
        let show = |item: DataItem| match item.detail {
            Some(detail) => format!("{} <{detail}>", item.item),
            None => item.item,
        };
        items(raw).0.into_iter().map(show).collect()
    }

    #[test]
    fn items_hidden_in_one_phrase_stand_alone() {
        for (raw, wants) in [
            ("TV name and type", "TV name|TV type"),
            ("photos and device ID, name, and type", "photos|device ID|device name|device type"),
            (
                "IDs, icons, names, and MAC addresses of Xiaomi Home devices",
                "IDs of Xiaomi Home devices|icons of Xiaomi Home devices|names of Xiaomi Home devices|MAC addresses of Xiaomi Home devices",
            ),
            (
                "device ID, screen shape and dimensions, name, and battery level of wearable devices",
                "device ID of wearable devices|screen shape of wearable devices|screen dimensions of wearable devices|name of wearable devices|battery level of wearable devices",
            ),
            ("IP and MAC addresses", "IP addresses|MAC addresses"),
            ("IP/MAC address, login and logout times", "IP address|MAC address|login times|logout times"),
            (
                "(1) device ID; (2) IP address; ③ name and type of the TV",
                "device ID|IP address|name of the TV|type of the TV",
            ),
            ("Geräte-ID, Name und Typ des Geräts", "Geräte-ID|Name des Geräts|Typ des Geräts"),
            ("nom et type de la TV", "nom de la TV|type de la TV"),
            ("nombre y tipo del televisor", "nombre del televisor|tipo del televisor"),
            ("device ID, IP address, name", "device ID|IP address|name"),
            ("电视名称和类型", "电视名称|电视类型"),
            ("照片和设备ID、名称、类型", "照片|设备ID|设备名称|设备类型"),
            ("米家设备的ID、图标、名称和MAC地址", "米家设备的ID|米家设备的图标|米家设备的名称|米家设备的MAC地址"),
            ("是否参与用户体验改进计划；IMEI/OAID", "是否参与用户体验改进计划|IMEI|OAID"),
        ] {
            assert_eq!(plain(raw).join("|"), wants, "{raw}");
        }
    }

    #[test]
    fn brackets_stay_with_their_item() {
        for (raw, wants) in [
            (
                "device ID (OAID), app crash events (app package version, device model), device and system parameters (device OS and version number, device model)",
                "device ID <OAID>|app crash events <app package version, device model>|device and system parameters <device OS and version number, device model>",
            ),
            (
                "file info (including file name and content such as images and video)",
                "file info <including file name and content such as images and video>",
            ),
            ("设备ID（OAID【匿名[v2]】）、应用ID", "设备ID <OAID【匿名[v2]】>|应用ID"),
            (
                "Service ID (calculated based on device ID, unique device FID, and account)",
                "Service ID <calculated based on device ID, unique device FID, and account>",
            ),
            (
                "Service ID calculated based on device ID, FID; name",
                "Service ID <calculated based on device ID, FID>|name",
            ),
            ("device ID (OAID", "device ID <OAID>"),
        ] {
            assert_eq!(plain(raw).join("|"), wants, "{raw}");
        }
    }

    #[test]
    fn clauses_and_open_lists_keep_their_sense() {
        assert_eq!(
            plain("channel number, whether or not user is enrolled in the User Experience Program, whether or not user has agreed to the app Privacy Policy").len(),
            3
        );
        assert_eq!(plain("device model, OS version, etc."), ["device model", "OS version"]);
        assert_eq!(
            plain("1.设备信息(IMEI) 2.MAC地址 3.手机型号、系统类型等"),
            ["设备信息 <IMEI>", "MAC地址", "手机型号", "系统类型"]
        );
        assert_eq!(
            plain("device info such as model and 1,000 events"),
            ["device info", "device model", "1,000 events"]
        );
    }
}
