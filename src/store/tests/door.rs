//! The operations of the door themselves, where something is in their way.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::place;
use crate::store::StoreError;
use crate::store::disk::faults::{self, Errno, Fault};
use crate::store::disk::{self, Directory};

#[test]
fn new_file_is_never_one_that_was_there_nor_behind_a_link() {
    let directory = place();
    let (precious, link) = (directory.path().join("precious"), directory.path().join("link"));
    fs::write(&precious, "kept").unwrap();
    symlink(&precious, &link).unwrap();
    symlink(directory.path().join("missing"), directory.path().join("dangling")).unwrap();
    for name in ["precious", "link", "dangling"] {
        let error = disk::create_new(&directory.path().join(name)).unwrap_err();
        assert!(matches!(&error, StoreError::Io { operation: "create", .. }), "{name}: {error}");
    }
    assert_eq!(fs::read(&precious).unwrap(), b"kept");
    assert!(!directory.path().join("missing").exists());
    assert!(disk::open_itself(&link).is_err() && disk::open_itself(&precious).is_ok());
}

#[test]
fn rename_that_publishes_replaces_nothing() {
    let directory = place();
    let at = |name: &str| directory.path().join(name);
    let draft = at("draft");
    fs::write(at("file"), "there").unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir_all(at("full/below")).unwrap();
    symlink("nowhere", at("link")).unwrap();
    for name in ["file", "empty", "full", "link"] {
        let before = fs::symlink_metadata(at(name)).unwrap().ino();
        for is_directory in [false, true] {
            if is_directory {
                fs::create_dir(&draft).unwrap();
            } else {
                fs::write(&draft, "new").unwrap();
            }
            assert!(!disk::rename_new(&draft, &at(name)).unwrap(), "{name}");
            assert_eq!(fs::symlink_metadata(at(name)).unwrap().ino(), before, "{name}");
            assert!(disk::exists(&draft));
            disk::remove_tree(&draft).unwrap();
        }
    }
    fs::write(&draft, "new").unwrap();
    assert!(disk::rename_new(&draft, &at("fresh")).unwrap());
    assert!(!disk::exists(&draft));
    assert!(disk::rename_new(&draft, &at("other")).is_err(), "nothing was there");
}

/// Where the file system does not know the flag that keeps a rename from replacing something.
#[test]
fn rename_that_publishes_replaces_nothing_without_help_of_the_kernel() {
    let directory = place();
    let at = |name: &str| directory.path().join(name);
    for (name, is_new) in [("there", false), ("fresh", true)] {
        fs::write(at("draft"), "new").unwrap();
        fs::write(at("there"), "old").unwrap();
        let _watch = faults::inject(directory.path(), 1, Fault::Fail(Errno::EINVAL));
        assert_eq!(disk::rename_new(&at("draft"), &at(name)).unwrap(), is_new, "{name}");
        assert_eq!(fs::read(at("there")).unwrap(), b"old");
        assert_eq!(disk::exists(&at("draft")), !is_new);
    }
}

#[test]
fn file_that_can_get_no_second_name_is_copied_as_it_is() {
    for errno in [Errno::EMLINK, Errno::EXDEV, Errno::EPERM, Errno::ENOTSUP] {
        for executable in [false, true] {
            let directory = place();
            let (from, to) = (directory.path().join("from"), directory.path().join("to"));
            fs::write(&from, "bytes").unwrap();
            let into = Directory::open(directory.path()).unwrap();
            let _watch = faults::inject(directory.path(), 1, Fault::Fail(errno));
            into.add_file(b"to", &from, executable, &to).unwrap();
            let copied = fs::metadata(&to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"bytes");
            assert_ne!(copied.ino(), fs::metadata(&from).unwrap().ino());
            assert_eq!(copied.mode() & 0o777, if executable { 0o755 } else { 0o644 });
            assert_eq!(copied.mtime(), disk::MTIME);
        }
    }
}

#[test]
fn replaced_file_is_the_old_or_the_new_one_at_every_error() {
    let directory = place();
    let path = directory.path().join("universe.lock");
    for number in 1.. {
        fs::write(&path, "old").unwrap();
        let watch = faults::inject(directory.path(), number, Fault::Fail(Errno::EIO));
        let replaced = disk::replace(&path, b"new");
        let struck = watch.has_struck();
        drop(watch);
        let found = fs::read(&path).unwrap();
        assert_eq!(found, if replaced.is_ok() { b"new" } else { b"old" });
        assert_eq!(replaced.is_err(), struck);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the draft is gone");
        if !struck {
            assert!(number > 4);
            return;
        }
    }
}

#[test]
fn full_disk_is_told_with_what_was_to_be_written_and_what_is_free() {
    let directory = place();
    let path = directory.path().join("file");
    for (errno, says_free) in [(Errno::ENOSPC, true), (Errno::EDQUOT, false), (Errno::EFBIG, false)] {
        let mut file = disk::create_new(&path).unwrap();
        let _watch = faults::inject(directory.path(), 1, Fault::Tear(5, errno));
        let error = disk::write_all(&mut file, &path, b"twelve bytes").unwrap_err();
        assert!(error.is_no_space());
        let shown = error.to_string();
        assert!(shown.contains("(12 bytes to write"), "{shown}");
        assert_eq!(shown.ends_with(" bytes free)"), says_free, "{shown}");
        assert_eq!(fs::read(&path).unwrap(), b"twelv");
        drop(file);
        fs::remove_file(&path).unwrap();
    }
}
