//! Patterns over short texts: `*` any characters, `?` one, `#` one digit, `{inches}` a size of a screen (10 to 120), `{model}` as
//! `*` and what it stands for is the model. Everything else is itself, in large or small letters. The time is bounded by
//! length of pattern times length of text, whatever either holds.

/// Longest pattern and longest text that is looked at, in characters.
const MAX_PATTERN: usize = 96;
const MAX_TEXT: usize = 256;

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Is(char),
    One,
    Digit,
    Any,
    Model,
    Inches,
}

/// What a text that fits holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Where `{inches}` stands.
    pub inches: Option<u8>,
    /// Where `{model}` stands.
    pub model: Option<String>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Nothing in it, or only what fits everything.
    #[error("it fits every text; write what must be there")]
    Everything,
    /// Too long.
    #[error("it is longer than {MAX_PATTERN} characters")]
    Long,
    /// Something in braces.
    #[error("`{{{0}}}` is not known; there are {{inches}} and {{model}}")]
    Braces(String),
    /// The same in braces twice.
    #[error("`{{{0}}}` is there twice")]
    Twice(&'static str),
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if tokens.len() >= MAX_PATTERN {
                return Err(BadPattern::Long);
            }
            rest = &rest[first.len_utf8()..];
            let token = match first {
                '*' => Token::Any,
                '?' => Token::One,
                '#' => Token::Digit,
                '{' => {
                    let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
                    rest = after;
                    match name {
                        "inches" => Token::Inches,
                        "model" => Token::Model,
                        other => return Err(BadPattern::Braces(accord_model::text::for_screen(other, 20))),
                    }
                }
                other => Token::Is(small(other)),
            };
            if token != Token::Any || tokens.last() != Some(&Token::Any) {
                tokens.push(token);
            }
        }
        let twice = |wanted: Token| tokens.iter().filter(|token| **token == wanted).count() > 1;
        match () {
            () if twice(Token::Inches) => Err(BadPattern::Twice("inches")),
            () if twice(Token::Model) => Err(BadPattern::Twice("model")),
            () if !tokens.iter().any(|token| matches!(token, Token::Is(_) | Token::Inches)) => {
                Err(BadPattern::Everything)
            }
            () => Ok(Self { tokens }),
        }
    }

    /// Whether the whole text fits, and what stands in the braces. `*` takes as little as it can.
    pub fn find(&self, text: &str) -> Option<Found> {
        let text: Vec<char> = text.chars().take(MAX_TEXT + 1).collect();
        if text.len() > MAX_TEXT {
            return None;
        }
        // `fits[t][c]`: what begins with token t fits what begins with character c. From the end to the beginning.
        let (width, tokens) = (text.len() + 1, self.tokens.len());
        let mut fits = vec![false; (tokens + 1) * width];
        fits[tokens * width + text.len()] = true;
        for (t, token) in self.tokens.iter().enumerate().rev() {
            for c in (0..width).rev() {
                let next =
                    |count: usize| fits.get((t + 1) * width + c + count).copied().unwrap_or(false) && c + count < width;
                let one = |fit: bool| fit && next(1);
                fits[t * width + c] = match (token, text.get(c)) {
                    (Token::Any | Token::Model, _) => next(0) || (c + 1 < width && fits[t * width + c + 1]),
                    (Token::Inches, _) => sizes(&text[c..]).any(|(_, count)| next(count)),
                    (Token::Is(wanted), Some(found)) => one(*wanted == small(*found)),
                    (Token::Digit, Some(found)) => one(found.is_ascii_digit()),
                    (Token::One, Some(_)) => one(true),
                    (Token::Is(_) | Token::Digit | Token::One, None) => false,
                };
            }
        }
        if !fits[0] {
            return None;
        }
        let (mut found, mut c) = (Found::default(), 0);
        for (t, token) in self.tokens.iter().enumerate() {
            let next = |c: usize| fits[(t + 1) * width + c];
            let begin = c;
            match token {
                Token::Any | Token::Model => {
                    while !next(c) {
                        c += 1;
                    }
                    if *token == Token::Model && c > begin {
                        found.model = Some(text[begin..c].iter().collect());
                    }
                }
                Token::Inches => {
                    let size = sizes(&text[c..]).find(|(_, count)| next(c + count));
                    let (inches, count) = size?;
                    (found.inches, c) = (Some(inches), c + count);
                }
                Token::Is(_) | Token::Digit | Token::One => c += 1,
            }
        }
        Some(found)
    }
}

/// The sizes of a screen that a text can begin with, with their lengths; the longest first.
fn sizes(text: &[char]) -> impl Iterator<Item = (u8, usize)> + '_ {
    [3, 2].into_iter().filter_map(|count| {
        let digits = text.get(..count)?;
        let number = digits.iter().try_fold(0_u32, |sum, c| Some(sum * 10 + c.to_digit(10)?))?;
        let least = if count == 3 { 100 } else { 10 };
        (least..=120).contains(&number).then(|| (u8::try_from(number).unwrap_or(u8::MAX), count))
    })
}

fn small(c: char) -> char {
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(pattern: &str, text: &str) -> Option<Found> {
        Pattern::parse(pattern).unwrap().find(text)
    }

    #[test]
    fn patterns_fit_whole_texts_and_say_what_they_hold() {
        assert!(find("Samsung*", "SAMSUNG Electronics").is_some());
        assert!(find("Samsung", "Samsung Electronics").is_none());
        assert!(find("mi?v#", "MiTV4").is_some() && find("mi?v#", "MiTVx").is_none());
        let found = find("U?{inches}*", "UE55AU7100").unwrap();
        assert_eq!((found.inches, found.model), (Some(55), None));
        assert_eq!(find("KD-{inches}*", "KD-115X").unwrap().inches, Some(115));
        assert_eq!(find("{inches}PUS*", "65PUS8500").unwrap().inches, Some(65));
        assert!(find("KD-{inches}*", "KD-05X").is_none());
        let found = find("*mn=\"{model}\"*", "av=5.0; cn=\"Sony\"; mn=\"BRAVIA KD-65\"; mv=\"1\"").unwrap();
        assert_eq!(found.model.as_deref(), Some("BRAVIA KD-65"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(Pattern::parse(""), Err(BadPattern::Everything));
        assert_eq!(Pattern::parse("**?#{model}"), Err(BadPattern::Everything));
        assert_eq!(Pattern::parse("{model} {model}"), Err(BadPattern::Twice("model")));
        assert_eq!(Pattern::parse("a{size}"), Err(BadPattern::Braces("size".into())));
        assert_eq!(Pattern::parse(&"a".repeat(97)), Err(BadPattern::Long));
    }

    #[test]
    fn a_text_made_to_take_long_takes_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(48)).unwrap();
        let begin = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(pattern.find(&format!("{}b", "a".repeat(255))), None);
        }
        assert_eq!(pattern.find(&"a".repeat(100_000)), None);
        assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    /// The rule itself, slowly.
    fn slow(tokens: &[Token], text: &[char]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((Token::Any | Token::Model, rest)), _) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
            (Some((Token::Inches, rest)), _) => sizes(text).any(|(_, n)| slow(rest, &text[n..])),
            (Some(_), None) => false,
            (Some((token, rest)), Some((c, more))) => {
                let fits = match token {
                    Token::Is(wanted) => *wanted == small(*c),
                    Token::Digit => c.is_ascii_digit(),
                    _ => true,
                };
                fits && slow(rest, more)
            }
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_the_rule_says(pattern in "[ab1*?#]{0,5}(\\{inches\\}|\\{model\\}|)[ab1*?#]{0,4}", text in "[abAB15]{0,10}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let chars: Vec<char> = text.chars().collect();
                let found = pattern.find(&text);
                prop_assert_eq!(found.is_some(), slow(&pattern.tokens, &chars));
                if let Some(model) = found.and_then(|found| found.model) {
                    prop_assert!(text.contains(&model));
                }
            }
        }
        #[test]
        fn no_text_makes_it_panic(pattern in ".{0,60}", text in ".{0,300}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.find(&text);
            }
        }
    }
}
