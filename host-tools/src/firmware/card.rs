//! The folder for a Raspberry Pi's SD card.

use super::layout;
use super::program::Program;
use crate::firmware::build::Build;
use anyhow::{Context, Result, bail};
use jamlet::Plan;
use jamlet_boards::Board;
use std::fs;
use std::path::Path;

/// What the boot firmware of a Raspberry Pi reads beside its own files.
const CONFIG: &str = "\
# Loads the program at 0x80000 and the model where the program looks for it.
arm_64bit=1
kernel=kernel8.img
initramfs model.jamlet 0x08000000
# The PL011 serial port on pins 8 and 10, 115200 baud.
enable_uart=1
dtoverlay=disable-bt
";
/// See `targets/pi/src/memory.rs`.
const MODEL_ROOM: u64 = 128 << 20;
const WORKSPACE_ROOM: u64 = 120 << 20;

/// Checks that image and workspace have room in the program's memory.
pub fn check(board: &Board, name: &str, image: &[u8], plan: &Plan) -> Result<()> {
    let image = (image.len() as u64, MODEL_ROOM, "the memory for a model");
    for (bytes, room, what) in [image, (plan.bytes() as u64, WORKSPACE_ROOM, "the heap")] {
        if let Some(over @ 1..) = bytes.checked_sub(room) {
            bail!("{name} does not fit {}: {over} bytes too many for {what} ({room} bytes)", board.name);
        }
    }
    Ok(())
}

/// Builds the kernel and writes the folder.
pub fn write(board: &Board, folder: &Path, build: &Build<'_>, image: &[u8]) -> Result<()> {
    let program = Program::read(&build.run()?)?;
    layout::check(board, &program)?;
    let kernel = program.flat()?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, bytes) in
        [("kernel8.img", &kernel.bytes[..]), ("config.txt", CONFIG.as_bytes()), ("model.jamlet", image)]
    {
        let file = folder.join(name);
        fs::write(&file, bytes).with_context(|| file.display().to_string())?;
    }
    println!(
        "{}: kernel8.img ({} bytes), config.txt and model.jamlet ({} bytes)",
        folder.display(),
        kernel.bytes.len(),
        image.len()
    );
    println!(
        "copy them to a FAT partition beside bootcode.bin, start.elf and fixup.dat (Pi 4: start4.elf, fixup4.dat) and, for \
         disable-bt, the .dtb of the board and overlays/ of Raspberry Pi's firmware"
    );
    Ok(())
}
