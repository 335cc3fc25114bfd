//! Downloads: one URL, bounded in time, size, redirects and attempts.
//!
//! The network is read by a thread of its own that holds nothing but the connection. The caller's
//! thread hashes and writes, watches the clock and the stop flag, and can leave at any moment.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use ureq::Agent;
use ureq::http::{Uri, header};

/// What a download may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub bytes: u64,
    /// For name resolution, connection and TLS.
    pub connect: Duration,
    /// Each stretch of this length must bring [`MIN_RATE`] bytes a second, or it counts as stalled.
    pub stall: Duration,
    /// Attempts at one URL, while the trouble may pass.
    pub attempts: u32,
    /// The pause after the first failed attempt; doubled after each, with jitter.
    pub pause: Duration,
    pub redirects: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(30),
            attempts: 4,
            pause: Duration::from_millis(500),
            redirects: 10,
        }
    }
}

/// Bytes per second below which a download counts as stalled.
pub const MIN_RATE: u64 = 512;
/// No server makes us wait longer than this between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(20);
const CHUNK: usize = 128 << 10;

/// Why one place did not give its bytes.
#[derive(Debug, Error)]
pub enum Trouble {
    #[error("the server answered {status}")]
    Status { status: u16, after: Option<Duration> },
    #[error("{0}")]
    Http(#[source] Box<ureq::Error>),
    #[error("{0}")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Write(#[source] io::Error),
    #[error("nothing or next to nothing arrived for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    #[error("it ended after {got} of {expected} bytes")]
    Truncated { got: u64, expected: u64 },
    #[error("it holds more than the {limit} bytes allowed")]
    TooLarge { limit: u64 },
    #[error("it redirects more than {0} times")]
    Redirects(u32),
    #[error("it redirects to `{to}`, {reason}")]
    Redirect { to: String, reason: &'static str },
    #[error("this is not an http(s) or file URL")]
    BadUrl,
    #[error("stopped")]
    Cancelled,
}

impl Trouble {
    /// Whether another attempt may end differently.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Http(error) => !matches!(
                **error,
                ureq::Error::BadUri(_)
                    | ureq::Error::Http(_)
                    | ureq::Error::Tls(_)
                    | ureq::Error::InvalidProxyUrl
            ),
            Self::Stalled(_) | Self::Truncated { .. } => true,
            Self::Read(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory
            ),
            Self::Write(_)
            | Self::TooLarge { .. }
            | Self::Redirects(_)
            | Self::Redirect { .. }
            | Self::BadUrl
            | Self::Cancelled => false,
        }
    }
}

/// Takes the bytes of a download.
pub trait Sink {
    /// Forgets everything: a new attempt begins, of so many bytes if the server says so.
    fn start(&mut self, size: Option<u64>) -> io::Result<()>;
    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn start(&mut self, _size: Option<u64>) -> io::Result<()> {
        self.clear();
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// An HTTP client. Proxies are taken from the usual environment variables.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    limits: Limits,
}

enum Event {
    Head(Option<u64>),
    Bytes(Vec<u8>),
    End(Result<(), Trouble>),
}

impl Client {
    /// Makes a client; nothing is connected yet.
    pub fn new(limits: Limits) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("jtwbuild/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(limits.connect))
            .timeout_recv_response(Some(limits.stall + limits.connect))
            .timeout_per_read(Some(limits.stall))
            .build();
        Self { agent: config.into(), limits }
    }

    /// Reads `url` into `sink`, at most `max` bytes, with more attempts while trouble may pass.
    pub fn download(
        &self,
        url: &str,
        max: u64,
        stop: &AtomicBool,
        sink: &mut dyn Sink,
    ) -> Result<(), Trouble> {
        if let Some(path) = file_url(url) {
            return copy(&path?, max, stop, sink);
        }
        let mut pause = self.limits.pause;
        let mut attempt = 1;
        loop {
            match self.attempt(url, max, stop, sink) {
                Err(trouble) if trouble.is_transient() && attempt < self.limits.attempts => {
                    let asked = match trouble {
                        Trouble::Status { after, .. } => after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    sleep(pause.mul_f32(jitter()).max(asked).min(MAX_PAUSE), stop)?;
                    pause *= 2;
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    fn attempt(&self, url: &str, max: u64, stop: &AtomicBool, sink: &mut dyn Sink) -> Result<(), Trouble> {
        let (sender, receiver) = sync_channel(8);
        let (client, url) = (self.clone(), url.to_owned());
        // Not joined: when the caller leaves, its next event finds nobody listening and it ends.
        std::thread::Builder::new()
            .name("download".into())
            .spawn(move || {
                let end = client.read(&url, max, &sender);
                // A caller that has left needs no answer.
                let _ = sender.send(Event::End(end));
            })
            .map_err(Trouble::Read)?;
        self.watch(&receiver, stop, sink)
    }

    /// The caller's side: bytes into the sink, an eye on the clock and on the stop flag.
    fn watch(&self, events: &Receiver<Event>, stop: &AtomicBool, sink: &mut dyn Sink) -> Result<(), Trouble> {
        let patience = self.limits.stall + self.limits.connect;
        let (mut since, mut allowed, mut bytes) = (Instant::now(), patience, u64::MAX);
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Trouble::Cancelled);
            }
            if since.elapsed() > allowed {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss
                )]
                let enough = (allowed.as_secs_f64() * MIN_RATE as f64) as u64;
                if bytes < enough || bytes == u64::MAX {
                    return Err(Trouble::Stalled(allowed));
                }
                (since, bytes) = (Instant::now(), 0);
            }
            match events.recv_timeout(Duration::from_millis(50)) {
                Ok(Event::Head(size)) => {
                    (since, allowed, bytes) = (Instant::now(), self.limits.stall, 0);
                    sink.start(size).map_err(Trouble::Write)?;
                }
                Ok(Event::Bytes(chunk)) => {
                    bytes = bytes.saturating_add(chunk.len() as u64);
                    sink.take(&chunk).map_err(Trouble::Write)?;
                }
                Ok(Event::End(end)) => return end,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Trouble::Read(io::Error::other("the download's thread ended early")));
                }
            }
        }
    }

    /// The thread's side: follows redirects, sends what it reads.
    fn read(&self, url: &str, max: u64, events: &SyncSender<Event>) -> Result<(), Trouble> {
        let mut response = self.follow(url)?;
        let expected = response.body().content_length();
        if expected.is_some_and(|size| size > max) {
            return Err(Trouble::TooLarge { limit: max });
        }
        if events.send(Event::Head(expected)).is_err() {
            return Err(Trouble::Cancelled);
        }
        let mut body = response.body_mut().as_reader();
        let mut got = 0;
        loop {
            let mut chunk = vec![0; CHUNK];
            let count = match body.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read_trouble(error, got, expected)),
            };
            if count == 0 {
                break;
            }
            got += count as u64;
            if got > max {
                return Err(Trouble::TooLarge { limit: max });
            }
            chunk.truncate(count);
            if events.send(Event::Bytes(chunk)).is_err() {
                return Err(Trouble::Cancelled);
            }
        }
        match expected {
            Some(expected) if expected != got => Err(Trouble::Truncated { got, expected }),
            _ => Ok(()),
        }
    }

    fn follow(&self, url: &str) -> Result<ureq::http::Response<ureq::Body>, Trouble> {
        let mut at: Uri = url.parse().map_err(|_| Trouble::BadUrl)?;
        if !matches!(at.scheme_str(), Some("http" | "https")) {
            return Err(Trouble::BadUrl);
        }
        for _ in 0..=self.limits.redirects {
            let response =
                self.agent.get(at.clone()).call().map_err(|error| Trouble::Http(Box::new(error)))?;
            let status = response.status().as_u16();
            let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            match status {
                200 => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let to = text(header::LOCATION).ok_or(Trouble::Status { status, after: None })?;
                    at = redirect(&at, to)?;
                }
                _ => {
                    let after = text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
                    return Err(Trouble::Status { status, after: after.map(Duration::from_secs) });
                }
            }
        }
        Err(Trouble::Redirects(self.limits.redirects))
    }
}

fn read_trouble(error: io::Error, got: u64, expected: Option<u64>) -> Trouble {
    match expected {
        Some(expected) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Trouble::Truncated { got, expected }
        }
        _ => Trouble::Read(error),
    }
}

/// Where a redirect leads, if it may be followed: never to another scheme than https from https,
/// never out of HTTP, never from a public server into the private network.
fn redirect(from: &Uri, to: &str) -> Result<Uri, Trouble> {
    let refuse = |reason| Trouble::Redirect { to: to.to_owned(), reason };
    let (scheme, authority) = match (from.scheme_str(), from.authority()) {
        (Some(scheme), Some(authority)) => (scheme, authority.as_str()),
        _ => return Err(Trouble::BadUrl),
    };
    let has_scheme = to.split(['/', '?', '#']).next().is_some_and(|head| head.contains(':'));
    let text = if has_scheme {
        to.to_owned()
    } else if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else {
        let directory = from.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{to}")
    };
    let target: Uri = text.parse().map_err(|_| refuse("which is not a URL"))?;
    match (scheme, target.scheme_str()) {
        (_, Some("https")) | ("http", Some("http")) => {}
        (_, Some("http")) => return Err(refuse("which gives up encryption")),
        _ => return Err(refuse("which is not on the web")),
    }
    let (Some(here), Some(there)) = (from.host(), target.host()) else {
        return Err(refuse("which is not a URL"));
    };
    if is_private(there) && here != there {
        return Err(refuse("an address of a private network"));
    }
    Ok(target)
}

/// Whether a host, as a URL writes it, is an address that only this machine or site can reach.
fn is_private(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private(&ip.to_string()),
            None => {
                ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
        },
        Err(_) => bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// The path of a `file:` URL, percent escapes undone; nothing for other schemes.
fn file_url(url: &str) -> Option<Result<PathBuf, Trouble>> {
    use std::os::unix::ffi::OsStringExt;
    let rest = url.strip_prefix("file:")?;
    let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let [byte, rest @ ..] = left {
        left = rest;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if value != 0 => bytes.push(value),
            _ => return Some(Err(Trouble::BadUrl)),
        }
        left = &rest[2..];
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    Some(if path.is_absolute() { Ok(path) } else { Err(Trouble::BadUrl) })
}

/// Copies a file of this machine into `sink`. The sink's hash is of the bytes copied, so a file
/// that changes meanwhile cannot be published under the old checksum.
pub fn copy(path: &Path, max: u64, stop: &AtomicBool, sink: &mut dyn Sink) -> Result<(), Trouble> {
    let mut file = std::fs::File::open(path).map_err(Trouble::Read)?;
    let data = file.metadata().map_err(Trouble::Read)?;
    if !data.is_file() {
        return Err(Trouble::Read(io::Error::new(io::ErrorKind::IsADirectory, "it is not a regular file")));
    }
    sink.start(Some(data.len())).map_err(Trouble::Write)?;
    let mut chunk = vec![0; CHUNK];
    let mut got = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Trouble::Cancelled);
        }
        let count = match file.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Trouble::Read(error)),
        };
        if count == 0 {
            return Ok(());
        }
        got += count as u64;
        if got > max {
            return Err(Trouble::TooLarge { limit: max });
        }
        sink.take(&chunk[..count]).map_err(Trouble::Write)?;
    }
}

/// Between 0.5 and 1.5, so that many clients of a busy server do not come back together.
fn jitter() -> f32 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    #[expect(clippy::cast_precision_loss, reason = "jitter needs no precision")]
    let part = (nanos / 1000 % 1000) as f32 / 1000.0;
    0.5 + part
}

fn sleep(pause: Duration, stop: &AtomicBool) -> Result<(), Trouble> {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if stop.load(Ordering::Relaxed) {
            return Err(Trouble::Cancelled);
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str) -> Option<String> {
        redirect(&from.parse().unwrap(), to).ok().map(|uri| uri.to_string())
    }

    #[test]
    fn redirects_are_resolved_like_links() {
        let from = "https://a.example.org/x/y.tar?q";
        assert_eq!(follow(from, "z.tar").unwrap(), "https://a.example.org/x/z.tar");
        assert_eq!(follow(from, "/z?u=http://b").unwrap(), "https://a.example.org/z?u=http://b");
        assert_eq!(follow(from, "//b.example.org/z").unwrap(), "https://b.example.org/z");
        assert_eq!(follow(from, "https://b.example.org").unwrap(), "https://b.example.org/");
        assert_eq!(
            follow("http://a.example.org/", "https://b.example.org/").unwrap(),
            "https://b.example.org/"
        );
    }

    #[test]
    fn redirects_out_of_the_web_or_into_private_networks_are_refused() {
        for to in [
            "http://a.example.org/",
            "file:///etc/passwd",
            "file:/etc/passwd",
            "ftp://a.example.org/",
            "gopher:x",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:192.168.0.1]/",
            "https://localhost/",
            "https://x.localhost/",
        ] {
            assert_eq!(follow("https://a.example.org/x", to), None, "{to}");
        }
        assert!(follow("http://127.0.0.1:80/x", "http://127.0.0.1:81/y").is_some());
        assert!(follow("http://127.0.0.1/x", "http://127.0.0.2/y").is_none());
    }

    #[test]
    fn file_urls_are_absolute_and_unescaped() {
        let path = |url| file_url(url).map(|path| path.ok());
        assert_eq!(path("file:///a%20b/c"), Some(Some("/a b/c".into())));
        assert_eq!(path("file:/a"), Some(Some("/a".into())));
        for bad in ["file:a", "file://host/a", "file:///a%0", "file:///a%zz", "file:///a%00"] {
            assert_eq!(path(bad), Some(None), "{bad}");
        }
        assert_eq!(path("https://a.example.org/"), None);
    }
}
