//! The serial port of Arm's MPS2 boards, which QEMU emulates (CMSDK APB UART, DDI 0479).

use embedded_io::{ErrorType, Read, ReadReady, Write};

const DATA: usize = 0;
const STATE: usize = 4;
const CTRL: usize = 8;
const BAUDDIV: usize = 16;
const TX_FULL: u32 = 1;
const RX_FULL: u32 = 2;

/// A port that is polled. QEMU holds bytes back until the one before was read, so none is lost.
pub struct Uart {
    base: usize,
}

impl Uart {
    /// Turns the port on.
    ///
    /// # Safety
    /// `base` is the address of a CMSDK UART that nothing else uses.
    pub unsafe fn new(base: usize) -> Self {
        let uart = Self { base };
        uart.poke(BAUDDIV, 217); // 25 MHz / 115200; QEMU only asks that it is at least 16
        uart.poke(CTRL, 3); // transmit and receive
        uart
    }

    fn peek(&self, register: usize) -> u32 {
        // SAFETY: `new`'s caller promised that the port's registers lie here.
        unsafe { ((self.base + register) as *const u32).read_volatile() }
    }

    fn poke(&self, register: usize, value: u32) {
        // SAFETY: as in `peek`.
        unsafe { ((self.base + register) as *mut u32).write_volatile(value) }
    }
}

impl ErrorType for Uart {
    type Error = core::convert::Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(self.peek(STATE) & RX_FULL != 0)
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let Some(byte) = buffer.first_mut() else { return Ok(0) };
        while self.peek(STATE) & RX_FULL == 0 {}
        *byte = self.peek(DATA) as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        while self.peek(STATE) & TX_FULL != 0 {}
        self.poke(DATA, u32::from(byte));
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
