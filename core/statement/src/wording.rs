//! Words that leave a list or a purpose open, in several languages.

const ENGLISH: &[&str] = &[
    "such as",
    "including but not limited to",
    "including, but not limited to",
    "including without limitation",
    "and so on",
    "and so forth",
    "among others",
    "and other",
    "and others",
    "or other",
    "or similar",
    "and similar",
    "for example",
    "for instance",
    "e.g.",
    "other information",
    "other data",
    "etc",
    "and more",
    "related information",
    "as needed",
    "where necessary",
    "if necessary",
    "may include",
    "might include",
    "not limited to",
    "various",
    // German, French, Spanish, Russian
    "usw.",
    "zum beispiel",
    "z. b.",
    "z.b.",
    "und andere",
    "unter anderem",
    "und so weiter",
    "einschließlich, aber nicht beschränkt auf",
    "wie etwa",
    "par exemple",
    "tels que",
    "telles que",
    "tel que",
    "telle que",
    "y compris mais sans s'y limiter",
    "entre autres",
    "et autres",
    "por ejemplo",
    "tales como",
    "tal como",
    "entre otros",
    "entre otras",
    "incluyendo, entre otros",
    "incluidos, entre otros",
    "и т. д",
    "и т.д",
    "и т. п",
    "и т.п",
    "например",
    "такие как",
    "в том числе",
    "и другие",
    "и прочее",
];
const CHINESE: &[&str] = &[
    "包括但不限于",
    "（如",
    "(如",
    "等等",
    "例如",
    "比如",
    "诸如",
    "其他信息",
    "其它信息",
    "其他数据",
    "等信息",
    "等数据",
    "等相关",
    "等内容",
    "など",
];

/// The first open-ended words of a text, as they stand in it.
///
/// ```
/// use accord_statement::wording::open_ended;
/// assert_eq!(open_ended("device name, model, etc."), Some("etc"));
/// assert_eq!(open_ended("设备名称、型号等"), Some("等"));
/// assert_eq!(open_ended("the etched glass"), None);
/// ```
pub fn open_ended(text: &str) -> Option<&str> {
    let lower = text.to_lowercase();
    // Lower case may change lengths; then positions of the original are not those of the copy.
    let aligned = lower.len() == text.len();
    let mut best: Option<(usize, usize)> = None;
    let mut note = |at: usize, len: usize| {
        if best.is_none_or(|(before, _)| at < before) {
            best = Some((at, len));
        }
    };
    for word in ENGLISH {
        for (at, _) in lower.match_indices(word) {
            let before = lower[..at].chars().next_back();
            let after = lower[at + word.len()..].chars().next();
            if !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(|c| c.is_alphanumeric() && c.is_ascii())
            {
                note(at, word.len());
                break;
            }
        }
    }
    for word in CHINESE {
        if let Some(at) = lower.find(word) {
            note(at, word.len());
        }
    }
    // 等 ends a list, unless it is part of a word (等级, 等于, 等待, 平等).
    for (at, c) in lower.match_indices('等') {
        let after = lower[at + c.len()..].chars().next();
        let before = lower[..at].chars().next_back();
        let part = after.is_some_and(|c| "级于待候同效分式号价".contains(c))
            || before.is_some_and(|c| "平同相高中初不对均何优".contains(c))
            || before.is_none();
        if !part {
            note(at, c.len());
            break;
        }
    }
    let (at, len) = best?;
    if aligned { text.get(at..at + len) } else { Some("open-ended wording") }
}
