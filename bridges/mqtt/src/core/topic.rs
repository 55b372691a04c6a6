//! Names of topics and filters for them (MQTT 3.1.1, section 4.7).

/// Longest topic that is spoken of here, in bytes.
pub const MAX_TOPIC: usize = 512;

/// Whether a message may have it: not empty, no wildcards, no character that the standard forbids.
pub fn is_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['#', '+', '\0'])
}

/// Whether it is one that this machine subscribes to or publishes to: somebody else named it. A topic of the broker itself
/// (`$SYS`) is none.
pub fn is_sound(topic: &str) -> bool {
    is_name(topic) && topic.len() <= MAX_TOPIC && !topic.starts_with('$') && !topic.chars().any(char::is_control)
}

/// Whether it may be the beginning of topics, as the owner typed it.
pub fn is_base(topic: &str) -> bool {
    is_sound(topic) && topic.len() <= 128 && !topic.starts_with('/') && !topic.ends_with('/')
}

/// What follows `base` and a slash.
pub fn below<'a>(topic: &'a str, base: &str) -> Option<&'a str> {
    topic.strip_prefix(base)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_are_looked_at() {
        assert!(is_sound("zigbee2mqtt/living room/lamp") && is_base("zigbee2mqtt") && is_base("a/b"));
        for bad in ["", "a/#", "+/a", "a\0b", "$SYS/broker", "a\nb", &"x".repeat(513)] {
            assert!(!is_sound(bad), "{bad:?}");
        }
        assert!(!is_base("/a") && !is_base("a/") && !is_base("#"));
        assert_eq!(below("a/b/c", "a/b"), Some("c"));
        assert_eq!((below("a/bc", "a/b"), below("a/b", "a/b")), (None, None));
    }
}
