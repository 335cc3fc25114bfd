//! Where things are found.

use super::fixture::Fixture;
use crate::switch::closure::{Closure, Reach, SETTINGS};
use crate::switch::installed::Packages;
use crate::switch::looked::Looked;
use crate::switch::place;

/// `library directory`, for every library of the packages.
fn places(fixture: &Fixture, packages: &[&str]) -> Vec<String> {
    let looked = Looked::new();
    let place = place::find(&looked, &fixture.environment, None).unwrap();
    let installed = Packages::new(&looked, &place);
    let root = fixture.path("");
    let mut shown = Vec::new();
    for name in packages {
        let Some(package) = installed.package(name).unwrap() else {
            shown.push(format!("{name} is not installed"));
            continue;
        };
        for one in installed.libraries(&package) {
            let at = one.directory.strip_prefix(&root).unwrap_or(&one.directory);
            shown.push(format!("{} {}", one.name, at.display()));
        }
    }
    shown
}

fn closure(fixture: &Fixture, names: &[&str]) -> Vec<String> {
    let looked = Looked::new();
    let place = place::find(&looked, &fixture.environment, None).unwrap();
    let installed = Packages::new(&looked, &place);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let closure = Closure::of(&installed, &names, &SETTINGS, Reach::All).unwrap();
    closure.load_order(&names)
}

#[test]
fn libraries_lie_where_findlib_says() {
    let fixture = Fixture::new(&[
        (
            "prefix/lib/a/META",
            r#"package "sub" ( directory = "deep/er" package "leaf" ( ) )
               package "plus" ( directory = "+threads" )
               package "caret" ( directory = "^../caret" )
               package "up" ( directory = "../b" )
               package "absolute" ( directory = "/opt/x" )
               package "gone" ( exists_if = "gone.cma" )
               package "there" ( exists_if = "no.cma,there.cma" )"#,
        ),
        ("prefix/lib/a/there.cma", ""),
        ("prefix/lib/META.beside", "directory = \"beside-1\" package \"in\" ( directory = \"in\" )"),
        ("prefix/lib/META.bare", ""),
        ("prefix/lib/both/META", "directory = \"own\""),
        ("prefix/lib/META.both", "directory = \"never: the package's own directory counts first\""),
    ]);
    assert_eq!(
        places(&fixture, &["a", "beside", "bare", "both", "c"]),
        [
            "a prefix/lib/a",
            "a.sub prefix/lib/a/deep/er",
            "a.sub.leaf prefix/lib/a/deep/er",
            "a.plus prefix/lib/ocaml/threads",
            "a.caret prefix/lib/caret",
            "a.up prefix/lib/b",
            "a.absolute /opt/x",
            "a.there prefix/lib/a",
            "beside prefix/lib/beside-1",
            "beside.in prefix/lib/beside-1/in",
            "bare prefix/lib",
            "both prefix/lib/both/own",
            "c is not installed",
        ]
    );
}

#[test]
fn the_search_path_is_the_environments_then_the_settings() {
    let mut fixture = Fixture::new(&[
        ("prefix/lib/x/META", ""),
        ("prefix/lib/y/META", ""),
        ("prefix/lib/z/META", ""),
        ("mine/x/META", ""),
        ("more/y/META", ""),
        ("more/x/META", ""),
        ("cross/z/META", ""),
    ]);
    let place = |below: &str| fixture.path(below).display().to_string();
    let (mine, more, cross, lib) = (place("mine"), place("more"), place("cross"), place("prefix/lib"));
    assert_eq!(places(&fixture, &["x"]), ["x prefix/lib/x"]);
    fixture.set("OCAMLPATH", &format!("{mine}:{more}:relative:"));
    assert_eq!(places(&fixture, &["x", "y", "z"]), ["x mine/x", "y more/y", "z prefix/lib/z"]);
    // Files of `findlib.conf.d` add toolchains.
    fixture.write("prefix/lib/findlib.conf.d/cross.conf", &format!("path(cross) = \"{cross}\""));
    fixture.write("prefix/lib/findlib.conf.d/ignored.txt", "not settings");
    assert_eq!(places(&fixture, &["z"]), ["z prefix/lib/z"]);
    fixture.set("OCAMLFIND_TOOLCHAIN", "cross");
    assert_eq!(places(&fixture, &["z"]), ["z cross/z"]);
    fixture.write("other.conf", &format!("path = \"{more}:{lib}\""));
    let settings = fixture.path("other.conf").display().to_string();
    fixture.set("OCAMLFIND_CONF", &settings);
    fixture.environment.remove("OCAMLPATH");
    assert_eq!(places(&fixture, &["x", "z"]), ["x more/x", "z prefix/lib/z"]);
}

#[test]
fn without_findlib_the_compilers_own_libraries_are_found() {
    let mut fixture = Fixture::new(&[("prefix/lib/ocaml/str/META", "directory = \"+str\"")]);
    std::fs::remove_file(fixture.path("prefix/lib/findlib.conf")).unwrap();
    // Elsewhere on this machine there may be an ocamlfind.
    let programs = fixture.path("prefix/bin").display().to_string();
    fixture.set("PATH", &programs);
    assert_eq!(places(&fixture, &["str", "stdlib"]), ["str prefix/lib/ocaml/str", "stdlib prefix/lib/ocaml"]);
}

#[test]
fn rewriters_bring_what_they_are_made_of_and_what_they_need_at_run_time() {
    let fixture = Fixture::new(&[
        (
            "prefix/lib/show/META",
            "requires(ppx_driver) = \"api\"\nrequires(-ppx_driver) = \"runtime\"\nrequires(native) = \"never\"",
        ),
        ("prefix/lib/api/META", "requires(byte) = \"common\""),
        ("prefix/lib/runtime/META", "requires = \"common\""),
        ("prefix/lib/common/META", ""),
    ]);
    assert_eq!(closure(&fixture, &["show"]), ["common", "api", "runtime", "show"]);
}

#[test]
fn what_is_missing_is_named_with_who_wants_it_and_what_it_may_be() {
    let fixture = Fixture::new(&[
        ("prefix/lib/cmdliner/META", ""),
        ("prefix/lib/fmt/META", "package \"tty\" ( ) package \"cli\" ( requires = \"cmdlinr\" )"),
        ("prefix/lib/a/META", "requires = \"b\""),
        ("prefix/lib/b/META", "requires = \"c\""),
        ("prefix/lib/c/META", "requires = \"b\""),
        ("prefix/lib/broken/META", "requires = "),
    ]);
    let like = |name: &str| match fixture.make(&fixture.request(&[name])).unwrap_err() {
        crate::switch::SwitchError::Unknown { like, .. } => like,
        other => panic!("{other}"),
    };
    assert_eq!(like("cmdlinear").as_deref(), Some("cmdliner"));
    assert_eq!(like("fmt.tyy").as_deref(), Some("fmt.tty"));
    assert_eq!(like("nothing-like-it"), None);
    assert_eq!(
        fixture.refused(&["fmt.cli"]),
        "library `cmdlinr` is not installed, and `fmt.cli` requires it"
    );
    assert_eq!(fixture.refused(&["a"]), "libraries require one another: b → c → b");
    assert!(
        fixture
            .refused(&["broken"])
            .ends_with("line 1, column 12: expected a string, found the end of the file")
    );
    assert!(!fixture.path("html").exists());
}

#[test]
fn switches_are_found_by_name_and_by_directory() {
    let mut fixture = Fixture::new(&[("prefix/lib/x/META", "")]);
    std::fs::create_dir_all(fixture.path("prefix/.opam-switch")).unwrap();
    std::fs::create_dir_all(fixture.path("project")).unwrap();
    std::os::unix::fs::symlink(fixture.path("prefix"), fixture.path("project/_opam")).unwrap();
    let root = fixture.path("").display().to_string();
    fixture.set("OPAMROOT", &root);
    fixture.set("PATH", "/nonexistent");
    assert_eq!(fixture.refused(&["x"]), "there is no `ocamlc` on PATH");
    let found = |name: &str| {
        let request = crate::switch::Request { switch: Some(name.to_owned()), ..fixture.request(&["x"]) };
        fixture.make(&request).map(|report| report.libraries).map_err(|error| error.to_string())
    };
    assert_eq!(found("prefix"), Ok(2));
    assert_eq!(found(&fixture.path("project").display().to_string()), Ok(2));
    let said = "there is no such switch below opam's root, and no `opam` to ask";
    assert_eq!(found("none"), Err(format!("the opam switch `none` cannot be used: {said}")));
    // A switch that has no findlib of its own, and one that is not its own is in the way.
    fixture.write("usr/lib/findlib.conf", "path = \"/nonexistent\"");
    fixture.write("usr/bin/ocamlfind", "not a program");
    let system = fixture.path("usr/bin").display().to_string();
    fixture.set("PATH", &system);
    let request = crate::switch::Request { switch: Some("prefix".into()), ..fixture.request(&["x"]) };
    assert_eq!(fixture.make(&request).unwrap().libraries, 2);
    // What an outdated environment still tells.
    let prefix = fixture.path("prefix").display().to_string();
    fixture.set("OPAM_SWITCH_PREFIX", &prefix);
    assert_eq!(fixture.flat(&["x"]).libraries, 2);
}
