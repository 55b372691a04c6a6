//! How handlers take their input: refused input answers as [`super::types::ApiError`] like all else.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::Failure;

const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A JSON body; nothing at all is the default, for calls whose fields are all optional.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Body<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = whole(request, state).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(T::default()));
        }
        Ok(Self(Json::<T>::from_bytes(&bytes)?.0))
    }
}

/// A JSON body that must be there.
pub struct Wanted<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Wanted<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = whole(request, state).await?;
        Ok(Self(Json::<T>::from_bytes(&bytes)?.0))
    }
}

/// As [`Wanted`], where what is wanted holds secrets: what is wrong with it is said without quoting it.
pub struct Discreet<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Discreet<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = whole(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Failure::bad_request(format!(
                "The request is not what this call takes, a field is missing, unknown or no text: line {}, column {}.",
                error.line(),
                error.column()
            ))
        })
    }
}

/// The whole body. A stranger can be the one who sends it: it has a deadline.
async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failure> {
    match tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Failure::bad_request("The request is too large or broke off.")),
        Err(_) => Err(Failure::bad_request("The request took too long to come.")),
    }
}

/// The one parameter of a path.
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await?;
        if id.len() > 512 {
            return Err(Failure::bad_request("The id is too long."));
        }
        Ok(Self(id))
    }
}

/// The two parameters of a path, in their order.
pub struct Ids(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state).await?;
        if first.len().max(second.len()) > 512 {
            return Err(Failure::bad_request("The id is too long."));
        }
        Ok(Self(first, second))
    }
}

/// The query of a URL.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Query(query) = Query::<T>::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = Request::new(axum::body::Body::from_stream(never));
        let waited = tokio::time::timeout(Duration::from_secs(60), Wanted::<u32>::from_request(request, &())).await;
        assert_eq!(
            waited.expect("it gives up").err().map(|failure| failure.code().to_owned()),
            Some("bad-request".into())
        );
    }
}
