//! How long an opam repository takes to read: `cargo bench --bench opam [-- DIRECTORY]`.
//!
//! A generated repository of the size and shape of the official one, and the official one itself when
//! `JTWBUILD_OPAM_REPOSITORY` names a directory that holds it. Wall time and CPU time of the fastest of
//! several runs, each with the files in the system's cache and a store that was just opened; half of the
//! CPU time is what two idle processors need at least. Work is done below `/dev/shm` unless a directory
//! is given.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jtwbuild::fetch::{Fetcher, Settings};
use jtwbuild::name::PackageName;
use jtwbuild::opam::Platform;
use jtwbuild::opam::place::{Pin, Place};
use jtwbuild::repository::{Ground, Repositories};
use jtwbuild::store::Store;
use jtwbuild::version::Version;
use nix::time::{ClockId, clock_gettime};

const NAMES: usize = 4_600;
const FILES: usize = 18_800;
const ROUNDS: usize = 15;

fn main() {
    // Cargo adds `--bench`.
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let directory = directory.unwrap_or_else(|| "/dev/shm".to_owned());
    let directory = tempfile::tempdir_in(directory).expect("a directory that can be written");
    let generated = directory.path().join("generated");
    generate(&generated);
    measure("generated", &generated, directory.path());
    if let Some(official) = std::env::var_os("JTWBUILD_OPAM_REPOSITORY") {
        measure("official", Path::new(&official), directory.path());
    }
}

/// Runs everything on one repository.
fn measure(name: &str, repository: &Path, directory: &Path) {
    let root = directory.join(format!("store-{name}"));
    let fetcher = Fetcher::new(Settings::default());
    let stop = AtomicBool::new(false);
    let platform = Platform::debian("13");
    let begin = |forget: &str| {
        let store = Arc::new(Store::open(&root).expect("a store"));
        for entry in fs::read_dir(store.plans().join("opam")).into_iter().flatten().flatten() {
            if !forget.is_empty() && entry.file_name().to_string_lossy().starts_with(forget) {
                fs::remove_file(entry.path()).expect("a cache can be removed");
            }
        }
        store
    };
    let open = |store: &Arc<Store>, place: &str, pin: Option<Pin>| {
        let place = Place::parse(place, Path::new("/")).expect("a place");
        let ground = Ground { store, fetcher: &fetcher, progress: &|_, _| (), stop: &stop };
        Repositories::open(&[(place, pin)], ground).expect("a repository")
    };
    let index = |repositories: &Repositories| {
        let indexed = repositories.index(&platform).expect("an index");
        assert!(indexed.broken.is_empty());
        indexed.index
    };
    let place = repository.to_str().expect("a path that is text");
    let store = begin("");
    let repositories = open(&store, place, None);
    let all = index(&repositories);
    let versions: usize = all.packages().iter().map(|package| package.versions.len()).sum();
    println!("{name}: {versions} opam files, index of {} KiB", all.encode().len() >> 10);
    // Packed once, from an archive.
    let archive = directory.join(format!("{name}.tar"));
    let mut builder = tar::Builder::new(fs::File::create(&archive).expect("an archive"));
    builder.append_dir_all(".", repository).and_then(|()| builder.finish()).expect("an archive");
    let archive = archive.to_str().expect("a path that is text");
    let begun = Instant::now();
    let pin = open(&store, archive, None).pins().remove(0);
    println!("  {:48} {:8.1} ms", "an archive is packed into the store", milliseconds(begun.elapsed()));
    assert_eq!(pin, repositories.pins()[0], "one content, one pin");

    rounds("directory: read, hash, parse, index", || {
        let store = begin("d");
        begin("i");
        timed(|| drop(index(&open(&store, place, None))))
    });
    rounds("directory, remembered: looked at, index read", || {
        let store = begin("");
        timed(|| drop(index(&open(&store, place, None))))
    });
    rounds("packed: read, parse, index", || {
        let store = begin("i");
        timed(|| drop(index(&open(&store, archive, Some(pin.clone())))))
    });
    rounds("packed: index from the cache", || {
        let store = begin("");
        timed(|| drop(index(&open(&store, archive, Some(pin.clone())))))
    });
    let (name, version) = some_version(&all);
    rounds("packed: opened, one opam file", || {
        let store = begin("");
        timed(|| {
            let file = open(&store, archive, Some(pin.clone())).file(&name, &version);
            assert!(file.is_ok_and(|file| file.is_some()));
        })
    });
}

fn some_version(index: &jtwbuild::package::index::Index) -> (PackageName, Version) {
    let package = index.packages().iter().rfind(|package| !package.versions.is_empty()).expect("a package");
    let version = Version::new(&package.versions[0]).expect("a version");
    (PackageName::new(&package.name).expect("a name"), version)
}

/// Wall time and CPU time.
fn timed(run: impl FnOnce()) -> [Duration; 2] {
    let (begun, cpu_begun) = (Instant::now(), cpu());
    run();
    [begun.elapsed(), cpu().saturating_sub(cpu_begun)]
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every Linux has this clock").into()
}

fn rounds(what: &str, round: impl FnMut() -> [Duration; 2]) {
    let times: Vec<[Duration; 2]> = std::iter::repeat_with(round).take(ROUNDS).collect();
    let least = |at: usize| times.iter().map(|time| milliseconds(time[at])).fold(f64::INFINITY, f64::min);
    println!("  {what:48} {:8.1} ms {:8.1} ms of CPU", least(0), least(1));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Names with one to a dozen versions, each with the usual fields and six dependencies on earlier names.
fn generate(root: &Path) {
    fs::create_dir_all(root).expect("a directory");
    fs::write(root.join("repo"), "opam-version: \"2.0\"\n").expect("a file");
    let mut written = 0;
    for name in 0..NAMES {
        let left = NAMES - name;
        let fair = (FILES - written) / left;
        let versions = (1 + (name * 7919) % (2 * fair)).min(FILES - written - (left - 1));
        let versions = if left == 1 { FILES - written } else { versions };
        for version in 0..versions {
            let directory = root.join(format!("packages/package-{name}/package-{name}.1.{version}.0"));
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join("opam"), opam_file(name, version)).expect("a file");
        }
        written += versions;
    }
    assert_eq!(written, FILES);
}

fn opam_file(name: usize, version: usize) -> String {
    let mut text = String::from("opam-version: \"2.0\"\nmaintainer: \"somebody@example.org\"\n");
    let _ = write!(
        text,
        "authors: [\"Somebody\" \"Somebody Else\"]\nhomepage: \"https://example.org/package-{name}\"\n"
    );
    text.push_str("license: \"ISC\"\ntags: [\"org:example\" \"kind:generated\"]\ndepends: [\n");
    text.push_str("  \"ocaml\" {>= \"4.08.0\" & < \"5.5\"}\n  \"dune\" {build & >= \"2.7\"}\n");
    for step in 1..=6 {
        let Some(other) = name.checked_sub(step * step * 3) else { break };
        let _ = writeln!(text, "  \"package-{other}\" {{>= \"1.{}.0\" & != \"1.1.0\"}}", version / 2);
    }
    text.push_str(
        "  (\"choice-a\" | \"choice-b\" {>= \"2\"})\n  \"alcotest\" {with-test}\n  \"odoc\" {with-doc}\n]\n",
    );
    let _ = writeln!(text, "conflicts: [\"package-{}\" {{< \"1.0.0\"}}]", name / 2);
    text.push_str("build: [\n  [\"dune\" \"subst\"] {dev}\n  [\"dune\" \"build\" \"-p\" name \"-j\" jobs ");
    text.push_str("\"@install\" \"@runtest\" {with-test} \"@doc\" {with-doc}]\n]\n");
    text.push_str("dev-repo: \"git+https://example.org/r.git\"\nsynopsis: \"A generated package\"\n");
    let _ = write!(text, "description: \"\"\"\n{}\"\"\"\n", "Words that nobody reads.\n".repeat(8));
    let _ =
        write!(text, "url {{\n  src: \"https://example.org/package-{name}-{version}.tbz\"\n  checksum: [\n");
    let _ = write!(
        text,
        "    \"sha256={:064x}\"\n    \"sha512={:0128x}\"\n  ]\n}}\n",
        name * 31 + version,
        name * 37 + version
    );
    text
}
