//! Bytes that arrived and weren't read yet, and how the sender is asked to wait.

use crate::board::Board;
use crate::terminal::send;
use embedded_io::{Read, ReadReady, Write};
use heapless::Deque;

/// Bytes that can be typed ahead.
pub const TYPE_AHEAD: usize = 512;
/// Typed-ahead bytes at which the sender is asked to wait while a summary is written.
const ENOUGH: usize = TYPE_AHEAD / 2;
const INTERRUPT: u8 = 0x03; // Ctrl-C
const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
/// How long a sender that was asked to wait may still have bytes under way.
const QUIET_MICROS: u32 = 3000;

/// What arrived. Ctrl-C never waits in a queue: it drops what was typed before it, as on a terminal.
#[derive(Debug)]
pub struct Input {
    queue: Deque<u8, TYPE_AHEAD>,
    interrupted: bool,
    /// The sender was asked to wait.
    held: bool,
    /// The port reported errors: bytes that were lost or damaged on the line.
    pub errors: u32,
}

impl Input {
    /// Nothing arrived.
    pub const fn new() -> Self {
        Self { queue: Deque::new(), interrupted: false, held: false, errors: 0 }
    }

    /// Whether Ctrl-C arrived since the last time.
    pub fn take_interrupt(&mut self) -> bool {
        core::mem::take(&mut self.interrupted)
    }

    /// Waits for a byte. What was typed ahead comes first.
    ///
    /// # Errors
    /// When the port can't be written.
    pub fn next<P: Read + ReadReady + Write>(
        &mut self,
        port: &mut P,
        board: &mut impl Board,
    ) -> Result<Byte, P::Error> {
        if self.take_interrupt() {
            return Ok(Byte::Interrupt);
        }
        if let Some(byte) = self.queue.pop_front() {
            return Ok(Byte::Some(byte));
        }
        self.release(port, board)?;
        let mut byte = [0];
        loop {
            match port.read(&mut byte) {
                Ok(0) => return Ok(Byte::Ended),
                Ok(_) => break,
                Err(_) => self.errors = self.errors.saturating_add(1),
            }
        }
        Ok(if byte == [INTERRUPT] { Byte::Interrupt } else { Byte::Some(byte[0]) })
    }

    /// Takes what has arrived, without waiting. Whether Ctrl-C did.
    pub fn poll<P: Read + ReadReady>(&mut self, port: &mut P) -> bool {
        let mut byte = [0];
        while !self.queue.is_full() && matches!(port.read_ready(), Ok(true)) {
            match port.read(&mut byte) {
                Ok(0) => break,
                Ok(_) if byte == [INTERRUPT] => {
                    self.queue.clear();
                    self.interrupted = true;
                }
                // There is room: the loop asked.
                Ok(_) => drop(self.queue.push_back(byte[0])),
                Err(_) => {
                    self.errors = self.errors.saturating_add(1);
                    break;
                }
            }
        }
        self.interrupted
    }

    /// Takes what has arrived, and has the sender wait if that is much.
    ///
    /// # Errors
    /// When the port can't be written.
    pub fn poll_and_hold<P: Read + ReadReady + Write>(
        &mut self,
        port: &mut P,
        board: &mut impl Board,
    ) -> Result<bool, P::Error> {
        let interrupted = self.poll(port);
        if self.queue.len() >= ENOUGH {
            self.hold(port, board)?;
        }
        Ok(interrupted)
    }

    /// Has the sender wait, and takes what it had sent already: then nothing is lost while the board computes, even where
    /// the port holds only a few bytes.
    ///
    /// # Errors
    /// When the port can't be written.
    pub fn hold<P: Read + ReadReady + Write>(&mut self, port: &mut P, board: &mut impl Board) -> Result<(), P::Error> {
        if !board.flow_control() || self.held {
            return Ok(());
        }
        self.held = true;
        send(port, &[XOFF])?;
        port.flush()?;
        let mut since = board.micros();
        while board.micros().wrapping_sub(since) < QUIET_MICROS && !self.queue.is_full() {
            let before = self.queue.len();
            self.poll(port);
            if self.queue.len() != before {
                since = board.micros();
            }
        }
        Ok(())
    }

    /// Has the sender go on.
    ///
    /// # Errors
    /// When the port can't be written.
    pub fn release<P: Write>(&mut self, port: &mut P, board: &mut impl Board) -> Result<(), P::Error> {
        if board.flow_control() && self.held {
            self.held = false;
            send(port, &[XON])?;
            port.flush()?;
        }
        Ok(())
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Input::next`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// A byte.
    Some(u8),
    /// Ctrl-C.
    Interrupt,
    /// The port will never give another byte.
    Ended,
}
