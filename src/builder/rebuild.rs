//! Building for an audit: an output that is not published, made as always or with something varied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{AnySandbox, LocalBuilder, Product};
use crate::audit::{Manner, Output, Rebuilder, Variation, Variations};
use crate::outcome::Failure;
use crate::realise::{Job, machine_trouble};
use crate::request::{Command, Mount, Request};
use crate::sandbox::Report;
use crate::sandbox::conditions::Conditions;
use crate::store::Store;
use crate::store::tree::{Tree, TreeHash};

/// What a varied build calls its host, its user and its group.
const OTHER_HOST: &str = "elsewhere";
const OTHER_USER: &str = "somebody";
const OTHER_NUMBER: u32 = 4711;
/// Its locale, which few bases have, and its time zone, which nobody has.
const OTHER_LOCALE: &str = "fr_CH.UTF-8";
const OTHER_LANGUAGES: &str = "fr_CH:fr";
const OTHER_ZONE: &str = "JTW-13:37";
/// When builds of an audit begin by their own clock, and when varied ones do: another year, month, day,
/// weekday, hour, minute and second.
const CLOCK: i64 = 1_900_000_000;
const OTHER_CLOCK: i64 = CLOCK + 400 * 86_400 + 7 * 3600 + 13 * 60 + 19;
/// Its directories.
const OTHER_HOME: &str = "/varied/home";
const OTHER_TEMPORARY: &str = "/varied/tmp";
const OTHER_BUILD_PATH: &str = "/varied/path/of/the/build";
/// How many things it does at once.
const OTHER_JOBS: usize = 5;
/// Who else may read what it makes: nobody.
const OTHER_UMASK: u32 = 0o077;
/// So many busy sandboxes run beside it for each processor, for so long, and then not: what races meets
/// both, and a long build does not take many times as long.
const BUSY: usize = 4;
const RUSH: Duration = Duration::from_secs(2);
const CALM: Duration = Duration::from_secs(4);
const GLANCE: Duration = Duration::from_millis(20);

impl Rebuilder for LocalBuilder<'_> {
    fn rebuild(&self, job: &Job<'_>, manner: Manner) -> Result<Output, Failure> {
        let (tree, staging) = LocalBuilder { manner, ..*self }.make(job)?;
        Ok(Output::new(tree, staging))
    }

    fn impossible(&self, variations: Variations) -> Vec<(Variation, String)> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let reason = |variation| match variation {
            Variation::Cpus if processors == 1 => Some("there is one processor only".to_owned()),
            Variation::Time | Variation::Readdir if !Conditions::CAN_TRACE => {
                Some("programs can be told another time and order on x86-64 only".to_owned())
            }
            _ => None,
        };
        variations.iter().filter_map(|variation| Some((variation, reason(variation)?))).collect()
    }
}

impl LocalBuilder<'_> {
    /// The request as this builder is to run it.
    pub(super) fn varied(&self, request: Request) -> Request {
        if self.manner.varied.is_empty() { request } else { vary(request, self.manner.varied) }
    }

    /// The surroundings in which this builder runs requests.
    pub(super) fn conditions(&self) -> Conditions {
        let is_varied = |variation| self.manner.varied.has(variation);
        let mut conditions = Conditions::default();
        if is_varied(Variation::Hostname) {
            OTHER_HOST.clone_into(&mut conditions.host_name);
        }
        if is_varied(Variation::User) {
            conditions.user = OTHER_NUMBER;
            conditions.user_name = Some(OTHER_USER.to_owned());
        }
        if is_varied(Variation::Umask) {
            conditions.umask = OTHER_UMASK;
        }
        if is_varied(Variation::Cpus) {
            conditions.processors = Some(1);
        }
        if is_varied(Variation::Jobs) {
            conditions.parallel = Some(OTHER_JOBS);
        }
        conditions.fixed_addresses = !is_varied(Variation::Aslr);
        conditions.old_kernel = is_varied(Variation::Kernel);
        conditions.reversed_listings = is_varied(Variation::Readdir);
        if self.manner.held.has(Variation::Time) || is_varied(Variation::Time) {
            conditions.clock = Some(if is_varied(Variation::Time) { OTHER_CLOCK } else { CLOCK });
        }
        conditions
    }

    /// Runs `work` while the machine is busy with other things: shells in sandboxes of their own, made of
    /// the request's root.
    pub(super) fn under_load(
        sandbox: &AnySandbox,
        store: &Arc<Store>,
        request: &Request,
        work: impl FnOnce() -> Result<Report, Failure>,
    ) -> Result<Report, Failure> {
        let sandbox = sandbox.get()?;
        let mut root = request.mounts[..1].to_vec();
        for mount in &mut root {
            if let Mount::Overlay { capture, .. } = mount {
                *capture = None;
            }
        }
        let argv = ["sh", "-c", "while :; do :; done"].map(str::to_owned).to_vec();
        let stages = vec![vec![Command { argv, cwd: "/".to_owned() }]];
        let busy = Request { mounts: root, stages, ..request.clone() };
        let log = std::fs::File::options().write(true).open("/dev/null");
        let log =
            log.map_err(|error| Failure::Machine { what: "/dev/null".into(), reason: error.to_string() })?;
        let count = BUSY * std::thread::available_parallelism().map_or(1, usize::from);
        let (is_over, is_calm) = (AtomicBool::new(false), AtomicBool::new(false));
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let pass = |time: Duration| {
            let begun = Instant::now();
            while !is(&is_over) && begun.elapsed() < time {
                std::thread::sleep(GLANCE);
            }
        };
        let be_busy = || {
            while !is(&is_over) {
                if is(&is_calm) {
                    std::thread::sleep(GLANCE);
                } else {
                    drop(sandbox.run(&busy, store, &log, &is_calm));
                }
            }
        };
        let come_and_go = || {
            while !is(&is_over) {
                is_calm.store(false, Ordering::Relaxed);
                pass(RUSH);
                is_calm.store(true, Ordering::Relaxed);
                pass(CALM);
            }
            is_calm.store(true, Ordering::Relaxed);
        };
        std::thread::scope(|scope| {
            // With fewer threads than there should be, there is less load.
            if std::thread::Builder::new().spawn_scoped(scope, come_and_go).is_ok() {
                for _ in 0..count {
                    let _ = std::thread::Builder::new().spawn_scoped(scope, be_busy);
                }
            }
            let result = work();
            is_over.store(true, Ordering::Relaxed);
            is_calm.store(true, Ordering::Relaxed);
            result
        })
    }

    /// What a stored tree holds, as an output that could be published.
    pub(super) fn of_store(&self, hash: &TreeHash) -> Result<Product, Failure> {
        let tree = self.store.tree(hash).map_err(|error| machine_trouble(&error))?;
        Ok((Tree::clone(&tree), self.stage()?))
    }
}

/// The request with what is varied in its environment, directories and commands.
fn vary(mut request: Request, varied: Variations) -> Request {
    let mut set = |name: &str, value: &str| drop(request.env.insert(name.to_owned(), value.to_owned()));
    if varied.has(Variation::Locale) {
        set("LC_ALL", OTHER_LOCALE);
        set("LANG", OTHER_LOCALE);
        set("LANGUAGE", OTHER_LANGUAGES);
    }
    if varied.has(Variation::Timezone) {
        set("TZ", OTHER_ZONE);
    }
    if varied.has(Variation::User) {
        set("USER", OTHER_USER);
        set("LOGNAME", OTHER_USER);
    }
    if varied.has(Variation::BuildPath) {
        move_build_path(&mut request);
    }
    if varied.has(Variation::Home) {
        for (name, at) in [("HOME", OTHER_HOME), ("TMPDIR", OTHER_TEMPORARY)] {
            request.env.insert(name.to_owned(), at.to_owned());
            request.mounts.push(empty_directory(at));
        }
    }
    if varied.has(Variation::Jobs) {
        for command in request.stages.iter_mut().flatten() {
            change_jobs(&mut command.argv);
        }
        let names = request.env.iter_mut().filter(|(name, _)| name.ends_with("JOBS"));
        names.for_each(|(_, value)| *value = OTHER_JOBS.to_string());
    }
    request
}

fn empty_directory<T>(at: &str) -> Mount<T> {
    Mount::Overlay { at: at.to_owned(), layers: Vec::new(), capture: None }
}

/// Has the commands run in another directory: the mount they run in goes there, with all that names it;
/// where they run in a directory of the sandbox, they get an empty one.
fn move_build_path(request: &mut Request) {
    let Some(cwd) = request.stages.iter().flatten().map(|command| command.cwd.clone()).next() else { return };
    let holds = |mount: &&Mount| is_below(&cwd, mount.at());
    let mount = request.mounts.iter().skip(1).filter(holds).min_by_key(|mount| mount.at().len());
    let Some(from) = mount.map(|mount| mount.at().to_owned()) else {
        // The root directory is where it is.
        if cwd != "/" {
            for command in request.stages.iter_mut().flatten().filter(|command| is_below(&command.cwd, &cwd))
            {
                command.cwd = format!("{OTHER_BUILD_PATH}{}", &command.cwd[cwd.len()..]);
            }
            request.mounts.push(empty_directory(OTHER_BUILD_PATH));
        }
        return;
    };
    let renamed = |text: &str| with_other_path(text, &from);
    for mount in &mut request.mounts {
        let (Mount::Overlay { at, .. } | Mount::ReadOnly { at, .. }) = mount;
        if is_below(at, &from) {
            *at = renamed(at);
        }
    }
    for command in request.stages.iter_mut().flatten() {
        command.cwd = renamed(&command.cwd);
        command.argv.iter_mut().for_each(|word| *word = renamed(word));
    }
    request.env.values_mut().for_each(|value| *value = renamed(value));
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The text with [`OTHER_BUILD_PATH`] where it names the path `from`, by itself or as the beginning of a
/// longer one, also right behind an option's letter (`-I/build`).
fn with_other_path(text: &str, from: &str) -> String {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    let mut renamed = String::new();
    let mut copied = 0;
    for (at, _) in text.match_indices(from) {
        let (before, after) = (&text[..at], &text[at + from.len()..]);
        let word = before.rsplit(|character: char| !is_part(character) && character != '/').next();
        let word = word.unwrap_or_default();
        let is_option = word.starts_with('-') && !word.contains('/');
        if (word.is_empty() || is_option) && !after.starts_with(is_part) {
            renamed += &text[copied..at];
            renamed += OTHER_BUILD_PATH;
            copied = at + from.len();
        }
    }
    renamed + &text[copied..]
}

/// Replaces the number of jobs in `-j2`, `-j 2` and `--jobs 2`, `--jobs=2`, also in scripts.
fn change_jobs(argv: &mut [String]) {
    let mut is_number = false;
    for word in argv {
        if is_number && !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
            *word = OTHER_JOBS.to_string();
        }
        is_number = matches!(word.as_str(), "-j" | "--jobs");
        for option in ["-j", "--jobs=", "--jobs "] {
            *word = with_other_number(word, option);
        }
    }
}

/// The text with another number behind each `option` that begins a word.
fn with_other_number(text: &str, option: &str) -> String {
    let mut changed = String::new();
    let mut copied = 0;
    for (at, _) in text.match_indices(option) {
        let begins = text[..at].chars().next_back().is_none_or(char::is_whitespace);
        let after = &text[at + option.len()..];
        let digits = after.trim_start_matches(' ');
        let spaces = after.len() - digits.len();
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        let ends = digits[length..].chars().next().is_none_or(|next| !next.is_alphanumeric());
        if begins && length > 0 && ends {
            let start = at + option.len() + spaces;
            changed += &text[copied..start];
            changed += &OTHER_JOBS.to_string();
            copied = start + length;
        }
    }
    changed + &text[copied..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_jobs_are_found_in_commands_and_scripts() {
        let changed = |argv: &[&str]| {
            let mut argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            change_jobs(&mut argv);
            argv.join("|")
        };
        assert_eq!(changed(&["dune", "build", "-j", "2", "2"]), "dune|build|-j|5|2");
        assert_eq!(changed(&["make", "-j2", "-j2x", "x-j2"]), "make|-j5|-j2x|x-j2");
        assert_eq!(changed(&["sh", "-c", "make -j 2; dune b --jobs=12"]), "sh|-c|make -j 5; dune b --jobs=5");
        assert_eq!(changed(&["ninja", "-j"]), "ninja|-j");
    }

    #[test]
    fn the_build_path_is_renamed_where_it_is_meant() {
        let renamed = |text: &str| with_other_path(text, "/build").replace(OTHER_BUILD_PATH, "@");
        assert_eq!(renamed("/build"), "@");
        assert_eq!(renamed("cd /build/x; ls -I/build --to=/build:/build/y"), "cd @/x; ls -I@ --to=@:@/y");
        for same in ["/opt/build", "/builder", "/build-it", "x/build", "/build.x"] {
            assert_eq!(renamed(same), same);
        }
    }

    #[test]
    fn a_working_directory_moves_with_its_mount_and_one_of_the_sandbox_is_replaced() {
        let overlay = |at: &str| Mount::Overlay { at: at.to_owned(), layers: Vec::new(), capture: None };
        let request = |cwd: &str| Request {
            mounts: vec![overlay("/"), overlay("/build"), overlay("/build/sub")],
            stages: vec![vec![Command { argv: vec!["ls".into(), "/build/sub".into()], cwd: cwd.into() }]],
            env: [("SRC".to_owned(), "/build".to_owned())].into(),
            limits: crate::request::Limits { seconds: 1, memory: 1, log: 1, processes: 1 },
        };
        let varied = Variations::from_iter([Variation::BuildPath]);
        let moved = vary(request("/build/sub"), varied);
        let at: Vec<&str> = moved.mounts.iter().map(Mount::at).collect();
        let sub = format!("{OTHER_BUILD_PATH}/sub");
        assert_eq!(at, ["/", OTHER_BUILD_PATH, &sub]);
        assert_eq!(moved.stages[0][0].argv[1], sub);
        assert_eq!((moved.stages[0][0].cwd.as_str(), moved.env["SRC"].as_str()), (&*sub, OTHER_BUILD_PATH));
        let replaced = vary(request("/tmp"), varied);
        assert_eq!(replaced.mounts[3], overlay(OTHER_BUILD_PATH));
        assert_eq!((replaced.stages[0][0].cwd.as_str(), &*replaced.env["SRC"]), (OTHER_BUILD_PATH, "/build"));
        assert_eq!(vary(request("/"), varied), request("/"));
    }
}
