//! The working directory before the first command: source, further files, `patches` and `substs`.

use super::{Building, of_file};
use crate::builder::{publish, taken};
use crate::derivation::WORK;
use crate::opam::filter;
use crate::opam::patch::{self, Format, Patch};
use crate::opam::paths;
use crate::outcome::Failure;
use crate::path::RelativePath;
use crate::realise::machine_trouble;
use crate::store::staging::Staging;
use crate::store::tree::{Node, RelPath, Tree};

/// A file that variables are filled into is refused when it has more bytes than this, before or after.
const MOST_BYTES: usize = 32 << 20;

impl Building<'_> {
    /// The working directory, and where those of its files are that are not in the store.
    pub(super) fn prepare(&self) -> Result<(Tree, Staging), Failure> {
        let mut tree = self.composed()?;
        let patches = self.listed("patches")?;
        let substs = self.listed("substs")?;
        let (generated, others): (Vec<_>, Vec<_>) = substs.iter().partition(|path| patches.contains(path));
        let staging = self.builder.stage()?;
        for path in generated {
            self.fill_in(path, &mut tree, &staging)?;
        }
        let (mut tree, staging) = self.patched(tree, staging, &patches)?;
        for path in others {
            self.fill_in(path, &mut tree, &staging)?;
        }
        Ok((tree, staging))
    }

    /// The source with the files that are put beside it.
    fn composed(&self) -> Result<Tree, Failure> {
        let trees = self.job.trees;
        let mut tree = match self.build.source {
            Some(slot) => Tree::clone(&*self.builder.tree(&trees[slot])?),
            None => Tree::default(),
        };
        for (path, slot) in &self.build.extra {
            let bad = |reason: String| {
                of_file(self.build, &format!("the file `{}`: {reason}", path.escape_debug()))
            };
            let place = paths::checked(path).ok_or_else(|| bad(paths::bad(path)))?;
            let file = self.builder.tree(&trees[*slot])?.files().first().map(|(_, file)| *file);
            let file = file.ok_or_else(|| bad("there is nothing to put there".to_owned()))?;
            if let Some(Node::Directory(_)) = tree.get(&below(&place)) {
                return Err(bad("the source has a directory there".to_owned()));
            }
            tree.replace(&below(&place), Node::File(file)).map_err(|error| bad(error.to_string()))?;
        }
        Ok(tree)
    }

    fn listed(&self, name: &str) -> Result<Vec<RelativePath>, Failure> {
        let Some(field) = self.fields.field(name) else { return Ok(Vec::new()) };
        let scope = self.surroundings.own_scope();
        paths::list(field, Some(&scope)).map_err(|misfit| self.misfit(name, &misfit))
    }

    /// Makes `path` of `path.in`.
    fn fill_in(&self, path: &RelativePath, tree: &mut Tree, staging: &Staging) -> Result<(), Failure> {
        let bad = |reason: &str| of_file(self.build, &format!("`substs`: `{path}.in` {reason}"));
        let template =
            below(path).parent().zip(below(path).file_name().cloned()).and_then(|(above, name)| {
                let name = [name.as_bytes(), b".in"].concat();
                Some(above.join(crate::store::tree::Name::new(&name).ok()?))
            });
        let template = template.and_then(|template| tree.get(&template).cloned());
        let file = match template {
            Some(Node::File(file)) => file,
            Some(other) => return Err(bad(&format!("is {}", other.kind()))),
            None => return Err(bad("is not there")),
        };
        if file.size > MOST_BYTES as u64 {
            return Err(bad(&format!("has more than {} MiB", MOST_BYTES >> 20)));
        }
        let text = staging.read(&file).map_err(|error| machine_trouble(&error))?;
        let filled = filter::interpolate_bytes(&text, &self.surroundings.own_scope(), MOST_BYTES)
            .ok_or_else(|| bad(&format!("becomes larger than {} MiB", MOST_BYTES >> 20)))?;
        let made = staging.add_bytes(&filled, file.executable).map_err(|error| machine_trouble(&error))?;
        if let Some(Node::Directory(_)) = tree.get(&below(path)) {
            return Err(bad("cannot be filled in: a directory is in the place of the result"));
        }
        tree.replace(&below(path), Node::File(made))
            .map_err(|error| bad(&format!("cannot be filled in: {error}")))
    }

    /// The tree with the patches applied, in their order. All of them are looked at before the first is
    /// applied; `patch` runs in a sandbox like every other program.
    fn patched(
        &self,
        tree: Tree,
        staging: Staging,
        patches: &[RelativePath],
    ) -> Result<(Tree, Staging), Failure> {
        if patches.is_empty() {
            return Ok((tree, staging));
        }
        let mut commands = Vec::new();
        for path in patches {
            let format = self.checked(path, &tree, &staging)?;
            let kind = match format {
                Format::Unified => "--unified",
                Format::Context => "--context",
            };
            let file = format!("--input={}/{path}", self.build.workdir);
            // Nothing is guessed: a hunk must fit without fuzz, and nobody is asked.
            let words = ["patch", "--strip=1", kind, "--fuzz=0", "--force", "--no-backup-if-mismatch", &file];
            commands.push(words.map(str::to_owned).to_vec());
        }
        let hash = publish(&staging, &tree)?;
        let mut report = self.builder.run(self.job, &self.request(hash, commands, &[WORK]))?;
        Ok((taken(&mut report, WORK)?, report.staging))
    }

    /// The format of a patch that names nothing outside of the working directory.
    fn checked(&self, path: &RelativePath, tree: &Tree, staging: &Staging) -> Result<Format, Failure> {
        let bad = |reason: &str| of_file(self.build, &format!("`patches`: `{path}` {reason}"));
        let file = match tree.get(&below(path)) {
            Some(Node::File(file)) => *file,
            Some(other) => return Err(bad(&format!("is {}", other.kind()))),
            None => return Err(bad("is neither in the source nor among the extra files")),
        };
        if file.size > patch::MAX_SIZE as u64 {
            return Err(bad(&format!("has more than {} MiB", patch::MAX_SIZE >> 20)));
        }
        let text = staging.read(&file).map_err(|error| machine_trouble(&error))?;
        let read = Patch::parse(&text).map_err(|error| bad(&format!("cannot be applied: {error}")))?;
        for named in &read.paths {
            if let Some(link) = link_above(tree, &below(named)) {
                return Err(bad(&format!(
                    "cannot be applied: it reaches `{named}` through the link `{link}`"
                )));
            }
        }
        Ok(read.format)
    }
}

/// A directory on the way to `path` that is a link.
fn link_above(tree: &Tree, path: &RelPath) -> Option<RelPath> {
    let mut above = RelPath::default();
    for name in path.names() {
        above = above.join(name.clone());
        if above != *path && matches!(tree.get(&above), Some(Node::Link(_))) {
            return Some(above);
        }
    }
    None
}

fn below(path: &RelativePath) -> RelPath {
    RelPath::parse(path.as_str()).expect("both types have the same rules")
}
