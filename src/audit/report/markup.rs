//! HTML, written so that nothing of a stranger gets in as markup: only literals of this program do.

use std::fmt::{self, Display, Write};

use crate::legible::is_hidden;

/// Attributes of an element, in order.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A growing piece of HTML.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Markup as it is. That it is `'static` keeps out what was read from somewhere.
    pub fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Text, whatever is in it.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// The begin of an element.
    pub fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.raw("<").raw(tag);
        for (name, value) in attributes {
            self.raw(" ").raw(name).raw("=\"").text(value).raw("\"");
        }
        self.raw(">")
    }

    /// The end of an element.
    pub fn close(&mut self, tag: &'static str) -> &mut Self {
        self.raw("</").raw(tag).raw(">")
    }

    /// An element with nothing but text in it.
    pub fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: impl Display) -> &mut Self {
        self.open(tag, attributes).text(text).close(tag)
    }

    /// So many bytes were written.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// Writes text so that it is text: in an element, and between double quotes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(character),
                // What cannot be seen, or makes other text look otherwise, is shown by its number.
                hidden if is_hidden(hidden) => write!(self.0, "{}", hidden.escape_default())?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_shows_what_hides() {
        let mut markup = Markup::default();
        markup.leaf("p", &[("title", &"\"><script>'&")], "<b>\u{202e}\0a\tb\n");
        let expected = "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\">&lt;b&gt;\\u{202e}\\u{0}a\tb\n</p>";
        assert_eq!(markup.finish(), expected);
    }

    #[test]
    fn thousands_are_apart() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
