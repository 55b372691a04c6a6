//! Which part of a file is wanted (RFC 9110, section 14).

/// What a `Range` line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// All of it: there is no such line, or one that is not understood, or it asks for several parts.
    All,
    /// From the one byte to the other, both included.
    Part {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// What is not there: answer 416.
    Beyond,
}

/// How a request for a content of known length is answered: which status, which bytes, and the lines that go with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// 200, 206 or 416.
    pub status: u16,
    /// The first byte.
    pub from: u64,
    /// How many.
    pub length: u64,
    /// Header lines, each with its end.
    pub lines: String,
}

/// The answer to a request with this `Range` line for a content of `size` bytes.
pub fn portion(line: Option<&str>, size: u64) -> Portion {
    match asked(line, size) {
        Asked::All => Portion { status: 200, from: 0, length: size, lines: String::new() },
        Asked::Part { from, to } => {
            let lines = format!("Content-Range: bytes {from}-{to}/{size}\r\n");
            Portion { status: 206, from, length: to - from + 1, lines }
        }
        Asked::Beyond => {
            Portion { status: 416, from: 0, length: 0, lines: format!("Content-Range: bytes */{size}\r\n") }
        }
    }
}

/// What the line asks for of a file of `size` bytes. A line that makes no sense is passed over, as the RFC wants.
pub fn asked(line: Option<&str>, size: u64) -> Asked {
    let part = line.and_then(|line| line.trim().strip_prefix("bytes="));
    let Some((from, to)) = part.and_then(|part| part.trim().split_once('-')) else { return Asked::All };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large means the end.
        true if !text.is_empty() => Some(text.parse().unwrap_or(u64::MAX)),
        _ => None,
    };
    let last = size.checked_sub(1);
    match (number(from), number(to), from.is_empty(), to.is_empty()) {
        (Some(from), Some(to), ..) if from > to => Asked::All,
        (Some(from), to, _, rest) if to.is_some() || rest => match last {
            Some(last) if from <= last => Asked::Part { from, to: to.unwrap_or(last).min(last) },
            _ => Asked::Beyond,
        },
        // The last so many bytes.
        (None, Some(count), true, _) => match last {
            Some(last) if count > 0 => Asked::Part { from: size.saturating_sub(count), to: last },
            _ => Asked::Beyond,
        },
        _ => Asked::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_what_makes_no_sense_is_passed_over() {
        let part = |from, to| Asked::Part { from, to };
        for (line, wanted) in [
            ("bytes=0-", part(0, 99)),
            ("bytes=10-19", part(10, 19)),
            (" bytes=10-1000 ", part(10, 99)),
            ("bytes=-30", part(70, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=99-99999999999999999999999", part(99, 99)),
            ("bytes=100-", Asked::Beyond),
            ("bytes=99999999999999999999999-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=5-2", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=a-b", Asked::All),
            ("lines=1-2", Asked::All),
            ("bytes", Asked::All),
        ] {
            assert_eq!(asked(Some(line), 100), wanted, "{line}");
        }
        assert_eq!(asked(None, 100), Asked::All);
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Beyond);
        assert_eq!(asked(Some("bytes=-5"), 0), Asked::Beyond);
        let lines = |line| portion(Some(line), 100).lines;
        assert_eq!(lines("bytes=10-"), "Content-Range: bytes 10-99/100\r\n");
        assert_eq!(lines("bytes=100-"), "Content-Range: bytes */100\r\n");
        let part = portion(Some("bytes=10-"), 100);
        assert_eq!((part.status, part.from, part.length), (206, 10, 90));
        let all = portion(None, 100);
        assert_eq!((all.status, all.from, all.length, &*all.lines), (200, 0, 100, ""));
    }
}
