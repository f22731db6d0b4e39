//! Summarizes a text on a RISC-V core, which computes all with the portable kernels and without an FPU.
#![no_std]
#![no_main]

use jamlet::summary::{Memory, Summarizer, SummaryError, SummaryOptions};
use jamlet::{Model, Options, Plan, Session, Workspace, include_image};
use riscv as _;
use riscv_rt::entry;
use semihosting::{print, println, process};
use static_cell::ConstStaticCell;

static IMAGE: &[u8] = include_image!("../../../../host-tools/models/nano.jamlet");
const OPTIONS: Options = Options::window(256).beams(2);
const PLAN: Plan = Plan::of(IMAGE, OPTIONS);
static WORKSPACE: ConstStaticCell<Workspace<{ PLAN.bytes() }>> = ConstStaticCell::new(Workspace::new());
static MEMORY: ConstStaticCell<Memory<{ OPTIONS.beams as usize }, 256>> = ConstStaticCell::new(Memory::new());

const TEXT: &str = "This package contains a tool that reads the log files of web servers and writes a report about them. \
                    It runs on machines with little memory.";

#[entry]
fn main() -> ! {
    match summarize(TEXT) {
        Ok(()) => process::exit(0),
        Err(error) => {
            println!("{error}");
            process::exit(1)
        }
    }
}

fn summarize(text: &str) -> Result<(), SummaryError> {
    let model = Model::parse(IMAGE)?;
    let session = Session::new(&model, OPTIONS, WORKSPACE.take().as_mut_bytes())?;
    let mut summarizer = Summarizer::new(session, MEMORY.take(), SummaryOptions::new())?;
    let mut print = |piece: &str| print!("{piece}");
    summarizer.feed(text.as_bytes(), &mut print)?;
    let answer = summarizer.finish(&mut print)?;
    println!("\n[{} tokens read, {} written]", answer.read, answer.written);
    Ok(())
}
