//! From a request to its answer.

use std::io::SeekFrom;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use tokio::io::AsyncSeekExt;

use crate::compress::Coding;
use crate::store::disk::Directory;

use super::conditions::{Wanted, wanted};
use super::encoding::choices;
use super::file::Pieces;
use super::headers::{self, METHODS, bare, head, plain, set, set_text};
use super::open::{Found, OpenFile, open};
use super::target::Target;

const TEXT: &str = "text/plain; charset=utf-8";

const NOT_FOUND: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not found</title>\
     <h1>Not found</h1><p>There is nothing at this address. <a href=\"/\">To the start</a></p></html>\n";

/// Answers one request from the files below `root`.
pub(super) async fn answer(root: Arc<Directory>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    if request.method() == Method::OPTIONS {
        return headers::preflight();
    }
    if !is_head && request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "");
        set(&mut response, header::ALLOW, METHODS);
        return response;
    }
    let accepted = request.headers().get_all(header::ACCEPT_ENCODING).iter();
    let choices = choices(accepted.filter_map(|value| value.to_str().ok()));
    let found = match Target::parse(request.uri().path()) {
        None => Found::Nothing,
        Some(target) => {
            // Opening may wait for a disk.
            let opened = tokio::task::spawn_blocking(move || open(&root, target, &choices)).await;
            opened.ok().and_then(Result::ok).unwrap_or(Found::Nothing)
        }
    };
    let mut response = match found {
        Found::Nothing => plain(StatusCode::NOT_FOUND, "text/html; charset=utf-8", NOT_FOUND),
        Found::Directory => redirect(request.uri()),
        Found::NotAcceptable => {
            let mut response = plain(StatusCode::NOT_ACCEPTABLE, TEXT, "There is no such coding of this.\n");
            set(&mut response, header::VARY, "Accept-Encoding");
            response
        }
        Found::File(file) => send(*file, request.headers(), is_head).await,
    };
    if is_head {
        // The length that a GET would have stays in the headers.
        *response.body_mut() = Body::empty();
    }
    response
}

/// To the same path with a slash. The place is relative, so that it is right behind a proxy that serves
/// the site at a path of its own, and so that it cannot name another host.
fn redirect(uri: &Uri) -> Response {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, TEXT, "");
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    set_text(&mut response, header::LOCATION, &format!("./{name}/{query}"));
    response
}

async fn send(open: OpenFile, request: &HeaderMap, is_head: bool) -> Response {
    let wanted = wanted(request, &open.tag, open.size, is_head);
    let mut response = match wanted {
        Wanted::Nothing => bare(StatusCode::NOT_MODIFIED),
        Wanted::Other => plain(StatusCode::PRECONDITION_FAILED, TEXT, ""),
        Wanted::Beyond => plain(StatusCode::RANGE_NOT_SATISFIABLE, TEXT, ""),
        Wanted::Part(_) => head(StatusCode::PARTIAL_CONTENT, open.target.media_type()),
        Wanted::Everything => head(StatusCode::OK, open.target.media_type()),
    };
    if open.varies {
        set(&mut response, header::VARY, "Accept-Encoding");
    }
    if open.target.is_immutable() && wanted != Wanted::Other && wanted != Wanted::Beyond {
        headers::keep_for_ever(&mut response);
    }
    let range = match wanted {
        Wanted::Other => return response,
        Wanted::Beyond => {
            set_text(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", open.size));
            return response;
        }
        Wanted::Nothing => {
            set_text(&mut response, header::ETAG, &open.tag);
            return response;
        }
        Wanted::Part(range) => {
            let said = format!("bytes {}-{}/{}", range.start, range.end - 1, open.size);
            set_text(&mut response, header::CONTENT_RANGE, &said);
            range
        }
        Wanted::Everything => 0..open.size,
    };
    set_text(&mut response, header::ETAG, &open.tag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    if let Some(coding) = open.coding {
        set(&mut response, header::CONTENT_ENCODING, Coding::token(coding));
    }
    let mut file = tokio::fs::File::from_std(open.file);
    if range.start > 0 && file.seek(SeekFrom::Start(range.start)).await.is_err() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "");
    }
    let length = range.end - range.start;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    *response.body_mut() = Body::from_stream(Pieces::new(file, length));
    response
}
