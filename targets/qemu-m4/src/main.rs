//! Texts and summaries over the board's first UART. One source for the three MPS2 boards; what differs comes from the table of
//! boards.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use jamlet::{Options, Plan, Workspace, include_image};
use jamlet_app::{app, extras::Extras, settings};
use jamlet_cortex::{
    board::{CortexBoard, rest},
    cmsdk::Uart,
};
#[cfg(feature = "persist")]
use {jamlet_cortex::file_flash::FileFlash, jamlet_persist::Persist};

const UART: usize = settings::number(env!("JAMLET_UART")) as usize;
const CLOCK: u32 = settings::number(env!("JAMLET_CLOCK"));

static IMAGE: &[u8] = include_image!(env!("JAMLET_MODEL"));
const OPTIONS: Options = Options::window(settings::number(env!("JAMLET_WINDOW")))
    .beams(settings::number(env!("JAMLET_BEAMS")))
    .chunk(settings::number(env!("JAMLET_CHUNK")));
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
const EXTRAS: Extras = Extras::of(IMAGE);

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ PLAN.bytes() }> = Workspace::new();
    static mut MEMORY: app::Memory<{ OPTIONS.beams as usize }> = app::Memory::new();
    let board = CortexBoard::start(CLOCK);
    // SAFETY: the address of a UART of this board; nothing else uses it.
    let uart = unsafe { Uart::new(UART) };
    #[cfg(not(feature = "persist"))]
    let extras = EXTRAS;
    #[cfg(feature = "persist")]
    let mut store = FileFlash::open().and_then(|flash| {
        let region = 0..flash.length();
        Persist::new(flash, region, &PLAN).ok()
    });
    #[cfg(feature = "persist")]
    let extras = EXTRAS.keeping(store.as_mut());
    // This port never fails, and never ends.
    let _ = app::serve(IMAGE, OPTIONS, WORKSPACE.as_mut_bytes(), MEMORY, uart, board, extras);
    rest()
}
