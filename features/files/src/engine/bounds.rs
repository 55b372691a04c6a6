//! What an owner's yes covers: the offer as it was shown, with some slack for what grows while it is sent.

use std::collections::HashMap;

use accord_model::text::for_screen;

use crate::wire::{Kind, MAX_PREVIEW, Offer};

/// Most items in a transfer.
const MAX_ITEMS: u64 = 2_000_000;

/// Up to where a transfer is what its receiver agreed to.
#[derive(Debug)]
pub struct Bounds {
    kind: Kind,
    /// Bytes.
    pub bytes: u64,
    /// Items of every kind.
    pub items: u64,
    roots: Roots,
    /// Not everything had been counted: who goes beyond asks again.
    pub asks_again: bool,
}

#[derive(Debug)]
enum Roots {
    /// By the name that was shown; true for folders.
    Shown(HashMap<String, bool>),
    /// A text or link is one file, whatever its name.
    One(Option<String>),
    /// Only some were named.
    Any,
}

impl Bounds {
    /// Of an offer that an owner says yes to. Without a count it has no limit but the disk.
    pub fn of(offer: &Offer) -> Self {
        let slack = |offered: u64, least: u64| offered.saturating_add((offered / 10).max(least));
        let counted = offer.exact || offer.bytes > 0;
        let roots = match (offer.kind, offer.preview.len()) {
            (Kind::Text | Kind::Url, _) => Roots::One(None),
            (Kind::Files, 0 | MAX_PREVIEW..) => Roots::Any,
            (Kind::Files, _) => {
                Roots::Shown(offer.preview.iter().map(|item| (shown(&item.name), item.folder)).collect())
            }
        };
        Self {
            kind: offer.kind,
            bytes: if counted { slack(offer.bytes, 64 << 20) } else { u64::MAX },
            items: if counted { slack(offer.files, 1000).saturating_mul(2).min(MAX_ITEMS) } else { MAX_ITEMS },
            roots,
            asks_again: counted && !offer.exact,
        }
    }

    /// Of an offer by a device from which everything is taken.
    pub fn unasked(offer: &Offer) -> Self {
        let bounds = Self::of(offer);
        match offer.exact {
            true => bounds,
            false => Self { bytes: u64::MAX, items: MAX_ITEMS, asks_again: false, ..bounds },
        }
    }

    /// Whether a later offer of the same transfer is still what was agreed to.
    pub fn cover(&self, later: &Offer) -> bool {
        let named = |roots: &HashMap<_, _>| {
            !later.preview.is_empty()
                && later.preview.iter().all(|item| roots.get(&shown(&item.name)) == Some(&item.folder))
        };
        self.kind == later.kind
            && later.bytes <= self.bytes
            && later.files <= self.items
            && match &self.roots {
                Roots::Shown(roots) => named(roots),
                Roots::One(_) | Roots::Any => true,
            }
    }

    /// Whether an item's first name is one that was shown.
    pub fn allow(&mut self, path: &str, folder: bool) -> bool {
        let (root, inside) = path.split_once('/').map_or((path, false), |(root, _)| (root, true));
        match &mut self.roots {
            Roots::Shown(roots) => roots.get(&shown(root)) == Some(&(folder || inside)),
            Roots::One(only) => !folder && !inside && only.get_or_insert_with(|| root.to_owned()) == root,
            Roots::Any => true,
        }
    }
}

fn shown(name: &str) -> String {
    for_screen(name, 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Preview, VERSION};

    fn offer(bytes: u64, exact: bool, names: &[&str]) -> Offer {
        let preview = |name: &&str| Preview { name: (*name).to_owned(), size: None, folder: false };
        let preview = names.iter().map(preview).collect();
        Offer { version: VERSION, transfer: [1; 16], kind: Kind::Files, files: 1, bytes, exact, preview }
    }

    #[test]
    fn a_later_offer_is_covered_when_it_is_the_same_within_slack() {
        let agreed = Bounds::of(&offer(10_000, true, &["cat.jpg"]));
        assert!(agreed.cover(&offer(11_000, true, &["cat.jpg"])));
        assert!(!agreed.cover(&offer(1 << 30, true, &["cat.jpg"])), "more");
        assert!(!agreed.cover(&offer(10_000, true, &["virus.exe"])), "another name");
        assert!(!agreed.cover(&offer(10_000, true, &[])), "no name");
        assert!(!agreed.cover(&Offer { kind: Kind::Url, ..offer(10, true, &["cat.jpg"]) }), "another kind");
    }

    #[test]
    fn only_what_was_shown_is_allowed() {
        let mut agreed = Bounds::of(&offer(10, true, &["a\u{202e}b"]));
        assert!(agreed.allow("a\u{202e}b", false), "as it was shown");
        assert!(!agreed.allow("a\u{202e}b", true) && !agreed.allow("a\u{202e}b/c", false), "shown as a file");
        assert!(!agreed.allow("other", false));
        let mut text = Bounds::of(&Offer { kind: Kind::Text, ..offer(10, true, &[]) });
        assert!(text.allow("text.txt", false) && text.allow("text.txt", false));
        assert!(!text.allow("second.txt", false) && !text.allow("folder", true));
    }

    #[test]
    fn a_count_that_is_not_final_binds_and_a_stream_has_none() {
        let counting = Bounds::of(&offer(10_000, false, &["a"]));
        assert!(counting.asks_again && counting.bytes < 1 << 30);
        let stream = Bounds::of(&offer(0, false, &["a"]));
        assert!(!stream.asks_again && stream.bytes == u64::MAX);
        assert_eq!(Bounds::unasked(&offer(10_000, false, &["a"])).bytes, u64::MAX);
    }
}
