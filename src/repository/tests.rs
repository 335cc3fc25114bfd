//! Repositories of all kinds, and what is wrong with some.

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

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, places: &[&str]) -> Result<Repositories, RepositoryError> {
        self.open_pinned(&places.iter().map(|place| (*place, None)).collect::<Vec<_>>())
    }

    fn open_pinned(&self, places: &[(&str, Option<Pin>)]) -> Result<Repositories, RepositoryError> {
        let place = |text: &str| Place::parse(text, self.directory.path()).unwrap();
        let asked: Vec<_> = places.iter().map(|(text, pin)| (place(text), pin.clone())).collect();
        Repositories::open(&asked, Ground { store: &self.store, fetcher: &self.fetcher, stop: &self.stop })
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
