//! An audit as a page for people: one file of HTML that needs nothing else, neither scripts nor network.
//!
//! ```text
//! judgements, what needs what ──► head ─ graph ─ matrix ─ a section for each node that differs
//! ```
//!
//! Pure. What is shown was made by builds of strangers: everything goes through [`markup`], which writes
//! it as text, and a policy in the page lets no script run, whatever is in it.

mod graph;
mod marks;
mod markup;
mod matrix;
mod section;

use ct_codecs::{Base64, Encoder};
use sha2::{Digest, Sha256};

use self::markup::{Markup, grouped};
use super::judge::{Judgement, Verdict};
use super::{Variation, Variations};

/// How the page looks.
const STYLE: &str = include_str!("report/style.css");

/// What is left out of a page of so many bytes, findings first, so that a browser can still show it.
const ROOMY: usize = 12 << 20;

/// An audit.
#[derive(Debug)]
pub struct Report<'a> {
    pub universe: &'a str,
    /// The version that made it.
    pub jtwbuild: &'a str,
    /// When, for people.
    pub made: &'a str,
    /// How long it took, for people.
    pub took: &'a str,
    /// What was varied, and how often each node was built and compared.
    pub vary: Variations,
    pub times: u32,
    /// Whether it was stopped before its end.
    pub is_interrupted: bool,
    /// Inputs before their users.
    pub nodes: &'a [Judged<'a>],
}

/// A node of the audit.
#[derive(Debug)]
pub struct Judged<'a> {
    /// `<kind>/<name>`.
    pub id: &'a str,
    pub judgement: &'a Judgement,
    /// The node that stands in its way.
    pub because: Option<&'a str>,
    /// What to do about its failure.
    pub help: Option<&'a str>,
    /// How long it took, for people.
    pub took: String,
    /// The nodes that it is made of, as places in the list; of nodes that are not in it, theirs.
    pub needs: Vec<usize>,
    /// What diffoscope says: a path from the page, with slashes.
    pub diffoscope: Option<String>,
}

impl Judged<'_> {
    /// Its kind and its name.
    fn parts(&self) -> (&str, &str) {
        self.id.split_once('/').unwrap_or(("", self.id))
    }
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = Markup::default();
        page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        let policy = policy();
        page.open("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &policy)]);
        page.raw("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
        page.leaf("title", &[], format_args!("Audit of {}", self.universe));
        page.raw("\n<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n");
        page.raw("<a class=\"skip\" href=\"#main\">To the judgements</a>\n").raw(MARKS);
        self.head(&mut page);
        page.raw("<main id=\"main\">\n");
        graph::draw(&mut page, self.nodes);
        matrix::draw(&mut page, self.nodes, self.vary);
        for verdict in Verdict::WORST_FIRST {
            self.verdict(&mut page, verdict);
        }
        page.raw("</main>\n<footer><p>");
        page.text(format_args!("Made by jtwbuild {} on {}.", self.jtwbuild, self.made));
        page.raw("</p></footer>\n</body>\n</html>\n");
        page.finish()
    }

    fn of(&self, verdict: Verdict) -> impl Iterator<Item = (usize, &Judged<'_>)> {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.judgement.verdict == verdict)
    }

    fn head(&self, page: &mut Markup) {
        page.raw("<header>\n<h1>Audit of ").leaf("code", &[], self.universe).raw("</h1>\n");
        if self.is_interrupted {
            page.raw("<p class=\"notice\"><strong>This audit was interrupted.</strong> ");
            page.raw("Nodes that it did not come to are not judged.</p>\n");
        }
        page.raw("<ul class=\"counts\">\n");
        for verdict in Verdict::WORST_FIRST {
            let count = self.of(verdict).count();
            if count > 0 {
                page.open("li", &[("class", &verdict.class())]);
                page.open("a", &[("href", &format_args!("#{}", verdict.class()))]);
                mark(page, verdict);
                page.leaf("strong", &[], grouped(count as u64)).raw(" ").text(verdict.words());
                page.raw("</a></li>\n");
            }
        }
        page.raw("</ul>\n<dl class=\"facts\">\n");
        let builds: u64 = self.nodes.iter().map(|node| u64::from(node.judgement.builds)).sum();
        let nodes = grouped(self.nodes.len() as u64);
        let facts: [(&'static str, &dyn std::fmt::Display); 5] = [
            ("Nodes", &nodes),
            ("Builds", &grouped(builds)),
            ("Time", &self.took),
            ("Made", &self.made),
            ("Version", &format_args!("jtwbuild {}", self.jtwbuild)),
        ];
        for (name, value) in facts {
            page.raw("<div>").leaf("dt", &[], name).leaf("dd", &[], value).raw("</div>\n");
        }
        page.raw("</dl>\n<p class=\"varied\">");
        let times = if self.times == 1 { String::new() } else { format!(", {} times", self.times) };
        if self.vary.is_empty() {
            page.text(format_args!("Each node was built again{times}, with nothing varied."));
        } else {
            page.text(format_args!("Each node was built again{times}, varied:"));
            for variation in Variation::ALL {
                let is_varied = self.vary.has(variation);
                let tag = if is_varied { "b" } else { "s" };
                page.raw(" ").leaf(tag, &[("class", &"chip")], variation);
            }
        }
        page.raw("</p>\n</header>\n");
    }

    /// All nodes with one verdict.
    fn verdict(&self, page: &mut Markup, verdict: Verdict) {
        if self.of(verdict).next().is_none() {
            return;
        }
        page.open("section", &[("class", &verdict.class()), ("id", &verdict.class())]);
        page.raw("<h2>");
        mark(page, verdict);
        page.text(capital(verdict.words())).raw("</h2>\n");
        match verdict {
            Verdict::NotReproducible | Verdict::IntermediatesDiffer => {
                self.of(verdict).for_each(|(index, node)| section::differing(page, index, node));
            }
            Verdict::NotJudged => {
                self.of(verdict).for_each(|(index, node)| section::not_judged(page, index, node));
            }
            Verdict::Reproducible => {
                page.raw("<ul class=\"compact\">\n");
                for (index, node) in self.of(verdict) {
                    page.open("li", &[("id", &format_args!("n{index}"))]);
                    page.leaf("code", &[], node.id);
                    let builds = section::builds(node);
                    page.raw(" ").leaf("small", &[], builds).raw("</li>\n");
                }
                page.raw("</ul>\n");
            }
        }
        page.raw("</section>\n");
    }
}

/// No scripts, no images, nothing from anywhere; of styles, the page's own only.
fn policy() -> String {
    let digest = Sha256::digest(STYLE.as_bytes());
    // What cannot be encoded lets no style in: the page is plain then.
    let hash = Base64::encode_to_string(digest).unwrap_or_default();
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

/// A shape for each verdict, so that colours are not needed to tell them apart.
const MARKS: &str = concat!(
    "<svg class=\"marks\" width=\"0\" height=\"0\" aria-hidden=\"true\">",
    "<symbol id=\"m-reproducible\" viewBox=\"0 0 16 16\"><circle class=\"on\" cx=\"8\" cy=\"8\" r=\"7.5\"/>",
    "<path class=\"in\" d=\"M4.5 8.3 7 10.8l4.5-5\"/></symbol>",
    "<symbol id=\"m-intermediates\" viewBox=\"0 0 16 16\"><path class=\"on\" d=\"M8 0l8 8-8 8-8-8z\"/>",
    "<path class=\"in\" d=\"M4.5 8.8c1.6-2.4 3.4-.6 3.5-.8s1.9 1.6 3.5-.8\"/></symbol>",
    "<symbol id=\"m-not\" viewBox=\"0 0 16 16\"><rect class=\"on\" x=\".5\" y=\".5\" width=\"15\" height=\"15\" rx=\"2\"/>",
    "<path class=\"in\" d=\"M5 5l6 6M11 5l-6 6\"/></symbol>",
    "<symbol id=\"m-unjudged\" viewBox=\"0 0 16 16\"><circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"6.5\"/></symbol>",
    "<symbol id=\"c-alone\" viewBox=\"0 0 16 16\"><circle class=\"on\" cx=\"8\" cy=\"8\" r=\"6\"/></symbol>",
    "<symbol id=\"c-together\" viewBox=\"0 0 16 16\"><circle class=\"ring whole\" cx=\"8\" cy=\"8\" r=\"5.2\"/>",
    "<path class=\"on\" d=\"M8 2.8a5.2 5.2 0 0 0 0 10.4z\"/></symbol>",
    "<symbol id=\"c-unsteady\" viewBox=\"0 0 16 16\"><circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"5.2\"/></symbol>",
    "</svg>\n",
);

/// The shape of a verdict; the words stand beside it.
fn mark(page: &mut Markup, verdict: Verdict) {
    shape(
        page,
        match verdict {
            Verdict::Reproducible => "#m-reproducible",
            Verdict::IntermediatesDiffer => "#m-intermediates",
            Verdict::NotReproducible => "#m-not",
            Verdict::NotJudged => "#m-unjudged",
        },
    );
}

fn shape(page: &mut Markup, of: &'static str) {
    page.raw("<svg class=\"mark\" width=\"16\" height=\"16\" aria-hidden=\"true\">");
    page.open("use", &[("href", &of)]).raw("</use></svg>");
}

impl Verdict {
    const WORST_FIRST: [Self; 4] =
        [Self::NotReproducible, Self::IntermediatesDiffer, Self::NotJudged, Self::Reproducible];

    /// Its word in the style, and of the section of its nodes.
    fn class(self) -> &'static str {
        match self {
            Self::Reproducible => "reproducible",
            Self::IntermediatesDiffer => "intermediates",
            Self::NotReproducible => "not",
            Self::NotJudged => "unjudged",
        }
    }
}

/// The words as the begin of a line.
fn capital(words: &str) -> String {
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests;
