//! Prints everything that a builder can observe, one thing a line, as `name = value`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::call;
use crate::calls::*;

fn show(name: &str, value: impl std::fmt::Display) {
    println!(
        "{name} = {}",
        value.to_string().trim_end().replace('\n', "\\n").replace('\0', "\\0").replace('\t', " ")
    );
}

fn file(path: &str) {
    match fs::read_to_string(path) {
        Ok(text) => show(path, text),
        Err(error) => show(path, name(error.raw_os_error().unwrap_or(0))),
    }
}

fn directory(path: &str) {
    let Ok(entries) = fs::read_dir(path) else { return show(path, "absent") };
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !(path == "/proc" && name.bytes().all(|byte| byte.is_ascii_digit())));
    names.sort();
    show(path, names.join(" "));
}

fn status_of(path: &str) {
    let Ok(status) = fs::symlink_metadata(path) else { return show(path, "absent") };
    show(
        &format!("mode, owner and time of {path}"),
        format!("{:o} {}:{} {}", status.mode(), status.uid(), status.gid(), status.mtime()),
    );
    show(
        &format!("device, number and change time of {path}"),
        format!("{} {} {}", status.dev(), status.ino(), status.ctime()),
    );
}

fn line_of_status(key: &str) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    show(&format!("status {key}"), line.unwrap_or("absent").trim());
}

fn limits() {
    let names = [
        "processor time",
        "file size",
        "data",
        "stack",
        "core",
        "resident",
        "processes",
        "open files",
        "locked memory",
        "address space",
        "locks",
        "pending signals",
        "message queues",
        "nice",
        "real-time priority",
        "real-time",
    ];
    for (number, name) in names.iter().enumerate() {
        let mut limit = [0_u64; 2];
        let _ = call!(PRLIMIT, 0, number, 0, limit.as_mut_ptr());
        let word = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
        show(&format!("limit of {name}"), format!("{} {}", word(limit[0]), word(limit[1])));
    }
}

/// Fields of `struct utsname`, 65 bytes each.
fn names_of_host() {
    unsafe extern "C" {
        fn uname(into: *mut u8) -> i32;
    }
    let mut fields = [0_u8; 6 * 65];
    // SAFETY: the buffer has the size of the structure.
    unsafe { uname(fields.as_mut_ptr()) };
    let names = ["system", "host", "kernel release", "kernel version", "machine", "domain"];
    for (name, field) in names.iter().zip(fields.chunks(65)) {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        show(&format!("name of the {name}"), String::from_utf8_lossy(&field[..end]));
    }
}

/// The auxiliary vector, without what is an address.
fn vector() {
    let bytes = fs::read("/proc/self/auxv").unwrap_or_default();
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight"))).collect();
    for pair in words.chunks_exact(2) {
        let name = match pair[0] {
            6 => "page size",
            11 => "user",
            12 => "effective user",
            13 => "group",
            14 => "effective group",
            16 => "hardware capabilities",
            17 => "clock ticks",
            23 => "secure mode",
            26 => "more hardware capabilities",
            51 => "signal stack",
            _ => continue,
        };
        show(&format!("vector: {name}"), pair[1]);
    }
}

fn mounts() {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in table.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let dash = fields.iter().position(|field| *field == "-").unwrap_or(0);
        show(&format!("mount {}", fields[4]), format!("{} {}", fields[5], fields[dash + 1]));
        show(
            &format!("mount options of {}", fields[4]),
            format!("{} {} {}", fields[3], fields[dash + 2], fields[dash + 3]),
        );
    }
}

#[rustfmt::skip]
pub fn print() -> i32 {
    let mut variables: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    variables.sort();
    show("environment", variables.join(" "));
    show("arguments", std::env::args().collect::<Vec<_>>().join(" "));
    show("directory", std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default());
    names_of_host();
    for key in ["Uid", "Gid", "Umask", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn", "SigCgt",
        "TracerPid", "NSpid", "NSpgid", "NSsid", "Threads", "Groups", "THP_enabled", "Seccomp_filters", "Speculation_Store_Bypass"] {
        line_of_status(key);
    }
    limits();
    for path in ["/", "/dev", "/dev/shm", "/tmp", "/proc", "/out", "/etc", "/input", "/proc/self/fd"] {
        directory(path);
    }
    for path in ["/", "/tmp", "/dev/shm", "/input", "/input/file", "/merged", "/merged/file", "/out", "/dev/null"] {
        status_of(path);
    }
    for path in ["/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups", "/proc/self/personality", "/proc/self/oom_score_adj",
        "/proc/self/loginuid", "/proc/self/sessionid", "/proc/self/cgroup", "/proc/self/timens_offsets", "/proc/self/coredump_filter",
        "/proc/self/attr/current", "/proc/self/autogroup", "/proc/self/cpuset", "/proc/self/wchan", "/proc/self/net/route",
        "/proc/self/net/if_inet6", "/proc/self/net/unix", "/proc/self/net/netlink", "/proc/self/net/tcp", "/proc/1/cmdline",
        "/proc/cpuinfo", "/proc/meminfo", "/proc/version", "/proc/cmdline", "/proc/uptime", "/proc/loadavg", "/proc/stat", "/proc/modules",
        "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/hostname", "/proc/sys/kernel/pid_max", "/proc/sys/vm/overcommit_memory",
        "/etc/machine-id", "/etc/hostname", "/etc/passwd", "/etc/resolv.conf", "/etc/localtime", "/sys/class/dmi/id/product_uuid"] {
        file(path);
    }
    for standard in 0..3 {
        let to = fs::read_link(format!("/proc/self/fd/{standard}")).map(|path| path.display().to_string()).unwrap_or_default();
        show(&format!("descriptor {standard}"), to.split(':').next().unwrap_or_default());
    }
    vector();
    mounts();
    show("process", std::process::id());
    show("processors", std::thread::available_parallelism().map_or(0, usize::from));
    let mut words = [0_u64; 14];
    let _ = call!(SYSINFO, words.as_mut_ptr());
    show("uptime, load, memory and processes (sysinfo)", format!("{} {:?} {}", words[0], &words[1..4], words[4]));
    show("clock", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs()));
    let mut random = [0_u8; 8];
    let _ = fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut random));
    show("random numbers", u64::from_ne_bytes(random));
    let on_stack = 0_u8;
    show("address of a program's data", format!("{:p}", &raw const WORD));
    show("address of the stack", format!("{:p}", &raw const on_stack));
    0
}

static WORD: u8 = 0;
