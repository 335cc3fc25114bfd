//! A working directory after a build, and the files in it that names and links lead to.

use crate::request::{Mount, Request};
use crate::store::tree::{File, Name, Node, RelPath, Tree};

/// Links that are followed for one name, as the kernel has it.
const MOST_LINKS: usize = 40;

/// What a run has left where it worked.
pub(super) struct WorkDir {
    pub tree: Tree,
    /// Where it was in the sandbox: absolute links lead there.
    at: RelPath,
}

/// A step of a path that is still to be taken.
enum Step {
    Up,
    Down(Name),
}

impl WorkDir {
    /// What was captured as `name` of a request.
    pub fn captured<T>(tree: Tree, request: &Request<T>, name: &str) -> Self {
        let is_it = |mount: &&Mount<T>| matches!(mount, Mount::Overlay { capture: Some(kept), .. } if kept.name == name);
        let at = request.mounts.iter().find(is_it).map_or("/", Mount::at);
        Self::new(tree, at)
    }

    /// A tree that was at an absolute path of the sandbox.
    pub fn new(tree: Tree, at: &str) -> Self {
        Self { tree, at: RelPath::parse(at.trim_matches('/')).unwrap_or_default() }
    }

    /// The file that a path below the directory leads to. Links are followed, of directories too, as
    /// long as they stay in it: dune's and ocamlbuild's build directories are full of them.
    pub fn file(&self, path: &RelPath) -> Option<File> {
        let down = |names: &[Name]| names.iter().rev().cloned().map(Step::Down).collect::<Vec<_>>();
        let (mut left, mut here, mut links) = (down(path.names()), Vec::<Name>::new(), 0);
        while let Some(step) = left.pop() {
            match step {
                Step::Up => drop(here.pop()?),
                Step::Down(name) => here.push(name),
            }
            if here.is_empty() {
                continue;
            }
            let place = here.iter().cloned().fold(RelPath::default(), |path, name| path.join(name));
            match self.tree.get(&place)? {
                Node::Directory(_) => {}
                Node::File(file) => return left.is_empty().then_some(*file),
                Node::Link(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return None;
                    }
                    drop(here.pop());
                    let steps = steps(target.as_bytes())?;
                    let steps = if target.as_bytes().starts_with(b"/") {
                        here.clear();
                        self.inside(steps)?
                    } else {
                        steps
                    };
                    left.extend(steps.into_iter().rev());
                }
            }
        }
        None
    }

    /// The same for a path that is written out.
    pub fn file_at(&self, path: &str) -> Option<File> {
        self.file(&RelPath::parse(path).ok()?)
    }

    /// Steps from the root as steps from the directory, if they lead there straight.
    fn inside(&self, mut steps: Vec<Step>) -> Option<Vec<Step>> {
        let above = self.at.names();
        let leads_here = steps.len() >= above.len()
            && steps.iter().zip(above).all(|(step, name)| matches!(step, Step::Down(down) if down == name));
        leads_here.then(|| steps.split_off(above.len()))
    }
}

fn steps(target: &[u8]) -> Option<Vec<Step>> {
    let parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let step = |part: &[u8]| match part {
        b".." => Some(Step::Up),
        name => Name::new(name).ok().map(Step::Down),
    };
    parts.map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tree::{BlobHash, LinkTarget};

    fn found(links: &[(&str, &str)], path: &str) -> Option<u64> {
        let mut tree = Tree::default();
        let file = |size| Node::File(File { blob: BlobHash::from_bytes([0; 32]), size, executable: false });
        let path_of = |text: &str| RelPath::parse(text).unwrap();
        tree.insert(&path_of("_build/default/a"), file(1)).unwrap();
        tree.insert(&path_of("top"), file(2)).unwrap();
        for (at, target) in links {
            tree.insert(&path_of(at), Node::Link(LinkTarget::new(target.as_bytes()).unwrap())).unwrap();
        }
        WorkDir::new(tree, "/build").file_at(path).map(|file| file.size)
    }

    #[test]
    fn links_are_followed_within_the_directory() {
        assert_eq!(found(&[], "_build/default/a"), Some(1));
        assert_eq!(found(&[("_build/install/lib/a", "../../default/a")], "_build/install/lib/a"), Some(1));
        assert_eq!(found(&[("x", "/build/_build/default/a")], "x"), Some(1), "as ocamlbuild links");
        assert_eq!(found(&[("x", "_build//./default"), ("y", "x")], "y/a"), Some(1), "directories too");
        assert_eq!(found(&[("_build/x", "..")], "_build/x/top"), Some(2));
        assert_eq!(found(&[("_build/x", "/build")], "_build/x/top"), Some(2));
    }

    #[test]
    fn links_that_lead_out_or_nowhere_are_not() {
        for target in
            ["../top", "/top", "/buildx/top", "/etc/passwd", "../build/top", "nosuch", "x", "top/", "_build"]
        {
            let expected = if target == "top/" { Some(2) } else { None };
            assert_eq!(found(&[("x", target)], "x"), expected, "{target}");
        }
        assert_eq!(found(&[("x", "y"), ("y", "x")], "x"), None);
        assert_eq!(found(&[], "top/a"), None);
        assert_eq!(found(&[], "_build"), None);
    }
}
