//! The owner's list of commands.

use std::collections::BTreeMap;

use accord_consent::outlet::OwnersCommand;
use accord_model::{Service, catalogue, text};
use serde::{Deserialize, Serialize};

/// Most commands on the list.
pub const MOST: usize = 64;
const MAX_NAME: usize = 64;

/// One command, as the owner wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCommand {
    /// What devices see and ask for.
    pub name: String,
    /// The program and its arguments, word by word; no shell reads them.
    pub argv: Vec<String>,
}

/// Why a list is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// Too many.
    #[error("a list has at most {MOST} commands")]
    TooMany,
    /// Not a name.
    #[error("a command's name has 1 to {MAX_NAME} characters and no control characters")]
    BadName,
    /// Two of one name.
    #[error("two commands are called `{0}`")]
    Twice(String),
    /// Not a command line.
    #[error("the command `{name}` cannot be run: {why}")]
    BadCommand {
        /// Which.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// The commands by number. A name keeps its number whatever else is on the list, so that a device that saw an older list
/// never has another command run than the one it showed.
pub(crate) type Numbered = BTreeMap<u16, (String, OwnersCommand)>;

/// Checks the list.
///
/// # Errors
/// [`BadList`].
pub(crate) fn numbered(list: &[OwnCommand]) -> Result<Numbered, BadList> {
    if list.len() > MOST {
        return Err(BadList::TooMany);
    }
    let mut all = Numbered::new();
    for command in list {
        let name = command.name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(text::is_unsafe) {
            return Err(BadList::BadName);
        }
        if list.iter().filter(|other| other.name.trim() == name).count() > 1 {
            return Err(BadList::Twice(name.to_owned()));
        }
        let line = OwnersCommand::new(&command.argv)
            .map_err(|error| BadList::BadCommand { name: name.to_owned(), why: error.to_string() })?;
        let number = number(name);
        if let Some((other, _)) = all.insert(number, (name.to_owned(), line)) {
            let why = format!("its name cannot be told from `{other}`; choose another one");
            return Err(BadList::BadCommand { name: name.to_owned(), why });
        }
    }
    Ok(all)
}

fn number(name: &str) -> u16 {
    let hash = blake3::hash(name.as_bytes());
    u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])
}

pub(crate) fn services(commands: &Numbered) -> Vec<Service> {
    let mut services: Vec<Service> = commands
        .iter()
        .map(|(number, (name, _))| {
            let mut service = catalogue::command();
            service.instance = *number;
            service.label = Some(name.clone());
            service
        })
        .collect();
    services.sort_by(|a, b| a.label.cmp(&b.label));
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, argv: &[&str]) -> OwnCommand {
        OwnCommand { name: name.into(), argv: argv.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn a_command_keeps_its_number_when_the_list_changes() {
        let long = numbered(&[command("Lights out", &["true"]), command("Back up", &["false"])]).unwrap();
        let short = numbered(&[command("Back up", &["false"])]).unwrap();
        let number = *short.keys().next().unwrap();
        assert_eq!(long[&number].0, "Back up");
    }

    #[test]
    fn lists_that_could_mislead_are_refused() {
        assert_eq!(numbered(&[command("a", &["true"]), command(" a ", &["false"])]), Err(BadList::Twice("a".into())));
        assert_eq!(numbered(&[command("a\u{202e}b", &["true"])]), Err(BadList::BadName));
        for argv in [&[][..], &[""], &["x\0y"]] {
            assert!(matches!(numbered(&[command("a", argv)]), Err(BadList::BadCommand { .. })), "{argv:?}");
        }
        let many: Vec<_> = (0..=MOST).map(|n| command(&n.to_string(), &["true"])).collect();
        assert_eq!(numbered(&many), Err(BadList::TooMany));
    }
}
