//! Which request is meant by which path.

use super::Secret;
use super::http::{Method, RequestHead};

/// A request by what it asks for. Parameters are as the peer sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET info`, of version 1 too: who is this?
    Info,
    /// `POST register`: here I am.
    Register,
    /// `POST prepare-upload`.
    PrepareUpload {
        /// The PIN that was typed.
        pin: Option<Secret>,
    },
    /// `POST upload`.
    Upload {
        /// The session.
        session: Option<Secret>,
        /// The file's id.
        file: Option<String>,
        /// The file's token.
        token: Option<Secret>,
    },
    /// `POST cancel`.
    Cancel {
        /// The session; without, the request that waits for an answer.
        session: Option<Secret>,
    },
    /// A path of ours, asked otherwise.
    WrongMethod,
    /// Nothing of ours.
    Unknown,
}

impl Route {
    /// What a request means.
    pub fn of(head: &RequestHead) -> Self {
        let parameter = |name: &str| head.parameter(name).map(Secret::from);
        let is_post = head.method == Method::Post;
        let (route, post) = match head.path.as_str() {
            "/api/localsend/v1/info" | "/api/localsend/v2/info" => (Self::Info, false),
            "/api/localsend/v2/register" => (Self::Register, true),
            "/api/localsend/v2/prepare-upload" => (Self::PrepareUpload { pin: parameter("pin") }, true),
            "/api/localsend/v2/upload" => {
                let (session, file, token) =
                    (parameter("sessionId"), head.parameter("fileId").map(str::to_owned), parameter("token"));
                (Self::Upload { session, file, token }, true)
            }
            "/api/localsend/v2/cancel" => (Self::Cancel { session: parameter("sessionId") }, true),
            _ => return Self::Unknown,
        };
        let fits = if post { is_post } else { head.method == Method::Get };
        if fits { route } else { Self::WrongMethod }
    }
}
