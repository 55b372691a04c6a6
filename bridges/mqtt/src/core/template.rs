//! Where in a message a value is. Home Assistant's discovery says it in Jinja, which is a program; it is never run here.
//! Three forms are understood, and everything else is said to be unsupported: `{{ value }}`, `{{ value_json.a.b }}` and
//! `{{ value_json["a"]["b"] }}` (or with single quotes, and numbers of a list). Home Assistant's filter `is_defined` after them
//! says what holds here anyway: where there is nothing, the value stays as it was.

use serde_json::Value;

/// Deepest path, and longest template that is looked at.
const DEEPEST: usize = 16;
const LONGEST: usize = 512;

/// One step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// A place in a list.
    At(usize),
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Path {
    /// The whole message, as text.
    Whole,
    /// In the message, which is JSON.
    Json(Vec<Step>),
}

impl Path {
    /// A member of the message.
    pub fn key(key: &str) -> Self {
        Self::Json(vec![Step::Key(key.to_owned())])
    }

    /// Of a template.
    ///
    /// # Errors
    /// It is none of the three forms.
    pub fn parse(template: &str) -> Result<Self, Unsupported> {
        if template.len() > LONGEST {
            return Err(Unsupported);
        }
        let inner = template.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).ok_or(Unsupported)?;
        let inner =
            inner.rsplit_once('|').filter(|(_, filter)| filter.trim() == "is_defined").map_or(inner, |(at, _)| at);
        let inner = inner.trim();
        if inner == "value" {
            return Ok(Self::Whole);
        }
        let mut rest = inner.strip_prefix("value_json").ok_or(Unsupported)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let step;
            (step, rest) = if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                let (word, after) = after.split_at(end);
                // Jinja would take a method of the value for some words; those have brackets, which are refused below.
                if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err(Unsupported);
                }
                (Step::Key(word.to_owned()), after)
            } else {
                bracket(rest).ok_or(Unsupported)?
            };
            steps.push(step);
            if steps.len() > DEEPEST {
                return Err(Unsupported);
            }
        }
        if steps.is_empty() { Err(Unsupported) } else { Ok(Self::Json(steps)) }
    }

    /// What is there in a message. `json` is the message as JSON, if it is.
    pub fn find(&self, text: Option<&str>, json: Option<&Value>) -> Option<Value> {
        match self {
            Self::Whole => text.map(|text| Value::String(text.to_owned())),
            Self::Json(steps) => {
                let mut value = json?;
                for step in steps {
                    value = match step {
                        Step::Key(key) => value.as_object()?.get(key)?,
                        Step::At(index) => value.as_array()?.get(*index)?,
                    };
                }
                Some(value.clone())
            }
        }
    }
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    let inner = text.strip_prefix('[')?;
    let quote = inner.chars().next()?;
    if matches!(quote, '\'' | '"') {
        let (key, after) = inner[1..].split_once(quote)?;
        let after = after.strip_prefix(']')?;
        return (!key.is_empty() && !key.contains('\\')).then(|| (Step::Key(key.to_owned()), after));
    }
    let (digits, after) = inner.split_once(']')?;
    let index = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() < 5)?;
    Some((Step::At(index), after))
}

/// It is not one of the forms that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its template is not one that is understood here")]
pub struct Unsupported;

/// Whether what is sent is the value as it is: no template, or `{{ value }}`.
pub fn is_plain(template: Option<&str>) -> bool {
    template.is_none_or(|template| Path::parse(template) == Ok(Path::Whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exactly_three_forms_are_understood() {
        let key = |key: &str| Step::Key(key.into());
        for (template, path) in [
            ("{{ value }}", Path::Whole),
            ("{{value}}", Path::Whole),
            (" {{ value_json.a.b_1 }} ", Path::Json(vec![key("a"), key("b_1")])),
            ("{{ value_json[\"a b\"] }}", Path::key("a b")),
            ("{{ value_json.tempc | is_defined }}", Path::key("tempc")),
            (
                "{{ value_json['StatusSNS'].ENERGY['Power'][0] }}",
                Path::Json(vec![key("StatusSNS"), key("ENERGY"), key("Power"), Step::At(0)]),
            ),
        ] {
            assert_eq!(Path::parse(template), Ok(path), "{template}");
        }
        for bad in [
            "",
            "value",
            "{{ }}",
            "{{ value | float }}",
            "{{ value_json }}",
            "{{ value_json.a|default('x') }}",
            "{{ value_json.a | float | is_defined }}",
            "{{ | is_defined }}",
            "{{ value_json.a.items() }}",
            "{% if value == 1 %}ON{% endif %}",
            "{{ value_json.a }} {{ value_json.b }}",
            "{{ value_json['a' }}",
            "{{ value_json[-1] }}",
            "{{ value_json.a * 2 }}",
            "{{ value_json..a }}",
            "{{ states('sensor.x') }}",
            "{{ value_json.0 }}",
            "{{ value_json['a\\'b'] }}",
            "{{ value[0] }}",
            &format!("{{{{ value_json{} }}}}", ".a".repeat(17)),
        ] {
            assert_eq!(Path::parse(bad), Err(Unsupported), "{bad}");
        }
        assert!(is_plain(None) && is_plain(Some("{{ value }}")) && !is_plain(Some("{{ value | int }}")));
    }

    #[test]
    fn what_is_not_there_is_no_value() {
        let message = json!({"a": {"b": [1, 2]}, "n": null});
        let find = |template: &str| Path::parse(template).unwrap().find(Some("text"), Some(&message));
        assert_eq!(find("{{ value_json.a.b[1] }}"), Some(json!(2)));
        assert_eq!(find("{{ value }}"), Some(json!("text")));
        assert_eq!(find("{{ value_json.a.c }}"), None);
        assert_eq!(find("{{ value_json.a[0] }}"), None);
        assert_eq!(Path::key("a").find(Some("no json"), None), None);
    }

    proptest::proptest! {
        #[test]
        fn any_template_is_read_without_harm(text in ".{0,80}") {
            let _ = Path::parse(&text);
            let _ = Path::parse(&format!("{{{{ value_json{text} }}}}"));
        }
    }
}
