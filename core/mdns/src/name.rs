//! Domain names: labels in wire form, compared without regard to the case of ASCII letters.

use std::fmt;

/// Longest name in wire form without the root label.
const MAX_NAME: usize = 254;

/// A domain name without its root label: each label with its length before it.
#[derive(Clone, Default)]
pub(crate) struct Name(Vec<u8>);

impl Name {
    /// `_accord._udp` and `local`, for example. `None` when a label or the whole does not fit.
    pub(crate) fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut name = Self::default();
        labels.into_iter().try_for_each(|label| name.push(label))?;
        Some(name)
    }
    /// Labels separated by dots, below `.local`.
    pub(crate) fn local(dotted: &str) -> Option<Self> {
        Self::from_labels(dotted.split('.').chain(["local"]).map(str::as_bytes))
    }
    /// `label` in front of this name.
    pub(crate) fn child(&self, label: &[u8]) -> Option<Self> {
        Self::from_labels(std::iter::once(label).chain(self.labels()))
    }
    pub(crate) fn push(&mut self, label: &[u8]) -> Option<()> {
        let fits = (1..=63).contains(&label.len()) && self.0.len() + label.len() < MAX_NAME;
        fits.then(|| {
            self.0.push(label.len() as u8);
            self.0.extend_from_slice(label);
        })
    }
    pub(crate) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        Suffixes(&self.0).map(|suffix| &suffix[1..=usize::from(suffix[0])])
    }
    /// This name, then this name without its first label, and so on; in wire form.
    pub(crate) fn suffixes(&self) -> impl Iterator<Item = &[u8]> {
        Suffixes(&self.0)
    }
    /// The first label, when the rest is `parent`.
    pub(crate) fn label_under(&self, parent: &Self) -> Option<&[u8]> {
        let first = self.labels().next()?;
        self.0[first.len() + 1..].eq_ignore_ascii_case(&parent.0).then_some(first)
    }
    /// What is left of a name below `.local` without that, with dots. `None` when it is not text or not there.
    pub(crate) fn host(&self) -> Option<String> {
        let labels: Option<Vec<&str>> = self.labels().map(|label| std::str::from_utf8(label).ok()).collect();
        let mut labels = labels?;
        let last = labels.pop()?;
        (last.eq_ignore_ascii_case("local") && !labels.is_empty()).then(|| labels.join("."))
    }
    /// Wire form with the root label.
    pub(crate) fn wire(&self) -> Vec<u8> {
        [self.0.as_slice(), &[0]].concat()
    }
    /// Equal for names that are equal. Lengths are below 64 and so no letters.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.0.to_ascii_lowercase()
    }
}

struct Suffixes<'a>(&'a [u8]);

impl<'a> Iterator for Suffixes<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let suffix = self.0;
        let len = usize::from(*suffix.first()?);
        self.0 = &suffix[len + 1..];
        Some(suffix)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Name {}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in self.labels() {
            write!(f, "{}.", label.escape_ascii())?;
        }
        Ok(())
    }
}
