//! Personal values: sealed where they are read, opened only by what leaves under a permit.

use accord_model::{FieldCode, FieldSet};

/// A value that says something of a person, with the kinds of data it holds.
///
/// It has no `Debug`, `Display`, `Serialize`, `Deref` or `Clone`, and nothing outside this crate can
/// look inside. What is made from it keeps its label; what is made from two keeps both.
///
/// ```
/// use accord_consent::Personal;
/// use accord_model::FieldCode;
/// let name = Personal::new(FieldCode::DeviceName, "Kitchen".to_owned());
/// let kind = Personal::new(FieldCode::DeviceType, "tablet".to_owned());
/// let line = name.join(kind).map(|(name, kind)| format!("{name} ({kind})"));
/// assert!(line.fields().contains(FieldCode::DeviceName) && line.fields().contains(FieldCode::DeviceType));
/// ```
#[must_use]
pub struct Personal<T> {
    fields: FieldSet,
    value: T,
}

impl<T> Personal<T> {
    /// Seals a value at the place where it is read.
    pub const fn new(field: FieldCode, value: T) -> Self {
        Self { fields: FieldSet::one(field), value }
    }
    /// Seals a value that holds several kinds of data.
    pub const fn of(fields: FieldSet, value: T) -> Self {
        Self { fields, value }
    }
    /// A value that says nothing of anyone, to be joined with others.
    pub const fn plain(value: T) -> Self {
        Self { fields: FieldSet::EMPTY, value }
    }
    /// Which kinds of data it holds.
    pub const fn fields(&self) -> FieldSet {
        self.fields
    }
    /// Makes another sealed value from it. A function pointer, because a closure could carry the
    /// value out; give further inputs with [`Personal::map_with`] or [`Personal::join`]. What no type can
    /// rule out is a function that puts the value into a `static`.
    pub fn map<U>(self, make: fn(T) -> U) -> Personal<U> {
        Personal { fields: self.fields, value: make(self.value) }
    }
    /// [`Personal::map`] with one further plain input, such as a number: nothing that the value could be hidden in.
    pub fn map_with<C: Plain, U>(self, with: C, make: fn(T, C) -> U) -> Personal<U> {
        Personal { fields: self.fields, value: make(self.value, with) }
    }
    /// Both together, under both labels.
    pub fn join<U>(self, other: Personal<U>) -> Personal<(T, U)> {
        Personal { fields: self.fields.union(other.fields), value: (self.value, other.value) }
    }
    /// With one more kind of data on its label. Labels are never taken off.
    pub const fn also(mut self, field: FieldCode) -> Self {
        self.fields = self.fields.union(FieldSet::one(field));
        self
    }
    /// A sealed view.
    pub const fn as_ref(&self) -> Personal<&T> {
        Personal { fields: self.fields, value: &self.value }
    }
    /// A second sealed value with the same label, for where the same is sent to several recipients.
    pub fn duplicate(&self) -> Self
    where
        T: Clone,
    {
        Self { fields: self.fields, value: self.value.clone() }
    }

    pub(crate) const fn open(&self) -> &T {
        &self.value
    }
}

impl<T: AsRef<[u8]>> Personal<T> {
    /// Length in bytes, which every packet on the wire shows anyway. Protocol framing needs it.
    pub fn len(&self) -> usize {
        self.value.as_ref().len()
    }
    /// True when there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Personal<Vec<T>> {
    /// Each item, sealed by itself.
    pub fn each(self) -> impl Iterator<Item = Personal<T>> {
        let fields = self.fields;
        self.value.into_iter().map(move |value| Personal { fields, value })
    }
}

impl<T> FromIterator<Personal<T>> for Personal<Vec<T>> {
    fn from_iter<I: IntoIterator<Item = Personal<T>>>(items: I) -> Self {
        let mut all = Self::plain(Vec::new());
        for item in items {
            all.fields = all.fields.union(item.fields);
            all.value.push(item.value);
        }
        all
    }
}

/// Values that carry nothing out, whatever is done with them: numbers, truths, characters, texts of the program.
pub trait Plain: Copy + private::Sealed {}

mod private {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($kind:ty)*) => { $(impl private::Sealed for $kind {} impl Plain for $kind {})* };
}
plain!(bool char u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 &'static str accord_model::FieldCode accord_model::Timestamp std::time::Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_from_several_values_carries_every_label() {
        let names = ["a", "b"].map(|name| Personal::new(FieldCode::FileName, name.to_owned()));
        let all: Personal<Vec<String>> = names.into_iter().collect();
        let with_id = all.join(Personal::new(FieldCode::DeviceId, 7)).map(|(names, id)| names.len() + id);
        assert_eq!(with_id.fields(), FieldSet::from_iter([FieldCode::FileName, FieldCode::DeviceId]));
        assert_eq!(*with_id.open(), 9);
    }

    #[test]
    fn hashing_and_viewing_take_no_label_off() {
        let content = Personal::new(FieldCode::FileContent, b"x".to_vec()).also(FieldCode::FileMeta);
        let digest = content.as_ref().map(|bytes| blake3::hash(bytes).to_hex().to_string());
        assert_eq!(digest.fields(), content.fields());
        assert_eq!(content.as_ref().map_with(3, |bytes, n| bytes.len() + n).fields(), content.fields());
    }
}
