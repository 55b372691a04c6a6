//! Commands that are answered by a command of the cluster: what the device did is in its fields, not in a status of the
//! interaction model, and a device that did nothing answers one as well.
//!
//! Matter Application Cluster Specification 1.4: 1.14 (OperationalCommandResponse), 1.10 (ChangeToModeResponse), 1.17
//! (SelectAreasResponse); Core Specification 1.4: 11.18 (NOCResponse).

use accord_model::text::for_screen;

use super::value::Value;

/// Robots, whose errors have numbers of their own (0x40 to 0x7f) in their states and in the answers of one of their modes.
const ROBOT_STATE: u32 = 0x61;
const ROBOT_RUN: u32 = 0x54;
const ROBOT_CLEAN: u32 = 0x55;
/// Clusters that are derived from OperationalState.
const STATES: [u32; 3] = [0x48, 0x60, 0x61];
/// Clusters that are derived from ModeBase.
const MODES: [u32; 10] = [0x49, 0x51, 0x52, 0x54, 0x55, 0x59, 0x5e, 0x9d, 0x9e, 0x9f];
const AREAS: u32 = 0x150;
const CREDENTIALS: u32 = 0x3e;

const MAX_TEXT: usize = 120;

/// Why a response command says that nothing was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum No {
    /// It says so, in its words or in those of the specification.
    Refused(String),
    /// It does not say what it has to say.
    Garbled(String),
}

/// Whether a response command of a cluster, with these fields, says that it was done.
pub(super) fn judge(cluster: u32, command: u32, fields: &[u8]) -> Result<(), No> {
    let names: fn(u64) -> &'static str = match (cluster, command) {
        (ROBOT_STATE, 0x04) => fault,
        (cluster, 0x04) if STATES.contains(&cluster) => state,
        (ROBOT_RUN, 0x01) => run_mode,
        (ROBOT_CLEAN, 0x01) => clean_mode,
        (cluster, 0x01) if MODES.contains(&cluster) => mode,
        (AREAS, 0x01) => areas,
        (CREDENTIALS, 0x08) => credentials,
        // Answers that only tell something.
        _ => return Ok(()),
    };
    let fields = Value::decode(fields).map_err(|error| No::Garbled(error.to_string()))?;
    // ErrorStateStruct: the number, a label of the maker's own errors, details.
    let (code, said) = if STATES.contains(&cluster) {
        let error = fields.field(0);
        let text = |tag| error.and_then(|error| error.field(tag)).and_then(Value::text);
        (error.and_then(|error| error.field(0)), [text(2), text(1)])
    } else {
        (fields.field(0), [fields.field(if cluster == CREDENTIALS { 2 } else { 1 }).and_then(Value::text), None])
    };
    let code = code.and_then(Value::uint).ok_or_else(|| No::Garbled("an answer without its status".to_owned()))?;
    if code == 0 {
        return Ok(());
    }
    let said = said.into_iter().flatten().map(|text| for_screen(text.trim(), MAX_TEXT)).find(|text| !text.is_empty());
    Err(No::Refused(said.unwrap_or_else(|| format!("{} ({code:#04x})", names(code)))))
}

/// `ErrorStateEnum` (1.14); nothing for 0. From 0x40 on, a number is of the cluster that is derived, from 0x80 on of the maker.
fn state(code: u64) -> &'static str {
    match code {
        0x00 => "",
        0x01 => "cannot start or go on",
        0x02 => "cannot finish",
        0x03 => "cannot do that in this state",
        0x04..=0x7f => "an error of its kind of device",
        _ => "an error of its maker",
    }
}

/// The same of robots (7.4).
pub(crate) fn fault(code: u64) -> &'static str {
    match code {
        0x40 => "the dock is not found",
        0x41 => "it is stuck",
        0x42 => "the dust bin is missing",
        0x43 => "the dust bin is full",
        0x44 => "the water tank is empty",
        0x45 => "the water tank is missing",
        0x46 => "the water tank is open",
        0x47 => "the mop is missing",
        0x48 => "the battery is low",
        0x49 => "it cannot get there",
        0x4A => "the tank of dirty water is full",
        0x4B => "the tank of dirty water is missing",
        0x4C => "its wheels are jammed",
        0x4D => "its brush is jammed",
        0x4E => "it cannot see where it is",
        code => state(code),
    }
}

/// `Status` of `ChangeToModeResponse` (1.10).
fn mode(code: u64) -> &'static str {
    match code {
        0x01 => "it has no such mode",
        0x02 => "it could not",
        0x03 => "not in the mode that it is in",
        0x40..=0x7f => "an error of its kind of device",
        _ => "an error of its maker",
    }
}

/// The same of RvcRunMode (7.2): what it adds has the numbers of a robot's errors.
fn run_mode(code: u64) -> &'static str {
    if matches!(code, 0x41..=0x48) { fault(code) } else { mode(code) }
}

/// The same of RvcCleanMode (7.3).
fn clean_mode(code: u64) -> &'static str {
    if code == 0x40 { "not while it cleans" } else { mode(code) }
}

/// `SelectAreasStatus` (1.17).
fn areas(code: u64) -> &'static str {
    match code {
        0x01 => "it knows no such room",
        0x02 => "not in the mode that it is in",
        0x03 => "not those rooms together",
        _ => "an error of its maker",
    }
}

/// `NodeOperationalCertStatusEnum` (11.18), of what is told over a session.
fn credentials(code: u64) -> &'static str {
    match code {
        0x0b => "it has no such fabric",
        _ => "it could not",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: Vec<(u8, Value)>) -> Vec<u8> {
        Value::Struct(fields).encode().unwrap()
    }

    #[test]
    fn what_an_answer_says_in_its_fields_is_what_counts() {
        let refused = |cluster, command, fields| match judge(cluster, command, &said(fields)) {
            Err(No::Refused(why)) => why,
            other => panic!("{other:?}"),
        };
        let error = |code, label: Option<&str>| {
            let label = label.map(|label| (1, Value::Text(label.to_owned())));
            vec![(0, Value::Struct([(0, Value::Uint(code))].into_iter().chain(label).collect()))]
        };
        for cluster in STATES {
            assert_eq!(judge(cluster, 4, &said(error(0, None))), Ok(()));
            assert_eq!(refused(cluster, 4, error(3, None)), "cannot do that in this state (0x03)");
            assert_eq!(
                refused(cluster, 4, error(0x80, Some("full of\u{202e} sand"))),
                for_screen("full of\u{202e} sand", 120)
            );
        }
        for cluster in MODES {
            assert_eq!(judge(cluster, 1, &said(vec![(0, Value::Uint(0))])), Ok(()));
            assert_eq!(refused(cluster, 1, vec![(0, Value::Uint(1))]), "it has no such mode (0x01)");
            let own = vec![(0, Value::Uint(2)), (1, Value::Text("door open".to_owned()))];
            assert_eq!(refused(cluster, 1, own), "door open");
        }
        assert_eq!(refused(0x54, 1, vec![(0, Value::Uint(0x43))]), "the dust bin is full (0x43)");
        assert_eq!(refused(0x61, 4, error(0x43, None)), "the dust bin is full (0x43)");
        // An oven has no dust bin.
        assert_eq!(refused(0x60, 4, error(0x43, None)), "an error of its kind of device (0x43)");
        assert_eq!(refused(0x49, 1, vec![(0, Value::Uint(0x43))]), "an error of its kind of device (0x43)");
        assert_eq!(refused(0x51, 1, vec![(0, Value::Uint(0x81))]), "an error of its maker (0x81)");
        assert_eq!(refused(0x55, 1, vec![(0, Value::Uint(0x40))]), "not while it cleans (0x40)");
        assert_eq!(
            refused(AREAS, 1, vec![(0, Value::Uint(2)), (1, Value::Text(" ".to_owned()))]),
            "not in the mode that it is in (0x02)"
        );
        assert_eq!(refused(CREDENTIALS, 8, vec![(0, Value::Uint(0x0b))]), "it has no such fabric (0x0b)");
        let long = refused(AREAS, 1, vec![(0, Value::Uint(1)), (1, Value::Text("x".repeat(5000)))]);
        assert!(long.chars().count() <= MAX_TEXT + 1, "{}", long.len());
    }

    #[test]
    fn an_answer_without_a_status_is_none() {
        for fields in [said(vec![]), said(vec![(0, Value::Null)]), vec![0xff], vec![]] {
            assert!(matches!(judge(0x61, 4, &fields), Err(No::Garbled(_))), "{fields:?}");
            assert!(matches!(judge(0x54, 1, &fields), Err(No::Garbled(_))), "{fields:?}");
        }
        // What is no answer of that kind is as it is.
        assert_eq!(judge(0x06, 1, &[0xff]), Ok(()));
    }
}
