//! Whether the page ends before its last entry does: what the others have is missing, or a value stops short.

use std::collections::{BTreeSet, HashMap};

use super::{
    address::address_in,
    assemble::{RawEntry, RawField},
    block::clean,
    labels::Label,
    share,
};

/// True when the last entry lacks what the others have behind its last label, or its last value is cut.
pub(crate) fn ends_early(raw: &[RawEntry], last: &RawEntry, source: &str, addresses: &HashMap<String, usize>) -> bool {
    let present = |entry: &RawEntry| -> BTreeSet<Label> {
        entry.fields.iter().filter(|field| !clean(&field.value).is_empty()).map(kind).collect()
    };
    let own = present(last);
    let Some(field) = last.fields.last() else { return true };
    if clean(&field.value).is_empty()
        && field.line > 0
        && raw.iter().rev().skip(1).any(|entry| present(entry).contains(&kind(field)))
    {
        return true;
    }
    let others = &raw[..raw.len() - 1];
    if others.is_empty() {
        return clean(&field.value).is_empty()
            || !(own.contains(&Label::Data) || own.contains(&Label::Purpose))
            || value_is_cut(field, source, addresses);
    }
    let mut order: HashMap<Label, (usize, usize)> = HashMap::new();
    for entry in others {
        let mut met = BTreeSet::new();
        for (at, field) in entry.fields.iter().enumerate().filter(|(_, field)| !clean(&field.value).is_empty()) {
            if met.insert(kind(field)) {
                let slot = order.entry(kind(field)).or_default();
                *slot = (slot.0 + 1, slot.1 + at);
            }
        }
    }
    let place = |label: Label| order.get(&label).map(|(count, sum)| sum * 100 / count);
    let here = own.iter().filter_map(|label| place(*label)).max().unwrap_or(0);

    let lacking = order.iter().any(|(label, (count, _))| {
        *label != Label::Other
            && count * 2 >= others.len()
            && !own.contains(label)
            && place(*label).is_some_and(|place| place > here)
    });
    (lacking && !last.tabular) || value_is_cut(field, source, addresses)
}

fn kind(field: &RawField) -> Label {
    match field.label {
        Label::Type | Label::Method | Label::Share => match share::says(&field.value) {
            share::Says::Method => Label::Method,
            share::Says::Type => Label::Type,
            share::Says::Unclear => field.label,
        },
        Label::Site => Label::Rules,
        Label::PurposeScenario => Label::Purpose,
        label => label,
    }
}

fn value_is_cut(field: &RawField, source: &str, addresses: &HashMap<String, usize>) -> bool {
    let text = clean(&field.value);
    let end = source.trim_end();
    let tail: String = text.chars().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect();
    if !end.ends_with(tail.as_str()) {
        return false;
    }
    if matches!(field.label, Label::Rules | Label::Site) {
        let Some((address, _)) = address_in(&field.value) else {
            return "https://".starts_with(text.as_str()) && !text.is_empty();
        };
        let host = address.split("://").nth(1).unwrap_or(&address).split('/').next().unwrap_or_default();
        let top = host.rsplit('.').next().unwrap_or_default();
        let whole = host.contains('.') && top.len() >= 2;
        let longer = addresses.keys().any(|other| {
            other.len() > address.len()
                && other.starts_with(&address)
                && !address.ends_with('/')
                && other[address.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        });
        let host_cut = addresses.keys().any(|other| {
            let other = other.split("://").nth(1).unwrap_or(other).split('/').next().unwrap_or_default();
            other.len() > host.len() && other.starts_with(host)
        }) && !address.trim_end_matches('/').contains(&format!("{host}/"));
        let segment =
            |address: &str| address.trim_end_matches('/').rsplit(['/', '=']).next().unwrap_or_default().to_owned();
        let own = segment(&address);
        let mut common: HashMap<String, usize> = HashMap::new();
        for (other, count) in addresses {
            *common.entry(segment(other)).or_default() += count;
        }
        let segment_cut = common
            .iter()
            .any(|(other, count)| *count >= 3 && other.len() > own.len() && !own.is_empty() && other.starts_with(&own));
        let open = address.ends_with(['=', '&', '?', '-', '%']);
        return open || !whole || longer || host_cut || segment_cut;
    }
    let open = text.matches(['(', '（', '[', '【']).count() > text.matches([')', '）', ']', '】']).count();
    let lower = text.to_lowercase();
    open || text.ends_with([',', '，', '、', '(', '（', '…', '-'])
        || text.ends_with("...")
        || [" and", " or", " of", " the", " to", " with", " in", " for"].iter().any(|word| lower.ends_with(word))
}
