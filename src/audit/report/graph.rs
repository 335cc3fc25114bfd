//! The picture of what is made of what: inputs above, their users below, each node with its verdict.
//!
//! A node stands in the first row in which all its inputs are above it. Only edges that say something
//! are drawn: none from an input to a user that uses it by way of another node, too. A node's own edges
//! stand out while it is pointed at or has the focus, without a script.

use super::markup::Markup;
use super::{Judged, Verdict, mark};

/// Larger graphs are not drawn: nobody could read them.
const MOST: usize = 600;

/// In pixels.
const WIDTH: usize = 154;
const HEIGHT: usize = 40;
const GAP: usize = 10;
/// Between rows of one layer, and between layers.
const ROW_GAP: usize = 10;
const LAYER_GAP: usize = 36;
const EDGE: usize = 3;

/// A row has so many nodes at most; a layer may have several rows.
const COLUMNS: usize = 7;

/// Names are cut to so many characters.
const LONGEST: usize = 17;

/// Draws the graph, if there is something to see in one.
pub(super) fn draw(page: &mut Markup, nodes: &[Judged<'_>]) {
    if nodes.len() < 2 {
        return;
    }
    page.raw("<section class=\"graph\">\n<h2 id=\"graph\">What is made of what</h2>\n");
    if nodes.len() > MOST {
        page.text(format_args!("{} nodes are too many to be drawn.", nodes.len()));
        page.raw("</section>\n");
        return;
    }
    let needs = reduced(nodes);
    let (places, width, height) = places(&needs);
    legend(page, nodes);
    page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"graph\">\n");
    let view = format!("0 0 {width} {height}");
    let label = "Nodes with their verdicts; lines go from inputs down to what is made of them";
    page.open("svg", &[("width", &width), ("height", &height), ("viewBox", &view), ("aria-label", &label)]);
    page.raw("\n<g class=\"edges\" aria-hidden=\"true\">");
    for (user, inputs) in needs.iter().enumerate() {
        edges(page, user, inputs, &places);
    }
    page.raw("</g>\n");
    let mut used_by = vec![Vec::new(); nodes.len()];
    for (user, inputs) in needs.iter().enumerate() {
        inputs.iter().for_each(|input| used_by[*input].push(user));
    }
    for (index, node) in nodes.iter().enumerate() {
        draw_node(page, index, node, &places);
        page.raw("<g class=\"lit\" aria-hidden=\"true\">");
        edges(page, index, &needs[index], &places);
        for user in &used_by[index] {
            edges(page, *user, &[index], &places);
        }
        page.raw("</g></g>\n");
    }
    page.raw("</svg>\n</div>\n</section>\n");
}

/// The node and the begin of its group, which its edges are to end.
fn draw_node(page: &mut Markup, index: usize, node: &Judged<'_>, places: &[(usize, usize)]) {
    let (x, y) = places[index];
    let verdict = node.judgement.verdict;
    let (kind, name) = node.parts();
    page.open("g", &[("class", &format_args!("box {}", verdict.class()))]);
    page.leaf("title", &[], format_args!("{}: {}", node.id, verdict.words()));
    // In the words that can be seen, so that who speaks to the browser can say them.
    let label = format!("{kind} {name}: {}", verdict.words());
    page.open("a", &[("href", &format_args!("#n{index}")), ("aria-label", &label)]);
    let corner: [(&'static str, &dyn std::fmt::Display); 2] = [("x", &x), ("y", &y)];
    page.open("rect", &[corner[0], corner[1], ("width", &WIDTH), ("height", &HEIGHT), ("rx", &6)]);
    page.raw("</rect>");
    page.open("svg", &[("x", &(x + 8)), ("y", &(y + 12)), ("width", &16), ("height", &16)]);
    mark(page, verdict);
    page.raw("</svg>");
    page.leaf("text", &[("class", &"kind"), ("x", &(x + 31)), ("y", &(y + 15))], kind).raw(" ");
    page.leaf("text", &[("x", &(x + 31)), ("y", &(y + 31))], cut(name));
    page.raw("</a>");
}

fn legend(page: &mut Markup, nodes: &[Judged<'_>]) {
    page.raw("<p class=\"legend\">");
    for verdict in Verdict::WORST_FIRST {
        if nodes.iter().any(|node| node.judgement.verdict == verdict) {
            page.open("span", &[("class", &verdict.class())]);
            mark(page, verdict);
            page.text(verdict.words()).raw("</span> ");
        }
    }
    page.raw("</p>\n");
}

/// The begin of a name that is too long, and its end, which has the version.
fn cut(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= LONGEST {
        return name.to_owned();
    }
    let end = LONGEST / 2;
    let begin: String = characters[..LONGEST - end - 1].iter().collect();
    begin + "…" + &characters[characters.len() - end..].iter().collect::<String>()
}

/// The needs of each node without those that it has by way of another one.
fn reduced(nodes: &[Judged<'_>]) -> Vec<Vec<usize>> {
    let words = nodes.len().div_ceil(64);
    let has = |set: &[u64], at: usize| set[at / 64] >> (at % 64) & 1 == 1;
    let mut reached: Vec<Vec<u64>> = Vec::with_capacity(nodes.len());
    let mut needs = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        // Inputs come before their users; nothing else could be drawn.
        let mut all: Vec<usize> = node.needs.iter().copied().filter(|input| *input < index).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        let mut set = vec![0u64; words];
        let mut kept = Vec::new();
        for input in all {
            if !has(&set, input) {
                kept.push(input);
                set[input / 64] |= 1 << (input % 64);
                set.iter_mut().zip(&reached[input]).for_each(|(word, more)| *word |= more);
            }
        }
        kept.reverse();
        reached.push(set);
        needs.push(kept);
    }
    needs
}

/// The corner of each node, and the size of the picture.
fn places(needs: &[Vec<usize>]) -> (Vec<(usize, usize)>, usize, usize) {
    let mut layer_of = vec![0; needs.len()];
    for (index, inputs) in needs.iter().enumerate() {
        layer_of[index] = inputs.iter().map(|input| layer_of[*input] + 1).max().unwrap_or(0);
    }
    let count = layer_of.iter().max().map_or(0, |last| last + 1);
    let mut layers = vec![Vec::new(); count];
    for (index, layer) in layer_of.iter().enumerate() {
        layers[*layer].push(index);
    }
    let mut places = vec![(0, 0); needs.len()];
    let (mut y, mut width) = (EDGE, 0);
    for layer in &mut layers {
        // Below its inputs, as far as others leave room.
        let middle = |index: &usize| {
            let inputs = &needs[*index];
            let sum: usize = inputs.iter().map(|input| places[*input].0).sum();
            (sum.checked_div(inputs.len()).unwrap_or(0), *index)
        };
        layer.sort_by_cached_key(middle);
        for row in layer.chunks(COLUMNS) {
            for (column, index) in row.iter().enumerate() {
                let x = EDGE + column * (WIDTH + GAP);
                places[*index] = (x, y);
                width = width.max(x + WIDTH + EDGE);
            }
            y += HEIGHT + ROW_GAP;
        }
        y += LAYER_GAP - ROW_GAP;
    }
    (places, width, y.saturating_sub(LAYER_GAP) + EDGE)
}

/// The lines from inputs to one of their users.
fn edges(page: &mut Markup, user: usize, inputs: &[usize], places: &[(usize, usize)]) {
    let middle = WIDTH / 2;
    let (x, y) = places[user];
    for input in inputs {
        let (from_x, from_y) = (places[*input].0 + middle, places[*input].1 + HEIGHT);
        let bend = (y - from_y) / 2;
        let (x, above, below) = (x + middle, from_y + bend, y - bend);
        let path = format!("M{from_x} {from_y}C{from_x} {above} {x} {below} {x} {y}");
        page.open("path", &[("d", &path)]).raw("</path>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_below_their_inputs_and_wrap() {
        let mut needs = vec![vec![]; 10];
        needs.push(vec![0, 9]);
        let (places, width, height) = places(&needs);
        assert_eq!(places[0], (EDGE, EDGE));
        assert_eq!(places[7], (EDGE, EDGE + HEIGHT + ROW_GAP), "an eighth begins another row");
        assert_eq!(places[10].1, EDGE + 2 * HEIGHT + ROW_GAP + LAYER_GAP);
        assert_eq!(width, 2 * EDGE + 7 * WIDTH + 6 * GAP);
        assert_eq!(height, places[10].1 + HEIGHT + EDGE);
    }

    #[test]
    fn long_names_keep_their_version() {
        assert_eq!(cut("fmt.0.9.0"), "fmt.0.9.0");
        assert_eq!(cut("ocaml-base-compiler.5.4.1"), "ocaml-ba…er.5.4.1");
        assert_eq!(cut("ocaml-base-compiler.5.4.1").chars().count(), LONGEST);
    }
}
