//! Debian packages into a root file system.

use super::deb::{base, unpack_deb};
use super::selection::Selection;
use super::*;
use crate::source::PinnedDeb;

/// An `ar` archive.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, body) in members {
        let head = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, body.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body);
        if body.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A package with this data archive.
pub fn deb(data: Tar) -> Vec<u8> {
    let data = zstd::encode_all(&data.end()[..], 1).unwrap();
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"not read"), ("data.tar.zst", &data)])
}

fn unpacked(bytes: &[u8], drop: &[&str]) -> Result<(Scene, Staging, Tree), Failure> {
    let scene = Scene::new();
    let file = scene.write("x.deb", bytes);
    let staging = scene.stage();
    let drop: Vec<_> = drop.iter().map(|text| (*text).to_owned()).collect();
    unpack_deb("x 1", &file, &staging, &Selection::without(&drop)).map(|tree| (scene, staging, tree))
}

#[test]
fn top_level_directories_go_below_usr_and_documents_are_dropped() {
    let data = Tar::default()
        .directory("./")
        .directory("./bin/")
        .program("./bin/sh", "sh")
        .link("./lib64", "usr/lib64")
        .file("./lib/x/libx.so", "so")
        .file("./usr/lib/x/other", "o")
        .file("./usr/share/doc/x/copyright", "c")
        .file("./etc/x.conf", "conf")
        .hard_link("./usr/share/doc/x/link", "./usr/share/doc/x/copyright")
        .hard_link("./usr/bin/sh2", "./bin/sh");
    let (_scene, staging, tree) = unpacked(&deb(data), &["usr/share/doc/**"]).unwrap();
    for (at, expected) in [
        ("usr/bin/sh", "!sh"),
        ("usr/bin/sh2", "!sh"),
        ("usr/lib/x/libx.so", "so"),
        ("usr/lib/x/other", "o"),
        ("etc/x.conf", "conf"),
        ("usr/share", "nothing"),
        ("bin", "nothing"),
        ("lib64", "nothing"),
    ] {
        assert_eq!(text(&staging, &tree, at), expected, "{at}");
    }
}

#[test]
fn what_is_not_a_package_is_refused() {
    let good: [(&str, &[u8]); 3] = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", b"x"),
        ("data.tar", &Tar::default().file("./a", "").end()),
    ];
    assert!(unpacked(&ar(&good), &[]).is_ok());
    let version: [(&str, &[u8]); 3] = [("debian-binary", b"3.0\n"), good[1], good[2]];
    let swapped = [good[0], good[2], good[1]];
    let cut = ar(&good);
    let mut size = ar(&good);
    size[8 + 48..8 + 58].copy_from_slice(b"-4        ");
    for (bytes, why) in [
        (ar(&version), "version 2"),
        (ar(&swapped), "members are not"),
        (ar(&good[..2]), "truncated"),
        (cut[..100].to_vec(), "truncated"),
        (cut[..cut.len() - 1024 - 300].to_vec(), "truncated"),
        (size, "malformed"),
        (b"!<arch>".to_vec(), "too short"),
        (b"not an archive".to_vec(), "not an ar archive"),
    ] {
        let failure = unpacked(&bytes, &[]).unwrap_err();
        assert!(
            matches!(&failure, Failure::BadInput { what, reason } if what == "x 1" && reason.contains(why)),
            "{why}: {failure}"
        );
    }
    let hostile = deb(Tar::default().link("./usr", "/etc").file("./usr/x", "x"));
    assert!(matches!(unpacked(&hostile, &[]), Err(Failure::BadInput { .. })));
    let hostile = deb(Tar::default().file("./../../x", "x"));
    assert!(matches!(unpacked(&hostile, &[]), Err(Failure::BadInput { .. })));
}

/// Packages on a mirror in the scene's directory.
fn publish(scene: &Scene, name: &str, data: Tar) -> PinnedDeb {
    let (bytes, path) = (deb(data), format!("pool/main/x/{name}.deb"));
    scene.write(&format!("debian/{path}"), &bytes);
    PinnedDeb { name: name.into(), version: "1".into(), path, size: bytes.len() as u64, sha256: sum(&bytes) }
}

fn make_base(scene: &Scene, staging: &Staging, debs: &[PinnedDeb]) -> Result<Tree, Failure> {
    let mirror = scene.path().join("debian").display().to_string();
    let fetcher = Fetcher::new(Settings { mirror: Some(mirror), limits: quick(), ..Settings::default() });
    let total: u64 = debs.iter().map(|deb| deb.size).sum();
    let progress = |done: u64, all| assert!(done <= total && all == Some(total), "{done} of {all:?}");
    base(&fetcher, &scene.store, staging, debs, &Selection::default(), &progress, &AtomicBool::new(false))
}

#[test]
fn packages_are_merged_into_one_root_with_its_links() {
    let scene = Scene::new();
    let mut debs: Vec<_> = (0..12)
        .map(|index| {
            let own = format!("./usr/share/p{index}/file");
            publish(&scene, &format!("p{index}"), Tar::default().directory("./usr/share/").file(&own, &own))
        })
        .collect();
    debs.push(publish(&scene, "sh", Tar::default().program("./bin/sh", "sh").file("./lib64/ld.so", "ld")));
    let staging = scene.stage();
    let tree = make_base(&scene, &staging, &debs).unwrap();
    assert_eq!(tree.files().len(), 14);
    for (at, expected) in [
        ("bin", "-> usr/bin"),
        ("sbin", "-> usr/sbin"),
        ("lib", "-> usr/lib"),
        ("lib64", "-> usr/lib64"),
        ("usr/sbin", "a directory"),
        ("usr/bin/sh", "!sh"),
        ("usr/lib64/ld.so", "ld"),
    ] {
        assert_eq!(text(&staging, &tree, at), expected, "{at}");
    }
    debs.reverse();
    assert_eq!(make_base(&scene, &staging, &debs).unwrap(), tree);
    let hash = staging.publish(&tree).unwrap();
    assert_eq!(
        scene.store.tree_path(&hash).join("bin/sh").canonicalize().unwrap().file_name().unwrap(),
        "sh"
    );
}

#[test]
fn packages_that_hold_different_things_at_one_path_are_both_named() {
    let scene = Scene::new();
    for (second, at) in [
        (Tar::default().file("./usr/a/f", "2"), "usr/a/f"),
        (Tar::default().file("./usr/a/f/g", "2"), "usr/a/f"),
        (Tar::default().link("./usr/a", "b"), "usr/a"),
    ] {
        let debs = [
            publish(&scene, "other", Tar::default().file("./usr/b", "b")),
            publish(&scene, "one", Tar::default().file("./usr/a/f", "1")),
            publish(&scene, "two", second),
        ];
        let failure = make_base(&scene, &scene.stage(), &debs).unwrap_err();
        let expected = Failure::Overlap { path: at.into(), first: "one".into(), second: "two".into() };
        assert_eq!(failure, expected);
    }
}

#[test]
fn a_package_with_other_bytes_than_pinned_is_refused() {
    let scene = Scene::new();
    let good = publish(&scene, "good", Tar::default().file("./usr/a", "1"));
    let mut wrong = publish(&scene, "wrong", Tar::default().file("./usr/b", "1"));
    wrong.sha256 = sum(b"something else");
    let failure = make_base(&scene, &scene.stage(), &[good.clone(), wrong.clone()]).unwrap_err();
    assert!(matches!(&failure, Failure::HashMismatch { url, .. } if url.ends_with("wrong.deb")), "{failure}");
    let mut long = good;
    long.size -= 1;
    scene
        .store
        .archive_path(&long.sha256.into())
        .exists()
        .then(|| fs::remove_file(scene.store.archive_path(&long.sha256.into())));
    let failure = make_base(&scene, &scene.stage(), &[long]).unwrap_err();
    assert!(failure.to_string().contains("more than"), "{failure}");
}

#[test]
fn of_a_package_only_the_parts_that_are_taken_are_unpacked() {
    let data = Tar::default()
        .directory("./")
        .directory("./usr/lib/ocaml/x/")
        .directory("./usr/lib/ocaml/empty/")
        .file("./usr/lib/ocaml/x/META", "meta")
        .file("./usr/lib/ocaml/x/x.cma", "bytecode")
        .file("./usr/lib/ocaml/x/x.cmxa", "native")
        .hard_link("./usr/lib/ocaml/x/y.cma", "./usr/lib/ocaml/x/x.cma")
        .file("./usr/share/doc/x/META", "not this one");
    let scene = Scene::new();
    let file = scene.write("x.deb", &deb(data));
    let staging = scene.stage();
    let mut selection = Selection::default();
    let keep = ["**/META", "**/*.cma"].map(str::to_owned);
    selection.and_take("usr/lib/ocaml", "lib", &keep).unwrap();
    let tree = unpack_deb("x 1", &file, &staging, &selection).unwrap();
    let files: Vec<_> = tree.files().into_iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(files, ["lib/x/META", "lib/x/x.cma", "lib/x/y.cma"]);
    assert_eq!(tree.get(&path("lib/empty")), None);
}
