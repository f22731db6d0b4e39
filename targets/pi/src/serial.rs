//! The PL011 on GPIO 14 and 15 (pins 8 and 10 of the header).

use core::fmt;
use embedded_io::{ErrorType, Read, ReadReady, Write};

const GPIO: usize = 0x20_0000;
const PL011: usize = 0x20_1000;
const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const RX_EMPTY: u32 = 1 << 4;
const TX_FULL: u32 = 1 << 5;

/// A port that is polled.
pub struct Pl011 {
    peripherals: usize,
}

impl Pl011 {
    /// Turns the port on: 115200 baud, 8 bits, no parity, with FIFOs.
    pub fn new() -> Self {
        let port = Self { peripherals: crate::peripherals() };
        let functions = port.peek(GPIO + 4) & !(0o77 << 12) | 0o44 << 12; // pins 14 and 15: alternative 0
        port.poke(PL011 + 0x30, 0); // off
        port.poke(GPIO + 4, functions);
        port.poke(PL011 + 0x44, 0x7FF); // no pending interrupts
        port.poke(PL011 + 0x24, 26); // 48 MHz / (16 · 115200) = 26 + 3/64
        port.poke(PL011 + 0x28, 3);
        port.poke(PL011 + 0x2C, 0x70); // 8 bits, FIFOs
        port.poke(PL011 + 0x30, 0x301); // on: receive, transmit
        port
    }

    fn peek(&self, offset: usize) -> u32 {
        // SAFETY: only this file's registers are asked for, all of them in the chip's peripherals.
        unsafe { ((self.peripherals + offset) as *const u32).read_volatile() }
    }

    fn poke(&self, offset: usize, value: u32) {
        // SAFETY: as in `peek`.
        unsafe { ((self.peripherals + offset) as *mut u32).write_volatile(value) }
    }

    fn send(&mut self, byte: u8) {
        while self.peek(PL011 + FLAGS) & TX_FULL != 0 {}
        self.poke(PL011 + DATA, u32::from(byte));
    }
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorType for Pl011 {
    type Error = core::convert::Infallible;
}

impl ReadReady for Pl011 {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(self.peek(PL011 + FLAGS) & RX_EMPTY == 0)
    }
}

impl Read for Pl011 {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let Some(byte) = buffer.first_mut() else { return Ok(0) };
        while self.peek(PL011 + FLAGS) & RX_EMPTY != 0 {}
        *byte = self.peek(PL011 + DATA) as u8;
        Ok(1)
    }
}

impl Write for Pl011 {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        bytes.iter().for_each(|&byte| self.send(byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl fmt::Write for Pl011 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(byte));
        Ok(())
    }
}
