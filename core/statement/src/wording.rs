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

/// Words that bound nothing although the sentence ends.
const VAGUE: &[&str] = &[
    "when necessary",
    "where necessary",
    "as necessary",
    "if necessary",
    "when needed",
    "if needed",
    "if required",
    "as required",
    "where required",
    "when appropriate",
    "where appropriate",
    "as appropriate",
    "where applicable",
    "from time to time",
    "at any time",
    "at all times",
    "certain",
    "some",
    "various",
    "possibly",
    "potentially",
    "relevant",
    "necessary data",
    "necessary information",
    "data related to",
    "information related to",
    "information about",
    "may be shared",
    "may also",
    "may share",
    "may collect",
    "might be shared",
    "usually",
    "generally",
    "sometimes",
    "occasionally",
    "improve our",
    "improve your",
    "improving our",
    "improving your",
    "improve the service",
    "improve services",
    "better experience",
    "service optimization",
    "service optimisation",
    "optimize our",
    "business purpose",
    "business purposes",
    "other purposes",
    "legitimate interest",
    "legitimate interests",
    "as described",
    "partners",
    "affiliates",
    "affiliated companies",
    "third parties",
    "bei bedarf",
    "gegebenenfalls",
    "bestimmte",
    "möglicherweise",
    "verbesserung unserer",
    "si nécessaire",
    "le cas échéant",
    "certaines",
    "certains",
    "améliorer nos",
    "si es necesario",
    "ciertos",
    "ciertas",
    "mejorar nuestros",
    "при необходимости",
    "некоторые",
    "возможно",
];
const VAGUE_CHINESE: &[&str] = &[
    "必要时",
    "必要的",
    "必要信息",
    "相关信息",
    "相关数据",
    "部分信息",
    "某些",
    "可能",
    "适当",
    "不时",
    "视情况",
    "改善服务",
    "优化服务",
    "改进服务",
    "提升体验",
    "提升用户体验",
    "改善用户体验",
    "优化用户体验",
    "合作伙伴",
    "关联公司",
    "关联方",
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
    let found = [first(&lower, ENGLISH, CHINESE), ends_list(&lower)].into_iter().flatten().min();
    found.map(|found| as_written(text, &lower, found))
}

/// The first words of a text that name no bound, as they stand in it: `when necessary`, `certain data`.
///
/// ```
/// use accord_statement::wording::vague;
/// assert_eq!(vague("When necessary"), Some("When necessary"));
/// assert_eq!(vague("uncertain, someone"), None);
/// assert_eq!(vague("用于提升用户体验"), Some("提升用户体验"));
/// ```
pub fn vague(text: &str) -> Option<&str> {
    let lower = text.to_lowercase();
    first(&lower, VAGUE, VAGUE_CHINESE).map(|found| as_written(text, &lower, found))
}

/// Where the first of the words stands, and its length: Latin ones as whole words, Chinese ones anywhere.
fn first(lower: &str, words: &[&str], chinese: &[&str]) -> Option<(usize, usize)> {
    let whole = |at: usize, word: &str| {
        let before = lower[..at].chars().next_back();
        let after = lower[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(|c| c.is_alphanumeric() && c.is_ascii())
    };
    let latin = words
        .iter()
        .filter_map(|word| lower.match_indices(word).find(|(at, _)| whole(*at, word)).map(|(at, _)| (at, word.len())));
    let han = chinese.iter().filter_map(|word| lower.find(word).map(|at| (at, word.len())));
    // Of words that begin at one place the longest.
    latin.chain(han).min_by_key(|(at, len)| (*at, usize::MAX - len))
}

/// 等 ends a list, unless it is part of a word (等级, 等于, 等待, 平等).
fn ends_list(lower: &str) -> Option<(usize, usize)> {
    let ends = |at: usize, c: &str| {
        let after = lower[at + c.len()..].chars().next();
        let before = lower[..at].chars().next_back();
        !(after.is_some_and(|c| "级于待候同效分式号价".contains(c))
            || before.is_some_and(|c| "平同相高中初不对均何优".contains(c))
            || before.is_none())
    };
    lower.match_indices('等').find(|(at, c)| ends(*at, c)).map(|(at, c)| (at, c.len()))
}

fn as_written<'a>(text: &'a str, lower: &str, (at, len): (usize, usize)) -> &'a str {
    // Lower case may change lengths; then positions of the original are not those of the copy.
    let aligned = lower.len() == text.len();
    text.get(at..at + len).filter(|_| aligned).unwrap_or("open-ended wording")
}
