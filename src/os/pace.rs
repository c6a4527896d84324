//! A client's stream that notices when the client takes nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::guests::Guest;

/// How long a client may take nothing of its answer.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A stream to a client that must take some of its answer every [`PATIENCE`].
#[derive(Debug)]
pub struct Paced {
    stream: TcpStream,
    guest: Arc<Guest>,
    /// Ends when the client has taken nothing for too long.
    timer: Pin<Box<Sleep>>,
    is_full: bool,
}

impl Paced {
    /// Watches a stream to a client.
    pub fn new(stream: TcpStream, guest: Arc<Guest>) -> Self {
        Self { stream, guest, timer: Box::pin(sleep(PATIENCE)), is_full: false }
    }

    /// Passes on the result of a write, and fails if too many in a row found the stream full.
    fn pace<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context) -> Poll<io::Result<T>> {
        let was_full = std::mem::replace(&mut self.is_full, written.is_pending());
        if was_full != self.is_full {
            self.guest.set_full(self.is_full);
        }
        if written.is_ready() {
            return written;
        }
        if !was_full {
            self.timer.as_mut().reset(Instant::now() + PATIENCE);
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context, into: &mut ReadBuf) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.pace(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        parts: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.pace(written, context)
    }

    /// Answers are sent from where they lie, not copied together first.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
