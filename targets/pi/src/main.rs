//! Texts and summaries over the serial port on pins 8 and 10; the model is a file on the card.
#![no_std]
#![no_main]

use core::fmt::Write;
use jamlet::kernels::Kernels;
use jamlet::{Model, Options, Plan};
use jamlet_app::{app, board::Board, extras::Extras, settings};
use pi::{clock, cores, exit::exit, memory, mmu, peripherals, serial::Pl011, stack};

const OPTIONS: Options = Options::window(settings::number(env!("JAMLET_WINDOW")))
    .beams(settings::number(env!("JAMLET_BEAMS")))
    .chunk(settings::number(env!("JAMLET_CHUNK")))
    .heads_at_once(cores::CORES as u32);

struct Pi {
    kernels: Kernels<'static>,
}

impl Board for Pi {
    fn kernels(&self) -> Kernels<'static> {
        self.kernels
    }

    fn micros(&mut self) -> u32 {
        clock::micros()
    }

    fn stack(&mut self) -> Option<usize> {
        Some(stack::high_water())
    }
}

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    stack::paint();
    mmu::on(peripherals());
    memory::init_heap();
    let mut serial = Pl011::new();
    // A serial port never fails.
    let _ = match Plan::new(memory::model(), OPTIONS) {
        Ok(plan) => serve(plan, serial),
        Err(error) => writeln!(serial, "\r\n[no model.jamlet on the card? {error}]\r"),
    };
    exit(1)
}

fn serve(plan: Plan, mut serial: Pl011) -> core::fmt::Result {
    let Some(image) = memory::image() else {
        return writeln!(serial, "\r\n[the model is cut off, or larger than {} bytes]\r", memory::MODEL_BYTES);
    };
    if let Err(error) = Model::parse(image) {
        return writeln!(serial, "\r\n[model.jamlet: {error}]\r");
    }
    let Some(mut workspace) = memory::Workspace::new(plan.bytes()) else {
        return writeln!(serial, "\r\n[no room for a workspace of {} bytes]\r", plan.bytes());
    };
    let _ = app::serve(
        image,
        plan.options,
        workspace.as_mut_bytes(),
        &mut app::Memory::<{ OPTIONS.beams as usize }>::new(),
        serial,
        Pi { kernels: cores::start() },
        Extras::of(image),
    );
    Ok(())
}
