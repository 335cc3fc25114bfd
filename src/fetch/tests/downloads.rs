//! Places, retries, limits and the store's archives.

use std::sync::Mutex;
use std::time::Instant;

use super::server::{Reply, Server};
use super::*;

const GOOD: &[u8] = b"the bytes that were wanted";

fn url(server: &Server) -> Place {
    Place::Url(server.url("file.tar.gz"))
}

#[test]
fn a_file_is_fetched_once_and_read_from_the_store_after_that() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let archive = archive(GOOD, [url(&server)]);
    let reported = Mutex::new(Vec::new());
    let progress = |done, total| reported.lock().unwrap().push((done, total));
    let stop = AtomicBool::new(false);
    let got = fetcher().fetch(&scene.store, &archive, &progress, &stop).unwrap();
    assert_eq!(got, scene.store.archive_path(&archive.checksums.name()));
    assert_eq!(fs::read(&got).unwrap(), GOOD);
    assert_eq!(reported.lock().unwrap().last(), Some(&(GOOD.len() as u64, Some(GOOD.len() as u64))));
    assert_eq!(scene.fetch(&fetcher(), &archive).unwrap(), got);
    assert_eq!(server.requests(), 1);
    assert_eq!(scene.leftovers(), [got]);
}

#[test]
fn local_files_by_path_and_by_file_url_are_copied_in() {
    let scene = Scene::new();
    let file = scene.write("vendor/a b.tar", GOOD);
    let by_url = format!("file://{}", file.display()).replace(' ', "%20");
    for place in [scene.local("vendor/a b.tar"), Place::Url(by_url)] {
        let got = scene.fetch(&fetcher(), &archive(GOOD, [place])).unwrap();
        assert_eq!(fs::read(&got).unwrap(), GOOD);
        fs::remove_file(got).unwrap();
    }
    let missing = scene.fetch(&fetcher(), &archive(GOOD, [scene.local("vendor")])).unwrap_err();
    assert!(
        matches!(&missing, Failure::FetchFailed { tried, .. } if tried[0].contains("not a regular file"))
    );
}

#[test]
fn wrong_bytes_are_not_published_and_the_next_place_is_asked() {
    let scene = Scene::new();
    let bad = Server::start(|_, _| Reply::Ok(b"other bytes".to_vec()));
    let good = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let failure = scene.fetch(&fetcher(), &archive(GOOD, [url(&bad)])).unwrap_err();
    let expected = Failure::HashMismatch {
        url: bad.url("file.tar.gz"),
        expected: sum(GOOD).to_hex(),
        got: sum(b"other bytes").to_hex(),
        size: 11,
        kept: Some(format!("quarantine/download-{}", sum(b"other bytes"))),
    };
    assert_eq!(failure, expected);
    assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
    scene.fetch(&fetcher(), &archive(GOOD, [url(&bad), url(&good)])).unwrap();
}

#[test]
fn a_mismatch_is_no_verdict_while_another_place_may_still_answer() {
    let scene = Scene::new();
    let bad = Server::start(|_, _| Reply::Ok(b"other bytes".to_vec()));
    let busy = Server::start(|_, _| Reply::Status(503, ""));
    let failure = scene.fetch(&fetcher(), &archive(GOOD, [url(&bad), url(&busy)])).unwrap_err();
    assert!(!failure.is_verdict());
    let Failure::FetchFailed { tried, .. } = failure else { panic!("{failure}") };
    assert!(tried[0].contains("wrong checksum") && tried[0].contains(&bad.url("")), "{tried:?}");
    assert!(tried[1].contains("503"), "{tried:?}");
    let gone = Server::start(|_, _| Reply::Status(404, ""));
    let failure = scene.fetch(&fetcher(), &archive(GOOD, [url(&gone), url(&bad)])).unwrap_err();
    assert!(matches!(failure, Failure::HashMismatch { .. }), "{failure}");
}

#[test]
fn a_poisoned_archive_is_discarded_and_fetched_again() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let archive = archive(GOOD, [url(&server)]);
    let target = scene.store.archive_path(&archive.checksums.name());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(&target, b"the bytes that were w4nted").unwrap();
    let offline = Fetcher::new(Settings { offline: true, ..Settings::default() });
    assert!(matches!(scene.fetch(&offline, &archive), Err(Failure::Offline { .. })));
    assert!(!target.exists());
    fs::write(&target, b"poison").unwrap();
    assert_eq!(fs::read(scene.fetch(&fetcher(), &archive).unwrap()).unwrap(), GOOD);
}

#[test]
fn trouble_that_passes_is_tried_again_and_other_trouble_is_not() {
    let scene = Scene::new();
    let busy = Server::start(|_, number| match number {
        0 => Reply::Status(503, "Retry-After: 0\r\n"),
        1 => Reply::Truncated(GOOD.to_vec()),
        _ => Reply::Ok(GOOD.to_vec()),
    });
    scene.fetch(&fetcher(), &archive(GOOD, [url(&busy)])).unwrap();
    assert_eq!(busy.requests(), 3);
    for (reply, requests) in [(404, 1), (403, 1), (429, 3), (500, 3)] {
        let scene = Scene::new();
        let server = Server::start(move |_, _| Reply::Status(reply, ""));
        let failure = scene.fetch(&fetcher(), &archive(GOOD, [url(&server)])).unwrap_err();
        assert!(failure.to_string().contains(&reply.to_string()), "{failure}");
        assert!(!failure.is_verdict());
        assert_eq!(server.requests(), requests, "{reply}");
    }
}

#[test]
fn a_host_that_cannot_be_reached_is_asked_in_one_fetch_only() {
    let scene = Scene::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (fetcher, archive) = (fetcher(), archive(GOOD, [Place::Url(format!("http://{nobody}/x"))]));
    let first = scene.fetch(&fetcher, &archive).unwrap_err();
    assert!(first.to_string().contains("refused"), "{first}");
    let second = scene.fetch(&fetcher, &archive).unwrap_err();
    assert!(second.to_string().contains(&format!("`{nobody}` could not be reached earlier")), "{second}");
    assert!(!second.is_verdict());
    // A host that redirects there is itself still asked.
    let server = Server::start(move |path, _| match path {
        "/away" => Reply::Redirect(format!("http://{nobody}/x")),
        _ => Reply::Ok(GOOD.to_vec()),
    });
    let places = [Place::Url(server.url("away")), url(&server)];
    scene.fetch(&fetcher, &super::archive(GOOD, places)).unwrap();
    assert_eq!(server.requests(), 2);
}

/// Runs one fetch against a server with one behaviour; gives the reason and the number of requests.
fn refused(reply: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> (String, usize) {
    refused_by(&fetcher(), reply)
}

fn refused_by(
    fetcher: &Fetcher,
    reply: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
) -> (String, usize) {
    let scene = Scene::new();
    let server = Server::start(reply);
    let failure = scene.fetch(fetcher, &archive(GOOD, [url(&server)])).unwrap_err();
    assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
    assert!(matches!(failure, Failure::FetchFailed { .. }), "{failure}");
    (failure.to_string(), server.requests())
}

#[test]
fn truncated_reset_and_endless_bodies_are_refused() {
    let (reason, requests) = refused(|_, _| Reply::Truncated(GOOD.to_vec()));
    assert!(reason.contains("ended after 26 of 36 bytes"), "{reason}");
    assert_eq!(requests, 3);
    let (_, requests) = refused(|_, _| Reply::Reset);
    assert_eq!(requests, 3);
    let (reason, requests) = refused(|_, _| Reply::Endless);
    assert!(reason.contains("more than the 1048576 bytes"), "{reason}");
    assert_eq!(requests, 1);
    let (reason, requests) = refused(|_, _| Reply::Ok(vec![0; (1 << 20) + 1]));
    assert!(reason.contains("more than the 1048576 bytes"), "{reason}");
    assert_eq!(requests, 1);
}

#[test]
fn stalled_and_dripping_servers_are_given_up() {
    let started = Instant::now();
    for slow in [|_: &str, _: usize| Reply::Stall(vec![b'x'; 8]), |_: &str, _: usize| Reply::Drip] {
        let (reason, requests) = refused_by(&hasty(), slow);
        assert!(reason.contains("arrived for") || reason.contains("timeout"), "{reason}");
        assert_eq!(requests, 3);
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn redirects_are_followed_within_limits() {
    let scene = Scene::new();
    let server = Server::start(|path, _| match path {
        "/file.tar.gz" => Reply::Redirect("next?x=1".into()),
        "/next?x=1" => Reply::Redirect("/there".into()),
        "/there" => Reply::Ok(GOOD.to_vec()),
        _ => Reply::Status(404, ""),
    });
    scene.fetch(&fetcher(), &archive(GOOD, [url(&server)])).unwrap();
    let (reason, requests) = refused(|_, _| Reply::Redirect("/file.tar.gz".into()));
    assert!(reason.contains("more than 5 times"), "{reason}");
    assert_eq!(requests, 6);
}

#[test]
fn redirects_to_files_and_private_addresses_are_refused() {
    let secret = Scene::new();
    let file = secret.write("secret", GOOD);
    for to in
        [format!("file://{}", file.display()), "http://127.0.0.2:1/".into(), "ftp://a.example.org/".into()]
    {
        let shown = to.clone();
        let (reason, requests) = refused(move |_, _| Reply::Redirect(to.clone()));
        assert!(reason.contains(&shown), "{reason}");
        assert_eq!(requests, 1);
    }
}

#[test]
fn offline_uses_what_is_here_and_names_what_is_not() {
    let scene = Scene::new();
    scene.write("here", GOOD);
    let server = Server::start(|_, _| Reply::Ok(GOOD.to_vec()));
    let offline = Fetcher::new(Settings { offline: true, ..Settings::default() });
    let far = archive(GOOD, [url(&server)]);
    assert_eq!(scene.fetch(&offline, &far), Err(Failure::Offline { what: server.url("file.tar.gz") }));
    scene.fetch(&offline, &archive(GOOD, [url(&server), scene.local("here")])).unwrap();
    // In the store now, so that the place no longer matters.
    scene.fetch(&offline, &far).unwrap();
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_mirror_serves_pool_files_and_source_archives() {
    let scene = Scene::new();
    scene.write("debian/pool/main/o/ocaml-fmt/ocaml-fmt_0.9.0.orig.tar.bz2", GOOD);
    let mirror = format!("file://{}/debian", scene.path().display());
    let fetcher = Fetcher::new(Settings { mirror: Some(mirror), ..Settings::default() });
    let source = Place::Debian("ocaml-fmt_0.9.0.orig.tar.bz2".into());
    let pool = Place::Mirror("pool/main/o/ocaml-fmt/ocaml-fmt_0.9.0.orig.tar.bz2".into());
    for place in [source, pool] {
        fs::remove_file(scene.fetch(&fetcher, &archive(GOOD, [place])).unwrap()).unwrap();
    }
    let places = [Place::Debian("fmt_1.orig.tar.gz".into()), Place::Mirror("../x".into())];
    let failure = scene.fetch(&fetcher, &archive(GOOD, places)).unwrap_err();
    let Failure::FetchFailed { tried, .. } = failure else { panic!("{failure}") };
    assert!(tried[0].contains("pool/main/f/fmt/fmt_1.orig.tar.gz"), "{tried:?}");
    assert!(tried[1].contains("`../x` is not a path below a mirror"), "{tried:?}");
}

#[test]
fn stopping_ends_a_stalled_download_at_once() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::Stall(vec![b'x'; 8]));
    let patient = Fetcher::new(Settings::default());
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let archive = archive(GOOD, [url(&server)]);
        let failure = patient.fetch(&scene.store, &archive, &|_, _| {}, &stop);
        assert_eq!(failure, Err(Failure::Cancelled));
    });
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(scene.leftovers(), [] as [PathBuf; 0]);
}

#[test]
fn many_threads_may_fetch_the_same_file() {
    let scene = Scene::new();
    let bytes = vec![7; 300_000];
    let copy = bytes.clone();
    let server = Server::start(move |_, _| Reply::Ok(copy.clone()));
    let (archive, fetcher) = (archive(&bytes, [url(&server)]), fetcher());
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| scene.fetch(&fetcher, &archive).unwrap());
        }
    });
    assert_eq!(scene.leftovers().len(), 1);
}
