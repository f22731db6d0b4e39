//! Texts and summaries over USART1 (PA9 sends, PA10 receives), 115200 baud.
#![no_std]
#![no_main]

#[cfg(feature = "emulated")]
mod emulated;
#[cfg(not(feature = "emulated"))]
mod hardware;

use cortex_m_rt::entry;
use jamlet::{Options, Plan, Workspace, include_image};
use jamlet_app::{app, extras::Extras, settings};
use jamlet_cortex::board::{CortexBoard, rest};

static IMAGE: &[u8] = include_image!(env!("JAMLET_MODEL"));
const OPTIONS: Options = Options::window(settings::number(env!("JAMLET_WINDOW")))
    .beams(settings::number(env!("JAMLET_BEAMS")))
    .chunk(settings::number(env!("JAMLET_CHUNK")));
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
const EXTRAS: Extras = Extras::of(IMAGE);
/// Also what QEMU's SysTick runs at.
const CLOCK: u32 = settings::number(env!("JAMLET_CLOCK"));

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ PLAN.bytes() }> = Workspace::new();
    static mut MEMORY: app::Memory<{ OPTIONS.beams as usize }> = app::Memory::new();
    #[cfg(not(feature = "emulated"))]
    static mut BUFFERS: hardware::Buffers = hardware::NO_BYTES;
    #[cfg(feature = "emulated")]
    let port = emulated::Uart::new();
    #[cfg(not(feature = "emulated"))]
    let Ok(port) = hardware::start(BUFFERS) else { rest() };
    // A port that can't be written has no one to tell.
    let _ = app::serve(IMAGE, OPTIONS, WORKSPACE.as_mut_bytes(), MEMORY, port, CortexBoard::start(CLOCK), EXTRAS);
    rest()
}
