//! USART1 by its registers, polled: QEMU has no clock tree and no power controller, which the HAL's start-up waits for. QEMU
//! holds bytes back until the one before was read, so none is lost.

use core::convert::Infallible;
use embassy_stm32::pac::USART1;
use embedded_io::{ErrorType, Read, ReadReady, Write};

/// The port.
pub struct Uart;

impl Uart {
    /// Turns the port on.
    pub fn new() -> Self {
        USART1.cr1().write(|control| {
            control.set_ue(true);
            control.set_te(true);
            control.set_re(true);
        });
        Self
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(USART1.sr().read().rxne())
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = buffer.first_mut() else { return Ok(0) };
        while !USART1.sr().read().rxne() {}
        *byte = USART1.dr().read().dr() as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        while !USART1.sr().read().txe() {}
        USART1.dr().write(|data| data.set_dr(byte.into()));
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
