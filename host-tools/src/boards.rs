//! Boards that people have, and whether a model fits them.

use serde::Serialize;

/// What a board offers to an image and its workspace.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Board {
    /// Name as in `targets/`, or of the machine.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Bytes that hold the firmware and the image; `None` where the image is a file on a card.
    pub flash: Option<u64>,
    /// Bytes of RAM. The image counts as RAM where it isn't run from flash.
    pub ram: u64,
}

/// Flash that the firmware needs beside the image: engine, application and drivers, rounded up from the largest measured.
pub const FIRMWARE_FLASH: u64 = 120 << 10;
/// RAM that the firmware needs beside the workspace: stack, serial buffers, logging, rounded up from the largest measured.
pub const FIRMWARE_RAM: u64 = 20 << 10;

/// The boards, smallest first.
pub const BOARDS: [Board; 7] = [
    Board { name: "stm32f405", description: "STM32F405, Cortex-M4", flash: Some(1 << 20), ram: 128 << 10 },
    Board { name: "pico2", description: "Raspberry Pi Pico 2, Cortex-M33", flash: Some(4 << 20), ram: 520 << 10 },
    Board { name: "stm32h743", description: "NUCLEO-H743ZI2, Cortex-M7", flash: Some(2 << 20), ram: 512 << 10 },
    Board { name: "qemu-m4", description: "MPS2 AN386 in QEMU, Cortex-M4", flash: Some(4 << 20), ram: 4 << 20 },
    Board { name: "pi-zero-2w", description: "Raspberry Pi Zero 2 W, Cortex-A53", flash: None, ram: 448 << 20 },
    Board { name: "pi-4", description: "Raspberry Pi 4 (2 GB), Cortex-A72", flash: None, ram: 1900 << 20 },
    Board { name: "pi-5", description: "Raspberry Pi 5 (4 GB), Cortex-A76", flash: None, ram: 3900 << 20 },
];

/// What is left on a board, in bytes; negative where it doesn't fit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fit {
    /// The board.
    #[serde(flatten)]
    pub board: Board,
    /// Left in flash, where there is a limit.
    pub flash_left: Option<i64>,
    /// Left in RAM.
    pub ram_left: i64,
    /// Whether both suffice.
    pub fits: bool,
}

/// How an image of `image` bytes with a workspace of `workspace` bytes lies on a board.
pub fn fit(board: Board, image: u64, workspace: u64) -> Fit {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let flash_left = board.flash.map(|flash| signed(flash) - signed(image) - signed(FIRMWARE_FLASH));
    let in_ram = if board.flash.is_none() { image } else { 0 };
    let ram_left = signed(board.ram) - signed(FIRMWARE_RAM) - signed(in_ram) - signed(workspace);
    Fit { board, flash_left, ram_left, fits: flash_left.is_none_or(|left| left >= 0) && ram_left >= 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_too_many_does_not_fit() {
        let pico2 = BOARDS[1];
        let flash = (4 << 20) - FIRMWARE_FLASH;
        let ram = (520 << 10) - FIRMWARE_RAM;
        assert!(fit(pico2, flash, ram).fits);
        assert_eq!(fit(pico2, flash + 1, ram).flash_left, Some(-1));
        assert!(!fit(pico2, flash + 1, ram).fits);
        assert!(!fit(pico2, flash, ram + 1).fits);
    }

    #[test]
    fn where_the_image_is_a_file_it_takes_ram() {
        let pi = BOARDS[4];
        assert!(fit(pi, 40 << 20, 10 << 20).fits);
        assert!(!fit(pi, 448 << 20, 10 << 20).fits);
    }
}
