//! A loopback web server that misbehaves on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the server does with a request.
pub enum Reply {
    Ok(Vec<u8>),
    Status(u16, &'static str),
    Redirect(String),
    /// Promises more than it sends.
    Truncated(Vec<u8>),
    /// Sends this, then nothing, but stays connected.
    Stall(Vec<u8>),
    /// Sends one byte now and then.
    Drip,
    /// Never ends, and never says how long it is.
    Endless,
    /// Closes the connection without a word.
    Reset,
    /// Sends more than it promises.
    Long(Vec<u8>),
    /// Sends one header after the other.
    EndlessHead,
    /// Sends its header one byte now and then.
    DrippingHead,
    /// Speaks another protocol.
    Garbage,
    /// Compressed, and says so.
    Compressed(Vec<u8>),
}

/// A server for the length of a test. Threads end with their connections.
pub struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// Starts one that answers by `reply`, which is told the path and how many requests came before.
    pub fn start(reply: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, requests) = (Arc::new(reply), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (reply, seen) = (Arc::clone(&reply), Arc::clone(&seen));
                // A client that hangs up is no trouble of the server.
                std::thread::spawn(move || stream.and_then(|stream| answer(stream, &*reply, &seen)));
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn answer(
    mut stream: TcpStream,
    reply: &dyn Fn(&str, usize) -> Reply,
    seen: &AtomicUsize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let number = seen.fetch_add(1, Ordering::SeqCst);
    let head = |stream: &mut TcpStream, status: u16, fields: &str| {
        write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n{fields}\r\n")
    };
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    match reply(&path, number) {
        Reply::Ok(bytes) => {
            head(&mut stream, 200, &length(bytes.len()))?;
            stream.write_all(&bytes)
        }
        Reply::Status(status, fields) => head(&mut stream, status, &format!("{fields}{}", length(0))),
        Reply::Redirect(to) => head(&mut stream, 302, &format!("Location: {to}\r\n{}", length(0))),
        Reply::Truncated(bytes) => {
            head(&mut stream, 200, &length(bytes.len() + 10))?;
            stream.write_all(&bytes)
        }
        Reply::Stall(bytes) => {
            head(&mut stream, 200, &length(bytes.len() + 10))?;
            stream.write_all(&bytes)?;
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        Reply::Drip => {
            head(&mut stream, 200, &length(1000))?;
            loop {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Reply::Endless => {
            head(&mut stream, 200, "")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        Reply::Reset => Ok(()),
        Reply::Long(bytes) => {
            head(&mut stream, 200, &length(bytes.len()))?;
            stream.write_all(&bytes)?;
            stream.write_all(b"and more")
        }
        Reply::EndlessHead => {
            write!(stream, "HTTP/1.1 200 X\r\n")?;
            loop {
                stream.write_all(b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n")?;
            }
        }
        Reply::DrippingHead => {
            write!(stream, "HTTP/1.1 200 X\r\nX-Filler: ")?;
            loop {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Reply::Garbage => stream.write_all(b"220 ready for mail\r\n"),
        Reply::Compressed(bytes) => {
            head(&mut stream, 200, &format!("Content-Encoding: gzip\r\n{}", length(bytes.len())))?;
            stream.write_all(&bytes)
        }
    }
}
