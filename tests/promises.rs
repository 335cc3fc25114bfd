//! Holds the book's table of faults to the code: whatever is said to pass names a test, and every
//! test that is named exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One line of the table.
#[derive(Debug)]
struct Row<'a> {
    number: u32,
    /// `path::name` of each test.
    tests: Vec<&'a str>,
    state: &'a str,
}

/// The lines of the tables on the page: `| R1 | fault | \`tests/store.rs::name\` | pass |`.
fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("| R")?.strip_suffix(" |")?.split(" | ").collect();
            let [number, _, tests, state] = cells[..] else {
                panic!("not four cells: {line}");
            };
            let number = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            let tests = tests.split('`').skip(1).step_by(2).collect();
            Some(Row { number, tests, state: state.trim() })
        })
        .collect()
}

fn exists(test: &str) -> bool {
    let Some((path, name)) = test.rsplit_once("::") else { return false };
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default();
    source.contains(&format!("fn {name}(")) && source.contains("#[test]")
}

#[test]
fn every_promise_of_the_book_has_its_test() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/reference/reliability.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = rows(&page);
    let mut complaints = BTreeSet::new();
    for row in &rows {
        if row.state.starts_with("pass") && row.tests.is_empty() {
            complaints.insert(format!("R{} is said to pass and names no test", row.number));
        }
        for test in row.tests.iter().filter(|test| !exists(test)) {
            complaints.insert(format!("R{}: there is no test `{test}`", row.number));
        }
    }
    assert!(rows.len() > 50, "the page has only {} lines", rows.len());
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_table_is_read_as_it_is_written() {
    let rows = rows("| R7 | a fault | `tests/a.rs::one`, `src/b.rs::two` | pass |\n| x | y |\n");
    assert_eq!((rows.len(), rows[0].number, rows[0].state), (1, 7, "pass"));
    assert_eq!(rows[0].tests, ["tests/a.rs::one", "src/b.rs::two"]);
    assert!(exists("tests/promises.rs::the_table_is_read_as_it_is_written"));
    assert!(!exists("tests/promises.rs::no_such_test"));
}
