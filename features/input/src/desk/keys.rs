//! Keys as desktops number them: X11's keysyms (X11 protocol, appendix A; `keysymdef.h`), which portals take as well.

use crate::{Key, Modifier, Named};

/// No key.
pub(crate) const NONE: u32 = 0;
pub(crate) const RETURN: u32 = 0xff0d;
pub(crate) const TAB: u32 = 0xff09;

/// A character's keysym: Latin-1 as it is, all else as Unicode.
pub(crate) fn of_char(char: char) -> u32 {
    match char {
        '\n' | '\r' => RETURN,
        '\t' => TAB,
        ' '..='~' | '\u{a0}'..='\u{ff}' => u32::from(char),
        _ => 0x0100_0000 | u32::from(char),
    }
}

pub(crate) fn of_key(key: Key) -> u32 {
    match key {
        Key::Char(char) => of_char(char),
        Key::Named(named) => of_named(named),
    }
}

pub(crate) fn of_modifier(modifier: Modifier) -> u32 {
    match modifier {
        Modifier::Shift => of_named(Named::Shift),
        Modifier::Ctrl => of_named(Named::Ctrl),
        Modifier::Alt => of_named(Named::Alt),
        Modifier::Super => of_named(Named::Super),
    }
}

fn of_named(named: Named) -> u32 {
    match named {
        Named::Backspace => 0xff08,
        Named::Tab => TAB,
        Named::Left => 0xff51,
        Named::Up => 0xff52,
        Named::Right => 0xff53,
        Named::Down => 0xff54,
        Named::PageUp => 0xff55,
        Named::PageDown => 0xff56,
        Named::Home => 0xff50,
        Named::End => 0xff57,
        Named::Enter => RETURN,
        Named::Delete => 0xffff,
        Named::Escape => 0xff1b,
        Named::SysRq => 0xff15,
        Named::ScrollLock => 0xff14,
        Named::Ctrl => 0xffe3,
        Named::Alt => 0xffe9,
        Named::Shift => 0xffe1,
        Named::Super => 0xffeb,
        Named::F1 => 0xffbe,
        Named::F2 => 0xffbf,
        Named::F3 => 0xffc0,
        Named::F4 => 0xffc1,
        Named::F5 => 0xffc2,
        Named::F6 => 0xffc3,
        Named::F7 => 0xffc4,
        Named::F8 => 0xffc5,
        Named::F9 => 0xffc6,
        Named::F10 => 0xffc7,
        Named::F11 => 0xffc8,
        Named::F12 => 0xffc9,
    }
}

/// What is typed of a text: control characters other than new lines and tabs are no text, and one new line is one.
pub(crate) fn typed(text: &str) -> impl Iterator<Item = char> {
    let mut before = None;
    text.chars().filter(move |char| {
        let is_second = *char == '\n' && before == Some('\r');
        before = Some(*char);
        !is_second && (!char.is_control() || matches!(char, '\n' | '\r' | '\t'))
    })
}

/// A key and what is held with it. A character alone has its shift in itself, and a modifier is not held with itself.
pub(crate) fn held(key: Key, held: &[Modifier]) -> Vec<Modifier> {
    let is_capital_only = matches!(key, Key::Char(_)) && held.iter().all(|held| *held == Modifier::Shift);
    let mut kept: Vec<Modifier> = if is_capital_only { Vec::new() } else { held.to_vec() };
    kept.retain(|held| of_modifier(*held) != of_key(key));
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_the_numbers_of_the_protocol() {
        for (char, sym) in
            [('a', 0x61), ('ü', 0xfc), ('€', 0x0100_20ac), ('ж', 0x0100_0436), ('😀', 0x0101_f600), ('\n', RETURN)]
        {
            assert_eq!(of_char(char), sym, "{char}");
        }
    }

    #[test]
    fn a_text_is_typed_without_its_control_characters() {
        assert_eq!(typed("a\r\nb\u{1b}[31m\u{7f}\t\rc").collect::<String>(), "a\rb[31m\t\rc");
    }

    #[test]
    fn shift_is_held_for_shortcuts_and_not_for_what_is_a_capital_already() {
        assert_eq!(held(Key::Char('A'), &[Modifier::Shift]), []);
        let shortcut = [Modifier::Ctrl, Modifier::Shift, Modifier::Ctrl];
        assert_eq!(held(Key::Char('t'), &shortcut), [Modifier::Shift, Modifier::Ctrl]);
        assert_eq!(held(Key::Named(Named::Tab), &[Modifier::Shift]), [Modifier::Shift]);
        assert_eq!(held(Key::Named(Named::Super), &[Modifier::Super]), []);
    }
}
