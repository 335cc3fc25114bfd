//! Every attack of the attacker's table, from inside; what came of it is checked inside (the answer)
//! and outside (the store and the host are as they were).
//!
//! The book's page `reference/attacks.md` is the same table. `JTWBUILD_WRITE_BOOK=1 cargo test --test
//! sandbox the_book_lists_every_attack` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::attacker::{Arena, program};

/// The lines that a subcommand of the attacker prints, on the host.
pub fn table(subcommand: &str) -> Option<Vec<Vec<String>>> {
    let output = std::process::Command::new(program()?).arg(subcommand).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// What of the host an attack could change without the store: its devices, and a file it is told of.
fn host(secret: &Path) -> Vec<(u32, u32, i64, u64)> {
    let of = |path: &Path| {
        let status = fs::symlink_metadata(path).unwrap();
        (status.mode(), status.uid(), status.mtime(), status.ino())
    };
    vec![of(Path::new("/dev/null")), of(secret)]
}

/// Tries one group of attacks.
fn try_all(group: &str) {
    let Some(arena) = Arena::new() else { return };
    let expected = table("list").unwrap().into_iter().filter(|line| line[1] == group).count();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = arena.world.directory.path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    let before = host(&secret);
    let mut request = arena.request(&["all", group]);
    request.env.insert("PORT".to_owned(), listener.local_addr().unwrap().port().to_string());
    request.env.insert("SECRET".to_owned(), secret.display().to_string());
    let (result, log) = arena.run(&request);
    arena.assert_store_is_whole(group);
    assert_eq!(host(&secret), before);
    assert!(!log.contains("NOT AS TOLD") && result.is_ok(), "{result:?}\n{log}");
    assert_eq!(log.matches("\tas told\n").count(), expected, "{log}");
    assert!(log.contains(&format!("{group} done")), "{log}");
    println!("{expected} attacks of group {group}");
}

#[test]
fn inputs_cannot_be_changed() {
    try_all("inputs");
}

#[test]
fn there_is_no_network() {
    try_all("network");
}

#[test]
fn there_is_no_way_out() {
    try_all("escape");
}

#[test]
fn no_rights_and_no_deep_calls_can_be_had() {
    try_all("kernel");
}

/// An attack is only worth something if it can succeed: outside, with all rights, many do.
#[test]
fn attacks_notice_when_they_succeed() {
    let Some(program) = program() else { return };
    let one = |name: &str| {
        let output = std::process::Command::new(program).args(["one", name]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for name in
        ["hidden-memory", "deep-inotify", "see-sys", "see-kernel-settings", "root-host-path-of-nobody"]
    {
        let said = one(name);
        assert!(said.contains("NOT AS TOLD") || said.contains("unknown"), "{said}");
    }
}

#[test]
fn the_book_lists_every_attack() {
    let (Some(attacks), Some(channels)) = (table("list"), table("channels")) else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/reference/attacks.md");
    let mut page = fs::read_to_string(path.with_file_name("attacks.md")).unwrap_or_default();
    let start = page.find("<!-- from here on, written by the tests -->").unwrap_or(page.len());
    page.truncate(start);
    page.push_str("<!-- from here on, written by the tests -->\n");
    let titles = [
        ("inputs", "Inputs"),
        ("escape", "Ways out"),
        ("kernel", "Rights, and the depths of the kernel"),
        ("network", "Networks"),
    ];
    for (group, title) in titles {
        let of_group = attacks.iter().filter(|line| line[1] == group);
        let _ = write!(page, "\n## {title}\n\n| attack | what is tried | outcome |\n|---|---|---|\n");
        for line in of_group {
            let _ = writeln!(page, "| `{}` | {} | {} |", line[2], line[3], line[4]);
        }
    }
    page.push_str("\n## Two builds at once\n\n| way to meet | what is tried | outcome |\n|---|---|---|\n");
    for line in &channels {
        let outcome =
            if line[0] == "device-lock" { "**works**: a lock can be noticed" } else { "nothing is found" };
        let _ = writeln!(page, "| `{}` | {} | {outcome} |", line[0], line[1]);
    }
    page.push_str("\n## Outputs\n\n| output | outcome |\n|---|---|\n");
    for (name, words) in crate::outputs::expected_words() {
        let _ = writeln!(page, "| `{name}` | {words} |");
    }
    if std::env::var_os("JTWBUILD_WRITE_BOOK").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "write it anew: JTWBUILD_WRITE_BOOK=1 cargo test --test sandbox the_book_lists_every_attack"
    );
}
