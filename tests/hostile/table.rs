//! Archives as upstreams and as attackers make them, each with what must come of it.

use super::tar::{Entry, GNU, OLD, Tar, directory, file, fix_sum, hard_link, link, long, pax, program};

pub struct Case {
    pub what: String,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

pub enum Expected {
    /// Unpacked, with this listing (see `scene::listing`).
    Tree(Vec<String>),
    /// Refused, with these words.
    Refused(&'static str),
}

fn tree(what: &str, bytes: Vec<u8>, listing: &[&str]) -> Case {
    let listing = listing.iter().map(|line| (*line).to_owned()).collect();
    Case { what: what.to_owned(), bytes, expected: Expected::Tree(listing) }
}

fn refused(what: &str, bytes: Vec<u8>, words: &'static str) -> Case {
    Case { what: what.to_owned(), bytes, expected: Expected::Refused(words) }
}

pub fn all() -> Vec<Case> {
    let mut cases = ordinary();
    cases.extend(names());
    cases.extend(links());
    cases.extend(headers());
    cases.extend(sizes());
    cases.extend(ends());
    cases
}

fn of(entries: &[Entry]) -> Vec<u8> {
    Tar::of(entries).end()
}

fn ordinary() -> Vec<Case> {
    let git = [
        pax(b'g', &[(b"comment", b"0123456789abcdef0123456789abcdef01234567")]),
        directory("pkg-1/"),
        file("pkg-1/README.md", "read me"),
        program("pkg-1/configure", "#!/bin/sh"),
        link("pkg-1/latest", "README.md"),
        hard_link("pkg-1/same", "pkg-1/configure"),
        directory("pkg-1/src/"),
        file("pkg-1/src/a.ml", vec![b'a'; 1500]),
        file("pkg-1/src/empty", ""),
    ];
    let listing = [
        "d pkg-1",
        "- pkg-1/README.md 7",
        "x pkg-1/configure 9",
        "l pkg-1/latest -> README.md",
        "x pkg-1/same 9",
        "d pkg-1/src",
        "- pkg-1/src/a.ml 1500",
        "- pkg-1/src/empty 0",
    ];
    let mut gnu = git[1..].to_vec();
    gnu.iter_mut().for_each(|entry| entry.magic = GNU.to_vec());
    let mut old = git[1..].to_vec();
    old.iter_mut().for_each(|entry| entry.magic = OLD.to_vec());
    let dotted = [directory("./"), directory("./a/"), file("./a/b", "1"), file("././a/c", "2")];
    let name = "n".repeat(120);
    let target = "t".repeat(180);
    vec![
        tree("as git makes it", of(&git), &listing),
        tree("as GNU tar makes it", of(&gnu), &listing),
        tree("as tar of the seventh edition made it", of(&old), &listing),
        tree("names that begin with a dot and a slash", of(&dotted), &["d a", "- a/b 1", "- a/c 1"]),
        tree(
            "no entries for directories",
            of(&[file("a/b/c", "1"), file("a/d", "2")]),
            &["d a", "d a/b", "- a/b/c 1", "- a/d 1"],
        ),
        tree(
            "a prefix",
            of(&[file("name", "1").prefix("some/where"), file("name", "2")]),
            &["- name 1", "d some", "d some/where", "- some/where/name 1"],
        ),
        tree(
            "GNU long names",
            of(&[long(b'L', &name), file("n", "1"), long(b'K', &target), link("l", "t")]),
            &[&format!("l l -> {target}"), &format!("- {name} 1")],
        ),
        tree(
            "extended names",
            of(&[
                pax(b'x', &[(b"path", name.as_bytes()), (b"mtime", b"1.5"), (b"size", b"1")]),
                file("n", "1"),
                pax(b'x', &[(b"linkpath", target.as_bytes())]),
                link("l", "t"),
            ]),
            &[&format!("l l -> {target}"), &format!("- {name} 1")],
        ),
        tree(
            "set-user-ID, set-group-ID, sticky, owner, time",
            of(&[
                file("suid", "1").mode(b"0007755\0"),
                file("sgid", "1").mode(b"0002644\0"),
                directory("sticky/").mode(b"0001777\0"),
                pax(b'x', &[(b"uid", b"4000000000"), (b"uname", b"root"), (b"mtime", b"-7.25")]),
                file("owned", "1"),
                pax(b'x', &[(b"SCHILY.xattr.user.x", b"v"), (b"LIBARCHIVE.xattr.user.x", b"dg==")]),
                file("xattr", "1"),
            ]),
            &["- owned 1", "- sgid 1", "d sticky", "x suid 1", "- xattr 1"],
        ),
        tree(
            "the same member twice",
            of(&[directory("d/"), file("d/f", "1"), directory("d/"), file("d/f", "1")]),
            &["d d", "- d/f 1"],
        ),
        tree(
            "a hard link to a link",
            of(&[link("l", "/etc/passwd"), hard_link("h", "l")]),
            &["l h -> /etc/passwd", "l l -> /etc/passwd"],
        ),
        tree(
            "links that lead out, and lead nowhere here",
            of(&[link("up", "../../../etc"), link("abs", "/etc"), link("self", "self"), link("odd", "a\nb")]),
            &["l abs -> /etc", r"l odd -> a\nb", "l self -> self", "l up -> ../../../etc"],
        ),
        tree(
            "executable for its owner, for others",
            of(&[file("owner", "1").mode(b"0000700\0"), file("others", "1").mode(b"0000655\0")]),
            &["- others 1", "x owner 1"],
        ),
        tree("a contiguous file", of(&[Entry::new(b'7', "f").body("1")]), &["- f 1"]),
        tree(
            "an archive in an archive",
            of(&[file("inner.tar", of(&[file("../x", "1")]))]),
            &["- inner.tar 2048"],
        ),
    ]
}

fn names() -> Vec<Case> {
    let bad = [
        "..",
        "../x",
        "a/../b",
        "a/..",
        "./..",
        "./../x",
        "/etc/passwd",
        "//x",
        "a//b",
        "a/./b",
        ".",
        "./",
        "",
        "file/",
        "a/b/",
        "/",
        "C:\\x",
        "C:/x",
        "c:x",
        "z:",
        "./C:/x",
    ];
    let mut cases: Vec<Case> = bad
        .iter()
        .map(|name| refused(&format!("a file called {name:?}"), of(&[file(name, "1")]), "not a path"))
        .collect();
    for name in ["../x/", "/x/", "a//b/", "a/../b/", "..", "x//"] {
        cases.push(refused(&format!("a directory called {name:?}"), of(&[directory(name)]), "not a path"));
    }
    for name in ["../x", "l/", "/x", ""] {
        cases.push(refused(&format!("a link called {name:?}"), of(&[link(name, "t")]), "not a path"));
    }
    for name in [&b"a\0b"[..], b"../x", b"/x", b"", b"a\0/../../x", b"x/"] {
        let bytes = of(&[pax(b'x', &[(b"path", name)]), file("harmless", "1")]);
        cases.push(refused(
            &format!("an extended name {:?}", name.escape_ascii().to_string()),
            bytes,
            "not a path",
        ));
        let bytes = of(&[long(b'L', name), file("harmless", "1")]);
        cases.push(refused(
            &format!("a long name {:?}", name.escape_ascii().to_string()),
            bytes,
            "not a path",
        ));
    }
    let long_name = "x".repeat(256);
    let bytes = of(&[pax(b'x', &[(b"path", long_name.as_bytes())]), file("short", "1")]);
    cases.push(refused("a name of 256 bytes", bytes, "not a path"));
    let bytes = of(&[pax(b'x', &[(b"path", &long_name.as_bytes()[1..])]), file("short", "1")]);
    cases.push(tree("a name of 255 bytes", bytes, &[&format!("- {} 1", &long_name[1..])]));
    cases.push(refused("a prefix that leads out", of(&[file("x", "1").prefix("../..")]), "not a path"));
    cases.push(refused("an absolute prefix", of(&[file("x", "1").prefix("/etc")]), "not a path"));

    let odd: [&[u8]; 15] = [
        b"ab:c",
        b"a\\..\\b",
        b"-rf",
        b"--help",
        b"a b\t\n",
        b"\x1b[31mred\x07",
        b"...",
        b".hidden",
        b"\xff\xfe",
        b"\xc3\x28",
        "caf\u{e9}".as_bytes(),
        "cafe\u{301}".as_bytes(),
        "p\u{430}ypal".as_bytes(),
        "\u{202e}gnp.exe".as_bytes(),
        "\u{2025}\u{2215}x".as_bytes(),
    ];
    for name in odd {
        let shown = name.escape_ascii().to_string();
        cases.push(tree(
            &format!("the odd but legal name {shown}"),
            of(&[file(name, "1")]),
            &[&format!("- {shown} 1")],
        ));
    }
    cases.push(tree(
        "names that differ in case only",
        of(&[file("Readme", "1"), file("README", "22"), directory("readme/")]),
        &["- README 2", "- Readme 1", "d readme"],
    ));
    cases
}

fn links() -> Vec<Case> {
    let sets: [(&str, Vec<Entry>, &'static str); 18] = [
        ("a file below a link", vec![link("d", "/etc"), file("d/passwd", "x")], "`d/passwd`"),
        (
            "a file below a link to a directory",
            vec![directory("r/"), link("d", "r"), file("d/f", "x")],
            "`d/f`",
        ),
        ("a link below a link", vec![link("a", "b"), link("a/c", "/etc")], "`a/c`"),
        ("a chain of links", vec![link("a", ".."), link("b", "a/.."), file("b/x", "x")], "`b/x`"),
        ("a directory below a link", vec![link("a", "/tmp"), directory("a/b/")], "`a/b/`"),
        ("a link in place of a directory", vec![directory("d/"), link("d", "/etc")], "`d`"),
        (
            "a link in place of a full directory",
            vec![file("d/f", "1"), link("d", "/etc"), file("d/g", "1")],
            "`d`",
        ),
        ("a directory in place of a link", vec![link("d", "/etc"), directory("d/")], "`d/`"),
        ("a directory in place of a file", vec![file("f", "x"), directory("f/")], "`f/`"),
        ("a file in place of a directory", vec![directory("f/"), file("f", "x")], "`f`"),
        ("a file below a file", vec![file("f", "1"), file("f/g", "2")], "`f/g`"),
        ("a file twice with other bytes", vec![file("f", "1"), file("f", "2")], "`f` occurs twice"),
        ("a file twice with another mode", vec![file("f", "1"), program("f", "1")], "`f` occurs twice"),
        ("a link twice with another target", vec![link("f", "1"), link("f", "2")], "`f` occurs twice"),
        ("a link in place of a file", vec![file("f", "1"), link("f", "/etc/passwd")], "`f` occurs twice"),
        (
            "a hard link in place of a file",
            vec![file("f", "1"), file("g", "2"), hard_link("g", "f")],
            "`g` occurs",
        ),
        ("an empty link", vec![link("l", "")], "link is empty"),
        ("a body of a link", vec![link("l", "t").body("x")], "has bytes"),
    ];
    let mut cases: Vec<Case> =
        sets.into_iter().map(|(what, entries, words)| refused(what, of(&entries), words)).collect();
    let hard: [(&str, Vec<Entry>); 9] = [
        ("to outside", vec![hard_link("a", "/etc/passwd")]),
        ("upwards", vec![hard_link("a", "../x")]),
        ("to a later member", vec![hard_link("a", "b"), file("b", "x")]),
        ("to a directory", vec![directory("d/"), hard_link("a", "d")]),
        ("through a link", vec![link("l", "/etc"), hard_link("a", "l/passwd")]),
        ("to itself", vec![hard_link("a", "a")]),
        ("to nothing", vec![hard_link("a", "")]),
        ("in a circle", vec![hard_link("a", "b"), hard_link("b", "a")]),
        ("to the archive", vec![directory("./"), hard_link("a", "./")]),
    ];
    for (what, entries) in hard {
        cases.push(refused(&format!("a hard link {what}"), of(&entries), "not an earlier file"));
    }
    let with_body = [file("f", "x"), hard_link("a", "f").body("body")];
    cases.push(refused("a hard link with bytes", of(&with_body), "has bytes"));
    let target = [pax(b'x', &[(b"linkpath", b"a\0b")]), link("l", "t")];
    cases.push(refused("a NUL in a target", of(&target), "NUL"));
    let target = "t".repeat(5000);
    let target = [pax(b'x', &[(b"linkpath", target.as_bytes())]), link("l", "t")];
    cases.push(refused("a target of 5000 bytes", of(&target), "longer than"));
    cases
}

fn headers() -> Vec<Case> {
    let uid = |uid: &[u8]| Entry { uid: uid.to_vec(), ..file("f", "1") };
    let mapped = file("f", "1").magic(GNU).prefix([&[0; 41][..], b"00000000001\0"].concat());
    let mut cases = Vec::new();
    for kind in *b"346SDMVNAZ\x01" {
        let what = format!("a member of kind {:?}", char::from(kind));
        cases.push(refused(&what, of(&[Entry::new(kind, "x")]), "its kind is not"));
    }
    cases.push(refused("a directory with bytes", of(&[directory("d/").body("x")]), "has bytes"));
    let x = |records: &[(&[u8], &[u8])]| vec![pax(b'x', records), file("f", "12345")];
    let body = |text: &[u8]| vec![Entry::new(b'x', "pax").body(text), file("f", "12345")];
    let sets: [(&str, Vec<Entry>, &'static str); 35] = [
        ("an unknown extension", x(&[(b"VENDOR.x", b"1")]), "not understood"),
        ("sparse 1.0", x(&[(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]), "not understood"),
        ("sparse 0.1", x(&[(b"GNU.sparse.map", b"0,5"), (b"GNU.sparse.size", b"5")]), "not understood"),
        ("another real size", x(&[(b"SCHILY.realsize", b"99")]), "not understood"),
        ("another file type", x(&[(b"SCHILY.filetype", b"sparse")]), "not understood"),
        ("a path for all members", vec![pax(b'g', &[(b"path", b"x")]), file("f", "1")], "not understood"),
        ("a size for all members", vec![pax(b'g', &[(b"size", b"0")]), file("f", "1")], "not understood"),
        (
            "a target for all members",
            vec![pax(b'g', &[(b"linkpath", b"x")]), link("f", "1")],
            "not understood",
        ),
        ("two paths in one header", x(&[(b"path", b"a"), (b"path", b"b")]), "twice"),
        ("two sizes in one header", x(&[(b"size", b"5"), (b"size", b"5")]), "twice"),
        (
            "two headers",
            vec![pax(b'x', &[(b"path", b"a")]), pax(b'x', &[(b"uid", b"1")]), file("f", "1")],
            "two ext",
        ),
        ("two long names", vec![long(b'L', "a"), long(b'L', "b"), file("f", "1")], "two long names"),
        ("two long targets", vec![long(b'K', "a"), long(b'K', "b"), link("f", "1")], "two long names"),
        ("both ways", vec![long(b'L', "a"), pax(b'x', &[(b"path", b"b")]), file("f", "1")], "twice"),
        (
            "both ways, turned",
            vec![pax(b'x', &[(b"path", b"b")]), long(b'L', "a"), file("f", "1")],
            "two long names",
        ),
        ("a record that ends early", body(b"10 path=x\n0"), "malformed"),
        ("a record beyond the end", body(b"99 path=x\n"), "malformed"),
        ("a record without a length", body(b"path=x\n"), "malformed"),
        ("a record without a key", body(b"5 =x\n"), "malformed"),
        ("a record without a value", body(b"8 pathx\n"), "malformed"),
        ("a record without a newline", body(b"9 path=xyz"), "malformed"),
        ("a signed length", body(b"+10 path=x\n"), "malformed"),
        ("a negative length", body(b"-1 path=x\n"), "malformed"),
        ("a length of 0", body(b"0 path=x\n"), "malformed"),
        ("a huge length", body(b"18446744073709551615 path=x\n"), "malformed"),
        ("a space before the length", body(b" 11 path=x\n"), "malformed"),
        ("zeros after the records", body(b"10 path=x\n\0\0\0"), "malformed"),
        ("a long name without its NUL", vec![Entry::new(b'L', "L").body("abc"), file("f", "1")], "NUL"),
        (
            "an extended header at the end",
            vec![file("f", "1"), pax(b'x', &[(b"path", b"y")])],
            "without a member",
        ),
        ("a long name at the end", vec![file("f", "1"), long(b'L', "y")], "without a member"),
        (
            "a version of ustar yet to come",
            vec![file("f", "1").magic(b"ustar\x0001").prefix("p")],
            "its format",
        ),
        ("a number that is none", vec![uid(b"xyz")], "a number in it"),
        ("a negative number that is none", vec![uid(b"\xf0\xff\xff")], "a number in it"),
        ("a sparse map of a plain file", vec![mapped], "a map of a sparse file"),
        ("half of a magic word", vec![file("f", "1").magic(b"ustar\0\0\0").prefix("p")], "its format"),
    ];
    cases.extend(sets.into_iter().map(|(what, entries, words)| refused(what, of(&entries), words)));
    cases.push(tree("a length with a zero before it", of(&body(b"012 path=xy\n")), &["- xy 5"]));
    for number in [&b"\0\0\0\0\0\0\0\0"[..], b"        ", b"\x80\0\0\0\0\x3b\x9a\0"] {
        cases.push(tree(&format!("the owner {}", number.escape_ascii()), of(&[uid(number)]), &["- f 1"]));
    }
    for field in [
        &b"00x0644\0"[..],
        b"-000644\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0",
        b"0000648\0",
    ] {
        let what = format!("the mode {}", field.escape_ascii());
        cases.push(refused(&what, of(&[file("f", "1").mode(field)]), "its header is malformed"));
    }
    let huge = Entry::new(b'L', "L").size(b"77777777777\0");
    cases.push(refused("a long name of 8 GB", of(&[huge, file("f", "1")]), "more than a megabyte"));
    for (what, byte) in [("its name", 0), ("its checksum", 148), ("its kind", 156), ("its padding", 510)] {
        let mut bytes = of(&[file("a", "1")]);
        bytes[byte] ^= 4;
        cases.push(refused(
            &format!("a wrong checksum after a change of {what}"),
            bytes,
            "not a tar archive",
        ));
    }
    let mut second = of(&[file("a", "1"), file("b", "2")]);
    second[1024] = b'c';
    cases.push(refused("a wrong checksum in the middle", second, "not a tar archive"));
    cases
}

fn sizes() -> Vec<Case> {
    let hidden = of(&[file("hidden", "inner")]);
    let size = hidden.len().to_string();
    let mut cases = Vec::new();
    // The extended header hides a whole archive in a body, or shows one.
    for claimed in ["0", "512", "1024", "99999999", "18446744073709551615", "18446744073709551616"] {
        let bytes = of(&[pax(b'x', &[(b"size", claimed.as_bytes())]), file("a", &hidden)]);
        cases.push(refused(&format!("an extended size of {claimed}"), bytes, "size"));
    }
    for claimed in ["-1", "+5", "0x5", "", " 5", "5 ", "5.0", "1e3"] {
        let bytes = of(&[pax(b'x', &[(b"size", claimed.as_bytes())]), file("a", &hidden)]);
        cases.push(refused(&format!("the extended size {claimed:?}"), bytes, "extended size"));
    }
    let bytes = of(&[pax(b'x', &[(b"size", size.as_bytes())]), file("a", &hidden)]);
    cases.push(tree("two headers that give one size", bytes, &[&format!("- a {size}")]));
    let empty = file("a", &hidden).size(b"00000000000\0");
    let bytes = of(&[pax(b'x', &[(b"size", size.as_bytes())]), empty]);
    cases.push(refused("a size in the extended header only", bytes, "different sizes"));
    let shown = file("a", "").size(b"00000000000\0");
    let bytes = Tar::of(&[shown]).raw(&Tar::of(&[file("b", "2")]).0).end();
    cases.push(tree("an empty file before a full one", bytes, &["- a 0", "- b 1"]));
    for field in [
        &b"\x80\0\0\0\0\0\0\0\0\0\0\x05"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfb",
        b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"-0000000005\0",
        b"+0000000005\0",
        b"0000000005x\0",
        b"00000000008\0",
        b"            ",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"0x000000005\0",
        b"\t0000000005\0",
        b"0000 000005\0",
    ] {
        let bytes = of(&[file("a", "12345").size(field)]);
        cases.push(refused(&format!("the size {}", field.escape_ascii()), bytes, "its size"));
    }
    for field in [&b"       5    "[..], b"5\0\0\0\0\0\0\0\0\0\0\0", b"5           ", b"000000000005"] {
        let bytes = of(&[file("a", "12345").size(field)]);
        cases.push(tree(&format!("the size {}", field.escape_ascii()), bytes, &["- a 5"]));
    }
    let beyond = of(&[file("a", "12345").size(b"00000777777\0")]);
    cases.push(refused("a size beyond the end", beyond, "truncated"));
    let far = of(&[file("a", "12345").size(b"77777777777\0")]);
    cases.push(refused("a size of 8 GB", far, "truncated"));
    let twice = [file("a", "1").size(b"77777777777\0"), file("b", "1").size(b"77777777777\0")];
    cases.push(refused("two sizes of 8 GB", of(&twice), "truncated"));
    cases
}

fn ends() -> Vec<Case> {
    let (one, two) = (of(&[file("a", "1")]), of(&[file("b", "2")]));
    let part = Tar::of(&[file("a", "1")]).0;
    let mut garbage = one.clone();
    garbage.extend_from_slice(b"garbage");
    let mut lone = part.clone();
    lone.extend_from_slice(&[0; 512]);
    let between = [&lone[..], &two].concat();
    let mut header_only = part[..512].to_vec();
    fix_sum(&mut header_only);
    vec![
        refused("two archives in a row", [&one[..], &two].concat(), "bytes after its end"),
        refused("garbage after the end", garbage, "bytes after its end"),
        refused("a lone block of zeros between members", between, "bytes after its end"),
        tree("a lone block of zeros at the end", lone, &["- a 1"]),
        tree("no mark of the end", part.clone(), &["- a 1"]),
        tree("many zeros after the end", [&one[..], &[0; 9000]].concat(), &["- a 1"]),
        refused("cut in a header", part[..100].to_vec(), "truncated"),
        refused("cut before a body", header_only, "truncated"),
        refused("cut in the padding", part[..700].to_vec(), "truncated"),
        refused("a part of a block at the end", [&part[..], b"xyz"].concat(), "truncated"),
        refused("nothing", Vec::new(), "not a tar archive"),
        refused("zeros", vec![0; 4096], "not a tar archive"),
        refused("text", vec![b'x'; 4096], "not a tar archive"),
        refused("only comments", of(&[pax(b'g', &[(b"comment", b"x")])]), "not a tar archive"),
    ]
}
