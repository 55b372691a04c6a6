//! Signing in and out of the web UI.

use std::sync::Arc;

use accord_model::Timestamp;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::auth::{SETUP_LIFETIME, SignInError};
use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Wanted};
use crate::api::guard::{Caller, Door};
use crate::api::neighbours::is_of_another_user;
use crate::api::types::{ApiError, InstallPage, Session, Sessions, SetupLink, SignIn};
use crate::daemon::hub::Hub;

/// Trade the one-time token of a setup link for a session cookie
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn,
    responses((status = 204, description = "Signed in"), (status = 401, body = ApiError), (status = 429, body = ApiError)))]
pub async fn sign_in(
    State(hub): State<Arc<Hub>>,
    Extension(door): Extension<Door>,
    headers: HeaderMap,
    Wanted(body): Wanted<SignIn>,
) -> Answer<Response> {
    let Door::Web { peer, local, tls } = door else {
        return Err(Failure::bad_request("The Unix socket needs no session."));
    };
    // Behind a proxy of the owner's, every connection is the proxy's.
    if hub.config().http_names.is_empty() && is_of_another_user(peer, local) {
        return Err(Failure::forbidden("This hub belongs to another user of this computer."));
    }
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    match hub.auth.sign_in(&body.token, peer.ip(), agent) {
        Ok(secret) => Ok(with_cookie(&hub.auth.cookie_name(tls), &secret, tls, 365 * 24 * 3600)),
        Err(error @ SignInError::TooMany(seconds)) => Err(Failure::too_many(error.to_string(), seconds)),
        Err(error @ SignInError::NotValid) => Err(Failure::not_signed_in(error.to_string())),
    }
}

/// Sign this browser out
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204, description = "Signed out")))]
pub async fn sign_out(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Extension(door): Extension<Door>,
) -> Response {
    if let Caller::Session { id } = caller {
        hub.auth.revoke(&id);
    }
    let tls = matches!(door, Door::Web { tls: true, .. });
    with_cookie(&hub.auth.cookie_name(tls), "", tls, 0)
}

/// Make a setup link (through the Unix socket only)
#[utoipa::path(post, path = "/session/token", tag = "session",
    responses((status = 200, body = SetupLink), (status = 403, body = ApiError), (status = 404, body = ApiError)))]
pub async fn setup_link(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>) -> Answer<Json<SetupLink>> {
    if caller != Caller::Owner {
        return Err(Failure::forbidden("Setup links are made in a terminal: run `accord open`."));
    }
    Ok(Json(make_link(&hub).await?))
}

/// A link that signs one browser in, for this machine and for others.
pub async fn make_link(hub: &Hub) -> Answer<SetupLink> {
    let url = hub.web_url().ok_or_else(|| {
        Failure::not_found("This hub serves no web UI; start it with `accord up --http 127.0.0.1:8420`.")
    })?;
    let token = hub.auth.setup_token().map_err(|error| Failure::internal("No setup link could be made", error))?;
    let others = hub.urls_beyond().await;
    let authority = hub.authority().zip(others.first()).map(|(authority, url)| InstallPage {
        url: format!("{url}/install"),
        fingerprint: authority.fingerprint.clone(),
    });
    let link = |url: &str| format!("{url}/#setup={token}");
    Ok(SetupLink {
        url: link(url),
        others: others.iter().map(|url| link(url)).collect(),
        install: authority,
        expires: Timestamp::now() + SETUP_LIFETIME,
    })
}

/// Browsers that are signed in
#[utoipa::path(get, path = "/sessions", tag = "session", responses((status = 200, body = Sessions)))]
pub async fn list(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>) -> Json<Sessions> {
    let sessions = hub.auth.sessions().into_iter().map(|session| Session {
        current: caller == Caller::Session { id: session.id.clone() },
        id: session.id,
        agent: session.agent,
        created: session.created,
        last_used: session.last_used,
    });
    Json(Sessions { sessions: sessions.collect() })
}

/// Sign another browser out
#[utoipa::path(delete, path = "/sessions/{id}", tag = "session", params(("id" = String, Path)),
    responses((status = 204, description = "Signed out"), (status = 404, body = ApiError)))]
pub async fn revoke(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    if hub.auth.revoke(&id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::not_found("That browser is not signed in."))
}

fn with_cookie(name: &str, value: &str, tls: bool, max_age: u64) -> Response {
    let secure = if tls { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
