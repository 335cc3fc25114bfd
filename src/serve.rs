//! A web server for a site: static files, nothing else.
//!
//! It is meant for trying a site out and for small installations. Any static server does the same
//! job; what this one adds is the right caching, files in the coding that a client likes best, headers
//! that let the page run and nothing more, and bounds on what a client can hold.

mod answer;
mod conditions;
mod connection;
mod encoding;
mod file;
mod headers;
mod open;
mod target;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::store::StoreError;
use crate::store::disk::Directory;

use self::connection::Connections;

/// How long a stopped server waits for answers that are under way.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes of an answer that a client has to take in each [`Limits::idle`].
pub const LEAST: usize = 4096;

/// Bounds on what clients can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// A connection is closed when a request takes longer than this to arrive, when nothing is asked
    /// for as long, and when less than [`LEAST`] bytes of an answer are taken in as long.
    pub idle: Duration,
    /// No connection lives longer than this: clients connect again without anybody noticing.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, idle: Duration::from_secs(30), lifetime: Duration::from_secs(900) }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The site's directory cannot be opened.
    #[error(transparent)]
    Site(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// No threads.
    #[error("cannot start the server's threads: {0}")]
    Threads(#[source] std::io::Error),
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    root: PathBuf,
    // Options only because stopping consumes them.
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves the directory `root` at `address` (port 0: any free one) on threads of its own.
    pub fn start(root: &Path, address: SocketAddr, limits: Limits) -> Result<Self, ServeError> {
        let directory = Arc::new(Directory::open(root)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("serve")
            .enable_all()
            .build()
            .map_err(ServeError::Threads)?;
        let listening = |source| ServeError::Listen { address, source };
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(listening)?;
        let bound = listener.local_addr().map_err(listening)?;
        let (stop, stopped) = oneshot::channel();
        let app = Router::new().fallback(handle).with_state(directory);
        let task = runtime.spawn(async move {
            let serving = axum::serve(Connections::new(listener, limits), app);
            // Serving ends only by the signal; a sender that is gone is the signal, too.
            let _ = serving.with_graceful_shutdown(async { drop(stopped.await) }).await;
        });
        let root = root.to_owned();
        Ok(Self { address: bound, root, stop: Some(stop), task: Some(task), runtime: Some(runtime) })
    }

    /// Where it listens, with the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory that is served.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes no more connections, lets answers under way finish for a few seconds, and ends.
    pub fn stop(mut self) {
        let (Some(runtime), Some(task)) = (self.runtime.take(), self.task.take()) else { return };
        drop(self.stop.take());
        // Whether everything finished or time is up, the connections end with the threads.
        let _ = runtime.block_on(async { tokio::time::timeout(GRACE, task).await });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn handle(State(root): State<Arc<Directory>>, request: Request) -> Response {
    answer::answer(root, request).await
}

#[cfg(test)]
mod tests;
