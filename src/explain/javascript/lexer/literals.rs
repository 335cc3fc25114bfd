//! Where strings, regular expressions and numbers end.

use super::Lexer;

impl Lexer<'_> {
    /// The end of a string; one that is not closed ends with its line.
    pub(super) fn quoted(&self, quote: u8) -> usize {
        let mut at = self.at + 1;
        loop {
            at = self.find(at, |byte| byte == quote || matches!(byte, b'\\' | b'\n'));
            match self.text.get(at) {
                Some(b'\\') => at = (at + 2).min(self.text.len()),
                Some(b'\n') | None => return at,
                Some(_) => return at + 1,
            }
        }
    }

    /// The end of a regular expression, with its flags; one that is not closed ends with its line.
    pub(super) fn regex(&self) -> usize {
        let (mut at, mut in_class) = (self.at + 1, false);
        loop {
            at = self.find(at, |byte| matches!(byte, b'/' | b'[' | b']' | b'\\' | b'\n'));
            match self.text.get(at) {
                Some(b'\\') => at = (at + 1).min(self.text.len()),
                Some(b'[') => in_class = true,
                Some(b']') => in_class = false,
                Some(b'/') if !in_class => return self.find(at + 1, |byte| !byte.is_ascii_alphanumeric()),
                Some(b'/') => {}
                _ => return at,
            }
            at = (at + 1).min(self.text.len());
        }
    }

    /// The end of a number.
    pub(super) fn number(&self) -> usize {
        let mut at = self.at;
        let is_decimal = !matches!(self.rest(), [b'0', b'x' | b'X' | b'b' | b'B' | b'o' | b'O', ..]);
        loop {
            at = self.find(at, |byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_')));
            // The sign of an exponent.
            let is_signed = is_decimal && matches!(self.text.get(at), Some(b'+' | b'-'));
            if !(is_signed && matches!(self.text[at - 1], b'e' | b'E')) {
                return at;
            }
            at += 1;
        }
    }
}
