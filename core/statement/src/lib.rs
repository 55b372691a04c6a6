//! The statement: what may leave a device, declared in a form that people read and the gate enforces.
//!
//! - [`entry`]: the words: [`Statement`], [`Entry`], [`Recipient`], [`Field`]
//! - [`own`]: reads our `statement.toml` parts and joins them
//! - [`document`]: reads whatever statement a file holds
//! - [`mod@import`]: reads other publishers' pages
//! - [`mod@fingerprint`]: what a consent binds to, apart from the wording
//! - [`compare`]: whether a newer entry shares more, less or is only reworded
//! - [`mod@diff`]: two versions of a statement, ours or a publisher's
//! - [`mod@lint`]: what a statement leaves open
//! - [`render`]: terminal, Markdown, HTML, JSON, JSON-LD
//!
//! ```
//! use accord_statement::{Publisher, Statement};
//! let part = accord_statement::EXAMPLE;
//! let statement = Statement::join("example", "Example", Publisher::named("Example"), "1", &[part]).unwrap();
//! let entry = &statement.entries[0];
//! assert!(entry.required().is_subset(entry.field_set()));
//! assert_eq!(entry.fingerprint().to_string().len(), 64);
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod compare;
pub mod diff;
pub mod document;
pub mod entry;
pub mod fingerprint;
pub mod import;
pub mod lint;
pub mod own;
pub mod render;
pub mod wording;

pub use compare::{Change, Comparison, compare};
pub use diff::{Diff, DiffEntry, diff};
pub use document::Document;
pub use entry::{Entry, EntryText, Field, Means, Method, Publisher, Recipient, SharingType, Statement};
pub use fingerprint::Fingerprint;
pub use import::{DataItem, ImportedEntry, ImportedStatement, fuzz_import, import};
pub use lint::{Finding, Level, Lint, lint};
pub use own::{OwnError, Part};

/// A documented `statement.toml`, as a feature would keep it.
pub const EXAMPLE: &str = include_str!("../examples/example.statement.toml");
