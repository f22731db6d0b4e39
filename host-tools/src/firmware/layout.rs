//! Whether a program lies in memory as its board's start-up needs it.

use super::program::{Program, Segment};
use crate::aligned::Aligned;
use anyhow::{Context, Result, ensure};
use jamlet::Model;
use jamlet::image::{MAGIC, field};
use jamlet_boards::{Board, Flashing, Memory, Region};

/// Checks vectors, addresses, boot block and the place of the model.
///
/// # Errors
/// The first thing that is wrong, and what would be right.
pub fn check(board: &Board, program: &Program) -> Result<()> {
    match board.memory {
        Memory::Flash { flash, stack, ram } => cortex(board, program, flash, [stack, ram]),
        Memory::File { .. } => pi(program),
    }
    .with_context(|| format!("layout of {}", board.name))
}

fn cortex(board: &Board, program: &Program, flash: Region, [stack, ram]: [Region; 2]) -> Result<()> {
    let flat = program.flat()?;
    ensure!(flat.address == flash.start, "the program begins at {:#x} instead of {:#x}", flat.address, flash.start);
    let end = flat.address + flat.bytes.len() as u64;
    ensure!(end <= flash.end(), "the program ends at {end:#x}, after the flash's end at {:#x}", flash.end());
    for section in &program.sections {
        let (start, end) = (section.address, section.address + section.size);
        let home = ram.holds(start, end) || stack.holds(start, end) || (!section.writable && flash.holds(start, end));
        ensure!(home, "section {} lies at {start:#x}..{end:#x}, where the board has no memory for it", section.name);
    }
    vectors(program, &flat, flash, stack)?;
    model(&flat)?;
    if board.flashing == Flashing::Uf2 {
        boot_block(&flat)?;
    }
    Ok(())
}

fn word(flat: &Segment, address: u64) -> Result<u32> {
    let offset = address.checked_sub(flat.address).context("an address before the program")? as usize;
    let bytes = flat.bytes.get(offset..).and_then(|rest| rest.first_chunk()).context("an address after the program")?;
    Ok(u32::from_le_bytes(*bytes))
}

/// The first words of flash: stack pointer and reset, then exceptions. Every handler must be Thumb code in flash.
fn vectors(program: &Program, flat: &Segment, flash: Region, stack: Region) -> Result<()> {
    let (top, bottom) = (u64::from(word(flat, flat.address)?), program.address("_stack_end")?);
    ensure!(top == program.address("_stack_start")?, "the first word is {top:#x}, not the stack's top");
    ensure!(top == stack.end(), "the stack begins at {top:#x} instead of {:#x}", stack.end());
    ensure!(
        bottom == stack.start,
        "the stack ends at {bottom:#x} instead of {:#x}: an overflow would go unnoticed",
        stack.start
    );
    let reset = u64::from(word(flat, flat.address + 4)?);
    ensure!(reset == program.entry, "the reset vector is {reset:#x}, but the program starts at {:#x}", program.entry);
    // Exceptions 2 to 15; those that the architecture reserves are 0.
    for exception in 2..16 {
        let handler = u64::from(word(flat, flat.address + 4 * exception)?);
        let reserved = matches!(exception, 7..=10 | 13);
        ensure!(
            (handler == 0 && reserved) || (handler & 1 == 1 && flash.holds(handler, handler + 2)),
            "the vector of exception {exception} is {handler:#x}, no Thumb code in flash"
        );
    }
    Ok(())
}

/// The image in a program: whole, and where the engine can read it in place.
///
/// # Errors
/// When there is none, or more than one.
pub fn model(flat: &Segment) -> Result<&[u8]> {
    ensure!(flat.address.is_multiple_of(64), "the program begins at {:#x}, which is no multiple of 64", flat.address);
    let image = |at: usize| -> Option<&[u8]> {
        let rest = flat.bytes.get(at..).filter(|rest| rest.starts_with(&MAGIC))?;
        let length = rest.get(field::LENGTH..)?.first_chunk()?;
        let image = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Model::parse(Aligned::copy(image).bytes()).is_ok().then_some(image)
    };
    let mut images = (0..flat.bytes.len()).step_by(64).filter_map(image);
    let found = images.next().context("no whole model lies at a multiple of 64 bytes in the program")?;
    ensure!(images.next().is_none(), "more than one model lies in the program");
    Ok(found)
}

/// The RP2350's boot ROM looks in the first 4 KB for a block that says what the program is (datasheet, 5.9).
fn boot_block(flat: &Segment) -> Result<()> {
    const START: u32 = 0xFFFF_DED3;
    const END: u32 = 0xAB12_3579;
    const IMAGE_TYPE: u32 = 0x1021_0142; // an executable for RP2350: Arm, secure; item of one word
    const LAST: u32 = 0x0000_01FF; // the items before it are one word
    let reach = flat.bytes.len().min(4096) as u64;
    let starts = (flat.address..flat.address + reach).step_by(4).find(|&at| word(flat, at).ok() == Some(START));
    let at = starts.context("no boot block in the first 4096 bytes")?;
    for (index, right) in [IMAGE_TYPE, LAST, 0, END].into_iter().enumerate() {
        let found = word(flat, at + 4 + 4 * index as u64)?;
        ensure!(found == right, "word {} of the boot block is {found:#010x}; {right:#010x} would be right", index + 1);
    }
    Ok(())
}

/// The kernel of a Raspberry Pi is loaded to 0x80000 and started at its first byte.
fn pi(program: &Program) -> Result<()> {
    const LOAD: u64 = 0x8_0000;
    const MODEL: u64 = 0x0800_0000;
    let flat = program.flat()?;
    ensure!(flat.address == LOAD, "the kernel begins at {:#x} instead of {LOAD:#x}", flat.address);
    ensure!(program.entry == LOAD, "the kernel starts at {:#x} instead of its first byte", program.entry);
    let top = program.address("__stack_top")?;
    ensure!(top <= MODEL, "the kernel's memory ends at {top:#x}, in the model's at {MODEL:#x}");
    Ok(())
}
