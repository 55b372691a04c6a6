//! Values in words and words as values, for whoever shows devices of the house or is told what to set. No I/O.
//!
//! ```
//! use accord_home::say;
//! use accord_model::{Data, Format, Property, Unit};
//! let level = Property::state("level", Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0).writable();
//! assert_eq!(say::value(&level, &Data::Int(30)), "30 %");
//! assert_eq!(say::data(&level, "30%"), Ok(Data::Int(30)));
//! assert!(say::data(&level, "130").unwrap_err().contains("between 0 and 100 %"));
//! ```

mod address;
mod alone;
mod parse;
mod words;

pub use address::{Addressed, Misaddressed, Wanted, action, place, property};
pub use alone::{Meant, alone};
pub use parse::data;
pub use words::{One, Tone, enum_name, of_device, tone_of, value};
