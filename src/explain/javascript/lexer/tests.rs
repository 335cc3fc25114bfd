//! Tokens of what is hard to tell apart.

use super::*;

fn read(text: &str) -> Vec<(Kind, &str)> {
    let script = tokens(text);
    script.tokens.iter().map(|one| (one.kind, &text[one.start as usize..one.end as usize])).collect()
}

fn of(kind: Kind, text: &str) -> Vec<&str> {
    read(text).into_iter().filter(|(one, _)| *one == kind).map(|(_, text)| text).collect()
}

#[test]
fn slashes_divide_or_begin_regular_expressions() {
    for text in [
        "a / b / c",
        "f(x) / 2 / g",
        "a[1] / 2 / g",
        "a++ / 2 / g",
        "x = {a: 1} / 2 / g",
        "this / 2 / g",
        "x.return / 2 / g",
        "(function(){}) / 2 / g",
        "x = function(){} / 2 / g",
        "`a` / 2 / g",
        "1. / 2 / g",
    ] {
        assert_eq!(of(Kind::Regex, text), Vec::<&str>::new(), "{text}");
    }
    for text in [
        "= /b/g",
        "f(/b/g)",
        "return /b/g",
        "if (x) /b/g.test(y)",
        "{} /b/g",
        "x = y\n? /b/g : z",
        "typeof /b/g",
        "function f(){} /b/g",
        "a = b ? c : /b/g",
        "while(x) {} /b/g",
        "`${/b/g}`",
        "x => /b/g",
        "/b/g",
    ] {
        assert_eq!(of(Kind::Regex, text), ["/b/g"], "{text}");
    }
    assert_eq!(of(Kind::Regex, r"x = /[/\]]\//u;"), [r"/[/\]]\//u"]);
}

#[test]
fn strings_templates_numbers_and_comments_are_whole() {
    assert_eq!(of(Kind::Text, r#"f("a\"b", 'c\\', "//")"#), [r#""a\"b""#, r"'c\\'", r#""//""#]);
    assert_eq!(of(Kind::Template, "`a${ {b: `c${d}`} }e$f`"), ["`a${", "`c${", "}`", "}e$f`"]);
    assert_eq!(
        of(Kind::Number, "0x1e+1, 1e+5, 1_0n, .5e-3, 1.2"),
        ["0x1e", "1", "1e+5", "1_0n", ".5e-3", "1.2"]
    );
    assert_eq!(tokens("a/*;*/b//c\nd").comments, [1..6, 7..10]);
    assert_eq!(of(Kind::Name, "é = ü.ö"), ["é", "ü"]);
}

#[test]
fn names_are_kept_apart_from_properties() {
    assert_eq!(of(Kind::Property, "x = {a: b, c, d(e){}}.f?.g; {h: i}"), ["a", "c", "d", "f", "g"]);
    let declared = |text: &str| -> Vec<String> {
        let script = tokens(text);
        let declared = script.tokens.iter().filter(|one| one.declares);
        declared.map(|one| text[one.start as usize..one.end as usize].to_owned()).collect()
    };
    assert_eq!(
        declared("var a = f(x, y), b, c = function d(p, q){ let e = [r, s], g; }, h; i, j"),
        ["a", "b", "c", "d", "e", "g", "h"]
    );
    assert_eq!(declared("for (var i = 0, j = 1; k; l) m(n)"), ["i", "j"]);
}

#[test]
fn functions_have_names_and_extents() {
    let text = "function a(x){} b = function(){}; c = {d(y = (1)){}, e: async () => {}}; (x => {})";
    let script = tokens(text);
    let word = |at: usize| &text[script.tokens[at].start as usize..script.tokens[at].end as usize];
    let names: Vec<_> = script.functions.iter().map(|one| one.name.map_or("", word)).collect();
    assert_eq!(names, ["a", "b", "d", "e", ""]);
    let first = &script.functions[0];
    assert_eq!((word(first.extent.start), word(first.body), word(first.extent.end - 1)), ("(", "{", "}"));
    assert_eq!(word(script.functions[4].extent.start), "x");
}

#[test]
fn whatever_ends_early_ends() {
    for text in
        ["\"a", "'a\\", "`a", "`${", "/*", "/a", "= /a\\", "= /[", "}", "))", "1e", "\\", "#!", "a?", "{"]
    {
        let script = tokens(text);
        assert!(script.tokens.iter().all(|one| one.end as usize <= text.len()), "{text}");
    }
}
