//! The headers that answers have whatever they are about.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::Response;

/// What a page of ours may do: run its own scripts and the worker, which evaluates what the user
/// typed; read its own site; show images that user code draws. Nothing else.
///
/// - `blob:`: the client library starts the worker from a few lines of its own, so that it can be on
///   another origin than the page.
/// - `'unsafe-eval'`: what js_of_ocaml compiles in the browser is evaluated there. No script that is
///   written in a page is run.
/// - `style-src 'unsafe-inline'`: editors and drawings of user code set styles.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self' blob: 'unsafe-eval'; worker-src 'self' blob:; \
     connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The methods that are answered.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

/// What pages of other origins may see of an answer besides what all may see.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Range, ETag";

/// How long a browser may remember that it may ask: a day, in seconds.
const PREFLIGHT_AGE: &str = "86400";

/// An answer without a body.
pub(super) fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // The site is there for pages of others, too: scripts, modules and data of it.
    set(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(&mut response, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    set(&mut response, HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    response
}

/// An answer of a media type, without a body yet.
pub(super) fn head(status: StatusCode, media_type: &'static str) -> Response {
    let mut response = bare(status);
    set(&mut response, header::CONTENT_TYPE, media_type);
    if media_type.starts_with("text/html") || media_type == "image/svg+xml" {
        set(&mut response, header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        set(&mut response, header::REFERRER_POLICY, "no-referrer");
        // Whoever opens the page gets no hold of its window.
        set(&mut response, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
    response
}

/// An answer that is a text of ours.
pub(super) fn plain(status: StatusCode, media_type: &'static str, text: &'static str) -> Response {
    let mut response = head(status, media_type);
    response.headers_mut().insert(header::CONTENT_LENGTH, text.len().into());
    *response.body_mut() = Body::from(text);
    response
}

/// The answer to a browser that asks whether a page of another origin may ask.
pub(super) fn preflight() -> Response {
    let mut response = bare(StatusCode::NO_CONTENT);
    set(&mut response, header::ALLOW, METHODS);
    set(&mut response, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    set(&mut response, header::ACCESS_CONTROL_ALLOW_HEADERS, "*");
    set(&mut response, header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    response
}

/// Says that the answer stays true for ever.
pub(super) fn keep_for_ever(response: &mut Response) {
    set(response, header::CACHE_CONTROL, FOR_EVER);
}

pub(super) fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// Sets a header to a text that was made for the answer.
pub(super) fn set_text(response: &mut Response, name: HeaderName, value: &str) {
    // Digits and what a URL may hold: always a header's value.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
