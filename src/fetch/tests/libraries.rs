//! The OCaml libraries of a suite.

use super::debian::DebianError;
use super::debian::closure::Index;
use super::debian::libraries::{Libraries, Wanted};

const PACKAGES: &str = "\
Package: ocaml
Version: 5.4.1-1
Provides: ocaml-5.4.1, ocaml-best-compilers (= 5.4.1-1)

Package: libstdlib-ocaml-dev
Source: ocaml
Version: 5.4.1-1
Provides: libstdlib-ocaml-dev-1ltp0
Depends: libstdlib-ocaml-1ltp0
Description: standard library

Package: libstdlib-ocaml
Source: ocaml
Version: 5.4.1-1
Provides: libstdlib-ocaml-1ltp0

Package: libfmt-ocaml-dev
Source: ocaml-fmt (0.11.0-1)
Version: 0.11.0-1+b5
Provides: libfmt-ocaml-dev-35kg8
Depends: libfmt-ocaml-35kg8, libstdlib-ocaml-dev-1ltp0, ocaml-5.4.1, libgone-dev
Description: pretty-printer combinators

Package: libfmt-ocaml
Source: ocaml-fmt (0.11.0-1)
Version: 0.11.0-1+b5
Provides: libfmt-ocaml-35kg8
Depends: libstdlib-ocaml-1ltp0

Package: liblogs-ocaml-dev
Version: 1
Provides: liblogs-ocaml-dev-00000
Depends: libfmt-ocaml-dev-35kg8, libfmt-ocaml (>= 0.11), ocaml-5.4.1, libfmt-ocaml-35kg8 | nothing

Package: libold-ocaml-dev
Version: 1
Depends: libfmt-ocaml-dev-other, ocaml-5.4.1

Package: libolder-ocaml-dev
Version: 1
Depends: libold-ocaml-dev

Package: camlp5
Version: 8
Depends: ocaml-5.4.1, libfmt-ocaml-dev-35kg8

Package: libgmp-dev
Version: 6
";

fn libraries(wanted: &Wanted) -> Result<Libraries, DebianError> {
    let stanza = |stanza: &str| {
        let sum = "0".repeat(64);
        format!("{}\nArchitecture: all\nFilename: pool/x.deb\nSize: 9\nSHA256: {sum}\n", stanza.trim())
    };
    Index::new(&PACKAGES.split("\n\n").map(stanza).collect::<Vec<_>>(), "amd64").libraries(wanted)
}

fn named(names: &[&str]) -> Result<String, DebianError> {
    let found = libraries(&Wanted::Named(names.iter().map(|name| (*name).to_owned()).collect()))?;
    Ok(found.libraries.iter().map(|library| library.name.as_str()).collect::<Vec<_>>().join(" "))
}

#[test]
fn all_libraries_are_found_with_their_runtime_files_and_what_they_need() {
    let found = libraries(&Wanted::All).unwrap();
    assert_eq!(found.compiler, "5.4.1");
    let shown = found.libraries.iter().map(|library| {
        let debs: Vec<_> = library.debs.iter().map(|deb| deb.name.as_str()).collect();
        format!("{}: {} <- {}", library.name, debs.join(" "), library.needs.join(" "))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "camlp5: camlp5 <- libfmt-ocaml-dev",
            "libfmt-ocaml-dev: libfmt-ocaml-dev libfmt-ocaml <- libstdlib-ocaml-dev",
            // Files of another source belong to another package of libraries.
            "liblogs-ocaml-dev: liblogs-ocaml-dev <- libfmt-ocaml-dev",
            "libstdlib-ocaml-dev: libstdlib-ocaml-dev libstdlib-ocaml <- ",
        ]
    );
    assert_eq!(found.libraries[1].description, "pretty-printer combinators");
    let left_out: Vec<_> = found.left_out.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    assert_eq!(
        left_out,
        [
            "libold-ocaml-dev: `libold-ocaml-dev` needs `libfmt-ocaml-dev-other`, which the suite does not have",
            "libolder-ocaml-dev: `libolder-ocaml-dev` needs `libold-ocaml-dev`, which cannot be had",
        ]
    );
}

#[test]
fn named_libraries_come_with_what_they_need() {
    assert_eq!(
        named(&["liblogs-ocaml-dev"]).unwrap(),
        "libfmt-ocaml-dev liblogs-ocaml-dev libstdlib-ocaml-dev"
    );
    assert_eq!(named(&[]).unwrap(), "");
    let error = named(&["libolder-ocaml-dev"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`libold-ocaml-dev` needs `libfmt-ocaml-dev-other`, which the suite does not have"
    );
    let error = named(&["libfmp-ocaml-dev"]).unwrap_err().to_string();
    assert!(error.contains("near are: libfmt-ocaml-dev"), "{error}");
    assert!(matches!(named(&["libgmp-dev"]), Err(DebianError::NotALibrary { .. })));
}
