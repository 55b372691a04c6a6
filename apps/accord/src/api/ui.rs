//! The web UI, embedded when the program is built. Only names in the embedded table are served, so no
//! path can leave it.

use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};

include!(concat!(env!("OUT_DIR"), "/ui.rs"));

const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Accord</title>\
    <h1>Accord runs</h1><p>This build carries no web UI. Build it with <code>npm ci && npm run build</code> in \
    <code>apps/web</code>, then build Accord again. The command line works without it: <code>accord status</code>.</html>";

/// Answers every `GET` outside the API: a file of the UI, or its first page for the UI's own routes.
pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    answer(FILES, uri.path(), &headers)
}

fn answer(files: &[(&str, &str, &'static [u8])], path: &str, headers: &HeaderMap) -> Response {
    let name = path.trim_start_matches('/');
    let find = |name: &str| files.iter().find(|file| file.0 == name);
    let hashed = name.starts_with("assets/");
    let found = match find(if name.is_empty() { "index.html" } else { name }) {
        Some(file) => file,
        // A missing file is an error; a route of the UI is its first page.
        None if hashed || name.rsplit('/').next().is_some_and(|last| last.contains('.')) => {
            return (StatusCode::NOT_FOUND, "There is no such file.").into_response();
        }
        None => match find("index.html") {
            Some(file) => file,
            None => return Html(NOT_BUILT).into_response(),
        },
    };
    let (name, digest, bytes) = *found;
    let etag = format!("\"{digest}\"");
    let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if headers.get(header::IF_NONE_MATCH).is_some_and(|value| *value == *etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes.into_response()
    };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, etag);
    }
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UI: &[(&str, &str, &[u8])] =
        &[("index.html", "a", b"<p>"), ("assets/app-1f.js", "b", b"1"), ("sw.js", "c", b"2")];

    fn get(path: &str) -> (StatusCode, String, String) {
        let response = answer(UI, path, &HeaderMap::new());
        let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        (response.status(), header(header::CONTENT_TYPE), header(header::CACHE_CONTROL))
    }

    #[test]
    fn hashed_files_are_kept_for_ever_and_pages_are_asked_for_anew() {
        assert!(get("/assets/app-1f.js").2.contains("immutable"));
        assert_eq!(get("/sw.js").2, "no-cache");
        assert_eq!(get("/").1, "text/html; charset=utf-8");
        assert_eq!(get("/devices/link-1").1, "text/html; charset=utf-8", "a route of the UI");
    }

    #[test]
    fn nothing_outside_the_table_is_served() {
        for path in ["/assets/missing.js", "/../Cargo.toml", "/assets/../index.html", "/%2e%2e/keys.json", "/keys.json"]
        {
            assert_eq!(get(path).0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"c\""))]);
        assert_eq!(answer(UI, "/sw.js", &headers).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn a_build_without_ui_says_how_to_get_one() {
        let response = answer(&[], "/", &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
    }
}
