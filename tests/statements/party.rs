//! Parties with their keys, and a server for what they publish.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::TestUniverse;

/// Makes a key in a universe's directory, and gives the party's entry for a trust file.
pub fn key(universe: &TestUniverse, name: &str) -> String {
    universe.run(&format!("key generate {name}.key")).success();
    let public = universe.run(&format!("key show {name}.key")).success().stdout;
    format!("[[party]]\nname = \"{name}\"\nkey  = \"{}\"\n", public.trim())
}

/// Writes `trust.toml`.
pub fn trust(universe: &TestUniverse, parties: &[&str]) {
    universe.write("trust.toml", &format!("format = 1\n\n{}", parties.join("\n")));
}

/// A web server that gives the files of a directory.
pub struct Server {
    port: u16,
}

impl Server {
    pub fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let directory: Arc<PathBuf> = Arc::new(directory.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                if reader.read_line(&mut line).is_err() {
                    continue;
                }
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|_| header != "\r\n" && !header.is_empty()) {
                    header.clear();
                }
                let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
                let (status, body) = match std::fs::read(directory.join(path)) {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { port }
    }

    pub fn url(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/{file}", self.port)
    }
}
