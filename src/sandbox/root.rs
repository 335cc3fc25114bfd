//! The file system that a builder sees, assembled by the first process of its sandbox.
//!
//! Everything is made as a mount that is not attached anywhere, by descriptor; then the new root
//! takes the place of the old one, the old one is let go, and the rest is attached below the new
//! root, where no path can lead anywhere else. Nothing is mounted where the host could see it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, UtimensatFlags, fstat, mkdirat, umask, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, chdir, fchdir, pivot_root, symlinkat};

use super::conditions::{self, Conditions};
use super::message::{Job, JobMount, Scratch};
use super::namespaces::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::store::disk::MTIME;

/// Devices that builders may open.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// Links in `/dev`.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// An empty directory of the scratch space, and one to mount things at for a moment.
const NOTHING: &str = "nothing";
const PLACE: &str = "place";
/// For so many bytes of a scratch space in memory there is one file: a file without bytes takes
/// memory as well, which the size does not count.
const BYTES_FOR_A_FILE: u64 = 4096;
/// The step that needs the root directory to be a mount.
pub const ENTER: &str = "the change of the root directory";
/// More mounts than this lie over no root directory.
const MOST_ON_ROOT: usize = 16;
/// The step that needs the host's devices.
pub const DEVICES_MADE: &str = "the devices";
/// `mount` takes options of less than a page.
const LONGEST_OPTIONS: usize = 4095;
/// Process numbers below this one are used only once.
const RESERVED_NUMBERS: u64 = 300;
/// The directories that every sandbox has, whatever its layers hold.
pub const SYSTEM_MOUNTS: &[&str] = &["/proc", "/dev", "/tmp"];

/// The step that failed, why, and what the kernel said beside the error number.
#[derive(Debug)]
pub struct Refused {
    pub step: String,
    pub errno: Errno,
    pub detail: String,
}

trait Step<T> {
    fn step(self, step: impl Into<String>) -> Result<T, Refused>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, step: impl Into<String>) -> Result<T, Refused> {
        self.map_err(|errno| Refused { step: step.into(), errno, detail: String::new() })
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: impl Into<String>) -> Result<T, Refused> {
        self.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0))).step(step)
    }
}

/// Turns this process, the first of its namespaces, into one that sees what the job says, and
/// gives the descriptors that the engine wants: the top directory of each captured overlay, and
/// the scratch space.
pub fn assemble(job: &Job, (uid, gid): (Uid, Gid)) -> Result<Vec<OwnedFd>, Refused> {
    let conditions = &job.conditions;
    become_builder(conditions.user, uid, gid)?;
    if uid.is_root() {
        limit_process_numbers(job.processes)?;
    }
    umask(Mode::empty());
    nix::unistd::sethostname(&conditions.host_name).step("the host name")?;
    namespaces::set_domain_name("(none)").step("the domain name")?;
    chdir(job.trees.as_str()).step("the store's trees")?;

    let proc = make_proc().step("a mount of proc")?;
    let scratch = make_scratch(&job.scratch).step("the scratch space")?;
    for name in [NOTHING, PLACE] {
        directory(&scratch, name, 0o755).step("the scratch space")?;
    }
    let mut results = Vec::new();
    let mut mounts = Vec::new();
    for (index, mount) in job.mounts.iter().enumerate() {
        match mount {
            JobMount::Overlay { at, layers, captured } => {
                let top = format!("top-{index}");
                directory(&scratch, &top, 0o755).step("the top of an overlay")?;
                let made = if layers.is_empty() {
                    namespaces::copy_mount(&scratch, &top).step("an empty directory")?
                } else {
                    make_overlay(layers, &scratch, Some(index), job)?
                };
                if *captured {
                    results.push(open_directory(&scratch, &top).step("the top of an overlay")?);
                }
                mounts.push((at, made));
            }
            JobMount::ReadOnly { at, tree } => {
                // An overlay without a top, and not the directory itself: its files are this sandbox's
                // own, so no lock on them and no notice of them reaches another one, and no path
                // of the host shows in the list of mounts.
                let made = make_overlay(std::slice::from_ref(tree), &scratch, None, job)?;
                namespaces::set_attributes(&made, RDONLY).step("a read-only mount")?;
                mounts.push((at, made));
            }
        }
    }
    for name in ["top-0/proc", "top-0/dev", "top-0/tmp"] {
        directory(&scratch, name, 0o755).step("a mount point")?;
    }
    let devices = make_devices(&scratch).step(DEVICES_MADE)?;
    directory(&scratch, "tmp", 0o1777).step("/tmp")?;
    let tmp = namespaces::copy_mount(&scratch, "tmp").step("/tmp")?;

    let mut mounts = mounts.into_iter();
    let (_, root) = mounts.next().ok_or(Errno::EINVAL).step("the root of the file system")?;
    enter(&root).step(ENTER)?;
    namespaces::attach(&proc, AT_FDCWD, "/proc").step("/proc")?;
    namespaces::attach(&tmp, AT_FDCWD, "/tmp").step("/tmp")?;
    for (path, mount) in &devices {
        namespaces::attach(mount, AT_FDCWD, path).step(path.as_str())?;
    }
    for (at, mount) in mounts {
        let step = || format!("the mount at {at}");
        std::fs::create_dir_all(at).step(step())?;
        namespaces::attach(&mount, AT_FDCWD, at).step(step())?;
    }
    if let (Some(name), Some(JobMount::Overlay { captured: false, .. })) =
        (&conditions.user_name, job.mounts.first())
    {
        for file in ["/etc/passwd", "/etc/group"] {
            rename_builder(file, name, conditions.user).step(file)?;
        }
    }
    let writable = job.mounts.iter().filter_map(|mount| match mount {
        JobMount::Overlay { at, .. } => Some(at.as_str()),
        JobMount::ReadOnly { .. } => None,
    });
    let time = TimeSpec::new(MTIME, 0);
    for at in writable.chain(["/tmp", "/dev/shm"]) {
        utimensat(AT_FDCWD, at, &time, &time, UtimensatFlags::NoFollowSymlink)
            .step(format!("the time of {at}"))?;
    }
    umask(Mode::from_bits_truncate(conditions.umask));
    results.push(scratch);
    Ok(results)
}

/// Fills in the user namespace: one user, one group, and no further user namespaces below.
fn become_builder(builder: u32, uid: Uid, gid: Gid) -> Result<(), Refused> {
    let write = |path: &str, text: &str| std::fs::write(path, text).step(path);
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{builder} {uid} 1"))?;
    write("/proc/self/gid_map", &format!("{builder} {gid} 1"))?;
    write("/proc/sys/user/max_user_namespaces", "0")
}

/// Gives the builder another name in a file of the base that may list it.
fn rename_builder(file: &str, name: &str, user: u32) -> std::io::Result<()> {
    match std::fs::read_to_string(file) {
        Ok(text) => std::fs::write(file, conditions::renamed(&text, Conditions::USER, name, user)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The kernel does not hold root's processes to `RLIMIT_NPROC`, even inside a user namespace. Since
/// 6.14 each process namespace has its own largest number instead; before, that setting was the
/// whole machine's, and must not be touched.
fn limit_process_numbers(processes: u64) -> Result<(), Refused> {
    if !super::support::limits_processes_of_root() {
        return Ok(());
    }
    let largest = RESERVED_NUMBERS + processes + 2;
    std::fs::write("/proc/sys/kernel/pid_max", largest.to_string()).step("the largest process number")
}

/// Processes only, and of those only the reader's own: nothing of the host shows, and `/proc/sys`
/// does not exist.
fn make_proc() -> nix::Result<OwnedFd> {
    let context = namespaces::open_file_system(c"proc")?;
    namespaces::set_option(&context, c"subset", "pid")?;
    namespaces::set_option(&context, c"hidepid", "ptraceable")?;
    namespaces::make_mount(&context, NOSUID | NODEV | NOEXEC)
}

/// Mounts the scratch space over the old root, where nothing will look: overlays and copies need
/// it attached in this mount namespace.
fn make_scratch(scratch: &Scratch) -> nix::Result<OwnedFd> {
    let made = match scratch {
        Scratch::Memory { bytes } => {
            let context = namespaces::open_file_system(c"tmpfs")?;
            namespaces::set_option(&context, c"size", &bytes.to_string())?;
            namespaces::set_option(&context, c"nr_inodes", &(bytes / BYTES_FOR_A_FILE + 64).to_string())?;
            namespaces::set_option(&context, c"mode", "0755")?;
            namespaces::make_mount(&context, NOSUID | NODEV)?
        }
        Scratch::Disk { directory, identity } => {
            // The directory that the engine has made, and no other that its path leads to by now.
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let opened = openat(AT_FDCWD, directory.as_str(), flags, Mode::empty())?;
            let status = fstat(&opened)?;
            if (status.st_dev, status.st_ino) != *identity {
                return Err(Errno::ESTALE);
            }
            let copy = namespaces::copy_mount(&opened, "")?;
            namespaces::set_attributes(&copy, NOSUID | NODEV)?;
            copy
        }
    };
    namespaces::attach(&made, AT_FDCWD, "/")?;
    Ok(made)
}

/// An overlay of `layers`, with the top directory of that number, or none: then nobody can write.
fn make_overlay(
    layers: &[String],
    scratch: &OwnedFd,
    top: Option<usize>,
    job: &Job,
) -> Result<OwnedFd, Refused> {
    let raw = scratch.as_raw_fd();
    let inside = |name: &str| format!("/proc/self/fd/{raw}/{name}");
    let mut layers = layers.to_vec();
    let top = match top {
        Some(index) => {
            let work = format!("work-{index}");
            directory(scratch, &work, 0o755).step("the work directory of an overlay")?;
            Some((inside(&format!("top-{index}")), inside(&work)))
        }
        None => {
            // Without a top there have to be two layers.
            layers.insert(0, inside(NOTHING));
            None
        }
    };
    // What a crash leaves behind is thrown away, so nothing has to reach the disk.
    let volatile = matches!(job.scratch, Scratch::Disk { .. }) && top.is_some();
    if !job.one_by_one {
        return overlay_in_one_call(&layers, top.as_ref(), volatile, &inside(PLACE)).step("an overlay");
    }
    let context = namespaces::open_file_system(c"overlay").step("overlay file systems")?;
    let explain = |result: nix::Result<()>, step: &str| {
        result.map_err(|errno| Refused { step: step.to_owned(), errno, detail: kernel_says(&context) })
    };
    for layer in layers.iter().rev() {
        explain(namespaces::set_option(&context, c"lowerdir+", layer), "a layer of an overlay")?;
    }
    if let Some((top, work)) = &top {
        explain(namespaces::set_option(&context, c"upperdir", top), "the top of an overlay")?;
        explain(namespaces::set_option(&context, c"workdir", work), "the work directory of an overlay")?;
    }
    explain(namespaces::set_flag(&context, c"userxattr"), "an overlay's `userxattr`")?;
    if volatile {
        explain(namespaces::set_flag(&context, c"volatile"), "an overlay's `volatile`")?;
    }
    namespaces::make_mount(&context, NOSUID | NODEV).map_err(|errno| Refused {
        step: "an overlay".to_owned(),
        errno,
        detail: kernel_says(&context),
    })
}

/// The way of kernels before 6.7: one string of at most a page, in which the layers are named by
/// descriptors, because those are short. About 230 fit.
fn overlay_in_one_call(
    layers: &[String],
    top: Option<&(String, String)>,
    volatile: bool,
    place: &str,
) -> nix::Result<OwnedFd> {
    let open =
        |layer: &String| openat(AT_FDCWD, layer.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
    let opened = layers.iter().rev().map(open).collect::<nix::Result<Vec<_>>>()?;
    let named: Vec<_> = opened.iter().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect();
    let volatile = if volatile { ",volatile" } else { "" };
    let top = top.map_or_else(String::new, |(top, work)| format!(",upperdir={top},workdir={work}"));
    let options = format!("lowerdir={}{top},userxattr{volatile}", named.join(":"));
    if options.len() > LONGEST_OPTIONS {
        return Err(Errno::E2BIG);
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("overlay"), place, Some("overlay"), flags, Some(options.as_str()))?;
    namespaces::copy_mount(AT_FDCWD, place)
}

/// What the kernel left to read about the last trouble with a mount.
fn kernel_says(context: &OwnedFd) -> String {
    let mut buffer = [0; 512];
    match nix::unistd::read(context, &mut buffer) {
        Ok(count) => String::from_utf8_lossy(&buffer[..count]).trim().to_owned(),
        Err(_) => String::new(),
    }
}

/// `/dev` with its devices, in the order in which they are to be attached. Read-only, or a builder
/// that runs for root could change the host's device nodes.
fn make_devices(scratch: &OwnedFd) -> nix::Result<Vec<(String, OwnedFd)>> {
    directory(scratch, "dev", 0o755)?;
    directory(scratch, "shm", 0o1777)?;
    directory(scratch, "dev/shm", 0o755)?;
    let dev = open_directory(scratch, "dev")?;
    for (name, target) in DEVICE_LINKS {
        symlinkat(*target, &dev, *name)?;
    }
    let mut made = Vec::with_capacity(DEVICES.len() + 2);
    let mount = namespaces::copy_mount(scratch, "dev")?;
    namespaces::set_attributes(&mount, RDONLY | NOEXEC)?;
    made.push(("/dev".to_owned(), mount));
    made.push(("/dev/shm".to_owned(), namespaces::copy_mount(scratch, "shm")?));
    for name in DEVICES {
        let path = format!("/dev/{name}");
        drop(openat(&dev, *name, OFlag::O_CREAT | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o644))?);
        let mount = namespaces::copy_mount(AT_FDCWD, &path)?;
        namespaces::set_attributes(&mount, RDONLY | NOSUID | NOEXEC)?;
        made.push((path, mount));
    }
    Ok(made)
}

/// Makes `root` the root directory and lets go of the old one, with all that is mounted there.
fn enter(root: &OwnedFd) -> nix::Result<()> {
    namespaces::attach(root, AT_FDCWD, "/")?;
    fchdir(root)?;
    pivot_root(".", ".")?;
    // Now the old root lies over the new one, and the scratch space over that: each is a mount to
    // let go of, and what stays would be found at `/..`.
    for _ in 0..MOST_ON_ROOT {
        umount2(".", MntFlags::MNT_DETACH)?;
        if is_alone()? {
            return chdir("/");
        }
    }
    Err(Errno::EBUSY)
}

/// Whether nothing is mounted over this process's root directory: then `..` leads nowhere else.
fn is_alone() -> nix::Result<bool> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_XDEV);
    match openat2(AT_FDCWD, "/..", how) {
        Ok(_) => Ok(true),
        Err(Errno::EXDEV) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn directory(at: &OwnedFd, name: &str, mode: u32) -> nix::Result<()> {
    mkdirat(at, name, Mode::from_bits_truncate(mode))
}

fn open_directory(at: &OwnedFd, name: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    openat(at.as_fd(), name, flags, Mode::empty())
}
