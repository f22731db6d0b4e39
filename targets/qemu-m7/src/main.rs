//! Texts and summaries over the board's first UART.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use jamlet::{Options, Plan, Workspace, include_image};
use jamlet_app::{app, extras::Extras, settings};
use jamlet_cortex::{
    board::{CortexBoard, rest},
    cmsdk::Uart,
};

const UART0: usize = 0x4000_4000;
const CORE_HERTZ: u32 = 25_000_000;

static IMAGE: &[u8] = include_image!(env!("JAMLET_MODEL"));
const OPTIONS: Options =
    Options::window(settings::number(env!("JAMLET_WINDOW"))).beams(settings::number(env!("JAMLET_BEAMS")));
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
const EXTRAS: Extras = Extras::of(IMAGE);

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ PLAN.bytes() }> = Workspace::new();
    static mut MEMORY: app::Memory<{ OPTIONS.beams as usize }> = app::Memory::new();
    let board = CortexBoard::start(CORE_HERTZ);
    // SAFETY: the address of UART 0 on this board; nothing else uses it.
    let uart = unsafe { Uart::new(UART0) };
    // This port never fails, and never ends.
    let _ = app::serve(IMAGE, OPTIONS, WORKSPACE.as_mut_bytes(), MEMORY, uart, board, EXTRAS);
    rest()
}
