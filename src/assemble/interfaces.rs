//! Whether packages were compiled with the OCaml that the worker is made of: a toplevel refuses
//! interfaces that were compiled against another standard library, and only when they are used.

use crate::store::staging::Staging;
use crate::store::tree::{Node, Tree};

use super::{AssembleError, Placed, path};

/// The standard library's interface among the tools.
const STDLIB: &str = "lib/ocaml/stdlib.cmi";

/// How `("Stdlib", Some "<16 bytes>")` begins in OCaml's marshalled form: a short string, a block of
/// one field, a string of 16 bytes. A compiled interface ends with a list of such pairs, one for every
/// interface that it was compiled against and, first, itself; that list is not compressed.
const MARK: &[u8] = b"\x26Stdlib\x90\x30";

/// MD5 of an interface, as the OCaml compiler writes it.
type Digest = [u8; 16];

/// Interfaces of one package that are looked at: most refer to the standard library, but those that
/// only give other modules their short names do not.
const MAX_LOOKED_AT: usize = 20;

/// The digest of the standard library's interface that a compiled interface was compiled against.
fn stdlib_digest(interface: &[u8]) -> Option<Digest> {
    let at = interface.windows(MARK.len()).rposition(|window| window == MARK)?;
    interface[at + MARK.len()..].first_chunk().copied()
}

/// Looks at interfaces of every member until one of them refers to the standard library.
///
/// # Errors
/// [`AssembleError::OtherCompiler`] when that is not the one among the tools.
pub(super) fn check(tools: &Tree, placed: &[Placed<'_>], staging: &Staging) -> Result<(), AssembleError> {
    let own = match tools.get(&path(STDLIB)?) {
        Some(Node::File(file)) => stdlib_digest(&staging.read(file)?),
        _ => None,
    };
    // Tools of somebody else's may have no such file.
    let Some(own) = own else { return Ok(()) };
    for one in placed {
        let files = one.member.layer.files();
        let interfaces = files.iter().filter(|(at, _)| {
            at.file_name().and_then(|name| name.as_str()).is_some_and(|name| name.ends_with(".cmi"))
        });
        for (at, file) in interfaces.take(MAX_LOOKED_AT) {
            match stdlib_digest(&staging.read(file)?) {
                Some(digest) if digest == own => break,
                Some(_) => {
                    let package = format!("{}.{}", one.member.name, one.member.version);
                    return Err(AssembleError::OtherCompiler { package, path: at.to_string() });
                }
                None => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::tests::{assembled_with, layer, library, member};
    use crate::jtw::fixture::Fixture;
    use crate::jtw::tools_layer;
    use crate::store::tree::File;

    /// What is at the end of an interface that was compiled against this standard library.
    fn interface(stdlib: u8) -> Vec<u8> {
        let mut bytes = b"Caml1999I036 types of all kinds \xa0\xa0\x23Fmt\x90\x30".to_vec();
        bytes.extend([b'f'; 16]);
        bytes.extend(MARK);
        bytes.extend([stdlib; 16]);
        bytes.extend(b"@@\x84\x95\xa6\xbe");
        bytes
    }

    fn add(fixture: &Fixture, bytes: &[u8]) -> File {
        fixture.staging.add_bytes(bytes, false).unwrap()
    }

    fn tools(fixture: &Fixture, stdlib: u8) -> Tree {
        let mut directory = Tree::default();
        let file = add(fixture, &interface(stdlib));
        directory.insert(&path("stdlib.cmi").unwrap(), Node::File(file)).unwrap();
        let js = fixture.add("code");
        tools_layer(js, js, &directory, "5.4.1", &fixture.staging).unwrap()
    }

    #[test]
    fn a_package_of_another_compiler_is_refused() {
        let fixture = Fixture::new();
        let mut fmt = layer(&fixture, "fmt", library("fmt", &[], &[], &[]));
        let file = add(&fixture, &interface(b'1'));
        // Behind one that does not say.
        fmt.insert(&path("lib/fmt/fmt.cmi").unwrap(), Node::File(file)).unwrap();
        let members = [member("fmt", &fmt, true)];
        assert!(assembled_with(&fixture, &tools(&fixture, b'1'), &members).is_ok());
        let refused = assembled_with(&fixture, &tools(&fixture, b'2'), &members).unwrap_err();
        let AssembleError::OtherCompiler { package, path } = &refused else { panic!("{refused}") };
        assert_eq!((package.as_str(), path.as_str()), ("fmt.1", "lib/fmt/fmt.cmi"));
    }

    #[test]
    fn the_digest_is_that_of_the_list_at_the_end() {
        let mut twice = interface(b'1');
        twice.extend(interface(b'2'));
        assert_eq!(stdlib_digest(&twice), Some([b'2'; 16]));
        assert_eq!(stdlib_digest(MARK), None);
        assert_eq!(stdlib_digest(b""), None);
    }
}
