//! The demo home: this machine's real hub beside further real hubs, with a driver that plays the
//! persons at those devices.
