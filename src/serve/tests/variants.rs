//! Compressed variants: which one is sent, and what is said about it.

use super::*;

const WORKER: &str = "/compiler/5.4.1/0123456789abcdef0123456789abcdef/worker.js";

/// The site with variants of the worker, of the page and of a picture.
fn compressed() -> Site {
    let site = site(Limits::default());
    let write = |path: &str, text: &str| fs::write(site.server.root().join(&path[1..]), text).unwrap();
    write(&format!("{WORKER}.br"), "brotli");
    write(&format!("{WORKER}.gz"), "gzipped");
    write("/index.html.gz", "gzipped page");
    write("/picture.png", "picture");
    write("/picture.png.gz", "nobody asks");
    site
}

fn accepting(site: &Site, path: &str, accepted: &str, more: &str) -> Answer {
    site.ask("GET", path, &format!("accept-encoding: {accepted}\r\n{more}"))
}

#[test]
fn each_client_gets_the_coding_that_it_likes_best() {
    let site = compressed();
    for (accepted, coding, body) in [
        ("gzip, deflate, br, zstd", "br", "brotli"),
        ("gzip, deflate", "gzip", "gzipped"),
        ("br;q=0.2, gzip;q=0.9", "gzip", "gzipped"),
        ("br;q=0, gzip;q=0", "", "0123456789"),
        ("identity", "", "0123456789"),
        ("", "", "0123456789"),
        ("*", "br", "brotli"),
        ("identity;q=0, *;q=0.1", "br", "brotli"),
        ("nonsense;q=7, gzip", "gzip", "gzipped"),
    ] {
        let answer = accepting(&site, WORKER, accepted, "");
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding), "{accepted}");
        assert_eq!(answer.body, body.as_bytes(), "{accepted}");
        assert_eq!(answer.header("content-length"), body.len().to_string());
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8", "that of the file");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("vary"), "Accept-Encoding");
    }
    let without = site.get(WORKER);
    assert_eq!((without.body, without.status), (b"0123456789".to_vec(), 200), "no header at all");
    let two = site.ask("GET", WORKER, "accept-encoding: gzip;q=0.5\r\naccept-encoding: br\r\n");
    assert_eq!(two.header("content-encoding"), "br", "two headers are one list");
}

#[test]
fn where_there_are_no_variants_the_file_comes() {
    let site = compressed();
    let page = accepting(&site, "/", "br", "");
    assert_eq!((page.body, page.status), (b"<!doctype html>page".to_vec(), 200));
    let page = accepting(&site, "/", "br, gzip", "");
    assert_eq!((&page.body[..], page.header("content-encoding")), (&b"gzipped page"[..], "gzip"));
    assert!(!page.header("content-security-policy").is_empty(), "it is a page all the same");
    let picture = accepting(&site, "/picture.png", "gzip", "");
    assert_eq!((&picture.body[..], picture.header("vary")), (&b"picture"[..], ""));
    let other = accepting(&site, "/universe.json", "br, gzip", "");
    assert_eq!((&other.body[..], other.header("content-encoding")), (&b"{}"[..], ""));
}

#[test]
fn a_client_that_takes_nothing_that_there_is_is_told_so() {
    let site = compressed();
    for (path, accepted) in [("/universe.json", "identity;q=0, br"), (WORKER, "*;q=0"), ("/", "br, *;q=0")] {
        let answer = accepting(&site, path, accepted, "");
        assert_eq!((answer.status, answer.header("vary")), (406, "Accept-Encoding"), "{path} {accepted}");
    }
    assert_eq!(accepting(&site, "/nothing", "*;q=0", "").status, 404);
}

#[test]
fn a_variant_that_is_asked_for_itself_is_a_plain_file() {
    let site = compressed();
    for (suffix, body, media_type) in
        [("br", "brotli", "application/octet-stream"), ("gz", "gzipped", "application/gzip")]
    {
        let answer = accepting(&site, &format!("{WORKER}.{suffix}"), "br, gzip", "");
        assert_eq!((answer.status, &answer.body[..]), (200, body.as_bytes()));
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""));
        assert_eq!(answer.header("content-type"), media_type);
    }
}

#[test]
fn each_coding_has_a_name_of_its_own() {
    let site = compressed();
    let tags = ["br", "gzip", "identity"].map(|accepted| {
        let answer = accepting(&site, WORKER, accepted, "");
        let tag = answer.header("etag").to_owned();
        assert!(tag.starts_with('"'), "strong: {tag}");
        let again = accepting(&site, WORKER, accepted, &format!("if-none-match: {tag}\r\n"));
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));
        assert_eq!((again.header("vary"), again.header("content-encoding")), ("Accept-Encoding", ""));
        tag
    });
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
    let other = accepting(&site, WORKER, "gzip", &format!("if-none-match: {}\r\n", tags[0]));
    assert_eq!(other.status, 200, "it has another one");
    let matched = |tag: &str| accepting(&site, WORKER, "br", &format!("if-match: {tag}\r\n")).status;
    assert_eq!((matched(&tags[0]), matched(&tags[1]), matched("*")), (200, 412, 200));
}

#[test]
fn parts_are_parts_of_the_coded_bytes() {
    let site = compressed();
    let part = accepting(&site, WORKER, "br", "range: bytes=2-3\r\n");
    assert_eq!((part.status, &part.body[..]), (206, &b"ot"[..]));
    assert_eq!((part.header("content-range"), part.header("content-encoding")), ("bytes 2-3/6", "br"));
    assert_eq!(part.header("vary"), "Accept-Encoding");
    let tag = part.header("etag");
    let rest = |accepted: &str| {
        accepting(&site, WORKER, accepted, &format!("range: bytes=4-\r\nif-range: {tag}\r\n"))
    };
    assert_eq!((rest("br").status, &rest("br").body[..]), (206, &b"li"[..]));
    // The rest of another coding would be garbage.
    assert_eq!((rest("gzip").status, &rest("gzip").body[..]), (200, &b"gzipped"[..]));
    assert_eq!(accepting(&site, WORKER, "br", "range: bytes=6-\r\n").header("content-range"), "bytes */6");
    let head = site.ask("HEAD", WORKER, "accept-encoding: br\r\nrange: bytes=2-3\r\n");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "6", 0));
    assert_eq!(head.header("content-encoding"), "br");
}

#[test]
fn a_variant_that_is_no_file_is_passed_over() {
    let site = compressed();
    let root = site.server.root();
    fs::create_dir(root.join("universe.json.br")).unwrap();
    std::os::unix::fs::symlink("../secret", root.join("universe.json.gz")).unwrap();
    let answer = accepting(&site, "/universe.json", "br, gzip", "");
    assert_eq!((&answer.body[..], answer.header("content-encoding")), (&b"{}"[..], ""));
    // A variant without its file is nothing but a file.
    fs::write(root.join("gone.js.br"), "x").unwrap();
    assert_eq!(accepting(&site, "/gone.js", "br", "").status, 404);
}
