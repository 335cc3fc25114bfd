//! R67: commits of git repositories as trees, and which commits names come to. Real repositories, by
//! `file:` and from a loopback server.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::repo::Repo;
use super::server::{Reply, Server};
use super::*;
use crate::fetch::git::{Export, GitError, Limits, ask};
use crate::source::git::{Commit, GitUrl, Question, Reference};
use crate::store::staging::scan;

const LIMITS: Limits = Limits { bytes: 1 << 20, members: 1000 };

fn export<'a>(url: &'a GitUrl, commit: &'a Commit, subdir: &'a RelPath) -> Export<'a> {
    Export { url, commit, near: None, subdir, submodules: true, offline: false, limits: LIMITS }
}

impl Scene {
    fn repo(&self, name: &str) -> Repo {
        Repo::new(self.path().join(name))
    }

    /// The tree of a commit, published.
    fn take(&self, export: &Export<'_>) -> Result<Tree, GitError> {
        let staging = self.stage();
        let tree = export.run(&staging, &self.store, &AtomicBool::new(false))?;
        staging.publish(&tree).unwrap();
        Ok(tree)
    }

    fn whole(&self, url: &GitUrl, commit: &Commit) -> Result<Tree, GitError> {
        self.take(&export(url, commit, &RelPath::default()))
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    let mut paths = Vec::new();
    let done: Result<(), std::convert::Infallible> = tree.walk(&mut |path, node| {
        if !matches!(node, Node::Directory(_)) {
            paths.push(path.to_string());
        }
        Ok(())
    });
    done.unwrap();
    paths
}

fn at(path: &str) -> RelPath {
    RelPath::parse(path).unwrap()
}

/// Everything of a repository as files behind HTTP: the protocol that needs no program on the server.
fn serve(repo: &Repo) -> Server {
    repo.git(&["update-server-info"]);
    let root = repo.path.join(".git");
    Server::start(move |path, _| {
        let path = path.split('?').next().unwrap_or_default();
        match fs::read(root.join(path.trim_start_matches("/r/"))) {
            Ok(bytes) => Reply::Ok(bytes),
            Err(_) => Reply::Status(404, ""),
        }
    })
}

#[test]
fn a_commit_is_the_tree_that_a_directory_with_its_files_is() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    repo.write("README", "read me");
    repo.write("src/run.sh", "#!/bin/sh\n");
    repo.write("src/large", &"0123456789".repeat(20_000));
    repo.write("src/deep/er/file", "");
    fs::set_permissions(repo.path.join("src/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../README", repo.path.join("src/link")).unwrap();
    symlink("/etc/passwd", repo.path.join("src/deep/out")).unwrap();
    let commit = repo.commit();
    let mut expected = scan(&repo.path).unwrap();
    expected.remove(&at(".git")).unwrap();
    assert_eq!(scene.whole(&repo.url(), &commit).unwrap().hash(), expected.hash());
    // The directory below is the same whatever is beside it.
    let (url, src) = (repo.url(), at("src"));
    let part = scene.take(&export(&url, &commit, &src)).unwrap();
    assert_eq!(part.hash(), expected.directory(&src).unwrap().hash());
    repo.write("README", "read me again");
    let next = repo.commit();
    assert_eq!(scene.take(&export(&url, &next, &src)).unwrap().hash(), part.hash());
    assert_ne!(scene.whole(&url, &next).unwrap().hash(), expected.hash());
    assert_eq!(scene.leftovers(), [""; 0].map(PathBuf::from));
}

#[test]
fn a_directory_that_is_not_there_or_is_a_file_is_told() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    repo.write("a/b", "");
    let (url, commit) = (repo.url(), repo.commit());
    for (subdir, said) in [("nothing", "there is no directory `nothing`"), ("a/b", "it is a file")] {
        let error = scene.take(&export(&url, &commit, &at(subdir))).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn submodules_are_taken_at_the_commits_that_are_pinned() {
    let scene = Scene::new();
    let (top, middle, inner) = (scene.repo("top"), scene.repo("group/middle"), scene.repo("group/inner"));
    inner.write("deep/file", "pinned");
    let pinned = inner.commit();
    middle.write("own", "");
    middle.add_submodule("vendor/inner", "../inner", &pinned);
    middle.git(&["add", "own"]);
    let middle_commit = middle.commit_index();
    inner.write("deep/file", "newer, and not pinned");
    inner.commit();
    top.write("file", "");
    top.git(&["add", "file"]);
    top.add_submodule("lib/middle", "../group/middle", &middle_commit);
    let (url, commit) = (top.url(), top.commit_index());
    let tree = scene.whole(&url, &commit).unwrap();
    let middle_files = ["lib/middle/.gitmodules", "lib/middle/own", "lib/middle/vendor/inner/deep/file"];
    assert_eq!(paths(&tree), [&[".gitmodules", "file"][..], &middle_files].concat());
    let hash = scene.store.tree_path(&tree.hash()).join("lib/middle/vendor/inner/deep/file");
    assert_eq!(fs::read(hash).unwrap(), b"pinned");
    // A directory within one of them.
    let subdir = at("lib/middle/vendor/inner/deep");
    let part = export(&url, &commit, &subdir);
    assert_eq!(paths(&scene.take(&part).unwrap()), ["file"]);
    // Without them.
    let root = RelPath::default();
    let alone = Export { submodules: false, ..export(&url, &commit, &root) };
    assert_eq!(paths(&scene.take(&alone).unwrap()), [".gitmodules", "file"]);
    let error = scene.take(&Export { submodules: false, ..part }).unwrap_err();
    assert!(matches!(error, GitError::NoDirectory { .. }), "{error}");
}

#[test]
fn submodules_that_cannot_be_had_are_told_with_their_paths() {
    let scene = Scene::new();
    let other = scene.repo("other");
    let gone = other.commit_index();
    for (url, said) in [
        ("ext::sh -c 'touch /tmp/x'", "cannot be used: it is empty or too long"),
        ("-uevil", "cannot be used"),
        ("../../../../../../../../../../x", "it leads out of its host"),
        ("../nothing", "submodule `sub`: `file://"),
    ] {
        let repo = scene.repo("repo");
        repo.add_submodule("sub", url, &gone);
        let error = scene.whole(&repo.url(), &repo.commit_index()).unwrap_err();
        assert!(error.to_string().contains(said), "{url}: {error}");
        fs::remove_dir_all(&repo.path).unwrap();
    }
    // A commit that the other repository never had, and a submodule that nobody describes.
    let repo = scene.repo("repo");
    let unknown = Commit::new(&"1".repeat(40)).unwrap();
    repo.add_submodule("sub", "../other", &unknown);
    let error = scene.whole(&repo.url(), &repo.commit_index()).unwrap_err();
    let GitError::Submodule { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, GitError::NoCommit { .. }), "{error}");
    repo.write(".gitmodules", "");
    repo.git(&["add", ".gitmodules"]);
    let error = scene.whole(&repo.url(), &repo.commit_index()).unwrap_err();
    assert!(error.to_string().contains("has no URL for this submodule"), "{error}");
}

#[test]
fn a_repository_from_elsewhere_cannot_name_one_of_this_machine() {
    let scene = Scene::new();
    let (repo, secret) = (scene.repo("repo"), scene.repo("secret"));
    secret.write("key", "");
    let commit = secret.commit();
    for url in [secret.url().to_string(), secret.path.display().to_string()] {
        repo.add_submodule("sub", &url, &commit);
    }
    let commit = repo.commit_index();
    scene.whole(&repo.url(), &commit).expect("from here it may");
    let server = serve(&repo);
    let url = GitUrl::new(&server.url("r")).unwrap();
    let error = scene.whole(&url, &commit).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[test]
fn pointers_of_lfs_and_names_of_gits_own_are_refused() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n";
    repo.write("assets/picture.png", pointer);
    repo.write("src/a.ml", "");
    let (url, commit) = (repo.url(), repo.commit());
    let error = scene.whole(&url, &commit).unwrap_err();
    assert!(error.to_string().contains("`assets/picture.png` in commit"), "{error}");
    assert!(error.to_string().contains("a pointer of Git LFS"), "{error}");
    scene.take(&export(&url, &commit, &at("src"))).expect("where it is not, it is no matter");
    for (directory, file) in [(".git", "config"), (".GIT", "hooks"), ("a", ".Git"), ("..", "x"), ("a", "..")]
    {
        let commit = repo.commit_of_names(directory, file);
        let error = scene.whole(&url, &commit).unwrap_err();
        assert!(matches!(error, GitError::Unusable { .. }), "{directory}/{file}: {error}");
    }
    let commit = repo.commit_of_names("a", ".gitignore");
    assert_eq!(paths(&scene.whole(&url, &commit).unwrap()), ["a/.gitignore"]);
}

#[test]
fn nothing_that_a_repository_brings_is_run_or_obeyed() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    let trap = scene.path().join("trapped");
    let run = format!("#!/bin/sh\ntouch {}\n", trap.display());
    repo.write("file", "$Id$ $Format:%H$\r\n");
    repo.write("left-out", "");
    repo.write(".gitattributes", "* filter=evil export-subst ident text eol=lf\nleft-out export-ignore\n");
    let commit = repo.commit();
    for hook in ["post-checkout", "post-merge", "reference-transaction", "pre-auto-gc", "post-index-change"] {
        repo.write(&format!(".git/hooks/{hook}"), &run);
        let path = repo.path.join(".git/hooks").join(hook);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = fs::read_to_string(repo.path.join(".git/config")).unwrap();
    let filter = format!("[filter \"evil\"]\n\tsmudge = touch {0}\n\tclean = touch {0}\n", trap.display());
    repo.write(".git/config", &format!("{config}{filter}"));
    let tree = scene.whole(&repo.url(), &commit).unwrap();
    assert!(!trap.exists());
    assert_eq!(paths(&tree), [".gitattributes", "file", "left-out"]);
    let file = scene.store.tree_path(&tree.hash()).join("file");
    assert_eq!(fs::read(file).unwrap(), b"$Id$ $Format:%H$\n", "as it was committed");
}

#[test]
fn a_commit_that_a_force_push_lost_is_told_from_one_that_still_has_a_name() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    repo.write("a", "1");
    let lost = repo.commit();
    repo.write("a", "2");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--amend", "-m", "y"]);
    scene.whole(&repo.url(), &lost).expect("the server has it still");
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "-q", "--prune=now"]);
    let error = scene.whole(&repo.url(), &lost).unwrap_err();
    assert!(matches!(error, GitError::NoCommit { .. }), "{error}");
    assert!(!error.is_transient());
    // A tag's own object is not a commit.
    repo.git(&["tag", "-a", "-m", "t", "t"]);
    let tag = Commit::new(&repo.git(&["rev-parse", "t"])).unwrap();
    assert!(matches!(scene.whole(&repo.url(), &tag), Err(GitError::NoCommit { .. })));
}

#[test]
fn a_commit_has_no_more_files_and_bytes_than_a_source_may() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    repo.write("a", "12345");
    repo.write("b", "12345");
    let (url, commit, root) = (repo.url(), repo.commit(), RelPath::default());
    let with = |bytes, members| Export { limits: Limits { bytes, members }, ..export(&url, &commit, &root) };
    scene.take(&with(10, 2)).unwrap();
    for (bytes, members, said) in [(9, 2, "more than 9 bytes"), (10, 1, "more than 1 files")] {
        let error = scene.take(&with(bytes, members)).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_server_of_files_is_enough_and_offline_it_is_not_asked() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    repo.write("a", "1");
    let commit = repo.commit();
    repo.write("a", "2");
    repo.commit();
    let server = serve(&repo);
    let (url, root) = (GitUrl::new(&server.url("r")).unwrap(), RelPath::default());
    let offline = Export { offline: true, ..export(&url, &commit, &root) };
    assert!(matches!(scene.take(&offline), Err(GitError::Offline { .. })));
    assert_eq!(server.requests(), 0);
    let expected = scene.whole(&repo.url(), &commit).unwrap();
    // It gives away no single commit: its branch is looked at.
    let near = Export { near: Some("main"), ..export(&url, &commit, &root) };
    assert_eq!(scene.take(&near).unwrap().hash(), expected.hash());
    assert_eq!(scene.whole(&url, &commit).unwrap().hash(), expected.hash());
}

#[test]
fn all_names_of_a_server_are_asked_for_at_once() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    let first = repo.commit_index();
    repo.git(&["tag", "-a", "-m", "noted", "noted"]);
    repo.git(&["tag", "same"]);
    repo.git(&["branch", "same"]);
    repo.write("a", "");
    let second = repo.commit();
    let server = serve(&repo);
    let url = GitUrl::new(&server.url("r")).unwrap();
    let question = |url: &GitUrl, reference| Question { url: url.clone(), reference };
    let named = |url: &GitUrl| {
        [
            question(url, Reference::Branch("main".into())),
            question(url, Reference::Branch("same".into())),
            question(url, Reference::Tag("same".into())),
            question(url, Reference::Tag("noted".into())),
        ]
    };
    let stop = AtomicBool::new(false);
    let answers = ask(&scene.store, &named(&url), &stop);
    let found: Vec<&Commit> = answers.values().map(|answer| answer.as_ref().unwrap()).collect();
    assert_eq!(found, [&second, &first, &first, &first]);
    assert_eq!(server.requests(), 2, "what there is, and its HEAD");
    // Several servers, one of which is nobody.
    let nobody = GitUrl::new("http://127.0.0.1:1/r").unwrap();
    let questions = [&named(&repo.url())[..], &named(&nobody)[..], &[question(&repo.url(), Reference::Head)]];
    let answers = ask(&scene.store, &questions.concat(), &stop);
    assert_eq!(answers.values().filter(|answer| answer.is_ok()).count(), 5);
    assert_eq!(answers[&question(&repo.url(), Reference::Head)].as_ref().unwrap(), &second);
    let failed: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_err()).collect();
    assert!(matches!(failed[..], [(one, Err(GitError::Unreachable { .. }))] if one.url == nobody));
    // Names that are not there.
    let missing =
        [question(&url, Reference::Branch("mian".into())), question(&url, Reference::Tag("main".into()))];
    for (_, answer) in ask(&scene.store, &missing, &stop) {
        let Err(GitError::NoReference { name, like, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(like.as_deref(), (name == "mian").then_some("main"));
    }
}

#[test]
fn a_repository_with_longer_names_of_objects_is_like_any_other() {
    let scene = Scene::new();
    let repo = Repo::with_hashes(scene.path().join("repo"), "sha256");
    repo.write("a", "1");
    let commit = repo.commit();
    assert_eq!(commit.as_str().len(), 64);
    assert_eq!(paths(&scene.whole(&repo.url(), &commit).unwrap()), ["a"]);
    let question = Question { url: repo.url(), reference: Reference::Branch("main".into()) };
    let answers = ask(&scene.store, std::slice::from_ref(&question), &AtomicBool::new(false));
    assert_eq!(answers[&question].as_ref().unwrap(), &commit);
}

#[test]
fn a_source_that_is_stopped_ends() {
    let scene = Scene::new();
    let repo = scene.repo("repo");
    let (url, commit, root) = (repo.url(), repo.commit_index(), RelPath::default());
    let staging = scene.stage();
    let stopped = export(&url, &commit, &root).run(&staging, &scene.store, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(GitError::Stopped)));
}
