//! What is missing from a base.

use super::debian::DebianError;
use super::debian::closure::Index;
use crate::source::PinnedDeb;

const PACKAGES: &str = "\
Package: libc
Version: 2.43-1
Depends: libc-data

Package: libc-data
Version: 1

Package: gcc
Version: 15

Package: libgmp-dev
Version: 6.3
Depends: libgmp (= 6.3), libc (>= 2.40), gcc | cc
Provides: libgmp3-dev (= 6.3)

Package: libgmp
Version: 6.3
Pre-Depends: libc

Package: libnew
Version: 2
Depends: libc (>= 2.43)

Package: needs-gmp3
Version: 1
Depends: libgmp3-dev (>= 6)

Package: mawk
Version: 1
Provides: awk

Package: gawk
Version: 1
Provides: awk

Package: broken
Version: 1
Depends: nobody
";

fn extended(present: &[(&str, &str)], named: &[&str]) -> Result<String, DebianError> {
    let texts: Vec<String> = PACKAGES
        .split("\n\n")
        .map(|stanza| {
            let sum = "0".repeat(64);
            format!("{}\nArchitecture: all\nFilename: pool/x.deb\nSize: 9\nSHA256: {sum}\n", stanza.trim())
        })
        .collect();
    let pinned = |(name, version): &(&str, &str)| PinnedDeb {
        name: (*name).into(),
        version: (*version).into(),
        path: "pool/y.deb".into(),
        size: 1,
        sha256: crate::source::Sha256::from_bytes([1; 32]),
    };
    let present: Vec<_> = present.iter().map(pinned).collect();
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    let debs = Index::new(&texts, "amd64").extension(&present, &named)?;
    Ok(debs.iter().map(|deb| deb.name.as_str()).collect::<Vec<_>>().join(" "))
}

#[test]
fn an_extension_has_what_the_base_lacks_and_nothing_that_it_has() {
    let base = [("libc", "2.43-1"), ("gcc", "15")];
    // The base may do without what its own packages depend on: `libc-data`.
    assert_eq!(extended(&base, &["libgmp-dev"]).unwrap(), "libgmp libgmp-dev");
    assert_eq!(extended(&base, &["libgmp-dev", "libgmp-dev", "gcc"]).unwrap(), "libgmp libgmp-dev");
    assert_eq!(extended(&base, &["libc"]).unwrap(), "");
    assert_eq!(extended(&[], &["libgmp"]).unwrap(), "libc libc-data libgmp");
}

#[test]
fn a_virtual_package_is_what_provides_it() {
    let base = [("libc", "2.43-1"), ("gcc", "15")];
    assert_eq!(extended(&base, &["libgmp3-dev"]).unwrap(), "libgmp libgmp-dev");
    assert_eq!(extended(&base, &["needs-gmp3"]).unwrap(), "libgmp libgmp-dev needs-gmp3");
    assert_eq!(extended(&[("libgmp-dev", "6.3")], &["libgmp3-dev", "needs-gmp3"]).unwrap(), "needs-gmp3");
    assert_eq!(extended(&[], &["awk"]).unwrap(), "gawk");
    assert_eq!(extended(&[("mawk", "0.9")], &["awk"]).unwrap(), "");
    assert_eq!(extended(&[], &["mawk", "awk"]).unwrap(), "mawk");
}

#[test]
fn a_pinned_base_is_not_replaced() {
    // 2.41 is enough for libgmp-dev, and for libnew it is not.
    let base = [("libc", "2.41-1"), ("gcc", "15")];
    assert_eq!(extended(&base, &["libgmp-dev"]).unwrap(), "libgmp libgmp-dev");
    let error = extended(&base, &["libnew"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`libnew` needs `libc (>= 2.43)`, but the base is pinned to libc 2.41-1; \
         `jtwbuild update` takes both from the suite as it is now"
    );
}

#[test]
fn names_that_nobody_has_are_told() {
    let error = extended(&[], &["libgmq-dev"]).unwrap_err();
    assert_eq!(error.to_string(), "the suite has no package `libgmq-dev`; near are: libgmp-dev");
    assert!(matches!(extended(&[], &[""]), Err(DebianError::Unknown { .. })));
    let error = extended(&[], &["broken"]).unwrap_err();
    assert_eq!(error.to_string(), "`broken` needs `nobody`, which the suite does not have");
}
