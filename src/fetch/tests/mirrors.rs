//! Archive mirrors in the layout of opam's caches: by path and by URL, good and bad ones.

use std::sync::Mutex;

use super::server::{Reply, Server};
use super::*;
use crate::source::{Checksum, Checksums};

const GOOD: &[u8] = b"the bytes that were wanted";

fn with_mirrors(mirrors: &[String]) -> Fetcher {
    Fetcher::new(Settings { archive_mirrors: mirrors.to_vec(), limits: quick(), ..Settings::default() })
}

/// A cache that has these bytes under this checksum.
fn cache(scene: &Scene, name: &str, sum: &Checksum, bytes: &[u8]) -> String {
    scene.write(&format!("{name}/{}", sum.path()), bytes);
    scene.path().join(name).display().to_string()
}

fn both() -> (Checksum, Checksum, Checksums) {
    let sha256 = Checksum::from(sum(GOOD));
    let sha512 = sha2::Sha512::digest(GOOD);
    let sha512: String = sha512.iter().map(|byte| format!("{byte:02x}")).collect();
    let sha512 = Checksum::from_hex("sha512", &sha512).unwrap();
    (sha256, sha512, Checksums::parse(&[&sha256.to_string(), &sha512.to_string()]).unwrap())
}

#[test]
fn mirrors_are_asked_in_order_for_every_checksum_and_before_the_web() {
    let scene = Scene::new();
    let (_, sha512, sums) = both();
    let upstream = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, there) = (Arc::clone(&asked), format!("/cache/{}", sha512.path()));
    let web = Server::start(move |path, _| {
        seen.lock().unwrap().push(path.to_owned());
        if path == there { Reply::Ok(GOOD.to_vec()) } else { Reply::Status(404, "") }
    });
    let empty = scene.path().join("empty").display().to_string();
    let fetcher = with_mirrors(&[empty, web.url("cache/"), "nowhere".into()]);
    let archive = Archive::new(sums, vec![Place::Url(upstream.url("x"))]);
    let got = scene.fetch(&fetcher, &archive).unwrap();
    assert_eq!(fs::read(got).unwrap(), GOOD);
    let expected: Vec<_> = sums.all().map(|sum| format!("/cache/{}", sum.path())).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    assert_eq!(upstream.requests(), 0);
    let giver = fetcher.provenance(&scene.store, &archive, None).giver;
    assert_eq!(giver, Some(Giver::ArchiveMirror(web.url(&format!("cache/{}", sha512.path())))));
    // The document's place is as good as asked: the next run goes nowhere.
    scene.fetch(&with_mirrors(&[]), &archive).unwrap();
    assert_eq!((web.requests(), upstream.requests()), (2, 0));
}

#[test]
fn a_local_place_comes_before_mirrors_and_mirrors_serve_what_has_no_place() {
    let scene = Scene::new();
    let (sha256, ..) = both();
    scene.write("here", GOOD);
    let mirror = cache(&scene, "cache", &sha256, GOOD);
    for (name, mirror) in [("path", mirror.clone()), ("url", format!("file://{mirror}/"))] {
        let fetcher = with_mirrors(&[mirror]);
        let archive = archive(GOOD, []);
        let got = scene.fetch(&fetcher, &archive).unwrap();
        assert!(matches!(
            fetcher.provenance(&scene.store, &archive, None).giver,
            Some(Giver::ArchiveMirror(_))
        ));
        fs::remove_file(got).unwrap();
        let local = super::archive(GOOD, [scene.local("here")]);
        let got = scene.fetch(&fetcher, &local).unwrap();
        let giver = fetcher.provenance(&scene.store, &local, None).giver;
        assert_eq!(giver, Some(Giver::Place("here".into())), "{name}");
        fs::remove_file(got).unwrap();
    }
}

#[test]
fn a_mirror_with_wrong_bytes_is_named_asked_last_and_no_verdict() {
    let scene = Scene::new();
    let (sha256, ..) = both();
    let bad = cache(&scene, "bad", &sha256, b"other bytes");
    let upstream = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let fetcher = with_mirrors(std::slice::from_ref(&bad));
    // Nobody else has it: not the mirror's word is what counts.
    let failure = scene.fetch(&fetcher, &archive(GOOD, [])).unwrap_err();
    assert!(!failure.is_verdict() && failure.to_string().contains("wrong checksum"), "{failure}");
    assert_eq!(fetcher.notices(), [""; 0]);
    let got = scene.fetch(&fetcher, &archive(GOOD, [Place::Url(upstream.url("x"))])).unwrap();
    let notices = fetcher.notices();
    assert!(notices.len() == 1 && notices[0].contains(&bad), "{notices:?}");
    // Once it is known to be bad it is asked after everybody else.
    fs::remove_file(got).unwrap();
    cache(&scene, "bad", &sha256, GOOD);
    scene.fetch(&fetcher, &archive(GOOD, [Place::Url(upstream.url("y"))])).unwrap();
    assert_eq!(upstream.requests(), 2);
    let quarantine = fs::read_dir(scene.store.root().join("quarantine")).unwrap().count();
    assert_eq!(quarantine, 1);
}

#[test]
fn mirrors_that_fail_do_not_hide_what_a_place_has_done() {
    let scene = Scene::new();
    let wrong = Server::start(|_, _| Reply::Ok(b"other bytes".to_vec()));
    let busy = Server::start(|_, _| Reply::Status(503, ""));
    let places = || [Place::Url(wrong.url("x"))];
    let empty = scene.path().join("empty").display().to_string();
    // A mirror without it changes nothing; one that may have it later keeps the door open.
    let failure = scene.fetch(&with_mirrors(&[empty]), &archive(GOOD, places())).unwrap_err();
    assert!(matches!(failure, Failure::HashMismatch { .. }), "{failure}");
    let failure = scene.fetch(&with_mirrors(&[busy.url("")]), &archive(GOOD, places())).unwrap_err();
    assert!(matches!(failure, Failure::FetchFailed { .. }), "{failure}");
    // Where a mirror is wrong too, it may be mended: no verdict.
    let bad = cache(&scene, "bad", &both().0, b"wrong in another way");
    let failure = scene.fetch(&with_mirrors(&[bad]), &archive(GOOD, places())).unwrap_err();
    assert!(!failure.is_verdict(), "{failure}");
    let failure = scene.fetch(&with_mirrors(&["ftp://example.org".into()]), &archive(GOOD, [])).unwrap_err();
    assert!(failure.to_string().contains("neither an http(s) or file URL"), "{failure}");
}

#[test]
fn offline_asks_mirrors_of_this_machine_only() {
    let scene = Scene::new();
    let (sha256, ..) = both();
    let web = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let offline = |mirrors: &[String]| {
        Fetcher::new(Settings { offline: true, archive_mirrors: mirrors.to_vec(), ..Settings::default() })
    };
    let failure = scene.fetch(&offline(&[web.url("")]), &archive(GOOD, [])).unwrap_err();
    assert!(matches!(failure, Failure::Offline { .. }) && web.requests() == 0, "{failure}");
    let mirror = cache(&scene, "cache", &sha256, GOOD);
    scene.fetch(&offline(&[web.url(""), mirror]), &archive(GOOD, [])).unwrap();
}

/// A store's own archives are a cache in that layout.
#[test]
fn the_archives_of_another_store_are_a_mirror() {
    let (scene, other) = (Scene::new(), Scene::new());
    let (sha256, sha512, _) = both();
    other.write("here", GOOD);
    let mirror = other.store.root().join("archives").display().to_string();
    for sum in [sha256, sha512] {
        let archive = Archive::new(sum, vec![other.local("here")]);
        other.fetch(&fetcher(), &archive).unwrap();
        scene.fetch(&with_mirrors(std::slice::from_ref(&mirror)), &Archive::new(sum, vec![])).unwrap();
    }
}
