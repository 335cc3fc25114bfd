//! What is text: universes, recipes, locks, META and `.install` files, records, versions.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use jtwbuild::diagnostic::{SourceError, SourceFile};
use jtwbuild::effects::Effects;
use jtwbuild::findlib::published::rewrite_directory;
use jtwbuild::findlib::{LibDir, Meta};
use jtwbuild::install::interpret;
use jtwbuild::jtw::{self, Settings, analyse};
use jtwbuild::lock::Lock;
use jtwbuild::name::PackageName;
use jtwbuild::package::PackageRecipe;
use jtwbuild::recipe::BaseRecipe;
use jtwbuild::recipe::overlay::{Recipes, RecipesError};
use jtwbuild::store::layer::LayerRecord;
use jtwbuild::store::tree::{BlobHash, File, Node, RelPath, Tree};
use jtwbuild::universe::{Universe, UniverseError};
use jtwbuild::version::{self, Version};

use super::{Target, fuzz};

/// Words of TOML, and of what is written in it here.
const TOML: [&[u8]; 40] = [
    b"[[node]]\n",
    b"[base]\n",
    b"[tools]\n",
    b"[output]\n",
    b"[[include]]\n",
    b"[source]\n",
    b"[build]\n",
    b"[env]\n",
    b"[javascript]\n",
    b"[[package]]\n",
    b"name = \"a\"\n",
    b"path = \"../x\"\n",
    b"compiler = \"ocaml.5.4.1\"\n",
    b"packages = [\"fmt\"]\n",
    b"inputs = [\"a\"]\n",
    b"script = '''x'''\n",
    b"commands = [[\"sh\"]]\n",
    b"a.b.c = 1\n",
    b"{ a = 1 }",
    b"{a.b=[",
    b"[[",
    b"]]",
    b"\"\"\"",
    b"'''",
    b"\\u0000",
    b"\\U0010ffff",
    b"${",
    b"${input.a}",
    b"${jobs}",
    b"}",
    b">= 1 & < 2",
    b"1979-05-27T07:32:00Z",
    b"0x7f",
    b"1e400",
    b"nan",
    b"true",
    b"# ",
    b"\t",
    b"sha256 = \"",
    b"url = \"https://example.org/a.tar.gz\"\n",
];

/// Every complaint says where, within the text, and what.
fn complaints(errors: &[SourceError]) -> String {
    let mut codes = Vec::new();
    for error in errors {
        assert!(!error.problems.is_empty());
        for problem in &error.problems {
            let span = problem.span.clone();
            assert!(error.text.get(span.clone()).is_some(), "{span:?} of {problem:?}");
            assert!(!problem.message.is_empty() && problem.message.len() < 1100, "{}", problem.message.len());
            codes.push(problem.code.clone());
        }
    }
    codes.sort();
    codes.dedup();
    codes.join(" ")
}

fn text(input: &[u8]) -> SourceFile {
    SourceFile::new("x.toml", &String::from_utf8_lossy(input))
}

/// The files of the repository's own that end in `.toml`.
fn own(directory: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut left = vec![root.join(directory)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let mut entries: Vec<_> = path.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            left.extend(entries);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn universes() {
    let mut seeds = own("universe.toml");
    seeds.push(UNIVERSE.to_vec());
    fuzz(Target {
        name: "universe",
        usual: 2000,
        seeds,
        words: &TOML,
        special: None,
        run: &mut |input| {
            let include = |path: &jtwbuild::path::RelativePath| {
                let (path, source) = (path.as_str().into(), std::io::ErrorKind::NotFound.into());
                Err(RecipesError::Unreadable { path, source })
            };
            match Universe::parse(text(input), Path::new("/u"), include) {
                Ok(universe) => {
                    format!("taken {} {}", universe.nodes.is_empty(), universe.packages.is_empty())
                }
                Err(UniverseError::Source(errors)) => complaints(&errors),
                Err(UniverseError::File(error)) => panic!("{error}"),
            }
        },
    });
}

const UNIVERSE: &[u8] = br#"
name = "demo"
compiler = "ocaml.5.4.1"
packages = ["fmt", "cmdliner >= 1.3 & < 2", "fmt = 0.9.0"]
effects = "double-translation"
[base]
recipe = "small"
suite = "trixie"
mirror = "file:///srv/mirror"
expired-release = "refuse"
[tools]
path = "../my-worker"
[output]
dir = "public/site"
[[node]]
name = "greeting"
inputs = ["other"]
script = '''
echo "${input.other}" > "$out"
'''
[[node]]
name = "other"
base = "busybox"
source = { url = "https://example.org/x.tar.gz", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
commands = [["make", "-j${jobs}"]]
limits = { time = "10 min", memory = "1 GiB" }
[node.env]
LANG = "C"
"#;

#[test]
fn package_recipes() {
    let (name, version) = (PackageName::new("x").unwrap(), Version::new("1").unwrap());
    fuzz(Target {
        name: "package",
        usual: 2000,
        seeds: own("recipes/packages"),
        words: &TOML,
        special: None,
        run: &mut |input| match PackageRecipe::parse(&text(input), &name, &version, Some(Path::new("/r"))) {
            Ok(recipe) => format!("taken {}", recipe.is_provided_by_base()),
            Err(error) => complaints(&[error]),
        },
    });
}

#[test]
fn base_recipes() {
    let directory = super::super::scene::directory();
    std::fs::create_dir(directory.path().join("base")).unwrap();
    let name = jtwbuild::name::RecipeName::new("x").unwrap();
    fuzz(Target {
        name: "base",
        usual: 1000,
        seeds: own("recipes/base"),
        words: &TOML,
        special: None,
        run: &mut |input| {
            std::fs::write(directory.path().join("base/x.toml"), input).unwrap();
            let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
            match BaseRecipe::load(&recipes, &name) {
                Ok(_) => "taken".into(),
                Err(error) => error.to_string(),
            }
        },
    });
}

#[test]
fn locks() {
    let mut seeds = own("universe.lock");
    seeds.push(LOCK.to_vec());
    fuzz(Target {
        name: "lock",
        usual: 2000,
        seeds,
        words: &[
            b"[base.x]\n",
            b"[[base.x.deb]]\n",
            b"[[package]]\n",
            b"format = 1\n",
            b"format = 2\n",
            b"path = \"../x\"",
        ],
        special: None,
        run: &mut |input| match Lock::read(&text(input)) {
            Ok(lock) => {
                // What is written is what was read.
                let written = lock.render();
                assert_eq!(Lock::read(&text(written.as_bytes())).expect("our own"), lock);
                "taken".into()
            }
            Err(error) => complaints(&[error]),
        },
    });
}

const LOCK: &[u8] = br#"format = 1
[base.ocaml]
suite = "forky"
asked = "0123456789abcdef"
release-date = "Fri, 30 Oct 2026 08:08:01 UTC"
packages = [
  { name = "libc6", version = "2.43-1", path = "pool/main/g/glibc/libc6_2.43-1_amd64.deb", size = 3000000, sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" },
]
[[package]]
name = "fmt"
version = "0.9.0"
"#;

fn built(path: &RelPath) -> Option<File> {
    let text = path.to_string();
    let blob = BlobHash::from_bytes(*blake3::hash(text.as_bytes()).as_bytes());
    (!text.contains("absent")).then_some(File { blob, size: 1, executable: false })
}

#[test]
fn install_files() {
    fuzz(Target {
        name: "install",
        usual: 5000,
        seeds: vec![
            b"lib: [ \"_build/META\" \"foo.cma\" {\"sub/foo.cma\"} \"?absent.cmt\" ]\nbin: [\"x\" {\"y\"}]"
                .to_vec(),
            b"man: [\"foo.1\" \"doc/foo.3o\" {\"man3/x\"}] (* c (* d *) *) doc: \"\"\"a\"\"\" # x\nmisc: []"
                .to_vec(),
            b"lib_root: [\"a\" {\"../x\"}] stublibs: [\"dll\\065.so\"] share_root: [\"a\\x41\"]".to_vec(),
        ],
        words: &[
            b"lib: [",
            b"]",
            b"\"..\"",
            b"{\"../x\"}",
            b"{\"/x\"}",
            b"\"a\"",
            b"lib_root: \"a\"",
            b"(*",
            b"*)",
            b"\"\"\"",
            b"\\\n",
            b"\\x2e",
            b"\\046",
            b"libexec_root:",
            b"toplevel:",
            b"etc:",
            b"x-y: ",
            b"#",
            b"?",
        ],
        special: None,
        run: &mut |input| match interpret(input, "foo", &built) {
            Ok(tree) => {
                for (path, _) in tree.files() {
                    let names: Vec<&str> = path.names().iter().map(|name| name.as_str().unwrap()).collect();
                    assert!(
                        ["lib", "bin", "sbin", "share", "etc", "doc", "man"].contains(&names[0]),
                        "{path}"
                    );
                    assert!(names.len() > 1, "{path}");
                    // Only the sections for a root leave the package's own directory.
                    let has_root = input.windows(5).any(|word| word == b"_root");
                    let own = names[1] == "foo" || ["toplevel", "stublibs"].contains(&names[1]);
                    assert!(has_root || own || !["lib", "share", "etc", "doc"].contains(&names[0]), "{path}");
                }
                Tree::decode(&tree.encode()).expect("a tree");
                format!("taken {}", tree.is_empty())
            }
            Err(error) => error.to_string(),
        },
    });
}

const METAS: [&str; 4] = [
    "version = \"1\" directory = \"sub\" requires = \"a,b c\" requires(mt) += \"d\" archive(byte) = \"a.cma\"\n\
     package \"p\" ( directory = \"+q\" exists_if = \"x.cma\" archive(byte) = \"x.cma y.cmo\" )",
    "description = \"a \\\"quoted\\\" word\" # comment\n package \"p\" ( package \"q\" ( directory = \"^r/s\" ) )",
    "jsoo_runtime = \"r.js\" linkopts(javascript) = \"+x/r.js\" archive(byte,mt) = \"../../etc/x.cma\"\n\
     archive(-byte) = \"n.cmxa\" requires(ppx_driver) = \"self\"",
    "directory = \"../../..\" package \"e\" ( directory = \"/etc\" ) package \"e\" ( directory = \"..\" )",
];

fn places(meta: &Meta, at: &LibDir) -> Vec<String> {
    let libraries = meta.libraries("x", at);
    let shown = libraries.iter().map(|one| format!("{} {} {:?}", one.name, one.directory, one.directories));
    shown.collect()
}

#[test]
fn meta_files() {
    let settings = Settings {
        effects: Effects::default(),
        js_of_ocaml: vec!["js_of_ocaml".into()],
        prefix: "/opt".into(),
        out: "/out".into(),
        ..Settings::default()
    };
    let text_file = |text: &[u8]| {
        let blob = BlobHash::from_bytes(*blake3::hash(text).as_bytes());
        File { blob, size: text.len() as u64, executable: false }
    };
    fuzz(Target {
        name: "meta",
        usual: 2500,
        seeds: METAS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        words: &[
            b"package \"p\" (",
            b")",
            b"directory = \"+\"",
            b"directory = \"..\"",
            b"directory = \"^x/../..\"",
            b"\"",
            b"\\",
            b"requires = \"x\"",
            b"archive(byte) = \"",
            b"exists_if",
            b"+=",
            b"(-mt)",
            b"()",
            b",",
            b"#",
            b"jsoo_runtime = \"",
        ],
        special: None,
        run: &mut |input| {
            // As a package's META, whatever it says: only the store could make this fail.
            let mut layer = Tree::default();
            for (path, file) in
                [("META", text_file(input)), ("a.cma", text_file(b"a")), ("x.cma", text_file(b"x"))]
            {
                layer.insert(&RelPath::parse(format!("lib/x/{path}")).unwrap(), Node::File(file)).unwrap();
            }
            let read = |_: &File| Ok(input.to_vec());
            let analysis = analyse("x", "1", &layer, &[], &read, &settings).expect("a problem, no error");
            for command in &analysis.commands {
                assert!(command.iter().all(|word| !word.contains('\0')), "{command:?}");
                let paths = command.iter().filter(|word| word.contains('/'));
                assert!(paths.clone().all(|path| !path.split('/').any(|name| name == "..")), "{command:?}");
            }
            let meta = match Meta::parse(input) {
                Ok(meta) => meta,
                Err(error) => return error.to_string(),
            };
            let text = std::str::from_utf8(input).expect("it was parsed");
            for one in &meta.definitions {
                assert!(text.get(one.span.clone()).is_some_and(|text| text.starts_with(&one.variable)));
                assert!(text.get(one.value_span.clone()).is_some_and(|text| text.starts_with('"')));
            }
            for at in ["x", "ocaml/x"] {
                let at = LibDir::parse(at).unwrap();
                let rewritten = rewrite_directory(text, &meta, &at, &at).into_owned();
                let again = Meta::parse(rewritten.as_bytes()).expect("what is published can be read");
                assert_eq!(places(&again, &at), places(&meta, &at), "{rewritten}");
            }
            let problems = analysis.problems.iter().map(|problem| match problem {
                jtw::Problem::Meta { .. } => "meta",
                jtw::Problem::Directory { .. } => "directory",
                jtw::Problem::MissingArchive { .. } => "archive",
                jtw::Problem::Cycle { .. } => "cycle",
                _ => "other",
            });
            let mut problems: Vec<_> = problems.collect();
            problems.sort_unstable();
            problems.dedup();
            format!("{} {}", meta.packages.len().min(3), problems.join(" "))
        },
    });
}

#[test]
fn records_of_layers() {
    let mut fields = BTreeMap::new();
    fields.insert("package", serde_json::json!("fmt.0.9.0"));
    fields.insert("kind", serde_json::json!("build"));
    fields.insert("status", serde_json::json!("failure"));
    fields.insert("error", serde_json::json!("it failed"));
    fields.insert("failure", serde_json::to_value(jtwbuild::outcome::Failure::Cancelled).unwrap());
    let key = jtwbuild::store::key::BuildKey::from_bytes([7; 32]);
    fields.insert("build_key", serde_json::to_value(key).unwrap());
    fields.insert("started", serde_json::json!(1_793_347_681_u64));
    fields.insert("seconds", serde_json::json!(1.5));
    fields.insert("document", serde_json::json!({"kind": "build", "inputs": [1, {"a": null}]}));
    let seed = serde_json::to_vec_pretty(&fields).unwrap();
    serde_json::from_slice::<LayerRecord>(&seed).expect("the seed is a record");
    fuzz(Target {
        name: "layer",
        usual: 4000,
        seeds: vec![seed],
        words: &[
            b"{",
            b"}",
            b"[",
            b"]",
            b"null",
            b"1e999",
            b"\"success\"",
            b"\"tree\": ",
            b"\\u0000",
            b"\\ud800",
            b",",
        ],
        special: None,
        run: &mut |input| match serde_json::from_slice::<LayerRecord>(input) {
            Ok(record) => {
                let written = serde_json::to_vec(&record).unwrap();
                let mut again: LayerRecord = serde_json::from_slice(&written).expect("our own");
                // The last digit of a time may be lost.
                again.seconds = record.seconds;
                again.document = record.document.clone();
                assert_eq!(again, record);
                format!("taken {:?}", record.status)
            }
            Err(error) => error.to_string(),
        },
    });
}

/// Three versions, one a line, under the laws of an order.
fn laws(versions: &[&str], compare: &dyn Fn(&str, &str) -> Ordering) -> String {
    for a in versions {
        assert_eq!(compare(a, a), Ordering::Equal, "{a:?}");
        for b in versions {
            assert_eq!(compare(a, b), compare(b, a).reverse(), "{a:?} {b:?}");
            for c in versions {
                let (ab, bc, ac) = (compare(a, b), compare(b, c), compare(a, c));
                if ab != Ordering::Greater && bc != Ordering::Greater {
                    assert_ne!(ac, Ordering::Greater, "{a:?} {b:?} {c:?}");
                    if ac == Ordering::Equal {
                        assert_eq!((ab, bc), (Ordering::Equal, Ordering::Equal), "{a:?} {b:?} {c:?}");
                    }
                }
            }
        }
    }
    versions.windows(2).map(|pair| format!("{:?} ", compare(pair[0], pair[1]))).collect()
}

#[test]
fn orders_of_versions() {
    fuzz(Target {
        name: "version",
        usual: 3000,
        seeds: vec![
            b"1.0~beta2\n1.0\n1.0-1".to_vec(),
            b"2:1.0-1+b1\n0:1.0\n1.0".to_vec(),
            b"v0.17.0\nv0.16.5\n5.4.1+options".to_vec(),
            b"~~\n~~a\n~".to_vec(),
            b"00001\n1\n1.000".to_vec(),
        ],
        words: &[b"~", b"+", b"-", b":", b".", b"0", b"00", b"a", b"Z", b"\n", b"_", b"1"],
        special: None,
        run: &mut |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let versions: Vec<&str> = text.split('\n').take(4).collect();
            let debian = laws(&versions, &jtwbuild::fetch::version::compare);
            laws(&versions, &|a, b| version::order(a.as_bytes(), b.as_bytes())) + &debian
        },
    });
}
