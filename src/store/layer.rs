//! Layers: the record of one decided build key, readable with `cat`.
//!
//! `layers/<kind>-<buildkey>/` holds `layer.json` and `build.log`. It appears by one rename, after
//! its tree. A success is never replaced; a remembered failure is replaced by whatever a later run
//! decides.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key::BuildKey;
use super::tree::TreeHash;
use super::{Store, StoreError, disk};
use crate::outcome::Failure;

/// `layer.json`. The names `package`, `status` and `error` are those of day10.
///
/// `D` is the build document: any JSON when it is read, the document itself when it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord<D = serde_json::Value> {
    /// What was built, for people: `fmt.0.9.0`.
    pub package: String,
    /// The kind of node: `build`, `jtw`, …
    pub kind: String,
    pub status: Status,
    /// The failure in words, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The failure as data, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    pub build_key: BuildKey,
    /// The output, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeHash>,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// How long it took, in seconds of wall time.
    pub seconds: f64,
    /// How often the builder failed before it ended in this way, when it was tried several times.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_tries: u32,
    /// The build document: exactly the value whose hash is the build key.
    pub document: D,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How a remembered build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Success,
    Failure,
    Skipped,
}

/// A layer being written: its log file exists, its record does not.
#[derive(Debug)]
pub struct LayerDraft {
    store: Arc<Store>,
    directory: PathBuf,
    id: String,
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        // Removed with the scratch directory otherwise.
        let _ = disk::remove_tree(&self.directory);
    }
}

impl LayerDraft {
    /// The log to write to.
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("build.log")
    }

    /// Opens the log for appending.
    pub fn log(&self) -> Result<disk::File, StoreError> {
        disk::open_append(&self.log_path())
    }

    /// Publishes log and record in one step.
    pub fn publish<D: Serialize>(self, record: &LayerRecord<D>) -> Result<(), StoreError> {
        let path = self.directory.join("layer.json");
        let mut text = serde_json::to_vec_pretty(record).expect("a record has only text keys");
        text.push(b'\n');
        let mut file = disk::create_new(&path)?;
        disk::write_all(&mut file, &path, &text)?;
        disk::sync(&file, &path)?;
        let log = self.log()?;
        if disk::io("read", &path, log.metadata())?.len() > 0 {
            disk::sync(&log, &self.log_path())?;
        }
        disk::sync_directory(&self.directory)?;
        let target = self.store.layer_path(&self.id);
        if !disk::rename_new(&self.directory, &target)? && !self.store.is_success(&self.id) {
            disk::exchange(&self.directory, &target)?;
            // What was there is taken apart next: its name must not come back after a power cut.
            disk::sync_directory(&self.store.root().join("layers"))?;
        }
        Ok(())
    }

    /// Keeps the log of a run that ended without a verdict, for people; the layer itself is not
    /// published. Returns where the log is.
    pub fn keep_log(self) -> Result<PathBuf, StoreError> {
        let kept = self.store.root().join("interrupted").join(format!("{}.log", self.id));
        drop(self.log()?);
        disk::rename_over(&self.log_path(), &kept)?;
        Ok(kept)
    }
}

impl Store {
    /// The name of a layer's directory.
    pub fn layer_id(kind: &str, key: &BuildKey) -> String {
        format!("{kind}-{}", key.to_hex())
    }

    /// Where a layer is or would be.
    pub fn layer_path(&self, id: &str) -> PathBuf {
        self.root().join("layers").join(id)
    }

    /// The record of a layer, or `None` when there is none. One that cannot be read counts as
    /// damaged, not as missing.
    pub fn layer(&self, id: &str) -> Result<Option<LayerRecord>, StoreError> {
        let path = self.layer_path(id).join("layer.json");
        let Some(bytes) = disk::read_if_present(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreError::Damaged { path, reason: error.to_string() })
    }

    fn is_success(&self, id: &str) -> bool {
        matches!(self.layer(id), Ok(Some(record)) if record.status == Status::Success)
    }

    /// The ids of all layers, in no order.
    pub fn layers(&self) -> Result<Vec<String>, StoreError> {
        let path = self.root().join("layers");
        let mut ids = Vec::new();
        for entry in disk::list(&path)? {
            ids.extend(entry.file_name().into_string().ok());
        }
        Ok(ids)
    }

    /// The log of a layer, if there is one: that of its verdict, else that of an interrupted run.
    pub fn log_path(&self, id: &str) -> Option<PathBuf> {
        let kept = self.root().join("interrupted").join(format!("{id}.log"));
        [self.layer_path(id).join("build.log"), kept].into_iter().find(|path| disk::exists(path))
    }

    /// Begins a layer.
    pub fn draft_layer(self: &Arc<Self>, id: &str) -> Result<LayerDraft, StoreError> {
        let directory = self.scratch_path("layer")?;
        disk::make_directory(&directory)?;
        let draft = LayerDraft { store: Arc::clone(self), directory, id: id.to_owned() };
        draft.log()?;
        Ok(draft)
    }
}
