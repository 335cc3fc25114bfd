//! R83: hostile clients of `serve`, over real connections.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jtwbuild::serve::{Limits, Server};

use super::scene::directory;

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const BODY: &str = "0123456789";

struct Site {
    server: Server,
    directory: tempfile::TempDir,
}

fn site(limits: Limits) -> Site {
    let directory = directory();
    let root = directory.path().join("site");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    for (path, text) in
        [("index.html", "PAGE"), ("ten.txt", BODY), ("sub/index.html", "SUB"), ("sub/deep/f.js", "DEEP")]
    {
        fs::write(root.join(path), text).unwrap();
    }
    fs::File::create(root.join("large.bin")).unwrap().set_len(256 << 20).unwrap();
    fs::create_dir(directory.path().join("out")).unwrap();
    for hidden in ["secret", "out/index.html", "out/f.js", "site/.hidden"] {
        fs::write(directory.path().join(hidden), "HIDDEN").unwrap();
    }
    let server = Server::start(&root, "127.0.0.1:0".parse().unwrap(), limits).unwrap();
    Site { server, directory }
}

impl Site {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes as they are and reads until the connection ends.
    fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// Status and body of one answer; status 0 when there is none.
    fn get(&self, path: &str, headers: &str) -> (u16, Vec<u8>) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        let answer = self.raw(request.as_bytes());
        let end =
            answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
        let status = std::str::from_utf8(answer.get(9..12).unwrap_or(b"0")).unwrap_or("0");
        (status.parse().unwrap_or_default(), answer[end..].to_vec())
    }

    /// The site still answers others.
    #[track_caller]
    fn lives(&self) {
        let begun = Instant::now();
        while self.get("/ten.txt", "") != (200, BODY.as_bytes().to_vec()) {
            assert!(begun.elapsed() < PATIENCE, "nobody is answered any more");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn quick(connections: usize) -> Limits {
    Limits { connections, idle: Duration::from_millis(400), lifetime: Duration::from_secs(3) }
}

#[test]
fn no_spelling_of_a_path_leads_out() {
    let site = site(Limits::default());
    let root = site.server.root();
    std::os::unix::fs::symlink("../secret", root.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    std::os::unix::fs::symlink("/", root.join("sub/root")).unwrap();
    std::os::unix::fs::symlink("../ten.txt", root.join("sub/inside.txt")).unwrap();
    let ups = [
        "..",
        "%2e%2e",
        "%2E%2e",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "..%00",
        "..;",
        "..%20",
        "%c0%ae%c0%ae",
        "\u{2025}",
    ];
    let slashes = ["/", "%2f", "%2F", "%5c", "\\", "//", "/./", "%252f", "%c0%af"];
    let mut tried = 0;
    for up in ups {
        for slash in slashes {
            for start in ["/", "/sub/", "/sub/deep/", "/nothing/"] {
                for times in [1, 2, 3] {
                    let path = format!("{start}{}secret", format!("{up}{slash}").repeat(times));
                    let (status, body) = site.get(&path, "");
                    assert!(matches!(status, 400 | 404), "{path}: {status}");
                    assert!(!String::from_utf8_lossy(&body).contains("HIDDEN"), "{path}");
                    tried += 1;
                }
            }
        }
    }
    for path in [
        "/link.txt",
        "/up/secret",
        "/up/",
        "/up",
        "/sub/root/etc/passwd",
        "/sub/inside.txt",
        "/.hidden",
        "/%2ehidden",
        "/ten.txt/",
        "/ten.txt/..",
        "/ten.txt%00",
        "/ten.txt%00.html",
        "/ten.txt%0d%0ax:%20y",
        "/sub/deep",
        "http://x/../secret",
        "file:///etc/passwd",
        "/~root/",
        "/sub//index.html",
        "//127.0.0.1/secret",
    ] {
        let (status, body) = site.get(path, "");
        assert!(
            matches!(status, 301 | 400 | 404) && !String::from_utf8_lossy(&body).contains("HIDDEN"),
            "{path}: {status}"
        );
        tried += 1;
    }
    eprintln!("{tried} paths tried");
    site.lives();
}

#[test]
fn a_directory_that_becomes_a_link_is_not_entered() {
    let site = site(Limits::default());
    let (root, out) = (site.server.root().to_owned(), site.directory.path().join("out"));
    let stop = AtomicBool::new(false);
    let mut seen = [0; 2];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The directory itself, or a link to another one in its place, in turns.
            let (there, aside, link) = (root.join("sub/deep"), root.join("aside"), root.join("link"));
            while !stop.load(Ordering::Relaxed) {
                std::os::unix::fs::symlink(&out, &link).unwrap();
                fs::rename(&there, &aside).unwrap();
                fs::rename(&link, &there).unwrap();
                std::thread::sleep(Duration::from_millis(1));
                fs::remove_file(&there).unwrap();
                fs::rename(&aside, &there).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for _ in 0..400 {
            let (status, body) = site.get("/sub/deep/f.js", "");
            match status {
                200 => assert_eq!(body, b"DEEP"),
                404 => assert!(!String::from_utf8_lossy(&body).contains("HIDDEN")),
                other => panic!("status {other}"),
            }
            seen[usize::from(status == 404)] += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    eprintln!("{} times the file, {} times nothing", seen[0], seen[1]);
}

#[test]
fn what_is_neither_file_nor_directory_holds_nobody_up() {
    let site = site(quick(8));
    let pipe = site.server.root().join("pipe.txt");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let socket = std::os::unix::net::UnixListener::bind(site.server.root().join("socket.txt")).unwrap();
    for _ in 0..40 {
        for path in ["/pipe.txt", "/socket.txt"] {
            assert_eq!(site.get(path, "").0, 404, "{path}");
        }
    }
    drop(socket);
    site.lives();
}

#[test]
fn ranges_are_answered_by_a_part_the_whole_or_a_refusal() {
    let site = site(Limits::default());
    let whole = BODY.as_bytes();
    let long = |text: &str, times: usize| vec![text; times].join(",");
    for (range, status, body) in [
        ("bytes=0-0".to_owned(), 206, &whole[..1]),
        ("bytes=9-9".into(), 206, &whole[9..]),
        ("bytes=-1".into(), 206, &whole[9..]),
        ("bytes=0-18446744073709551615".into(), 206, whole),
        ("bytes=-18446744073709551615".into(), 206, whole),
        ("bytes=0-18446744073709551616".into(), 200, whole),
        ("bytes=99999999999999999999999999-".into(), 200, whole),
        ("bytes=10-".into(), 416, b""),
        ("bytes=18446744073709551615-18446744073709551615".into(), 416, b""),
        ("bytes=-0".into(), 416, b""),
        ("bytes=5-2".into(), 200, whole),
        ("bytes=-".into(), 200, whole),
        ("bytes=--1".into(), 200, whole),
        ("bytes=0x1-2".into(), 200, whole),
        ("bytes= 1 - 2 ".into(), 206, &whole[1..3]),
        ("octets=0-1".into(), 200, whole),
        (format!("bytes={}", long("0-0", 1300)), 200, whole),
        (format!("bytes={}", long("0-", 500)), 200, whole),
        (format!("bytes={}", long("5-4", 500)), 200, whole),
    ] {
        let shown = &range[..range.len().min(60)];
        let (got, bytes) = site.get("/ten.txt", &format!("range: {range}\r\n"));
        assert_eq!((got, &bytes[..]), (status, body), "{shown}");
    }
    // Of a file that is empty there is no part.
    fs::write(site.server.root().join("empty.txt"), "").unwrap();
    assert_eq!(site.get("/empty.txt", "range: bytes=0-\r\n").0, 416);
    assert_eq!(site.get("/empty.txt", "range: bytes=-5\r\n").0, 416);
}

#[test]
fn requests_of_any_size_are_refused() {
    let site = site(Limits::default());
    for size in [10_000, 100_000, 5_000_000] {
        let (status, _) = site.get(&format!("/{}", "x".repeat(size)), "");
        assert!(matches!(status, 0 | 400 | 404 | 414 | 431), "a path of {size} bytes: {status}");
        let (status, _) = site.get("/ten.txt", &format!("x: {}\r\n", "y".repeat(size)));
        assert!(matches!(status, 0 | 200 | 400 | 431), "a header of {size} bytes: {status}");
        assert!(size < 1_000_000 || status != 200);
    }
    for count in [90, 1000, 100_000] {
        let (status, _) = site.get("/ten.txt", &"x: y\r\n".repeat(count));
        assert!(matches!(status, 0 | 200 | 400 | 431), "{count} headers: {status}");
        assert!(count < 1000 || status != 200);
    }
    assert!(matches!(site.get(&"/x".repeat(2000), "").0, 404 | 414));
    for body in ["content-length: 18446744073709551615\r\n", "transfer-encoding: chunked\r\n"] {
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{body}\r\n");
        let answer = site.raw(&[request.as_bytes(), &vec![b'x'; 100_000]].concat());
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    site.lives();
}

#[test]
fn slow_clients_give_their_place_back() {
    let site = site(quick(2));
    let parts: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: never fin",
        b"GET /ten.txt HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nslow",
        // A large file, of which nothing is read.
        b"GET /large.bin HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for part in parts {
        // Both places are taken, held, and must come free without the clients' help.
        let mut held: Vec<TcpStream> = (0..2).map(|_| site.connect()).collect();
        for stream in &mut held {
            stream.write_all(part).unwrap();
        }
        site.lives();
        drop(held);
    }
    // A byte now and then, of the header and of what is read.
    for part in [&b"GET / HTTP/1.1\r\nx: "[..], b"GET /large.bin HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let stop = AtomicBool::new(false);
        let mut streams: Vec<TcpStream> = (0..2).map(|_| site.connect()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                streams.iter_mut().for_each(|stream| stream.write_all(part).unwrap());
                while !stop.load(Ordering::Relaxed) {
                    for stream in &mut streams {
                        let _ = if part.len() < 30 { stream.write(b"y") } else { stream.read(&mut [0; 1]) };
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            site.lives();
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_request_that_is_dripped_does_not_live_as_long_as_a_connection() {
    // Neither bytes now and then nor an answer that is hardly read keep a place: only `idle` ends them.
    let limits = Limits { lifetime: Duration::from_secs(3600), ..quick(2) };
    let site = site(limits);
    for part in [&b"GET / HTTP/1.1\r\nx: "[..], b"GET /large.bin HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = site.connect();
        stream.write_all(part).unwrap();
        let begun = Instant::now();
        let is_request = part.len() < 30;
        let mut ended = false;
        while !ended && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            // What is read comes from the kernel's buffers for a long time; who holds the other end shows
            // in whether it still can be written to.
            ended = if is_request { stream.write_all(b"y").is_err() } else { is_closed(&stream) };
        }
        assert!(ended, "still there after {:?}", begun.elapsed());
        site.lives();
    }
}

/// Whether the server has closed its end: what is sent is answered by a reset.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.write_all(b"G").is_err()
}

#[test]
fn a_reader_that_gets_on_is_not_cut_off() {
    // Longer than `idle`, and with pauses, but more than the least in each. A busy machine may forget us
    // for a while.
    let idle = Duration::from_secs(2);
    let site = site(Limits { lifetime: Duration::from_secs(3600), idle, ..quick(4) });
    let mut stream = site.connect();
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let (mut read, mut buffer, begun) = (0, vec![0; 2 << 20], Instant::now());
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => read += count,
        }
        if begun.elapsed() < idle * 2 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(read > 256 << 20, "{read} bytes");
}

#[test]
fn requests_that_come_together_are_answered_within_bounds() {
    let site = site(Limits::default());
    let many = b"GET /ten.txt HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2000);
    let last = b"GET /ten.txt HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut stream = site.connect();
    let mut writer = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let _ = writer.write_all(&[&many[..], last].concat());
    });
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    sending.join().unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2001);
    assert_eq!(text.matches(BODY).count(), 2001);
    // One that is cut off, and one that is not HTTP, behind a good one.
    for tail in ["GET /ten.txt HT", "\u{0}\u{1}\u{2}\r\n\r\n", "GET /ten.txt HTTP/9.9\r\n\r\n"] {
        let request = format!("GET /ten.txt HTTP/1.1\r\nhost: x\r\n\r\n{tail}");
        let mut stream = site.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{tail:?}");
    }
    site.lives();
}

#[test]
fn odd_codings_get_the_file_or_a_refusal() {
    let site = site(Limits::default());
    fs::write(site.server.root().join("f.js"), BODY).unwrap();
    std::os::unix::fs::symlink("../secret", site.server.root().join("f.js.br")).unwrap();
    fs::create_dir(site.server.root().join("f.js.gz")).unwrap();
    for accepted in [
        "br",
        "gzip",
        "*",
        "br;q=1e9",
        "br;q=-0",
        ";;;",
        "\"br\"",
        "br\tgzip",
        &"br,".repeat(2000),
        &format!("br;q=0.{}", "9".repeat(4000)),
    ] {
        let (status, body) = site.get("/f.js", &format!("accept-encoding: {accepted}\r\n"));
        assert_eq!((status, &body[..]), (200, BODY.as_bytes()), "{accepted:.60}");
    }
    assert_eq!(site.get("/f.js", "accept-encoding: br, *;q=0\r\n").0, 406);
    assert_eq!(site.get("/f.js.br", "").0, 404, "a link");
}

#[test]
fn a_flood_of_connections_is_bounded() {
    let limits = Limits { connections: 16, ..quick(16) };
    let site = site(limits);
    let before = threads();
    let held: Vec<Option<TcpStream>> =
        (0..300).map(|_| TcpStream::connect(site.server.address()).ok()).collect();
    let after = threads();
    assert!(after < before + 64, "{before} threads became {after}");
    drop(held);
    site.lives();
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn every_page_comes_with_its_policy_and_everything_with_its_type() {
    let site = site(Limits::default());
    fs::write(site.server.root().join("x.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    for (path, is_page) in [
        ("/", true),
        ("/sub/", true),
        ("/nothing", true),
        ("/x.svg", true),
        ("/ten.txt", false),
        ("/sub/deep/f.js", false),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = String::from_utf8_lossy(&site.raw(request.as_bytes())).to_lowercase();
        assert!(answer.contains("x-content-type-options: nosniff"), "{path}");
        let policy = answer.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
        assert_eq!(policy.is_some(), is_page, "{path}");
        if let Some(policy) = policy {
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
            ] {
                assert!(policy.contains(rule), "{path}: {policy}");
            }
            let scripts = policy.split("script-src").nth(1).unwrap().split(';').next().unwrap();
            assert!(!scripts.contains("unsafe-inline") && !scripts.contains('*'), "{scripts}");
        }
    }
}
