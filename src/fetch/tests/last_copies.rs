//! The Debian archive as a source of last copies: by checksum and by file name, from signed indexes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;

use pgp::composed::SignedSecretKey;

use super::debian::catalogue::SUITES;
use super::debian::sources::SourceIndex;
use super::server::{Reply, Server};
use super::signatures::{key, public, sign};
use super::*;
use crate::source::{Archive, Checksum, Checksums};

const GOOD: &[u8] = b"the bytes that were wanted";
const FILE: &str = "ocaml-fmt_0.9.0.orig.tar.bz2";

fn md5(bytes: &[u8]) -> Checksum {
    let hex: String = md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Checksum::from_hex("md5", &hex).unwrap()
}

fn sha512(bytes: &[u8]) -> Checksum {
    let hex: String = sha2::Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Checksum::from_hex("sha512", &hex).unwrap()
}

/// One package of `Sources`, with one file in `directory`.
fn stanza(directory: &str, file: &str, bytes: &[u8]) -> String {
    let (md5, size) = (md5(bytes).to_hex(), bytes.len());
    format!(
        "Package: p\nBinary: a, b\nDirectory: {directory}\nFiles:\n {md5} {size} {file}\n \
         {md5} {size} p_1-1.dsc\nChecksums-Sha256:\n {} {size} {file}\nHomepage: x: y\n",
        sum(bytes)
    )
}

/// A mirror whose suites have signed `Sources`.
struct DebianArchive {
    scene: Scene,
    key: SignedSecretKey,
}

impl DebianArchive {
    fn new(suites: &[(&str, &str)]) -> Self {
        let archive = Self { scene: Scene::new(), key: key() };
        suites.iter().for_each(|(suite, sources)| archive.publish(suite, sources));
        archive.scene.write("debian/key.asc", &public(&archive.key));
        archive
    }

    fn publish(&self, suite: &str, sources: &str) {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(sources.as_bytes()).unwrap();
        let index = encoder.finish().unwrap();
        self.scene.write(&format!("debian/dists/{suite}/main/source/Sources.xz"), &index);
        let (sum, size) = (sum(&index), index.len());
        let release = format!(
            "Suite: {suite}\nCodename: {suite}\nComponents: main\nDate: Fri, 30 Oct 2026 08:08:01 UTC\n\
             SHA256:\n {sum} {size} main/source/Sources.xz\n"
        );
        let release = sign(&release, &self.key);
        self.scene.write(&format!("debian/dists/{suite}/InRelease"), release.as_bytes());
    }

    /// Puts a file where the mirror's root is.
    fn put(&self, path: &str, bytes: &[u8]) {
        self.scene.write(&format!("debian/{path}"), bytes);
    }

    fn settings(&self, suites: &[&str]) -> Settings {
        Settings {
            mirror: Some(self.scene.path().join("debian").display().to_string()),
            keyrings: vec![self.scene.path().join("debian/key.asc")],
            source_suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            limits: quick(),
            ..Settings::default()
        }
    }

    fn fetch(&self, suites: &[&str], archive: &Archive) -> Result<Giver, Failure> {
        let fetcher = Fetcher::new(self.settings(suites));
        let got = self.scene.fetch(&fetcher, archive)?;
        assert_eq!(fs::read(&got).unwrap(), GOOD);
        fs::remove_file(got).unwrap();
        Ok(fetcher.provenance(&self.scene.store, archive, None).giver.unwrap())
    }
}

fn gone() -> Place {
    Place::Url("file:///nowhere/fmt-0.9.0.tbz".into())
}

fn debian(suite: &str, path: &str) -> Giver {
    Giver::Debian { suite: suite.into(), path: path.into() }
}

#[test]
fn an_archive_that_upstream_has_lost_is_found_by_any_checksum_that_the_suites_list() {
    let path = format!("pool/main/o/other/{FILE}");
    let mirror = DebianArchive::new(&[
        ("old", &stanza("pool/main/x/x", "x_1.orig.tar.gz", b"x")),
        ("new", &stanza("pool/main/o/other", FILE, GOOD)),
    ]);
    mirror.put(&path, GOOD);
    let suites = ["old", "new"];
    let listed = |texts: &[&Checksum]| {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Checksums::parse(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    };
    let sha256 = Checksum::from(sum(GOOD));
    for sums in [
        listed(&[&sha256]),
        // `Sources` list no SHA-512 (yet), but the MD5 that old opam files have beside it.
        listed(&[&sha512(GOOD), &md5(GOOD)]),
        listed(&[&md5(GOOD)]),
    ] {
        for places in [vec![gone()], vec![]] {
            let got = mirror.fetch(&suites, &Archive::new(sums, places)).unwrap();
            assert_eq!(got, debian("new", &path), "{sums}");
        }
    }
    let failure = mirror.fetch(&suites, &Archive::new(sha512(GOOD), vec![gone()])).unwrap_err();
    assert!(failure.to_string().contains("/nowhere/fmt"), "{failure}");
    assert!(failure.to_string().contains("no source archive of Debian's old, new has its checksum"));
    let other = Archive::new(sha512(GOOD), vec![Place::Url("file:///nowhere/x-1.tbz".into())]);
    let failure = mirror.fetch(&suites, &other).unwrap_err();
    assert!(failure.to_string().contains("there as x_1.orig.tar.gz, which"), "{failure}");
    // Without suites nothing is looked up.
    assert!(mirror.fetch(&[], &archive(GOOD, [gone()])).is_err());
}

#[test]
fn a_source_archive_that_is_not_where_its_name_says_is_found_by_name() {
    let mirror = DebianArchive::new(&[("test", &stanza("pool/main/f/fmt", FILE, GOOD))]);
    let path = format!("pool/main/f/fmt/{FILE}");
    mirror.put(&path, GOOD);
    let wanted = Archive::new(sha512(GOOD), vec![Place::Debian(FILE.into())]);
    assert!(mirror.fetch(&[], &wanted).is_err());
    assert_eq!(mirror.fetch(&["test"], &wanted).unwrap(), debian("test", &path));
    // Now that the index is there, the place itself is found.
    let place = Giver::Place(Place::Debian(FILE.into()).to_string());
    assert_eq!(mirror.fetch(&["test"], &wanted).unwrap(), place);
    // Where the name says comes after where the index says.
    mirror.put(&format!("pool/main/o/ocaml-fmt/{FILE}"), b"other bytes");
    assert_eq!(mirror.fetch(&["test"], &wanted).unwrap(), place);
}

#[test]
fn indexes_are_fetched_when_nothing_else_helps_and_once_a_day() {
    let mirror = DebianArchive::new(&[("test", &stanza("pool/main/f/fmt", FILE, GOOD))]);
    mirror.put(&format!("pool/main/f/fmt/{FILE}"), GOOD);
    let root = mirror.scene.path().join("debian");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = Server::start(move |path, _| {
        seen.lock().unwrap().push(path.rsplit('/').next().unwrap().to_owned());
        fs::read(root.join(&path[1..])).map_or(Reply::Status(404, ""), Reply::Ok)
    });
    let settings = Settings { mirror: Some(server.url("")), ..mirror.settings(&["test"]) };
    let scene = &mirror.scene;
    let fetch = |archive: &Archive, fetcher: &Fetcher| {
        asked.lock().unwrap().clear();
        let got = scene.fetch(fetcher, archive);
        got.iter().for_each(|got| fs::remove_file(got).unwrap());
        (got.map(drop), asked.lock().unwrap().clone())
    };
    let fetcher = || Fetcher::new(settings.clone());
    // What is here needs no index.
    scene.write("here", GOOD);
    let (got, requests) = fetch(&archive(GOOD, [scene.local("here")]), &fetcher());
    assert!(got.is_ok() && requests.is_empty(), "{requests:?}");
    // Several archives that nobody else has: one look at the suite.
    let one = fetcher();
    let (got, requests) = fetch(&archive(GOOD, [gone()]), &one);
    assert_eq!((got, requests), (Ok(()), ["InRelease", "Sources.xz", FILE].map(String::from).to_vec()));
    let (got, requests) = fetch(&archive(b"nobody's", [gone()]), &one);
    assert!(got.is_err() && requests.is_empty(), "{requests:?}");
    let (_, requests) = fetch(&archive(GOOD, [gone()]), &one);
    assert_eq!(requests, [FILE]);
    // The next run has the index, and asks the archive before the web.
    let web = Place::Url(server.url("upstream"));
    let (_, requests) = fetch(&archive(GOOD, [web.clone()]), &fetcher());
    assert_eq!(requests, [FILE]);
    let (got, requests) = fetch(&archive(b"nobody's", [web]), &fetcher());
    assert!(got.is_err() && requests == ["upstream"], "{requests:?}");
    // A day later the suite is asked, which has not changed; then it has.
    let index = fs::read_dir(scene.store.plans()).unwrap().map(|entry| entry.unwrap().path());
    let index = index.into_iter().find(|path| path.to_str().unwrap().contains("sources-")).unwrap();
    let age = |days: u64| {
        let then = std::time::SystemTime::now() - Duration::from_secs(days * 24 * 3600 + 60);
        fs::File::options().write(true).open(&index).unwrap().set_modified(then).unwrap();
    };
    age(1);
    let (_, requests) = fetch(&archive(b"nobody's", [gone()]), &fetcher());
    assert_eq!(requests, ["InRelease"]);
    let (_, requests) = fetch(&archive(b"nobody's", [gone()]), &fetcher());
    assert!(requests.is_empty(), "{requests:?}");
    mirror.publish("test", &stanza("pool/main/n/new", "new_1.orig.tar", b"new"));
    mirror.put("pool/main/n/new/new_1.orig.tar", b"new");
    age(1);
    let (got, requests) = fetch(&archive(b"new", [gone()]), &fetcher());
    assert_eq!(
        (got, requests),
        (Ok(()), ["InRelease", "Sources.xz", "new_1.orig.tar"].map(String::from).to_vec())
    );
}

#[test]
fn indexes_that_are_truncated_unsigned_or_of_another_suite_give_nothing_and_are_named() {
    type Spoil = fn(&DebianArchive);
    let cases: [(Spoil, &str); 4] = [
        (
            |mirror| {
                let path = mirror.scene.path().join("debian/dists/test/main/source/Sources.xz");
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
            },
            "wrong checksum",
        ),
        (
            |mirror| {
                let path = mirror.scene.path().join("debian/dists/test/InRelease");
                let text = fs::read_to_string(&path).unwrap().replace("Suite: test", "Suite: tost");
                fs::write(path, text).unwrap();
            },
            "InRelease",
        ),
        (
            |mirror| {
                mirror.publish("other", "");
                let other = mirror.scene.path().join("debian/dists/other/InRelease");
                fs::copy(other, mirror.scene.path().join("debian/dists/test/InRelease")).unwrap();
            },
            "not of the suite",
        ),
        (
            |mirror| fs::remove_dir_all(mirror.scene.path().join("debian/dists")).unwrap(),
            "dists/test/InRelease",
        ),
    ];
    for (spoil, words) in cases {
        let mirror = DebianArchive::new(&[("test", &stanza("pool/main/f/fmt", FILE, GOOD))]);
        mirror.put(&format!("pool/main/f/fmt/{FILE}"), GOOD);
        spoil(&mirror);
        let failure = mirror.fetch(&["test"], &archive(GOOD, [gone()])).unwrap_err();
        assert!(failure.to_string().contains(words) && !failure.is_verdict(), "{failure}");
        // A suite in order helps all the same.
        mirror.publish("good", &stanza("pool/main/f/fmt", FILE, GOOD));
        mirror.fetch(&["test", "good"], &archive(GOOD, [gone()])).unwrap();
    }
}

#[test]
fn paths_that_lead_out_of_the_mirror_and_malformed_lines_are_passed_over() {
    let secret = "secret_1.orig.tar";
    let mut text = String::new();
    for directory in ["../../etc", "/etc", "pool/../..", "pool//x", "pool/./x", "", "pool/\0"] {
        writeln!(text, "{}", stanza(directory, secret, GOOD)).unwrap();
    }
    for file in ["../x", "a/b", ".hidden", "a b", "a\u{e9}", "x_1-1.debian.tar.xz", "x_1.orig.tar.gz.asc"] {
        writeln!(text, "{}", stanza("pool/x", file, GOOD)).unwrap();
    }
    let short = &sum(GOOD).to_hex()[1..];
    write!(text, "Directory: pool/y\nChecksums-Sha256:\n {short} 1 y_1.tar\n oops\n\n 1 2 3\nFiles: x\n")
        .unwrap();
    let of = sum(b"index");
    let index = SourceIndex::parse(&text, "m", "s", of);
    assert!(index.is_empty() && index.find(&sum(GOOD).into()).is_none());
    // The rest is taken, upper case too.
    text.push_str(&format!("\n{}", stanza("pool/z", "z_1.tar", GOOD)));
    text.push_str(&format!(
        "\n\nDirectory: pool/u\nChecksums-Sha512:\n {} 5 u_1.tar\n",
        sha512(b"upper").to_hex().to_uppercase()
    ));
    let index = SourceIndex::parse(&text, "m", "s", of);
    assert_eq!(index.len(), 2);
    assert_eq!(index.find(&sum(GOOD).into()).as_deref(), Some("pool/z/z_1.tar"));
    assert_eq!(index.find(&sha512(b"upper")).as_deref(), Some("pool/u/u_1.tar"));
    assert_eq!(index.named("z_1.tar"), ["pool/z/z_1.tar"]);
}

#[test]
fn a_kept_index_is_read_as_written_or_not_at_all() {
    let mut text = String::new();
    for number in 0_u32..500 {
        let file = format!("p{}_{number}.orig.tar.gz", number % 7);
        let directory = format!("pool/main/p/p{}", number % 3);
        writeln!(text, "{}", stanza(&directory, &file, &number.to_le_bytes())).unwrap();
    }
    let index = SourceIndex::parse(&text, "mirror", "suite", sum(b"index"));
    let bytes = index.bytes().to_vec();
    let read = SourceIndex::read(bytes.clone()).unwrap();
    assert_eq!((read.mirror(), read.suite(), read.of()), ("mirror", "suite", sum(b"index")));
    for number in 0_u32..500 {
        let path = format!("pool/main/p/p{}/p{}_{number}.orig.tar.gz", number % 3, number % 7);
        assert_eq!(read.find(&sum(&number.to_le_bytes()).into()), Some(path.clone()));
        assert_eq!(read.find(&md5(&number.to_le_bytes())), Some(path.clone()));
        assert_eq!(read.named(path.rsplit('/').next().unwrap()), [path]);
    }
    assert_eq!(read.find(&sum(b"none").into()), None);
    assert!(read.named("zzz").is_empty() && read.named("").is_empty());
    for length in (0..bytes.len()).step_by(997) {
        assert!(SourceIndex::read(bytes[..length].to_vec()).is_none(), "{length}");
    }
    for at in (0..bytes.len()).step_by(1009) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(SourceIndex::read(flipped).is_none(), "{at}");
    }
}

/// Needs a host whose apt configuration names a Debian mirror (or `JTWBUILD_DEBIAN_MIRROR`).
#[test]
fn the_real_archive_has_last_copies_of_opam_packages() {
    let suites = if std::env::var_os("JTWBUILD_LONG").is_some() { &SUITES[..] } else { &["bookworm"] };
    let settings = Settings {
        source_suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
        ..Settings::default()
    };
    let fetcher = Fetcher::new(settings.clone());
    if let Err(error) = fetcher.mirror() {
        assert!(std::env::var_os("CI").is_none(), "skipped in CI: {error}");
        eprintln!("SKIPPED the_real_archive_has_last_copies_of_opam_packages: {error}");
        return;
    }
    let scene = Scene::new();
    // fmt 0.9.0 as its opam file knows it, from an upstream that does not answer.
    let sum = Sha256::from_hex("f1fb20805a22dd75a137d72704a370e7789cf6bdf63948e6817d1c226c141261").unwrap();
    let archive = Archive::new(sum, vec![gone()]);
    let started = std::time::Instant::now();
    scene.fetch(&fetcher, &archive).unwrap();
    let giver = fetcher.provenance(&scene.store, &archive, None).giver;
    eprintln!("with {} suites, none of them known: {:?}: {giver:?}", suites.len(), started.elapsed());
    assert_eq!(giver, Some(debian("bookworm", &format!("pool/main/o/ocaml-fmt/{FILE}"))));
    let offline = Fetcher::new(Settings { offline: true, ..settings });
    let started = std::time::Instant::now();
    let indexes = offline.catalogue.at_hand(&offline, &scene.store);
    let loaded = started.elapsed();
    let started = std::time::Instant::now();
    let path = indexes.iter().find_map(|index| index.find(&sum.into()));
    let looked_up = started.elapsed();
    assert!(path.is_some() && indexes.iter().map(SourceIndex::len).sum::<usize>() > 30_000);
    eprintln!("known: {loaded:?} to load, {looked_up:?} to look up");
}

/// The checksums in the `url` section of an opam file, by its looks: no parser is to be had here.
fn listed_in(opam: &str) -> Vec<Checksum> {
    let opam = format!("\n{opam}");
    let Some((_, section)) = opam.split_once("\nurl {") else { return Vec::new() };
    let section = section.split("\n}").next().unwrap_or_default();
    section.split('"').skip(1).step_by(2).filter_map(|text| Checksum::parse(text).ok()).collect()
}

/// How much of opam-repository Debian still has. Needs `JTWBUILD_OPAM_REPOSITORY` (the directory with
/// `packages/`) and a mirror.
#[test]
fn last_copies_in_the_real_repository_are_counted() {
    let Some(repository) = std::env::var_os("JTWBUILD_OPAM_REPOSITORY") else {
        eprintln!("SKIPPED last_copies_in_the_real_repository_are_counted: no JTWBUILD_OPAM_REPOSITORY");
        return;
    };
    let settings = Settings { source_suites: SUITES.map(str::to_owned).to_vec(), ..Settings::default() };
    let fetcher = Fetcher::new(settings);
    let scene = Scene::new();
    let started = std::time::Instant::now();
    let (indexes, trouble) = fetcher.catalogue.fetched(&fetcher, &scene.store, &AtomicBool::new(false));
    assert!(trouble.is_empty() && indexes.len() == SUITES.len(), "{trouble:?}");
    eprintln!("fetched and read in {:?}", started.elapsed());
    let mut files = Vec::new();
    for package in fs::read_dir(Path::new(&repository).join("packages")).unwrap() {
        for version in fs::read_dir(package.unwrap().path()).unwrap() {
            files.push(version.unwrap().path().join("opam"));
        }
    }
    let (mut all, mut any, mut weak) = (0, 0, 0);
    let mut found = [0; SUITES.len()];
    let mut looking = Duration::ZERO;
    for file in files {
        let sums = listed_in(&fs::read_to_string(file).unwrap_or_default());
        if sums.is_empty() {
            continue;
        }
        let started = std::time::Instant::now();
        let of: Vec<Option<&Checksum>> =
            indexes.iter().map(|index| sums.iter().find(|sum| index.find(sum).is_some())).collect();
        looking += started.elapsed();
        all += 1;
        any += u32::from(of.iter().any(Option::is_some));
        weak += u32::from(sums.iter().all(|sum| !sum.is_strong()));
        found.iter_mut().zip(&of).for_each(|(count, one)| *count += u32::from(one.is_some()));
    }
    for (index, count) in indexes.iter().zip(found) {
        eprintln!(
            "{}: {} files, {} KiB, {count} found",
            index.suite(),
            index.len(),
            index.bytes().len() >> 10
        );
    }
    eprintln!("{any} of {all} in any suite; {weak} have weak checksums only; {looking:?} for all look-ups");
    assert!(all > 10_000 && any > 300);
}
