//! Texts and summaries over the virtual COM port of the board's ST-LINK: USART3, 115200 baud.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embassy_stm32::usart::{self, BufferedInterruptHandler, BufferedUart};
use embassy_stm32::{Config, bind_interrupts, peripherals::USART3, rcc};
use jamlet::{Options, Plan, Workspace, include_image};
use jamlet_app::{app, extras::Extras, settings};
use jamlet_cortex::board::{CortexBoard, rest};
use jamlet_stm32::{RECEIVED, SENT, Uart};

static IMAGE: &[u8] = include_image!(env!("JAMLET_MODEL"));
const OPTIONS: Options = Options::window(settings::number(env!("JAMLET_WINDOW")))
    .beams(settings::number(env!("JAMLET_BEAMS")))
    .chunk(settings::number(env!("JAMLET_CHUNK")));
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
const EXTRAS: Extras = Extras::of(IMAGE);
const CLOCK: u32 = settings::number(env!("JAMLET_CLOCK"));

bind_interrupts!(struct Interrupts {
    USART3 => BufferedInterruptHandler<USART3>;
});

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ PLAN.bytes() }> = Workspace::new();
    static mut MEMORY: app::Memory<{ OPTIONS.beams as usize }> = app::Memory::new();
    static mut BUFFERS: ([u8; SENT], [u8; RECEIVED]) = ([0; SENT], [0; RECEIVED]);
    let chip = embassy_stm32::init(clocks());
    let board = CortexBoard::start(CLOCK);
    let (sent, received) = BUFFERS;
    let settings = usart::Config::default(); // 115200 baud, 8 bits, no parity
    let Ok(uart) = BufferedUart::new(chip.USART3, chip.PD9, chip.PD8, sent, received, Interrupts, settings) else {
        rest()
    };
    // A port that can't be written has no one to tell.
    let _ = app::serve(IMAGE, OPTIONS, WORKSPACE.as_mut_bytes(), MEMORY, Uart(uart), board, EXTRAS);
    rest()
}

/// 400 MHz, which every revision of the chip reaches, from the internal oscillator.
fn clocks() -> Config {
    let mut config = Config::default();
    config.rcc.hsi = Some(rcc::HSIPrescaler::DIV1); // 64 MHz
    config.rcc.pll1 = Some(rcc::Pll {
        source: rcc::PllSource::HSI,
        prediv: rcc::PllPreDiv::DIV4,
        mul: rcc::PllMul::MUL50,
        fracn: None,
        divp: Some(rcc::PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.rcc.sys = rcc::Sysclk::PLL1_P;
    config.rcc.ahb_pre = rcc::AHBPrescaler::DIV2;
    config.rcc.apb1_pre = rcc::APBPrescaler::DIV2;
    config.rcc.apb2_pre = rcc::APBPrescaler::DIV2;
    config.rcc.apb3_pre = rcc::APBPrescaler::DIV2;
    config.rcc.apb4_pre = rcc::APBPrescaler::DIV2;
    config.rcc.voltage_scale = rcc::VoltageScale::Scale1;
    config
}
