//! File names that come from outside: relative, inside the folder they are put in.

use std::fmt;

/// Longest path, in bytes.
pub const MAX_PATH: usize = 4096;
/// Longest name of one file or folder, in bytes.
pub const MAX_PART: usize = 255;
/// Most folders in one another.
pub const MAX_DEPTH: usize = 64;

/// A relative path of folders and a file name. No part is empty, `.` or `..`, or holds a separator or
/// control character. Still text from outside: escape before showing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelativePath(String);

/// Why a file name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing is left of it, or it ends as a folder.
    #[error("it names no file")]
    Empty,
    /// Begins with a separator.
    #[error("it is absolute")]
    Absolute,
    /// Begins with `C:`.
    #[error("it names a drive")]
    Drive,
    /// Has a part `..`.
    #[error("it leads out of the folder")]
    Up,
    /// Has control characters.
    #[error("it has control characters")]
    Control,
    /// Longer than a file system takes.
    #[error("it is too long or too deep")]
    TooLong,
}

impl RelativePath {
    /// Checks a path; `/` and `\` separate.
    ///
    /// # Errors
    /// [`PathFault`].
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        if text.len() > MAX_PATH {
            return Err(PathFault::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PathFault::Control);
        }
        let separators = ['/', '\\'];
        if text.starts_with(separators) {
            return Err(PathFault::Absolute);
        }
        if text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic() {
            return Err(PathFault::Drive);
        }
        if text.ends_with(separators) || matches!(text.rsplit(separators).next(), Some("." | "")) {
            return Err(PathFault::Empty);
        }
        let mut path = String::with_capacity(text.len());
        for (depth, part) in text.split(separators).filter(|part| !matches!(*part, "" | ".")).enumerate() {
            if part == ".." {
                return Err(PathFault::Up);
            }
            if part.len() > MAX_PART || depth > MAX_DEPTH {
                return Err(PathFault::TooLong);
            }
            if depth > 0 {
                path.push('/');
            }
            path.push_str(part);
        }
        Ok(Self(path))
    }
    /// With `/` between the parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Folders and, last, the file name.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
    /// The file name alone.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folders_stay_and_ways_out_are_refused() {
        let path = RelativePath::parse("Holiday/./day 1//beach.jpg").unwrap();
        assert_eq!((path.as_str(), path.file_name()), ("Holiday/day 1/beach.jpg", "beach.jpg"));
        assert_eq!(RelativePath::parse("a\\b.txt").unwrap().as_str(), "a/b.txt");
        for (bad, fault) in [
            ("", PathFault::Empty),
            ("a/", PathFault::Empty),
            (".", PathFault::Empty),
            ("/etc/passwd", PathFault::Absolute),
            ("\\\\server\\share", PathFault::Absolute),
            ("C:\\x", PathFault::Drive),
            ("c:x", PathFault::Drive),
            ("../x", PathFault::Up),
            ("a/..", PathFault::Up),
            ("a\\..\\..\\x", PathFault::Up),
            ("a\0b", PathFault::Control),
            ("a\nb", PathFault::Control),
        ] {
            assert_eq!(RelativePath::parse(bad), Err(fault), "{bad:?}");
        }
        assert_eq!(RelativePath::parse(&"x".repeat(256)), Err(PathFault::TooLong));
        assert_eq!(RelativePath::parse("x/".repeat(70).trim_end_matches('/')), Err(PathFault::TooLong));
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_inside(text in "([a-c.:/\\\\]|\\PC){0,24}") {
            if let Ok(path) = RelativePath::parse(&text) {
                prop_assert!(path.parts().all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\\')));
                prop_assert_eq!(RelativePath::parse(path.as_str()), Ok(path.clone()));
            }
        }
    }
}
