//! What tests that build start from: busybox, fetched and unpacked once for all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jtwbuild::fetch::debian::architecture;
use jtwbuild::lock::{Lock, LockedBase};
use jtwbuild::name::RecipeName;
use jtwbuild::recipe::BaseRecipe;
use jtwbuild::recipe::overlay::Recipes;
use jtwbuild::source::{PinnedDeb, Sha256};

use super::{Ended, PROGRAM, skip};

/// The directory of a universe that needs nothing but busybox and has been realised, or why there
/// is none.
#[track_caller]
pub fn seed() -> Option<PathBuf> {
    static SEED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match SEED.get_or_init(make) {
        Ok(path) => Some(path.clone()),
        Err(why) => {
            skip(why);
            None
        }
    }
}

fn make() -> Result<PathBuf, String> {
    let place = place();
    fs::write(place.join("universe.toml"), "name = \"seed\"\n[[node]]\nname = \"seed\"\nscript = \"true\"\n")
        .unwrap();
    let realise = || {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["--store", "store", "realise", "universe.toml"]).current_dir(&place);
        Ended::new("realise universe.toml", command.output().unwrap())
    };
    let mut ended = realise();
    if matches!(ended.code, Some(3 | 4)) {
        // The mirror may have dropped the pinned package since an earlier run, or an older version
        // may have written the lock.
        let _ = fs::remove_file(place.join("universe.lock"));
        ended = realise();
    }
    match ended.code {
        Some(0) => Ok(place),
        // Something of this machine; the tests of messages hold the other codes to their meaning.
        Some(4) => Err(format!("this machine cannot build: {ended}")),
        _ => panic!("{ended}"),
    }
}

/// A lock that is enough for a plan: it pins every base to a package that no mirror has.
pub fn pinned() -> String {
    let recipes = Recipes::built_in();
    let pin = |name: RecipeName| {
        let recipe = BaseRecipe::load(&recipes, &name).unwrap().recipe;
        let package = PinnedDeb {
            name: recipe.packages[0].clone(),
            version: "0".into(),
            path: "pool/none.deb".into(),
            size: 1,
            sha256: Sha256::from_bytes([0; 32]),
        };
        let base = LockedBase {
            suite: recipe.suite.clone(),
            asked: recipe.asked(architecture()),
            release_date: "Thu, 01 Jan 2026 00:00:00 UTC".into(),
            packages: vec![package],
        };
        (name, base)
    };
    let bases = BaseRecipe::names(&recipes).into_iter().map(pin).collect();
    Lock { bases, ..Lock::default() }.render()
}

/// Below target/ where this user may write there, else a directory for all runs of this user.
fn place() -> PathBuf {
    let user = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap());
    let below = |directory: &Path| {
        let place = directory.join(format!("jtwbuild-seed-{user}"));
        fs::create_dir_all(&place).ok()?;
        let probe = place.join(format!("probe-{}", std::process::id()));
        fs::write(&probe, "").ok()?;
        fs::remove_file(&probe).ok()?;
        Some(place)
    };
    below(Path::new(env!("CARGO_TARGET_TMPDIR")))
        .or_else(|| below(&std::env::temp_dir()))
        .expect("there is a place for temporary files")
}

/// Copies a store. Files that never change are linked.
pub fn copy_linked(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        let name = entry.file_name();
        if kind.is_dir() {
            let is_private = name == "tmp" || name == "interrupted" || name == "locks" || name == "roots";
            if is_private {
                fs::create_dir_all(&target).unwrap();
            } else {
                copy_linked(&entry.path(), &target);
            }
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), &target).unwrap();
        } else if from.ends_with("plans")
            || name == "history"
            || fs::hard_link(entry.path(), &target).is_err()
        {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
    let times = fs::FileTimes::new().set_modified(fs::metadata(from).unwrap().modified().unwrap());
    fs::File::open(to).unwrap().set_times(times).unwrap();
}

/// Gives a store that does not exist yet the downloads of another one, and nothing else.
pub fn seed_archives(from: &Path, to: &Path) {
    copy_linked(&from.join("archives"), &to.join("archives"));
}

/// Gives a buildable universe the downloads again that it began with.
pub fn seed_archives_of(universe: &super::TestUniverse) {
    let seed = seed().expect("the universe is buildable");
    fs::remove_dir_all(universe.path("store/archives")).unwrap();
    seed_archives(&seed.join("store"), &universe.path("store"));
}
