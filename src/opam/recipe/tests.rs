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
