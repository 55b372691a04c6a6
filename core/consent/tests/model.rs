//! Random interleavings of everything that changes the gate, against a model of what it should allow.

mod common;

use std::collections::BTreeMap;

use accord_consent::{Choice, Envelope, RecipientId, RecordKind, Refusal, To, example};
use accord_model::{FieldCode, FieldSet};
use common::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Grant {
        to: Option<bool>,
        choice: Choice,
    },
    Withdraw {
        to: Option<bool>,
    },
    /// With `file.name`, `location` declared.
    Statement {
        file_name: bool,
        location: bool,
    },
    Send {
        phone: bool,
        file_name: bool,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let to = || proptest::option::of(any::<bool>());
    let choice = prop_oneof![3 => Just(Choice::Always), 1 => Just(Choice::Once), 1 => Just(Choice::Never)];
    let step = prop_oneof![
        4 => (to(), choice).prop_map(|(to, choice)| Step::Grant { to, choice }),
        2 => to().prop_map(|to| Step::Withdraw { to }),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(file_name, location)| Step::Statement { file_name, location }),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(phone, file_name)| Step::Send { phone, file_name }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..30)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Given,
    Once,
    No,
    Over,
    Lapsed,
}

/// What the owner agreed to: the optional fields that were declared then.
#[derive(Clone, Copy)]
struct Agreed {
    state: State,
    file_name: bool,
    location: bool,
}

fn statement(file_name: bool, location: bool) -> accord_statement::Statement {
    let mut text = example::STATEMENT.to_owned();
    if !file_name {
        text = text.replacen(", \"file.name\"", "", 1);
    }
    if location {
        text = text.replacen("\"file.content\"", "\"file.content\", \"location\"", 1);
    }
    example::statement("x", &text)
}

fn recipient(phone: bool) -> RecipientId {
    if phone { common::phone() } else { tablet() }
}

fn address(to: Option<bool>) -> To {
    to.map_or(To::Any, |phone| To::One(recipient(phone)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_gate_lets_out_exactly_what_the_model_allows(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut home = Home::new();
        let mut declared = (true, false);
        let mut agreed: BTreeMap<Option<bool>, Agreed> = BTreeMap::new();
        let mut sent = 0;
        for step in steps {
            match step {
                Step::Grant { to, choice } => {
                    home.grant(&hello(), address(to), choice).unwrap();
                    let state = match choice {
                        Choice::Once => State::Once,
                        Choice::Never => State::No,
                        _ => State::Given,
                    };
                    agreed.insert(to, Agreed { state, file_name: declared.0, location: declared.1 });
                }
                Step::Withdraw { to } => {
                    let outcome = home.gate.withdraw((hello(), address(to)));
                    prop_assert_eq!(outcome.is_ok(), agreed.contains_key(&to));
                    agreed.entry(to).and_modify(|agreed| agreed.state = State::Over);
                }
                Step::Statement { file_name, location } => {
                    declared = (file_name, location);
                    let lapsed = home.gate.adopt(statement(file_name, location)).unwrap();
                    let mut expected = 0;
                    for consent in agreed.values_mut().filter(|consent| matches!(consent.state, State::Given | State::Once)) {
                        if (file_name && !consent.file_name) || (location && !consent.location) {
                            consent.state = State::Lapsed;
                            expected += 1;
                        } else {
                            consent.file_name &= file_name;
                            consent.location &= location;
                        }
                    }
                    prop_assert_eq!(lapsed.len(), expected);
                }
                Step::Send { phone, file_name } => {
                    let wanted = if file_name { FieldSet::one(FieldCode::FileName) } else { FieldSet::EMPTY }.union(name_field());
                    let key = if agreed.contains_key(&Some(phone)) { Some(phone) } else { None };
                    let allowed = agreed.get(&key).is_some_and(|consent| {
                        matches!(consent.state, State::Given | State::Once) && (!file_name || (declared.0 && consent.file_name))
                    });
                    let outcome = home.bound.permit(&hello(), &recipient(phone), wanted, "on.test");
                    prop_assert_eq!(outcome.is_ok(), allowed, "{:?}", outcome.err());
                    match outcome {
                        Ok(permit) => {
                            let to = accord_consent::Destination::new(recipient(phone), "192.0.2.7:1");
                            let envelope = Envelope::new().text("name", &name());
                            runtime.block_on(async { permit.seal(envelope, to).await.unwrap().confirm(1).await.unwrap() });
                            sent += 1;
                            agreed.entry(key).and_modify(|consent| if consent.state == State::Once { consent.state = State::Over });
                        }
                        Err(Refusal::Undecided { .. }) => {
                            let state = agreed.get(&key).map(|consent| consent.state);
                            prop_assert!(matches!(state, None | Some(State::Over)), "asked again after {:?}", state);
                        }
                        Err(_) => {}
                    }
                }
                Step::Restart => {
                    home = home.reopen();
                    home.gate.adopt(statement(declared.0, declared.1)).unwrap();
                    // The program's own statement came into force in between, as after an update and back.
                    for consent in agreed.values_mut().filter(|consent| matches!(consent.state, State::Given | State::Once)) {
                        if !consent.file_name {
                            consent.state = State::Lapsed;
                        } else {
                            let (file_name, location) = (declared.0, false);
                            if (file_name && !consent.file_name) || (declared.1 && !location) {
                                consent.state = State::Lapsed;
                            } else {
                                consent.file_name &= file_name;
                                consent.location = false;
                            }
                        }
                    }
                }
            }
        }
        prop_assert_eq!(home.records(RecordKind::Sent).len().min(100), sent.min(100));
        let report = accord_consent::Ledger::verify(home.gate.ledger().path(), None).unwrap();
        prop_assert!(report.ok(), "{:?}", report.problems);
    }
}
