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
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    limit: usize,
    skipping: bool,
}

impl Lines {
    /// With lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit, skipping: false }
    }
    /// Changes the limit, also for the line that is under way.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }
    /// Takes bytes in any portions and gives each line that is complete now.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.take(&bytes[..end], &mut each);
            bytes = &bytes[end + 1..];
            let line = self.buffer.trim_ascii();
            if !line.is_empty() {
                each(Line::Whole(line));
            }
            self.buffer.clear();
            self.skipping = false;
            if self.buffer.capacity() > MAX_LINE {
                self.buffer = Vec::new();
            }
        }
        self.take(bytes, &mut each);
    }

    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(Line<'_>)) {
        if self.skipping {
            return;
        }
        if self.buffer.len() + bytes.len() > self.limit {
            self.skipping = true;
            self.buffer = Vec::new();
            return each(Line::TooLong);
        }
        self.buffer.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(limit: usize, portions: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let (mut lines, mut got) = (Lines::new(limit), Vec::new());
        for portion in portions {
            lines.feed(portion, |line| {
                got.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
            });
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
