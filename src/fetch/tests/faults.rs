//! What goes wrong with origins, and with files that change.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::server::{Reply, Server};
use super::*;

const GOOD: &[u8] = b"the bytes that were wanted";

fn url(server: &Server, path: &str) -> Place {
    Place::Url(server.url(path))
}

fn serving(bytes: &[u8]) -> Server {
    let bytes = bytes.to_vec();
    Server::start(move |_, _| Reply::Ok(bytes.clone()))
}

#[test]
fn wrong_bytes_are_kept_for_people_and_published_nowhere() {
    let scene = Scene::new();
    let bad = serving(b"other bytes");
    for _ in 0..2 {
        let failure = scene.fetch(&fetcher(), &archive(GOOD, [url(&bad, "x")])).unwrap_err();
        let message = failure.to_string();
        for part in [bad.url("x"), sum(GOOD).to_hex(), sum(b"other bytes").to_hex(), "(11 bytes)".into()] {
            assert!(message.contains(&part), "{message}");
        }
        let Failure::HashMismatch { kept: Some(kept), .. } = failure else { panic!("{message}") };
        assert!(message.ends_with(&format!("kept in the store as {kept}")), "{message}");
        assert_eq!(fs::read(scene.store.root().join(kept)).unwrap(), b"other bytes");
    }
    assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
    assert_eq!(fs::read_dir(scene.store.root().join("quarantine")).unwrap().count(), 1);
}

#[test]
fn a_new_place_of_known_bytes_is_asked_once() {
    let scene = Scene::new();
    let (old, new, wrong) = (serving(GOOD), serving(GOOD), serving(b"other bytes"));
    let at = |servers: &[&Server]| archive(GOOD, servers.iter().map(|server| url(server, "x")));
    scene.fetch(&fetcher(), &at(&[&old])).unwrap();
    // The same bytes are claimed to be somewhere else.
    let failure = scene.fetch(&fetcher(), &at(&[&wrong])).unwrap_err();
    assert!(matches!(failure, Failure::HashMismatch { .. }), "{failure}");
    for _ in 0..2 {
        scene.fetch(&fetcher(), &at(&[&new])).unwrap();
        scene.fetch(&fetcher(), &at(&[&old])).unwrap();
        // One place that is known is enough.
        scene.fetch(&fetcher(), &at(&[&wrong, &new])).unwrap();
    }
    assert_eq!((old.requests(), new.requests(), wrong.requests()), (1, 1, 1));
    // Who is offline cannot ask; and nobody knows where an archive came from that was put there.
    let offline = Fetcher::new(Settings { offline: true, ..Settings::default() });
    scene.fetch(&offline, &at(&[&wrong])).unwrap();
    fs::remove_dir_all(scene.store.plans().join("fetched")).unwrap();
    scene.fetch(&fetcher(), &at(&[&wrong])).unwrap();
    assert_eq!(wrong.requests(), 1);
}

#[test]
fn an_origin_that_was_proved_wrong_is_named_once_and_asked_last() {
    let scene = Scene::new();
    let (bad, good) = (serving(b"other bytes"), Server::start(|_, _| Reply::Ok(GOOD.to_vec())));
    let fetcher = fetcher();
    let ask = |path: &str| {
        let places = [url(&bad, path), url(&good, path)];
        let got = scene.fetch(&fetcher, &archive(GOOD, places)).unwrap();
        fs::remove_file(got).unwrap();
    };
    ask("one");
    assert_eq!((bad.requests(), good.requests()), (1, 1));
    ask("two");
    ask("three");
    assert_eq!((bad.requests(), good.requests()), (1, 3));
    let notices = fetcher.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains(&bad.url("one")) && !notices[0].contains(&good.url("")), "{notices:?}");
    // It is still asked for what nobody else has.
    let alone = archive(b"other bytes", [url(&bad, "alone")]);
    scene.fetch(&fetcher, &alone).unwrap();
    assert_eq!(bad.requests(), 2);
}

#[test]
fn an_origin_is_not_blamed_while_the_checksum_may_be_wrong() {
    let scene = Scene::new();
    let server = serving(b"other bytes");
    let fetcher = fetcher();
    scene.fetch(&fetcher, &archive(GOOD, [url(&server, "one"), url(&server, "two")])).unwrap_err();
    assert_eq!(fetcher.notices(), [""; 0]);
}

#[test]
fn servers_that_break_the_protocol_are_given_up_and_nothing_is_remembered() {
    // The reply, whether it may pass (and is tried again), and how much of the bytes arrives.
    type Case = (fn(&str, usize) -> Reply, &'static str);
    let cases: [Case; 3] = [
        (|_, _| Reply::EndlessHead, "a header without end"),
        (|_, _| Reply::DrippingHead, "a header byte by byte"),
        (|_, _| Reply::Garbage, "another protocol"),
    ];
    for (reply, what) in cases {
        let scene = Scene::new();
        let server = Server::start(reply);
        let started = Instant::now();
        let failure = scene.fetch(&hasty(), &archive(GOOD, [url(&server, "x")])).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: {:?}", started.elapsed());
        assert!(matches!(failure, Failure::FetchFailed { .. }) && !failure.is_verdict(), "{what}: {failure}");
        assert!((1..=3).contains(&server.requests()), "{what}: {}", server.requests());
        assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_body_longer_than_promised_is_cut_where_it_was_promised_to_end() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::Long(GOOD.to_vec()));
    let got = scene.fetch(&fetcher(), &archive(GOOD, [url(&server, "x")])).unwrap();
    assert_eq!(fs::read(got).unwrap(), GOOD);
}

#[test]
fn nothing_is_decompressed_on_the_way_so_a_bomb_stays_small() {
    let scene = Scene::new();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let sent = bomb.clone();
    let server = Server::start(move |_, _| Reply::Compressed(sent.clone()));
    let got = scene.fetch(&fetcher(), &archive(&bomb, [url(&server, "x")])).unwrap();
    assert_eq!(fs::metadata(got).unwrap().len(), bomb.len() as u64);
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_trouble_that_may_pass() {
    for append in [true, false] {
        let scene = Scene::new();
        let bytes = vec![7; 600_000];
        let path = scene.write("data", &bytes);
        // The time of a change has to differ from that of the file.
        let before = std::time::SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        let told = AtomicUsize::new(0);
        let change = |done: u64, _: Option<u64>| {
            if done > 0 && told.fetch_add(1, Ordering::SeqCst) == 0 {
                let mut file = fs::File::options().append(append).write(true).open(&path).unwrap();
                file.write_all(b"changed").unwrap();
            }
        };
        let archive = archive(&bytes, [scene.local("data")]);
        let stop = AtomicBool::new(false);
        let failure = fetcher().fetch(&scene.store, &archive, &change, &stop).unwrap_err();
        assert!(failure.to_string().contains("it changed while it was read"), "{failure}");
        assert!(!failure.is_verdict());
        assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
    }
}
