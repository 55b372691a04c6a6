//! UPnP AV as a control point sees it, without sockets and without a clock: bytes and `now` in, bytes and events out.
//!
//! | part | what it is |
//! |---|---|
//! | [`ssdp`], [`discovery`] | datagrams; who is here, and whose description is fetched |
//! | [`place`], [`http`], [`xml`] | addresses, answers and documents of devices, each within limits |
//! | [`description`], [`soap`], [`didl`] | what a device is, what it can be told, and what it says is playing |
//! | [`gena`] | what a device tells by itself |
//! | [`renderer`] | one renderer: commands in, actions out, values out |
//! | [`directory`] | what lies on a media server |
//!
//! After the UPnP Device Architecture 1.1 and the AVTransport:1, RenderingControl:1, ConnectionManager:1 and
//! ContentDirectory:1 service templates (UPnP Forum). Section numbers in the code are theirs.

pub mod description;
pub mod didl;
pub mod directory;
pub mod discovery;
pub mod gena;
pub mod http;
pub mod place;
pub mod renderer;
pub mod soap;
pub mod ssdp;
pub mod xml;
