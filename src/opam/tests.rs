//! What opam files mean: tokens, precedence, filters and formulas.

use super::filter::{Scope, Setting, interpolate, interpolate_bytes, truth};
use super::formula::{Items, read};
use super::syntax::{Content, Kind, OpamFile, Value};
use super::{Platform, entry};
use crate::diagnostic::{SourceFile, golden};
use crate::package::formula::{Atom, Formula, Versions};

fn field<R>(text: &str, look: impl FnOnce(&Value<'_>) -> R) -> R {
    let text = format!("f: {text}");
    let file = OpamFile::parse(&text).unwrap_or_else(|error| panic!("{error:?} in {text}"));
    look(file.field("f").unwrap())
}

/// A value with all its brackets.
fn shape(value: &Value<'_>) -> String {
    let list = |values: &[Value<'_>], between| values.iter().map(shape).collect::<Vec<_>>().join(between);
    match &value.kind {
        Kind::Bool(truth) => truth.to_string(),
        Kind::Integer(number) => number.to_string(),
        Kind::String(text) => format!("{text:?}"),
        Kind::Variable(name) => (*name).to_owned(),
        Kind::List(parts) => format!("[{}]", list(parts, " ")),
        Kind::Group(parts) => format!("({})", list(parts, " ")),
        Kind::Option(inner, options) => format!("{}{{{}}}", shape(inner), list(options, " ")),
        Kind::And(parts) => format!("<{}>", list(parts, " & ")),
        Kind::Or(parts) => format!("<{}>", list(parts, " | ")),
        Kind::Not(inner) => format!("!{}", shape(inner)),
        Kind::Defined(inner) => format!("?{}", shape(inner)),
        Kind::Compare(relation, left, right) => format!("<{} {relation:?} {}>", shape(left), shape(right)),
        Kind::Constraint(relation, right) => format!("<{relation:?} {}>", shape(right)),
        Kind::Update(operator, name, value) => format!("<{} {operator} {}>", shape(name), shape(value)),
    }
}

#[test]
fn operators_bind_as_the_manual_says() {
    let shapes = [
        ("a {x} | b", "<a{x} | b>"),
        ("a | b & c", "<a | <b & c>>"),
        ("!a = b & c", "<!<a Equal b> & c>"),
        ("\"p\" {>= \"1\" & < \"2\"}", "\"p\"{<<GreaterOrEqual \"1\"> & <Less \"2\">>}"),
        ("[PATH += \"x\" A =: \"\"]", "[<PATH += \"x\"> <A =: \"\">]"),
        ("[\"a\" \"b\" {c} d:e _:f -1 true]", "[\"a\" \"b\"{c} d:e _:f -1 true]"),
        ("(\"a\" | \"b\") \n # c\n (* d (* e *) *)", "(<\"a\" | \"b\">)"),
        ("a+b:enable", "a+b:enable"),
        ("?a:installed & !b", "<?a:installed & !b>"),
    ];
    for (text, expected) in shapes {
        assert_eq!(field(text, shape), expected);
    }
}

#[test]
fn strings_have_escapes_and_may_go_over_lines() {
    let strings = [
        (r#""a\"b\\c\n\065\x42""#, "a\"b\\c\nAB"),
        ("\"a\\\n   b\"", "ab"),
        ("\"\"\"x \"y\" \\\"\"\" z\"\"\"", "x \"y\" \"\"\" z"),
        (r#""\q\9\xZZ%""#, r"\q\9\xZZ%"),
        ("\"\"", ""),
        ("\"é\\é\"", "é\\é"),
    ];
    for (text, expected) in strings {
        let is = |value: &Value<'_>| matches!(&value.kind, Kind::String(text) if text == expected);
        assert!(field(text, is), "{text}");
    }
}

#[test]
fn sections_hold_fields_of_their_own() {
    let text = "\u{feff}url { src: \"u\" checksum: [\"md5=1\"] }\nextra-source \"p.patch\" { src: \"v\" }\n";
    let file = OpamFile::parse(text).unwrap();
    let sources: Vec<_> = file.sections("extra-source").collect();
    assert_eq!((sources.len(), sources[0].0), (1, Some("p.patch")));
    assert_eq!(file.sections("url").next().unwrap().1.len(), 2);
    let Content::Section { label: None, .. } = &file.items[0].content else { panic!("{file:?}") };
    assert_eq!(&text[file.items[1].span.range()], "extra-source");
}

#[test]
fn what_is_no_opam_file_is_told_with_its_place() {
    let deep = format!("f: {}1{}", "[".repeat(200), "]".repeat(200));
    let prefixed = format!("f: {}a", "!".repeat(50_000));
    let optional = format!("f: a{}", " {b}".repeat(50_000));
    let broken = [
        ("f: \"abc", "this string is not closed"),
        ("f: \"\"\"abc\"", "this string is not closed"),
        ("f: \"abc\\", "this string is not closed"),
        ("f: (* abc", "this comment is not closed"),
        ("f: [\"a\"", "expected a value or `]`, found the end of the file"),
        ("f: [\"a\"}", "expected a value or `]`, found `}`"),
        ("f \"a\"", "expected `{`, found the end of the file"),
        ("f", "expected `:` or `{`, found the end of the file"),
        ("f:", "expected a value, found the end of the file"),
        ("f: \"a\" \"b\"", "expected a field or a section, found a string"),
        ("f: a $ b", "this character means nothing here"),
        ("f: 99999999999999999999", "this is neither a name nor a number"),
        (&deep, "values are nested more than 100 deep"),
        (&prefixed, "values are nested more than 100 deep"),
        (&optional, "values are nested more than 100 deep"),
    ];
    for (text, message) in broken {
        let error = OpamFile::parse(text).unwrap_err();
        assert_eq!(error.message, message, "{text}");
        assert!(error.span.end <= text.len(), "{text}");
    }
}

struct Variables;

impl Scope for Variables {
    fn variable(&self, name: &str) -> Option<Setting<'_>> {
        match name {
            "os" => Some(Setting::Text("linux".into())),
            "yes" | "pkg:installed" => Some(Setting::Bool(true)),
            "no" => Some(Setting::Bool(false)),
            "version" => Some(Setting::Text("1.10".into())),
            _ => None,
        }
    }
}

#[test]
fn filters_have_three_values() {
    let filters = [
        ("os = \"linux\"", Some(true)),
        ("os != \"linux\"", Some(false)),
        ("version >= \"1.9\"", Some(true)),
        ("nosuch", None),
        ("!nosuch", None),
        ("?nosuch", Some(false)),
        ("?os", Some(true)),
        ("nosuch != \"x\"", None),
        ("nosuch | yes", Some(true)),
        ("nosuch | no", None),
        ("nosuch & no", Some(false)),
        ("nosuch & yes", None),
        ("[yes]", Some(true)),
        ("(yes & !no)", Some(true)),
        ("pkg:installed", Some(true)),
        ("\"true\"", Some(true)),
        ("\"%{yes}%\"", Some(true)),
        ("os", None),
        ("[[yes] {no}]", None),
    ];
    for (text, expected) in filters {
        assert_eq!(field(text, |filter| truth(filter, &Variables)), expected, "{text}");
    }
}

#[test]
fn strings_are_filled_in() {
    let strings = [
        ("%{os}%-%{version}%", "linux-1.10"),
        ("%{yes?--on:--off}% %{no?--on:--off}% %{nosuch?a:b}%", "--on --off b"),
        ("100%%, %%{os}%%, %{nosuch}%.", "100%, %{os}%, ."),
        ("50% %{os", "50% %{os"),
        ("%{yes}%", "true"),
    ];
    for (text, expected) in strings {
        assert_eq!(interpolate(text, &Variables), expected);
    }
}

#[test]
fn files_are_filled_in_whatever_their_bytes_and_within_a_bound() {
    let fill = |text: &[u8]| interpolate_bytes(text, &Variables, 100).unwrap();
    assert_eq!(fill(b"\xff %{os}% %{\xff}% %{os}%"), b"\xff linux %{\xff}% linux");
    assert_eq!(fill(b"%{os\n}% %{os}% %{ %{\n%{os}%"), b"%{os\n}% linux %{ %{\nlinux");
    assert_eq!(fill(b"%%{os}%% %"), b"%{os}% %");
    assert_eq!(interpolate_bytes(&b"%{os}%".repeat(21), &Variables, 100), None);
    assert_eq!(interpolate_bytes(&[b' '; 101], &Variables, 100), None);
    // Looked for from each of them to the end of the line, this would take minutes.
    let many = [b"%{".repeat(1 << 20), b"%{\xff}%".repeat(1 << 20)].concat();
    assert_eq!(interpolate_bytes(&many, &Variables, many.len()), Some(many));
}

fn atom(name: &str, versions: Versions) -> Formula {
    Formula::Atom(Atom { name: name.into(), versions })
}

#[test]
fn a_false_condition_takes_its_package_out_of_the_formula() {
    let every = |name| atom(name, Versions::Every);
    let formulas = [
        ("[\"a\" \"b\" {no}]", Some(every("a"))),
        ("[\"a\" {no} | \"b\"]", Some(every("b"))),
        ("[(\"a\" {no} | \"b\" {nosuch})]", None),
        ("[\"a\" & \"b\" | \"c\"]", {
            let both = Formula::All(vec![every("a"), every("b")]);
            Some(Formula::Any(vec![both, every("c")]))
        }),
        ("[]", None),
        ("\"a\" {yes}", Some(every("a"))),
        ("[\"a\" {no | yes}]", Some(every("a"))),
    ];
    for (text, expected) in formulas {
        assert_eq!(field(text, |value| read(value, Items::All, &Variables)), Ok(expected), "{text}");
    }
}

#[test]
fn conditions_mix_versions_and_filters() {
    use crate::version::Relation::{Equal, GreaterOrEqual, Less};
    let that = |relation, version: &str| Versions::That(relation, version.into());
    let conditions = [
        ("{>= \"1\" & yes}", Some(that(GreaterOrEqual, "1"))),
        ("{>= \"1\" & no}", None),
        ("{>= \"1\" | no}", Some(that(GreaterOrEqual, "1"))),
        ("{>= \"1\" | yes}", Some(Versions::Every)),
        ("{= version}", Some(that(Equal, "1.10"))),
        ("{= \"%{version}%\"}", Some(that(Equal, "1.10"))),
        ("{= nosuch}", None),
        ("{!(< \"2\")}", Some(that(Less, "2").negated())),
        ("{>= \"1\" < \"2\"}", Some(Versions::All(vec![that(GreaterOrEqual, "1"), that(Less, "2")]))),
        ("{< \"1\" | >= \"2\"}", Some(Versions::Any(vec![that(Less, "1"), that(GreaterOrEqual, "2")]))),
    ];
    for (text, expected) in conditions {
        let expected = expected.map(|versions| atom("a", versions));
        let read = field(&format!("[\"a\" {text}]"), |value| read(value, Items::All, &Variables));
        assert_eq!(read, Ok(expected), "{text}");
    }
}

fn read_entry(text: &str) -> Result<super::Entry, String> {
    let file = SourceFile::new("packages/a/a.1/opam", text);
    entry("a", "1", &file, &Platform::debian("13")).map_err(|error| golden(&error))
}

#[test]
fn an_entry_says_what_matters_for_choosing() {
    let text = "opam-version: \"2.0\"\navailable: [os = \"linux\" & opam-version >= \"2.1\"]\n\
                flags: [conf avoid-version]\nconflict-class: \"c\"\nconflicts: [\"b\" {< \"2\"} \"d\"]\n";
    let entry = read_entry(text).unwrap();
    assert!(entry.available && entry.avoid);
    assert_eq!(entry.classes, ["c"]);
    assert!(matches!(entry.conflicts, Some(Formula::Any(parts)) if parts.len() == 2));
    assert_eq!(entry.depends, None);
    assert!(!read_entry("available: sys-ocaml-version >= \"4\"").unwrap().available);
    assert!(!read_entry("available: os = \"win32\"").unwrap().available);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    insta::assert_snapshot!(read_entry("depends: [\"b\" { >= \"1\" ]\n").unwrap_err());
    insta::assert_snapshot!(read_entry("depends: [\"b\" c]\n").unwrap_err());
}
