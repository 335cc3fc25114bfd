//! Ways in which two builds could find each other: `serve` opens all, `seek` looks for all.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::call;
use crate::calls::*;

const NAME: &[u8] = b"jtwbuild-meeting-point";
const KEY: i32 = 0x6a74_7762;
const READY: &str = "/tmp/serving";

/// What is left open as long as the server runs, whatever it is.
type Held = Box<dyn std::any::Any>;

struct Channel {
    name: &'static str,
    tried: &'static str,
    serve: fn() -> Held,
    /// Whether it finds the server's end.
    seek: fn() -> bool,
}

fn hold(value: impl std::any::Any) -> Held {
    Box::new(value)
}

fn abstract_address() -> SocketAddr {
    SocketAddr::from_abstract_name(NAME).expect("a short name")
}

/// Holds a lock that others may share.
fn lock(path: &str) -> File {
    let file = File::open(path).expect("it can be read");
    call!(FLOCK, file.as_raw_fd(), 1).expect("it can be locked");
    file
}

/// Whether somebody holds a lock.
fn is_locked(path: &str) -> bool {
    let file = File::open(path).expect("it can be read");
    call!(FLOCK, file.as_raw_fd(), 2 | 4) == Err(EAGAIN)
}

fn is_there(got: Result<std::ffi::c_long, i32>) -> bool {
    got.is_ok()
}

fn numbers() -> impl Iterator<Item = i32> {
    let own = i32::try_from(std::process::id()).expect("small");
    (2..4000).filter(move |number| *number != own)
}

#[rustfmt::skip]
fn channels() -> Vec<Channel> {
    vec![
        Channel { name: "abstract-socket", tried: "a socket with an abstract name, which hands over an output's descriptor",
            serve: || hold(UnixListener::bind_addr(&abstract_address()).expect("a new name")),
            seek: || UnixStream::connect_addr(&abstract_address()).is_ok() },
        Channel { name: "abstract-datagram", tried: "a datagram socket with an abstract name",
            serve: || hold(std::os::unix::net::UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(b"jtwbuild-datagrams").expect("short")).expect("a new name")),
            seek: || std::os::unix::net::UnixDatagram::unbound().and_then(|socket| socket.connect_addr(&SocketAddr::from_abstract_name(b"jtwbuild-datagrams").expect("short"))).is_ok() },
        Channel { name: "socket-list", tried: "names in /proc/self/net/unix",
            serve: || hold(()),
            seek: || fs::read_to_string("/proc/self/net/unix").is_ok_and(|list| list.contains("jtwbuild-meeting-point")) },
        Channel { name: "path-socket", tried: "a socket in /tmp, which hands over an output's descriptor",
            serve: || hold(UnixListener::bind("/tmp/meet.socket").expect("/tmp is writable")),
            seek: || UnixStream::connect("/tmp/meet.socket").is_ok() },
        Channel { name: "output-socket", tried: "a socket in the output",
            serve: || hold(UnixListener::bind("/out/meet.socket").expect("/out is writable")),
            seek: || UnixStream::connect("/out/meet.socket").is_ok() },
        Channel { name: "loopback-stream", tried: "a TCP port of the loopback device",
            serve: || hold(TcpListener::bind("127.0.0.1:7777").expect("a free port")),
            seek: || TcpStream::connect("127.0.0.1:7777").is_ok() },
        Channel { name: "loopback-stream-6", tried: "a TCP port over IPv6",
            serve: || hold(TcpListener::bind("[::1]:7779").expect("a free port")),
            seek: || TcpStream::connect("[::1]:7779").is_ok() },
        Channel { name: "loopback-datagram", tried: "a UDP port that is taken",
            serve: || hold(UdpSocket::bind("127.0.0.1:7778").expect("a free port")),
            seek: || UdpSocket::bind("127.0.0.1:7778").is_err() },
        Channel { name: "shared-memory-file", tried: "a file in /dev/shm",
            serve: || hold(File::create("/dev/shm/meet").expect("it is writable")),
            seek: || fs::exists("/dev/shm/meet").unwrap_or(false) },
        Channel { name: "temporary-file", tried: "a file in /tmp",
            serve: || hold(File::create("/tmp/meet").expect("it is writable")),
            seek: || fs::exists("/tmp/meet").unwrap_or(false) },
        Channel { name: "output-file", tried: "a file in the output",
            serve: || hold(File::create("/out/meet").expect("it is writable")),
            seek: || fs::exists("/out/meet").unwrap_or(false) },
        Channel { name: "layer-file", tried: "a file in an overlay of the same layers",
            serve: || hold(File::create("/merged/meet").expect("it is writable")),
            seek: || fs::exists("/merged/meet").unwrap_or(false) },
        Channel { name: "system-v-semaphore", tried: "a System V semaphore",
            serve: || hold(call!(SEMGET, KEY, 1, 0o1666).expect("a new semaphore")),
            seek: || is_there(call!(SEMGET, KEY, 0, 0)) },
        Channel { name: "system-v-messages", tried: "a System V message queue",
            serve: || hold(call!(MSGGET, KEY, 0o1666).expect("a new queue")),
            seek: || is_there(call!(MSGGET, KEY, 0)) },
        Channel { name: "posix-messages", tried: "a POSIX message queue",
            serve: || hold(call!(MQ_OPEN, c"jtwbuild".as_ptr(), 0o102, 0o666, 0).expect("a new queue")),
            seek: || is_there(call!(MQ_OPEN, c"jtwbuild".as_ptr(), 0, 0, 0)) },
        Channel { name: "input-lock", tried: "a lock on a file of a common input",
            serve: || hold(lock("/input/file")),
            seek: || is_locked("/input/file") },
        Channel { name: "layer-lock", tried: "a lock on a file of a common layer",
            serve: || hold(lock("/merged/file")),
            seek: || is_locked("/merged/file") },
        Channel { name: "processes", tried: "processes in /proc",
            serve: || hold(()),
            seek: || numbers().any(|number| fs::exists(format!("/proc/{number}")).unwrap_or(false)) },
        Channel { name: "signals", tried: "signals to every number that a process could have",
            serve: || hold(()),
            seek: || numbers().any(|number| call!(KILL, number, 0).is_ok()) },
        Channel { name: "process-descriptors", tried: "a descriptor of every process",
            serve: || hold(()),
            seek: || numbers().any(|number| call!(PIDFD_OPEN, number, 0).is_ok()) },
        Channel { name: "device-lock", tried: "a lock on /dev/null",
            serve: || hold(lock("/dev/null")),
            seek: || is_locked("/dev/null") },
    ]
}

pub fn list() -> i32 {
    for channel in channels() {
        println!("{}\t{}", channel.name, channel.tried);
    }
    0
}

/// Opens every channel and stays; inside one sandbox with a seeker, until that one is done.
pub fn serve() -> i32 {
    let held: Vec<Held> = channels().iter().map(|channel| (channel.serve)()).collect();
    fs::write(READY, "").expect("/tmp is writable");
    println!("serving {} channels", held.len());
    std::io::stdout().flush().expect("the log takes it");
    let started = Instant::now();
    while !fs::exists("/tmp/sought").unwrap_or(false) && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    for name in ["/out/meet.socket", "/out/meet"] {
        fs::remove_file(name).expect("it is there");
    }
    0
}

/// Looks for every channel. With `TOGETHER` set, the server is in the same sandbox.
pub fn seek() -> i32 {
    let together = std::env::var_os("TOGETHER").is_some();
    while together && !fs::exists(READY).unwrap_or(false) {
        std::thread::sleep(Duration::from_millis(10));
    }
    for channel in channels() {
        println!("{}\t{}", channel.name, if (channel.seek)() { "found" } else { "nothing" });
    }
    if let Ok(path) = std::env::var("HELPER") {
        let address = SocketAddr::from_abstract_name(path.as_bytes()).expect("short");
        println!(
            "host-abstract\t{}",
            if UnixStream::connect_addr(&address).is_ok() { "found" } else { "nothing" }
        );
        println!("host-path\t{}", if UnixStream::connect(&path).is_ok() { "found" } else { "nothing" });
    }
    fs::write("/tmp/sought", "").expect("/tmp is writable");
    0
}

/// Leaves sockets behind that only the kernel's collector of garbage will find, because they are
/// under way to themselves, and a trace in counters that no packet leaves.
pub fn leave_sockets() -> i32 {
    let listener = UnixListener::bind_addr(&abstract_address()).expect("a new name");
    let (one, other) = UnixStream::pair().expect("a pair");
    let descriptors = [one.as_raw_fd(), listener.as_raw_fd()];
    // `struct cmsghdr` with two descriptors, `struct iovec`, `struct msghdr`.
    let mut control = [0_u8; 24];
    control[..8].copy_from_slice(&24_u64.to_ne_bytes());
    control[8..16].copy_from_slice(&[1_i32, 1].map(i32::to_ne_bytes).concat());
    control[16..].copy_from_slice(&descriptors.map(i32::to_ne_bytes).concat());
    let byte = [0_u8];
    let vector = [byte.as_ptr() as u64, 1];
    let message = [0, 0, vector.as_ptr() as u64, 1, control.as_ptr() as u64, 24, 0];
    call!(SENDMSG, other.as_raw_fd(), message.as_ptr(), 0).expect("descriptors can be sent");
    for _ in 0..7 {
        let _ = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "192.0.2.1:9"));
    }
    println!("left");
    0
}
