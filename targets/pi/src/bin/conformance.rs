//! Runs the case that the test suite loaded where a model would lie; the report goes to the serial port.
#![no_std]
#![no_main]

use core::fmt::Write;
use jamlet::Plan;
use jamlet_app::conformance::{Case, run_with};
use pi::{cores, exit::exit, marks::Hints, memory, mmu, peripherals, serial::Pl011, stack};

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    stack::paint();
    mmu::on(peripherals());
    memory::init_heap();
    let mut serial = Pl011::new();
    let written = match Case::parse(memory::model()) {
        Some(mut case) => {
            case.options = case.options.heads_at_once(cores::CORES as u32);
            let bytes = Plan::new(case.image, case.options).map_or(0, |plan| plan.bytes());
            match memory::Workspace::new(bytes) {
                Some(mut workspace) => {
                    run_with(&case, workspace.as_mut_bytes(), cores::start(), &mut Hints, &mut serial)
                }
                None => writeln!(serial, "error no room for a workspace of {bytes} bytes"),
            }
        }
        None => writeln!(serial, "error no case in memory"),
    };
    let _ = written.and_then(|()| writeln!(serial, "stack {}\nend", stack::high_water()));
    exit(0)
}
