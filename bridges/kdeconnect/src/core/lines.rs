//! A byte stream cut into lines of bounded length.

/// Longest packet line in bytes, without the newline.
pub const MAX_LINE: usize = 1 << 20;
/// Longest line of a reply to a request for messages or contacts.
pub const MAX_LONG_LINE: usize = 32 << 20;

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line, trimmed, not empty.
    Whole(&'a [u8]),
    /// Longer than allowed. What is left of it is skipped too.
    TooLong,
}

/// Cuts lines; keeps at most one unfinished line in memory.
pub struct Lines {
    buffer: Vec<u8>,
    limit: usize,
    skipping: bool,
    given: bool,
}

impl Lines {
    /// With lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit, skipping: false, given: false }
    }
    /// Changes the limit, also for the line that is under way.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }
    /// Takes from `bytes` up to the end of the next line and gives that line; `None` when all is taken and
    /// the line is not complete.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Line<'_>> {
        loop {
            self.forget_given();
            if bytes.is_empty() {
                return None;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            let fits = self.buffer.len() + part.len() <= self.limit;
            *bytes = &rest[usize::from(end.is_some())..];
            if self.skipping || !fits {
                let first = !self.skipping;
                self.skipping = end.is_none();
                self.buffer = Vec::new();
                if first {
                    return Some(Line::TooLong);
                }
                continue;
            }
            self.buffer.extend_from_slice(part);
            if end.is_some() {
                self.given = true;
                if !self.buffer.trim_ascii().is_empty() {
                    return Some(Line::Whole(self.buffer.trim_ascii()));
                }
            }
        }
    }

    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.buffer.clear();
            self.buffer.shrink_to(MAX_LINE);
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lines({} of {} bytes)", self.buffer.len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(limit: usize, portions: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let (mut lines, mut got) = (Lines::new(limit), Vec::new());
        for portion in portions {
            let mut portion = *portion;
            while let Some(line) = lines.next(&mut portion) {
                got.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
            }
        }
        got
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_the_next_one_counts() {
        let long = [b'x'; 9];
        let got = cut(8, &[&long, &long, b"\nnext\r\n\n", b"12345678\n"]);
        assert_eq!(got, [None, Some(b"next".to_vec()), Some(b"12345678".to_vec())]);
    }

    proptest! {
        #[test]
        fn portions_change_nothing(bytes: Vec<u8>, cuts in prop::collection::vec(0usize..64, 0..20)) {
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| if byte % 7 == 0 { b'\n' } else { byte }).collect();
            let mut portions = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                portions.push(head);
                rest = tail;
            }
            portions.push(rest);
            prop_assert_eq!(cut(16, &portions), cut(16, &[&bytes]));
        }
    }
}
