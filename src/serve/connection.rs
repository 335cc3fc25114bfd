//! Accepted connections, within bounds: so many at a time, none idle for long, none for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

use super::{LEAST, Limits};

/// A listener that keeps to [`Limits`].
pub(super) struct Connections {
    listener: TcpListener,
    limits: Limits,
    open: Arc<AtomicUsize>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self { listener, limits, open: Arc::default() }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let place = Place::take(&self.open);
                    if place.0.load(Ordering::Relaxed) <= self.limits.connections {
                        // Small answers should not wait for more to come.
                        let _ = stream.set_nodelay(true);
                        return (Connection::new(stream, place, self.limits), peer);
                    }
                }
                // Out of descriptors, or the client is gone already: neither is a reason to stop.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One of the places for connections; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the time of a connection is given for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come since the last answer.
    Waiting,
    /// A request has begun to come: all of it has to be there in time, however it is cut into pieces.
    Asking,
    /// An answer is sent, of which this many bytes were taken since the time began.
    Answering(usize),
}

/// A TCP stream that fails when nothing gets on, or when its time is up.
pub(super) struct Connection {
    stream: TcpStream,
    phase: Phase,
    idle: Pin<Box<Sleep>>,
    idle_for: Duration,
    end: Pin<Box<Sleep>>,
    _place: Place,
}

impl Connection {
    fn new(stream: TcpStream, place: Place, limits: Limits) -> Self {
        Self {
            stream,
            phase: Phase::Waiting,
            idle: Box::pin(sleep(limits.idle)),
            idle_for: limits.idle,
            end: Box::pin(sleep(limits.lifetime)),
            _place: place,
        }
    }

    /// A new phase, with a time of its own.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let until = Instant::now() + self.idle_for;
        self.idle.as_mut().reset(until);
    }

    fn has_read(&mut self, count: usize) {
        if count > 0 && self.phase != Phase::Asking {
            self.enter(Phase::Asking);
        }
    }

    fn has_written(&mut self, count: usize) {
        match self.phase {
            Phase::Answering(before) if before + count < LEAST => {
                self.phase = Phase::Answering(before + count);
            }
            _ => self.enter(Phase::Answering(0)),
        }
    }

    /// While nothing happens, the clocks decide.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.idle.as_mut().poll(context).is_ready() || self.end.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let happened = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &happened {
            Poll::Ready(_) => self.has_read(buffer.filled().len() - before),
            Poll::Pending if self.is_over(context) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => {}
        }
        happened
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let happened = Pin::new(&mut self.stream).poll_write(context, bytes);
        match &happened {
            Poll::Ready(Ok(count)) => self.has_written(*count),
            Poll::Pending if self.is_over(context) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            _ => {}
        }
        happened
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
