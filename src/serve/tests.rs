//! A real server on the loopback address.

mod variants;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

const HASH: &str = "0123456789abcdef0123456789abcdef";

struct Site {
    server: Server,
    directory: tempfile::TempDir,
}

fn site(limits: Limits) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("site");
    let write = |path: &str, text: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("index.html", b"<!doctype html>page");
    write("sub/index.html", b"sub page");
    write("empty/a.css", b"");
    write("universe.json", b"{}");
    write(".jtwbuild-site", b"hidden");
    write(&format!("compiler/5.4.1/{HASH}/worker.js"), b"0123456789");
    write(&format!("u/{HASH}/findlib_index"), b"{}");
    write("large.cmi", &(0..=255).cycle().take(300_000).collect::<Vec<u8>>());
    fs::write(directory.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link.json")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    let server = Server::start(&root, "127.0.0.1:0".parse().unwrap(), limits).unwrap();
    Site { server, directory }
}

/// One answer: status line, headers (names in small letters), body.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Site {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Sends bytes as they are, which no HTTP client would, and reads until the connection ends.
    fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A server that closes while we write may answer with a reset.
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let answer =
            self.raw(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"));
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers end");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: answer[end + 4..].to_vec() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }
}

#[test]
fn files_are_served_to_an_ordinary_client() {
    let site = site(Limits::default());
    let mut page = ureq::get(site.url("/")).call().unwrap();
    assert_eq!(page.body_mut().read_to_string().unwrap(), "<!doctype html>page");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let mut large = ureq::get(site.url("/large.cmi")).call().unwrap();
    let bytes = large.body_mut().read_to_vec().unwrap();
    assert_eq!(bytes, fs::read(site.server.root().join("large.cmi")).unwrap());
    assert_eq!(large.headers()["content-type"], "application/octet-stream");
    assert_eq!(large.headers()["access-control-allow-origin"], "*");
    let mut head = ureq::head(site.url("/large.cmi")).call().unwrap();
    assert_eq!(head.headers()["content-length"], "300000");
    assert!(head.body_mut().read_to_vec().unwrap().is_empty());
}

#[test]
fn nothing_outside_the_site_and_nothing_hidden_is_served() {
    let site = site(Limits::default());
    assert!(site.directory.path().join("site/up/secret").exists(), "the links do lead out");
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/sub/../../secret",
        "/sub/%2e%2e/%2e%2e/secret",
        "//secret",
        "/up/secret",
        "/link.json",
        "/.jtwbuild-site",
        "/universe.json%00",
        "/universe.json%00.js",
        "/universe.json/",
        "/universe.json/x",
        "/empty/",
        "/nothing",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains("Not found"), "{path}");
    }
}

#[test]
fn directories_are_asked_for_with_a_slash() {
    let site = site(Limits::default());
    assert_eq!(site.get("/sub/").body, b"sub page");
    let answer = site.get("/sub");
    // Relative, so that it is right behind a proxy, too.
    assert_eq!((answer.status, answer.header("location")), (301, "./sub/"));
    assert_eq!(site.get("/sub?a=b").header("location"), "./sub/?a=b");
}

#[test]
fn hashed_paths_are_kept_for_ever_and_others_are_asked_about() {
    let site = site(Limits::default());
    let worker = site.get(&format!("/compiler/5.4.1/{HASH}/worker.js"));
    assert_eq!(worker.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(worker.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(site.get(&format!("/u/{HASH}/findlib_index")).header("content-type"), "application/json");
    let first = site.get("/universe.json");
    assert_eq!(first.header("cache-control"), "no-cache");
    let ask = |tag: &str| site.ask("GET", "/universe.json", &format!("if-none-match: {tag}\r\n"));
    let again = ask(first.header("etag"));
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), first.header("etag"));
    fs::write(site.server.root().join("universe.json"), "{\"new\":1}").unwrap();
    assert_eq!(ask(first.header("etag")).body, b"{\"new\":1}");
    // As long as before, and of the same time: the content tells.
    let path = site.server.root().join("universe.json");
    let before = site.get("/universe.json");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "{\"new\":2}").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_ne!(site.get("/universe.json").header("etag"), before.header("etag"));
}

#[test]
fn parts_of_files_are_served() {
    let site = site(Limits::default());
    let path = format!("/compiler/5.4.1/{HASH}/worker.js");
    let ask = |headers: &str| site.ask("GET", &path, headers);
    let part = ask("range: bytes=2-4\r\n");
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(part.header("content-length"), "3");
    let beyond = ask("range: bytes=10-\r\n");
    assert_eq!((beyond.status, beyond.header("content-range"), beyond.body.len()), (416, "bytes */10", 0));
    assert_eq!(ask("range: bytes=0-1,4-5\r\n").status, 200, "several parts: all of it");
    let other = ask("range: bytes=2-4\r\nif-range: \"other\"\r\n");
    assert_eq!((other.status, other.body.len()), (200, 10));
    let same = ask(&format!("range: bytes=2-4\r\nif-range: {}\r\n", part.header("etag")));
    assert_eq!(same.status, 206);
}

#[test]
fn other_methods_are_refused() {
    let site = site(Limits::default());
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"] {
        let answer = site.ask(method, "/", "content-length: 0\r\n");
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, OPTIONS"), "{method}");
    }
    let head = site.ask("HEAD", "/nothing", "");
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[test]
fn slow_and_numerous_clients_are_let_go() {
    let limits = Limits { connections: 3, idle: Duration::from_millis(300), ..Limits::default() };
    let site = site(limits);
    let started = std::time::Instant::now();
    assert!(site.raw("GET / HTTP/1.1\r\nhost: x\r\nx: never fin").is_empty());
    assert!(started.elapsed() < Duration::from_secs(10));
    let held: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(site.server.address()).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        site.raw("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").is_empty(),
        "all places taken"
    );
    drop(held);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(site.get("/").status, 200);
}

#[test]
fn no_connection_lives_for_ever() {
    let site = site(Limits { lifetime: Duration::from_millis(500), ..Limits::default() });
    let mut stream = TcpStream::connect(site.server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let started = std::time::Instant::now();
    // A byte now and then keeps a connection from being idle, but not from being old.
    let mut alive = true;
    while alive && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(100));
        alive = stream.write_all(b"G").is_ok();
    }
    assert!(!alive);
}

#[test]
fn pages_of_other_origins_may_ask_for_parts_and_read_what_they_need() {
    let site = site(Limits::default());
    let asked = "origin: https://example.org\r\naccess-control-request-method: GET\r\n\
                 access-control-request-headers: range, if-none-match\r\n";
    for path in ["/universe.json", "/nothing", "*"] {
        let answer = site.ask("OPTIONS", path, asked);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
        assert_eq!(answer.header("access-control-allow-headers"), "*");
        assert_eq!(answer.header("access-control-max-age"), "86400");
    }
    let file = site.ask("GET", "/universe.json", "origin: https://example.org\r\n");
    assert_eq!(file.header("access-control-allow-origin"), "*");
    let exposed = file.header("access-control-expose-headers");
    assert!(exposed.contains("ETag") && exposed.contains("Content-Range"), "{exposed}");
    assert_eq!(file.header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(file.header("cross-origin-opener-policy"), "", "that is for pages");
    assert_eq!(site.get("/").header("cross-origin-opener-policy"), "same-origin");
}

#[test]
fn requests_that_come_together_are_answered_in_turn() {
    let site = site(Limits::default());
    let mut request = String::new();
    for path in ["/universe.json", "/nothing", "/sub/"] {
        request += &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    request += "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = String::from_utf8(site.raw(&request)).unwrap();
    let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|one| &one[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200", "200"]);
    assert!(answer.find("{}").unwrap() < answer.find("sub page").unwrap());
}

#[test]
fn an_answer_under_way_is_finished_when_the_server_stops() {
    let site = site(Limits::default());
    let large = site.server.root().join("large.bin");
    fs::File::create(&large).unwrap().set_len(64 << 20).unwrap();
    let mut stream = TcpStream::connect(site.server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    let stopping = std::thread::spawn(move || site.server.stop());
    std::thread::sleep(Duration::from_millis(200));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 64 << 20, "{} bytes", rest.len());
    stopping.join().unwrap();
}

#[test]
fn a_stopped_server_is_gone() {
    let site = site(Limits::default());
    let address = site.server.address();
    let idle = TcpStream::connect(address).unwrap();
    let started = std::time::Instant::now();
    site.server.stop();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(TcpStream::connect(address).is_err());
    drop(idle);
}

#[test]
fn a_directory_that_is_not_there_cannot_be_served() {
    let error = Server::start(Path::new("/nonexistent"), "127.0.0.1:0".parse().unwrap(), Limits::default());
    assert!(matches!(error, Err(ServeError::Site(_))));
}
