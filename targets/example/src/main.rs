//! Summarizes a text on a Cortex-M: a complete program to copy. `cargo run --release` runs it in QEMU.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprint, hprintln};
use jamlet::summary::{Memory, Summarizer, SummaryError, SummaryOptions};
use jamlet::{Model, Options, Plan, Session, Workspace, include_image};
use panic_semihosting as _;
use static_cell::ConstStaticCell;

/// The model, read where it lies in flash.
static IMAGE: &[u8] = include_image!("../../../host-tools/models/nano.jamlet");
const OPTIONS: Options = Options::window(256).beams(2);
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
/// All memory of a run, for a text of any length. If it links, it fits.
static WORKSPACE: ConstStaticCell<Workspace<{ PLAN.bytes() }>> = ConstStaticCell::new(Workspace::new());
static MEMORY: ConstStaticCell<Memory<{ OPTIONS.beams as usize }, 256>> = ConstStaticCell::new(Memory::new());

const TEXT: &str = "This package contains a tool that reads the log files of web servers and writes a report about them. \
                    It runs on machines with little memory.";

#[entry]
fn main() -> ! {
    let status = match summarize(TEXT) {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(error) => {
            hprintln!("{}", error);
            debug::EXIT_FAILURE
        }
    };
    loop {
        debug::exit(status);
    }
}

fn summarize(text: &str) -> Result<(), SummaryError> {
    let model = Model::parse(IMAGE)?;
    let session = Session::new(&model, OPTIONS, WORKSPACE.take().as_mut_bytes())?;
    let mut summarizer = Summarizer::new(session, MEMORY.take(), SummaryOptions::new())?;
    // A text may come in pieces, from a serial port say.
    let mut print = |piece: &str| hprint!("{}", piece);
    summarizer.feed(text.as_bytes(), &mut print)?;
    let answer = summarizer.finish(&mut print)?;
    hprintln!("\n[{} tokens read, {} written]", answer.read, answer.written);
    Ok(())
}
