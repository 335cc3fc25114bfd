//! What is read of opam files, and what is refused.

use std::path::Path;

use super::*;
use crate::diagnostic::golden;

fn read(text: &str) -> Result<Recipe, String> {
    let file = SourceFile::new("packages/a/a.1/opam", text);
    Recipe::read("a", "1", &file, &Platform::debian("13")).map_err(|error| golden(&error))
}

#[test]
fn only_what_the_build_reads_is_in_the_normal_form() {
    let text = "# hello\nopam-version: \"2.0\"\nmaintainer: \"m\"\nsynopsis: \"One line.\"\n\
                install: [make \"install\"] {os = \"linux\"}\n\
                build: [ [\"./configure\" (* c *) \"-p\"   prefix {!ocaml:native}]\n [make \"a\\\"b\\n\"] ]\n\
                substs: \"f\"\n patches: [\"p\" {os = \"linux\" & (arch = \"x\" | true)}]\n\
                build-env: [[A = \"1\"] [B += \"%{lib}%\"]]\nsetenv: C =: \"\"\n";
    let recipe = read(text).unwrap();
    insta::assert_snapshot!(recipe.file);
    assert_eq!(recipe.setenv.as_deref(), Some("C =: \"\""));
    assert_eq!(recipe.synopsis, "One line.");
    assert_eq!((recipe.homepage, recipe.license), (None, None));
    let told =
        read(&format!("{text}homepage: [\"https://a\" \"https://b\"]\nlicense: [\"MIT\" \"ISC\"]")).unwrap();
    assert_eq!(told.homepage.as_deref(), Some("https://a"));
    assert_eq!(told.license.as_deref(), Some("MIT AND ISC"));
    assert_eq!(told.file, recipe.file);
    let other = text.replace("# hello\n", "").replace("\"m\"", "\"n\"").replace("   prefix", "\n# x\nprefix");
    assert_eq!(read(&other).unwrap().file, recipe.file);
    assert_ne!(read(&text.replace("install\"]", "instal\"]")).unwrap().file, recipe.file);
}

#[test]
fn edges_are_without_post_and_told_apart_by_build() {
    let text = "depends: [\"a\" {build} \"b\" {>= \"1\" & build} \"c\" {post} \"d\" {= version} \"e\" {with-test}]\n\
                depopts: [\"f\" \"g\" {>= \"2\"}]";
    let recipe = read(text).unwrap();
    let names = |formula: &Option<Formula>| {
        let mut names = Vec::new();
        if let Some(formula) = formula {
            formula.atoms(&mut |atom| names.push(atom.name.clone()));
        }
        names.concat()
    };
    assert_eq!(names(&recipe.depends), "abd");
    assert_eq!(names(&recipe.runtime), "d");
    assert_eq!(names(&recipe.depopts), "fg");
}

#[test]
fn sources_and_depexts_are_read_with_their_places() {
    let text = "url { src: \"https://x/a.tgz\" mirrors: \"https://y/a.tgz\" checksum: [\"md5=1\" \"sha256=2\"] }\n\
                extra-source \"d/p.patch\" { src: \"https://x/p\" checksum: \"sha256=3\" }\n\
                extra-files: [[\"q\" \"md5=4\"]]\n\
                depexts: [[\"libb-dev\" \"liba-dev\"] {os-family = \"debian\"} [\"UPPER\"] {os = \"macos\"}]\n";
    let recipe = read(text).unwrap();
    let url = recipe.url.unwrap();
    assert_eq!(
        (url.src.text.as_str(), &text[url.src.span.clone()]),
        ("https://x/a.tgz", "\"https://x/a.tgz\"")
    );
    assert_eq!(url.mirrors[0].text, "https://y/a.tgz");
    assert_eq!(url.checksums.iter().map(|sum| sum.text.as_str()).collect::<Vec<_>>(), ["md5=1", "sha256=2"]);
    assert_eq!(recipe.extra_sources[0].0, "d/p.patch");
    assert_eq!(recipe.extra_files[0].0, "q");
    assert_eq!(recipe.depexts, ["liba-dev", "libb-dev"]);
}

/// R77: what could not be right is told with its place, before anything is built.
#[test]
fn fields_that_cannot_be_right_are_shown_where_they_are() {
    let texts = [
        "build: [\"make\"",
        "build: [[\"make\"] \"install\"]",
        "build: [[\"make\"] [] {os = \"linux\"}]",
        "build: [[\"make\"]] {os = \"linux\"}",
        "install: [make [\"install\"]]",
        "install: [\"a\" \"b\\000c\"]",
        "build: [\"a\" (\"b\")]",
        "build: [\"a\" = \"b\"]",
        "build: [make]\nsynopsis: \"\"\nbuild: [make \"again\"]",
        "build-env: [[A-B = \"1\"]]",
        "build-env: [A = b]",
        "build-env: [A >= \"1\"]",
        "setenv: \"A=1\"",
        "setenv: [[A += \"x\\000\"]]",
        "patches: [\"../x.patch\"]",
        "patches: [\"/etc/passwd\" {false}]",
        "patches: [x]",
        "substs: [\"a/../../x\"]",
        "substs: [\"a\\nb\"]",
        "extra-source \"../x\" { src: \"https://x\" }",
        "extra-source \"/x\" { src: \"https://x\" }",
        "extra-source { src: \"https://x\" }",
        "extra-source \"x\" { src: \"https://x\" }\nextra-source \"./x\" { src: \"https://y\" }",
        "extra-files: [[\"../x\" \"md5=1\"]]",
        "extra-files: [\"x\"]",
        "url { checksum: \"md5=1\" }",
        "url { src: [\"a\" \"b\"] }",
        "url { src: \"a\" }\nurl { src: \"b\" }",
        "depexts: [[\"-rf\" \"good\" \"a b\"] {os = \"linux\"}]",
        "depexts: [[bad]]",
        "depends: [\"a\" | b]",
    ];
    let told: Vec<String> = texts
        .iter()
        .map(|text| format!("{text}\n{}", read(text).map(|recipe| recipe.file).unwrap_err()))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

/// R77: names and versions become parts of paths and of commands.
#[test]
fn names_and_versions_that_are_no_file_names_are_refused() {
    let file = SourceFile::new("opam", "build: [make]");
    let platform = Platform::debian("13");
    for bad in ["", ".", "..", "a/b", "../a", "-rf", "a\nb", "a\0", "a b", "\u{e9}", &"a".repeat(201)] {
        let error = Recipe::read(bad, "1", &file, &platform).unwrap_err();
        assert_eq!(error.problems[0].code, "jtwbuild::opam::name", "{bad:?}");
        let error = Recipe::read("a", bad, &file, &platform).unwrap_err();
        assert_eq!(error.problems[0].code, "jtwbuild::opam::version", "{bad:?}");
    }
    for (name, version) in [("conf-g++", "1.0~beta+x-y"), ("0install", "v0.17.0"), ("_a", "2024-01-01")] {
        assert!(Recipe::read(name, version, &file, &platform).is_ok(), "{name}.{version}");
    }
}

/// R77: no size and no nesting makes reading slow.
#[test]
fn large_and_deep_files_are_refused_quickly() {
    let large = format!("description: \"{}\"", "x".repeat(50 << 20));
    assert!(read(&large).unwrap_err().contains("jtwbuild::opam::too-large"));
    let near = "[\"x\" {a & (b | c)}]\n".repeat(MAX_SIZE / 24);
    assert!(read(&format!("build: [{near}]")).is_ok());
    let many = format!("build: [\"x\" {{{}}}]", "!".repeat(MAX_SIZE / 2));
    assert!(read(&many).unwrap_err().contains("nested"));
    let both = "(a | b) & ".repeat(MAX_SIZE / 24);
    assert!(read(&format!("build: [make] {{{both} c}}\ndepends: [\"x\" {{{both} c}}]")).is_ok());
    let unclosed = format!("build: [\"{}\"]", "%{".repeat(MAX_SIZE / 4));
    assert!(read(&unclosed).is_ok());
}

/// All of a repository that the environment names: reads, and the normal form reads the same again.
#[test]
fn every_file_of_the_public_repository_has_a_normal_form() {
    let Some(repository) = std::env::var_os("JTWBUILD_OPAM_REPOSITORY") else { return };
    let (mut count, mut refused) = (0, Vec::new());
    let directories = |path: &Path| {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        all.sort();
        all
    };
    for package in directories(&Path::new(&repository).join("packages")) {
        for directory in directories(&package) {
            let full = directory.file_name().unwrap().to_str().unwrap();
            let (name, version) = full.split_once('.').unwrap();
            let file = SourceFile::new(full, &std::fs::read_to_string(directory.join("opam")).unwrap());
            count += 1;
            match Recipe::read(name, version, &file, &Platform::debian("13")) {
                Ok(recipe) => {
                    let again = SourceFile::new(full, &recipe.file);
                    let again = Recipe::read(name, version, &again, &Platform::debian("13")).unwrap();
                    assert_eq!(again.file, recipe.file);
                }
                Err(error) => refused.push(error.to_string()),
            }
        }
    }
    println!("{count} files, {} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(refused.len() * 1000 < count, "{}", refused.len());
}
