//! Texts and summaries over USART1 (PA9 sends, PA10 receives), 115200 baud.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embassy_stm32::usart::{self, BufferedInterruptHandler, BufferedUart};
use embassy_stm32::{Config, bind_interrupts, peripherals::USART1};
use jamlet::{Options, Plan, Workspace, include_image};
use jamlet_app::{app, settings};
use jamlet_cortex::board::{CortexBoard, rest};
use jamlet_stm32::{RECEIVED, SENT, Uart};

static IMAGE: &[u8] = include_image!(env!("JAMLET_MODEL"));
const OPTIONS: Options = Options::window(settings::number(env!("JAMLET_WINDOW")));
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);

bind_interrupts!(struct Interrupts {
    USART1 => BufferedInterruptHandler<USART1>;
});

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ PLAN.bytes() }> = Workspace::new();
    static mut MEMORY: app::Memory = app::Memory::new();
    static mut BUFFERS: ([u8; SENT], [u8; RECEIVED]) = ([0; SENT], [0; RECEIVED]);
    let (config, core_hertz) = clocks();
    let chip = embassy_stm32::init(config);
    let (sent, received) = BUFFERS;
    let settings = usart::Config::default(); // 115200 baud, 8 bits, no parity
    let Ok(uart) = BufferedUart::new(chip.USART1, chip.PA10, chip.PA9, sent, received, Interrupts, settings) else {
        rest()
    };
    // A port that can't be written has no one to tell.
    let _ = app::serve(IMAGE, OPTIONS, WORKSPACE.bytes(), MEMORY, Uart(uart), CortexBoard::start(core_hertz));
    rest()
}

/// 168 MHz from the PLL, fed by the internal oscillator so that no crystal has to be known.
#[cfg(not(feature = "emulated"))]
fn clocks() -> (Config, u32) {
    use embassy_stm32::rcc::{APBPrescaler, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk};
    let mut config = Config::default();
    config.rcc.pll_src = PllSource::HSI; // 16 MHz
    config.rcc.pll =
        Some(Pll { prediv: PllPreDiv::DIV8, mul: PllMul::MUL168, divp: Some(PllPDiv::DIV2), divq: None, divr: None });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    (config, 168_000_000)
}

/// The internal oscillator as it is: QEMU's clock never gets ready for anything else. SysTick runs at 168 MHz there.
#[cfg(feature = "emulated")]
fn clocks() -> (Config, u32) {
    (Config::default(), 168_000_000)
}
