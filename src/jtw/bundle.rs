//! Bundles: files that hold other files, so that a browser needs one request for many.
//!
//! ```text
//! jtwbuild bundle 1
//! <MD5> <size> <name>
//! …
//!
//! <the files' bytes, one after the other>
//! ```
//!
//! Names are relative to the bundle's own place and hold no white space. What a bundle holds is
//! published by itself, too, for workers that know no bundles. The checksums are against damage on
//! the way, which a browser does not notice; they are no signatures.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// First line of a bundle.
const HEAD: &str = "jtwbuild bundle 1\n";

/// The name of the bundle of a directory's interfaces.
pub const CMIS_BUNDLE: &str = "cmis.bundle";

/// How a JSON file says that there is a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRef {
    /// Relative to the JSON file.
    pub file: String,
    /// Its size.
    pub bytes: u64,
}

/// The bundle of these files, by name, in their order. `None` when a name cannot be in one, or when
/// there are fewer than two: one request is needed for one file, too.
pub fn bundle(files: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let is_plain = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    if files.len() < 2 || !files.iter().all(|(name, _)| is_plain(name)) {
        return None;
    }
    let mut content = HEAD.to_owned();
    for (name, bytes) in files {
        let sum: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        content += &format!("{sum} {} {name}\n", bytes.len());
    }
    content.push('\n');
    let mut content = content.into_bytes();
    files.iter().for_each(|(_, bytes)| content.extend(bytes));
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_a_list_of_their_names() {
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let made = bundle(&[file("a.cmi", "one\n"), file("../b/META", "")]).unwrap();
        assert_eq!(
            String::from_utf8(made).unwrap(),
            "jtwbuild bundle 1\n\
             5bbf5a52328e7439ae6e719dfe712200 4 a.cmi\n\
             d41d8cd98f00b204e9800998ecf8427e 0 ../b/META\n\
             \none\n"
        );
    }

    #[test]
    fn one_file_is_no_bundle_and_odd_names_are_in_none() {
        let file = |name: &str| (name.to_owned(), Vec::new());
        assert_eq!(bundle(&[]), None);
        assert_eq!(bundle(&[file("a")]), None);
        assert_eq!(bundle(&[file("a"), file("b c")]), None);
        assert_eq!(bundle(&[file("a"), file("")]), None);
    }
}
