//! Reads the values of the entries: items, types, links, versions; says what is missing, cut, doubled or
//! open-ended.

use std::collections::{HashMap, HashSet};

use super::{
    DataItem, ImportedEntry, ImportedStatement, MAX_ENTRIES, Warnings,
    address::{address_in, addresses, glued, unglue},
    assemble::{Page, RawEntry, RawField},
    block::{clean, links},
    cut,
    dates::{self, Found},
    items,
    labels::Label,
    language, quote, share,
};
use crate::wording;

/// The longest single value, in bytes; the rest is cut with a warning.
const MAX_VALUE: usize = 64 * 1024;

/// The most items that one entry takes.
const MAX_ITEMS: usize = 1_000;

pub(crate) fn finish(source: &str, page: Page, mut warnings: Warnings) -> ImportedStatement {
    for (line, note) in page.notes {
        warnings.line(line, note);
    }
    let language = language::language(source, page.language.as_deref());
    let (version, version_date) =
        version(&page.facts, &page.head, page.title.as_deref(), language.as_deref().unwrap_or_default(), &mut warnings);
    let mut raw = page.entries;
    if raw.len() > MAX_ENTRIES {
        warnings.page(format!("the page has {} entries; only the first {MAX_ENTRIES} were read", raw.len()));
        raw.truncate(MAX_ENTRIES);
    }
    raw.retain(|entry| entry.cut || entry.fields.iter().any(|field| !clean(&field.value).is_empty()));
    drop_strays(&mut raw, &mut warnings);
    let addresses = addresses(&raw);
    unglue(&mut raw, &addresses);
    for entry in raw.iter().filter(|entry| entry.inherited) {
        warnings.line(entry.line, "the entry has no title of its own; it stands under the title before".to_owned());
    }
    let last = raw.len().saturating_sub(1);
    let ends_early = raw.last().is_some_and(|entry| entry.cut || cut::ends_early(&raw, entry, source, &addresses));
    let mut entries: Vec<ImportedEntry> = Vec::with_capacity(raw.len());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (at, entry) in raw.iter().enumerate() {
        let mut read = Reading { entry, addresses: &addresses, warnings: &mut warnings, items: HashSet::new() }.read();
        read.complete = !((at == last && ends_early) || entry.cut);
        if !read.complete {
            warnings.line(entry.line, format!("the page ends before entry {} does", name_of(&read)));
        }
        let same = serde_json::to_string(&read).unwrap_or_default();
        if let Some(before) = seen.insert(same, entry.line) {
            warnings.line(entry.line, format!("entry {} repeats the one in line {before}", name_of(&read)));
        }
        entries.push(read);
    }
    if entries.is_empty() {
        warnings.page(
            "no entry was found on this page; known layouts are labelled lines, tables, lists, cards and arrays"
                .to_owned(),
        );
    }
    ImportedStatement { title: page.title, version, version_date, language, warnings: warnings.into_list(), entries }
}

/// A lone label between entries, or in a sentence above them, is no entry.
fn drop_strays(raw: &mut Vec<RawEntry>, warnings: &mut Warnings) {
    let kinds = |entry: &RawEntry| {
        let mut kinds: Vec<Label> =
            entry.fields.iter().map(|field| field.label).filter(|label| *label != Label::Other).collect();
        kinds.sort();
        kinds.dedup();
        kinds.len()
    };
    let usual = raw.iter().map(kinds).max().unwrap_or(0);
    let last = raw.last().map(|entry| entry.line);
    raw.retain(|entry| {
        let untitled = entry.title.is_none() || entry.inherited;
        let stray =
            usual >= 3 && kinds(entry) < 2 && untitled && !entry.cut && !entry.tabular && Some(entry.line) != last;
        for field in entry.fields.iter().filter(|_| stray) {
            let text = format!("{}: {}", field.label_text, field.value);
            warnings.line(field.line, format!("the line was not read: {}", quote(&text)));
        }
        !stray
    });
}

fn name_of(entry: &ImportedEntry) -> String {
    quote(
        entry.title.as_deref().or(entry.name.as_deref()).or(entry.third_party.as_deref()).unwrap_or("without a title"),
    )
}

fn version(
    facts: &[RawField],
    head: &[(usize, String)],
    title: Option<&str>,
    language: &str,
    warnings: &mut Warnings,
) -> (Option<String>, Option<String>) {
    let stated = facts.iter().find(|fact| fact.label == Label::Version && !clean(&fact.value).is_empty());
    if let Some(fact) = stated.filter(|fact| clean(&fact.value).chars().count() > 80) {
        warnings.line(fact.line, format!("the text behind the version was not read: {}", quote(&fact.value)));
    }
    let short = |text: &&str| text.chars().count() <= 160;
    let lines = title.into_iter().chain(head.iter().map(|(_, text)| text.as_str())).filter(short);
    let version = match stated {
        Some(fact) => Some(dates::version_of(&clean(&fact.value))),
        None => lines.filter_map(dates::version_in).next().map(str::to_owned),
    };
    let version = version.filter(|version| !version.is_empty());
    let of_version = version.as_deref().and_then(dates::of_version);
    if let Some(version) = version.as_deref().filter(|version| of_version.is_none() && dates::looks_dated(version)) {
        warnings.page(format!("the version {} holds no date of the calendar", quote(version)));
    }
    // An update date goes before the date it takes effect.
    let rank = |label: &str| {
        let label = label.to_lowercase();
        let later = ["effective", "生效", "en vigueur", "vigor", "вступл", "gültig", "施行", "시행"];
        usize::from(later.iter().any(|word| label.contains(word)))
    };
    let mut dated: Vec<(usize, usize, Found)> = Vec::new();
    for fact in facts {
        let text = clean(&fact.value);
        if fact.label == Label::Date || fact.label == Label::Version {
            match dates::find(&text, language) {
                Some(found) => dated.push((rank(&fact.label_text), fact.line, found)),
                None if fact.label == Label::Date && !text.is_empty() => {
                    warnings.line(fact.line, format!("the date {} was not understood", quote(&text)));
                }
                None => {}
            }
        }
    }
    for (line, text) in
        head.iter().filter(|(_, text)| short(&text.as_str()) && (dates::is_date_line(text) || text.len() <= 80))
    {
        if let Some(found) = dates::find(text, language) {
            dated.push((2 + rank(text), *line, found));
        }
    }
    dated.sort_by_key(|(rank, line, _)| (*rank, *line));
    let date = match (of_version, dated.first()) {
        (Some(date), _) => Some(date),
        (None, Some((_, _, Found::Sure(date)))) => Some(*date),
        (None, Some((_, line, Found::Either(day_first, month_first)))) => {
            warnings.line(*line, format!("the date may mean {day_first} or {month_first}; it was not read"));
            None
        }
        (None, None) => None,
    };
    (version, date.map(|date| date.to_string()))
}

struct Reading<'a, 'w> {
    entry: &'a RawEntry,
    addresses: &'a HashMap<String, usize>,
    warnings: &'w mut Warnings,
    items: HashSet<(String, Option<String>)>,
}

impl Reading<'_, '_> {
    fn warn(&mut self, line: usize, text: String) {
        self.warnings.line(line, text);
    }

    fn read(mut self) -> ImportedEntry {
        let mut out = ImportedEntry { title: self.entry.title.clone(), ..ImportedEntry::default() };
        self.sharing(&mut out);
        self.data(&mut out);
        out.third_party = self.plain(Label::ThirdParty);
        out.purpose = self.plain(Label::Purpose);
        out.scenario = self.plain(Label::Scenario);
        if let Some((line, both)) = self.joined(Label::PurposeScenario) {
            if out.purpose.is_none() || out.scenario.is_none() {
                self.warn(line, "purpose and scenario stand under one label; both were taken from it".to_owned());
            }
            out.purpose.get_or_insert_with(|| both.clone());
            out.scenario.get_or_insert(both);
        }
        self.rules(&mut out);
        self.names(&mut out);
        for field in
            self.entry.fields.iter().filter(|field| field.label == Label::Other && !is_nothing(&clean(&field.value)))
        {
            let number = clean(&field.value).chars().all(|c| c.is_ascii_digit());
            if !number {
                self.warn(
                    field.line,
                    format!("label {} has no place in an entry: {}", quote(&field.label_text), quote(&field.value)),
                );
            }
        }
        for (text, what, label) in
            [(&out.purpose, "purpose", Label::Purpose), (&out.scenario, "scenario", Label::Scenario)]
        {
            let found = text.as_deref().and_then(wording::open_ended);
            if let Some(words) = found {
                let line = self.line_of(label);
                self.warnings.line(line, format!("unbounded: the {what} is open-ended (“{words}”)"));
            }
        }
        self.missing(&out);
        out
    }

    fn line_of(&self, label: Label) -> usize {
        self.entry.fields.iter().find(|field| field.label == label).map_or(self.entry.line, |field| field.line)
    }

    /// All values under a label as one text, with the line of the first.
    fn joined(&mut self, label: Label) -> Option<(usize, String)> {
        let found: Vec<&RawField> = self.entry.fields.iter().filter(|field| field.label == label).collect();
        let mut texts: Vec<String> = Vec::new();
        for field in &found {
            let text = clean(&field.value.replace('\n', if label == Label::Data { "\n" } else { "; " }));
            if is_nothing(&text) {
                continue;
            }
            if !texts.contains(&text) {
                texts.push(bounded(text));
            }
        }
        let line = found.first()?.line;
        if found.len() > 1 && texts.len() > 1 {
            self.warn(
                found[1].line,
                format!("label {} stands twice in one entry; the values were joined", quote(&found[1].label_text)),
            );
        }
        (!texts.is_empty()).then(|| (line, texts.join("; ")))
    }

    fn plain(&mut self, label: Label) -> Option<String> {
        self.joined(label).map(|(_, text)| text)
    }

    fn sharing(&mut self, out: &mut ImportedEntry) {
        use share::Says;
        let mut values: Vec<(&RawField, String, Says)> = Vec::new();
        for field in
            self.entry.fields.iter().filter(|field| matches!(field.label, Label::Type | Label::Method | Label::Share))
        {
            let text = bounded(clean(&field.value.replace('\n', "; ")));
            if !is_nothing(&text) {
                values.push((field, text.clone(), share::says(&text)));
            }
        }
        type Slot = Option<(usize, String)>;
        let (mut kind, mut method): (Slot, Slot) = (None, None);
        let mut later = Vec::new();
        for (field, text, says) in values {
            match says {
                Says::Type
                    if kind.is_none() && !(field.label == Label::Method && self.has(Label::Type, Says::Type)) =>
                {
                    kind = Some((field.line, text))
                }
                Says::Method
                    if method.is_none() && !(field.label == Label::Type && self.has(Label::Method, Says::Method)) =>
                {
                    method = Some((field.line, text))
                }
                _ => later.push((field, text)),
            }
        }
        for (field, text) in later {
            let wants_type = field.label == Label::Type;
            let slot = if wants_type && kind.is_none() {
                &mut kind
            } else if !wants_type && method.is_none() {
                &mut method
            } else {
                self.warn(
                    field.line,
                    format!("label {} stands twice in one entry; not used: {}", quote(&field.label_text), quote(&text)),
                );
                continue;
            };
            *slot = Some((field.line, text));
        }
        if let Some((line, text)) = kind {
            let (found, name) = share::type_and_name(&text);
            if found.is_none() {
                self.warn(line, format!("the sharing type {} is not known", quote(&text)));
            }
            if share::components(&text) > 1 {
                self.warn(line, format!("the sharing type names more than one component: {}", quote(&text)));
            }
            (out.sharing_type, out.name, out.sharing_type_raw) = (found, name, Some(text));
        }
        out.method = method.map(|(_, text)| text);
    }

    fn has(&self, label: Label, says: share::Says) -> bool {
        self.entry.fields.iter().any(|field| field.label == label && share::says(&field.value) == says)
    }

    fn data(&mut self, out: &mut ImportedEntry) {
        let fields: Vec<&RawField> = self.entry.fields.iter().filter(|field| field.label == Label::Data).collect();
        let mut raws: Vec<String> = Vec::new();
        for field in &fields {
            let list = field.value.contains('\n');
            let bare = |line| super::text::marker(line).filter(|_| list).map_or(line, |(_, rest)| rest);
            let lines = field.value.split('\n').map(|line| bare(line.trim()));
            let value = bounded(lines.map(clean).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"));
            if is_nothing(&value) || raws.contains(&value) {
                continue;
            }
            // `[a, b]` as a whole.
            let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let listed = inner.filter(|inner| !inner.contains(['[', ']'])).unwrap_or(&value);
            let (found, open) = items::items(listed);
            if open {
                self.warn(field.line, "a bracket in the shared data is never closed".to_owned());
            }
            if let Some(words) = wording::open_ended(&value) {
                self.warn(field.line, format!("unbounded: the shared data are open-ended (“{words}”)"));
            }
            for item in found {
                self.item(item, field.line, out);
            }
            raws.push(value);
        }
        if raws.len() > 1 {
            self.warn(
                fields[1].line,
                format!("label {} stands twice in one entry; the values were joined", quote(&fields[1].label_text)),
            );
        }
        let raw = raws.join("\n");
        let lines: Vec<&str> =
            raw.split('\n').map(|line| line.trim().trim_end_matches([';', ',', '；', '，', '、'])).collect();
        let raw = if lines.len() > 1 { lines.join(", ").replace(":, ", ": ") } else { raw };
        out.shared_data_raw = (!raw.is_empty()).then_some(raw);
    }

    fn item(&mut self, item: DataItem, line: usize, out: &mut ImportedEntry) {
        if out.shared_data.len() >= MAX_ITEMS {
            self.warn(line, format!("item {} and what follows it are too many", quote(&item.item)));
        } else if !self.items.insert((item.item.to_lowercase(), item.detail.clone())) {
            self.warn(line, format!("item {} is listed twice", quote(&item.item)));
        } else {
            out.shared_data.push(item);
        }
    }

    fn rules(&mut self, out: &mut ImportedEntry) {
        let entry = self.entry;
        for label in [Label::Rules, Label::Site] {
            for field in entry.fields.iter().filter(|field| field.label == label) {
                let text = clean(&field.value);
                if is_nothing(&text) && links(&field.value).next().is_none() {
                    continue;
                }
                let Some((mut address, mut behind)) = address_in(&field.value) else {
                    if out.rules_url.is_none() {
                        self.warn(field.line, format!("the rules are named but not linked: {}", quote(&text)));
                    }
                    continue;
                };
                if let Some((known, rest)) = glued(self.addresses, &address) {
                    behind = format!("{rest} {behind}").trim().to_owned();
                    address = known;
                }
                if !behind.is_empty() {
                    self.warn(field.line, format!("text behind the link was not read: {}", quote(&behind)));
                }
                match &out.rules_url {
                    None => out.rules_url = Some(address),
                    Some(kept) if *kept != address => {
                        self.warn(field.line, format!("a second link was not used: {}", quote(&address)));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// `Name:` is the component's name, the company's, or the title, whichever is not said otherwise.
    fn names(&mut self, out: &mut ImportedEntry) {
        let Some((line, name)) = self.joined(Label::Name) else { return };
        let label = self.entry.fields.iter().find(|field| field.label == Label::Name);
        let bare = label.is_some_and(|field| {
            matches!(
                super::labels::normal(&field.label_text).as_str(),
                "name" | "名称" | "название" | "nombre" | "nom" | "имя" | "third party" | "product" | "产品名称"
            )
        });
        let company = looks_like_company(&name);
        if out.third_party.is_none() && bare && company {
            out.third_party = Some(name);
        } else if out.name.is_none() {
            out.name = Some(name);
        } else if out.name.as_deref().map(str::to_lowercase) != Some(name.to_lowercase()) {
            if out.title.is_none() && bare {
                out.title = Some(name);
            } else if bare {
                self.warn(
                    line,
                    format!(
                        "the name {} was not used; the sharing type names {}",
                        quote(&name),
                        quote(out.name.as_deref().unwrap_or_default())
                    ),
                );
            } else {
                let other = out.name.replace(name);
                self.warn(line, format!("the sharing type gives another name: {}", quote(&other.unwrap_or_default())));
            }
        }
    }

    fn missing(&mut self, out: &ImportedEntry) {
        let missing: Vec<&str> = [
            ("title", out.title.is_none()),
            ("third_party", out.third_party.is_none()),
            ("sharing_type", out.sharing_type_raw.is_none()),
            ("shared_data", out.shared_data.is_empty()),
            ("purpose", out.purpose.is_none()),
            ("scenario", out.scenario.is_none()),
            ("method", out.method.is_none()),
            ("rules_url", out.rules_url.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
        if !missing.is_empty() {
            self.warn(self.entry.line, format!("entry {} does not say: {}", name_of(out), missing.join(", ")));
        }
    }
}

fn looks_like_company(text: &str) -> bool {
    let lower = text.to_lowercase();
    let ends = [
        "inc",
        "ltd",
        "llc",
        "gmbh",
        "corp",
        "co",
        "ag",
        "s.a",
        "sa",
        "bv",
        "b.v",
        "limited",
        "corporation",
        "company",
        "oy",
        "ab",
    ];
    let last = lower.trim_end_matches('.').rsplit([' ', ',']).next().unwrap_or_default().to_owned();
    ends.contains(&last.as_str()) || ["公司", "有限", "集团", "ооо", "株式会社"].iter().any(|word| lower.contains(word))
}

/// `-`, `/`, `N/A`, `none`, `无`: the page says that it says nothing.
fn is_nothing(text: &str) -> bool {
    let text = text.trim();
    matches!(
        text.to_lowercase().as_str(),
        "" | "-"
            | "--"
            | "---"
            | "–"
            | "—"
            | "/"
            | "\\"
            | "n/a"
            | "na"
            | "null"
            | "无"
            | "暂无"
            | "不涉及"
            | "none"
            | "none."
            | "nothing"
            | "not applicable"
            | "keine"
            | "entfällt"
            | "aucun"
            | "aucune"
            | "ninguno"
            | "ninguna"
            | "not stated"
            | "n.a."
            | "tbd"
            | "?"
    )
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_VALUE {
        let mut end = MAX_VALUE;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
