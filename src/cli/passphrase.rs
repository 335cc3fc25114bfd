//! Asks for a passphrase on the terminal, which does not show what is typed.
//!
//! It is the process's own terminal that is asked, wherever its standard streams lead to. The kernel
//! puts the line together, so its keys for mending one work, and nothing is kept on the way but in one
//! buffer that is overwritten.

use std::fs::File;
use std::io::{self, Read, Write};

use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::statement::passphrase::Passphrase;

/// The longest line that the kernel puts together.
const LONGEST_LINE: usize = 4096;

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// There is nobody to ask.
    NoTerminal(io::Error),
    Unreadable(io::Error),
    /// What was typed cannot be a passphrase.
    NotOne(&'static str),
}

/// Shows the question, and gives what is typed. Who interrupts it ends the process, as at any other
/// time before work begins; the terminal is as it was then.
pub(super) fn ask(question: &str) -> Result<Passphrase, NoAnswer> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(NoAnswer::NoTerminal)?;
    let mut line = Zeroizing::new([0; LONGEST_LINE]);
    let (count, interrupt) = read_hidden(&terminal, question, &mut line[..]).map_err(NoAnswer::Unreadable)?;
    let typed = &line[..count];
    if typed.ends_with(&[interrupt]) {
        let _ = raise(Signal::SIGINT);
        // Still there: whoever started the process wants that signal to be ignored.
        return Err(NoAnswer::Unreadable(io::ErrorKind::Interrupted.into()));
    }
    if typed.is_empty() {
        return Err(NoAnswer::Unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    Passphrase::from_line(typed).map_err(NoAnswer::NotOne)
}

/// Reads one line; gives its length and the character that stands for an interruption.
fn read_hidden(mut terminal: &File, question: &str, line: &mut [u8]) -> io::Result<(usize, u8)> {
    let hidden = Hidden::begin(terminal)?;
    terminal.write_all(question.as_bytes())?;
    let count = loop {
        match terminal.read(line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    let interrupt = hidden.interrupt();
    drop(hidden);
    // The line's own end was not shown.
    terminal.write_all(b"\n")?;
    Ok((count?, interrupt))
}

/// A terminal that shows nothing that is typed, until this is dropped.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    /// What was typed before is forgotten: it was shown.
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let hidden = Self { terminal, before };
        let mut settings = hidden.before.clone();
        settings.local_flags.insert(LocalFlags::ICANON);
        // Signals would end or stop the process while nothing is shown. So the key for interrupting is
        // one that ends a line.
        settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ISIG);
        settings.control_chars[SpecialCharacterIndices::VEOL as usize] = hidden.interrupt();
        tcsetattr(terminal, SetArg::TCSAFLUSH, &settings)?;
        Ok(hidden)
    }

    fn interrupt(&self) -> u8 {
        self.before.control_chars[SpecialCharacterIndices::VINTR as usize]
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A second line that was typed, or pasted, in one go is not for the shell that reads next.
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
