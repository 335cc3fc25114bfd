//! The `js_of_ocaml` commands, and how their answers are read.

use std::collections::BTreeMap;

use super::{Analysis, Job, Settings};

/// Writes the standard output of a program to a file without quoting anything: the shell's `$0` is
/// the file and `$@` the program. (`check-runtime` writes to its standard output only.)
const TO_FILE: [&str; 3] = ["sh", "-c", "exec \"$@\" > \"$0\""];

/// Runs a program, and when that ends with status 125, keeps what it complained of in the file `$0`:
/// by that status js_of_ocaml says that it has met a bug of its own. Any other failure is one.
const UNLESS_BUG: [&str; 3] = [
    "sh",
    "-c",
    "\"$@\" 2> \"$0\"; status=$?; cat \"$0\" >&2; [ $status -eq 125 ] || { rm \"$0\"; exit $status; }",
];

/// Parts of js_of_ocaml's runtime that a toplevel is linked with beside the standard ones.
const TOPLEVEL_RUNTIME: [&str; 2] = ["+toplevel.js", "+dynlink.js"];

/// Names the outputs and writes the commands: one compilation per archive, largest first, then quick
/// questions after primitives that neither js_of_ocaml nor the runtime files provide: one for all
/// archives that have the same runtime files, because most of it would be starting the program.
pub(super) fn plan(analysis: &mut Analysis, settings: &Settings) {
    let below = |path: &str| format!("{}/{path}", settings.prefix);
    // Numbers keep flat names apart; they follow the order of directories, not of sizes.
    for (index, ((directory, archive), job)) in analysis.jobs.iter_mut().enumerate() {
        job.output = format!("{index:03}-{}", stem(archive));
        job.path = match directory.names() {
            [] => below(&format!("lib/{archive}")),
            _ => below(&format!("lib/{directory}/{archive}")),
        };
    }
    let compiler = || settings.js_of_ocaml.iter().map(String::as_str);
    let effects = format!("--effects={}", settings.effects.as_str());
    let mut jobs: Vec<_> = analysis.jobs.iter().collect();
    jobs.sort_by_key(|(key, job)| (std::cmp::Reverse(job.size), *key));
    let mut compile = Vec::new();
    for (_, job) in jobs {
        let runtime: Vec<String> = job.runtime.iter().map(|path| below(path)).collect();
        let bug = format!("{}/{}", settings.out, bug_file(&job.output));
        let output = format!("{}/{}.cma.js", settings.out, job.output);
        let flags = ["compile", "--toplevel", "--include-runtime", &effects, "--no-cmis"];
        let command = UNLESS_BUG.into_iter().chain([bug.as_str()]).chain(compiler()).chain(flags);
        let command = command.chain(runtime.iter().map(String::as_str)).chain([&*job.path, "-o", &output]);
        compile.push(command.map(str::to_owned).collect());
    }
    // In its answer, a comma stands between the archives that lack the same.
    let is_alone = |job: &Job| job.path.contains(',').then(|| job.path.clone());
    let mut groups: BTreeMap<(Vec<String>, Option<String>), Vec<&mut Job>> = BTreeMap::new();
    for job in analysis.jobs.values_mut() {
        groups.entry((job.runtime.clone(), is_alone(job))).or_default().push(job);
    }
    let mut check: Vec<(String, Vec<String>)> = Vec::new();
    for ((runtime, _), mut jobs) in groups {
        let answer = format!("{}.primitives", jobs[0].output);
        let runtime: Vec<String> = runtime.iter().map(|path| below(path)).collect();
        let output = format!("{}/{answer}", settings.out);
        let command = TO_FILE.into_iter().chain([output.as_str()]).chain(compiler());
        let command = command.chain(["check-runtime"]).chain(TOPLEVEL_RUNTIME);
        let archives = jobs.iter().map(|job| job.path.as_str());
        let command = command.chain(runtime.iter().map(String::as_str)).chain(archives);
        let command = command.map(str::to_owned).collect();
        jobs.iter_mut().for_each(|job| job.answer.clone_from(&answer));
        check.push((answer, command));
    }
    check.sort();
    analysis.commands = compile;
    analysis.commands.extend(check.into_iter().map(|(_, command)| command));
}

/// The file that is there when js_of_ocaml cannot compile an archive for a bug of its own.
pub(super) fn bug_file(output: &str) -> String {
    format!("{output}.bug")
}

/// The line that tells what went wrong, of what js_of_ocaml said about a bug of its own. `None` when
/// that is no bug, but too little memory.
pub(super) fn bug(said: &str) -> Option<String> {
    let told = said.lines().find_map(|line| line.strip_prefix("Error: ")).or(said.lines().last());
    let told: String = told.unwrap_or_default().chars().take(300).collect();
    (!said.to_ascii_lowercase().contains("out of memory")).then_some(told)
}

/// The archive's name without `.cma` or `.cmo`.
pub(super) fn stem(archive: &str) -> &str {
    archive.rsplit_once('.').map_or(archive, |(stem, _)| stem)
}

/// The primitives of `archive` that `js_of_ocaml check-runtime` lists as missing, in its order.
///
/// Its answer has two parts with underlined titles, `Missing` and `Unused`; in both, names stand
/// one a line below `From <file>,<file>:`.
pub fn missing_primitives(answer: &str, archive: &str) -> Vec<String> {
    let mut is_its = false;
    let lines = answer.lines().skip_while(|line| *line != "Missing").skip(1);
    let part = lines.take_while(|line| *line != "Unused");
    part.filter_map(|line| {
        if let Some(files) = line.strip_prefix("From ").and_then(|line| line.strip_suffix(':')) {
            is_its = files == archive || files.split(',').any(|file| file == archive);
            return None;
        }
        let name = line.split_ascii_whitespace().next()?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_%$'".contains(&byte));
        (is_its && is_name && name.bytes().any(|byte| byte != b'-')).then(|| name.to_owned())
    })
    .collect()
}

/// The primitives that a runtime file provides: `//Provides: name` and `//Alias: name` at the
/// beginning of a line, as js_of_ocaml reads them.
pub fn provided_primitives(runtime: &str) -> Vec<String> {
    let lines = runtime.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("//")?.trim_start();
        rest.strip_prefix("Provides:").or_else(|| rest.strip_prefix("Alias:"))
    });
    let names = lines.filter_map(|rest| rest.split([' ', '\t', ',', '(']).find(|word| !word.is_empty()));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_about_primitives_are_read() {
        let answer = "Missing\n-------\n\nFrom /z/z.cma:\nml_z_abs\nml_z_add (deprecated)\n\n\
            From b.cma,/z/z.cma:\ncaml_From\n\nFrom b.cma:\nb\n\nUnused\n-------\n\nFrom +array.js:\ncaml_array_get\n";
        assert_eq!(missing_primitives(answer, "/z/z.cma"), ["ml_z_abs", "ml_z_add", "caml_From"]);
        assert_eq!(missing_primitives(answer, "b.cma"), ["caml_From", "b"]);
        assert!(missing_primitives(answer, "z.cma").is_empty());
        assert_eq!(missing_primitives("Missing\n-------\nFrom a,b.cma:\nx\n", "a,b.cma"), ["x"]);
        assert!(missing_primitives("Missing\n-------\n\nUnused\n-------\n", "a").is_empty());
        assert!(missing_primitives("", "a").is_empty());
    }

    #[test]
    fn a_bug_of_the_compiler_is_told_and_want_of_memory_is_none() {
        let said = "js_of_ocaml: You found a bug. Please report it at https://x :\n\
            Error: File \"generate.ml\", line 2370, characters 18-24: Assertion failed\n";
        let told = "File \"generate.ml\", line 2370, characters 18-24: Assertion failed";
        assert_eq!(bug(said).as_deref(), Some(told));
        assert_eq!(bug("something\nelse"), Some("else".to_owned()));
        assert_eq!(bug("You found a bug.\nError: Out of memory\n"), None);
    }

    #[test]
    fn provided_primitives_are_read() {
        let runtime = "// comment\n//Provides: a_b const (const)\n//Requires: x\nfunction a_b() {}\n\
            //Provides:c\n  // Provides: d\n//Alias: e\nvar s = '//Provides: no'\n";
        assert_eq!(provided_primitives(runtime), ["a_b", "c", "d", "e"]);
    }
}
