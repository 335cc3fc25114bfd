//! `Accept-Encoding`: in which codings a client takes a file, and which it likes best.

use crate::compress::Coding;

/// What a client wants of one coding, in thousandths; 0: it must not come.
type Weight = u16;

/// What a client takes, the best first; `None` is the file as it is.
pub(super) type Choices = Vec<Option<Coding>>;

/// Reads all `Accept-Encoding` headers of a request. Entries that cannot be read count for nothing.
///
/// Without a header anything may be sent, and the file as it is can be read by everybody.
pub(super) fn choices<'a>(headers: impl Iterator<Item = &'a str>) -> Choices {
    let mut given: Vec<(String, Weight)> = Vec::new();
    for entry in headers.flat_map(|header| header.split(',')) {
        if let Some((token, weight)) = entry_of(entry) {
            given.push((token, weight));
        }
    }
    // What is written first counts, where something is written twice.
    let weight = |tokens: &[&str]| -> Option<Weight> {
        given.iter().find(|(token, _)| tokens.contains(&token.as_str())).map(|(_, weight)| *weight)
    };
    let others = weight(&["*"]);
    let mut choices: Vec<(Weight, Option<Coding>)> = Vec::with_capacity(3);
    for coding in Coding::ALL {
        let tokens = match coding {
            Coding::Brotli => &["br"][..],
            Coding::Gzip => &["gzip", "x-gzip"],
        };
        match weight(tokens).or(others) {
            None | Some(0) => {}
            Some(weight) => choices.push((weight, Some(coding))),
        }
    }
    // The file as it is may always come, unless it is excluded; it is liked least unless it is named.
    let plain = weight(&["identity"]).map(|weight| (weight, weight > 0));
    let (weight, is_taken) = plain.unwrap_or((0, others != Some(0)));
    if is_taken {
        choices.push((weight, None));
    }
    // Stable: among equals the one that saves most comes first.
    choices.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    choices.into_iter().map(|(_, coding)| coding).collect()
}

fn entry_of(entry: &str) -> Option<(String, Weight)> {
    let mut parts = entry.split(';').map(str::trim);
    let token = parts.next().filter(|token| !token.is_empty())?.to_ascii_lowercase();
    let weight = match parts.next() {
        None => 1000,
        Some(part) => {
            let (name, value) = part.split_once('=')?;
            if !name.trim_end().eq_ignore_ascii_case("q") {
                return None;
            }
            weight_of(value.trim_start())?
        }
    };
    parts.next().is_none().then_some((token, weight))
}

/// `1`, `0.5`, `0.333`: three digits at most, none above 1.
fn weight_of(text: &str) -> Option<Weight> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{part:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(headers: &[&str]) -> String {
        let choices = choices(headers.iter().copied());
        let words = choices.iter().map(|choice| choice.map_or("plain", Coding::token));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_best_that_a_client_takes_comes_first() {
        for (headers, expected) in [
            (&[][..], "plain"),
            (&[""], "plain"),
            (&["gzip, deflate, br, zstd"], "br gzip plain"),
            (&["gzip"], "gzip plain"),
            (&["x-gzip"], "gzip plain"),
            (&["GZip;Q=1.0"], "gzip plain"),
            (&["br;q=0.5, gzip"], "gzip br plain"),
            (&["br;q=0.5, gzip;q=0.5"], "br gzip plain"),
            (&["br ; q=0.1 , gzip; q=0.2"], "gzip br plain"),
            (&["gzip", "br"], "br gzip plain"),
            (&["br;q=0"], "plain"),
            (&["br;q=0.000, gzip;q=0.001"], "gzip plain"),
            (&["*"], "br gzip plain"),
            (&["*;q=0.3, gzip;q=0.2"], "br gzip plain"),
            (&["gzip;q=0, *"], "br plain"),
            (&["identity"], "plain"),
            (&["identity, br;q=0.5"], "plain br"),
            (&["identity;q=0.5, br;q=0.5"], "br plain"),
            (&["identity;q=0"], ""),
            (&["identity;q=0, gzip"], "gzip"),
            (&["*;q=0"], ""),
            (&["*;q=0, identity"], "plain"),
            (&["*;q=0, br"], "br"),
            (&["deflate"], "plain"),
        ] {
            assert_eq!(shown(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_counts_for_nothing() {
        for header in [
            "br;q=2",
            "br;q=1.1",
            "br;q=-1",
            "br;q=",
            "br;q",
            "br;q=0.1234",
            "br;q=.5",
            "br;q=1;x=2",
            "br;level=3",
            ";q=1",
            ",,,",
            "b r",
            "br;q=0x1",
            "brotli",
            "\u{2028}",
        ] {
            assert_eq!(shown(&[header]), "plain", "{header}");
        }
        assert_eq!(shown(&[&"gzip;q=0,".repeat(10_000)]), "plain");
        assert_eq!(shown(&["gzip, gzip;q=0"]), "gzip plain");
    }
}
