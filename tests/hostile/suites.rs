//! Hostile release files and package indexes: what a mirror, or somebody between, can send.

use std::time::{Duration, Instant, SystemTime};

use jtwbuild::fetch::debian::closure::Index;
use jtwbuild::fetch::debian::release::Release;
use jtwbuild::fetch::signature::Keyring;
use jtwbuild::source::PinnedDeb;
use pgp::composed::{ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::types::Password;

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub fn release() -> String {
    format!(
        "Origin: Debian\nSuite: testing\nCodename: forky\nDate: Fri, 30 Oct 2026 08:08:01 UTC\n\
         Valid-Until: Fri, 06 Nov 2026 08:08:01 UTC\nAcquire-By-Hash: yes\nComponents: main contrib\n\
         MD5Sum:\n 00 1 x\nSHA256:\n {SUM}  12 main/binary-amd64/Packages.xz\n- dashed: yes\n"
    )
}

pub fn key() -> SignedSecretKey {
    let mut parameters = SecretKeyParamsBuilder::default();
    let parameters = parameters.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(true);
    let parameters = parameters.primary_user_id("Test <test@example.org>".into()).build().unwrap();
    parameters.generate(rand::thread_rng()).unwrap()
}

pub fn sign(text: &str, key: &SignedSecretKey) -> String {
    let message =
        CleartextSignedMessage::sign(rand::thread_rng(), text, &key.primary_key, &Password::empty()).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

fn ring(key: &SignedSecretKey) -> Keyring {
    let mut ring = Keyring::default();
    ring.add(&key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap();
    ring
}

#[test]
fn only_what_was_signed_is_read_whatever_stands_around_it() {
    let (key, other) = (key(), key());
    let ring = ring(&key);
    let text = release();
    let evil = text.replace("testing", "evil");
    let (good, bad) = (sign(&text, &key), sign(&evil, &other));
    let head = "-----BEGIN PGP SIGNED MESSAGE-----\n";
    let (armor, rest) = good.split_at(good.find("-----BEGIN PGP SIGNATURE").unwrap());
    let bad_signature = &bad[bad.find("-----BEGIN PGP SIGNATURE").unwrap()..];
    let headed = |lines: &str| good.replacen(head, &format!("{head}{lines}"), 1);
    let mut taken = Vec::new();
    let many = format!("{armor}{}", rest.repeat(100));
    for (what, message) in [
        ("text before", format!("Suite: evil\n{good}")),
        ("text behind", format!("{good}Suite: evil\n")),
        ("text between", format!("{armor}Suite: evil\n{rest}")),
        ("a message of somebody else before", format!("{bad}{good}")),
        ("a message of somebody else behind", format!("{good}{bad}")),
        ("itself twice", format!("{good}{good}")),
        ("a second head", good.replacen(head, &format!("{head}{head}"), 1)),
        ("the head in the text", good.replacen("Suite:", &format!("{head}Suite:"), 1)),
        ("another signature behind", format!("{good}{bad_signature}")),
        ("another signature before", format!("{armor}{bad_signature}{rest}")),
        (
            "another text under the signature",
            format!("{}{rest}", &bad[..bad.find("-----BEGIN PGP SIGNATURE").unwrap()]),
        ),
        ("another signature", format!("{armor}{bad_signature}")),
        ("no signature", armor.to_owned()),
        ("half a signature", good[..good.len() - 60].to_owned()),
        ("a hundred signatures", many),
        ("a line in the head", headed("Suite: evil\n")),
        ("a line in the head that looks blank", headed("Suite: evil\n \t\n")),
        ("a blank line in the head", headed("\nSuite: evil\n\n")),
        ("a weak hash in the head", headed("Hash: MD5\n")),
        ("no escapes, says the head", headed("NotDashEscaped: You need GnuPG to verify this message\n")),
        ("no hash in the head", good.replacen("Hash: ", "Other: ", 1)),
        ("one more escape", good.replacen("\nSuite:", "\n- Suite:", 1)),
        ("an escape less", good.replacen("\n- - dashed", "\n- dashed", 1)),
        ("a dash of its own", good.replacen("\nSuite: testing", "\n-Suite: testing", 1)),
        ("blanks at the end of a line", good.replacen("testing\n", "testing \t\n", 1)),
        ("another kind of blank", good.replacen("testing\n", "testing\u{a0}\n", 1)),
        ("a vertical tab", good.replacen("testing\n", "testing\u{b}\n", 1)),
        ("a carriage return alone", good.replacen("testing\n", "testing\rSuite: evil\n", 1)),
        ("a line separator", good.replacen("testing\n", "testing\u{2028}Suite: evil\n", 1)),
        ("a NUL", good.replacen("testing\n", "testing\0\n", 1)),
        ("line ends of other systems", good.replace('\n', "\r\n")),
        ("one other line end", good.replacen("testing\n", "testing\r\n", 1)),
        ("a line more", good.replacen("\nSuite:", "\n\nSuite:", 1)),
        ("a line less", good.replacen("Origin: Debian\n", "", 1)),
        ("a mark of byte order", format!("\u{feff}{good}")),
        ("nothing", String::new()),
        ("only a head", head.to_owned()),
        ("a very long line", good.replacen("testing", &"x".repeat(200 << 10), 1)),
        ("very many lines", good.replacen("testing\n", &"testing\n".repeat(5000), 1)),
    ] {
        let begun = Instant::now();
        if let Ok(verified) = ring.verify(&message, SystemTime::now()) {
            assert_eq!(verified.text, text, "{what}");
            taken.push(what);
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", begun.elapsed());
    }
    // These are the same text by the format's own rules.
    let same = [
        "a weak hash in the head",
        "one more escape",
        "blanks at the end of a line",
        "line ends of other systems",
        "one other line end",
    ];
    let unexpected: Vec<_> = taken.iter().filter(|what| !same.contains(what)).collect();
    eprintln!("taken: {taken:?}");
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn release_files_that_say_a_thing_twice_or_badly_are_refused() {
    let good = release().replace("- dashed: yes\n", "");
    assert!(Release::parse(&good).is_ok());
    for (what, text) in [
        ("a field twice", format!("{good}Suite: evil\n")),
        ("a field twice in other letters", format!("{good}SUITE: evil\n")),
        ("two lists", format!("{good}SHA256:\n {SUM} 12 x\n")),
        (
            "one file twice with other sums",
            format!("{good} {} 12 main/binary-amd64/Packages.xz\n", SUM.replace('0', "1")),
        ),
        ("a short sum", good.replace(SUM, &SUM[..60])),
        ("a negative size", good.replace("  12", " -12")),
        ("a huge size", good.replace("  12", " 99999999999999999999")),
        ("no date", good.replace("Date:", "Dote:")),
        ("a date that is none", good.replace("30 Oct", "31 Foo")),
        ("a bad end of validity", good.replace("06 Nov", "66 Nov")),
        ("a line without a colon", format!("{good}nonsense\n")),
    ] {
        assert!(Release::parse(&text).is_err(), "{what}");
    }
}

fn stanza(name: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 9\nSHA256: {SUM}\n{more}\n"
    )
}

fn closure(text: &str) -> Result<Vec<PinnedDeb>, String> {
    let begun = Instant::now();
    let texts = [text.to_owned()];
    let found = Index::new(&texts, "amd64").closure(&["app".to_owned()], &[]);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    found.map_err(|error| error.to_string())
}

#[test]
fn entries_of_an_index_are_paths_sums_and_sizes_or_refused() {
    let good = stanza("app", "");
    assert_eq!(closure(&good).unwrap().len(), 1);
    for file in [
        "../x.deb",
        "/etc/passwd",
        "pool/../../x",
        "pool//x",
        "./x",
        "",
        "pool/x/",
        "a\\b",
        "a b",
        "a\u{7}b",
        "a\u{1b}[2J",
    ] {
        let text = good.replace("pool/app.deb", file);
        let error = closure(&text).unwrap_err();
        assert!(error.contains("Filename"), "{file}: {error}");
    }
    for (from, to, words) in [
        ("Size: 9", "Size: -9", "Size"),
        ("Size: 9", "Size: 99999999999999999999", "Size"),
        ("Size: 9\n", "", "Size"),
        (SUM, "0123", "SHA256"),
        ("SHA256", "MD5sum", "SHA256"),
        ("Version: 1", "Version: 1\u{7}", "Version"),
        ("Version: 1", "Version: 1 2", "Version"),
        ("Version: 1\n", "", "Version"),
        ("Architecture: amd64", "Architecture: arm64", "no package"),
        ("Package: app", "Package: ../app", "no package"),
    ] {
        let error = closure(&good.replace(from, to)).unwrap_err();
        assert!(error.contains(words), "{to}: {error}");
    }
    let odd = stanza("app", "Depends: ../x\n") + &stanza("../x", "");
    assert!(closure(&odd).unwrap_err().contains("its name"), "{:?}", closure(&odd));
}

#[test]
fn of_two_stanzas_for_one_package_the_first_of_the_highest_version_counts() {
    let (first, second) = (stanza("app", ""), stanza("app", "").replace("pool/app", "pool/evil"));
    assert_eq!(closure(&[&first[..], &second].concat()).unwrap()[0].path, "pool/app.deb");
    let newer = second.replace("Version: 1", "Version: 2");
    assert_eq!(closure(&[&first[..], &newer].concat()).unwrap()[0].path, "pool/evil.deb");
    assert_eq!(closure(&[&newer[..], &first].concat()).unwrap()[0].path, "pool/evil.deb");
}

#[test]
fn indexes_of_any_shape_end() {
    let long = "x".repeat(2 << 20);
    let wide: String = (0..10_000).map(|number| format!("p{number}, ")).collect();
    let either: String = (0..10_000).map(|number| format!("p{number} | ")).collect();
    let chain: String = (0..3000)
        .map(|number| stanza(&format!("p{number}"), &format!("Depends: p{}\n", number + 1)))
        .collect();
    for (what, text, good) in [
        ("a long description", stanza("app", &format!("Description: {long}\n")), true),
        ("a long name", stanza("app", &format!("Depends: {long}\n")), false),
        ("itself", stanza("app", "Depends: app, app | app\n"), true),
        ("a circle", stanza("app", "Depends: b\n") + &stanza("b", "Pre-Depends: app\n"), true),
        ("wide", stanza("app", &format!("Depends: {wide}\n")), false),
        ("one of many", stanza("app", &format!("Depends: {either}app\n")), true),
        ("a long chain", stanza("app", "Depends: p0\n") + &chain + &stanza("p3000", ""), true),
        ("parentheses", stanza("app", &format!("Depends: b {}\n", "(".repeat(100_000))), false),
        ("commas", stanza("app", &format!("Depends: {}\n", ",|".repeat(100_000))), false),
        ("blank lines", "\n".repeat(1 << 20) + &stanza("app", ""), true),
        ("no line ends", "Package: app Version: 1 ".repeat(100_000), false),
        ("line ends of other systems", stanza("app", "").replace('\n', "\r\n"), true),
    ] {
        let found = closure(&text);
        assert_eq!(
            found.is_ok(),
            good,
            "{what}: {:?}",
            found.map_err(|error| error.chars().take(300).collect::<String>())
        );
    }
}
