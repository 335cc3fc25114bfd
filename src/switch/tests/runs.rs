//! What is done again, and what is not.

use super::fixture::Fixture;
use crate::switch::{Request, SwitchError};

fn two() -> Fixture {
    Fixture::new(&[
        ("prefix/lib/a/META", "archive(byte) = \"a.cma\"\nrequires = \"b\""),
        ("prefix/lib/a/a.cma", "code of a"),
        ("prefix/lib/a/a.cmi", "a"),
        ("prefix/lib/b/META", "archive(byte) = \"b.cma\""),
        ("prefix/lib/b/b.cma", "code of b, longer than that of a"),
        ("prefix/lib/b/b.cmi", "b"),
    ])
}

/// Lets files become old enough that a look tells that they have not changed since.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(60));
}

#[test]
fn the_largest_archive_is_compiled_first_and_nothing_twice() {
    let fixture = two();
    settle();
    let first = fixture.flat(&["a"]);
    assert_eq!((first.ran, first.cached, first.is_unchanged), (4, 0, false));
    assert_eq!(fixture.compiled(), ["a.cma", "b.cma", "stdlib.cma"]);
    let second = fixture.flat(&["a"]);
    assert!(second.is_unchanged, "{second:?}");
    assert_eq!((second.libraries, second.archives, second.interfaces), (3, 3, 4));
    // Another request: all is known, and the directory is brought up to it.
    let third = fixture.flat(&["b"]);
    assert_eq!((third.cached, third.removed), (2, 4), "{third:?}");
    assert_eq!(fixture.compiled(), [""; 0]);
    assert!(!fixture.path("html/lib/a").exists());
}

#[test]
fn a_change_is_noticed_and_only_what_it_concerns_is_done() {
    let fixture = two();
    settle();
    fixture.flat(&["a"]);
    fixture.compiled();
    let change = |path: &str, text: &str| {
        fixture.write(path, text);
        settle();
        let report = fixture.flat(&["a"]);
        assert!(!report.is_unchanged, "{path}");
        (fixture.compiled().join(" "), report.written, report.removed)
    };
    assert_eq!(change("prefix/lib/a/a.cma", "new code of a"), ("a.cma".into(), 1, 0));
    assert_eq!(change("prefix/lib/a/a.cmi", "A"), (String::new(), 1, 0));
    // Rebuilt to the same bytes: nothing at all.
    assert_eq!(change("prefix/lib/b/b.cma", "code of b, longer than that of a"), (String::new(), 0, 0));
    // A new interface is described, too, and in a bundle, because there are two now.
    assert_eq!(change("prefix/lib/b/more.cmi", "more"), (String::new(), 3, 0));
    std::fs::remove_file(fixture.path("prefix/lib/b/more.cmi")).unwrap();
    settle();
    let report = fixture.flat(&["a"]);
    assert_eq!((report.written, report.removed), (1, 2));
    // What is in the way of a package now.
    assert_eq!(change("prefix/lib/b/META", "archive(byte) = \"b.cma\" # c"), (String::new(), 1, 0));
    // The output itself.
    fixture.write("html/lib/a/a.cmi", "damaged");
    assert_eq!(fixture.flat(&["a"]).written, 1);
    assert_eq!(fixture.text("html/lib/a/a.cmi"), "A");
    assert!(fixture.flat(&["a"]).is_unchanged);
    // A library that comes to be before the one that was found.
    let mut other = fixture;
    let mine = other.path("mine").display().to_string();
    other.set("OCAMLPATH", &mine);
    other.flat(&["a"]);
    settle();
    assert!(other.flat(&["a"]).is_unchanged);
    other.write("mine/b/META", "");
    assert!(!other.flat(&["a"]).is_unchanged);
}

#[test]
fn flags_runtime_files_and_the_compiler_are_part_of_what_is_known() {
    let fixture = two();
    fixture.flat(&["b"]);
    fixture.compiled();
    fixture.write("prefix/lib/b/b.js", "//Provides: caml_b\n");
    fixture.write("prefix/lib/b/META", "archive(byte) = \"b.cma\"\njsoo_runtime = \"b.js\"");
    fixture.flat(&["b"]);
    assert_eq!(fixture.compiled(), ["b.cma"]);
    // Another program under the same name.
    let path = fixture.path("prefix/bin/js_of_ocaml");
    let program = fixture.text("prefix/bin/js_of_ocaml");
    std::fs::remove_file(&path).unwrap();
    let other = fixture.path("other");
    std::fs::write(&other, program + "\n# newer\n").unwrap();
    let mut permissions = std::fs::metadata(&other).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&other, permissions).unwrap();
    std::fs::rename(&other, &path).unwrap();
    // The program was written by this process, whose other tests start programs: until they have let
    // go of it, it cannot be started.
    let report = loop {
        match fixture.make(&fixture.request(&["b"])) {
            Err(SwitchError::Start { source, .. })
                if source.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(report.cached, 0);
    assert_eq!(fixture.compiled(), ["b.cma", "stdlib.cma"]);
}

#[test]
fn a_damaged_cache_is_no_cache() {
    let fixture = two();
    fixture.flat(&["a"]);
    fixture.compiled();
    for path in fixture.listing("cache/1/files") {
        fixture.write(&format!("cache/1/files/{path}"), "damaged");
    }
    std::fs::remove_dir_all(fixture.path("html")).unwrap();
    fixture.flat(&["a"]);
    assert_eq!(fixture.compiled(), ["a.cma", "b.cma", "stdlib.cma"]);
    assert!(fixture.text("html/lib/a/a.cma.js").ends_with("code of a"));
    for path in fixture.listing("cache/1/runs") {
        fixture.write(&format!("cache/1/runs/{path}"), "damaged");
    }
    assert!(!fixture.flat(&["a"]).is_unchanged);
}

#[test]
fn a_program_that_fails_is_told_and_the_output_stays_as_it_was() {
    let fixture = two();
    fixture.flat(&["a"]);
    let before = fixture.listing("html");
    fixture.compiled();
    fixture.write("prefix/lib/a/a.cma", "FAIL");
    fixture.write("prefix/lib/b/b.cma", "another code of b");
    let error = fixture.make(&fixture.request(&["a"])).unwrap_err();
    let SwitchError::Compile(failed) = error else { panic!("{error}") };
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].label.as_str(), failed[0].status), ("a/a.cma", Some(2)));
    assert!(failed[0].said.starts_with("cannot read "), "{failed:?}");
    assert_eq!(fixture.listing("html"), before);
    assert!(fixture.text("html/lib/b/b.cma.js").ends_with("longer than that of a"));
    // What did not fail is kept.
    fixture.compiled();
    fixture.write("prefix/lib/a/a.cma", "mended");
    fixture.flat(&["a"]);
    assert_eq!(fixture.compiled(), ["a.cma"]);
}

#[test]
fn a_bug_of_the_compiler_costs_one_archive() {
    let fixture = two();
    fixture.write("prefix/lib/b/b.cma", "BUG");
    settle();
    for _ in 0..3 {
        let report = fixture.flat(&["a"]);
        assert_eq!(
            report.notes,
            ["library b: js_of_ocaml has a bug that `b.cma` brings out: Assertion failed"]
        );
    }
    assert!(!fixture.path("html/lib/b/b.cma.js").exists());
    assert!(fixture.path("html/lib/b/dynamic_cmis.json").exists());
}

#[test]
fn the_worker_needs_its_libraries_and_is_built_once() {
    let fixture = two();
    let with_worker = || Request { worker: true, ..fixture.request(&[]) };
    let error = fixture.make(&with_worker()).unwrap_err().to_string();
    assert_eq!(error, "library `js_of_ocaml` is not installed, and worker.js is made of it");
    fixture.write("prefix/lib/js_of_ocaml/META", "archive(byte) = \"js.cma\"");
    fixture.write("prefix/lib/js_of_ocaml/js.cma", "code");
    fixture.write(
        "prefix/lib/js_of_ocaml-compiler/META",
        "package \"dynlink\" ( requires = \"compiler-libs.toplevel\" )",
    );
    fixture.write(
        "prefix/lib/compiler-libs/META",
        "requires = \"\" package \"toplevel\" ( requires = \"parser\" )",
    );
    let error = fixture.make(&with_worker()).unwrap_err().to_string();
    let by = "(`compiler-libs.toplevel` requires it)";
    assert_eq!(error, format!("library `parser` is not installed, and worker.js is made of it {by}"));
    fixture.write("prefix/lib/parser/META", "");
    let report = fixture.make(&with_worker()).unwrap();
    assert_eq!(report.ran, 3, "the worker, the standard library, a question: {report:?}");
    let worker = fixture.text("html/worker.js");
    let flags = "--toplevel --no-cmis --effects=disabled -I . --file=mime_printer.cmi:/static/mime_printer.cmi \
                 +toplevel.js +dynlink.js\n";
    assert!(worker.starts_with(&format!("// {flags}")), "{worker}");
    let linked =
        format!("{}/js_of_ocaml/js.cma jtw_stdlib.ml jtw_config.ml", fixture.path("prefix/lib").display());
    assert!(worker.contains(&linked), "{worker}");
    assert!(fixture.text("html/findlib_index").contains(r#""worker_url":"worker.js""#));
    fixture.write("prefix/lib/parser/META", "# changed");
    assert_eq!(fixture.make(&with_worker()).unwrap().ran, 0);
}

#[test]
fn without_a_cache_everything_is_made_each_time() {
    let fixture = two();
    let run = || {
        let run = crate::switch::Run {
            environment: &fixture.environment,
            cache: None,
            jobs: 1,
            progress: &super::fixture::Silent,
        };
        crate::switch::make(&fixture.request(&["a"]), run).unwrap()
    };
    assert_eq!((run().ran, run().ran), (4, 4));
    assert_eq!(run().kept, fixture.listing("html").len());
    assert!(!fixture.path("cache").exists());
    // One at a time, the largest first.
    assert_eq!(fixture.text("prefix/compiled").lines().next(), Some("b.cma"));
}
