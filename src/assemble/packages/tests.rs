//! Lists of packages of tiny sites, some with hostile texts in them.

use super::*;
use crate::assemble::tests::{assembled, layer, library, member};
use crate::assemble::{Member, PACKAGES, Site};
use crate::jtw::fixture::Fixture;

fn text_of(fixture: &Fixture, site: &Site) -> String {
    fixture.text(&site.tree, &format!("{}/{PACKAGES}", site.universe))
}

fn read(fixture: &Fixture, site: &Site) -> Vec<PackageLine> {
    serde_json::from_str::<Packages>(&text_of(fixture, site)).unwrap().packages
}

/// A layer with a META that can be read, and some more interfaces.
fn described(fixture: &Fixture, name: &str, meta: &str, library: LibraryRecord) -> Tree {
    let mut tree = layer(fixture, name, library);
    let at = |file: &str| path(&format!("lib/{name}/{file}")).unwrap();
    tree.replace(&at("META"), Node::File(fixture.add(meta))).unwrap();
    for hidden in ["a__b.cmi", "sub/c.cmi"] {
        tree.insert(&at(hidden), Node::File(fixture.add("hidden"))).unwrap();
    }
    tree
}

#[test]
fn the_file_says_what_a_browser_of_packages_shows() {
    let fixture = Fixture::new();
    let meta = "description = \"Pretty\\\\ printing\"\npackage \"tty\" (description = \"x\")";
    let fmt = described(&fixture, "fmt", meta, library("fmt", &["seq", "stdlib"], &[], &["caml_x"]));
    let seq = layer(&fixture, "seq", library("seq", &[], &[], &[]));
    let target = Member {
        homepage: Some("https://example.org/fmt?a=1&b=2"),
        license: Some("ISC"),
        ..member("fmt", &fmt, true)
    };
    let site = assembled(&fixture, &[member("seq", &seq, false), target]).unwrap();
    let pretty: serde_json::Value = serde_json::from_str(&text_of(&fixture, &site)).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&pretty).unwrap());
    for package in read(&fixture, &site) {
        let lib = package.lib.strip_prefix("../../").unwrap().to_owned();
        for archive in package.libraries.iter().flat_map(|library| &library.archives) {
            assert_eq!(fixture.text(&site.tree, &format!("{lib}/{}", archive.path)).len(), 4);
        }
    }
}

#[test]
fn what_is_said_of_packages_is_part_of_the_universe_s_address_and_of_no_other() {
    let fixture = Fixture::new();
    let fmt = layer(&fixture, "fmt", library("fmt", &[], &[], &[]));
    let one = assembled(&fixture, &[member("fmt", &fmt, true)]).unwrap();
    let other = Member { description: "said in other words", ..member("fmt", &fmt, true) };
    let other = assembled(&fixture, &[other]).unwrap();
    // A published universe's directory is never written again.
    assert_ne!(one.universe, other.universe);
    assert_eq!(one.summary.packages[0].content_hash, other.summary.packages[0].content_hash);
    assert_eq!(one.summary.compiler, other.summary.compiler);
}

#[test]
fn hostile_texts_are_one_line_each_and_could_stand_in_a_page() {
    let fixture = Fixture::new();
    let hostile = "</script><img src=x onerror=alert(1)>\"'`\u{2028}\u{2029}\u{0}\u{1b}\u{202e}]]>--&lt;\n";
    let long = hostile.repeat(10_000);
    let giant = "g".repeat(10_000);
    let meta = format!("description = \"{}\"", hostile.replace('"', "\\\"").replace('\u{0}', ""));
    let mut record = library("one", &[&giant, "one.x"], &[], &["p</script>", &giant]);
    record.archives.push("../outside".into());
    let one = described(&fixture, "one", &meta, record);
    let two = layer(&fixture, "two", library(&giant, &[], &[], &[]));
    let bad = Member {
        description: &long,
        license: Some(&long),
        homepage: Some("javascript:alert(1)"),
        ..member("one", &one, true)
    };
    let site = assembled(&fixture, &[bad, member("two", &two, false)]).unwrap();
    let text = text_of(&fixture, &site);
    assert!(text.len() < 5000, "{}", text.len());
    let odd = |one: char| matches!(one, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || one.is_control();
    assert!(!text.contains(odd), "{text}");
    let packages = read(&fixture, &site);
    let shown = "</script><img src=x onerror=alert(1)>\"'` ]]>--&lt;";
    assert!(packages[0].description.starts_with(&format!("{shown} {shown} <")));
    assert!(packages[0].description.ends_with('…'));
    assert_eq!(packages[0].description.chars().count(), LONGEST_LINE + 1);
    assert_eq!(packages[0].homepage, None);
    let library = &packages[0].libraries[0];
    assert_eq!(library.description, shown);
    assert_eq!((library.requires.len(), library.archives.len()), (1, 1));
    assert_eq!(library.missing_primitives, ["p</script>"]);
    assert_eq!(packages[1].libraries, []);
}

#[test]
fn addresses_are_those_of_web_pages() {
    for good in ["https://example.org/a?b=c&d#e", " http://x "] {
        assert_eq!(address(good).as_deref(), Some(good.trim()));
    }
    let long = format!("https://{}", "x".repeat(LONGEST_ADDRESS));
    for bad in
        ["", "https://", "javascript:alert(1)", "//x", "data:text/html,x", "https://a b", "https://é", &long]
    {
        assert_eq!(address(bad), None, "{bad}");
    }
}

#[test]
fn lines_end_where_they_are_too_long() {
    assert_eq!(line("  a \t\r\n b\u{0}\u{202e}c\u{2028} "), "a b c");
    assert_eq!(line(&"é".repeat(LONGEST_LINE)), "é".repeat(LONGEST_LINE));
    assert_eq!(line(&"é".repeat(LONGEST_LINE + 1)), format!("{}…", "é".repeat(LONGEST_LINE)));
}
