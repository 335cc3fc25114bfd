//! Repositories in directories: what they give, what their pins stand for, and that changes are seen.

mod packed;
mod solving;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::{Ground, Indexed, Repositories, RepositoryError};
use crate::fetch::{Fetcher, Settings};
use crate::name::PackageName;
use crate::opam::Platform;
use crate::opam::place::{Pin, Place};
use crate::store::Store;
use crate::version::Version;

/// A store, and a directory beside it for repositories.
struct Bench {
    directory: TempDir,
    store: Arc<Store>,
    fetcher: Fetcher,
    stop: AtomicBool,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        Self { directory, store, fetcher: Fetcher::new(Settings::default()), stop: AtomicBool::new(false) }
    }

    /// As another process would find the store.
    fn reopen(&mut self) {
        let elsewhere = Arc::new(Store::open(&self.path("elsewhere")).unwrap());
        self.store = elsewhere;
        self.store = Arc::new(Store::open(&self.path("store")).unwrap());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, places: &[&str]) -> Result<Repositories, RepositoryError> {
        self.open_pinned(&places.iter().map(|place| (*place, None)).collect::<Vec<_>>())
    }

    fn open_pinned(&self, places: &[(&str, Option<Pin>)]) -> Result<Repositories, RepositoryError> {
        let place = |text: &str| Place::parse(text, self.directory.path()).unwrap();
        let asked: Vec<_> = places.iter().map(|(text, pin)| (place(text), pin.clone())).collect();
        let ground =
            Ground { store: &self.store, fetcher: &self.fetcher, progress: &|_, _| (), stop: &self.stop };
        Repositories::open(&asked, ground)
    }

    /// Writes a file below the directory.
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn package(&self, repository: &str, package: &str, version: &str, text: &str) {
        let text = format!("opam-version: \"2.0\"\n{text}");
        self.write(&format!("{repository}/packages/{package}/{package}.{version}/opam"), &text);
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/opam-repository")
}

fn name(text: &str) -> PackageName {
    PackageName::new(text).unwrap()
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn index(repositories: &Repositories) -> Indexed {
    repositories.index(&Platform::debian("13")).unwrap()
}

/// The versions of a package, oldest first, in the index.
fn versions(repositories: &Repositories, package: &str) -> Vec<String> {
    let indexed = index(repositories);
    assert!(indexed.broken.is_empty(), "{:?}", indexed.broken);
    let found = indexed.index.find(package).map(|(_, package)| package.versions.clone());
    found.unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_directory_gives_an_index_and_single_files() {
    let bench = Bench::new();
    let repositories = bench.open(&[fixture().to_str().unwrap()]).unwrap();
    assert_eq!(versions(&repositories, "compiler-core"), ["5.3.0", "5.4.1", "5.5.0~beta1"]);
    assert_eq!(repositories.notices(), [""; 0]);
    let file = repositories.file(&name("builder"), &version("2.1")).unwrap().unwrap();
    assert!(file.name.ends_with(": packages/builder/builder.2.1/opam"), "{}", file.name);
    assert!(file.text.contains("takes a file along"));
    assert!(repositories.file(&name("builder"), &version("9")).unwrap().is_none());
    let files = repositories.files(&name("builder"), &version("2.1")).unwrap();
    let told: Vec<_> = files.iter().map(|file| (file.path.to_string(), file.executable)).collect();
    assert_eq!(told, [("fix.patch".to_owned(), false), ("sub/run.sh".to_owned(), true)]);
    assert!(files[0].bytes.starts_with(b"--- a/x"));
    assert!(repositories.files(&name("builder"), &version("1")).unwrap().is_empty());
}

#[test]
fn of_several_repositories_the_first_counts_for_each_version() {
    let bench = Bench::new();
    bench.package("over", "a", "1", "synopsis: \"over\"");
    bench.package("base", "a", "1", "synopsis: \"base\"");
    bench.package("base", "a", "2", "synopsis: \"base\"");
    bench.write("base/packages/a/a.1/files/x", "x");
    let repositories = bench.open(&["over", "base"]).unwrap();
    assert_eq!(versions(&repositories, "a"), ["1", "2"]);
    let text = |number: &str| repositories.file(&name("a"), &version(number)).unwrap().unwrap().text;
    assert!(text("1").contains("over") && text("2").contains("base"));
    assert!(repositories.files(&name("a"), &version("1")).unwrap().is_empty(), "the files of another");
    // Broken files that another repository hides are nobody's trouble.
    bench.write("base/packages/a/a.1/opam", "(((");
    assert_eq!(versions(&bench.open(&["over", "base"]).unwrap(), "a"), ["1", "2"]);
    assert_eq!(index(&bench.open(&["base", "over"]).unwrap()).broken.len(), 1);
}

#[test]
fn the_pin_of_a_directory_is_a_function_of_what_it_holds() {
    let bench = Bench::new();
    let pin = |place: &str| bench.open(&[place]).unwrap().pins().remove(0);
    bench.package("one", "a", "1", "");
    bench.package("one", "b", "1", "");
    bench.package("two", "b", "1", "");
    bench.package("two", "a", "1", "");
    let first = pin("one");
    assert_eq!(first, pin("two"));
    bench.write("two/README.md", "not a part of it");
    bench.write("two/packages/.hidden", "nor this");
    assert_eq!(first, pin("two"));
    bench.write("two/packages/b/b.1/files/x", "y");
    let with_file = pin("two");
    assert_ne!(first, with_file);
    bench.write("two/packages/b/b.1/files/x", "z");
    assert_ne!(with_file, pin("two"));
    bench.write("one/repo", "opam-version: \"2.0\"");
    assert_ne!(first, pin("one"));
}

/// The whole official repository: `JTWBUILD_OPAM_REPOSITORY=directory`.
#[test]
fn the_official_repository_is_read() {
    let Ok(place) = std::env::var("JTWBUILD_OPAM_REPOSITORY") else { return };
    let bench = Bench::new();
    let repositories = bench.open(&[&place]).unwrap();
    assert_eq!(repositories.notices(), [""; 0]);
    let indexed = index(&repositories);
    assert!(indexed.broken.is_empty());
    assert!(indexed.index.packages().len() > 4_000);
}

/// Waits until a change made now can be told from the ones before.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(60));
}

#[test]
fn a_directory_is_not_read_again_and_every_change_of_it_is_seen() {
    let bench = Bench::new();
    bench.package("r", "a", "1", "depends: [\"b\"]");
    bench.package("r", "b", "1", "");
    bench.write("r/packages/b/b.1/files/x", "x");
    fs::create_dir_all(bench.path("r/packages/empty/empty.1")).unwrap();
    bench.write("r/packages/long/long.1/opam", &" ".repeat(1_100_000));
    settle();
    let opened = || bench.open(&["r"]).unwrap();
    let is_remembered = |opened: &Repositories| {
        let loaded = opened.list[0].load().unwrap();
        matches!(loaded.bytes, super::loaded::Bytes::Below(_))
    };
    let first = opened();
    let expected = index(&first).index.encode();
    assert!(!is_remembered(&first));
    let second = opened();
    assert!(is_remembered(&second), "nothing changed");
    assert_eq!((second.pins(), second.notices()), (first.pins(), first.notices()));
    assert_eq!(index(&second).index.encode(), expected);
    assert_eq!(second.files(&name("b"), &version("1")).unwrap().len(), 1);
    let opam = bench.path("r/packages/a/a.1/opam");
    let text = fs::read_to_string(&opam).unwrap();
    let changes: Vec<(&str, Box<dyn Fn()>)> = vec![
        ("same length", Box::new(|| fs::write(&opam, text.replace("\"b\"", "\"c\"")).unwrap())),
        ("a new version", Box::new(|| bench.package("r", "a", "2", ""))),
        ("a new package", Box::new(|| bench.package("r", "c", "1", ""))),
        ("a version without a file gets one", Box::new(|| bench.package("r", "empty", "1", ""))),
        ("a long file becomes short", Box::new(|| bench.package("r", "long", "1", ""))),
        ("a file beside", Box::new(|| bench.write("r/packages/a/a.1/files/y", "y"))),
        ("a file in a directory beside", Box::new(|| bench.write("r/packages/b/b.1/files/z/z", "y"))),
        ("repo", Box::new(|| bench.write("r/repo", "opam-version: \"2.0\""))),
        ("repo goes", Box::new(|| fs::remove_file(bench.path("r/repo")).unwrap())),
        ("a version goes", Box::new(|| fs::remove_dir_all(bench.path("r/packages/c/c.1")).unwrap())),
    ];
    let mut pin = first.pins();
    for (what, change) in changes {
        change();
        settle();
        let after = opened();
        assert!(!is_remembered(&after), "{what}");
        assert_ne!(after.pins(), pin, "{what}");
        assert!(is_remembered(&opened()), "{what}");
        pin = after.pins();
    }
}

#[test]
fn a_file_that_changes_under_a_run_is_an_error_and_not_another_file() {
    let bench = Bench::new();
    bench.package("r", "a", "1", "");
    settle();
    bench.open(&["r"]).unwrap();
    let opened = bench.open(&["r"]).unwrap();
    bench.package("r", "a", "1", "synopsis: \"changed\"");
    let error = opened.file(&name("a"), &version("1")).unwrap_err();
    assert!(matches!(error, RepositoryError::Changed { .. }), "{error}");
}
