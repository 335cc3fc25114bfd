//! Git repositories that tests make, with the `git` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::source::git::{Commit, GitUrl};
use crate::store::disk;

/// Runs git as a user would, apart from their settings; what it prints.
#[expect(clippy::disallowed_methods, reason = "a test makes repositories")]
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@t.example", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = disk::start(&mut command).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a working tree.
pub(crate) struct Repo {
    pub path: PathBuf,
}

impl Repo {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self::with_hashes(path, "sha1")
    }

    /// One whose objects are named by this kind of hash.
    pub(crate) fn with_hashes(path: PathBuf, kind: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", &format!("--object-format={kind}")]);
        Self { path }
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }

    pub(crate) fn url(&self) -> GitUrl {
        GitUrl::new(&format!("file://{}", self.path.display())).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything that is there.
    pub(crate) fn commit(&self) -> Commit {
        self.git(&["add", "-A"]);
        self.commit_index()
    }

    /// Commits what was added.
    pub(crate) fn commit_index(&self) -> Commit {
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        self.head()
    }

    pub(crate) fn head(&self) -> Commit {
        Commit::new(&self.git(&["rev-parse", "HEAD"])).unwrap()
    }

    /// Adds another repository at `path`, as `.gitmodules` names it.
    pub(crate) fn add_submodule(&self, path: &str, url: &str, commit: &Commit) {
        let known = fs::read_to_string(self.path.join(".gitmodules")).unwrap_or_default();
        self.write(
            ".gitmodules",
            &format!("{known}[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"),
        );
        self.git(&["add", ".gitmodules"]);
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    }

    /// A commit of one file with that name, whatever git thinks of it.
    pub(crate) fn commit_of_names(&self, directory: &str, file: &str) -> Commit {
        self.write("content", "x");
        let blob = self.git(&["hash-object", "-w", "content"]);
        let tree = |line: String| {
            self.write("../line", &line);
            let input = self.path.join("../line");
            let script = format!("git mktree < '{}'", input.display());
            self.git(&["-c", &format!("alias.x=!{script}"), "x"])
        };
        let inner = tree(format!("100644 blob {blob}\t{file}\n"));
        let outer = tree(format!("040000 tree {inner}\t{directory}\n"));
        let commit = self.git(&["commit-tree", "-m", "x", &outer]);
        self.git(&["update-ref", "refs/heads/names", &commit]);
        Commit::new(&commit).unwrap()
    }
}
