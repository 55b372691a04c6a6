//! What maps and what does not.

use std::collections::BTreeMap;
use std::fmt;

use super::Home;
use crate::core::map::{Mapped, Reason, map};

/// Of one domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Domain {
    /// Entities that a standard service stands for.
    pub standard: usize,
    /// Entities whose all is in `more`.
    pub more: usize,
    /// Entities of which nothing is shown.
    pub left_out: usize,
    /// Why not, of the last one.
    pub reason: Option<Reason>,
    /// Properties and actions of standard services.
    pub properties: usize,
    /// Properties and actions of `more`.
    pub more_properties: usize,
}

/// By domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By domain.
    pub domains: BTreeMap<String, Domain>,
    /// Devices that they are in.
    pub devices: usize,
    /// Left out because there are too many.
    pub beyond: usize,
}

impl Counts {
    /// Entities: by standard services, by `more`, left out.
    pub fn total(&self) -> (usize, usize, usize) {
        let all = self.domains.values();
        all.fold((0, 0, 0), |(one, two, three), of| (one + of.standard, two + of.more, three + of.left_out))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (standard, more, left_out) = self.total();
        writeln!(f, "{} devices; {standard} entities standard, {more} in `more`, {left_out} left out", self.devices)?;
        for (domain, of) in &self.domains {
            write!(f, "  {domain:<22} {:>4} {:>4} {:>4}", of.standard, of.more, of.left_out)?;
            write!(f, "   {:>3} + {:>3} properties and actions", of.properties, of.more_properties)?;
            writeln!(f, "{}", of.reason.map_or_else(String::new, |reason| format!("   ({})", reason.as_str())))?;
        }
        if self.beyond > 0 {
            writeln!(f, "  {} left out because there are too many", self.beyond)?;
        }
        Ok(())
    }
}

impl Home {
    /// What of it maps, and what does not.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { devices: self.devices.len(), beyond: self.beyond(), ..Counts::default() };
        for (id, now) in &self.now {
            let entity = self.entity(id, now);
            let of = counts.domains.entry(entity.domain().to_owned()).or_default();
            match map(&entity) {
                Mapped::LeftOut(reason) => {
                    of.left_out += 1;
                    of.reason = Some(reason);
                }
                Mapped::Parts(parts) => {
                    let is_standard = parts.iter().any(|part| part.service.id != "more");
                    if is_standard {
                        of.standard += 1;
                    } else {
                        of.more += 1;
                    }
                    for part in parts {
                        let has =
                            part.service.properties.len() + part.service.actions.len() + part.service.events.len();
                        match part.service.id.as_str() {
                            "more" => of.more_properties += has,
                            _ => of.properties += has,
                        }
                    }
                }
            }
        }
        counts
    }
}
