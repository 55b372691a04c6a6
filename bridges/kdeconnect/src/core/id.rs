//! The id a device has in this protocol: in its packets and as the common name of its certificate.

use std::fmt;

/// A device id: 32 to 38 characters of `a-z A-Z 0-9 _ -`. Safe as a file name and on a screen.
///
/// ```
/// use accord_kdeconnect::core::KdeId;
/// assert!(KdeId::new("0123456789abcdef0123456789abcdef").is_some());
/// assert!(KdeId::new("../../../../../../etc/passwd-and-more").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KdeId(String);

impl KdeId {
    /// Checks the text; `None` when it is no id.
    pub fn new(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        ((32..=38).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.to_owned()))
    }
    /// An id of our own: 32 lower-case hex digits, which every release accepts.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        use fmt::Write;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Peers name us in SNI, where a name of digits alone counts as a malformed address.
            text.replace_range(..1, "a");
        }
        Self(text)
    }
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KdeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for KdeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KdeId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_real_peers_are_taken_and_others_refused() {
        let underscored = "_5d2f1c0e_8a34_4c7b_9e11_0f2a3b4c5d6e_";
        for good in [underscored, "5d2f1c0e-8a34-4c7b-9e11-0f2a3b4c5d6e", &"A".repeat(32)] {
            assert!(KdeId::new(good).is_some(), "{good}");
        }
        let newline = format!("{}\n", "a".repeat(32));
        for bad in ["", &"a".repeat(31), &"a".repeat(39), &"ä".repeat(16), newline.as_str(), &"a/".repeat(16)] {
            assert!(KdeId::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_id_of_our_own_is_never_all_digits() {
        assert_eq!(KdeId::from_bytes([0x11; 16]).as_str(), "a1111111111111111111111111111111");
        assert_eq!(KdeId::from_bytes([0x1f; 16]).as_str(), "1f".repeat(16));
    }
}
