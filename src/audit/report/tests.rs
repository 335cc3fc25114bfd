//! Pages are whole, lead nowhere else, and nothing of a stranger is markup in them.
//!
//! With `JTWBUILD_PAGES=DIR`, the pages are written there for people to look at.

use std::collections::HashSet;

use super::*;
use crate::audit::compare::Differing;
use crate::audit::judge::Cause;
use crate::audit::strip::Strips;
use crate::explain::{Finding, explain};
use crate::inspect::trees::{Change, Difference, Entry};
use crate::outcome::Failure;
use crate::store::tree::RelPath;

fn set(text: &str) -> Variations {
    text.parse().unwrap()
}

fn judgement(verdict: Verdict, causes: &[Cause]) -> Judgement {
    let causes = causes.to_vec();
    Judgement { verdict, causes, builds: 3, stored: true, varied: Variations::all(), ..Judgement::none() }
}

/// A file that differs, with what is found in it.
fn differing(path: &str, before: &[u8], after: &[u8], findings: Vec<Finding>) -> Differing {
    let entry = |bytes: &[u8]| Entry::File {
        size: bytes.len() as u64,
        executable: false,
        blob: format!("{bytes:?}"),
    };
    let change = Change::Changed { before: entry(before), after: entry(after), lines: None };
    let path = RelPath::parse(path).unwrap();
    let mut explanation = explain("x", before, after);
    explanation.iter_mut().for_each(|told| told.findings.clone_from(&findings));
    Differing {
        difference: Difference { path, change },
        published: true,
        explanation,
        strips: Some(Strips::new(before, after)),
    }
}

fn finding(place: &str, before: &str, after: &str) -> Finding {
    Finding {
        place: vec!["member stdlib.o".to_owned(), place.to_owned()],
        note: Some("a date".to_owned()),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
    }
}

fn judged<'a>(id: &'a str, judgement: &'a Judgement, needs: Vec<usize>) -> Judged<'a> {
    let took = "1.5 s".to_owned();
    Judged { id, judgement, because: None, help: None, took, needs, diffoscope: None }
}

fn report<'a>(nodes: &'a [Judged<'a>]) -> Report<'a> {
    Report {
        universe: "demo",
        jtwbuild: "0.1.0",
        made: "2026-11-30 03:00:00 UTC",
        took: "3 min 5 s",
        vary: set("all,-load"),
        times: 1,
        is_interrupted: false,
        nodes,
    }
}

/// The page, which is whole: every element that begins ends, every link into the page leads somewhere,
/// and nothing is asked of anybody.
fn page(name: &str, report: &Report<'_>) -> String {
    let html = report.html();
    if let Some(directory) = std::env::var_os("JTWBUILD_PAGES") {
        std::fs::write(std::path::Path::new(&directory).join(format!("{name}.html")), &html).unwrap();
    }
    // What has begun before the style has ended.
    let (mut open, mut names, mut links) = (vec!["html", "head"], HashSet::new(), Vec::new());
    let body = html.split_once("</style>").unwrap().1;
    for tag in body.split('<').skip(1) {
        let tag = tag.split_once('>').unwrap_or_else(|| panic!("`<{tag}` has no end")).0;
        let is_closed = tag.ends_with('/');
        match tag.strip_prefix('/') {
            Some(end) => assert_eq!(open.pop(), Some(end), "{name}"),
            None if is_closed => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
        let mut values = tag.split('"');
        while let (Some(attribute), Some(value)) = (values.next(), values.next()) {
            match attribute.trim_start().rsplit(' ').next().unwrap() {
                "id=" => assert!(names.insert(value), "{name}: `{value}` is there twice"),
                "href=" => links.push(value),
                "src=" | "style=" | "srcset=" => panic!("{name}: {tag}"),
                attribute => assert!(!attribute.starts_with("on"), "{name}: {tag}"),
            }
        }
    }
    assert_eq!(open.pop(), None, "{name}");
    for link in links {
        match link.strip_prefix('#') {
            Some(target) => assert!(names.contains(target), "{name}: {link} leads nowhere"),
            None => assert!(!link.contains(':') && !link.starts_with('/'), "{name}: {link}"),
        }
    }
    for outside in ["http://", "https://", "url(", "@import", "<script", "javascript:"] {
        assert!(!html.contains(outside), "{name}: {outside}");
    }
    html
}

#[test]
fn nothing_of_a_stranger_is_markup() {
    let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}";
    let text = format!("{evil}\n</style></pre><!--");
    let mut bad = judgement(Verdict::NotReproducible, &[Cause::Itself]);
    let one = Finding {
        place: vec![evil.into(), evil.into()],
        note: Some(evil.into()),
        before: Some(text.clone()),
        after: None,
    };
    let file = evil.replace('/', "_");
    bad.differences =
        vec![differing(&file, text.as_bytes(), b"<b>", vec![one.clone(), finding(evil, evil, &text)])];
    bad.differences.push(Differing {
        difference: Difference {
            path: RelPath::parse(format!("d/{file}")).unwrap(),
            change: Change::Added { after: Entry::Link { target: text.clone() } },
        },
        published: false,
        explanation: None,
        strips: None,
    });
    let mut lost = judgement(Verdict::NotJudged, &[]);
    lost.failure = Some(Failure::BadInput { what: evil.into(), reason: text.clone() });
    let nodes = [
        Judged { diffoscope: Some("d/x.html".into()), ..judged(evil, &bad, vec![]) },
        Judged { because: Some(evil), help: Some(evil), took: evil.into(), ..judged(evil, &lost, vec![0]) },
    ];
    let html = page("hostile", &Report { universe: evil, made: evil, ..report(&nodes) });
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(html.contains("\\u{202e}") && !html.contains('\u{202e}'));
    assert!(!html.contains("<img") && !html.contains("<!--"));
    assert!(html.contains("href=\"d/x.html\""));
}

#[test]
fn a_page_tells_why_where_and_what() {
    let good = judgement(Verdict::Reproducible, &[]);
    let mut bad = judgement(
        Verdict::NotReproducible,
        &[
            Cause::Varied { variations: set("time") },
            Cause::Varied { variations: set("hostname,user") },
            Cause::Unsteady { variations: set("jobs") },
        ],
    );
    let (before, mut after) = (vec![7; 100_000], vec![7; 100_000]);
    after[50_000] = 8;
    bad.differences = vec![
        differing("lib/x/x.cma.js", &before, &after, vec![finding("line 3", "on 1 May", "on 2 May")]),
        differing("lib/x/META", b"version = \"1\"", b"version = \"2\"", vec![]),
    ];
    let mut fair = judgement(Verdict::IntermediatesDiffer, &[Cause::Stored]);
    fair.differences = vec![differing("lib/x/x.cmxs", b"/tmp/a", b"/tmp/b", vec![])];
    fair.differences[0].published = false;
    let mut lost = judgement(Verdict::NotJudged, &[]);
    lost.failure = Some(Failure::Cancelled);
    let nodes = [
        judged("base/busybox", &good, vec![]),
        judged("build/x.1", &bad, vec![0]),
        judged("build/y.1", &fair, vec![0, 1]),
        judged("node/z", &lost, vec![2]),
    ];
    let html = page("words", &Report { is_interrupted: true, ..report(&nodes) });
    for expected in [
        "This audit was interrupted.",
        "<strong>1</strong> not reproducible",
        "<li>hostname, user together</li>",
        "<td title=\"jobs, but not each time\">",
        "<pre>\non <del>1</del> May</pre>",
        "<pre>\non <ins>2</ins> May</pre>",
        "member stdlib.o <span aria-hidden=\"true\">›</span> line 3 <em>a date</em>",
        "100,000 bytes from begin to end; 1 of 200 parts differ",
        "<rect x=\"100\" width=\"1\" height=\"10\"",
        "From byte 50,000 (0xc350) on",
        "<h4>Intermediates: only other builds use them</h4>",
        "<s class=\"chip\">load</s>",
        "3 min 5 s",
        "jtwbuild 0.1.0",
    ] {
        assert!(html.contains(expected), "{expected}\n{html}");
    }
    // Only edges that say something: y needs the base by way of x.
    let (edges, _) = html.split_once("<g class=\"edges\"").unwrap().1.split_once("</g>").unwrap();
    assert_eq!(edges.matches("<path").count(), 3, "{edges}");
    let chip = |word: &str| html.contains(&format!("<b class=\"chip\">{word}</b>"));
    assert!(chip("time") && !chip("load"));
}

#[test]
fn an_audit_of_nothing_or_of_one_node_is_a_page_too() {
    let html = page("nothing", &report(&[]));
    assert!(!html.contains("<h2"), "{html}");
    let good = judgement(Verdict::Reproducible, &[]);
    let html = page(
        "one",
        &Report { vary: Variations::NONE, times: 3, ..report(&[judged("node/x", &good, vec![])]) },
    );
    assert!(html.contains("Each node was built again, 3 times, with nothing varied."), "{html}");
}

/// As large as universes are: the page stays one that a browser can show.
#[test]
fn many_nodes_and_long_files_leave_a_page_that_can_be_shown() {
    let good = judgement(Verdict::Reproducible, &[]);
    let lost = judgement(Verdict::NotJudged, &[]);
    let long = "word ".repeat(20_000);
    let mut bad = judgement(Verdict::NotReproducible, &[Cause::Varied { variations: set("build-path") }]);
    bad.differences = (0..20)
        .map(|at| {
            let findings = vec![finding("section .debug_str", &long, &format!("{long}!")); 50];
            differing(&format!("lib/p/f{at}.cmi"), b"/tmp/build/x.ml", b"/varied/path/x.ml", findings)
        })
        .collect();
    let mut fair = judgement(Verdict::IntermediatesDiffer, &[Cause::Varied { variations: set("time,load") }]);
    fair.differences = bad.differences[..1].to_vec();
    fair.differences[0].published = false;
    let names: Vec<String> = (0..200).map(|at| format!("build/package-{at}.1.{at}")).collect();
    let nodes: Vec<Judged<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let judgement = match at % 23 {
                3 => &bad,
                7 | 11 => &fair,
                19 => &lost,
                _ => &good,
            };
            let needs = if at < 5 { vec![] } else { vec![at / 2, at / 3, (at * 7) % at.min(40)] };
            judged(name, judgement, needs)
        })
        .collect();
    let html = page("many", &report(&nodes));
    assert!(html.len() < ROOMY * 3 / 2, "{}", html.len());
    assert!(html.contains("Left out, or this page would be too long"), "findings are what is left out");
    assert!(names.iter().all(|name| html.contains(&format!("<title>{name}: "))));
    let more: Vec<Judged<'_>> = (0..700).map(|at| judged(&names[at % 200], &good, vec![at / 2])).collect();
    assert!(page("more", &report(&more)).contains("700 nodes are too many to be drawn."));
}
