//! USART1 with an interrupt that receives, and the clocks of a real chip.

use embassy_stm32::Config;
use embassy_stm32::rcc::{APBPrescaler, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk};
use embassy_stm32::usart::{self, BufferedInterruptHandler, BufferedUart, ConfigError};
use embassy_stm32::{bind_interrupts, peripherals::USART1};
use jamlet_stm32::{RECEIVED, SENT, Uart};

bind_interrupts!(struct Interrupts {
    USART1 => BufferedInterruptHandler<USART1>;
});

/// Buffers of the port.
pub type Buffers = ([u8; SENT], [u8; RECEIVED]);

/// Nothing sent, nothing received.
pub const NO_BYTES: Buffers = ([0; SENT], [0; RECEIVED]);

/// Starts the chip and its port: PA9 sends, PA10 receives, 115200 baud, 8 bits, no parity.
///
/// # Errors
/// When the port can't have that rate, which it can.
pub fn start((sent, received): &mut Buffers) -> Result<Uart<'_>, ConfigError> {
    let chip = embassy_stm32::init(clocks());
    let settings = usart::Config::default();
    BufferedUart::new(chip.USART1, chip.PA10, chip.PA9, sent, received, Interrupts, settings).map(Uart)
}

/// 168 MHz from the PLL, fed by the internal oscillator so that no crystal has to be known.
fn clocks() -> Config {
    let mut config = Config::default();
    config.rcc.pll_src = PllSource::HSI; // 16 MHz
    config.rcc.pll =
        Some(Pll { prediv: PllPreDiv::DIV8, mul: PllMul::MUL168, divp: Some(PllPDiv::DIV2), divq: None, divr: None });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config
}
