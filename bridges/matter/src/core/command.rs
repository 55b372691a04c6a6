//! What is sent to a node: an attribute that is written, or a command that is invoked. [`super::node::Node::order`] makes them of
//! what the house wants; the driver encodes it with [`Command::data`] and sends it, as a timed interaction where
//! [`Command::timed`] says so (Core specification, 8.7.3 and 8.8).

use std::fmt;

use super::value::{Value, ValueError};

/// One thing that a node is told.
#[derive(Clone, PartialEq)]
pub struct Command {
    /// Which endpoint.
    pub endpoint: u16,
    /// Which cluster of it.
    pub cluster: u32,
    /// What.
    pub what: What,
    /// To be sent as a timed interaction: what locks and unlocks wants that.
    pub timed: bool,
}

/// An attribute or a command of a cluster.
#[derive(Clone, PartialEq)]
pub enum What {
    /// This command, with these fields (a [`Value::Struct`]).
    Invoke {
        /// Its number.
        command: u32,
        /// Its fields.
        fields: Value,
    },
    /// This attribute becomes that.
    Write {
        /// Its number.
        attribute: u32,
        /// The new value.
        value: Value,
    },
}

impl Command {
    /// A command with fields.
    pub(crate) fn invoke(endpoint: u16, cluster: u32, command: u32, fields: Vec<(u8, Value)>) -> Self {
        let what = What::Invoke { command, fields: Value::Struct(fields) };
        Self { endpoint, cluster, what, timed: false }
    }

    /// An attribute that is written.
    pub(crate) fn write(endpoint: u16, cluster: u32, attribute: u32, value: Value) -> Self {
        Self { endpoint, cluster, what: What::Write { attribute, value }, timed: false }
    }

    /// The same as a timed interaction.
    #[must_use]
    pub(crate) fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// The command's fields or the attribute's value, as one TLV element without a tag.
    ///
    /// # Errors
    /// [`ValueError`]; never for what [`super::node::Node::order`] made.
    pub fn data(&self) -> Result<Vec<u8>, ValueError> {
        match &self.what {
            What::Invoke { fields, .. } => fields.encode(),
            What::Write { value, .. } => value.encode(),
        }
    }
}

/// Without what is in it: that may be the code of a lock.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, cluster, what, .. } = self;
        write!(f, "{endpoint}/{cluster:#06x}/{what:?}")
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invoke { command, .. } => write!(f, "invoke {command:#04x}"),
            Self::Write { attribute, .. } => write!(f, "write {attribute:#06x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_not_in_a_log() {
        let command = Command::invoke(1, 0x101, 1, vec![(0, Value::Bytes(b"4711".to_vec()))]).timed();
        assert_eq!(format!("{command:?}"), "1/0x0101/invoke 0x01");
        assert_eq!(command.data().unwrap(), [0x15, 0x30, 0x00, 4, b'4', b'7', b'1', b'1', 0x18]);
    }
}
