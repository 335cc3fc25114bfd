//! What the compiler prints, what damaged interfaces give, and each code of the marshalled form.

use super::*;
use crate::ocaml::marshal::Value;

fn fixture(version: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/tests/fixtures/cmi/{version}/shapes.cmi")).unwrap()
}

/// Marshalled data with the header of small values.
fn small(data: &[u8]) -> Vec<u8> {
    let mut bytes = 0x8495_a6be_u32.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend([0; 12]);
    bytes.extend(data);
    bytes
}

/// The same behind a compressed header.
fn compressed(data: &[u8], told: u8) -> Vec<u8> {
    let packed = zstd::bulk::compress(data, 3).unwrap();
    let mut bytes = 0x8495_a6bd_u32.to_be_bytes().to_vec();
    bytes.extend([10, u8::try_from(packed.len()).unwrap(), told, 0, 0, 0]);
    bytes.extend(packed);
    bytes
}

/// An interface called `M` whose signature is this marshalled value.
fn interface(signature: &[u8]) -> Vec<u8> {
    let mut header = vec![0xa0, 0x21, b'M'];
    header.extend(signature);
    [b"Caml1999I036".to_vec(), small(&header), small(&[0x40]), small(&[0x40])].concat()
}

/// What `ocamlc -i` and `Printtyp` of OCaml 5.4.1 print for the fixture's source, put on lines of their
/// own: `Names` is `Set.S`, of which two items are enough here.
const EXPECTED: &str = "\
point | type point = { mutable x : int; y : int; }
tree | type 'a tree = Leaf | Node of 'a tree * 'a * 'a tree
expression | type _ expression = Int : int -> int expression | Pair : 'a expression * 'b expression -> ('a * 'b) expression | If of { test : bool expression; }
box | type +'a box
hidden | type hidden = private int
extensible | type extensible = ..
Known | type extensible += Known of int
small | type small [@@immediate]
pairs | type 'a pairs = ('b * 'c) list constraint 'a = 'b * 'c
colour | type colour = [ `Green of int | `Red ]
more | type more = [ `Blue | `Green of int | `Red ]
Failed | exception Failed of string * int
Stopped | exception Stopped
origin | val origin : point
<+> | val ( <+> ) : point -> point -> point
let* | val ( let* ) : 'a option -> ('a -> 'b option) -> 'b option
fold | val fold : ?start:int -> with_:(int -> 'a -> int) -> 'a list -> int
labelled | val labelled : x:int * y:string -> unit
paint | val paint : [< `Green of int | `Red ] -> [> `Painted ]
same | val same : ([> `A ] as 'a) -> 'a
twice | val twice : (< name : string; .. > as 'a) -> 'a
apply | val apply : < run : 'a. 'a -> 'a > -> unit
unpack | val unpack : (module Set.OrderedType with type t = 'a) -> 'a list
format | val format : Format.formatter -> ('a, Format.formatter, unit) format -> 'a
length | external length : string -> int = \"%string_length\"
gone | val gone : float -> float
Inner | module Inner : sig … end
Inner.t | type t
Inner.make | val make : unit -> t
Inner.Deeper | module Deeper : sig … end
Inner.Deeper.level | val level : int
ORDERED | module type ORDERED = sig … end
ORDERED.t | type t
ORDERED.compare | val compare : t -> t -> int
Make | module Make : (Key : ORDERED) -> (_ : sig type t val zero : t end) -> sig … end
Make.key | type key = Key.t
Make.find | val find : key -> int
Strings | module Strings = String
Names | module Names : sig … end
Names.elt | type elt = string
Names.fold | val fold : (elt -> 'acc -> 'acc) -> t -> 'acc -> 'acc
counter | class counter : int -> object val mutable count : int method increment : unit method private secret : string end
stack | class virtual ['a] stack : object ('b) method virtual pop : 'a method push : 'a -> 'b end
named | class type named = object method name : string end
counters | val counters : counter list
any_counter | val any_counter : #counter -> int
";

#[test]
fn everything_that_an_interface_can_hold_is_read_and_printed_as_the_compiler_prints_it() {
    let read = Interface::read(&fixture("before")).unwrap();
    assert_eq!(read.name, "Shapes");
    assert_eq!(read.flags, Vec::<String>::new());
    let names: Vec<&str> = read.imports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[0], "Shapes");
    assert!(names.contains(&"Stdlib"), "{names:?}");
    assert!(read.imports.iter().all(|(_, digest)| digest.as_ref().is_some_and(|digest| digest.len() == 32)));
    let shown = |item: &&Item| {
        !item.path.starts_with("Names.") || ["Names.elt", "Names.fold"].contains(&item.path.as_str())
    };
    let told = read.items.iter().filter(shown).map(|item| format!("{} | {}\n", item.path, item.text));
    assert_eq!(told.collect::<String>(), EXPECTED);
}

#[test]
fn interfaces_of_the_earlier_version_are_told_alike() {
    // Components of tuples have no labels there.
    let told = |interface: &Interface| -> Vec<(Kind, String, String)> {
        let text = |item: &Item| item.text.replace("x:int * y:string -> unit", "int * string -> unit");
        interface.items.iter().map(|item| (item.kind, item.path.clone(), text(item))).collect()
    };
    for version in ["before", "after"] {
        let earlier = fixture(&format!("5.3/{version}"));
        assert!(earlier.starts_with(b"Caml1999I035"));
        let (earlier, later) =
            (Interface::read(&earlier).unwrap(), Interface::read(&fixture(version)).unwrap());
        assert_eq!(told(&earlier), told(&later));
        assert_ne!(earlier.items, later.items, "the tuple");
        assert_eq!((&earlier.name, &earlier.flags), (&later.name, &later.flags));
        let names = |interface: &Interface| -> Vec<String> {
            interface.imports.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&earlier), names(&later));
    }
}

#[test]
fn every_kind_of_item_is_told_by_its_kind() {
    let read = Interface::read(&fixture("before")).unwrap();
    let kind = |path: &str| read.items.iter().find(|item| item.path == path).unwrap().kind;
    assert_eq!(kind("origin"), Kind::Value);
    assert_eq!(kind("point"), Kind::Type);
    assert_eq!(kind("Known"), Kind::Extension);
    assert_eq!(kind("Stopped"), Kind::Exception);
    assert_eq!(kind("Inner.Deeper"), Kind::Module);
    assert_eq!(kind("ORDERED"), Kind::ModuleType);
    assert_eq!(kind("stack"), Kind::Class);
    assert_eq!(kind("named"), Kind::ClassType);
}

#[test]
fn what_is_no_interface_of_a_known_version_is_told() {
    assert_eq!(Interface::read(b"Caml1999A036"), Err(OcamlError::NotAnInterface));
    assert_eq!(Interface::read(b"Caml1999I03"), Err(OcamlError::NotAnInterface));
    let mut other = fixture("before");
    other[9..12].copy_from_slice(b"034");
    assert_eq!(Interface::read(&other), Err(OcamlError::OtherVersion { magic: "Caml1999I034".into() }));
}

#[test]
fn an_interface_that_is_cut_off_anywhere_is_an_error() {
    let whole = fixture("before");
    for length in 0..whole.len() {
        assert!(Interface::read(&whole[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn circles_and_depth_end() {
    // A list whose rest is itself.
    assert_eq!(Interface::read(&interface(&[0xa0, 0x40, 0x04, 0x01])), Err(OcamlError::Damaged(SHAPE)));
    let endless = interface(&[0xa0, 0xa0, 0x40, 0x40, 0x04, 0x02]);
    assert!(Interface::read(&endless).is_err());
    // Blocks in blocks in blocks.
    let mut deep = vec![0x90; 1 << 20];
    deep.push(0x40);
    assert_eq!(Interface::read(&interface(&deep)), Err(OcamlError::Damaged(SHAPE)));
}

/// `val v` with a type that nests `depth` deep on the left side of arrows, where parentheses are needed.
fn nested(depth: usize) -> Vec<u8> {
    let mut ty = Vec::new();
    for _ in 0..depth {
        ty.extend([0xc0, 0xc1, 0x40]);
    }
    let variable = [0xc0, 0x90, 0x40, 0x40, 0x40, 0x40];
    ty.extend(variable);
    for _ in 0..depth {
        ty.extend(variable);
        ty.extend([0x40; 4]);
    }
    let mut signature = vec![0xa0, 0xb0, 0x92, 0x21, b'v', 0xd0];
    signature.extend(ty);
    // Kind, place, attributes, number; visibility; the end of the list.
    signature.extend([0x40; 6]);
    interface(&signature)
}

#[test]
fn types_may_nest_and_not_endlessly() {
    let read = Interface::read(&nested(3)).unwrap();
    assert_eq!(read.items[0].text, "val v : (('a -> 'b) -> 'c) -> 'd");
    assert!(Interface::read(&nested(100)).is_ok());
    assert_eq!(Interface::read(&nested(100_000)), Err(OcamlError::TooDeep));
}

const SHAPE: &str = "its signature has another shape than the compiler's";

#[test]
fn marshalled_values_of_every_code_are_read() {
    let read = |data: &[u8]| Heap::read(&small(data)).map(|(heap, _)| heap);
    let number = |data: &[u8]| read(data).unwrap().root();
    assert_eq!(number(&[0x7f]), Value::Int(63));
    assert_eq!(number(&[0x00, 0xff]), Value::Int(-1));
    assert_eq!(number(&[0x01, 0x80, 0x00]), Value::Int(-32768));
    assert_eq!(number(&[0x02, 0, 1, 0, 0]), Value::Int(65536));
    assert_eq!(number(&[0x03, 0x80, 0, 0, 0, 0, 0, 0, 0]), Value::Int(i64::MIN));
    assert_eq!(number(&[0x83]), Value::Atom(3));
    let text = |data: &[u8]| {
        let heap = read(data).unwrap();
        heap.string(heap.root()).unwrap().to_vec()
    };
    assert_eq!(text(&[0x22, b'h', b'i']), b"hi");
    assert_eq!(text(&[0x09, 2, b'h', b'i']), b"hi");
    assert_eq!(text(&[0x0a, 0, 0, 0, 2, b'h', b'i']), b"hi");
    assert_eq!(text(&[0x15, 0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i']), b"hi");
    // A block of tag 5 with a float, an array of floats and a string twice; the floats count as objects.
    let mut data = vec![0x08, 0, 0, 4 << 2, 5, 0x0c];
    data.extend([0; 8]);
    data.extend([0x0e, 1]);
    data.extend([0; 8]);
    data.extend([0x21, b's', 0x04, 1]);
    let heap = read(&data).unwrap();
    let (tag, fields) = heap.block(heap.root()).unwrap();
    assert_eq!((tag, fields.len()), (5, 4));
    assert_eq!(fields[2], fields[3]);
    assert_eq!(heap.string(fields[3]), Some(b"s".as_slice()));
    assert_eq!(heap.string(fields[0]), None);
    // The header of large values.
    let mut large = 0x8495_a6bf_u32.to_be_bytes().to_vec();
    large.extend([0; 11]);
    large.push(1);
    large.extend([0; 16]);
    large.push(0x41);
    assert_eq!(Heap::read(&large).unwrap().0.root(), Value::Int(1));
}

#[test]
fn compressed_values_are_read_and_their_references_count_from_the_beginning() {
    // A pair of a string and the same string: number 0 is the pair.
    let data = [0xa0, 0x21, b's', 0x04, 1];
    let (heap, rest) = {
        let bytes = compressed(&data, 5);
        let (heap, rest) = Heap::read(&bytes).unwrap();
        (heap, rest.len())
    };
    let (_, fields) = heap.block(heap.root()).unwrap();
    assert_eq!((fields[0], rest), (fields[1], 0));
    for told in [4, 6] {
        assert!(Heap::read(&compressed(&data, told)).is_err(), "{told} bytes told");
    }
}

#[test]
fn values_that_say_more_than_there_is_are_refused() {
    let damaged: [&[u8]; 7] = [
        &[],
        &[0x90],
        &[0x04, 1],
        &[0x04, 0],
        &[0x08, 0xff, 0xff, 0xff, 0],
        &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x18, b'_', b'j', 0],
    ];
    for data in damaged {
        assert!(Heap::read(&small(data)).is_err(), "{data:?}");
    }
    let mut longer = small(&[0x40]);
    longer[4] = 0xff;
    assert_eq!(Heap::read(&longer).unwrap_err(), OcamlError::TooLarge);
}
