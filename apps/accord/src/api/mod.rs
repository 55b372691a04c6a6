//! The local HTTP API. The same router serves the Unix socket and the web listeners; [`guard`] tells
//! them apart.

pub mod auth;
pub mod browse;
pub mod casts;
pub mod error;
pub mod events;
mod extract;
pub mod faces;
pub mod forms;
pub mod guard;
pub mod home;
mod install;
mod neighbours;
pub mod notices;
pub mod people;
pub mod receiver;
mod routes;
pub mod screens;
pub mod shares;
pub mod signed_in;
#[cfg(test)]
mod tests;
pub mod types;
mod ui;
pub mod why;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::daemon::hub::Hub;
pub use routes::session::make_link;

/// Largest JSON body that is read.
const MAX_BODY: usize = 2 << 20;

#[derive(OpenApi)]
#[openapi(
    info(title = "Accord", description = "The local API of an Accord hub.", license(name = "MIT OR Apache-2.0")),
    tags(
        (name = "hub"), (name = "session"), (name = "devices"), (name = "pairing"), (name = "transfers"), (name = "shares"), (name = "casts"), (name = "home"), (name = "notifications"), (name = "clipboard"),
        (name = "privacy"), (name = "ledger")
    )
)]
struct Document;

fn api() -> OpenApiRouter<Arc<Hub>> {
    use routes::{
        browse, casts, clipboard, consents, devices, everyday, forms, home, ledger, notifications, people, receiver,
        screens, session, shares, status, transfers, uploads, why,
    };
    let v1 = OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(status::settings, status::change_settings))
        .routes(routes!(status::reset_id))
        .routes(routes!(status::events))
        .routes(routes!(session::sign_in, session::sign_out))
        .routes(routes!(session::setup_link))
        .routes(routes!(session::list))
        .routes(routes!(session::revoke))
        .routes(routes!(devices::list, devices::add))
        .routes(routes!(devices::join))
        .routes(routes!(forms::list))
        .routes(routes!(forms::add))
        .routes(routes!(forms::sign_in, forms::give_up_sign_in))
        .routes(routes!(devices::get, devices::change))
        .routes(routes!(devices::split))
        .routes(routes!(why::device))
        .routes(routes!(why::house))
        .routes(routes!(why::adding))
        .routes(routes!(everyday::call))
        .routes(routes!(everyday::picture))
        .routes(routes!(browse::list))
        .routes(routes!(browse::fetch))
        .routes(routes!(browse::address))
        .routes(routes!(people::conversations, people::send))
        .routes(routes!(people::conversation))
        .routes(routes!(people::contacts))
        .routes(routes!(everyday::commands, everyday::change_commands))
        .routes(routes!(everyday::presence))
        .routes(routes!(devices::pairings, devices::pair))
        .routes(routes!(devices::pairing))
        .routes(routes!(devices::confirm))
        .routes(routes!(devices::reject))
        .routes(routes!(devices::ticket))
        .routes(routes!(devices::unpair))
        .routes(routes!(transfers::list, transfers::start))
        .routes(routes!(transfers::get, transfers::remove))
        .routes(routes!(transfers::content))
        .routes(routes!(transfers::cancel))
        .routes(routes!(transfers::retry))
        .routes(routes!(transfers::inbox))
        .routes(routes!(transfers::accept))
        .routes(routes!(transfers::refuse))
        .routes(routes!(shares::list, shares::start))
        .routes(routes!(shares::get, shares::stop))
        .routes(routes!(shares::code))
        .routes(routes!(shares::answer))
        .routes(routes!(casts::list, casts::start))
        .routes(routes!(casts::act, casts::stop))
        .routes(routes!(casts::picture))
        .routes(routes!(receiver::get, receiver::open, receiver::close))
        .routes(routes!(screens::list, screens::start))
        .routes(routes!(screens::stop))
        .routes(routes!(uploads::create))
        .routes(routes!(uploads::put_file))
        .routes(routes!(uploads::discard))
        .routes(routes!(notifications::list, notifications::send))
        .routes(routes!(notifications::rules, notifications::set_rules))
        .routes(routes!(notifications::dismiss))
        .routes(routes!(notifications::reply))
        .routes(routes!(notifications::act))
        .routes(routes!(notifications::copy))
        .routes(routes!(clipboard::state))
        .routes(routes!(clipboard::content, clipboard::set))
        .routes(routes!(clipboard::send))
        .routes(routes!(clipboard::set_rules))
        .routes(routes!(clipboard::accept))
        .routes(routes!(clipboard::refuse))
        .routes(routes!(consents::statement))
        .routes(routes!(consents::entries))
        .routes(routes!(consents::list, consents::decide))
        .routes(routes!(consents::withdraw))
        .routes(routes!(consents::receipts))
        .routes(routes!(consents::prompts))
        .routes(routes!(consents::answer, consents::dismiss))
        .routes(routes!(home::rooms))
        .routes(routes!(home::rename_room))
        .routes(routes!(home::put_in_room))
        .routes(routes!(home::order, home::set_order))
        .routes(routes!(home::history, home::delete_all))
        .routes(routes!(home::kept))
        .routes(routes!(home::settings, home::change_settings))
        .routes(routes!(home::delete))
        .routes(routes!(home::export))
        .routes(routes!(home::shown))
        .routes(routes!(home::show, home::take_back))
        .routes(routes!(ledger::list))
        .routes(routes!(ledger::get))
        .routes(routes!(ledger::verify))
        .routes(routes!(ledger::export));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", v1)
}

/// What `/api/v1/openapi.json` says; needs no hub.
pub fn document() -> utoipa::openapi::OpenApi {
    api().split_for_parts().1
}

/// Everything that a hub answers, behind the guard.
pub fn router(hub: Arc<Hub>, guard: guard::Guard) -> Router {
    let (router, document) = api().split_for_parts();
    let document: Arc<str> = serde_json::to_string(&document).unwrap_or_default().into();
    let openapi = move || {
        let document = document.clone();
        async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], document.to_string()) }
    };
    router
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/{*rest}", axum::routing::any(no_such_call))
        .route("/install", get(install::page))
        .route(signed_in::PATH, get(signed_in::page))
        .route("/install/accord-authority.crt", get(install::authority))
        .method_not_allowed_fallback(wrong_method)
        .fallback(ui::serve)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::guard))
        .with_state(hub)
}

async fn no_such_call() -> Response {
    error::Failure::not_found("There is no such call; `/api/v1/openapi.json` lists them.").into_response()
}

async fn wrong_method() -> Response {
    let body = types::ApiError {
        error: "bad-request".to_owned(),
        message: "This call does not take that method.".to_owned(),
        prompt: None,
    };
    (axum::http::StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
