//! Texts and summaries over USB: the board is a serial port (CDC-ACM).
//!
//! The application computes in thread mode, on both cores; USB lives in an interrupt of core 0, above it.
#![no_std]
#![no_main]

mod second_core;
mod usb;

use cortex_m_rt::entry;
use embassy_rp::{clocks, config::Config, multicore::Stack};
use jamlet::{Options, Plan, Workspace, include_image};
use jamlet_app::{app, extras::Extras, settings};
use jamlet_cortex::board::{CortexBoard, rest};
#[cfg(feature = "persist")]
use {embassy_rp::flash::Flash, embassy_rp::peripherals::FLASH, jamlet_persist::Persist};

static IMAGE: &[u8] = include_image!(env!("JAMLET_MODEL"));
const OPTIONS: Options = Options::window(settings::number(env!("JAMLET_WINDOW")))
    .beams(settings::number(env!("JAMLET_BEAMS")))
    .chunk(settings::number(env!("JAMLET_CHUNK")))
    .heads_at_once(second_core::CORES as u32);
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
const EXTRAS: Extras = Extras::of(IMAGE);
/// Where states are kept: the end of the flash, as memory.x has it from the build script.
#[cfg(feature = "persist")]
const STATES: core::ops::Range<u32> = FLASH_BYTES - settings::number(env!("JAMLET_STATES"))..FLASH_BYTES;
#[cfg(feature = "persist")]
const FLASH_BYTES: u32 = settings::number(env!("JAMLET_FLASH"));

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ PLAN.bytes() }> = Workspace::new();
    static mut MEMORY: app::Memory<{ OPTIONS.beams as usize }> = app::Memory::new();
    static mut STACK: Stack<{ second_core::STACK }> = Stack::new();
    let chip = embassy_rp::init(Config::default()); // 150 MHz
    let board = CortexBoard::start(clocks::clk_sys_freq()).without_flow_control();
    let board = board.with_kernels(second_core::start(chip.CORE1, STACK));
    let port = usb::start(chip.USB);
    #[cfg(not(feature = "persist"))]
    let extras = EXTRAS;
    #[cfg(feature = "persist")]
    let mut store = Persist::new(Flash::<FLASH, _, { FLASH_BYTES as usize }>::new_blocking(chip.FLASH), STATES, &PLAN);
    #[cfg(feature = "persist")]
    let extras = EXTRAS.keeping(store.as_mut().ok());
    // A port that can't be written has no one to tell.
    let _ = app::serve(IMAGE, OPTIONS, WORKSPACE.as_mut_bytes(), MEMORY, port, board, extras);
    rest()
}
