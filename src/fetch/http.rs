//! Downloads: one URL, bounded in time, size, redirects and attempts.
//!
//! The network is read by a thread of its own that holds nothing but the connection. The caller's
//! thread hashes and writes, watches the clock and the stop flag, and can leave at any moment.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use ureq::Agent;
use ureq::http::{Uri, header};

use super::url::{file_url, redirect};

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
    #[error("{}", words(.0))]
    Http(#[source] Box<ureq::Error>),
    /// No connection came about.
    #[error("`{host}`: {}", words(error))]
    Unreachable {
        host: String,
        #[source]
        error: Box<ureq::Error>,
    },
    #[error("`{0}` could not be reached earlier in this run")]
    Avoided(String),
    #[error("{0}")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Write(#[source] io::Error),
    #[error("nothing or next to nothing arrived for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// A file of this machine is being written.
    #[error("it changed while it was read")]
    Changed,
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
            Self::Unreachable { .. }
            | Self::Avoided(_)
            | Self::Stalled(_)
            | Self::Changed
            | Self::Truncated { .. } => true,
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
    /// Hosts that no attempt has reached. They are not asked again: behind a firewall every file
    /// would cost all attempts' time-outs anew.
    unreachable: Arc<Mutex<BTreeSet<String>>>,
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
        Self { agent: config.into(), limits, unreachable: Arc::default() }
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
                Err(Trouble::Avoided(host)) => return Err(Trouble::Avoided(host)),
                Err(trouble) if trouble.is_transient() && attempt < self.limits.attempts => {
                    let asked = match trouble {
                        Trouble::Status { after, .. } => after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    sleep(length_of_pause(pause, asked), stop)?;
                    pause *= 2;
                    attempt += 1;
                }
                Err(Trouble::Unreachable { host, error }) => {
                    self.unreachable().insert(host.clone());
                    return Err(Trouble::Unreachable { host, error });
                }
                ended => return ended,
            }
        }
    }

    fn unreachable(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
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
            let host = at.authority().ok_or(Trouble::BadUrl)?.to_string();
            if self.unreachable().contains(&host) {
                return Err(Trouble::Avoided(host));
            }
            let response = self.agent.get(at.clone()).call().map_err(|error| call_trouble(host, error))?;
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

/// The error without the name of its kind.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn call_trouble(host: String, error: ureq::Error) -> Trouble {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    let unreachable = match &error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Timeout(at) => matches!(at, ureq::Timeout::Resolve | ureq::Timeout::Connect),
        // The standard library gives failed name look-ups no kind that could be told apart.
        ureq::Error::Io(error) => {
            matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | TimedOut)
                || error.to_string().starts_with("failed to lookup address")
        }
        _ => false,
    };
    let error = Box::new(error);
    if unreachable { Trouble::Unreachable { host, error } } else { Trouble::Http(error) }
}

fn read_trouble(error: io::Error, got: u64, expected: Option<u64>) -> Trouble {
    match expected {
        Some(expected) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Trouble::Truncated { got, expected }
        }
        _ => Trouble::Read(error),
    }
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
            let after = file.metadata().map_err(Trouble::Read)?;
            let same = got == data.len() && after.modified().ok() == data.modified().ok();
            return if same { Ok(()) } else { Err(Trouble::Changed) };
        }
        got += count as u64;
        if got > max {
            return Err(Trouble::TooLarge { limit: max });
        }
        sink.take(&chunk[..count]).map_err(Trouble::Write)?;
    }
}

/// How long to wait, given what we would and what the server asks for.
fn length_of_pause(own: Duration, asked: Duration) -> Duration {
    own.mul_f32(jitter()).max(asked).min(MAX_PAUSE)
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

    #[test]
    fn pauses_have_jitter_do_what_servers_ask_for_and_end() {
        let half = Duration::from_millis(500);
        let pauses: Vec<Duration> = (0..50)
            .map(|_| {
                std::thread::sleep(Duration::from_micros(37));
                length_of_pause(half, Duration::ZERO)
            })
            .collect();
        assert!(pauses.iter().all(|pause| (half / 2..=half * 3 / 2).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "no jitter: {pauses:?}");
        assert_eq!(length_of_pause(half, Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(length_of_pause(half, Duration::from_secs(86_400)), MAX_PAUSE);
        assert_eq!(length_of_pause(Duration::from_secs(86_400), Duration::ZERO), MAX_PAUSE);
    }
}
