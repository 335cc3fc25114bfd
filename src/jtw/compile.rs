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

/// What compiled archives end in.
const JS: &str = ".cma.js";

/// One run of js_of_ocaml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub kind: Kind,
    /// The library directory and the archive's file name, for messages; of the first when the step
    /// is for several.
    pub label: String,
    /// Subcommand and flags.
    pub arguments: Vec<String>,
    /// Paths that follow them: runtime files, then archives.
    pub inputs: Vec<String>,
    /// Name of the file that keeps what the step makes.
    pub output: String,
    /// Of the archives, in bytes.
    pub size: u64,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compiles an archive to the file that `-o` names. When it ends with status 125, what it
    /// complained of is kept in the output's place, under the name [`Step::bug_file`].
    Compile,
    /// Asks which primitives are missing; the answer is its standard output.
    Ask,
}

/// The status by which js_of_ocaml says that it has met a bug of its own.
pub const BUG: i32 = 125;

impl Step {
    /// The name of the file that is there when js_of_ocaml cannot compile an archive for a bug of
    /// its own.
    pub fn bug_file(&self) -> String {
        bug_file(self.output.strip_suffix(JS).unwrap_or(&self.output))
    }

    /// The argument vector of the sandbox, where shells keep what the program says.
    fn command(&self, settings: &Settings) -> Vec<String> {
        let compiler = settings.js_of_ocaml.iter().cloned();
        let words = |words: [&str; 3]| words.map(str::to_owned);
        let output = format!("{}/{}", settings.out, self.output);
        let own = compiler.chain(self.arguments.iter().cloned()).chain(self.inputs.iter().cloned());
        match self.kind {
            Kind::Compile => {
                let bug = format!("{}/{}", settings.out, self.bug_file());
                words(UNLESS_BUG)
                    .into_iter()
                    .chain([bug])
                    .chain(own)
                    .chain(["-o".to_owned(), output])
                    .collect()
            }
            Kind::Ask => words(TO_FILE).into_iter().chain([output]).chain(own).collect(),
        }
    }
}

/// Names the outputs and writes the steps: one compilation per archive, largest first, then quick
/// questions after primitives that neither js_of_ocaml nor the runtime files provide: one for all
/// archives that have the same runtime files, because most of it would be starting the program.
pub(super) fn plan(analysis: &mut Analysis, settings: &Settings) {
    let place = |path: &str| match settings.elsewhere.get(path) {
        Some(place) => place.clone(),
        None => format!("{}/{path}", settings.prefix),
    };
    // Numbers keep flat names apart; they follow the order of directories, not of sizes.
    for (index, ((directory, archive), job)) in analysis.jobs.iter_mut().enumerate() {
        job.output = format!("{index:03}-{}", stem(archive));
        job.path = match directory.names() {
            [] => place(&format!("lib/{archive}")),
            _ => place(&format!("lib/{directory}/{archive}")),
        };
    }
    let effects = format!("--effects={}", settings.effects.as_str());
    let mut jobs: Vec<_> = analysis.jobs.iter().collect();
    jobs.sort_by_key(|(key, job)| (std::cmp::Reverse(job.size), *key));
    let mut steps = Vec::new();
    for ((directory, archive), job) in jobs {
        let flags = ["compile", "--toplevel", "--include-runtime", &effects, "--no-cmis"];
        let runtime = job.runtime.iter().map(|path| place(path));
        steps.push(Step {
            kind: Kind::Compile,
            label: format!("{directory}/{archive}"),
            arguments: flags.map(str::to_owned).to_vec(),
            inputs: runtime.chain([job.path.clone()]).collect(),
            output: format!("{}{JS}", job.output),
            size: job.size,
        });
    }
    // In its answer, a comma stands between the archives that lack the same.
    let is_alone = |job: &Job| job.path.contains(',').then(|| job.path.clone());
    let mut groups: BTreeMap<(Vec<String>, Option<String>), Vec<(String, &mut Job)>> = BTreeMap::new();
    for ((directory, archive), job) in &mut analysis.jobs {
        let label = format!("{directory}/{archive}");
        groups.entry((job.runtime.clone(), is_alone(job))).or_default().push((label, job));
    }
    let mut questions: Vec<Step> = Vec::new();
    for ((runtime, _), mut jobs) in groups {
        let answer = format!("{}.primitives", jobs[0].1.output);
        let archives = jobs.iter().map(|(_, job)| job.path.clone());
        questions.push(Step {
            kind: Kind::Ask,
            label: jobs[0].0.clone(),
            arguments: ["check-runtime"].into_iter().chain(TOPLEVEL_RUNTIME).map(str::to_owned).collect(),
            inputs: runtime.iter().map(|path| place(path)).chain(archives).collect(),
            output: answer.clone(),
            size: jobs.iter().map(|(_, job)| job.size).sum(),
        });
        jobs.iter_mut().for_each(|(_, job)| job.answer.clone_from(&answer));
    }
    questions.sort_by(|one, other| one.output.cmp(&other.output));
    steps.extend(questions);
    analysis.commands = steps.iter().map(|step| step.command(settings)).collect();
    analysis.steps = steps;
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
