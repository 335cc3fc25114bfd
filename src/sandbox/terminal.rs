//! The terminal of a visit: one made for the sandbox alone, whose other end is shown on the user's.
//!
//! A program in the sandbox never gets the user's own terminal: it could change its settings for good,
//! and be one of two that read from it. What is typed goes over byte by byte, so that the keys which
//! send signals reach the programs inside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::pty::openpty;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, write};

use super::namespaces::{set_window_size, window_size};

/// The user's end of a sandbox's terminal.
pub struct Terminal<'a> {
    /// What the user types into, and looks at.
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    ours: OwnedFd,
    /// How the user's terminal was set; it is set so again in the end.
    before: Termios,
    is_raw: bool,
    /// Typed, and not taken by the sandbox yet.
    typed: Vec<u8>,
    /// Whether the user's terminal is gone.
    pub is_closed: bool,
}

impl<'a> Terminal<'a> {
    /// A new terminal that looks like the user's, and its end for the sandbox.
    pub fn open(input: BorrowedFd<'a>, output: BorrowedFd<'a>) -> nix::Result<(Self, OwnedFd)> {
        let before = tcgetattr(input)?;
        let pair = openpty(None, Some(&before))?;
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (ours, is_raw, typed) = (pair.master, false, Vec::new());
        let terminal = Self { input, output, ours, before, is_raw, typed, is_closed: false };
        terminal.follow_size();
        Ok((terminal, pair.slave))
    }

    /// From now on every key is for the sandbox.
    pub fn begin(&mut self) {
        let mut raw = self.before.clone();
        cfmakeraw(&mut raw);
        self.is_raw = tcsetattr(self.input, SetArg::TCSADRAIN, &raw).is_ok();
    }

    /// What to wait for: the user's terminal, and ours.
    pub fn waits_for(&self) -> [(BorrowedFd<'_>, PollFlags); 2] {
        let nothing = PollFlags::empty();
        let (typing, ours) = match (self.is_closed, self.typed.is_empty()) {
            (true, _) => (nothing, PollFlags::POLLIN),
            (false, true) => (PollFlags::POLLIN, PollFlags::POLLIN),
            (false, false) => (nothing, PollFlags::POLLIN | PollFlags::POLLOUT),
        };
        [(self.input, typing), (self.ours.as_fd(), ours)]
    }

    /// Moves what is there; `ready` says what was waited for has come. False when the sandbox has let
    /// go of its end.
    pub fn relay(&mut self, ready: [bool; 2]) -> bool {
        self.follow_size();
        if ready[0] && self.typed.is_empty() {
            let mut buffer = [0; 4096];
            match read(self.input, &mut buffer) {
                Ok(0) => self.is_closed = true,
                Ok(count) => self.typed.extend(&buffer[..count]),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => self.is_closed = true,
            }
        }
        if !self.typed.is_empty()
            && let Ok(count) = write(&self.ours, &self.typed)
        {
            self.typed.drain(..count);
        }
        !ready[1] || self.show()
    }

    /// Shows what the sandbox has written until now; false when it has let go of its end.
    pub fn show(&self) -> bool {
        let mut buffer = [0; 16 << 10];
        loop {
            match read(&self.ours, &mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.print(&buffer[..count]),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                // What the kernel says when nobody has the other end any more.
                Err(_) => return false,
            }
        }
    }

    fn print(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match write(self.output, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                // There is nobody to tell.
                Err(_) => return,
            }
        }
    }

    fn follow_size(&self) {
        let (Ok(user), Ok(ours)) = (window_size(self.output), window_size(&self.ours)) else { return };
        if (user.ws_row, user.ws_col) != (ours.ws_row, ours.ws_col) {
            // The kernel tells the programs inside.
            let _ = set_window_size(&self.ours, &user);
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        if self.is_raw {
            let _ = tcsetattr(self.input, SetArg::TCSADRAIN, &self.before);
        }
    }
}
