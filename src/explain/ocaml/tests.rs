//! Pairs of files that OCaml 5.4.1 and 5.3.0 wrote, each differing in one known way
//! (tests/fixtures/ocaml/make.sh).

use super::*;
use crate::explain::explain;

fn of_version(version: &str, variant: &str, name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/tests/fixtures/ocaml/{version}/{variant}/{name}")).unwrap()
}

fn file(variant: &str, name: &str) -> Vec<u8> {
    of_version("5.4", variant, name)
}

/// The findings, one a line: place, what is said, before → after.
fn told(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mut line = finding.place.join(", ");
        if let Some(note) = &finding.note {
            line.push_str(&format!(" [{note}]"));
        }
        match (&finding.before, &finding.after) {
            (None, None) => {}
            (before, after) => {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
                line.push_str(&format!(": {} → {}", side(before), side(after)));
            }
        }
        line + "\n"
    };
    findings.iter().map(line).collect()
}

fn compared(name: &str, before: &str, after: &str) -> String {
    let explanation = explain(name, &file(before, name), &file(after, name)).unwrap();
    assert_eq!(explanation.format, Format::Ocaml, "{name} of {after}");
    assert!(!explanation.findings.is_empty(), "{name} of {after}");
    told(&explanation.findings)
}

#[test]
fn a_file_made_in_another_directory_says_which() {
    let directories = "/tmp/jtwbuild-ocaml-fixtures/one → /tmp/jtwbuild-ocaml-fixtures/two\n";
    assert_eq!(compared("shape.cmo", "one", "two"), format!("debug information, directories: {directories}"));
    assert_eq!(compared("shape.cmt", "one", "two"), format!("build directory: {directories}"));
    assert_eq!(compared("shape.cmti", "one", "two"), format!("build directory: {directories}"));
    // Interfaces do not know where they were made.
    assert_eq!(file("one", "shape.cmi"), file("two", "shape.cmi"));
}

/// All files that are there in two variants, of which `one` is the first: names, and the other variants.
fn pairs() -> Vec<(String, String)> {
    let root = format!("{}/tests/fixtures/ocaml/5.4", env!("CARGO_MANIFEST_DIR"));
    let entries = |path: &str| {
        let entries = std::fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let variants = entries(&root).into_iter().filter(|variant| variant != "one");
    let files = |variant: String| {
        let names = entries(&format!("{root}/{variant}"));
        names.into_iter().map(move |name| (name, variant.clone()))
    };
    variants.flat_map(files).collect()
}

/// What is told without what is of the compiler's own making: digests, how it numbers types, how many places
/// a typed tree has, how long debug information is.
fn without_numbers(told: &str) -> String {
    const OWN: [&str; 3] =
        ["[in all, ", "[number that the compiler gave]", "[only one of them was made with"];
    let is_digest = |word: &str| word.len() == 32 && word.chars().all(|one| one.is_ascii_hexdigit());
    let line = |line: &str| {
        if OWN.iter().any(|own| line.contains(own)) {
            return line.replace(|one: char| one.is_ascii_digit(), "");
        }
        let words = line.split(' ').map(|word| if is_digest(word) { "digest" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    told.lines().map(|one| line(one) + "\n").collect()
}

#[test]
fn files_of_both_versions_of_the_compiler_differ_in_the_same_ways() {
    let pairs = pairs();
    assert!(pairs.len() > 20, "{pairs:?}");
    for (name, variant) in pairs {
        let told = |version| {
            let (one, other) = (of_version(version, "one", &name), of_version(version, &variant, &name));
            let Some(explanation) = explain(&name, &one, &other) else { return "equal".to_owned() };
            assert_eq!(explanation.format, Format::Ocaml, "{version}: {name} of {variant}");
            without_numbers(&told(&explanation.findings))
        };
        assert_eq!(told("5.3"), told("5.4"), "{name} of {variant}");
    }
}

#[test]
fn files_of_two_versions_of_the_compiler_are_told_apart_by_their_magic_words() {
    for (name, letter) in [
        ("shape.cmi", 'I'),
        ("shape.cmo", 'O'),
        ("shapes.cma", 'A'),
        ("shape.cmx", 'Y'),
        ("shapes.cmxa", 'Z'),
    ] {
        let (one, other) = (of_version("5.3", "one", name), of_version("5.4", "one", name));
        let words = format!("magic word: Caml1999{letter}035 → Caml1999{letter}036\n");
        let told = told(&explain(name, &one, &other).unwrap().findings);
        assert!(told.starts_with(&words), "{told}");
    }
    let (one, other) = (of_version("5.3", "one", "program"), of_version("5.4", "one", "program"));
    let told = told(&explain("program", &one, &other).unwrap().findings);
    assert!(told.starts_with("magic word: Caml1999X035 → Caml1999X036\n"), "{told}");
}

#[test]
fn versions_that_are_not_read_are_told_as_that() {
    let of_version = |name: &str, number: &[u8; 3]| {
        let mut bytes = file("one", name);
        let at = if name == "program" { bytes.len() - 3 } else { MAGIC_LENGTH - 3 };
        bytes[at..at + 3].copy_from_slice(number);
        bytes
    };
    for (name, letter) in [("shape.cmi", 'I'), ("shape.cmt", 'T'), ("shapes.cma", 'A'), ("program", 'X')] {
        let (one, mut later) = (file("one", name), of_version(name, b"099"));
        let expected = format!(
            "magic word [not both are of a version of OCaml whose files are read]: \
             Caml1999{letter}036 → Caml1999{letter}099\n"
        );
        assert_eq!(told(&explain(name, &one, &later).unwrap().findings), expected);
        let another = later.clone();
        later[20] ^= 1;
        let expected =
            format!("magic word [`Caml1999{letter}099`: a version of OCaml whose files are not read]\n");
        assert_eq!(told(&explain(name, &another, &later).unwrap().findings), expected);
    }
    // Another kind of file is another thing altogether.
    let (one, later) = (file("one", "shape.cmo"), of_version("shape.cmi", b"099"));
    assert_eq!(explain("x", &one, &later).unwrap().format, Format::Bytes);
}

#[test]
fn options_of_compilers_and_linkers_are_told_by_their_names() {
    assert_eq!(compared("shape.cmo", "one", "force"), "force link: no → yes\n");
    assert_eq!(compared("shape.cmt", "one", "force"), "compiler arguments: - → -linkall\n");
    let expected = "\
custom mode: no → yes
extra C objects: - → -lm
extra C options: - → -L/tmp/there
shared libraries: - → dllshape
";
    assert_eq!(compared("shapes.cma", "one", "options"), expected);
    let expected = "\
extra C objects: - → -lm
extra C options: - → -L/tmp/there
";
    assert_eq!(compared("shapes.cmxa", "one", "library"), expected);
    let expected = "\
code [from byte 76 on]: 140 bytes: 63000000000000006300000037000000… → 128 bytes: 00000000370000000000000000000000…
debug information [only one of them was made with `-g`]: 2999 bytes → none
";
    assert_eq!(compared("shape.cmo", "one", "plain"), expected);
}

#[test]
fn units_of_a_library_in_another_order_are_no_other_units() {
    let expected = "units [the same in another order]: Dep Shape Other → Other Dep Shape\n";
    assert_eq!(compared("shapes.cma", "one", "library"), expected);
}

#[test]
fn declarations_that_differ_are_told_as_in_an_interface() {
    let expected = "\
value sides: - → val sides : int
value name: val name : string → val name : bool
digest of the interface Shape: fa43f8198427e2b655b3f881a68f088c → ce4e2a2d1d5fe201dd13555fcbd9e980
";
    assert_eq!(compared("shape.cmi", "one", "value"), expected);
    let expected = "\
value sides: val sides : int → -
value name: val name : bool → val name : string
";
    let turned = compared("shape.cmi", "value", "one");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert!(lines(&turned).is_superset(&lines(expected)), "{turned}");
}

#[test]
fn a_dependency_that_changed_is_told_wherever_its_digest_is() {
    let dep = "imported interface Dep: 51e7b4910ccbd7ff888f8b68fc3801f4 → 43b548d79cc88e63b0b3d1f85bc044a2\n";
    let own = "fa43f8198427e2b655b3f881a68f088c → 17afa961441164b2cfa7a7cbd77f3d2f\n";
    let expected = format!(
        "{dep}digest of the interface Shape: {own}\
interface, field 1.0×2 [number that the compiler gave]: area/9 → area/10
interface, field 1×2.0×2 [number that the compiler gave]: name/10 → name/11
interface [in all, 3 numbers that the compiler gave differ]
"
    );
    assert_eq!(compared("shape.cmi", "one", "import"), expected);
    let expected = format!(
        "{dep}imported interface Shape: {own}\
imported implementation Dep: ef3b668cfef37a6f6c81c92bc2686fdd → 419dcede16c13c940a1e46d18187aed8
digest of the implementation: 162ee6d8cf4534d2b8321563e8b7e29c → ff9119c542611343470f37f4835defb8
"
    );
    assert_eq!(compared("shape.cmx", "one", "import"), expected);
    let library = compared("shapes.cmxa", "one", "import");
    assert!(library.contains("imported interface Dep [also in unit Shape]"), "{library}");
    assert!(!library.contains("unit Other"), "{library}");
    let unit = compared("shape.cmo", "one", "import");
    assert!(unit.starts_with(&format!("{dep}imported interface Shape: {own}")), "{unit}");
    assert!(!unit.contains("\ncode"), "{unit}");
}

#[test]
fn places_in_sources_are_told_apart_from_what_is_declared() {
    let expected = "\
interface [offers the same: comments, places in sources, or what nobody sees differ]
digest of the interface Shape: fa43f8198427e2b655b3f881a68f088c → 017173625422ca1cd04977d894547096
interface, field 1.0.1.2.0 [place in a source]: shape.mli:2:0 → shape.mli:3:0
interface, field 1.0.1.2.1 [place in a source]: shape.mli:2:21 → shape.mli:3:21
interface [in all, 6 places in sources differ]
";
    assert_eq!(compared("shape.cmi", "one", "place"), expected);
    let expected = "\
comments: - →  moved\x20
digest of the source: a313ae58e5c334b1d086a566ab355106 → 4b0dae25ae140cf5f63177db99ecaf35
imported interface Shape: fa43f8198427e2b655b3f881a68f088c → 017173625422ca1cd04977d894547096
typed tree, field 0×5.1×2.0 [place in a source]: shape.ml:1:9 → shape.ml:2:9
typed tree, field 0×5.1×3 [place in a source]: shape.ml:1:15 → shape.ml:2:15
typed tree [in all, 71 places in sources differ]
";
    assert_eq!(compared("shape.cmt", "one", "place"), expected);
    // Where only bytes before the line differ, the byte is said.
    let comment = compared("shape.cmi", "one", "comment");
    assert!(comment.contains("shape.mli:2:0 (byte 47) → shape.mli:2:0 (byte 39)"), "{comment}");
}

#[test]
fn comments_and_constants_are_told_as_strings() {
    let comment = compared("shape.cmti", "one", "comment");
    let text = ":  The area of a square, in square metres.  →  The area of a square, in acres. \n";
    assert!(comment.contains(text), "{comment}");
    let constant = compared("shape.cmo", "one", "constant");
    assert!(constant.starts_with("constants, field 0: square → made on 2026-11-30\n"), "{constant}");
}

#[test]
fn a_program_says_which_section_differs_and_what_in_it() {
    assert_eq!(compared("program", "one", "constant"), "section DATA, field 13: hello → goodbye\n");
    // Another launcher, which is not the same length.
    let (one, mut other) = (file("one", "program"), b"#!/opt/bin/ocamlrun\n".to_vec());
    let end = one.iter().position(|byte| *byte == b'\n').unwrap();
    other.extend(&one[end + 1..]);
    let findings = explain("program", &one, &other).unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].place, ["launcher"]);
    assert_eq!(findings[0].note.as_deref(), Some("from byte 3 on"));
}

#[test]
fn a_difference_that_is_none_of_values_is_told_as_that() {
    // The same interface, its second value written as uncompressed data of the large kind.
    let one = file("one", "shape.cmi");
    let header = 0x8495_a6be_u32.to_be_bytes();
    let at = one.windows(4).rposition(|four| four == header).unwrap();
    let length = u32::from_be_bytes(*one[at + 4..].first_chunk::<4>().unwrap());
    let mut other = one[..at].to_vec();
    other.extend(0x8495_a6bf_u32.to_be_bytes());
    other.extend([0; 4]);
    other.extend(u64::from(length).to_be_bytes());
    other.extend([0; 16]);
    other.extend(&one[at + 20..]);
    let findings = explain("shape.cmi", &one, &other).unwrap().findings;
    assert_eq!(told(&findings), "file [the same values, written in another way]\n");
}

#[test]
fn files_that_are_not_known_are_compared_by_their_bytes() {
    let format = |one: &[u8], other: &[u8]| explain("shape.cmo", one, other).unwrap().format;
    let (one, other) = (file("one", "shape.cmo"), file("force", "shape.cmo"));
    assert_eq!(format(&one, &other), Format::Ocaml);
    assert_eq!(format(&one, &file("one", "shape.cmi")), Format::Bytes);
    for cut in [0, 5, 12, 14, 16, 100, other.len() - 1] {
        assert_eq!(format(&one, &other[..cut]), Format::Bytes, "cut to {cut} bytes");
    }
}

#[test]
fn parts_of_units_that_are_not_in_the_file_are_refused() {
    // The descriptor's place leads out of the file, and into the code.
    let one = file("one", "shape.cmo");
    for at in [u32::MAX, 16] {
        let mut other = one.clone();
        other[12..16].copy_from_slice(&at.to_be_bytes());
        assert_eq!(explain("shape.cmo", &one, &other).unwrap().format, Format::Bytes, "{at}");
    }
    // A program that says to have more sections than there are bytes.
    let one = file("one", "program");
    let mut other = one.clone();
    let at = one.len() - 16;
    other[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(explain("program", &one, &other).unwrap().format, Format::Bytes);
}

#[test]
fn any_change_of_a_byte_gives_an_explanation_of_bounded_size() {
    const FILES: [&str; 6] =
        ["shape.cmi", "shape.cmo", "shape.cmt", "shape.cmti", "shapes.cma", "shapes.cmxa"];
    for name in FILES {
        let one = file("one", name);
        let step = one.len() / 100 + 1;
        for at in (0..one.len()).step_by(step) {
            for change in [1, 0x40, 0xff] {
                let mut other = one.clone();
                other[at] ^= change;
                let told_of = told(&explain(name, &one, &other).unwrap().findings);
                assert!(told_of.len() < 100_000, "{name}: byte {at}");
            }
        }
    }
}

#[test]
fn long_strings_are_shown_around_where_they_differ() {
    let (one, other) = ("a".repeat(500) + "b", "a".repeat(500) + "c");
    let (one, other) = words::strings(one.as_bytes(), other.as_bytes());
    assert_eq!(one, format!("…{}b", "a".repeat(80)));
    assert_eq!(other, format!("…{}c", "a".repeat(80)));
    let long = "é".repeat(300);
    assert_eq!(words::string(long.as_bytes()), format!("{}…", "é".repeat(100)));
    assert_eq!(words::string(&[0xff; 16]), "ff".repeat(16));
    assert_eq!(words::string(b"two\nlines"), "two\\nlines");
}

#[test]
fn circles_and_parts_that_are_shared_end() {
    use crate::ocaml::marshal::Heap;
    use walk::Walk;
    let heap = |data: &[u8]| {
        let mut bytes = 0x8495_a6be_u32.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(data);
        Heap::read(&bytes).unwrap().0
    };
    let supply = Supply::new();
    let walked = |one: &[u8], other: &[u8]| {
        let (one, other) = (heap(one), heap(other));
        told(&Walk::new(&one, &other, &supply).compare(one.root(), other.root(), &["x".into()]))
    };
    // A list whose rest is itself, and one that is itself after two.
    assert_eq!(
        walked(&[0xa0, 0x41, 0x04, 0x01], &[0xa0, 0x41, 0xa0, 0x42, 0x04, 0x02]),
        "x, field 1.0: 1 → 2\n"
    );
    // Pairs of what is before, many times over: as a tree it would have 2^200 leaves.
    let mut deep = vec![0xa0; 200];
    deep.extend([0x21, b'a']);
    deep.extend((0..200).flat_map(|depth| [0x04, u8::try_from(depth + 1).unwrap()]));
    let mut other = deep.clone();
    other[201] = b'b';
    assert_eq!(walked(&deep, &other), "x, field 0×200: a → b\n");
    // A list that ends, and one that does not.
    assert_eq!(walked(&[0x40], &[0xa0, 0x41, 0xa0, 0x42, 0x40]), "x: nothing → 2 elements more\n");
    assert_eq!(walked(&[0x40], &[0xa0, 0x41, 0x04, 0x01]), "x: 0 → a block of 2 fields (tag 0)\n");
}

#[test]
fn what_leads_to_more_pairs_than_are_compared_is_told_as_that() {
    use crate::ocaml::marshal::Heap;
    use walk::Walk;
    // A block of many cells that all lead to each other: every pair of the two heaps is a pair.
    let ring = |count: u32| {
        let mut data = Vec::new();
        for _ in 0..count {
            data.extend([0xa0, 0x41]);
        }
        data.push(0x06);
        data.extend(count.to_be_bytes());
        let mut bytes = 0x8495_a6be_u32.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(data);
        Heap::read(&bytes).unwrap().0
    };
    // Lengths without a common divisor: both begin anew together after two million steps.
    let (one, other) = (ring(1409), ring(1423));
    let supply = Supply::new();
    let found = Walk::new(&one, &other, &supply).compare(one.root(), other.root(), &["x".into()]);
    assert_eq!(told(&found), "x [larger than what is compared; so far nothing differs]\n");
}
