//! What the STM32 boards share. The chip is the board crate's choice, by embassy-stm32's features.
#![no_std]
#![forbid(unsafe_code)]

use embassy_stm32::usart::{BufferedUart, Error};
use embedded_io::{ErrorType, Read, ReadReady, Write};

/// Received bytes wait in the buffer of an interrupt handler: at 115200 baud, 2 KiB are what arrives in 180 ms, far more
/// than a sender has under way when it is asked to wait.
pub const RECEIVED: usize = 2048;
/// Bytes that are sent in the background.
pub const SENT: usize = 256;

/// A UART whose reads wait for a byte, as embedded-io says they do.
pub struct Uart<'d>(pub BufferedUart<'d>);

impl ErrorType for Uart<'_> {
    type Error = Error;
}

impl ReadReady for Uart<'_> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        self.0.read_ready()
    }
}

impl Read for Uart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while !self.0.read_ready()? {
            // The byte's interrupt ends the wait, and so does SysTick's if it came just before.
            cortex_m::asm::wfi();
        }
        self.0.read(buffer)
    }
}

impl Write for Uart<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.0.flush()
    }
}
