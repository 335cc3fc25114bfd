//! Compiled interfaces of OCaml packages, which `diff` reads.

use jtwbuild::ocaml::Interface;
use jtwbuild::ocaml::changes::compare;

use super::{Target, fuzz};

/// Behind the magic word and the header of the first value.
const VALUES: usize = 32;

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
        words: &[
            b"Caml1999I036",
            b"Caml1999I035",
            b"\x84\x95\xa6\xbe",
            b"\x84\x95\xa6\xbf",
            b"\x84\x95\xa6\xbd",
            b"\x04\x01",
            b"\x05\x00\x10",
            b"\xa0\xa0",
            b"\x08\x00\x00\x0c\x00",
        ],
        // Other values in place of some, so that lengths stay right: references lead elsewhere, and
        // constructors become others.
        special: Some(&|input, random| {
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
        }),
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
