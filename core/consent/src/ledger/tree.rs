//! The Merkle tree of RFC 6962 section 2.1: leaf `H(0x00 || data)`, node `H(0x01 || left || right)`,
//! SHA-256. No I/O: nodes are looked up by whoever keeps them.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 hash; hex as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Of an empty tree.
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }
    /// Reads 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}
impl TryFrom<String> for Hash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|error| format!("not a hash: {error}"))?;
        Self::from_slice(&bytes).ok_or_else(|| format!("a hash has 32 bytes, not {}", bytes.len()))
    }
}

/// The hash of a leaf.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

/// The hash of a node over its two children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The right edge of a tree: the complete subtrees whose sizes are the bits of its size. Enough to
/// append and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first.
    edge: Vec<Hash>,
}

impl Frontier {
    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev();
        let Some(smallest) = subtrees.next() else { return Hash::empty() };
        subtrees.fold(*smallest, |right, left| node_hash(left, &right))
    }
    /// Appends a leaf; `made(level, index, hash)` is told of each inner node this completes.
    pub fn push(&mut self, leaf: Hash, mut made: impl FnMut(u32, u64, Hash)) {
        let mut hash = leaf;
        for level in 0..self.size.trailing_ones() {
            let left = self.edge.pop().unwrap_or(hash);
            hash = node_hash(&left, &hash);
            made(level + 1, self.size >> (level + 1), hash);
        }
        self.edge.push(hash);
        self.size += 1;
    }
    /// The frontier of the tree of `size` leaves, from kept nodes: `node(level, index)`.
    ///
    /// # Errors
    /// Whatever `node` fails with.
    pub fn load<E>(size: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Self, E> {
        let mut edge = Vec::new();
        let mut start = 0;
        for level in (0..u64::BITS).rev().filter(|level| size & (1 << level) != 0) {
            edge.push(node(level, start >> level)?);
            start += 1 << level;
        }
        Ok(Self { size, edge })
    }
}

/// The hash over leaves `start .. start + len` of a tree whose complete nodes `node(level, index)` knows.
fn range<E>(start: u64, len: u64, node: &mut impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    if len.is_power_of_two() {
        return node(len.trailing_zeros(), start >> len.trailing_zeros());
    }
    let left = split(len);
    Ok(node_hash(&range(start, left, node)?, &range(start + left, len - left, node)?))
}

/// The largest power of two smaller than `len` (which is at least 2).
fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

/// The root of the first `size` leaves.
///
/// # Errors
/// Whatever `node` fails with.
pub fn root<E>(size: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    if size == 0 { Ok(Hash::empty()) } else { range(0, size, &mut node) }
}

/// Audit path for leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1). Empty when out of range.
///
/// # Errors
/// Whatever `node` fails with.
pub fn inclusion<E>(index: u64, size: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    let (mut start, mut len) = (0, size);
    while index < size && len > 1 {
        let left = split(len);
        if index < start + left {
            path.push(range(start + left, len - left, &mut node)?);
            len = left;
        } else {
            path.push(range(start, left, &mut node)?);
            start += left;
            len -= left;
        }
    }
    path.reverse();
    Ok(path)
}

/// Proof that the tree of `old` leaves is a prefix of that of `new` (RFC 6962, 2.1.2).
///
/// # Errors
/// Whatever `node` fails with.
pub fn consistency<E>(old: u64, new: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut start, mut len) = (0, new);
    let mut whole = true;
    // Descends to the subtree that ends at `old`, keeping the sibling of each step.
    loop {
        let want = old - start;
        if want == len {
            if !whole {
                proof.push(range(start, len, &mut node)?);
            }
            break;
        }
        let left = split(len);
        if want <= left {
            proof.push(range(start + left, len - left, &mut node)?);
            len = left;
        } else {
            proof.push(range(start, left, &mut node)?);
            start += left;
            len -= left;
            whole = false;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// True when `path` proves that `leaf` is at `index` under `root` (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// True when `proof` proves that the tree `old_root` of `old` leaves is a prefix of `new_root` of `new`
/// leaves (RFC 9162, 2.1.4.2).
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == Hash::empty();
    }
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node_hash(hash, &of_old);
            of_new = node_hash(hash, &of_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}
