//! Finds what a statement leaves open: vague words, missing answers, identifiers that let recipients
//! join what they know, names that stand for two things.

mod joins;

use serde::Serialize;

use crate::{
    Document, Entry, ImportedEntry, ImportedStatement, Statement,
    entry::NOT_STATED,
    wording::{open_ended, vague},
};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nobody can consent to this as it stands.
    Error,
    /// It should be said better.
    Warning,
    /// Worth knowing.
    Info,
}

impl Level {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// How grave.
    pub level: Level,
    /// Which rule, in kebab-case.
    pub rule: &'static str,
    /// Which entry, as people know it; `None` for the whole statement.
    pub entry: Option<String>,
    /// Position of the entry in the statement, from 0.
    pub index: Option<usize>,
    /// Which field of it.
    pub field: Option<&'static str>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All findings; the JSON form is `{"findings": […], "errors": n, "warnings": n, "infos": n}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lint {
    /// Gravest first, then in the order of entries.
    pub findings: Vec<Finding>,
    /// How many are errors.
    pub errors: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// How many are neither.
    pub infos: usize,
}

#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

/// At most this many findings are kept.
const MAX_FINDINGS: usize = 5_000;

impl Report {
    fn add(
        &mut self,
        level: Level,
        rule: &'static str,
        entry: Option<(usize, String)>,
        field: Option<&'static str>,
        message: String,
    ) {
        if self.findings.len() < MAX_FINDINGS {
            let (index, entry) = entry.map_or((None, None), |(index, name)| (Some(index), Some(name)));
            self.findings.push(Finding { level, rule, entry, index, field, message });
        }
    }
    fn close(mut self) -> Lint {
        self.findings.sort_by_key(|finding| (finding.level, finding.index.map_or(0, |index| index + 1)));
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (errors, warnings, infos) = (count(Level::Error), count(Level::Warning), count(Level::Info));
        Lint { findings: self.findings, errors, warnings, infos }
    }
}

/// Checks any document.
pub fn lint(document: &Document) -> Lint {
    match document {
        Document::Own(statement) => lint_own(statement),
        Document::Imported(statement) => lint_imported(statement),
    }
}

/// Checks one of our own statements.
pub fn lint_own(statement: &Statement) -> Lint {
    let mut report = Report::default();
    if statement.publisher.contact.is_none() && statement.publisher.url.is_none() {
        report.add(
            Level::Info,
            "no-contact",
            None,
            Some("publisher"),
            "the publisher gives no contact and no address".to_owned(),
        );
    }
    if statement.entries.is_empty() {
        report.add(
            Level::Warning,
            "no-entries",
            None,
            None,
            "the statement declares nothing; then nothing can be shared".to_owned(),
        );
    }
    for (index, entry) in statement.entries.iter().enumerate() {
        own_entry(index, entry, &mut report);
    }
    joins::own(statement, &mut report);
    report.close()
}

fn own_entry(index: usize, entry: &Entry, report: &mut Report) {
    let name = || Some((index, entry.key.to_string()));
    if entry.unbounded {
        report.add(
            Level::Error,
            "unbounded",
            name(),
            Some("fields"),
            "the list of data is open-ended; no permit can rest on it".to_owned(),
        );
    }
    for (language, text) in &entry.text {
        let texts =
            [("data", &text.data), ("purpose", &text.purpose), ("scenario", &text.scenario), ("method", &text.method)];
        for (field, words) in texts {
            if let Some(found) = open_ended(words) {
                report.add(
                    Level::Warning,
                    "vague",
                    name(),
                    Some(field),
                    format!("the text in `{language}` is open-ended (“{found}”); say exactly what is meant"),
                );
            }
            if let Some(found) = vague(words) {
                report.add(
                    Level::Warning,
                    "vague",
                    name(),
                    Some(field),
                    format!("the text in `{language}` is vague (“{found}”); say exactly what is meant"),
                );
            }
            if words.trim().is_empty() {
                report.add(
                    Level::Warning,
                    "no-text",
                    name(),
                    Some(field),
                    format!("the text in `{language}` says nothing about the {field}"),
                );
            }
        }
    }
    for (field, value) in [("storage", &entry.storage), ("retention", &entry.retention)] {
        if value == NOT_STATED {
            report.add(
                Level::Info,
                "not-stated",
                name(),
                Some(field),
                format!("{field} is not stated; the recipient may do as it likes"),
            );
        }
    }
    let outside = !matches!(entry.recipient.role.as_str(), "own-device");
    if outside && entry.recipient.jurisdiction.is_none() {
        report.add(
            Level::Info,
            "not-stated",
            name(),
            Some("jurisdiction"),
            "the recipient's jurisdiction is not stated".to_owned(),
        );
    }
    if outside
        && entry.recipient.contact.is_none()
        && entry.recipient.role == "third-party"
        && entry.method.transport == "hosts"
    {
        report.add(
            Level::Info,
            "not-stated",
            name(),
            Some("contact"),
            "nobody is named whom a withdrawal could be told".to_owned(),
        );
    }
    let asked = entry.scenario.iter().any(|word| {
        ["send", "use", "ask", "pick", "open", "request", "receive", "insert", "cast", "search", "unlock"]
            .iter()
            .any(|verb| word.split(['.', '-', '_']).any(|part| part == *verb))
    });
    if entry.is_sensitive() && !asked && entry.method.acquire != "user-picks" {
        let fields: Vec<_> =
            entry.fields.iter().filter(|field| field.code.is_sensitive()).map(|field| field.code.label()).collect();
        let message = format!(
            "{}: content is asked for at the moment of use; name that moment in the scenario (`on.send`, `on.use`, …)",
            fields.join(", ")
        );
        report.add(Level::Warning, "sensitive-not-at-use", name(), Some("scenario"), message);
    }
    if entry.hosts.iter().any(|host| host.starts_with("*.") && host.matches('.').count() < 2) {
        report.add(
            Level::Error,
            "wide-host",
            name(),
            Some("hosts"),
            "a host pattern covers a whole top-level domain".to_owned(),
        );
    }
    if let Some(url) = entry.rules_url.as_deref() {
        link(index, entry.key.as_str(), url, report);
    }
}

fn link(index: usize, name: &str, url: &str, report: &mut Report) {
    let entry = || Some((index, name.to_owned()));
    if url.starts_with("http://") {
        report.add(
            Level::Warning,
            "insecure-link",
            entry(),
            Some("rules_url"),
            "the rules are linked without https: on the way they can be changed".to_owned(),
        );
    } else if !url.starts_with("https://")
        || !url["https://".len()..].split('/').next().unwrap_or_default().contains('.')
    {
        report.add(
            Level::Warning,
            "no-link",
            entry(),
            Some("rules_url"),
            format!("“{}” is no link to follow", accord_model::text::for_screen(url, 80)),
        );
    }
}

/// Checks a publisher's page.
pub fn lint_imported(statement: &ImportedStatement) -> Lint {
    let mut report = Report::default();
    if statement.version.is_none() && statement.version_date.is_none() {
        report.add(
            Level::Warning,
            "no-version",
            None,
            Some("version"),
            "the page has neither version nor date: nobody can tell what was agreed to".to_owned(),
        );
    }
    if !statement.entries.is_empty() {
        for field in ["storage", "retention", "withdrawal", "jurisdiction"] {
            report.add(Level::Info, "not-stated", None, Some(field), format!("{field} is stated for no entry"));
        }
    }
    for (index, entry) in statement.entries.iter().enumerate() {
        imported_entry(index, entry, &mut report);
    }
    joins::imported(statement, &mut report);
    report.close()
}

pub(super) fn name_of(entry: &ImportedEntry) -> String {
    match (&entry.title, &entry.name) {
        (Some(title), Some(name)) if title != name => format!("{title} ({name})"),
        (Some(title), _) => title.clone(),
        (None, Some(name)) => name.clone(),
        (None, None) => entry.third_party.clone().unwrap_or_else(|| "without a title".to_owned()),
    }
}

fn imported_entry(index: usize, entry: &ImportedEntry, report: &mut Report) {
    let name = || Some((index, name_of(entry)));
    if !entry.complete {
        report.add(Level::Error, "cut", name(), None, "the page ends before the entry does".to_owned());
    }
    let missing = [
        (Level::Error, "third_party", entry.third_party.is_none(), "who receives is not said"),
        (Level::Error, "shared_data", entry.shared_data.is_empty(), "which data are shared is not said"),
        (Level::Error, "purpose", entry.purpose.is_none(), "the purpose is not said"),
        (Level::Warning, "scenario", entry.scenario.is_none(), "when it happens is not said"),
        (Level::Warning, "method", entry.method.is_none(), "how it happens is not said"),
        (
            Level::Warning,
            "sharing_type",
            entry.sharing_type.is_none(),
            "what sort of component shares is not said, or not known",
        ),
        (Level::Warning, "rules_url", entry.rules_url.is_none(), "the recipient's rules are not linked"),
        (Level::Info, "name", entry.name.is_none(), "the component has no name"),
        (Level::Info, "title", entry.title.is_none(), "the entry has no title"),
    ];
    for (level, field, missing, message) in missing {
        if missing {
            report.add(level, "missing", name(), Some(field), message.to_owned());
        }
    }
    let texts = [
        ("shared_data", &entry.shared_data_raw, Level::Error),
        ("purpose", &entry.purpose, Level::Warning),
        ("scenario", &entry.scenario, Level::Warning),
    ];
    for (field, text, level) in texts {
        if let Some(found) = text.as_deref().and_then(open_ended) {
            let rule = if field == "shared_data" { "unbounded" } else { "vague" };
            report.add(level, rule, name(), Some(field), format!("open-ended wording (“{found}”): it bounds nothing"));
        }
    }
    let texts = [
        ("third_party", &entry.third_party, "names nobody"),
        ("shared_data", &entry.shared_data_raw, "does not say which"),
        ("purpose", &entry.purpose, "does not say what for"),
        ("scenario", &entry.scenario, "does not say when"),
        ("method", &entry.method, "does not say how"),
    ];
    for (field, text, what) in texts {
        if let Some(found) = text.as_deref().and_then(vague) {
            report.add(Level::Warning, "vague", name(), Some(field), format!("vague wording (“{found}”): it {what}"));
        }
    }
    for item in &entry.shared_data {
        let lower = item.item.to_lowercase();
        let bare = [
            "information",
            "info",
            "data",
            "parameters",
            "file info",
            "device information",
            "usage data",
            "信息",
            "数据",
            "设备信息",
            "日志信息",
            "网络信息",
        ];
        if item.detail.is_none()
            && (bare.contains(&lower.as_str())
                || ["information", " info", " data", " parameters", "信息"].iter().any(|end| lower.ends_with(end)))
        {
            report.add(
                Level::Warning,
                "vague",
                name(),
                Some("shared_data"),
                format!("“{}” does not say which", accord_model::text::for_screen(&item.item, 80)),
            );
        }
        if let Some(code) = item.suggested_code().filter(|code| code.is_sensitive()) {
            let scenario = entry.scenario.as_deref().unwrap_or_default().to_lowercase();
            let at_use = ["user", "choos", "insert", "search", "use", "用户", "选择", "搜索", "使用"]
                .iter()
                .any(|word| scenario.contains(word));
            if !at_use {
                report.add(
                    Level::Warning,
                    "sensitive-not-at-use",
                    name(),
                    Some("scenario"),
                    format!("{} leaves without the person acting at that moment", code.label()),
                );
            }
        }
    }
    if let Some(method) = entry.method.as_deref() {
        let lower = method.to_lowercase();
        let leaves = ["transfer", "transmi", "send", "upload", "backend", "server", "传输", "上传", "发送", "后台"]
            .iter()
            .any(|word| lower.contains(word));
        if !leaves {
            let message =
                format!("“{}” says who collects, not where the data go", accord_model::text::for_screen(method, 80));
            report.add(Level::Warning, "no-destination", name(), Some("method"), message);
        }
    }
    if let Some(url) = entry.rules_url.as_deref() {
        link(index, &name_of(entry), url, report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_shows_what_privacy_engineers_find_in_it() {
        let found = lint_imported(&crate::import(include_bytes!("../tests/pages/seed.txt")));
        let has = |rule: &str, words: &str| {
            found.findings.iter().any(|finding| {
                finding.rule == rule
                    && (finding.message.contains(words) || finding.entry.as_deref().unwrap_or_default().contains(words))
            })
        };
        assert!(has("joinable", "OAID"), "{found:#?}");
        assert!(has("one-name-two-recipients", "Tianqin SDK"));
        assert!(has("one-title-two-entries", "Discovering and connecting to devices"));
        assert!(has("no-destination", "SDK local acquisition"));
        assert!(has("unbounded", "such as"));
        assert!(has("not-stated", "retention"));
        assert!(has("sensitive-not-at-use", "notifications"));
    }

    #[test]
    fn words_that_bound_nothing_are_found_in_every_field() {
        let page = "A\n\nThird party name: our partners\nSharing type: SDK (A SDK)\nShared data: certain device data\n\
                    Purpose: improving your experience\nScenario: from time to time\nSharing method: SDK transfer as appropriate\n";
        let found = lint_imported(&crate::import(page.as_bytes()));
        for field in ["third_party", "shared_data", "purpose", "scenario", "method"] {
            assert!(found.findings.iter().any(|f| f.rule == "vague" && f.field == Some(field)), "{field} {found:#?}");
        }
    }

    #[test]
    fn our_example_holds_no_error() {
        let Ok(Document::Own(statement)) = Document::read("a", crate::EXAMPLE.as_bytes()) else {
            panic!("the example is ours")
        };
        assert_eq!(lint_own(&statement).errors, 0);
        let mut open = statement.clone();
        open.entries[0].unbounded = true;
        open.entries[0].text.get_mut("en").unwrap().purpose = "greetings, etc.".into();
        let found = lint_own(&open);
        assert_eq!(found.errors, 1);
        assert!(found.findings.iter().any(|finding| finding.rule == "vague"));
    }
}
