//! From a request to its answer.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::io::AsyncSeekExt;

use crate::store::disk::Directory;

use super::file::Pieces;
use super::target::Target;

/// What a page of ours may do: run its own scripts and the worker, which evaluates what the user
/// typed; read its own site; show images that user code draws. Nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self' blob: 'unsafe-eval'; worker-src 'self' blob:; \
     connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

const FOR_EVER: &str = "public, max-age=31536000, immutable";

const NOT_FOUND: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not found</title>\
     <h1>Not found</h1><p>There is nothing at this address. <a href=\"/\">To the start</a></p></html>\n";

/// Answers one request from the files below `root`.
pub(super) async fn answer(root: Arc<Directory>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let found = match Target::parse(request.uri().path()) {
        None => Found::Nothing,
        Some(target) => {
            // Opening may wait for a disk.
            let opened = tokio::task::spawn_blocking(move || open(&root, target)).await;
            opened.ok().and_then(Result::ok).unwrap_or(Found::Nothing)
        }
    };
    let mut response = match found {
        Found::Nothing => plain(StatusCode::NOT_FOUND, "text/html; charset=utf-8", NOT_FOUND),
        Found::Directory => redirect(request.uri().path()),
        Found::File(file) => send(file, request.headers()).await,
    };
    if is_head {
        // The length that a GET would have stays in the headers.
        *response.body_mut() = Body::empty();
    }
    response
}

enum Found {
    File(OpenFile),
    /// A directory, asked for without the slash that relative links on its page need.
    Directory,
    Nothing,
}

struct OpenFile {
    file: std::fs::File,
    target: Target,
    size: u64,
    /// Changes when the file is replaced.
    tag: String,
}

fn open(root: &Directory, mut target: Target) -> io::Result<Found> {
    let names = |target: &Target| -> io::Result<std::fs::File> {
        root.open_below(&target.names.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    if target.is_directory {
        target.names.push(b"index.html".to_vec());
    }
    let file = names(&target)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(if target.is_directory { Found::Nothing } else { Found::Directory });
    }
    if !metadata.is_file() {
        return Ok(Found::Nothing);
    }
    let time = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", metadata.len(), time.as_nanos());
    Ok(Found::File(OpenFile { file, target, size: metadata.len(), tag }))
}

/// The headers that every answer has.
fn head(status: StatusCode, media_type: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set =
        |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, media_type);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(header::CACHE_CONTROL, "no-cache");
    if media_type.starts_with("text/html") || media_type == "image/svg+xml" {
        set(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        set(header::REFERRER_POLICY, "no-referrer");
    }
    response
}

fn plain(status: StatusCode, media_type: &'static str, text: &'static str) -> Response {
    let mut response = head(status, media_type);
    response.headers_mut().insert(header::CONTENT_LENGTH, text.len().into());
    *response.body_mut() = Body::from(text);
    response
}

fn redirect(path: &str) -> Response {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "text/plain; charset=utf-8", "");
    // The path was checked: it begins with one slash, so it cannot name another host.
    if let Ok(location) = HeaderValue::try_from(format!("{path}/")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn send(open: OpenFile, request: &HeaderMap) -> Response {
    let mut response = head(StatusCode::OK, open.target.media_type());
    let headers = response.headers_mut();
    if open.target.is_immutable() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(tag) = HeaderValue::try_from(open.tag.as_str()) {
        headers.insert(header::ETAG, tag);
    }
    if text(request, &header::IF_NONE_MATCH).is_some_and(|tags| names_tag(tags, &open.tag)) {
        headers.remove(header::CONTENT_TYPE);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    // A range counts only if the client has the rest of this very file.
    let is_same = text(request, &header::IF_RANGE).is_none_or(|tag| tag.trim() == open.tag);
    let asked = text(request, &header::RANGE).filter(|_| is_same);
    let range = match asked.map(|asked| byte_range(asked, open.size)) {
        None | Some(Asked::Everything) => 0..open.size,
        Some(Asked::Part(range)) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set_range(&mut response, &format!("bytes {}-{}/{}", range.start, range.end - 1, open.size));
            range
        }
        Some(Asked::Beyond) => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            set_range(&mut response, &format!("bytes */{}", open.size));
            response.headers_mut().insert(header::CONTENT_LENGTH, 0.into());
            return response;
        }
    };
    let mut file = tokio::fs::File::from_std(open.file);
    if range.start > 0 && file.seek(SeekFrom::Start(range.start)).await.is_err() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "");
    }
    let length = range.end - range.start;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    *response.body_mut() = Body::from_stream(Pieces::new(file, length));
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn set_range(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

/// Whether a list of entity tags (or `*`) names `tag`; a weak tag of the same text does.
fn names_tag(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Several ranges, or a unit or form that we do not know: the whole file is a right answer.
    Everything,
    Part(Range<u64>),
    Beyond,
}

/// Reads a `Range` header for a file of `size` bytes.
fn byte_range(header: &str, size: u64) -> Asked {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Asked::Everything;
    };
    let number = |text: &str| -> Option<u64> {
        let text = text.trim();
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let range = match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(count) => size.saturating_sub(count)..size,
            None => return Asked::Everything,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Asked::Everything,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Asked::Everything,
        },
    };
    if range.is_empty() { Asked::Beyond } else { Asked::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (header, expected) in [
            ("bytes=0-4", Asked::Part(0..5)),
            ("bytes=5-", Asked::Part(5..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=8-99", Asked::Part(8..10)),
            ("bytes=0-18446744073709551615", Asked::Part(0..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=4-2", Asked::Everything),
            ("bytes=0-1,3-4", Asked::Everything),
            ("bytes=+1-2", Asked::Everything),
            ("bytes=99999999999999999999-", Asked::Everything),
            ("bytes=-", Asked::Everything),
            ("lines=1-2", Asked::Everything),
            ("", Asked::Everything),
        ] {
            assert_eq!(byte_range(header, 10), expected, "{header}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Asked::Beyond);
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        assert!(names_tag("\"a\", W/\"b\"", "\"b\""));
        assert!(names_tag("*", "\"b\""));
        assert!(!names_tag("\"ab\"", "\"b\""));
    }
}
