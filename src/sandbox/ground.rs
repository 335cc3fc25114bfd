//! What the store stands on: file systems that leave locks and flushes to another machine.

use std::path::Path;

use super::support::{Check, State};

/// File systems of a network by the numbers of `linux/magic.h` and, where that has none, of the file
/// systems' own sources; and the names that people know them by.
const NETWORKS: &[(i64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
];

/// The check of the file system that holds `path`, or the nearest directory above it that is there;
/// `None` when nothing speaks against it.
pub fn check(path: &Path) -> Option<Check> {
    let there = path.ancestors().find(|above| above.exists())?;
    let kind = nix::sys::statfs::statfs(there).ok()?.filesystem_type().0;
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "its type differs by C library")]
    judge(i64::from(kind))
}

/// What a file system of that number is good for.
fn judge(number: i64) -> Option<Check> {
    // Numbers of 32 bits may come with the upper half set.
    let (_, name) = NETWORKS.iter().find(|(known, _)| *known == number & 0xffff_ffff)?;
    Some(Check {
        name: "store's place",
        state: State::Degraded,
        detail: format!("on {name}, where locks and flushes are another machine's to keep"),
        remedy: Some("put the store on a disk of this machine with `--store DIR`".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_on_a_network_file_system_is_told() {
        let nfs = judge(0x6969).unwrap();
        assert_eq!(nfs.state, State::Degraded);
        assert!(nfs.detail.contains("NFS") && nfs.remedy.unwrap().contains("--store"));
        assert!(judge(i64::from(0xff53_4d42_u32.cast_signed())).unwrap().detail.contains("SMB"));
        for good in [0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(judge(good), None, "{good:x}");
        }
        assert_eq!(check(Path::new("/proc/self/no such file")), None);
    }
}
