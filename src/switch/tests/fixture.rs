//! A prefix as opam makes it, in a temporary directory.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::effects::Effects;
use crate::switch::{Environment, Progress, Report, Request, Run, Shape, SwitchError, make};

pub(super) struct Fixture {
    directory: tempfile::TempDir,
    pub(super) environment: Environment,
}

pub(super) struct Silent;

impl Progress for Silent {
    fn wanted(&self, _: usize) {}
    fn started(&self, _: &str) {}
    fn ended(&self, _: &str, _: Duration, _: bool) {}
}

impl Fixture {
    /// A prefix with programs, findlib's settings and a standard library, and with these files.
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Self { directory, environment: Environment::new() };
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/switch/bin");
        fs::create_dir_all(fixture.path("prefix/bin")).unwrap();
        for name in ["ocamlc", "js_of_ocaml"] {
            // Links, because a program that a test has just written may still be open somewhere.
            std::os::unix::fs::symlink(programs.join(name), fixture.path("prefix/bin").join(name)).unwrap();
        }
        let lib = fixture.path("prefix/lib");
        let settings = format!("destdir=\"{0}\"\npath=\"{0}/ocaml:{0}\"\n", lib.display());
        fixture.write("prefix/lib/findlib.conf", &settings);
        fixture.write("prefix/lib/ocaml/stdlib/META", "directory = \"+\"\n");
        for (name, text) in [("stdlib.cma", "code"), ("stdlib.cmi", "std"), ("stdlib__List.cmi", "list")] {
            fixture.write(&format!("prefix/lib/ocaml/{name}"), text);
        }
        for (path, text) in files {
            fixture.write(path, text);
        }
        let path = format!("{}:/usr/bin:/bin", fixture.path("prefix/bin").display());
        fixture.set("PATH", &path);
        fixture
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.insert(name, OsString::from(value));
    }

    pub(super) fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn text(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
    }

    pub(super) fn request(&self, libraries: &[&str]) -> Request {
        Request {
            libraries: libraries.iter().map(|name| (*name).to_owned()).collect(),
            output: self.path("html"),
            switch: None,
            worker: false,
            path: None,
            universes: Vec::new(),
            shape: Shape::Flat,
            effects: Effects::Disabled,
        }
    }

    pub(super) fn make(&self, request: &Request) -> Result<Report, SwitchError> {
        let cache = self.path("cache");
        let environment = &self.environment;
        make(request, Run { environment, cache: Some(&cache), jobs: 2, progress: &Silent })
    }

    /// The flat output for some libraries.
    #[track_caller]
    pub(super) fn flat(&self, libraries: &[&str]) -> Report {
        self.make(&self.request(libraries)).unwrap()
    }

    /// The error that there is instead.
    #[track_caller]
    pub(super) fn refused(&self, libraries: &[&str]) -> String {
        self.make(&self.request(libraries)).unwrap_err().to_string()
    }

    /// The archives that were compiled since the last time that this was asked, sorted.
    pub(super) fn compiled(&self) -> Vec<String> {
        let log = self.path("prefix/compiled");
        let mut names: Vec<String> =
            fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect();
        let _ = fs::remove_file(log);
        names.sort();
        names
    }

    /// All files below a directory, sorted, without the marker.
    pub(super) fn listing(&self, below: &str) -> Vec<String> {
        fn walk(root: &Path, at: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let mut found = Vec::new();
        let root = self.path(below);
        walk(&root, &root, &mut found);
        found.retain(|path| !path.ends_with(".jtwbuild-opam"));
        found.sort();
        found
    }

    /// The META files of an index.
    pub(super) fn metas(&self, index: &str) -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(&self.text(index)).unwrap();
        assert_eq!(json["meta_files"], json["metas"]);
        json["metas"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }
}
