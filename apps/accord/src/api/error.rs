//! Every answer that is not 2xx.

use accord_model::CallError;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::types::{ApiError, Prompt};

/// An error on its way to the caller. Made by the functions below, or from a core error with `?`.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    body: Box<ApiError>,
    retry_after: Option<u64>,
}

/// What every handler returns.
pub type Answer<T> = Result<T, Failure>;

impl Failure {
    fn new(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let body = Box::new(ApiError { error: error.to_owned(), message: message.into(), prompt: None });
        Self { status, body, retry_after: None }
    }
    /// The same in other words.
    pub fn saying(mut self, message: String) -> Self {
        self.body.message = message;
        self
    }
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", message)
    }
    /// It opens or loses something; the same call with `confirmed`.
    pub fn confirm_needed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "confirm-needed", message)
    }
    /// What was to be added does not answer; the same call with `away`.
    pub fn not_reached(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "not-reached", message)
    }
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "unreachable", message)
    }
    pub fn sign_in() -> Self {
        Self::not_signed_in("Sign in first: run `accord open` on the computer that runs the hub.")
    }
    pub fn not_signed_in(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign-in", message)
    }
    pub fn misdirected() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "forbidden",
            "This name is not one of the hub's; open the address that `accord status` shows.",
        )
    }
    pub fn too_many(message: impl Into<String>, seconds: u64) -> Self {
        let mut failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "forbidden", message);
        failure.retry_after = Some(seconds);
        failure
    }
    pub fn no_space(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "conflict", message)
    }
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "internal", message)
    }
    /// Logs the cause; the caller learns what could not be done.
    pub fn internal(what: &str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("{what}: {cause}"))
    }
    /// The owner has not decided: what to decide.
    pub fn consent_needed(prompt: Prompt) -> Self {
        let message = format!(
            "{} needs your consent to `{}`: decide in the web UI, or run `accord consent grant {} --to {}`.",
            prompt.because, prompt.entry.title, prompt.entry.key, prompt.to
        );
        let mut failure = Self::new(StatusCode::CONFLICT, "consent-needed", message);
        failure.body.prompt = Some(prompt);
        failure
    }
    /// What the caller learns.
    pub fn message(&self) -> &str {
        &self.body.message
    }
    #[cfg(test)]
    pub fn code(&self) -> &str {
        &self.body.error
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.body.message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(*self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad-request", "The request is too large.")
            }
            _ => Self::bad_request(accord_model::text::for_screen(&rejection.body_text(), 300)),
        }
    }
}
impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(accord_model::text::for_screen(&rejection.body_text(), 300))
    }
}
impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(accord_model::text::for_screen(&rejection.body_text(), 300))
    }
}
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            CallError::Unreachable(_) | CallError::Deadline(_) => Self::unreachable(message),
            CallError::Refused(_) | CallError::NotConsented(_) => Self::refused(message),
            CallError::BadInput(_) => Self::bad_request(message),
            CallError::Unsupported(_) => Self::not_found(message),
            CallError::Device(_) => Self::conflict(message),
        }
    }
}
