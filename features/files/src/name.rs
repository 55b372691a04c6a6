//! Names from outside, made into names that are safe to create here.
//!
//! A path is refused when it could leave the inbox or is none: absolute, `.`, `..`, empty names, a NUL byte, more than
//! [`MAX_DEPTH`] folders, more than [`MAX_PATH`] bytes. Everything else is kept as it is, except: control, bidirectional
//! and invisible characters and `\` become `_`; so do trailing dots and spaces; names that Windows reserves and
//! `.accord-partial` begin with `_`; a name of more than 240 bytes is cut, keeps its ending and gets a short hash.

use accord_model::text::is_unsafe;
use unicode_normalization::UnicodeNormalization;

use crate::wire::ItemReason;

/// Most folders in a path.
pub const MAX_DEPTH: usize = 64;
/// Longest path, in bytes.
pub const MAX_PATH: usize = 4000;
/// Longest name that is created, leaving room for ` (2)`.
const MAX_NAME: usize = 240;
const MAX_ENDING: usize = 32;
/// The folder inside the inbox that holds what is not complete.
pub const PARTIAL: &str = ".accord-partial";

/// The names of a path from outside, each safe to create.
///
/// # Errors
/// Why the path is refused.
pub fn safe_names(path: &str) -> Result<Vec<String>, ItemReason> {
    if path.len() > MAX_PATH {
        return Err(ItemReason::Long);
    }
    if path.contains('\0') {
        return Err(ItemReason::Path);
    }
    let names = path
        .split('/')
        .map(|name| match name {
            "" | "." | ".." => Err(ItemReason::Path),
            name => Ok(safe_name(name)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if names.len() > MAX_DEPTH {
        return Err(ItemReason::Deep);
    }
    Ok(names)
}

/// One name, safe to create. The name holds no `/` and is not `.` or `..`.
pub fn safe_name(name: &str) -> String {
    let mut safe: String = name.chars().map(|c| if is_unsafe(c) || c == '\\' || c == '/' { '_' } else { c }).collect();
    let kept = safe.trim_end_matches(['.', ' ']).len();
    let cut = safe[kept..].len();
    safe.truncate(kept);
    safe.extend(std::iter::repeat_n('_', cut));
    if is_reserved(&safe) || safe.eq_ignore_ascii_case(PARTIAL) {
        safe.insert(0, '_');
    }
    shorten(safe)
}

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        stem => {
            let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
            number.is_some_and(|number| {
                let mut chars = number.chars();
                matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
            })
        }
    }
}

fn shorten(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = &blake3::hash(name.as_bytes()).to_hex()[..8];
    let (stem, ending) = split_ending(&name);
    let mut end = MAX_NAME - ending.len() - 9;
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{hash}{ending}", &stem[..end])
}

/// `("a", ".txt")`, `("a", ".tar.gz")`, `(".profile", "")`.
fn split_ending(name: &str) -> (&str, &str) {
    let Some(dot) = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot <= MAX_ENDING) else {
        return (name, "");
    };
    let dot = if name[..dot].ends_with(".tar") && dot > 4 { dot - 4 } else { dot };
    name.split_at(dot)
}

/// The same name with a number, to keep it apart: `a (2).txt`.
pub fn numbered(name: &str, number: u32) -> String {
    let (stem, ending) = split_ending(name);
    format!("{stem} ({number}){ending}")
}

/// What two names share when some file system would take them for the same.
pub fn folded(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// Whether a symbolic link at `path` may point to `target`: relative, and inside the same sent folder. `..` is only
/// allowed at the beginning, where the folders above are real ones.
pub fn link_stays_inside(path: &str, target: &str) -> bool {
    let depth = path.split('/').count();
    if depth < 2
        || target.is_empty()
        || target.len() > MAX_PATH
        || target.contains(is_unsafe)
        || target.starts_with('/')
    {
        return false;
    }
    let mut up = 0;
    let mut names = target.split('/').peekable();
    while names.next_if(|name| *name == ".." || *name == ".").is_some_and(|name| {
        up += usize::from(name == "..");
        true
    }) {}
    up <= depth - 2 && names.all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_paths_are_refused() {
        for bad in ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\0b", "../../x"] {
            assert_eq!(safe_names(bad), Err(ItemReason::Path), "{bad:?}");
        }
        assert_eq!(safe_names(&"x".repeat(65_536)), Err(ItemReason::Long));
        assert_eq!(safe_names(&["d"; 65].join("/")), Err(ItemReason::Deep));
        assert!(safe_names(&["d"; 64].join("/")).is_ok());
    }

    #[test]
    fn doubtful_names_are_made_harmless_and_good_ones_kept() {
        for (name, safe) in [
            ("a\nb\u{1b}[2J", "a_b_[2J"),
            ("gpj\u{202e}exe", "gpj_exe"),
            ("..\\evil", ".._evil"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1", "_com1"),
            ("command", "command"),
            ("dots...", "dots___"),
            ("... ", "____"),
            (".Accord-Partial", "_.Accord-Partial"),
            (".profile", ".profile"),
            ("Grüße 東京 🎉.txt", "Grüße 東京 🎉.txt"),
        ] {
            assert_eq!(safe_name(name), safe);
        }
        let long = safe_name(&format!("{}.tar.gz", "ü".repeat(300)));
        assert!(long.len() <= MAX_NAME && long.ends_with(".tar.gz"));
    }

    #[test]
    fn names_are_kept_apart_before_their_ending() {
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered("a.tar.gz", 3), "a (3).tar.gz");
        assert_eq!(numbered(".profile", 2), ".profile (2)");
        assert_eq!(folded("CAFE\u{301}"), folded("café"));
    }

    #[test]
    fn a_link_may_not_leave_what_was_sent() {
        for (path, target) in
            [("t/a", "b"), ("t/a", "b/c"), ("t/d/a", "../b"), ("t/a", "./b"), ("t/d/e/a", "../../x/y")]
        {
            assert!(link_stays_inside(path, target), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "b"),
            ("t/a", "/etc"),
            ("t/a", "../b"),
            ("t/d/a", "../../b"),
            ("t/d/a", "x/../../.."),
            ("t/a", ""),
            ("t/a", "b/"),
            ("t/a", "b\0"),
        ] {
            assert!(!link_stays_inside(path, target), "{path} -> {target}");
        }
    }

    proptest! {
        #[test]
        fn every_safe_name_can_be_created(name in "[^/\0]{1,300}") {
            prop_assume!(name != "." && name != "..");
            let safe = safe_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= 255 && safe != "." && safe != "..");
            prop_assert!(!safe.contains(['/', '\0', '\\']) && !safe.chars().any(is_unsafe));
            prop_assert_eq!(safe_name(&safe), safe);
        }
    }
}
