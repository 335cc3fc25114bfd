//! A file as the body of an answer, a piece at a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that are read and sent at a time; so much memory a slow client can hold.
const PIECE: usize = 64 * 1024;

/// At most `left` more bytes of a file.
pub(super) struct Pieces {
    file: tokio::fs::File,
    left: u64,
    buffer: Box<[u8]>,
}

impl Pieces {
    pub(super) fn new(file: tokio::fs::File, length: u64) -> Self {
        let size = usize::try_from(length).map_or(PIECE, |length| length.min(PIECE));
        Self { file, left: length, buffer: vec![0; size].into() }
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let wanted = usize::try_from(this.left).map_or(PIECE, |left| left.min(this.buffer.len()));
        if wanted == 0 {
            return Poll::Ready(None);
        }
        let mut buffer = ReadBuf::new(&mut this.buffer[..wanted]);
        let read = ready!(Pin::new(&mut this.file).poll_read(context, &mut buffer));
        Poll::Ready(Some(read.and_then(|()| {
            let bytes = Bytes::copy_from_slice(buffer.filled());
            if bytes.is_empty() {
                // Shorter than announced: the connection must not look complete.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            this.left -= bytes.len() as u64;
            Ok(bytes)
        })))
    }
}
