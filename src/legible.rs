//! Texts of strangers, so that they can be shown: what cannot be seen, moves the cursor or turns other text
//! round stands there as programs write it (`\u{1b}`).
//!
//! Names of files, logs, descriptions and what is inside outputs may come from anybody. On a terminal a
//! control character may change what was printed before; one that changes the direction of writing makes
//! a text look like another one everywhere.

/// Whether a character is a control character, has no width, or changes the direction of what follows.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line.
pub fn line(text: &str) -> String {
    shown(text.chars(), |_| false)
}

/// The text with its lines and tabs.
pub fn lines(text: &str) -> String {
    shown(text.chars(), |character| matches!(character, '\n' | '\t'))
}

/// The first `most` characters of the text on one line, with `…` in place of the rest.
pub fn beginning(text: &str, most: usize) -> String {
    let mut beginning = shown(text.chars().take(most), |_| false);
    if text.chars().nth(most).is_some() {
        beginning.push('…');
    }
    beginning
}

fn shown(text: impl Iterator<Item = char>, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::new();
    for character in text {
        if is_hidden(character) && !is_kept(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_or_turns_text_round() {
        let odd = "a\u{1b}[2J\r\nb\tc\u{202e}d\u{200b}é 語";
        assert_eq!(line(odd), "a\\u{1b}[2J\\r\\nb\\tc\\u{202e}d\\u{200b}é 語");
        assert_eq!(lines(odd), "a\\u{1b}[2J\\r\nb\tc\\u{202e}d\\u{200b}é 語");
        assert_eq!((beginning("語語", 2), beginning("語\n語", 2)), ("語語".into(), "語\\n…".into()));
    }
}
