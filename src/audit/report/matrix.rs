//! The table of what made which node differ.

use super::markup::Markup;
use super::{Judged, Variation, Variations, mark, shape};
use crate::audit::judge::{Cause, Judgement};

/// Draws the table, if a cause was found at all.
pub(super) fn draw(page: &mut Markup, nodes: &[Judged<'_>], vary: Variations) {
    let found: Vec<(usize, &Judged<'_>)> =
        nodes.iter().enumerate().filter(|(_, node)| !node.judgement.causes.is_empty()).collect();
    if found.is_empty() {
        return;
    }
    page.raw("<section class=\"matrix\">\n<h2 id=\"matrix\">What made which node differ</h2>\n");
    legend(page, &found);
    page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"matrix\">\n<table>\n");
    page.raw("<thead><tr><th scope=\"col\">Node</th>");
    for variation in Variation::ALL {
        let class = if vary.has(variation) { "turned" } else { "turned off" };
        page.open("th", &[("scope", &"col"), ("class", &class)]);
        page.leaf("span", &[], variation).raw("</th>");
    }
    for (words, title) in [("by itself", BY_ITSELF), ("what is stored", STORED)] {
        page.open("th", &[("scope", &"col"), ("class", &"turned apart"), ("title", &title)]);
        page.leaf("span", &[], words).raw("</th>");
    }
    page.raw("</tr></thead>\n<tbody>\n");
    for (index, node) in found {
        row(page, index, node, vary);
    }
    page.raw("</tbody>\n</table>\n</div>\n</section>\n");
}

const BY_ITSELF: &str = "differs with nothing varied";
const STORED: &str = "builds here agree with each other, and not with the store";

fn row(page: &mut Markup, index: usize, node: &Judged<'_>, vary: Variations) {
    let judgement = node.judgement;
    page.open("tr", &[("class", &judgement.verdict.class())]).raw("<th scope=\"row\">");
    page.open("a", &[("href", &format_args!("#n{index}"))]);
    mark(page, judgement.verdict);
    page.leaf("code", &[], node.id).raw("</a></th>");
    for variation in Variation::ALL {
        match of(judgement, variation) {
            Some((name, words)) => filled(page, name, &words),
            None if vary.has(variation) => drop(page.raw("<td></td>")),
            None => drop(page.raw("<td class=\"off\"></td>")),
        }
    }
    for (cause, words) in [(Cause::Itself, BY_ITSELF), (Cause::Stored, STORED)] {
        if judgement.causes.contains(&cause) {
            filled(page, ALONE, words);
        } else {
            page.raw("<td></td>");
        }
    }
    page.raw("</tr>\n");
}

const ALONE: &str = "#c-alone";
const TOGETHER: &str = "#c-together";
const UNSTEADY: &str = "#c-unsteady";

/// The shape for what a variation does to a node, and words for it; the surest of several.
fn of(judgement: &Judgement, variation: Variation) -> Option<(&'static str, String)> {
    let found = judgement.causes.iter().filter_map(|cause| match *cause {
        Cause::Varied { variations } if variations.has(variation) => {
            Some((if variations.len() > 1 { (1, TOGETHER) } else { (0, ALONE) }, cause))
        }
        Cause::Unsteady { variations } if variations.has(variation) => Some(((2, UNSTEADY), cause)),
        _ => None,
    });
    let ((_, name), cause) = found.min_by_key(|((doubt, _), _)| *doubt)?;
    Some((name, cause.words()))
}

fn filled(page: &mut Markup, name: &'static str, words: &str) {
    page.open("td", &[("title", &words)]);
    shape(page, name);
    page.leaf("span", &[("class", &"unseen")], words).raw("</td>");
}

fn legend(page: &mut Markup, found: &[(usize, &Judged<'_>)]) {
    let is_there = |wanted: &'static str| {
        let has = |(_, node): &(usize, &Judged<'_>)| {
            Variation::ALL.iter().any(|one| of(node.judgement, *one).is_some_and(|(name, _)| name == wanted))
        };
        found.iter().any(has)
    };
    page.raw("<p class=\"legend\">");
    let known = [
        (ALONE, "makes it differ by itself"),
        (TOGETHER, "together with the others of its row"),
        (UNSTEADY, "not each time"),
    ];
    for (name, words) in known {
        if is_there(name) || name == ALONE {
            page.raw("<span>");
            shape(page, name);
            page.text(words).raw("</span> ");
        }
    }
    page.raw("</p>\n");
}
