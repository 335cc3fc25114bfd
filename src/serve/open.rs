//! From a target to an open file, or the variant of it that the client takes.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::time::UNIX_EPOCH;

use crate::compress::{Coding, is_compressible};
use crate::store::disk::Directory;

use super::encoding::Choices;
use super::target::Target;

/// A file outside of hashed directories is told by its content up to this size, else by its time.
const READ_FOR_TAG: u64 = 4 << 20;

/// What there is at a target.
pub(super) enum Found {
    File(Box<OpenFile>),
    /// A directory, asked for without the slash that relative links on its page need.
    Directory,
    /// A file, in no coding that the client takes.
    NotAcceptable,
    Nothing,
}

/// A representation of a file.
pub(super) struct OpenFile {
    pub file: File,
    /// Of the file itself, whatever its coding.
    pub target: Target,
    pub coding: Option<Coding>,
    /// Whether other clients get it in another coding.
    pub varies: bool,
    pub size: u64,
    /// The representation's name: another content or coding has another.
    pub tag: String,
}

/// Opens what is at `target`, in the first of `choices` that there is.
pub(super) fn open(root: &Directory, mut target: Target, choices: &Choices) -> io::Result<Found> {
    if target.is_directory {
        target.names.push(b"index.html".to_vec());
    }
    let file = open_names(root, &target.names)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Ok(if target.is_directory { Found::Nothing } else { Found::Directory });
    }
    if !kind.is_file() {
        return Ok(Found::Nothing);
    }
    let mut there = vec![(None, file)];
    let is_compressible = target.names.last().is_some_and(|name| is_compressible(name));
    for coding in Coding::ALL.into_iter().filter(|_| is_compressible) {
        if let Some(variant) = variant(root, &target, coding) {
            there.push((Some(coding), variant));
        }
    }
    let varies = there.len() > 1;
    let best = choices.iter().find_map(|choice| there.iter().position(|(coding, _)| coding == choice));
    let Some(best) = best else { return Ok(Found::NotAcceptable) };
    let (coding, mut file) = there.swap_remove(best);
    let size = file.metadata()?.len();
    let tag = tag(&mut file, size, coding, target.is_immutable())?;
    Ok(Found::File(Box::new(OpenFile { file, target, coding, varies, size, tag })))
}

fn open_names(root: &Directory, names: &[Vec<u8>]) -> io::Result<File> {
    root.open_below(&names.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The variant that lies beside a file, if it is a file itself.
fn variant(root: &Directory, target: &Target, coding: Coding) -> Option<File> {
    let mut names = target.names.clone();
    names.last_mut()?.extend(coding.suffix().as_bytes());
    let file = open_names(root, &names).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// What is below a hash never changes, so that size and time do. The rest is small and is replaced
/// now and then, perhaps twice within the grain of the clock: its content is read.
fn tag(file: &mut File, size: u64, coding: Option<Coding>, is_immutable: bool) -> io::Result<String> {
    let coding = coding.map_or("", Coding::suffix).replace('.', "-");
    if !is_immutable && size <= READ_FOR_TAG {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => drop(hasher.update(&buffer[..count])),
            }
        }
        file.rewind()?;
        return Ok(format!("\"{}{coding}\"", &hasher.finalize().to_hex()[..32]));
    }
    let time = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("\"{size:x}-{:x}{coding}\"", time.as_nanos()))
}
