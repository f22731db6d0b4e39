//! A board in QEMU, with someone at its serial port.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// A terminal that obeys flow control, without the eyes to see its characters.
pub struct Console {
    qemu: Child,
    to_board: Sender<Vec<u8>>,
    from_board: Receiver<Vec<u8>>,
    complaints: Option<thread::JoinHandle<String>>,
    /// What arrived and wasn't waited for yet.
    seen: Vec<u8>,
}

const XON: u8 = 0x11;
const XOFF: u8 = 0x13;

impl Console {
    /// Starts QEMU, whose serial port is its standard input and output.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut qemu = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let (mut input, mut output) = (qemu.stdin.take().context("stdin")?, qemu.stdout.take().context("stdout")?);
        let (to_board, typed) = mpsc::channel::<Vec<u8>>();
        // Threads of their own: a board that doesn't read must not keep anyone from reading what it writes.
        thread::spawn(move || {
            // The board's end closes the pipe; then there is nothing left to do.
            typed.iter().try_for_each(|bytes| input.write_all(&bytes).and_then(|()| input.flush()))
        });
        let (arrived, from_board) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let shown = bytes[..length].iter().copied().filter(|byte| ![XON, XOFF].contains(byte)).collect();
                if arrived.send(shown).is_err() {
                    break;
                }
            }
        });
        let complaints = qemu.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // What came before an error is all there is to show.
                let _ = pipe.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        Ok(Self { qemu, to_board, from_board, complaints, seen: Vec::new() })
    }

    /// Types, without waiting until the board has read it.
    pub fn type_in(&self, bytes: &[u8]) {
        // If the board has ended, the next wait says so.
        let _ = self.to_board.send(bytes.to_vec());
    }

    /// Waits until the board has written `end`, and gives what came before it.
    ///
    /// # Errors
    /// When that takes longer than `limit`, or the board ends.
    pub fn wait_for(&mut self, end: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut searched = 0;
        loop {
            let found = self.seen[searched..].windows(end.len()).position(|bytes| bytes == end.as_bytes());
            if let Some(at) = found.map(|at| at + searched) {
                let text = String::from_utf8_lossy(&self.seen[..at]).into_owned();
                self.seen.drain(..at + end.len());
                return Ok(text);
            }
            searched = self.seen.len().saturating_sub(end.len() - 1);
            match self.from_board.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("no {end:?} within {} s, but: {}", limit.as_secs(), self.tail())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.qemu.wait()?;
                    let complaints = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
                    bail!("the board ended ({status}) before {end:?}: {}\n{}", self.tail(), complaints.trim())
                }
            }
        }
    }

    /// The end of what wasn't waited for.
    fn tail(&self) -> String {
        let start = self.seen.len().saturating_sub(400);
        format!("{:?}", String::from_utf8_lossy(&self.seen[start..]))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
