//! Pairs of files of which the audit says why they differ.

use std::io::Write;

use jtwbuild::explain::{Format, explain};

use super::{Target, fuzz};

/// A file of each kind, by whose name the reader is chosen.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let script =
        b"// unit\n(function(g){\"use strict\";var a=g.b,c=`x${a/2}y`;function f(x,y){for(var i=0;i<y;i++)\
        {x=/[/]/g.exec(x)?{a:1,b(){return}}:[x=>{y},1e+5]}return f}f(a,c)}(globalThis));\n";
    let gzip = |bytes: &[u8]| {
        let mut writer =
            flate2::GzBuilder::new().mtime(7).filename("a").write(Vec::new(), flate2::Compression::new(6));
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let mut brotli = Vec::new();
    brotli::CompressorWriter::new(&mut brotli, 4096, 5, 18).write_all(script).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["a.js", "b/c.txt"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(script.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, script.as_slice()).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let mut library = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("/", b"\0\0\0\x01\0\0\0\x52f\0".as_slice()),
        ("//", b"a_name_of_some_length.o/\n"),
        ("/0", b"int f;\n"),
        ("b.o/", b"ab\n"),
    ] {
        let length = content.len();
        library.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`\n", 1_764_471_963, 1, 1, 100_644).bytes(),
        );
        library.extend(content);
        library.extend((length % 2 == 1).then_some(b'\n'));
    }
    vec![
        (
            "a.txt",
            b"built 2026-11-30T03:06:03Z\nin /tmp/a/b\r\n1764471963 z y\nMon Nov 30 03:06:03 UTC 2026\n"
                .to_vec(),
        ),
        ("a.cma.js", script.to_vec()),
        ("a.json", br#"{"a":{"b":[1,{"c":"x y"},3]},"d":1.5e3,"e":["/home/x/y",null,true]}"#.to_vec()),
        ("a.js.gz", gzip(script)),
        ("a.tgz", gzip(&archive)),
        ("a.js.br", brotli),
        ("a.tar", archive),
        ("a.a", library),
        ("a.so", object()),
        ("a.zip", zip(script)),
        ("b.so", compressed_object()),
    ]
}

/// An archive with a member that is stored and one that is deflated.
fn zip(script: &[u8]) -> Vec<u8> {
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    deflated.write_all(script).unwrap();
    let deflated = deflated.finish().unwrap();
    let extra = b"UT\x05\0\x01\x9b\xb3\x2b\x69ux\x0b\0\x01\x04\xe8\x03\0\0\x04\0\0\0\0";
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, method, packed) in [("a.js", 0_u16, script), ("b/c.js", 8, &deflated)] {
        let mut sum = flate2::Crc::new();
        sum.update(script);
        let mut common = [20_u16, 0, method, 0x1866, 0x5d7e].map(u16::to_le_bytes).concat();
        common.extend(sum.sum().to_le_bytes());
        common.extend(
            [packed.len(), script.len()].map(|size| u32::try_from(size).unwrap().to_le_bytes()).concat(),
        );
        common.extend(
            [name.len(), extra.len()].map(|size| u16::try_from(size).unwrap().to_le_bytes()).concat(),
        );
        directory.extend([b"PK\x01\x02\x1e\x03".as_slice(), &common, &[0; 10]].concat());
        directory.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        directory.extend([name.as_bytes(), extra].concat());
        bytes.extend([b"PK\x03\x04", common.as_slice(), name.as_bytes(), extra, packed].concat());
    }
    let places = [directory.len(), bytes.len()].map(|place| u32::try_from(place).unwrap().to_le_bytes());
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0\x02\0\x02\0".as_slice(), &places.concat(), &[0; 2]].concat());
    bytes
}

/// The same object, whose section of strings is compressed.
fn compressed_object() -> Vec<u8> {
    let mut bytes = object();
    let mut packed = [2_u32, 0].map(u32::to_le_bytes).concat();
    packed.extend([16_u64, 1].map(u64::to_le_bytes).concat());
    packed.extend(zstd::bulk::compress(&bytes[96..112], 3).unwrap());
    // The second of the headers at byte 160: flags, and where its bytes are.
    let (at, size) = (bytes.len() as u64, packed.len() as u64);
    for (field, value) in [(8, 0x802), (24, at), (32, size)] {
        bytes[160 + 64 + field..][..8].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend(packed);
    bytes
}

/// The smallest object with a section of text, one of strings, and a symbol.
fn object() -> Vec<u8> {
    let names = b"\0.comment\0.symtab\0.strtab\0f\0";
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
    bytes.extend([0; 16]);
    bytes.extend(160_u64.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 4, 0, 3, 0]);
    bytes.extend(names);
    bytes.resize(96, 0);
    bytes.extend(b"GCC: 14.2 /tmp/a");
    bytes.extend([0; 24]);
    bytes.extend([26, 0, 0, 0, 0x12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    let mut section = |name: u32, kind: u32, at: u64, size: u64, link: u32, entry: u64| {
        bytes.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([2, 0, at, size].map(u64::to_le_bytes).concat());
        bytes.extend([link.to_le_bytes(), 1_u32.to_le_bytes()].concat());
        bytes.extend([1, entry].map(u64::to_le_bytes).concat());
    };
    section(0, 0, 0, 0, 0, 0);
    section(1, 1, 96, 16, 0, 0);
    section(10, 2, 112, 48, 3, 24);
    section(18, 3, 64, 28, 0, 0);
    bytes
}

#[test]
fn explanations() {
    let seeds = seeds();
    // The first byte chooses what the rest is compared with.
    let numbered = seeds.iter().enumerate().map(|(index, (_, bytes))| {
        let index = u8::try_from(index).unwrap();
        [&[index], bytes.as_slice()].concat()
    });
    let numbered: Vec<_> = numbered.collect();
    // Every seed is read by the reader that it is meant for.
    let expected = [
        Format::Text,
        Format::JavaScript,
        Format::Json,
        Format::Gzip,
        Format::Gzip,
        Format::Brotli,
        Format::Tar,
        Format::Archive,
        Format::Elf,
        Format::Zip,
        Format::Elf,
    ];
    for ((name, bytes), format) in seeds.iter().zip(expected) {
        let mut other = bytes.clone();
        match format {
            // Behind its header, in which everything is checked.
            Format::Gzip => other[4] ^= 1,
            Format::Brotli => continue,
            Format::Json => other = b"{}".to_vec(),
            Format::Tar => other = bytes[1024..].to_vec(),
            Format::Elf => other[if *name == "a.so" { 100 } else { bytes.len() - 1 }] ^= 1,
            // The time in an entry of the directory.
            Format::Zip => {
                let entry = other.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
                other[entry + 12] ^= 1;
            }
            _ => *other.last_mut().unwrap() ^= 1,
        }
        assert_eq!(explain(name, bytes, &other).unwrap().format, format, "{name}");
    }
    fuzz(Target {
        name: "explanation",
        usual: 1000,
        seeds: numbered,
        words: &[
            b"!<arch>\n",
            b"`\n",
            b"\x7fELF",
            b"ustar",
            b"PK\x03\x04",
            b"PK\x01\x02",
            b"PK\x05\x06",
            b"UT\x05\0",
            b"ux\x0b\0",
            b"\x28\xb5\x2f\xfd",
            b"\x1f\x8b\x08",
            b"${",
            b"*/",
            b"=>{",
            b"function",
            b"var ",
        ],
        special: None,
        run: &mut |input| {
            let Some((index, bytes)) = input.split_first() else { return "nothing".into() };
            let (name, seed) = &seeds[usize::from(*index) % seeds.len()];
            let there = explain(name, seed, bytes);
            let back = explain(name, bytes, seed);
            assert_eq!(there.is_none(), seed == bytes);
            assert_eq!(explain(name, bytes, bytes), None);
            let Some((there, back)) = there.zip(back) else { return format!("{name}: equal") };
            for told in [&there, &back] {
                assert!(told.findings.len() <= 50, "{}", told.findings.len());
                for finding in &told.findings {
                    let texts = finding
                        .place
                        .iter()
                        .chain(&finding.note)
                        .chain(&finding.before)
                        .chain(&finding.after);
                    for text in texts {
                        assert!(text.len() <= 20_000, "{} bytes", text.len());
                        assert!(!text.contains('\u{1b}'), "{text:?}");
                    }
                }
            }
            assert_eq!(there.format, back.format);
            let notes: Vec<_> = there.findings.iter().take(3).filter_map(|one| one.note.as_deref()).collect();
            format!("{name}: {:?} {}", there.format, notes.join(", "))
        },
    });
}
