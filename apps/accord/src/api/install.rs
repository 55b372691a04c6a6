//! How another device comes to trust the hub's own certificate authority. Says nothing personal.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::daemon::hub::Hub;

const PAGE: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Install the hub's certificate</title>\
<meta name=viewport content=\"width=device-width\"></head><body>\
<h1>Open the hub from this device without warnings</h1>\
<p>The hub speaks HTTPS with a certificate authority of its own, which is valid for addresses of private networks only. \
Install it on the devices from which you open the web UI.</p>\
<p><a href=\"/install/accord-authority.crt\" download>Download accord-authority.crt</a></p>\
<p>Compare its SHA-256 fingerprint with the one below, as <code>accord open</code>'s computer shows this page too:</p>\
<p><code>FINGERPRINT</code></p>\
<ul>\
<li><b>Android</b>: Settings, Security, Encryption &amp; credentials, Install a certificate, CA certificate.</li>\
<li><b>iPhone, iPad</b>: open the file, then Settings, Profile Downloaded, Install; then General, About, Certificate Trust Settings: switch it on.</li>\
<li><b>macOS</b>: open the file in Keychain Access, then Trust, Always Trust.</li>\
<li><b>Windows</b>: open the file, Install Certificate, Local Machine, Trusted Root Certification Authorities.</li>\
<li><b>Linux</b>: copy it to <code>/usr/local/share/ca-certificates/</code>, then <code>sudo update-ca-certificates</code>; \
Firefox and Chromium: Settings, Certificates, Authorities, Import.</li>\
</ul></body></html>";

pub async fn page(State(hub): State<Arc<Hub>>) -> Response {
    match hub.authority() {
        Some(authority) => Html(PAGE.replace("FINGERPRINT", &authority.fingerprint)).into_response(),
        None => absent(),
    }
}

pub async fn authority(State(hub): State<Arc<Hub>>) -> Response {
    match hub.authority() {
        Some(authority) => {
            ([(header::CONTENT_TYPE, "application/x-x509-ca-cert")], authority.pem.clone()).into_response()
        }
        None => absent(),
    }
}

fn absent() -> Response {
    (StatusCode::NOT_FOUND, "This hub needs no certificate of its own: it is open on this computer only.")
        .into_response()
}
