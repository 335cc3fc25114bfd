//! A store, a base and the packages that were built on it, for one test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jtwbuild::builder::{AnySandbox, LocalBuilder};
use jtwbuild::derivation::{Action, Derivation, Input, Kind, NodeId, OUT, OpamBuild, Present};
use jtwbuild::diagnostic::SourceFile;
use jtwbuild::fetch::Fetcher;
use jtwbuild::opam::recipe::Recipe;
use jtwbuild::opam::{Platform, variables};
use jtwbuild::outcome::Failure;
use jtwbuild::pins::Pins;
use jtwbuild::realise::{Builder, Job, Quiet, Stop};
use jtwbuild::request::{Layer, Limits, Mount, Request};
use jtwbuild::store::Store;
use jtwbuild::store::tree::{LinkTarget, Node, RelPath, Tree, TreeHash};

pub const PREFIX: &str = "/opt/jtw";

/// What the base has of busybox.
const APPLETS: &[&str] =
    &["cat", "cp", "echo", "env", "false", "ln", "ls", "mkdir", "printf", "rm", "sh", "touch", "true"];

/// One package of a test.
#[derive(Clone, Copy, Default)]
pub struct Opam<'a> {
    pub name: &'a str,
    /// `1` when empty.
    pub version: &'a str,
    /// The opam file.
    pub text: &'a str,
    /// The unpacked archive: `path*` is executable, `path@` a link to the text.
    pub source: &'a [(&'a str, &'a str)],
    pub extra: &'a [(&'a str, &'a str)],
    /// Packages that it names itself, built before.
    pub needs: &'a [&'a str],
}

/// What building a package gave.
#[derive(Debug)]
pub struct Built {
    pub store: Arc<Store>,
    pub layer: Arc<Tree>,
    pub log: String,
}

/// A package that dependents can have.
struct Known {
    version: String,
    layer: TreeHash,
    setenv: Option<String>,
    needs: Vec<String>,
}

pub struct World {
    /// Where the store is, for as long as the test lasts.
    _directory: tempfile::TempDir,
    pub store: Arc<Store>,
    base: TreeHash,
    known: RefCell<BTreeMap<String, Known>>,
}

impl World {
    /// Nothing when this machine has not got what the base is made of.
    #[track_caller]
    pub fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        match base(&store) {
            Ok(base) => Some(Self { _directory: directory, store, base, known: RefCell::default() }),
            Err(why) => {
                assert!(std::env::var_os("CI").is_none(), "{why}");
                eprintln!("SKIPPED: {why}");
                None
            }
        }
    }

    /// Builds a package, which must succeed.
    #[track_caller]
    pub fn built(&self, package: Opam<'_>) -> Built {
        let (built, log) = self.build(package);
        built.unwrap_or_else(|failure| panic!("{failure}\n{log}"))
    }

    /// Builds a package, which must fail.
    #[track_caller]
    pub fn refused(&self, package: Opam<'_>) -> Failure {
        match self.build(package) {
            (Err(failure), _) => failure,
            (Ok(built), _) => panic!("built: {:?}", built.files()),
        }
    }

    /// Builds a package; also gives what its log holds.
    pub fn build(&self, package: Opam<'_>) -> (Result<Built, Failure>, String) {
        let version = if package.version.is_empty() { "1" } else { package.version };
        let file = SourceFile::new(format!("packages/{0}/{0}.{version}/opam", package.name), package.text);
        let platform = Platform::debian("13");
        let recipe = Recipe::read(package.name, version, &file, &platform).unwrap_or_else(|e| panic!("{e}"));
        let mut inputs = vec![self.base];
        let present = self.closure(package.needs).into_iter().map(|name| {
            let known = self.known.borrow();
            let known = &known[&name];
            inputs.push(known.layer);
            Present {
                direct: package.needs.contains(&name.as_str()),
                package: name,
                version: known.version.clone(),
                layer: inputs.len() - 1,
                setenv: known.setenv.clone(),
            }
        });
        let present: Vec<Present> = present.collect();
        let source = (!package.source.is_empty()).then(|| {
            inputs.push(self.tree(package.source));
            inputs.len() - 1
        });
        let extra = package.extra.iter().map(|(path, text)| {
            inputs.push(self.tree(&[("file", text)]));
            ((*path).to_owned(), inputs.len() - 1)
        });
        let extra = extra.collect();
        let build = OpamBuild {
            package: package.name.into(),
            version: version.into(),
            file: recipe.file,
            variables: variables::globals(&platform, 2, PREFIX),
            request: request(&present),
            present,
            prefix: PREFIX.into(),
            workdir: "/build".into(),
            source,
            extra,
            revision: 1,
        };
        let (result, log) = self.run(&Action::Opam(build), package.name, &inputs);
        let result = result.map(|layer| {
            let needs = package.needs.iter().map(|name| (*name).to_owned()).collect();
            let known = Known { version: version.into(), layer, setenv: recipe.setenv, needs };
            self.known.borrow_mut().insert(package.name.to_owned(), known);
            Built {
                store: Arc::clone(&self.store),
                layer: self.store.tree(&layer).unwrap(),
                log: log.clone(),
            }
        });
        (result, log)
    }

    fn run(&self, action: &Action, name: &str, inputs: &[TreeHash]) -> (Result<TreeHash, Failure>, String) {
        static SANDBOX: OnceLock<AnySandbox> = OnceLock::new();
        let derivation = Derivation::new(
            Kind::Build,
            name.into(),
            action,
            inputs.iter().map(|tree| Input::Tree(*tree)).collect(),
        );
        let pins = Pins::default();
        let fetcher = Fetcher::new(jtwbuild::fetch::Settings::default());
        let sandbox = SANDBOX.get_or_init(|| AnySandbox::start(None));
        let builder = LocalBuilder::new(&self.store, &pins, &fetcher, sandbox);
        let draft = self.store.draft_layer(&format!("build-{}", derivation.build_key(inputs))).unwrap();
        let stop = Stop::default();
        let job = Job {
            node: NodeId(0),
            derivation: &derivation,
            trees: inputs,
            layer: &draft,
            stop: &stop,
            progress: &Quiet,
        };
        let result = builder.build(&job);
        (result, fs::read_to_string(draft.log_path()).unwrap_or_default())
    }

    /// All that is there with these, each behind what it needs.
    fn closure(&self, needs: &[&str]) -> Vec<String> {
        fn add(name: &str, known: &BTreeMap<String, Known>, all: &mut Vec<String>) {
            if !all.iter().any(|there| there == name) {
                known[name].needs.iter().for_each(|need| add(need, known, all));
                all.push(name.to_owned());
            }
        }
        let mut all = Vec::new();
        needs.iter().for_each(|need| add(need, &self.known.borrow(), &mut all));
        all
    }

    fn tree(&self, files: &[(&str, &str)]) -> TreeHash {
        let staging = self.store.stage().unwrap();
        let mut tree = Tree::default();
        for (path, text) in files {
            let node = match path.strip_suffix('@') {
                Some(_) => Node::Link(LinkTarget::new(text.as_bytes()).unwrap()),
                None => Node::File(staging.add_bytes(text.as_bytes(), path.ends_with('*')).unwrap()),
            };
            tree.insert(&RelPath::parse(path.trim_end_matches(['*', '@'])).unwrap(), node).unwrap();
        }
        staging.publish(&tree).unwrap()
    }
}

impl Built {
    /// Paths of what the package installed; `*` behind those that are executable.
    pub fn files(&self) -> Vec<String> {
        let files = self.layer.files();
        files.iter().map(|(path, file)| format!("{path}{}", if file.executable { "*" } else { "" })).collect()
    }

    /// The text of a file that it installed.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        let text = self.store.read_in(&self.layer, &RelPath::parse(path).unwrap()).unwrap();
        String::from_utf8(text.unwrap_or_else(|| panic!("no {path} in {:?}", self.files()))).unwrap()
    }
}

fn request(present: &[Present]) -> Request<usize> {
    let layer = |name: &str, tree| Layer { name: name.to_owned(), tree };
    let dependencies = present.iter().map(|present| layer(&present.package, present.layer));
    Request {
        mounts: vec![
            Mount::Overlay { at: "/".into(), layers: vec![layer("base", 0)], capture: None },
            Mount::Overlay { at: PREFIX.into(), layers: dependencies.collect(), capture: Some(OUT.into()) },
        ],
        stages: vec![],
        env: [("PATH", "/bin"), ("HOME", "/tmp")].map(|(name, value)| (name.into(), value.into())).into(),
        limits: Limits { seconds: 60, memory: 1 << 30, log: 1 << 20, processes: 200 },
    }
}

/// A root with a shell, `patch` and `make`.
fn base(store: &Arc<Store>) -> Result<TreeHash, String> {
    let staging = store.stage().unwrap();
    let mut tree = Tree::default();
    let mut add = |from: &Path, to: &str| {
        let node = Node::File(staging.add(&mut fs::File::open(from).unwrap(), true).unwrap());
        tree.insert(&RelPath::parse(to).unwrap(), node).unwrap();
    };
    add(&found("busybox")?, "bin/busybox");
    for name in ["patch", "make"] {
        let program = found(name)?;
        add(&program, &format!("bin/{name}"));
        for library in libraries(&program) {
            add(&library, library.to_str().unwrap().trim_start_matches('/'));
        }
    }
    for applet in APPLETS {
        let link = Node::Link(LinkTarget::new(b"busybox").unwrap());
        tree.insert(&RelPath::parse(format!("bin/{applet}")).unwrap(), link).unwrap();
    }
    Ok(staging.publish(&tree).unwrap())
}

fn found(program: &str) -> Result<PathBuf, String> {
    let places = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(program));
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| format!("this machine has no `{program}`"))
}

/// The libraries that a program is linked to, and what loads them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let told = std::process::Command::new("ldd").arg(program).output().expect("`ldd` of the C library");
    let told = String::from_utf8(told.stdout).unwrap();
    let words = told.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}
