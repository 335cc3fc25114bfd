//! What opam repositories hold: opam files, `.config` files, patches.

use std::collections::BTreeMap;

use jtwbuild::diagnostic::SourceFile;
use jtwbuild::opam::config::Config;
use jtwbuild::opam::patch::Patch;
use jtwbuild::opam::recipe::Recipe;
use jtwbuild::opam::syntax::OpamFile;
use jtwbuild::opam::variables::{Package, SeenBy, Variables, globals};
use jtwbuild::opam::{Platform, commands, environment, filter, paths};

use super::{Target, fuzz};

const FULL: &[u8] = br#"opam-version: "2.0"
depends: ["ocaml" {>= "4.08" & os != "win32"} ("a" | "b" {build}) "c" {post | with-test}]
depopts: ["d" {< "2"}]
patches: ["a/b.patch" {os = "linux"} "c.patch"]
substs: ["f" "g" {nosuch}]
build-env: [[PATH += "%{lib}%/x"] [A = ""] [B =: "%{_:name}%"]]
setenv: CAML_LD_LIBRARY_PATH =+ "%{_:stubsdir}%"
build: [["./configure" "--prefix=%{prefix}%" "-x" {other:installed & !ocaml:native}] [make "-j" jobs] {?os}]
install: [make "install" {version >= "1.0~"}] {arch = "x86_64"}
url { src: "https://example.org/a.tgz" checksum: ["sha256=00" "md5=11"] mirrors: "https://example.net/a" }
extra-source "x.patch" { src: "https://example.org/x" checksum: "md5=22" }
extra-files: [["y" "md5=33"]]
depexts: [["libx-dev"] {os-family = "debian"} ["x"] {os = "macos"}]
flags: [conf light-uninstall]
"#;

const WORDS: &[&[u8]] = &[
    b"build: [",
    b"install: ",
    b"patches: [\"",
    b"substs: \"",
    b"build-env: [[",
    b"setenv: ",
    b"depends: [",
    b"depexts: [[",
    b"extra-source \"",
    b"url {",
    b"}",
    b"{",
    b"]",
    b"[",
    b"(",
    b")",
    b"\"%{",
    b"}%\"",
    b"%{a+b:enable}%",
    b"%{_:x?yes:no}%",
    b"%%",
    b"\"../x\"",
    b"\"/x\"",
    b"\\000",
    b"\"\"\"",
    b" += ",
    b" =: ",
    b" =+= ",
    b" & ",
    b" | ",
    b"!",
    b"?",
    b">= ",
    b"(*",
    b"*)",
    b"#",
    b"true",
    b"conf-g++:installed",
    b"other:stubs",
];

fn variables() -> Variables {
    let config = b"variables { stubs: \"/x\" on: true list: [\"a\" \"b\"] }";
    let package = |name: &str, is_installed| Package {
        name: name.into(),
        version: "1".into(),
        is_installed,
        config: Config::parse(config).unwrap(),
    };
    let packages = [package("a", false), package("other", true), package("conf-g++", true)];
    Variables {
        globals: globals(&Platform::debian("13"), 2, "/opt/jtw"),
        prefix: "/opt/jtw".into(),
        workdir: "/build".into(),
        packages: packages.map(|package| (package.name.clone(), package)).into(),
        own: "a".into(),
        depends: vec!["other.1".into()],
    }
}

/// A file that is read has a normal form that reads the same, its paths stay below, and what it comes to
/// can be run.
#[test]
fn opam_files() {
    let variables = variables();
    let scope = SeenBy { variables: &variables, own: "a" };
    let platform = Platform::debian("13");
    fuzz(Target {
        name: "opam",
        usual: 5000,
        seeds: vec![FULL.to_vec()],
        words: WORDS,
        special: None,
        run: &mut |input| {
            let text = String::from_utf8_lossy(input);
            let file = SourceFile::new("opam", &text);
            let recipe = match Recipe::read("a", "1", &file, &platform) {
                Ok(recipe) => recipe,
                Err(error) => return error.problems[0].message.clone(),
            };
            let again = Recipe::read("a", "1", &SourceFile::new("opam", &recipe.file), &platform);
            assert_eq!(again.unwrap_or_else(|error| panic!("{error}")).file, recipe.file);
            let named = recipe.extra_sources.iter().map(|(path, _)| path);
            for path in named.chain(recipe.extra_files.iter().map(|(path, _)| path)) {
                assert!(stays(path), "{path}");
            }
            let fields = OpamFile::parse(&recipe.file).expect("it was read before");
            let mut said = String::new();
            for name in ["build", "install"] {
                match fields.field(name).map(|field| commands::evaluate(field, &scope)) {
                    None => {}
                    Some(Err(misfit)) => said = misfit.message,
                    Some(Ok(commands)) => {
                        for argv in commands {
                            assert!(argv.first().is_some_and(|program| !program.is_empty()));
                            assert!(argv.iter().all(|word| !word.contains('\0')));
                        }
                    }
                }
            }
            for name in ["patches", "substs"] {
                let listed = fields.field(name).map(|field| paths::list(field, Some(&scope)));
                for path in listed.into_iter().flat_map(|listed| listed.expect("it was checked")) {
                    assert!(stays(path.as_str()), "{path}");
                }
            }
            let mut env = BTreeMap::from([("PATH".to_owned(), "/opt/jtw/bin:/bin".to_owned())]);
            if let Some(field) = fields.field("build-env") {
                let done = environment::apply(field, &scope, &mut env, "/opt/jtw/bin:");
                assert!(done.is_err() || env["PATH"].starts_with("/opt/jtw/bin:"), "{env:?}");
            }
            assert!(env.iter().all(|(name, value)| !name.contains('=') && !value.contains('\0')));
            said
        },
    });
}

/// What is filled in has no variable left that was there, and takes no more than it may.
#[test]
fn templates() {
    let variables = variables();
    let scope = SeenBy { variables: &variables, own: "a" };
    fuzz(Target {
        name: "template",
        usual: 5000,
        seeds: vec![b"%{lib}% %% %{a+b:enable}% %{x?y:z}% %{unclosed\n}% \xff%{\xff}%".to_vec()],
        words: &[b"%{", b"}%", b"%", b"%%", b"\n", b"prefix", b"other:list", b"_:name", b"?", b":", b"+"],
        special: None,
        run: &mut |input| {
            let most = 4096;
            let filled = filter::interpolate_bytes(input, &scope, most);
            if let Some(filled) = &filled {
                assert!(filled.len() <= most);
                assert!(input.contains(&b'%') || filled == input);
            }
            if let Ok(text) = std::str::from_utf8(input)
                && let Some(filled) = &filled
            {
                assert_eq!(filter::interpolate(text, &scope).as_bytes(), filled);
            }
            format!("{}", filled.is_some())
        },
    });
}

#[test]
fn config_files() {
    fuzz(Target {
        name: "config",
        usual: 3000,
        seeds: vec![
            b"opam-version: \"2.0\"\nvariables { native: true x: \"a\" l: [\"b\" \"c\"] n: 5 }\n".to_vec(),
            b"file-depends: [[\"/x\" \"md5=1\"]]\nx-y: 1\nvariables { }".to_vec(),
        ],
        words: &[
            b"variables {",
            b"}",
            b"a: true",
            b"\"x\"",
            b"[",
            b"]",
            b":",
            b"(*",
            b"\\x00",
            b"file-depends:",
        ],
        special: None,
        run: &mut |input| Config::parse(input).map_or_else(|error| error.to_string(), |_| String::new()),
    });
}

/// Whatever a patch names that is taken stays below.
#[test]
fn patches() {
    fuzz(Target {
        name: "patch",
        usual: 5000,
        seeds: vec![
            b"--- a/x\t1\n+++ b/x 2\n@@ -1,2 +1,3 @@\n a\n-b\n+c\n+--- d\n--- a/y\n+++ b/y\n@@ -0,0 +1 @@\n+x\n".to_vec(),
            b"diff --git a/x b/y\nrename from x\nrename to y\nIndex: a/z\n".to_vec(),
            b"*** a/x\t1\n--- b/x\t2\n***************\n*** 1,2 ****\n! a\n--- 1,2 ----\n! b\n".to_vec(),
        ],
        words: &[
            b"--- ",
            b"+++ ",
            b"*** ",
            b"a/",
            b"../",
            b"/",
            b"\n",
            b"\t",
            b" ",
            b"\"",
            b"\\056",
            b"@@ -1 +1 @@",
            b"@@ -1,18446744073709551615 +1,0 @@",
            b"***************",
            b"diff --git ",
            b"rename to ",
            b"copy from ",
            b"Index: ",
            b"/dev/null",
            b"\r\n",
        ],
        special: None,
        run: &mut |input| match Patch::parse(input) {
            Ok(patch) => {
                for path in &patch.paths {
                    assert!(stays(path.as_str()), "{path}");
                }
                format!("{:?}", patch.format)
            }
            Err(error) => error.message,
        },
    });
}

fn stays(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0')
}
