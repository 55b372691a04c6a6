//! Where a browser comes back to when its owner signed in with a device's own web page. It may be signed in here or not: what
//! it was sent away with shows that it is the one. The page says how it went, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use accord_model::text::for_screen;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::daemon::hub::Hub;

/// Its path.
pub const PATH: &str = "/signed-in";

pub async fn page(
    State(hub): State<Arc<Hub>>,
    query: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let code = match text("error") {
        "" => Ok(text("code")),
        "access_denied" => Err("you did not agree there".to_owned()),
        other => Err(for_screen(other, 60)),
    };
    match hub.signed_in(text("state"), code).await {
        Ok(what) => Html(said("You are signed in", &format!("Accord speaks to {what} now."))).into_response(),
        Err(failure) => {
            let page = said("You are not signed in", failure.message());
            (StatusCode::BAD_REQUEST, Html(page)).into_response()
        }
    }
}

fn said(title: &str, text: &str) -> String {
    let [title, text] = [title, text].map(escaped);
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title></head><body><h1>{title}</h1><p>{text}</p>\
         <p>You can close this page, or go on to <a href=\"/\">Accord</a>.</p></body></html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_is_text_on_the_page() {
        let page = said("a", "<script>alert('1')</script>&\"");
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"), "{page}");
    }
}
