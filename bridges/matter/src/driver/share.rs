//! Letting others add a device, too: it opens a window under a code that is made for that.
//!
//! Matter Core Specification 1.4: 11.19.8.1 (OpenCommissioningWindow), 3.10 (its verifier).

use matter_commissioning::{
    CommissioningFlow, DiscoveryCapabilities, Discriminator, Passcode, SetupPayload, encode_manual_code,
};
use matter_crypto::pase::pake_passcode_verifier;
use matter_interaction::CommandPath;

use crate::core::dialog::Word;
use crate::core::value::Value;

/// How long the window is open, in seconds.
const OPEN_S: u64 = 180;
/// How often the verifier is derived, within what the standard allows (3.9).
const ITERATIONS: u32 = 10_000;
const ADMINISTRATOR: u32 = 0x3c;
const OPEN_WINDOW: u32 = 0;

/// What the device is told, and the code for the other controller.
pub(super) fn open() -> Result<(Word, String), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let mut chance = [0; 38];
    getrandom::fill(&mut chance).map_err(|error| words(&error))?;
    let salt = &chance[..32];
    let discriminator = u16::from_be_bytes([chance[32], chance[33]]) & 0xfff;
    let mut number = u32::from_be_bytes([chance[34], chance[35], chance[36], chance[37]]) % 99_999_998 + 1;
    let passcode = loop {
        match Passcode::new(number) {
            Ok(passcode) => break passcode,
            // One of those that everybody would guess.
            Err(_) => number = number % 99_999_998 + 1,
        }
    };
    let verifier = pake_passcode_verifier(passcode.as_u32(), salt, ITERATIONS).map_err(|error| words(&error))?;
    let fields = Value::Struct(vec![
        (0, Value::Uint(OPEN_S)),
        (1, Value::Bytes(verifier.to_vec())),
        (2, Value::Uint(discriminator.into())),
        (3, Value::Uint(ITERATIONS.into())),
        (4, Value::Bytes(salt.to_vec())),
    ]);
    let fields = fields.encode().map_err(|error| words(&error))?;
    let path = CommandPath { endpoint: 0, cluster: ADMINISTRATOR, command: OPEN_WINDOW };
    let payload = SetupPayload {
        version: 0,
        vendor_id: None,
        product_id: None,
        commissioning_flow: CommissioningFlow::Standard,
        discovery_capabilities: DiscoveryCapabilities::empty(),
        discriminator: Discriminator::new(discriminator).map_err(|error| words(&error))?,
        passcode,
    };
    Ok((Word::Invoke { path, fields, timed: true }, encode_manual_code(&payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use matter_commissioning::parse_manual_code;

    #[test]
    fn a_window_has_a_code_of_its_own_each_time() {
        let (word, code) = open().unwrap();
        let (_, other) = open().unwrap();
        assert_ne!(code, other);
        let Word::Invoke { fields, timed: true, .. } = &word else { panic!("{word:?}") };
        let Value::Struct(fields) = Value::decode(fields).unwrap() else { panic!() };
        let payload = parse_manual_code(&code).unwrap();
        let (_, Value::Bytes(salt)) = &fields[4] else { panic!() };
        let verifier = pake_passcode_verifier(payload.passcode.as_u32(), salt, ITERATIONS).unwrap();
        assert_eq!(fields[1].1, Value::Bytes(verifier.to_vec()));
        let digits = format!("{}", payload.passcode.as_u32());
        assert!(!format!("{word:?}").contains(&digits));
    }
}
