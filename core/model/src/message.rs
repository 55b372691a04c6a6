//! The only things that cross between the core and a bridge (or the link): serialisable commands,
//! replies and events. Byte streams travel beside them under a [`StreamId`]. No callbacks and no
//! shared state cross, so a bridge can live in a process of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::why::Explained;
use crate::{CallId, Data, Device, DeviceId, DeviceKind, Reach, StreamId, Value};

/// Named inputs of an action.
pub type Inputs = BTreeMap<String, Data>;
/// Named outputs of an action, or the values read.
pub type Outputs = BTreeMap<String, Data>;

/// Largest encoded message in either direction, in bytes. Anything longer is a stream.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Which service of a device is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The service's standard name.
    pub service: String,
    /// Which one of several alike; 0 for the first.
    #[serde(default)]
    pub instance: u16,
}

impl Target {
    /// The first instance of `service`.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), instance: 0 }
    }
}

/// What is wanted of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// Read properties; all when empty.
    Read {
        /// Property ids.
        properties: Vec<String>,
    },
    /// Write one property.
    Write {
        /// Property id.
        property: String,
        /// The new value.
        data: Data,
    },
    /// Do something.
    Act {
        /// Action id.
        action: String,
        /// Its inputs.
        inputs: Inputs,
    },
}

/// How a stream is used, so that the bridge can choose how to carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamClass {
    /// Much data, throughput matters.
    Bulk,
    /// Little data, latency matters.
    Interactive,
}

/// From the core to a bridge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToBridge {
    /// Ask a device to do something. Answered by one [`FromBridge::Reply`] with the same id.
    Call {
        /// Chosen by the core.
        call: CallId,
        /// Which device.
        device: DeviceId,
        /// Which service of it.
        target: Target,
        /// What to do.
        verb: Verb,
    },
    /// The caller no longer waits. The bridge may still reply; the reply is dropped.
    Cancel {
        /// The call to give up.
        call: CallId,
    },
    /// Answer to a [`FromBridge::Asked`].
    Answer {
        /// The id of the question.
        call: CallId,
        /// The result.
        outcome: Result<Outputs, CallError>,
    },
    /// Open a byte stream to a service. The stream is handed over beside this message.
    OpenStream {
        /// Chosen by the core.
        stream: StreamId,
        /// Which device.
        device: DeviceId,
        /// Which service of it.
        target: Target,
        /// What it is for.
        inputs: Inputs,
        /// How it will be used.
        class: StreamClass,
    },
    /// Tell what is known about why a device is or is not reached; of the bridge itself when none is named. A device
    /// that is not connected is asked once, as far as the owner agreed to that. Answered by one
    /// [`FromBridge::Explained`] with the same id.
    Explain {
        /// Chosen by the core.
        call: CallId,
        /// Which device.
        device: Option<DeviceId>,
        /// How long that may take, in seconds.
        within: u64,
    },
    /// Add a device that the bridge does not find by itself, or that it may use only with a secret. What a bridge wants
    /// for it is a form of the app's. Answered by one [`FromBridge::Reply`] with the output `devices`, the ids of what was
    /// added; they are kept and were [seen](FromBridge::Seen) by then, and the bridge speaks to them as soon as its gate
    /// allows that. With the output `open` as well they are not added yet: the owner's browser is to go to that address, and
    /// comes back to the address that was given as `return` with what was given as `state` and with a `code`. These two are
    /// the inputs of the way `signed-in` then, once the owner agreed that the bridge speaks to those devices. The way
    /// `not-signed-in` with that `state` says that the browser does not come any more. The input `again` is the id of one that was
    /// added before, which is at another address or has other secrets: it stays the same, and so does what is not given.
    Add {
        /// Chosen by the core.
        call: CallId,
        /// Which of the bridge's ways.
        way: String,
        /// What the owner gave, secrets among it.
        inputs: Inputs,
    },
    /// What this machine is called and is from now on.
    Own {
        /// Its name.
        name: String,
        /// What it is.
        kind: DeviceKind,
    },
    /// Tell the bridge to stop and release everything.
    Stop,
}

/// From a bridge to the core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromBridge {
    /// A device appeared, or what is known of it changed.
    Seen {
        /// The whole description.
        device: Device,
    },
    /// A device can be reached differently.
    Reach {
        /// Which device.
        device: DeviceId,
        /// How.
        reach: Reach,
    },
    /// A device is no more.
    Gone {
        /// Which device.
        device: DeviceId,
    },
    /// Values changed or were read.
    Values {
        /// Which device.
        device: DeviceId,
        /// Which service of it.
        target: Target,
        /// By property id.
        values: BTreeMap<String, Value>,
    },
    /// Something happened at a device.
    Event {
        /// Which device.
        device: DeviceId,
        /// Which service of it.
        target: Target,
        /// Event id.
        event: String,
        /// Its arguments.
        arguments: Outputs,
    },
    /// Result of a [`ToBridge::Call`].
    Reply {
        /// The id of the call.
        call: CallId,
        /// The result.
        outcome: Result<Outputs, CallError>,
    },
    /// Answer to a [`ToBridge::Explain`].
    Explained {
        /// The id of the question.
        call: CallId,
        /// What is known.
        explained: Explained,
    },
    /// A device asks something of this machine. Answered by one [`ToBridge::Answer`].
    Asked {
        /// Chosen by the bridge.
        call: CallId,
        /// Who asks.
        device: DeviceId,
        /// Which of our services.
        target: Target,
        /// What it wants.
        verb: Verb,
    },
    /// A device opens a byte stream to one of our services. The stream is handed over beside this.
    StreamOpened {
        /// Chosen by the bridge.
        stream: StreamId,
        /// Who opens.
        device: DeviceId,
        /// Which of our services.
        target: Target,
        /// What it is for.
        inputs: Inputs,
    },
    /// A [`ToBridge::OpenStream`] worked. The stream is handed over beside this.
    StreamReady {
        /// The id of the stream.
        stream: StreamId,
    },
    /// A stream could not be opened.
    StreamFailed {
        /// The id of the stream.
        stream: StreamId,
        /// Why.
        error: CallError,
    },
    /// The bridge cannot go on. The registry marks its devices offline.
    Failed {
        /// What happened and what to do.
        message: String,
    },
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "message", rename_all = "kebab-case")]
pub enum CallError {
    /// Nobody speaks for this device now.
    #[error("the device cannot be reached: {0}")]
    Unreachable(String),
    /// The device does not offer this.
    #[error("the device does not offer this: {0}")]
    Unsupported(String),
    /// The owner of the other device said no.
    #[error("the other side refused: {0}")]
    Refused(String),
    /// This hub's owner has not agreed to share this.
    #[error("not shared: {0}")]
    NotConsented(String),
    /// No answer in time.
    #[error("no answer within {0} s")]
    Deadline(u64),
    /// The inputs make no sense.
    #[error("bad input: {0}")]
    BadInput(String),
    /// The device reports a failure of its own.
    #[error("the device reports: {0}")]
    Device(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_plain_data() {
        let call = ToBridge::Call {
            call: CallId(7),
            device: DeviceId::new("d").unwrap(),
            target: Target::new("light"),
            verb: Verb::Write { property: "on".into(), data: Data::Bool(true) },
        };
        let json = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<ToBridge>(&json).unwrap(), call);
        let reply = FromBridge::Reply { call: CallId(7), outcome: Err(CallError::Deadline(5)) };
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<FromBridge>(&json).unwrap(), reply);
    }
}
