//! Reading checksums, and judging bytes by them.

use super::*;

fn digests(bytes: &[u8], wanted: &Checksums) -> Digests {
    let mut hashing = Hashing::new(wanted);
    bytes.chunks(3).for_each(|chunk| hashing.update(chunk));
    hashing.finish()
}

/// Checksums of `abc`, from the standards that define them.
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

fn all_three() -> Checksums {
    let texts = [format!("md5={MD5}"), format!("sha512={SHA512}"), format!("sha256={SHA256}")];
    Checksums::parse(&texts.each_ref().map(String::as_str)).unwrap()
}

#[test]
fn all_kinds_are_read_and_worked_out() {
    let sums = all_three();
    let kinds: Vec<_> = sums.all().map(|sum| sum.kind()).collect();
    assert_eq!(kinds, KINDS);
    assert_eq!(sums.mismatch(&digests(b"abc", &sums)), None);
    assert_eq!(sums.name(), Checksum::from_hex("sha256", SHA256).unwrap());
    assert_eq!(sums.to_string(), format!("sha256={SHA256} sha512={SHA512} md5={MD5}"));
    for sum in sums.all() {
        let one = Checksums::from(sum);
        assert_eq!(one.mismatch(&digests(b"abc", &one)), None, "{sum}");
        let (expected, got) = one.mismatch(&digests(b"abd", &one)).unwrap();
        assert!(expected == sum && got != sum && got.kind() == sum.kind(), "{got}");
        assert_eq!(Checksum::parse(&sum.to_string()), Ok(sum));
    }
}

#[test]
fn letters_may_be_of_either_case_and_bare_digits_are_an_md5() {
    let upper = format!("SHA256={}", SHA256.to_uppercase());
    let sums = Checksums::parse(&[&upper, &MD5.to_uppercase()]).unwrap();
    assert_eq!(sums.to_string(), format!("sha256={SHA256} md5={MD5}"));
}

#[test]
fn one_wrong_checksum_among_right_ones_is_enough() {
    for kind in KINDS {
        let mut sums = all_three();
        match kind {
            "sha256" => sums.sha256 = Some(Sha256([0; 32])),
            "sha512" => sums.sha512 = Some(Sha512([0; 64])),
            _ => sums.md5 = Some(Md5([0; 16])),
        }
        let (expected, _) = sums.mismatch(&digests(b"abc", &sums)).unwrap();
        assert_eq!(expected.kind(), kind);
    }
}

#[test]
fn malformed_checksums_are_refused() {
    let parse = |texts: &[&str]| Checksums::parse(texts).unwrap_err();
    for bad in [
        "sha256=",
        "sha256=ab",
        &format!("sha256={SHA256}0"),
        &format!("sha512={SHA256}"),
        &format!("md5={SHA256}"),
        SHA256,
        &format!("sha256={}", SHA256.replace('b', "g")),
        &format!("sha256= {}", &SHA256[1..]),
        &format!("sha256=+{}", &SHA256[1..]),
        &format!("md5={}é", &MD5[2..]),
        "",
    ] {
        assert!(matches!(parse(&[bad]), ChecksumError::Digits { .. }), "{bad}");
    }
    for bad in ["sha1=00", "=00", "sha384=x", " md5=x"] {
        assert!(matches!(parse(&[bad]), ChecksumError::Kind(_)), "{bad}");
    }
    assert_eq!(parse(&[]), ChecksumError::None);
    let (one, other) = (format!("sha256={SHA256}"), format!("sha256={}", "0".repeat(64)));
    assert!(matches!(parse(&[&one, &other]), ChecksumError::Conflict(..)));
    assert!(Checksums::parse(&[&one, &one]).is_ok());
}

#[test]
fn only_md5_is_weak() {
    let weak = Checksums::parse(&[MD5]).unwrap();
    assert!(!weak.is_strong());
    assert!(matches!(weak.allowed(false), Err(ChecksumError::Weak(_))));
    assert_eq!(weak.allowed(true), Ok(weak));
    for sum in all_three().all().filter(|sum| sum.kind() != "md5") {
        assert!(Checksums::from(sum).is_strong());
        assert!(Checksums::parse(&[MD5, &sum.to_string()]).unwrap().allowed(false).is_ok());
    }
}

#[test]
fn documents_with_a_sha256_only_are_as_they_always_were() {
    let sums = Checksums::from(Sha256::from_hex(SHA256).unwrap());
    assert_eq!(serde_json::to_string(&sums).unwrap(), format!(r#"{{"sha256":"{SHA256}"}}"#));
    let text = serde_json::to_string(&all_three()).unwrap();
    assert_eq!(serde_json::from_str::<Checksums>(&text).unwrap(), all_three());
    for bad in ["{}", r#"{"sha256":"ab"}"#, r#"{"md5":null}"#] {
        assert!(serde_json::from_str::<Checksums>(bad).is_err(), "{bad}");
    }
}

#[test]
fn caches_of_opam_have_a_path_for_each() {
    let paths: Vec<_> = all_three().all().map(|sum| sum.path()).collect();
    assert_eq!(paths[0], format!("sha256/ba/{SHA256}"));
    assert_eq!(paths[1], format!("sha512/dd/{SHA512}"));
    assert_eq!(paths[2], format!("md5/90/{MD5}"));
}

#[test]
fn labels_stand_for_one_checksum_each() {
    for sum in all_three().all() {
        assert_eq!(Checksum::from_label(&sum.label()), Some(sum));
    }
    let bad = [format!("sha256-{SHA256}"), SHA256.to_uppercase(), format!("sha512-{SHA256}"), "md5-".into()];
    for bad in bad {
        assert_eq!(Checksum::from_label(&bad), None, "{bad}");
    }
}
