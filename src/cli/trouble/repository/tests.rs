//! What people are told about repositories that cannot be used: real ones, opened for real.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::super::Shown;
use super::Trouble;
use crate::diagnostic::golden;
use crate::fetch::tests::repo::git;
use crate::fetch::tests::server::{Reply, Server};
use crate::fetch::{Fetcher, Limits, Settings};
use crate::name::PackageName;
use crate::opam::Platform;
use crate::opam::place::{Pin, Place};
use crate::repository::{Ground, Repositories, RepositoryError};
use crate::store::Store;
use crate::store::tree::{Node, RelPath, TreeHash};
use crate::version::Version;

struct Scene {
    directory: TempDir,
    store: Arc<Store>,
    fetcher: Fetcher,
}

impl Scene {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(offline: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let limits = Limits { attempts: 1, ..Limits::default() };
        let fetcher = Fetcher::new(Settings { offline, limits, ..Settings::default() });
        Self { directory, store, fetcher }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn open(&self, place: &str, pin: Option<Pin>) -> Result<Repositories, RepositoryError> {
        let place = Place::parse(place, self.directory.path()).unwrap();
        let stop = AtomicBool::new(false);
        let ground = Ground { store: &self.store, fetcher: &self.fetcher, progress: &|_, _| (), stop: &stop };
        Repositories::open(&[(place, pin)], ground)
    }

    /// The message of an error, and what stands behind it, with names of places that are the same in
    /// every run.
    fn told(&self, error: RepositoryError) -> String {
        let trouble = Trouble::from(error);
        let Shown::Message { code, message, help } = trouble.shown else { panic!("a plain message") };
        let mut text = format!("{code} (exit code {})\n{message}\n", trouble.exit as i32);
        if let Some(help) = help {
            writeln!(text, "  help: {help}").unwrap();
        }
        text.replace(self.directory.path().to_str().unwrap(), "<here>")
    }

    fn refused(&self, place: &str, pin: Option<Pin>) -> String {
        match self.open(place, pin) {
            Ok(_) => panic!("`{place}` was taken"),
            Err(error) => self.told(error),
        }
    }

    fn commit(&self) -> String {
        self.write("git/packages/a/a.1/opam", "opam-version: \"2.0\"");
        for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "one"]] {
            git(&self.path("git"), arguments);
        }
        format!("git+file://{}", self.path("git").display())
    }

    fn tar(&self, name: &str, members: &[(&str, &[u8])]) {
        let mut bytes = Vec::new();
        for (path, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            // Past the checks of the crate.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            bytes.extend(header.as_bytes());
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.extend([0; 1024]);
        self.write(name, bytes);
    }
}

/// What git itself says depends on its version.
fn without_words_of_git(told: &str) -> String {
    const BEFORE: [&str; 4] = ["not a git repository: ", "reached: ", "may not be read: ", "0123456789: "];
    let short = |line: &str| {
        let end = BEFORE.iter().find_map(|before| line.find(before).map(|at| at + before.len()));
        end.map_or_else(|| line.to_owned(), |end| format!("{}…", &line[..end]))
    };
    told.lines().map(short).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn places_without_a_repository_are_told_apart() {
    let scene = Scene::new();
    scene.write("empty/README", "nothing else");
    fs::create_dir_all(scene.path("git")).unwrap();
    git(&scene.path("git"), &["init", "-q", "--bare"]);
    scene.write("page.tar.gz", "<!DOCTYPE html><title>Not here</title>");
    scene.tar("other.tar", &[("src/main.c", b"int main;")]);
    scene.tar("out.tar", &[("packages/../../x", b"x")]);
    let places = ["nowhere", "empty", "git", "nowhere.tar", "page.tar.gz", "other.tar", "out.tar"];
    let told: Vec<String> = places.iter().map(|place| scene.refused(place, None)).collect();
    assert_snapshot!(told.join("\n"));
}

#[test]
fn names_that_no_package_has_are_refused_wherever_they_come_from() {
    let scene = Scene::new();
    let names = [
        "packages/a/a.1/opam",
        "packages/-rf/-rf.1/opam",
        "packages/b\nc/b\nc.1/opam",
        "packages/a/-x/opam",
        "packages/a/a.1/files/\u{202e}txt.exe",
        "packages/d\\e/d\\e.1/opam",
    ];
    for name in names {
        scene.write(&format!("git/{name}"), "opam-version: \"2.0\"");
    }
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b"x"[..])).collect();
    scene.tar("evil.tar", &members);
    let directory = scene.refused("git", None);
    assert_eq!(scene.refused("evil.tar", None), directory.replace("`git`", "`evil.tar`"));
    let url = scene.commit();
    assert_eq!(scene.refused(&url, None), directory.replace("`git`", "`git+file://<here>/git`"));
    assert_snapshot!(directory);
}

#[test]
fn oddities_are_left_out_with_a_notice_wherever_they_come_from() {
    let scene = Scene::new();
    for (path, text) in [
        ("packages/a/a.1/opam", "opam-version: \"2.0\""),
        ("packages/a/a.1/descr", "An old file"),
        ("packages/a/a.2/files/x", "no opam file"),
        ("packages/a/b.1/opam", "of another package"),
        ("packages/A/A.1/opam", "opam-version: \"2.0\""),
        ("packages/a b/a b.1/opam", "no package is called so"),
        ("packages/a/a.3~ü/opam", "no version is called so"),
        ("packages/README.md", "text"),
        ("packages/.gitkeep", ""),
    ] {
        scene.write(&format!("git/{path}"), text);
    }
    let long = "#".repeat((1 << 20) + 1);
    scene.write("git/packages/a/a.4/opam", long);
    std::os::unix::fs::symlink("/etc/passwd", scene.path("git/packages/a/a.1/link")).unwrap();
    let notices = |place: &str| {
        let opened = scene.open(place, None).unwrap();
        let versions: Vec<String> = opened
            .index(&Platform::debian("13"))
            .unwrap()
            .index
            .packages()
            .iter()
            .flat_map(|package| package.versions.iter().map(|version| format!("{}.{version}", package.name)))
            .collect();
        assert_eq!(versions, ["A.1", "a.1"]);
        opened.notices().iter().map(|notice| notice.replace(place, "<place>") + "\n").collect::<String>()
    };
    let directory = notices("git");
    let url = scene.commit();
    assert_eq!(notices(&url), directory);
    assert_snapshot!(directory);
}

#[test]
fn trouble_with_git_servers_is_told_apart() {
    let scene = Scene::new();
    let url = scene.commit();
    let page = Server::start(|_, _| Reply::Ok(b"<!DOCTYPE html>\n<title>Welcome</title>\n".to_vec()));
    let line = Server::start(|_, _| Reply::Ok(b"<!DOCTYPE html><title>Welcome</title>".to_vec()));
    let nothing = Server::start(|_, _| Reply::Status(404, ""));
    let private = Server::start(|_, _| Reply::Status(401, "WWW-Authenticate: Basic realm=\"x\"\r\n"));
    let broken = Server::start(|_, _| Reply::Status(503, ""));
    let reset = Server::start(|_, _| Reply::Reset);
    let mut told = String::new();
    for (what, place) in [
        ("a branch that is not there", format!("{url}#mian")),
        ("a commit that is not there", format!("{url}#{}", "0123456789".repeat(4))),
        ("a directory without git", format!("git+file://{}", scene.path("store").display())),
        ("a page", page.url("r.git")),
        ("a page of one line", line.url("r.git")),
        ("not found", nothing.url("r.git")),
        ("a password is wanted", private.url("r.git")),
        ("a server in trouble", broken.url("r.git")),
        ("a server that hangs up", reset.url("r.git")),
        ("nobody listens", "http://127.0.0.1:1/r.git".to_owned()),
    ] {
        let text = scene.refused(&place, None);
        let host =
            place.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or("127.0.0.1:1");
        writeln!(told, "{what}:\n{}", without_words_of_git(&text.replace(host, "<host>"))).unwrap();
    }
    assert_snapshot!(told);
}

#[test]
fn trouble_with_archives_and_pins_is_told_apart() {
    let scene = Scene::new();
    let nothing = Server::start(|_, _| Reply::Status(404, ""));
    scene.tar("r.tar", &[("packages/a/a.1/opam", b"opam-version: \"2.0\"")]);
    let pin = Pin { commit: None, tree: TreeHash::from_bytes([7; 32]) };
    let mut told = scene.refused(&nothing.url("r.tar.gz"), None).replace(&nothing.url(""), "http://<host>/");
    told += &scene.refused("r.tar", Some(pin));
    told += &Scene::with(true).refused("https://h.invalid/r.git", None);
    assert_snapshot!(told);
}

#[test]
fn a_damaged_pack_is_an_error_and_a_damaged_cache_is_not() {
    let scene = Scene::new();
    scene.tar("r.tar", &[("packages/a/a.1/opam", b"opam-version: \"2.0\"\n")]);
    let opened = scene.open("r.tar", None).unwrap();
    let pin = opened.pins().remove(0);
    let platform = Platform::debian("13");
    let expected = opened.index(&platform).unwrap().index.encode();
    let caches =
        || fs::read_dir(scene.store.plans().join("opam")).unwrap().map(|entry| entry.unwrap().path());
    // Every byte of the cached index, one after the other.
    let cache = caches().find(|path| path.to_str().unwrap().contains("/index-")).unwrap();
    let whole = fs::read(&cache).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&cache, damaged).unwrap();
        let again = scene.open("r.tar", Some(pin.clone())).unwrap();
        assert_eq!(again.index(&platform).unwrap().index.encode(), expected, "byte {at}");
        assert_eq!(fs::read(&cache).unwrap(), whole, "it was made again");
    }
    fs::write(&cache, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(
        scene.open("r.tar", Some(pin.clone())).unwrap().index(&platform).unwrap().index.encode(),
        expected
    );
    let mut told = String::new();
    for name in ["contents", "table"] {
        let tree = scene.store.tree(&pin.tree).unwrap();
        let Some(Node::File(file)) = tree.get(&RelPath::parse(name).unwrap()) else { panic!("no {name}") };
        let path = scene.store.file_path(file);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        fs::remove_file(&cache).unwrap();
        let again = scene.open("r.tar", Some(pin.clone())).unwrap();
        let package = PackageName::new("a").unwrap();
        let file = again.file(&package, &Version::new("1").unwrap()).unwrap_err();
        let (file, index) = (scene.told(file), scene.told(again.index(&platform).unwrap_err()));
        assert_eq!(file, index);
        let hash = path.strip_prefix(scene.path("store")).unwrap().to_str().unwrap();
        told += &file.replace(hash, &format!("files/<{name}>"));
        fs::write(&cache, &whole).unwrap();
    }
    assert_snapshot!(told);
}

#[test]
fn an_opam_file_that_cannot_be_read_is_shown_and_the_others_are_used() {
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/broken-opam-repository");
    let scene = Scene::new();
    let opened = scene.open(broken.to_str().unwrap(), None).unwrap();
    let indexed = opened.index(&Platform::debian("13")).unwrap();
    assert_eq!(indexed.index.find("good").unwrap().1.versions.len(), 1);
    let told: Vec<String> = indexed.broken.iter().map(golden).collect();
    assert_snapshot!(told.concat().replace(broken.to_str().unwrap(), "<repository>"));
    // The second time too.
    assert_eq!(opened.index(&Platform::debian("13")).unwrap().broken, indexed.broken);
}
