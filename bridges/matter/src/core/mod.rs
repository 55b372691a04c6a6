//! Matter without any I/O.
//!
//! | part | what it is |
//! |---|---|
//! | `advert` | what nodes announce by DNS-SD |
//! | `dialog` | what is said with a node over a session: a subscription to all that it has, and what it is told |

pub mod advert;
pub mod dialog;
