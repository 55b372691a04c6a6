//! One endpoint as the mapping sees it. What is looked at is noted: of that the mapping is made, and it need not be shown again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::node::{Attributes, Key};
use super::value::Value;

// Global attributes of every cluster (Core specification, 7.13).
pub(crate) const FEATURES: u32 = 0xFFFC;
pub(crate) const ATTRIBUTES: u32 = 0xFFFB;
pub(crate) const COMMANDS: u32 = 0xFFF9;

/// See the [module](self).
pub(crate) struct Look<'a> {
    pub endpoint: u16,
    /// Its device types.
    pub types: Vec<u32>,
    attributes: &'a Attributes,
    seen: RefCell<BTreeSet<Key>>,
    /// What was looked at since the last property was made.
    lately: RefCell<BTreeSet<Key>>,
}

impl<'a> Look<'a> {
    pub fn new(endpoint: u16, attributes: &'a Attributes) -> Self {
        let types = attributes.get(&(0x1D, 0)).map(Value::items).unwrap_or_default();
        let types = types.iter().filter_map(|one| u32::try_from(one.field(0)?.uint()?).ok()).collect();
        Self { endpoint, types, attributes, seen: RefCell::default(), lately: RefCell::default() }
    }

    /// An attribute; none when it is null.
    pub fn get(&self, cluster: u32, attribute: u32) -> Option<&'a Value> {
        let (key, value) = self.attributes.get_key_value(&(cluster, attribute))?;
        self.seen.borrow_mut().insert(*key);
        self.lately.borrow_mut().insert(*key);
        Some(value).filter(|value| **value != Value::Null)
    }

    pub fn bool(&self, cluster: u32, attribute: u32) -> Option<bool> {
        self.get(cluster, attribute)?.bool()
    }

    pub fn uint(&self, cluster: u32, attribute: u32) -> Option<u64> {
        self.get(cluster, attribute)?.uint()
    }

    pub fn number(&self, cluster: u32, attribute: u32) -> Option<f64> {
        self.get(cluster, attribute)?.number()
    }

    pub fn items(&self, cluster: u32, attribute: u32) -> &'a [Value] {
        self.get(cluster, attribute).map(Value::items).unwrap_or_default()
    }

    /// It has the cluster.
    pub fn has(&self, cluster: u32) -> bool {
        self.attributes.range((cluster, 0)..=(cluster, u32::MAX)).next().is_some()
    }

    /// One of its device types.
    pub fn is(&self, types: &[u32]) -> bool {
        self.types.iter().any(|one| types.contains(one))
    }

    /// A bit of the cluster's FeatureMap.
    pub fn can(&self, cluster: u32, bit: u32) -> bool {
        self.get(cluster, FEATURES).and_then(Value::uint).is_some_and(|features| features >> bit & 1 == 1)
    }

    /// The cluster has the attribute: it says so, or told it.
    pub fn offers(&self, cluster: u32, attribute: u32) -> bool {
        self.attributes.contains_key(&(cluster, attribute)) || self.lists(cluster, ATTRIBUTES, attribute) == Some(true)
    }

    /// The cluster takes the command; without a list, whatever is asked for.
    pub fn takes(&self, cluster: u32, command: u32) -> bool {
        self.lists(cluster, COMMANDS, command).unwrap_or_else(|| self.has(cluster))
    }

    fn lists(&self, cluster: u32, list: u32, one: u32) -> Option<bool> {
        let Value::List(known) = self.get(cluster, list)? else { return None };
        Some(known.iter().any(|known| known.uint() == Some(u64::from(one))))
    }

    /// All that it told, by cluster and attribute.
    pub fn all(&self) -> &'a BTreeMap<Key, Value> {
        self.attributes
    }

    /// What was looked at since this was asked last.
    pub fn lately(&self) -> BTreeSet<Key> {
        std::mem::take(&mut *self.lately.borrow_mut())
    }

    /// All that was looked at.
    pub fn seen(&self) -> BTreeSet<Key> {
        self.seen.borrow().clone()
    }
}
