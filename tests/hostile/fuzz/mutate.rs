//! Changes of bytes and of text that need no knowledge of the format.

use super::super::random::Random;
use super::LARGEST;

/// Numbers at which something may tip over, as text.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "00",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

/// Characters that are special to somebody.
const TEXTS: [&str; 16] = [
    "\0",
    "\r\n",
    "\n\n",
    "\u{feff}",
    "\u{2028}",
    "\u{1b}[2J",
    "..",
    "/",
    "\\",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "é",
];

/// Changes `input` in one to four places.
pub fn mutate(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&[u8]], random: &mut Random) {
    for _ in 0..=random.below(4) {
        once(input, pool, words, random);
    }
    input.truncate(LARGEST);
}

fn once(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&[u8]], random: &mut Random) {
    let at = random.below(input.len() + 1);
    // Short pieces more often than long ones.
    let longest = [4, 16, 64, 4096][random.below(4)];
    let end = (at + random.below(longest) + 1).min(input.len());
    match random.below(12) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff, random.byte()][random.below(6)],
        2 => drop(input.drain(at..end)),
        3 => {
            let piece = input[at..end].to_vec();
            let to = random.below(input.len() + 1);
            drop(input.splice(to..to, piece));
        }
        4 => {
            // Many times: what nests must nest deep.
            let piece = input[at..end].to_vec();
            let times = [2, 10, 200, 5000][random.below(4)];
            let times = times.min(LARGEST / piece.len().max(1));
            drop(input.splice(at..at, piece.repeat(times)));
        }
        5 => {
            let other = &pool[random.below(pool.len())];
            let from = random.below(other.len() + 1);
            let to = (from + random.below(longest) + 1).min(other.len());
            drop(input.splice(at..end, other[from..to].iter().copied()));
        }
        6 => drop(input.splice(at..at, random.pick(&TEXTS).bytes())),
        7 => number(input, at, random),
        8 => input.truncate(at),
        _ if !words.is_empty() => {
            let word = random.pick(words).to_vec();
            let end = if random.once_in(2) { at } else { end };
            drop(input.splice(at..end, word));
        }
        _ => input.insert(at, random.byte()),
    }
}

/// Puts another number in place of the one at or after `at`.
fn number(input: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit) else { return };
    let start = at + start;
    let length = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    drop(input.splice(start..start + length, random.pick(&NUMBERS).bytes()));
}
