//! Publication into temporary directories, interrupted and not.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::jtw::fixture::Fixture;

const HASH: &str = "0123456789abcdef0123456789abcdef";

fn site(fixture: &Fixture, page: &str, universe: &str) -> Tree {
    let files = [
        (format!("compiler/5.4.1/{HASH}/worker.js"), "worker"),
        (format!("p/fmt/1/{HASH}/lib/fmt/META"), "meta"),
        ("p/fmt/1/findlib_index.json".to_owned(), universe),
        (format!("u/{universe}/findlib_index"), universe),
        ("index.html".to_owned(), page),
        (UNIVERSE.to_owned(), universe),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let tree = fixture.tree(&files);
    fixture.staging.publish(&tree).unwrap();
    tree
}

fn target(fixture: &Fixture) -> PathBuf {
    fixture.directory.path().join("sites/demo")
}

fn published(fixture: &Fixture, site: &Tree) -> Published {
    publish(&fixture.store, site, &target(fixture)).unwrap()
}

/// The directory's content without the files of publication itself.
fn shown(fixture: &Fixture) -> Tree {
    let mut tree = crate::store::staging::scan(&target(fixture)).unwrap();
    for own in [MARKER, LOCK] {
        tree.remove(&RelPath::parse(own).unwrap());
    }
    tree
}

#[test]
fn published_directory_is_the_site() {
    let fixture = Fixture::new();
    let site = site(&fixture, "page", "u1");
    let done = published(&fixture, &site);
    assert_eq!((done.added, done.kept, done.replaced), (3, 0, 3));
    assert_eq!(shown(&fixture), site);
    let worker = fs::metadata(target(&fixture).join(format!("compiler/5.4.1/{HASH}/worker.js"))).unwrap();
    assert_eq!(worker.nlink(), 1, "never a hard link into the store");
}

#[test]
fn publishing_again_changes_nothing() {
    let fixture = Fixture::new();
    let site = site(&fixture, "page", "u1");
    published(&fixture, &site);
    let time = || fs::metadata(target(&fixture).join("index.html")).unwrap().modified().unwrap();
    let before = time();
    let done = published(&fixture, &site);
    assert_eq!(done, Published { kept: 3, ..Published::default() });
    assert_eq!(time(), before);
}

#[test]
fn older_universes_stay_and_changing_files_are_replaced() {
    let fixture = Fixture::new();
    published(&fixture, &site(&fixture, "old page", "u1"));
    let done = published(&fixture, &site(&fixture, "new page", "u2"));
    assert_eq!((done.added, done.kept, done.replaced), (1, 2, 3));
    let read = |path: &str| fs::read_to_string(target(&fixture).join(path)).unwrap();
    assert_eq!(read("u/u1/findlib_index"), "u1");
    assert_eq!(read("u/u2/findlib_index"), "u2");
    assert_eq!((read("index.html"), read(UNIVERSE)), ("new page".into(), "u2".into()));
    let done = published(&fixture, &site(&fixture, "old page", "u1"));
    assert_eq!((done.added, done.replaced), (0, 3), "going back needs no copying");
}

#[test]
fn leftovers_of_an_interrupted_run_are_removed_and_its_work_is_kept() {
    let fixture = Fixture::new();
    let site = site(&fixture, "page", "u1");
    published(&fixture, &site);
    // As if it had been killed after placing one directory, while staging the next.
    let at = target(&fixture);
    fs::write(at.join(MARKER), format!("{MARKER_HEAD}\n")).unwrap();
    fs::remove_dir_all(at.join("u")).unwrap();
    fs::remove_file(at.join(UNIVERSE)).unwrap();
    fs::create_dir_all(at.join(DRAFTS).join("2/half")).unwrap();
    fs::write(at.join(DRAFTS).join("file"), "half").unwrap();
    let done = published(&fixture, &site);
    assert_eq!((done.added, done.kept, done.replaced), (1, 2, 1));
    assert_eq!(shown(&fixture), site);
}

#[test]
fn a_published_file_that_was_lost_is_put_back() {
    let fixture = Fixture::new();
    let site = site(&fixture, "page", "u1");
    published(&fixture, &site);
    fs::remove_file(target(&fixture).join("index.html")).unwrap();
    assert_eq!(published(&fixture, &site).replaced, 1);
    assert_eq!(shown(&fixture), site);
}

/// A page of this text with variants that say which page they are of, as far as `variants` names them.
fn page_with(fixture: &Fixture, page: &str, variants: &[&str]) -> Tree {
    let mut files = vec![("index.html".to_owned(), page.to_owned()), (UNIVERSE.to_owned(), page.to_owned())];
    for variant in variants {
        files.push((format!("index.html{variant}"), format!("{page}{variant}")));
        files.push((format!("{UNIVERSE}{variant}"), format!("{page}{variant}")));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let tree = fixture.tree(&files);
    fixture.staging.publish(&tree).unwrap();
    tree
}

#[test]
fn variants_are_published_and_none_outlives_its_file() {
    let fixture = Fixture::new();
    let both = page_with(&fixture, "one", &[".br", ".gz"]);
    assert_eq!(published(&fixture, &both).replaced, 6);
    assert_eq!(shown(&fixture), both);
    assert_eq!(published(&fixture, &both), Published::default());
    // The next page is too small for one of them, or the universe wants none any more.
    let fewer = page_with(&fixture, "two", &[".gz"]);
    published(&fixture, &fewer);
    assert_eq!(shown(&fixture), fewer);
    let none = page_with(&fixture, "three", &[]);
    published(&fixture, &none);
    assert_eq!(shown(&fixture), none);
    // Variants of a file that stays are right, and stay.
    published(&fixture, &page_with(&fixture, "three", &[".br"]));
    published(&fixture, &none);
    assert_eq!(shown(&fixture), page_with(&fixture, "three", &[".br"]));
}

#[test]
fn a_hashed_directory_that_is_there_gets_no_variants_later() {
    let fixture = Fixture::new();
    let plain = site(&fixture, "page", "u1");
    published(&fixture, &plain);
    let mut with = plain.clone();
    let at = RelPath::parse(format!("compiler/5.4.1/{HASH}/worker.js.br")).unwrap();
    with.insert(&at, Node::File(fixture.add("brotli"))).unwrap();
    fixture.staging.publish(&with).unwrap();
    assert_eq!(published(&fixture, &with).kept, 3);
    assert_eq!(shown(&fixture), plain, "what is below a hash never changes");
}

#[test]
fn files_come_before_their_variants_and_the_list_of_packages_comes_last() {
    let fixture = Fixture::new();
    let tree = page_with(&fixture, "one", &[".br", ".gz"]);
    let parts = Parts::of(&tree).unwrap();
    let order: Vec<String> = parts.mutable.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(
        order,
        [
            "index.html",
            "index.html.br",
            "index.html.gz",
            "universe.json",
            "universe.json.br",
            "universe.json.gz"
        ]
    );
}

#[test]
fn directories_of_other_people_are_left_alone() {
    let fixture = Fixture::new();
    let site = site(&fixture, "page", "u1");
    let at = target(&fixture);
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("thesis.tex"), "years of work").unwrap();
    let refused = || publish(&fixture.store, &site, &at).unwrap_err();
    assert!(matches!(refused(), PublishError::NotOurs(_)));
    fs::write(at.join(MARKER), "something else\n").unwrap();
    assert!(matches!(refused(), PublishError::NotOurs(_)));
    fs::remove_dir_all(&at).unwrap();
    fs::write(&at, "a file").unwrap();
    assert!(matches!(refused(), PublishError::NotADirectory(_)));
    assert_eq!(fs::read_to_string(&at).unwrap(), "a file");
}

#[test]
fn links_are_neither_published_nor_followed() {
    let fixture = Fixture::new();
    let mut linked = site(&fixture, "page", "u1");
    let link = Node::Link(crate::store::tree::LinkTarget::new(b"/etc").unwrap());
    linked.insert(&RelPath::parse(format!("p/fmt/1/{HASH}/lib/etc")).unwrap(), link).unwrap();
    let error = publish(&fixture.store, &linked, &target(&fixture)).unwrap_err();
    assert_eq!(error.to_string(), format!("the site holds a link, `p/fmt/1/{HASH}/lib/etc`"));

    let elsewhere = fixture.directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, target(&fixture).join("p")).unwrap();
    let error = publish(&fixture.store, &site(&fixture, "page", "u1"), &target(&fixture)).unwrap_err();
    assert!(matches!(error, PublishError::NotADirectory(_)), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}
