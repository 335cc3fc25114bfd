//! Compiled files of OCaml packages, which `diff` and `audit` read.

use jtwbuild::explain::{Format, explain};
use jtwbuild::ocaml::Interface;
use jtwbuild::ocaml::changes::compare;

use super::super::random::Random;
use super::{Target, fuzz};

/// Behind the magic word and the header of the first value.
const VALUES: usize = 32;

const WORDS: &[&[u8]] = &[
    b"Caml1999I036",
    b"Caml1999I035",
    b"\x84\x95\xa6\xbe",
    b"\x84\x95\xa6\xbf",
    b"\x84\x95\xa6\xbd",
    b"\x04\x01",
    b"\x05\x00\x10",
    b"\xa0\xa0",
    b"\x08\x00\x00\x0c\x00",
];

/// Other values in place of some, so that lengths stay right: references lead elsewhere, and
/// constructors become others.
fn other_values(input: &mut [u8], random: &mut Random) {
    if input.len() <= VALUES {
        return;
    }
    for _ in 0..=random.below(4) {
        let at = VALUES + random.below(input.len() - VALUES);
        input[at] = if random.once_in(2) {
            random.byte()
        } else {
            input[VALUES + random.below(input.len() - VALUES)]
        };
    }
}

#[test]
fn compiled_interfaces() {
    let fixture = |version: &str| {
        let root = env!("CARGO_MANIFEST_DIR");
        std::fs::read(format!("{root}/tests/fixtures/cmi/{version}/shapes.cmi")).unwrap()
    };
    fuzz(Target {
        name: "interface",
        usual: 3000,
        seeds: vec![fixture("before"), fixture("after")],
        words: WORDS,
        special: Some(&|input, random| other_values(input, random)),
        run: &mut |input| match Interface::read(input) {
            Ok(interface) => {
                assert!(interface.items.iter().all(|item| !item.text.is_empty()));
                assert_eq!(compare(&interface, &interface), []);
                format!("read: {} items", if interface.items.len() > 100 { "many" } else { "few" })
            }
            Err(error) => error.to_string(),
        },
    });
}

#[test]
fn compiled_files() {
    let root = env!("CARGO_MANIFEST_DIR");
    let fixture = |version: &str, name: &str| {
        std::fs::read(format!("{root}/tests/fixtures/ocaml/{version}/one/{name}")).unwrap()
    };
    // Those of 5.3 are compressed.
    let versions = ["5.4", "5.3"].into_iter();
    let names = [
        "shape.cmi",
        "shape.cmo",
        "shape.cmt",
        "shape.cmti",
        "shape.cmx",
        "shapes.cma",
        "shapes.cmxa",
        "program",
    ];
    let seeds: Vec<Vec<u8>> = versions.flat_map(|version| names.map(|name| fixture(version, name))).collect();
    let before = seeds.clone();
    fuzz(Target {
        name: "compiled",
        usual: 2000,
        seeds,
        words: WORDS,
        special: Some(&|input, random| other_values(input, random)),
        run: &mut |input| {
            // With the file that it is most like, in both directions.
            let common = |seed: &Vec<u8>| seed.iter().zip(input).filter(|(one, other)| one == other).count();
            let seed = before.iter().max_by_key(|seed| common(seed)).unwrap();
            assert_eq!(explain("x", input, input), None);
            let (Some(told), Some(turned)) = (explain("x", seed, input), explain("x", input, seed)) else {
                assert_eq!(seed, input);
                return "equal".into();
            };
            assert_eq!((told.offset, told.format), (turned.offset, turned.format));
            assert_eq!(told.findings.is_empty(), told.format == Format::Bytes);
            let size = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            for finding in told.findings.iter().chain(&turned.findings) {
                assert!(!finding.place.is_empty(), "{finding:?}");
                assert!(finding.note.is_some() || finding.before != finding.after, "{finding:?}");
                let length = finding.place.concat().len()
                    + [&finding.note, &finding.before, &finding.after].map(size).iter().sum::<usize>();
                assert!(length < 10_000, "{finding:?}");
            }
            told.findings
                .first()
                .map_or("bytes".into(), |finding| format!("{:?} {:?}", finding.place, finding.note))
        },
    });
}
