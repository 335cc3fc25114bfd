//! Layers before and after a run: whether input layers get along, and what a run made of them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::top::{Top, bad};
use crate::outcome::Failure;
use crate::store::tree::{Name, Node, RelPath, Tree};

/// A layer for messages and comparison: its name and what it holds.
pub type NamedTree = (String, Arc<Tree>);

/// Checks that no two layers hold different things at one path. Equal files are fine, directories
/// merge. Only directories that several layers have are looked at, so a huge layer costs no more
/// than the small ones beside it.
pub fn check_overlap(layers: &[NamedTree]) -> Result<(), Failure> {
    let whole: Vec<_> = layers.iter().map(|(name, tree)| (name.as_str(), &**tree)).collect();
    check_directories(&whole, &RelPath::default())
}

fn check_directories(directories: &[(&str, &Tree)], path: &RelPath) -> Result<(), Failure> {
    let Some(largest) = (0..directories.len()).max_by_key(|index| directories[*index].1.len()) else {
        return Ok(());
    };
    let mut seen: BTreeMap<&Name, Vec<(usize, &Node)>> = BTreeMap::new();
    for (index, (_, tree)) in directories.iter().enumerate().filter(|(index, _)| *index != largest) {
        for (name, node) in tree.entries() {
            seen.entry(name).or_default().push((index, node));
        }
    }
    for (name, mut nodes) in seen {
        if let Some(node) = directories[largest].1.child(name) {
            nodes.push((largest, node));
            nodes.sort_by_key(|(index, _)| *index);
        }
        let Some(((first, one), others)) = nodes.split_first() else { continue };
        let mut below: Vec<(&str, &Tree)> = Vec::new();
        for (index, other) in others {
            match (one, other) {
                (Node::Directory(one), Node::Directory(other)) => {
                    if below.is_empty() {
                        below.push((directories[*first].0, one));
                    }
                    if !below.iter().any(|(_, known)| std::ptr::eq(*known, &raw const **other)) {
                        below.push((directories[*index].0, other));
                    }
                }
                (one, other) if one == other => {}
                _ => {
                    return Err(Failure::Overlap {
                        path: path.join(name.clone()).to_string(),
                        first: directories[*first].0.to_owned(),
                        second: directories[*index].0.to_owned(),
                    });
                }
            }
        }
        if below.len() > 1 {
            check_directories(&below, &path.join(name.clone()))?;
        }
    }
    Ok(())
}

/// What a run has added to `layers`. `mount_points` are paths that were made for other mounts.
///
/// Removing or changing a file of a layer is a [`Failure::BadOutput`]; a file of a layer that was
/// only copied up, and directories that were only touched, are left out.
pub fn added(top: Top, layers: &[NamedTree], mount_points: &[RelPath]) -> Result<Tree, Failure> {
    let lower = merged(layers)?;
    let owner = |path: &RelPath| {
        let named = layers.iter().find(|(_, tree)| tree.get(path).is_some());
        named.map_or("a layer", |(name, _)| name.as_str())
    };
    let refuse = |path: &RelPath, verb: &str, node: &Node| {
        bad(path, format!("{verb} {} of {}", node.kind(), owner(path)))
    };
    if let Some(path) = top.removed.first() {
        let removed = lower.get(path).map(|node| refuse(path, "removes", node));
        return Err(removed.unwrap_or_else(|| bad(path, "is a device")));
    }
    let mut tree = Tree::default();
    let mut add =
        |path: &RelPath, node| tree.insert(path, node).map_err(|error| bad(path, error.to_string()));
    for path in &top.directories {
        match lower.get(path) {
            Some(Node::Directory(_)) => {}
            Some(node) => return Err(refuse(path, "changes", node)),
            None => add(path, Node::Directory(Arc::default()))?,
        }
    }
    let mut unchanged = HashSet::new();
    for (path, node) in top.leaves {
        match lower.get(&path) {
            Some(there) if *there == node => drop(unchanged.insert(path)),
            Some(there) => return Err(refuse(&path, "changes", there)),
            None => add(&path, node)?,
        }
    }
    for path in &top.opaque {
        let Some(hidden) = lower.directory(path) else { continue };
        hidden.walk(&mut |below, node| {
            let whole = path.extend(below);
            let is_there = matches!(node, Node::Directory(_)) || unchanged.contains(&whole);
            if is_there { Ok(()) } else { Err(refuse(&whole, "removes", node)) }
        })?;
    }
    for mount_point in mount_points {
        drop_empty(&mut tree, &lower, mount_point);
    }
    Ok(tree)
}

/// What stands at the overlay's place in the end: the layers, with all that a run made of them.
/// `mount_points` are paths that were made for other mounts.
pub fn whole(top: Top, layers: &[NamedTree], mount_points: &[RelPath]) -> Result<Tree, Failure> {
    let lower = merged(layers)?;
    let mut tree = lower.clone();
    let put = |tree: &mut Tree, path: &RelPath, node| {
        tree.replace(path, node).map_err(|error| bad(path, error.to_string()))
    };
    for path in &top.opaque {
        if path.names().is_empty() {
            tree = Tree::default();
        } else if tree.directory(path).is_some() {
            put(&mut tree, path, Node::Directory(Arc::default()))?;
        }
    }
    for path in &top.removed {
        if lower.get(path).is_none() {
            // The mark of an overlay, and no overlay had a reason to leave it.
            return Err(bad(path, "is a device"));
        }
        tree.remove(path);
    }
    for path in &top.directories {
        if tree.directory(path).is_none() {
            put(&mut tree, path, Node::Directory(Arc::default()))?;
        }
    }
    for (path, node) in top.leaves {
        put(&mut tree, &path, node)?;
    }
    for mount_point in mount_points {
        drop_empty(&mut tree, &lower, mount_point);
    }
    Ok(tree)
}

/// All layers as one tree.
fn merged(layers: &[NamedTree]) -> Result<Tree, Failure> {
    let Some(((_, first), others)) = layers.split_first() else { return Ok(Tree::default()) };
    let mut all = Tree::clone(first);
    for (layer, tree) in others {
        let reason = |error| Failure::BadInput { what: layer.clone(), reason: format!("{error}") };
        all.merge(tree).map_err(reason)?;
    }
    Ok(all)
}

/// Removes the directory at `path`, and those around it, as far as nothing is in them and the
/// layers do not have them.
fn drop_empty(tree: &mut Tree, lower: &Tree, path: &RelPath) {
    let mut path = path.clone();
    while tree.directory(&path).is_some_and(Tree::is_empty) && lower.directory(&path).is_none() {
        tree.remove(&path);
        path = path.parent().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tree::{BlobHash, File, LinkTarget};

    fn tree(files: &[(&str, &str)]) -> Arc<Tree> {
        let mut tree = Tree::default();
        for (path, text) in files {
            let path = RelPath::parse(path).unwrap();
            let node = match text.strip_prefix("-> ") {
                Some(target) => Node::Link(LinkTarget::new(target.as_bytes()).unwrap()),
                None => Node::File(File {
                    blob: BlobHash::from_bytes(*blake3::hash(text.as_bytes()).as_bytes()),
                    size: text.len() as u64,
                    executable: false,
                }),
            };
            tree.insert(&path, node).unwrap();
        }
        Arc::new(tree)
    }

    #[test]
    fn overlap_names_the_path_and_both_layers() {
        let big: Vec<(String, String)> =
            (0..200).map(|number| (format!("lib/p{number}/x"), number.to_string())).collect();
        let big: Vec<(&str, &str)> = big.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let layers = |others: &[&[(&str, &str)]]| {
            let mut all = vec![("big".to_owned(), tree(&big))];
            all.extend(others.iter().enumerate().map(|(index, files)| (format!("l{index}"), tree(files))));
            all
        };
        let overlap = |path: &str, first: &str, second: &str| {
            Err(Failure::Overlap { path: path.into(), first: first.into(), second: second.into() })
        };
        let cases: [(&[&[(&str, &str)]], Result<(), Failure>); 7] = [
            (&[&[("lib/p7/x", "7")], &[("lib/p7/y", "new")]], Ok(())),
            (&[&[("bin/a", "-> b")], &[("bin/a", "-> b")]], Ok(())),
            (&[&[("lib/p7/x", "other")]], overlap("lib/p7/x", "big", "l0")),
            (&[&[("bin/a", "1")], &[("bin/a", "2")]], overlap("bin/a", "l0", "l1")),
            (&[&[("bin/a", "-> b")], &[("bin/a", "-> c")]], overlap("bin/a", "l0", "l1")),
            (&[&[("lib/p7", "-> elsewhere")]], overlap("lib/p7", "big", "l0")),
            (&[&[("a/b", "1")], &[("c", "2")], &[("a", "3")]], overlap("a", "l0", "l2")),
        ];
        for (others, expected) in cases {
            assert_eq!(check_overlap(&layers(others)), expected, "{others:?}");
        }
    }
}
