//! Passphrases. They are overwritten when they are dropped, and can be neither printed nor compared.

use std::path::Path;

use zeroize::Zeroizing;

use super::key::KeyError;
use super::private;

/// The longest one in bytes, as minisign has it: its line of 1,024 bytes has an end and a zero, too.
pub const LONGEST: usize = 1022;

/// What a key is protected by: bytes, without an end of line.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The passphrase that is typed or written as this line, with or without its end. The error says
    /// why it is none.
    pub fn from_line(line: &[u8]) -> Result<Self, &'static str> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LONGEST {
            return Err("it is longer than 1,022 bytes");
        }
        if line.iter().any(|byte| b"\n\r\0".contains(byte)) {
            return Err("it has more than one line, or a zero");
        }
        Ok(Self(Zeroizing::new(line.to_vec())))
    }

    /// Reads the only line of a file, or of a pipe, that nobody but its owner may use.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        // Whatever is longer is too long as a line.
        let bytes = private::read(path, 2048)?;
        let read = bytes.map_or(Err("it is longer than 1,022 bytes"), |bytes| Self::from_line(&bytes));
        read.map_err(|why| KeyError::NoPassphrase { path: path.to_owned(), why })
    }

    /// Whether it protects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is the same, for a passphrase that was typed twice.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_with_or_without_its_end() {
        for line in ["a b", "a b\n", "a b\r\n"] {
            assert_eq!(Passphrase::from_line(line.as_bytes()).unwrap().bytes(), b"a b");
        }
        assert!(Passphrase::from_line(b"\n").unwrap().is_empty());
        assert!(Passphrase::from_line(b" \xff").is_ok_and(|passphrase| passphrase.bytes() == b" \xff"));
        for line in ["a\nb", "a\n\n", "a\rb", "a\0", &"a".repeat(1023)] {
            assert!(Passphrase::from_line(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(Passphrase::from_line("a".repeat(1022).as_bytes()).is_ok());
    }

    #[test]
    fn a_passphrase_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        std::fs::write(&path, "open sesame\n").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(Passphrase::read(&path), Err(KeyError::Exposed { .. })), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Passphrase::read(&path).ok().unwrap().bytes(), b"open sesame");
        for bad in ["a\nb\n".to_owned(), "a".repeat(1023), "a".repeat(5000)] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(Passphrase::read(&path), Err(KeyError::NoPassphrase { .. })));
        }
        assert!(matches!(
            Passphrase::read(directory.path()),
            Err(KeyError::Exposed { .. } | KeyError::Io { .. })
        ));
    }
}
