//! Standard input that may never end: Ctrl-C ends the text, and its answer follows; a second one ends the command.

use anyhow::{Context, Result};
use std::io::{Error, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Bytes that are read at a time.
const PIECE: usize = 4096;
/// How long a Ctrl-C may wait while nothing comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Set at the text's end, by Ctrl-C or by itself: the next Ctrl-C then ends the command.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Standard input, read by a thread of its own, because nothing wakes a thread that waits for input.
#[derive(Debug)]
pub struct StandardInput {
    pieces: Receiver<std::io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    /// Bytes of the piece that were returned.
    used: usize,
}

impl StandardInput {
    /// Begins to read. From now on Ctrl-C ends the text.
    ///
    /// # Errors
    /// When this was called before.
    pub fn open() -> Result<Self> {
        ctrlc::set_handler(|| {
            if ENDED.swap(true, Ordering::Relaxed) {
                // As the shell reports a command that Ctrl-C ended.
                std::process::exit(130);
            }
        })
        .context("handling Ctrl-C")?;
        // One piece waits while one is worked on: memory doesn't grow however fast they come.
        let (sender, pieces) = sync_channel(1);
        std::thread::spawn(move || read(&sender));
        Ok(Self { pieces, piece: Vec::new(), used: 0 })
    }
}

fn read(sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    let mut input = std::io::stdin().lock();
    loop {
        let mut piece = vec![0; PIECE];
        let read = input.read(&mut piece).map(|count| {
            piece.truncate(count);
            piece
        });
        let last = match &read {
            Ok(piece) => piece.is_empty(),
            Err(error) => error.kind() != ErrorKind::Interrupted,
        };
        if sender.send(read).is_err() || last {
            return;
        }
    }
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.used == self.piece.len() {
            if ENDED.load(Ordering::Relaxed) {
                return Ok(0);
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(Ok(piece)) if piece.is_empty() => {
                    ENDED.store(true, Ordering::Relaxed);
                    return Ok(0);
                }
                Ok(piece) => (self.piece, self.used) = (piece?, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Error::other("standard input was given up")),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.used);
        buffer[..count].copy_from_slice(&self.piece[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
