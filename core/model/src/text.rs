//! Text from outside, made safe to show.

/// `text` with control, bidirectional and other invisible formatting characters replaced by `\u{FFFD}`
/// and cut to `limit` characters (an ellipsis marks the cut). For names and messages that come from
/// the network, before they reach a terminal, a log line or a page.
///
/// ```
/// assert_eq!(accord_model::text::for_screen("a\u{1b}[31mb\u{202e}", 20), "a\u{FFFD}[31mb\u{FFFD}");
/// assert_eq!(accord_model::text::for_screen("abcdef", 3), "abc…");
/// ```
pub fn for_screen(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit * 4));
    for (index, c) in text.chars().enumerate() {
        if index == limit {
            out.push('…');
            break;
        }
        out.push(if is_unsafe(c) { '\u{FFFD}' } else { c });
    }
    out
}

/// Characters that can move the cursor, reorder or hide text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}
