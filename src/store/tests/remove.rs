//! Removal by handle: closed directories, links that point outside, depth, width, swapped names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{place, rounds};
use crate::store::Store;
use crate::store::disk::{self, faults};

fn close(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

/// Makes what a crash in a bad moment, or a spiteful builder, leaves in `directory`.
fn fill(directory: &Path, outside: &Path) {
    fs::create_dir_all(directory.join("work/work/inner")).unwrap();
    fs::write(directory.join("work/file"), "x").unwrap();
    fs::write(directory.join("read-only"), "x").unwrap();
    fs::set_permissions(directory.join("read-only"), fs::Permissions::from_mode(0o400)).unwrap();
    symlink(outside, directory.join("link")).unwrap();
    symlink(outside, directory.join("work/work/inner/link")).unwrap();
    symlink("..", directory.join("work/up")).unwrap();
    fs::create_dir(directory.join("x".repeat(255))).unwrap();
    close(&directory.join("work/work/inner"));
    close(&directory.join("work/work"));
    close(&directory.join("work"));
    close(directory);
}

#[test]
fn closed_directories_and_links_to_elsewhere_are_removed_and_nothing_else() {
    let directory = place();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "kept").unwrap();
    let inside = directory.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fill(&inside, &outside);
    disk::remove_tree(&inside).unwrap();
    assert!(!disk::exists(&inside));
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"kept");
    assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o700, 0o700);
    disk::remove_tree(&inside).expect("what is not there is gone");
    let link = directory.path().join("link");
    symlink(&outside, &link).unwrap();
    disk::remove_tree(&link).unwrap();
    assert!(!disk::exists(&link) && outside.join("precious").exists());
}

#[test]
fn leftovers_of_a_killed_process_are_removed_and_those_of_a_living_one_stay() {
    let directory = place();
    let store = directory.path().join("store");
    let alive = Arc::new(Store::open(&store).unwrap());
    let living = alive.scratch_path("draft").unwrap();
    fs::create_dir(&living).unwrap();
    close(&living);
    let leftover = store.join("tmp/999999-0");
    fs::create_dir(&leftover).unwrap();
    fill(&leftover, &store.join("trees"));
    fs::write(store.join("tmp/999999-0.lock"), "").unwrap();
    fs::write(store.join("tmp/format-1-2"), "the draft of a format file").unwrap();
    symlink(store.join("trees"), store.join("tmp/888888-0")).unwrap();
    Store::open(&store).unwrap().scratch().unwrap();
    let mut left: Vec<_> = fs::read_dir(store.join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let own = alive.scratch().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(left, [own.clone(), format!("{own}.lock")]);
    assert!(living.exists() && store.join("trees").is_dir());
}

#[test]
fn deep_trees_are_removed_with_few_descriptors() {
    let directory = place();
    let top = directory.path().join("top");
    fs::create_dir(&top).unwrap();
    // Deeper than any path can be: each part is moved below the next one.
    let name = "n".repeat(200);
    for _ in 0..rounds(10_000) / 10 {
        let part = directory.path().join("part");
        let mut at = part.clone();
        for _ in 0..9 {
            at.push(&name);
        }
        fs::create_dir_all(&at).unwrap();
        fs::rename(&top, at.join(&name)).unwrap();
        fs::rename(&part, &top).unwrap();
    }
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let (before, done) = (open(), AtomicBool::new(false));
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(open());
                std::thread::yield_now();
            }
            most
        });
        let removed = disk::remove_tree(&top);
        done.store(true, Ordering::Relaxed);
        removed.unwrap();
        watch.join().unwrap()
    });
    assert!(!disk::exists(&top));
    // Tests beside this one have files open too.
    assert!(most < before + 500, "{most} descriptors, {before} before");
}

#[test]
fn wide_directories_are_removed() {
    let directory = place();
    let top = directory.path().join("top");
    fs::create_dir(&top).unwrap();
    for number in 0..rounds(100_000) {
        // Links to one file: that is quicker than as many files.
        let name = top.join(format!("{number:0>60}"));
        match number % 10 {
            0 if number % 1000 == 0 => fs::create_dir(&name).unwrap(),
            1 => symlink("..", &name).unwrap(),
            _ => drop(fs::File::create(&name).unwrap()),
        }
    }
    disk::remove_tree(&top).unwrap();
    assert!(!disk::exists(&top));
}

/// The moment for it: the directory has been listed, and is entered next.
#[test]
fn directory_replaced_by_a_link_before_it_is_entered_leads_nowhere() {
    let directory = place();
    let (outside, top) = (directory.path().join("outside"), directory.path().join("top"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "kept").unwrap();
    fs::create_dir_all(top.join("a/below")).unwrap();
    fs::write(top.join("file"), "x").unwrap();
    let watch = faults::watch(&top);
    let (spare, victim, target) = (directory.path().join("spare"), top.join("a"), outside.clone());
    // Step 1 finds that the top is a directory, step 2 removes the file.
    watch.meanwhile(2, move || {
        fs::rename(&victim, &spare).unwrap();
        symlink(&target, &victim).unwrap();
    });
    disk::remove_tree(&top).unwrap();
    assert!(!disk::exists(&top));
    assert!(directory.path().join("spare/below").exists(), "it was swapped in time");
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"kept");
}

/// Somebody with access swaps a directory and a link to a precious place as fast as they can, while
/// what holds them is removed again and again.
#[test]
fn names_swapped_during_removal_lead_nowhere() {
    let directory = place();
    let outside = directory.path().join("outside");
    fs::create_dir_all(outside.join("below")).unwrap();
    fs::write(outside.join("below/precious"), "kept").unwrap();
    let (top, spare) = (directory.path().join("top"), directory.path().join("spare"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let victim = top.join("a");
                if fs::rename(&victim, &spare).is_ok() {
                    let _ = symlink(&outside, &victim);
                    let _ = fs::remove_file(&victim);
                    let _ = fs::rename(&spare, &victim);
                    let _ = fs::remove_dir_all(&spare);
                }
            }
        });
        for _ in 0..rounds(300) {
            let _ = fs::create_dir_all(top.join("a/below/c"));
            for number in 0..10 {
                let _ = fs::write(top.join(format!("a/below/{number}")), "x");
            }
            // It may fail when something is put back; it may not go elsewhere.
            let _ = disk::remove_tree(&top);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read(outside.join("below/precious")).unwrap(), b"kept");
    disk::remove_tree(&top).unwrap();
}
