//! A statement and a signer for examples and tests.

use std::sync::Arc;

use accord_statement::{Publisher, Statement};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::Signer;

/// Entries: `example/hello` to paired devices, `example/beacon` to everyone near, `example/page` to visitors, and
/// `example/cloud` to a company.
pub const STATEMENT: &str = r#"
owner = "example"

[[entry]]
key = "example/hello"
recipient = { id = "paired-device", name = "Your paired device", role = "own-device" }
means = { type = "service", name = "Example" }
fields = [{ code = "device.name", required = true }, "device.type", "file.content", "file.name"]
purpose = ["service.greeting"]
scenario = ["on.request"]
method = { acquire = "in-process", transport = "lan" }
retention = "session"
[entry.text.en]
title = "Saying hello"
purpose = "Another device greets by name."
scenario = "When you ask for it."

[[entry]]
key = "example/beacon"
recipient = { id = "local-network", name = "Devices on this network" }
means = { type = "service", name = "Example" }
fields = ["presence", "device.type"]
purpose = ["service.discovery"]
scenario = ["while.running"]
method = { acquire = "in-process", transport = "lan" }
retention = "session"
[entry.text.en]
title = "Being seen"

[[entry]]
key = "example/page"
recipient = { id = "visitor", name = "Browsers that you let in" }
means = { type = "service", name = "Example" }
fields = ["device.name", "file.content", "file.name"]
purpose = ["service.example"]
scenario = ["on.request"]
method = { acquire = "in-process", transport = "lan" }
retention = "session"
[entry.text.en]
title = "Showing a page"

[[entry]]
key = "example/cloud"
recipient = { id = "example-company", name = "Example Ltd." }
means = { type = "service", name = "Example" }
fields = ["device.type", "device.name"]
purpose = ["service.example"]
scenario = ["on.request"]
method = { acquire = "in-process", transport = "hosts" }
hosts = ["cloud.example:443", "*.cdn.example:443"]
retention = "P30D"
[entry.text.en]
title = "Asking Example Ltd."
"#;

/// A key that signs checkpoints in examples and tests.
pub struct ExampleKey(SigningKey);

impl Signer for ExampleKey {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
    fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

/// The statement from its text.
///
/// # Panics
/// When the text is no statement.
pub fn statement(version: &str, text: &str) -> Statement {
    Statement::join("example", "Example", Publisher::named("Example"), version, &[text])
        .expect("the example is a statement")
}

/// The example statement and a key.
pub fn parts() -> (Statement, Arc<dyn Signer>) {
    (statement("1", STATEMENT), key(7))
}

/// A key of its own for each number.
pub fn key(number: u8) -> Arc<dyn Signer> {
    Arc::new(ExampleKey(SigningKey::from_bytes(&[number; 32])))
}
