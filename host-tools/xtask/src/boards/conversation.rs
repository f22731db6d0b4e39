//! A conversation with a board over its serial port: types texts, and compares the summaries with this machine's.

use crate::boards::console::Console;
use crate::boards::emulated::Emulated;
use crate::models::random_text_model;
use anyhow::{Result, ensure};
use jamlet::Options;
use jamlet_app::app::LONGEST_SUMMARY;
use jamlet_boards::{BEAMS, Board, WINDOW};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Window and beams of a board's firmware unless told otherwise.
pub fn options(target: &Emulated) -> Options {
    let board = Board::named(target.name);
    board.map_or(Options::window(WINDOW).beams(BEAMS), jamlet_tools::boards::options)
}

/// The conversation.
pub struct Conversation<'i> {
    console: Console,
    image: &'i [u8],
    options: Options,
    limit: Duration,
    /// Bytes that were typed.
    pub typed: usize,
}

impl<'i> Conversation<'i> {
    /// Starts the board, whose program has `image` embedded (a Raspberry Pi finds it in the file `path`), and waits until it
    /// asks for a text.
    ///
    /// # Errors
    /// When it doesn't within `limit`.
    pub fn begin(board: &Emulated, program: &Path, path: &Path, image: &'i [u8], limit: Duration) -> Result<Self> {
        let mut conversation = Self::open(&mut board.serial(program, path), options(board), image, limit)?;
        conversation.wait("> ")?;
        Ok(conversation)
    }

    /// Starts the board with a command of the caller's.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn open(command: &mut Command, options: Options, image: &'i [u8], limit: Duration) -> Result<Self> {
        Ok(Self { console: Console::start(command)?, image, options, limit, typed: 0 })
    }

    /// Types, and waits for nothing.
    pub fn type_in(&mut self, bytes: &[u8]) {
        self.typed += bytes.len();
        self.console.type_in(bytes);
    }

    /// Waits for `end`, and gives what came before it.
    ///
    /// # Errors
    /// When it doesn't come in time.
    pub fn wait(&mut self, end: &str) -> Result<String> {
        self.console.wait_for(end, self.limit)
    }

    /// Types `keys`, and compares the summary with that of the text that they should be read as.
    ///
    /// # Errors
    /// When the board says anything else than this machine.
    pub fn summary(&mut self, text: &str, keys: &[u8]) -> Result<()> {
        self.summary_of(text.as_bytes(), keys)
    }

    /// As [`Conversation::summary`], of any bytes.
    ///
    /// # Errors
    /// As there.
    pub fn summary_of(&mut self, text: &[u8], keys: &[u8]) -> Result<()> {
        self.type_in(keys);
        self.type_in(b"\x04");
        self.expect(text)
    }

    /// Reads the summary of a text that was typed.
    ///
    /// # Errors
    /// When the board says anything else than this machine.
    pub fn expect(&mut self, text: &[u8]) -> Result<()> {
        self.compare(&[text], Some(0))
    }

    /// As [`Conversation::summary`], where the first `prefix` tokens don't have to be read.
    ///
    /// # Errors
    /// As there.
    pub fn summary_after(&mut self, prefix: usize, text: &str) -> Result<()> {
        self.type_in(text.as_bytes());
        self.type_in(b"\x04");
        self.compare(&[text.as_bytes()], Some(prefix))
    }

    /// As [`Conversation::expect`], of a text in parts that end words, of which only the last was read since the board was turned on.
    ///
    /// # Errors
    /// As there.
    pub fn expect_after(&mut self, parts: &[&str]) -> Result<()> {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.compare(&parts, None)
    }

    fn compare(&mut self, parts: &[&[u8]], not_read: Option<usize>) -> Result<()> {
        let (read, written, summary) =
            random_text_model::answer_in_parts(self.image, self.options, parts, LONGEST_SUMMARY)?;
        let head = || String::from_utf8_lossy(&parts[0][..parts[0].len().min(40)]).into_owned();
        self.wait("\r\n[")?;
        let counted = self.wait(" tokens read")?;
        if let Some(read) = not_read.map(|prefix| read - prefix) {
            ensure!(counted == read.to_string(), "{:?}: {counted} tokens read; {read} would be right", head());
        }
        self.wait("/s]\r\n")?;
        // The summary may hold anything, so its end is what follows it: the count.
        let right = format!("{}\r\n[{written} tokens written", terminal(&summary));
        let found = self.wait(" tokens written")? + " tokens written";
        ensure!(found == right, "{:?}: the board wrote {found:?}; {right:?} would be right", head());
        self.wait("]\r\n> ")?;
        Ok(())
    }
}

/// A text as a terminal shows it, to which XON and XOFF are no characters.
pub fn terminal(text: &str) -> String {
    text.replace('\n', "\r\n").replace(['\x11', '\x13'], "")
}
