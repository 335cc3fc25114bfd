//! Requests to `serve`, byte by byte, over a real connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use jtwbuild::serve::{Limits, Server};

use super::super::random::Random;
use super::{Target, fuzz};

const PARTS: [&str; 28] = [
    "..",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%252e%252e",
    "%c0%ae",
    "..%2f",
    "%5c",
    "\\",
    "%00",
    "%",
    "%zz",
    "",
    ".",
    "~",
    "up",
    "link.json",
    "secret",
    "index.html",
    "universe.json",
    "sub",
    "?",
    "#",
    ";",
    "http://x",
    "a.js",
    "\u{e9}",
    "*",
];

const HEADERS: [&str; 23] = [
    "range: bytes=0-0",
    "range: bytes=-1",
    "range: bytes=99999999999999999999-",
    "range: bytes=5-2",
    "range: bytes=0-0,1-1,2-2",
    "range: bytes=0-18446744073709551615",
    "if-none-match: *",
    "if-match: \"x\"",
    "if-range: \"x\"",
    "accept-encoding: br, gzip;q=0.1",
    "accept-encoding: br, *;q=0",
    "accept-encoding: gzip;q=9,,;",
    "access-control-request-method: PUT",
    "content-length: 5",
    "content-length: -1",
    "transfer-encoding: chunked",
    "transfer-encoding: x, chunked",
    "expect: 100-continue",
    "upgrade: h2c",
    "host: a\r\nhost: b",
    ": empty",
    " folded",
    "x: \u{0}",
];

/// A request that is well-formed but for what was chosen.
fn request(input: &mut Vec<u8>, random: &mut Random) {
    let parts: Vec<&str> = (0..=random.below(5)).map(|_| random.pick(&PARTS)).collect();
    let method = random.pick(&["GET", "GET", "GET", "HEAD", "POST", "get", "CONNECT", "OPTIONS"]);
    let version = random.pick(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]);
    let mut text = format!("{method} /{} {version}\r\nhost: x\r\nconnection: close\r\n", parts.join("/"));
    for _ in 0..random.below(3) {
        text += random.pick(&HEADERS);
        text += "\r\n";
    }
    *input = (text + "\r\n").into_bytes();
}

#[test]
fn requests_to_serve() {
    let directory = super::super::scene::directory();
    let root = directory.path().join("site");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    for (path, text) in [
        ("index.html", "PAGE of the site"),
        ("universe.json", "UNIVERSE"),
        ("sub/index.html", "SUB"),
        ("index.html.br", "BROTLI"),
    ] {
        std::fs::write(root.join(path), text).unwrap();
    }
    for hidden in ["secret", "site/.jtwbuild-site"] {
        std::fs::write(directory.path().join(hidden), "HIDDEN").unwrap();
    }
    std::os::unix::fs::symlink("../secret", root.join("link.json")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(&root, "127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let address = server.address();
    let ask = |request: &[u8]| -> Vec<u8> {
        let mut stream = TcpStream::connect(address).expect("the server lives");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        // The server closes: what was asked for, or when nothing more comes.
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the server lets go");
                    break;
                }
            }
            // A whole answer, after which the server would wait for the next request.
            if answer.ends_with(b"HTTP/1.1 100 Continue\r\n\r\n") || answer.len() > 1 << 20 {
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        answer
    };
    let good = b"GET /universe.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec();
    fuzz(Target {
        name: "request",
        usual: 500,
        seeds: vec![good.clone(), b"GET /sub HTTP/1.0\r\n\r\n".to_vec()],
        words: &[
            b"..",
            b"/",
            b"%2e",
            b"%00",
            b"\r\n",
            b"range: bytes=0-1\r\n",
            b"GET ",
            b" HTTP/1.1\r\n",
            b"\r\n\r\n",
        ],
        special: Some(&request),
        run: &mut |input| {
            // Mutations that leave the request open would only wait for the server's patience.
            let open = !input.windows(4).any(|end| end == b"\r\n\r\n")
                || !input.windows(5).any(|word| word == b"close");
            let mut input = input.to_vec();
            if open {
                input.extend_from_slice(b"\r\nconnection: close\r\n\r\n");
            }
            let answer = ask(&input);
            let text = String::from_utf8_lossy(&answer).into_owned();
            assert!(!text.contains("HIDDEN"), "{text}");
            if answer.is_empty() {
                return "nothing".into();
            }
            let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or_default();
            let known = [
                "100", "200", "206", "301", "304", "400", "404", "405", "414", "416", "431", "501", "505",
                "204", "406", "412",
            ];
            assert!(known.contains(&status), "{text}");
            format!(
                "status {}",
                ["1xx", "2xx", "3xx", "4xx", "5xx"][status.as_bytes()[0] as usize - b'1' as usize]
            ) + &known.iter().position(|one| *one == status).map_or_else(String::new, |at| "i".repeat(at))
        },
    });
    assert!(String::from_utf8_lossy(&ask(&good)).contains("UNIVERSE"));
}
