//! R66: archives known by several checksums, all of which must be right, and by weak ones.

use super::server::{Reply, Server};
use super::*;
use crate::source::{Checksum, Checksums};

const GOOD: &[u8] = b"the bytes that were wanted";

/// The checksums of `bytes` of these kinds.
fn sums(bytes: &[u8], kinds: &[&str]) -> Vec<String> {
    let sum = |kind: &&str| match *kind {
        "sha256" => format!("sha256={}", sum(bytes)),
        "sha512" => format!("sha512={}", hex(&sha2::Sha512::digest(bytes))),
        _ => format!("md5={}", hex(&md5::Md5::digest(bytes))),
    };
    kinds.iter().map(sum).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn known_by(texts: &[String], places: Vec<Place>) -> Archive {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Archive::new(Checksums::parse(&texts).unwrap(), places)
}

/// Two different blocks of one MD5 (Wang and Yu, 2004): they differ in six bits.
fn collision() -> [Vec<u8>; 2] {
    const BLOCK: &str = "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89\
                         55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b\
                         d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0\
                         e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70";
    let byte = |at: usize| u8::from_str_radix(&BLOCK[2 * at..2 * at + 2], 16).unwrap();
    let one: Vec<u8> = (0..BLOCK.len() / 2).map(byte).collect();
    let mut other = one.clone();
    [19, 45, 59, 83, 109, 123].iter().for_each(|at| other[*at] ^= 0x80);
    [one, other]
}

#[test]
fn archives_are_stored_by_their_best_checksum_and_found_there_again() {
    let cases: [(&[&str], &str); 7] = [
        (&["sha256"], "sha256"),
        (&["sha512"], "sha512"),
        (&["md5"], "md5"),
        (&["md5", "sha256"], "sha256"),
        (&["md5", "sha512"], "sha512"),
        (&["sha512", "sha256"], "sha256"),
        (&["md5", "sha512", "sha256"], "sha256"),
    ];
    for (kinds, name) in cases {
        let scene = Scene::new();
        scene.write("here", GOOD);
        let archive = known_by(&sums(GOOD, kinds), vec![scene.local("here")]);
        let got = scene.fetch(&fetcher(), &archive).unwrap();
        let place = Checksum::parse(&sums(GOOD, &[name])[0]).unwrap().path();
        assert_eq!(got, scene.store.root().join("archives").join(place));
        fs::remove_file(scene.path().join("here")).unwrap();
        assert_eq!(scene.fetch(&fetcher(), &archive).unwrap(), got, "{kinds:?}");
        // Damage is seen under every name.
        fs::write(&got, b"the bytes that were w4nted").unwrap();
        assert!(scene.fetch(&fetcher(), &archive).is_err() && !got.exists(), "{kinds:?}");
    }
}

#[test]
fn every_listed_checksum_must_be_right() {
    for wrong in ["sha256", "sha512", "md5"] {
        let scene = Scene::new();
        scene.write("here", GOOD);
        let mut texts = sums(GOOD, &["sha256", "sha512", "md5"]);
        texts.retain(|text| !text.starts_with(wrong));
        texts.extend(sums(b"other bytes", &[wrong]));
        let failure = scene.fetch(&fetcher(), &known_by(&texts, vec![scene.local("here")])).unwrap_err();
        let Failure::HashMismatch { expected, got, kept, .. } = &failure else { panic!("{failure}") };
        let said = |bytes: &[u8]| sums(bytes, &[wrong])[0].trim_start_matches("sha256=").to_owned();
        assert_eq!((expected.clone(), got.clone()), (said(b"other bytes"), said(GOOD)), "{wrong}");
        assert_eq!(*kept, Some(format!("quarantine/download-{}", sum(GOOD))));
        assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
    }
}

#[test]
fn forged_bytes_of_one_md5_are_refused_when_anything_stronger_is_listed() {
    let [wanted, forged] = collision();
    assert!(sums(&wanted, &["md5"]) == sums(&forged, &["md5"]) && wanted != forged);
    for strong in ["sha256", "sha512"] {
        let scene = Scene::new();
        scene.write("forged", &forged);
        scene.write("wanted", &wanted);
        let archive = |place: &str| known_by(&sums(&wanted, &["md5", strong]), vec![scene.local(place)]);
        let failure = scene.fetch(&fetcher(), &archive("forged")).unwrap_err();
        assert!(matches!(failure, Failure::HashMismatch { .. }), "{failure}");
        let got = scene.fetch(&fetcher(), &archive("wanted")).unwrap();
        assert_eq!(fs::read(got).unwrap(), wanted);
    }
    // Who asks by the MD5 alone gets what is there; an archive that is better known is another one.
    let scene = Scene::new();
    scene.write("forged", &forged);
    let weak = known_by(&sums(&wanted, &["md5"]), vec![scene.local("forged")]);
    assert_eq!(fs::read(scene.fetch(&fetcher(), &weak).unwrap()).unwrap(), forged);
    let strong = known_by(&sums(&wanted, &["md5", "sha256"]), vec![]);
    assert!(scene.fetch(&fetcher(), &strong).is_err());
}

#[test]
fn a_stored_archive_that_another_checksum_contradicts_stays_and_is_not_given() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let place = || vec![Place::Url(server.url("x"))];
    let got = scene.fetch(&fetcher(), &known_by(&sums(GOOD, &["sha256"]), place())).unwrap();
    let texts = [sums(GOOD, &["sha256"]), sums(b"other bytes", &["md5"])].concat();
    let failure = scene.fetch(&fetcher(), &known_by(&texts, place())).unwrap_err();
    let Failure::HashMismatch { url, .. } = &failure else { panic!("{failure}") };
    assert!(url.starts_with("the store's archive sha256="), "{url}");
    assert!(got.exists() && server.requests() == 1);
}

#[test]
fn one_archive_under_two_checksums_is_fetched_for_each_and_shared_by_the_best() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let place = || vec![Place::Url(server.url("x"))];
    let by = |kinds: &[&str]| scene.fetch(&fetcher(), &known_by(&sums(GOOD, kinds), place())).unwrap();
    let first = by(&["sha256"]);
    assert_eq!(by(&["sha256", "md5"]), first);
    assert_eq!(by(&["sha512", "sha256"]), first);
    assert_eq!(server.requests(), 1);
    assert_ne!(by(&["sha512"]), first);
    assert_eq!((server.requests(), scene.leftovers().len()), (2, 2));
}

#[test]
fn a_weak_archive_says_so_in_its_provenance() {
    let scene = Scene::new();
    scene.write("here", GOOD);
    let places = || vec![scene.local("here")];
    let (weak, strong) =
        (known_by(&sums(GOOD, &["md5"]), places()), known_by(&sums(GOOD, &["sha256"]), places()));
    let fetcher = fetcher();
    for (archive, is_weak) in [(&weak, true), (&strong, false)] {
        scene.fetch(&fetcher, archive).unwrap();
        let provenance = fetcher.provenance(&scene.store, archive, None);
        let expected = Provenance {
            checksums: archive.checksums.to_string(),
            giver: Some(Giver::Place("here".into())),
            is_new: true,
            is_weak,
            instead_of: None,
        };
        assert_eq!(provenance, expected);
    }
    let note = scene.store.plans().join("fetched").join(weak.checksums.name().label());
    let note = fs::read_to_string(note).unwrap();
    assert_eq!(note, format!("here\n\tplace\there\n\tweak\t{}\n", weak.checksums));
}

#[test]
fn what_an_archive_stands_for_is_told() {
    let scene = Scene::new();
    scene.write("here", GOOD);
    let archive = known_by(&sums(GOOD, &["sha256"]), vec![scene.local("here")]);
    scene.fetch(&fetcher(), &archive).unwrap();
    let listed = Checksums::parse(&[&sums(b"other bytes", &["sha512"])[0]]).unwrap();
    // Another process asks later.
    let told = |asked_for| fetcher().provenance(&scene.store, &archive, asked_for);
    assert_eq!(told(Some(Some(&listed))).instead_of, Some(listed.to_string()));
    assert_eq!(told(Some(Some(&archive.checksums))).instead_of, None);
    assert_eq!(told(Some(None)).instead_of.as_deref(), Some("an archive without a checksum"));
    let provenance = told(None);
    assert_eq!((provenance.is_new, provenance.giver), (false, Some(Giver::Place("here".into()))));
}
