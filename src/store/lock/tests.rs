//! Locks: never two holders, however names and processes come and go.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

#[test]
fn what_lies_in_the_directory_of_locks_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    drop(Store::open(&root).unwrap());
    // Files of killed processes, of other versions, of nobody; some with notes of processes that live.
    let mut note = std::process::id().to_le_bytes().repeat(100_000);
    fs::write(root.join("locks/builds"), &note).unwrap();
    note.truncate(5);
    for name in [
        "locks/store",
        "locks/big-lock",
        "locks/builds.lock",
        "locks/uses-00",
        "tmp/1-0.lock",
        "tmp/77-1.lock",
    ] {
        fs::write(root.join(name), &note).unwrap();
    }
    fs::create_dir(root.join("tmp/77-1")).unwrap();
    let store = Store::open(&root).unwrap();
    let key = BuildKey::from_bytes([1; 32]);
    let lock = store.lock_build(&key, &mut |holder| panic!("{holder:?} holds nothing")).unwrap();
    assert!(!lock.unwrap().was_waited_for);
    store.scratch().unwrap();
    assert!(!root.join("tmp/77-1").exists());
    crate::store::gc::collect(&store, &crate::store::gc::Options::default(), &mut |_| {}).unwrap();
}

#[test]
fn who_waits_is_told_for_whom_and_may_give_up() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(&directory.path().join("store")).unwrap();
    let (first, second) = (open(), open());
    let key = BuildKey::from_bytes([1; 32]);
    let held = first.lock_build(&key, &mut |_| unreachable!()).unwrap().unwrap();
    let mut asked = 0;
    let given_up = second.lock_build(&key, &mut |holder| {
        assert_eq!(holder.process, std::process::id());
        assert!(holder.seconds < 1000, "{holder:?}");
        asked += 1;
        asked < 3
    });
    assert!(given_up.unwrap().is_none());
    assert_eq!(asked, 3);
    let other = second.lock_build(&BuildKey::from_bytes([2; 32]), &mut |_| unreachable!()).unwrap().unwrap();
    assert!(!other.was_waited_for);
    drop(held);
    assert!(second.lock_build(&key, &mut |_| unreachable!()).unwrap().is_some());
}

#[test]
fn a_lock_file_that_is_removed_by_its_holder_never_has_two() {
    let rounds = if std::env::var_os("JTWBUILD_LONG").is_some() { 20_000 } else { 500 };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("one.lock");
    let (is_held, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (path, is_held, taken) = (&path, &is_held, &taken);
            scope.spawn(move || {
                for round in 0..rounds {
                    let lock = match (thread + round) % 2 {
                        0 => Some(disk::lock_named(path).unwrap()),
                        _ => disk::try_lock_named(path).unwrap(),
                    };
                    let Some(lock) = lock else { continue };
                    assert!(!is_held.swap(true, Ordering::SeqCst), "two holders");
                    std::hint::spin_loop();
                    assert!(is_held.swap(false, Ordering::SeqCst));
                    taken.fetch_add(1, Ordering::SeqCst);
                    disk::remove_file(path).unwrap();
                    drop(lock);
                }
            });
        }
    });
    assert!(taken.load(Ordering::SeqCst) >= 3 * rounds);
}

/// Where an actor of the model is. The numbers are inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    Idle,
    Opened(u8),
    Locked(u8),
    /// It believes that it alone has the name's lock.
    Holding(u8),
    /// It has removed the name and not let go yet.
    Unlinked(u8),
    Done,
}

/// All there is: what the name stands for, who has the lock of each inode, where the actors are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct World {
    name: Option<u8>,
    locked: BTreeSet<u8>,
    next: u8,
    actors: Vec<(At, u8)>,
}

impl World {
    /// What may come next: any actor takes its next step, or is killed.
    fn successors(&self, is_checked: bool) -> Vec<World> {
        let mut worlds = Vec::new();
        for index in 0..self.actors.len() {
            let (at, rounds) = self.actors[index];
            let mut step = |change: &dyn Fn(&mut World) -> At| {
                let mut world = self.clone();
                let next = change(&mut world);
                world.actors[index].0 = next;
                worlds.push(world);
            };
            match at {
                At::Idle => step(&|world| {
                    // Opened, or made.
                    let inode = *world.name.get_or_insert(world.next);
                    world.next += u8::from(inode == world.next);
                    At::Opened(inode)
                }),
                At::Opened(inode) if !self.locked.contains(&inode) => step(&|world| {
                    world.locked.insert(inode);
                    At::Locked(inode)
                }),
                At::Opened(_) | At::Done => {}
                At::Locked(inode) => step(&|world| {
                    if is_checked && world.name != Some(inode) {
                        world.locked.remove(&inode);
                        return At::Idle;
                    }
                    At::Holding(inode)
                }),
                At::Holding(inode) => step(&|world| {
                    world.name = None;
                    At::Unlinked(inode)
                }),
                At::Unlinked(inode) => {
                    let mut world = self.clone();
                    world.locked.remove(&inode);
                    world.actors[index] =
                        (if rounds == 0 { At::Done } else { At::Idle }, rounds.saturating_sub(1));
                    worlds.push(world);
                }
            }
            if let At::Opened(inode) | At::Locked(inode) | At::Holding(inode) | At::Unlinked(inode) = at {
                // The kernel lets go of what it had.
                let mut world = self.clone();
                if !matches!(at, At::Opened(_)) {
                    world.locked.remove(&inode);
                }
                world.actors[index].0 = At::Done;
                worlds.push(world);
            }
        }
        worlds
    }

    fn holders(&self) -> usize {
        self.actors.iter().filter(|(at, _)| matches!(at, At::Holding(_))).count()
    }
}

/// Goes through everything that can happen: how many worlds there are, and in how many two hold.
fn explore(is_checked: bool) -> (usize, usize) {
    let start = World { name: None, locked: BTreeSet::new(), next: 0, actors: vec![(At::Idle, 1); 3] };
    let mut seen = HashSet::from([start.clone()]);
    let mut to_look_at = vec![start];
    let mut broken = 0;
    while let Some(world) = to_look_at.pop() {
        broken += usize::from(world.holders() > 1);
        for next in world.successors(is_checked) {
            if seen.insert(next.clone()) {
                to_look_at.push(next);
            }
        }
    }
    (seen.len(), broken)
}

#[test]
fn in_no_interleaving_do_two_hold_the_lock_of_one_name() {
    let (worlds, broken) = explore(true);
    assert!(worlds > 1000, "{worlds}");
    assert_eq!(broken, 0);
    println!("{worlds} states of 3 processes, 2 rounds each, any of them killed at any step");
    assert!(explore(false).1 > 0, "without the check the model must find the race");
}
