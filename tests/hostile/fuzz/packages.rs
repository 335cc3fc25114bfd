//! What a Debian mirror serves: release files, signed or not, and package indexes.

use std::time::SystemTime;

use jtwbuild::fetch::debian::closure::Index;
use jtwbuild::fetch::debian::release::Release;
use jtwbuild::fetch::signature::Keyring;
use pgp::composed::ArmorOptions;

use super::super::suites::{key, release, sign};
use super::{Target, fuzz};

const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn package_indexes() {
    let stanza = |name: &str, rest: &str| {
        format!(
            "Package: {name}\nVersion: 1:1.0~rc1-1\nArchitecture: amd64\n{rest}Filename: pool/{name}.deb\n\
             Size: 9\nSHA256: {SUM}\n\n"
        )
    };
    let seed = [
        stanza("app", "Depends: lib (>= 1), a | b, tool:any\nPre-Depends: base (<< 3~)\n"),
        stanza("lib", "Provides: a (= 1), virtual\nDepends: app\n"),
        stanza("tool", "Description: x\n long\n .\n more\n"),
        stanza("base", ""),
        stanza("app", ""),
    ];
    let odd = "Package: app\nVersion: 2\nArchitecture: all\nFilename: ../../x\nSize: -1\nSHA256: x\n";
    fuzz(Target {
        name: "index",
        usual: 4000,
        seeds: vec![seed.concat().into_bytes(), odd.into(), b"\n\n\n".to_vec()],
        words: &[
            b"Package: app\n",
            b"\n\n",
            b"Depends: ",
            b"Provides: ",
            b"Pre-Depends: ",
            b" | ",
            b", ",
            b"(>= 1)",
            b"(",
            b")",
            b":any",
            b"[amd64]",
            b"Architecture: all\n",
            b"Filename: ../x\n",
            b"Filename: /x\n",
            b"Size: 1\n",
            b"app",
            b"lib",
        ],
        special: None,
        run: &mut |input| {
            let texts = [String::from_utf8_lossy(input).into_owned()];
            let index = Index::new(&texts, "amd64");
            match index.closure(&["app".to_owned(), "base".to_owned()], &[]) {
                Ok(debs) => {
                    assert!(debs.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, each once");
                    for deb in &debs {
                        let plain = |name: &str| !matches!(name, "" | "." | "..");
                        assert!(deb.path.split('/').all(plain), "{}", deb.path);
                        assert!(
                            !deb.path.contains(|one: char| one.is_control() || one == '\\'),
                            "{}",
                            deb.path
                        );
                    }
                    format!("{} packages", if debs.len() > 2 { "many" } else { "few" })
                }
                Err(error) => error.to_string(),
            }
        },
    });
}

#[test]
fn release_files() {
    fuzz(Target {
        name: "release",
        usual: 6000,
        seeds: vec![release().into_bytes()],
        words: &[
            b"SHA256:\n",
            b" 12 x\n",
            b"Suite: x\n",
            b"Date: ",
            b"Valid-Until: ",
            b"Thu, 01 Jan 1970 00:00:00 UTC",
            b"\n",
            b":",
            b"Fri, 31 Dec 9999 23:59:60 UTC",
            b"+0000",
        ],
        special: None,
        run: &mut |input| match Release::parse(&String::from_utf8_lossy(input)) {
            Ok(release) => format!("taken {} {}", release.files.len().min(2), release.valid_until.is_some()),
            Err(reason) => reason.to_owned(),
        },
    });
}

#[test]
fn signed_release_files() {
    let (key, other) = (key(), key());
    let mut ring = Keyring::default();
    ring.add(&key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap();
    let text = release();
    let good = sign(&text, &key);
    let evil = text.replace("testing", "evil");
    let now = SystemTime::now();
    assert_eq!(ring.verify(&good, now).unwrap().text, text);
    let signature = &good[good.find("-----BEGIN PGP SIGNATURE").unwrap()..];
    fuzz(Target {
        name: "inrelease",
        usual: 300,
        seeds: vec![
            good.clone().into_bytes(),
            sign(&evil, &other).into_bytes(),
            [&sign(&evil, &other), &good[..]].concat().into_bytes(),
            [&good, signature].concat().into_bytes(),
            [evil.as_str(), &good].concat().into_bytes(),
            [good.as_str(), &evil].concat().into_bytes(),
        ],
        words: &[
            b"-----BEGIN PGP SIGNED MESSAGE-----\n",
            b"-----BEGIN PGP SIGNATURE-----\n",
            b"-----END PGP SIGNATURE-----\n",
            b"Hash: SHA256\n",
            b"Hash: MD5\n",
            b"\n",
            b"- ",
            b"Suite: evil\n",
            b" \t",
            b"\r",
        ],
        special: None,
        run: &mut |input| match ring.verify(&String::from_utf8_lossy(input), now) {
            Ok(verified) => {
                // Nothing was ever signed but this.
                assert_eq!(verified.text, text);
                "taken".into()
            }
            Err(error) => error.to_string(),
        },
    });
}
