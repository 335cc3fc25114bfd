//! Layers: many of them, ones that disagree, and what a run may do to them.

use jtwbuild::outcome::Failure;
use jtwbuild::sandbox::Settings;
use jtwbuild::store::tree::TreeHash;

use crate::world::{World, bad, listing, overlay};

#[test]
fn what_happens_to_files_of_a_layer_is_judged() {
    let Some(world) = World::new() else { return };
    let fmt = world.tree(&[("lib/fmt/META", "meta\n"), ("lib/fmt/run*", "run\n"), ("share/x", "x\n")]);
    let ok = [
        ("touch /opt/lib /opt/lib/fmt", &[][..]),
        ("touch /opt/lib/fmt/META", &[]),
        ("mkdir /opt/lib/a; echo a > /opt/lib/a/a", &["d lib", "d lib/a", "f lib/a/a 2"]),
        ("cat /opt/lib/fmt/META > /tmp/m; rm /opt/lib/fmt/META; cp /tmp/m /opt/lib/fmt/META", &[]),
        ("cp -r /opt/lib /tmp/lib; rm -r /opt/lib; cp -r /tmp/lib /opt/lib", &[]),
        ("echo x > /opt/new; rm /opt/new", &[]),
        ("ln /opt/lib/fmt/run /opt/copy", &["x copy 4"]),
        ("chmod 700 /opt/lib/fmt/run; chmod 600 /opt/share/x", &[]),
    ];
    for (script, expected) in ok {
        let request = world.request(&[overlay("/opt", &[("fmt", fmt)], Some("opt"))], &[&[script]]);
        let report = world.run(&request).unwrap_or_else(|failure| panic!("{script}: {failure}"));
        assert_eq!(listing(&report.captured["opt"]), expected, "{script}");
    }
    let refused = [
        ("rm /opt/share/x", bad("share/x", "removes a file of fmt")),
        ("rm -r /opt/share", bad("share", "removes a directory of fmt")),
        ("rm -r /opt/lib; mkdir -p /opt/lib/fmt", bad("lib/fmt/META", "removes a file of fmt")),
        ("echo y > /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("chmod +x /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("rm /opt/share/x; ln -s y /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("rm /opt/share/x; mkdir /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("rm -r /opt/share; echo y > /opt/share", bad("share", "changes a directory of fmt")),
        ("mv /opt/share /opt/other", bad("share", "removes a directory of fmt")),
    ];
    for (script, expected) in refused {
        let request = world.request(&[overlay("/opt", &[("fmt", fmt)], Some("opt"))], &[&[script]]);
        assert_eq!(world.run(&request).map(|_| ()).expect_err(script), expected, "{script}");
    }
}

#[test]
fn layers_that_differ_at_one_path_are_refused_and_equal_ones_merge() {
    let Some(world) = World::new() else { return };
    let tree = |files: &[(&str, &str)]| world.tree(files);
    let one = tree(&[("lib/a/x", "1"), ("lib/shared", "s"), ("doc", "d")]);
    let cases = [
        (tree(&[("lib/b/y", "2"), ("lib/shared", "s")]), None),
        (tree(&[("lib/shared", "other")]), Some("lib/shared")),
        (tree(&[("lib/shared*", "s")]), Some("lib/shared")),
        (tree(&[("lib/a", "file")]), Some("lib/a")),
        (tree(&[("doc/d", "directory")]), Some("doc")),
    ];
    for (other, conflict) in cases {
        let mounts = [overlay("/opt", &[("one", one), ("other", other)], None)];
        let result = world.run(&world.request(&mounts, &[&["find /opt | wc -l"]]));
        let expected = conflict.map(|path| Failure::Overlap {
            path: path.to_owned(),
            first: "one".to_owned(),
            second: "other".to_owned(),
        });
        assert_eq!(result.map(|_| ()).err(), expected);
    }
}

#[test]
fn many_layers_are_one_tree() {
    let (most, fewer) = ([(128, true), (128, false), (500, false)], [(40, true), (40, false), (300, false)]);
    let fewer = &fewer[..if crate::rounds() > 1 { fewer.len() } else { 0 }];
    for (count, old_overlays) in most.into_iter().chain(fewer.iter().copied()) {
        let Some(world) = World::with(Settings { old_overlays, ..Settings::default() }) else { return };
        let trees: Vec<TreeHash> = (0..count)
            .map(|number| world.tree(&[(&format!("lib/p{number}/{}", "n".repeat(200)), "x")]))
            .collect();
        let layers: Vec<(&str, TreeHash)> = trees.iter().map(|tree| ("layer", *tree)).collect();
        let look = |layers: &[(&str, TreeHash)]| {
            let opt = overlay("/opt", layers, Some("opt"));
            world.output(&world.request(&[opt], &[&["ls -lR /opt/lib; echo > /opt/lib/new"]]))
        };
        let seen = look(&layers);
        assert_eq!(seen.matches("nnnn\n").count(), count);
        // Files are linked more often where a tree has them all, and directories are times of a copy.
        let names = |seen: &str| {
            seen.lines().map(|line| line[line.rfind(' ').unwrap_or(0)..].to_owned()).collect::<Vec<_>>()
        };
        let all: Vec<(String, &str)> =
            (0..count).map(|number| (format!("lib/p{number}/{}", "n".repeat(200)), "x")).collect();
        let all: Vec<(&str, &str)> = all.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        assert_eq!(names(&seen), names(&look(&[("all", world.tree(&all))])));
    }
}

#[test]
fn a_tree_may_be_several_layers_of_one_overlay() {
    let Some(world) = World::new() else { return };
    let (empty, one) = (world.tree(&[]), world.tree(&[("x", "1")]));
    let layers = [("a", empty), ("b", one), ("c", empty), ("d", one)];
    let request = world.request(&[overlay("/opt", &layers, Some("opt"))], &[&["cat /opt/x; echo > /opt/y"]]);
    let report = world.run(&request).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(listing(&report.captured["opt"]), ["f y 1"]);
}
