//! Attempts to reach a network, or somebody else through one.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::Outcome::{Own, Refused};
use crate::calls::*;
use crate::{Attack, call};

const NO_FAMILY: &[i32] = &[EAFNOSUPPORT];
const NO_PROTOCOL: &[i32] = &[EPROTONOSUPPORT];
const STREAM: i32 = 1;
const DATAGRAM: i32 = 2;
const RAW: i32 = 3;

fn socket(family: i32, kind: i32, protocol: i32) -> Tried {
    call!(SOCKET, family, kind, protocol).map(drop)
}

/// Where a process of the host listens on its loopback device.
fn host_port() -> u16 {
    std::env::var("PORT").ok().and_then(|port| port.parse().ok()).expect("the test names a port")
}

fn connect(address: &str) -> Tried {
    let address: SocketAddr = address.parse().expect("an address");
    tried(TcpStream::connect_timeout(&address, Duration::from_secs(2)))
}

fn send(from: &str, to: &str) -> Tried {
    tried(UdpSocket::bind(from).and_then(|socket| socket.send_to(b"x", to)))
}

/// Asks the kernel over netlink for all devices and gives how many there are.
fn devices() -> Result<usize, i32> {
    let socket = call!(SOCKET, 16, RAW, 0)?;
    // `struct nlmsghdr` (RTM_GETLINK, REQUEST | DUMP) and `struct rtgenmsg`.
    let mut ask = [0_u8; 20];
    ask[..8].copy_from_slice(&[20, 0, 0, 0, 18, 0, 1, 3]);
    call!(SENDTO, socket, ask.as_ptr(), 20, 0, 0, 0)?;
    let mut answer = vec![0_u8; 1 << 16];
    let mut file = unsafe {
        <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(i32::try_from(socket).expect("small"))
    };
    let length =
        std::io::Read::read(&mut file, &mut answer).map_err(|error| error.raw_os_error().unwrap_or(0))?;
    let (mut at, mut count) = (0, 0);
    while at + 16 <= length {
        let size = u32::from_ne_bytes(answer[at..at + 4].try_into().expect("four")) as usize;
        count += usize::from(answer[at + 4] == 16);
        at += (size.max(16) + 3) & !3;
    }
    Ok(count)
}

/// Adds a device by netlink, and gives the kernel's answer.
fn add_device() -> Tried {
    let socket = call!(SOCKET, 16, RAW, 0)?;
    // RTM_NEWLINK, REQUEST | ACK | CREATE: a header, an `ifinfomsg`, and IFLA_LINKINFO of a dummy.
    let mut ask = [0_u8; 52];
    ask[..8].copy_from_slice(&[52, 0, 0, 0, 16, 0, 5, 4]);
    ask[32..36].copy_from_slice(&[20, 0, 18, 0]);
    ask[36..46].copy_from_slice(&[10, 0, 1, 0, b'd', b'u', b'm', b'm', b'y', 0]);
    call!(SENDTO, socket, ask.as_ptr(), 52, 0, 0, 0)?;
    let mut file = unsafe {
        <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(i32::try_from(socket).expect("small"))
    };
    let mut answer = [0_u8; 256];
    std::io::Read::read(&mut file, &mut answer).map_err(|error| error.raw_os_error().unwrap_or(0))?;
    match -i32::from_ne_bytes(answer[16..20].try_into().expect("four")) {
        0 => Ok(()),
        errno => Err(errno),
    }
}

#[rustfmt::skip]
pub fn attacks() -> Vec<Attack> {
    vec![
        attack!("net-host-loopback", "connect to a process of the host over 127.0.0.1", Refused(&[ECONNREFUSED]), connect(&format!("127.0.0.1:{}", host_port()))),
        attack!("net-host-loopback-6", "connect to a process of the host over ::1", Refused(&[ECONNREFUSED]), connect(&format!("[::1]:{}", host_port()))),
        attack!("net-any", "connect to 0.0.0.0", Refused(&[ECONNREFUSED]), connect(&format!("0.0.0.0:{}", host_port()))),
        attack!("net-internet", "connect to an address of the internet", Refused(&[ENETUNREACH]), connect("192.0.2.1:80")),
        attack!("net-internet-6", "connect to an IPv6 address of the internet", Refused(&[ENETUNREACH]), connect("[2001:db8::1]:80")),
        attack!("net-link-local", "connect to a link-local address", Refused(&[EINVAL, ENETUNREACH]), connect("[fe80::1]:80")),
        attack!("net-metadata", "connect to a cloud's metadata service", Refused(&[ENETUNREACH]), connect("169.254.169.254:80")),
        attack!("net-dns", "send to a name server of the internet", Refused(&[ENETUNREACH]), send("0.0.0.0:0", "192.0.2.53:53")),
        attack!("net-dns-local", "ask a name server of the host", Refused(&[ECONNREFUSED]), {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("its own loopback works");
            socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time");
            socket.connect("127.0.0.53:53").expect("its own loopback works");
            tried(socket.send(b"x").and_then(|_| socket.recv(&mut [0; 16])))
        }),
        attack!("net-multicast", "send to a multicast group", Refused(&[ENETUNREACH]), send("0.0.0.0:0", "224.0.0.251:5353")),
        attack!("net-raw", "open a raw socket", Refused(&[EPERM, EPROTONOSUPPORT]), socket(2, RAW, 1)),
        attack!("net-raw-6", "open a raw IPv6 socket", Refused(&[EPERM, EPROTONOSUPPORT]), socket(10, RAW, 58)),
        attack!("net-sctp", "open an SCTP socket, which loads a module", Refused(NO_PROTOCOL), socket(2, STREAM, 132)),
        attack!("net-dccp", "open a DCCP socket, which loads a module", Refused(NO_PROTOCOL), socket(2, DATAGRAM, 33)),
        attack!("net-packet", "open a packet socket", Refused(NO_FAMILY), socket(17, RAW, 0)),
        attack!("net-vsock", "open a socket to the machine's host", Refused(NO_FAMILY), socket(40, STREAM, 0)),
        attack!("net-alg", "open a socket to the kernel's ciphers", Refused(NO_FAMILY), socket(38, 5, 0)),
        attack!("net-bluetooth", "open a Bluetooth socket", Refused(NO_FAMILY), socket(31, RAW, 0)),
        attack!("net-can", "open a CAN socket", Refused(NO_FAMILY), socket(29, RAW, 1)),
        attack!("net-key", "open a socket to the keys of IPsec", Refused(NO_FAMILY), socket(15, RAW, 2)),
        attack!("net-xdp", "open an XDP socket", Refused(NO_FAMILY), socket(44, RAW, 0)),
        attack!("net-tipc", "open a TIPC socket", Refused(NO_FAMILY), socket(30, RAW, 0)),
        attack!("net-netlink-events", "listen to events of devices", Refused(NO_PROTOCOL), socket(16, RAW, 15)),
        attack!("net-netlink-audit", "open the audit socket", Refused(NO_PROTOCOL), socket(16, RAW, 9)),
        attack!("net-netlink-filter", "open the socket of packet filters", Refused(NO_PROTOCOL), socket(16, RAW, 12)),
        attack!("net-netlink-diagnosis", "list sockets by netlink", Refused(NO_PROTOCOL), socket(16, RAW, 4)),
        attack!("net-netlink-generic", "open a generic netlink socket", Refused(NO_PROTOCOL), socket(16, RAW, 16)),
        attack!("net-devices", "list network devices", Own("sees its own loopback device"), {
            match devices()? { 1 => Ok(()), _ => Err(0) }
        }),
        attack!("net-add-device", "add a network device", Refused(&[EPERM]), add_device()),
        attack!("net-pair-packet", "make a pair of exotic sockets", Refused(&[EAFNOSUPPORT, EOPNOTSUPP]), {
            let pair = [0_i32; 2];
            call!(SOCKETPAIR, 30, 1, 0, pair.as_ptr()).map(drop)
        }),
    ]
}
