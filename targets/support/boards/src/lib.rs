//! The table of boards. Whoever needs a fact about a board takes it from here: the boards' build scripts (linker script,
//! embedded model), `jamlet plan` and `jamlet firmware`, the checks of `cargo xtask`, and the table in `targets/README.md`.
//!
//! To add a board, add a row to [`BOARDS`] and a folder to `targets/`; see `targets/README.md`.
#![no_std]
#![forbid(unsafe_code)]

/// Part of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Region {
    const fn new(start: u64, bytes: u64) -> Self {
        Self { start, bytes }
    }

    /// The first address after it.
    pub const fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// Whether all of `start..end` lies in it.
    pub const fn holds(&self, start: u64, end: u64) -> bool {
        self.start <= start && end <= self.end()
    }
}

/// A processor core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// ARMv7E-M with single-precision floating point.
    CortexM4,
    /// ARMv7E-M with double-precision floating point, two instructions a cycle, caches.
    CortexM7,
    /// ARMv8-M with DSP instructions and single-precision floating point.
    CortexM33,
    /// ARMv8-A, in order.
    CortexA53,
    /// ARMv8-A, out of order.
    CortexA72,
    /// ARMv8.2-A with SDOT, out of order.
    CortexA76,
}

impl Core {
    /// Arm's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CortexM4 => "Cortex-M4",
            Self::CortexM7 => "Cortex-M7",
            Self::CortexM33 => "Cortex-M33",
            Self::CortexA53 => "Cortex-A53",
            Self::CortexA72 => "Cortex-A72",
            Self::CortexA76 => "Cortex-A76",
        }
    }

    /// What firmware for it is compiled for.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::CortexM4 | Self::CortexM7 => "thumbv7em-none-eabihf",
            Self::CortexM33 => "thumbv8m.main-none-eabihf",
            Self::CortexA53 | Self::CortexA72 | Self::CortexA76 => "aarch64-unknown-none",
        }
    }
}

/// Where program, image and workspace lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Program and image are flashed, and run and read in place.
    Flash {
        /// Program and image.
        flash: Region,
        /// The stack: at the bottom of a RAM, so that an overflow faults.
        stack: Region,
        /// Statics, the workspace among them.
        ram: Region,
    },
    /// The image is a file, loaded or mapped into RAM; so many bytes of RAM are left by the system.
    File {
        /// Bytes of RAM.
        ram: u64,
    },
}

/// How a program gets onto a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flashing {
    /// By probe-rs, under this chip name.
    Probe(&'static str),
    /// As a UF2 file on the board's USB drive, or by picotool.
    Uf2,
    /// From an SD card.
    Card,
    /// Not at all: the board exists in QEMU only, which starts the ELF file.
    Emulator,
    /// Not at all: the board runs the `jamlet` command on Linux.
    Linux,
}

/// A board that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emulator {
    /// QEMU's name of the board.
    pub machine: &'static str,
    /// Memory that firmware leaves alone, for the cases of the conformance suite. `None` where the case takes the model's place.
    pub case: Option<Region>,
    /// Bytes of workspace in the conformance suite's firmware.
    pub workspace: u64,
    /// Address of the serial port, where the firmware drives it by its registers.
    pub uart: Option<u32>,
}

/// A board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its only name, in commands, tables and messages.
    pub name: &'static str,
    /// What people call it.
    pub description: &'static str,
    /// Folder of its firmware in `targets/`: boards that run the same program share one. `None` where it runs Linux.
    pub folder: Option<&'static str>,
    /// Its cores, all of which compute.
    pub core: Core,
    /// How many.
    pub cores: u32,
    /// Their clock in Hz, as the firmware sets it.
    pub clock: u32,
    /// Bytes/s at which weights can be read, by the data sheet: a bound that real reads stay below.
    pub bandwidth: u64,
    /// Where things lie.
    pub memory: Memory,
    /// Flash of its firmware beside the image, rounded up from what was measured: `cargo xtask sizes` checks it. 0 where the image is a
    /// file.
    pub code: u64,
    /// RAM of its firmware's statics beside the workspace, rounded up from what was measured: `cargo xtask sizes` checks it.
    pub statics: u64,
    /// Name of the image in `host-tools/models` that its firmware has unless told otherwise.
    pub image: &'static str,
    /// Tokens that attention looks back, unless told otherwise.
    pub window: u32,
    /// Summaries that are written side by side, unless told otherwise.
    pub beams: u32,
    /// Tokens that are read together.
    pub chunk: u32,
    /// The serial port, for users.
    pub serial: &'static str,
    /// How it is flashed.
    pub flashing: Flashing,
    /// How it is emulated, if it is.
    pub emulator: Option<Emulator>,
}

/// Tokens that attention looks back unless told otherwise: the same on every board and on the host.
pub const WINDOW: u32 = 256;
/// Summaries that are written side by side unless told otherwise, where RAM suffices for the states of both.
pub const BEAMS: u32 = 2;
/// Engine and application take no more flash than this where there is no HAL.
const BARE_CODE: u64 = 157 * KIB;
/// Tokens that are read together where RAM suffices.
pub const CHUNK: u32 = 8;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const MHZ: u32 = 1_000_000;

/// Arm's MPS2 boards in QEMU: 4 MiB of SSRAM as flash, 4 MiB as RAM, one word a cycle.
const fn mps2(
    name: &'static str,
    description: &'static str,
    core: Core,
    clock: u32,
    (flash, ram): (u64, u64),
    (machine, case, uart): (&'static str, u64, u32),
) -> Board {
    const STACK: u64 = 16 * KIB;
    Board {
        name,
        description,
        folder: Some(name),
        core,
        cores: 1,
        clock,
        bandwidth: 4 * clock as u64,
        memory: Memory::Flash {
            flash: Region::new(flash, 4 * MIB),
            stack: Region::new(ram, STACK),
            ram: Region::new(ram + STACK, 4 * MIB - STACK),
        },
        code: BARE_CODE,
        statics: 25 * KIB,
        image: "pico",
        window: WINDOW,
        beams: BEAMS,
        chunk: CHUNK,
        serial: "UART 0",
        flashing: Flashing::Emulator,
        emulator: Some(Emulator {
            machine,
            case: Some(Region::new(case, 16 * MIB)),
            workspace: 3 * MIB,
            uart: Some(uart),
        }),
    }
}

/// A Raspberry Pi without an operating system: what its graphics core leaves of the RAM, and the place of the model there.
const fn bare_pi(
    name: &'static str,
    description: &'static str,
    core: Core,
    clock: u32,
    (ram, bandwidth): (u64, u64),
    machine: Option<&'static str>,
) -> Board {
    Board {
        name,
        description,
        folder: Some("pi"),
        core,
        cores: 4,
        clock,
        bandwidth,
        memory: Memory::File { ram },
        code: 0,
        statics: 64 * KIB,
        image: "pico",
        window: WINDOW,
        beams: BEAMS,
        chunk: CHUNK,
        serial: "PL011 on pins 8 and 10, 115200 baud",
        flashing: Flashing::Card,
        emulator: match machine {
            Some(machine) => Some(Emulator { machine, case: None, workspace: 0, uart: None }),
            None => None,
        },
    }
}

/// All boards, by their RAM.
pub const BOARDS: [Board; 10] = [
    Board {
        name: "stm32f405",
        description: "STM32F405",
        folder: Some("stm32f405"),
        core: Core::CortexM4,
        cores: 1,
        clock: 168 * MHZ,
        // 16 bytes in 6 cycles: 5 wait states at this clock (RM0090, 3.5.1).
        bandwidth: 448_000_000,
        // The stack has the core-coupled memory for itself, which no DMA reaches.
        memory: Memory::Flash {
            flash: Region::new(0x0800_0000, MIB),
            stack: Region::new(0x1000_0000, 64 * KIB),
            ram: Region::new(0x2000_0000, 128 * KIB),
        },
        code: 165 * KIB,
        statics: 28 * KIB,
        image: "nano",
        window: WINDOW,
        // There is no room for the state of another, nor to compute more tokens at once.
        beams: 1,
        chunk: 4,
        serial: "USART1 on PA9 and PA10, 115200 baud",
        flashing: Flashing::Probe("STM32F405RG"),
        emulator: Some(Emulator {
            machine: "olimex-stm32-h405",
            case: Some(Region::new(0x0803_0000, 832 * KIB)),
            workspace: 104 * KIB,
            uart: None,
        }),
    },
    Board {
        name: "pico2",
        description: "Raspberry Pi Pico 2 (RP2350)",
        folder: Some("pico2"),
        core: Core::CortexM33,
        cores: 2,
        clock: 150 * MHZ,
        // Quad SPI at a third of the clock, half a byte a cycle.
        bandwidth: 25_000_000,
        // Ten banks of SRAM, contiguous.
        memory: Memory::Flash {
            flash: Region::new(0x1000_0000, 4 * MIB),
            stack: Region::new(0x2000_0000, 16 * KIB),
            ram: Region::new(0x2000_4000, 504 * KIB),
        },
        code: 190 * KIB,
        statics: 34 * KIB,
        image: "pico-4bit",
        window: WINDOW,
        beams: BEAMS,
        chunk: CHUNK,
        serial: "USB (CDC)",
        flashing: Flashing::Uf2,
        emulator: None,
    },
    Board {
        name: "stm32h743",
        description: "NUCLEO-H743ZI2",
        folder: Some("stm32h743"),
        core: Core::CortexM7,
        cores: 1,
        clock: 400 * MHZ,
        // 8 bytes a cycle of the AXI bus, which runs at half the clock.
        bandwidth: 1_600_000_000,
        // The stack has the tightly coupled DTCM for itself; statics lie in the AXI SRAM.
        memory: Memory::Flash {
            flash: Region::new(0x0800_0000, 2 * MIB),
            stack: Region::new(0x2000_0000, 128 * KIB),
            ram: Region::new(0x2400_0000, 512 * KIB),
        },
        code: 171 * KIB,
        statics: 28 * KIB,
        image: "pico-4bit",
        window: WINDOW,
        beams: BEAMS,
        chunk: CHUNK,
        serial: "virtual COM port of the ST-LINK, 115200 baud",
        flashing: Flashing::Probe("STM32H743ZITx"),
        emulator: None,
    },
    mps2(
        "qemu-m4",
        "Arm MPS2 AN386",
        Core::CortexM4,
        25 * MHZ,
        (0, 0x2000_0000),
        ("mps2-an386", 0x2100_0000, 0x4000_4000),
    ),
    mps2(
        "qemu-m7",
        "Arm MPS2 AN500",
        Core::CortexM7,
        25 * MHZ,
        (0, 0x2000_0000),
        ("mps2-an500", 0x6000_0000, 0x4000_4000),
    ),
    // The core starts in the secure state: these are the secure aliases.
    mps2(
        "qemu-m33",
        "Arm MPS2 AN505",
        Core::CortexM33,
        20 * MHZ,
        (0x1000_0000, 0x3800_0000),
        ("mps2-an505", 0x8000_0000, 0x5020_0000),
    ),
    // Bandwidths of the RAM: 32 bits of LPDDR2-900, LPDDR4-3200, LPDDR4X-4267.
    bare_pi("pi-zero-2w", "Raspberry Pi Zero 2 W", Core::CortexA53, 1000 * MHZ, (448 * MIB, 3_600_000_000), None),
    bare_pi("pi-3", "Raspberry Pi 3", Core::CortexA53, 1200 * MHZ, (960 * MIB, 3_600_000_000), Some("raspi3b")),
    bare_pi(
        "pi-4",
        "Raspberry Pi 4 (2 GB)",
        Core::CortexA72,
        1500 * MHZ,
        (1900 * MIB, 12_800_000_000),
        Some("raspi4b"),
    ),
    Board {
        folder: None,
        flashing: Flashing::Linux,
        serial: "",
        ..bare_pi("pi-5", "Raspberry Pi 5 (4 GB)", Core::CortexA76, 2400 * MHZ, (3900 * MIB, 17_000_000_000), None)
    },
];

/// A board for each program: the first of those that share a folder.
pub fn programs() -> impl Iterator<Item = &'static Board> {
    let first = |board: &&Board| board.folder.is_some_and(|folder| Board::in_folder(folder) == Some(*board));
    BOARDS.iter().filter(first)
}

impl Board {
    /// The board of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }

    /// The first board whose firmware is in this folder.
    pub fn in_folder(folder: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.folder == Some(folder))
    }

    /// The board with a part on it that has less memory: at most so many bytes of flash, and of RAM as [`Board::ram`] counts it.
    pub const fn part(mut self, flash: Option<u64>, ram: Option<u64>) -> Self {
        const fn least(limit: Option<u64>, bytes: u64) -> u64 {
            match limit {
                Some(limit) if limit < bytes => limit,
                _ => bytes,
            }
        }
        let most = least(ram, self.ram());
        match &mut self.memory {
            Memory::Flash { flash: program, stack, ram } => {
                program.bytes = least(flash, program.bytes);
                ram.bytes = if stack.end() == ram.start { most.saturating_sub(stack.bytes) } else { most };
            }
            Memory::File { ram } => *ram = most,
        }
        self
    }

    /// What its firmware is compiled for.
    pub const fn triple(&self) -> &'static str {
        self.core.triple()
    }

    /// Bytes for program and image, where there is a limit but the card's.
    pub const fn flash(&self) -> Option<u64> {
        match self.memory {
            Memory::Flash { flash, .. } => Some(flash.bytes),
            Memory::File { .. } => None,
        }
    }

    /// Bytes for statics and workspace, and for the image where it isn't in flash.
    pub const fn ram_beside_stack(&self) -> u64 {
        match self.memory {
            Memory::Flash { ram, .. } => ram.bytes,
            Memory::File { ram } => ram,
        }
    }

    /// Bytes for statics, workspace and, unless it has a memory for itself, the stack; and for the image where it isn't in
    /// flash.
    pub const fn ram(&self) -> u64 {
        match self.memory {
            Memory::Flash { stack, ram, .. } if stack.end() == ram.start => stack.bytes + ram.bytes,
            Memory::Flash { ram, .. } => ram.bytes,
            Memory::File { ram } => ram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_memories_do_not_overlap() {
        for (index, board) in BOARDS.iter().enumerate() {
            assert_eq!(Board::named(board.name), Some(board));
            assert!(BOARDS.iter().skip(index + 1).all(|other| other.name != board.name));
            let Memory::Flash { flash, stack, ram } = board.memory else { continue };
            let case = board.emulator.and_then(|emulator| emulator.case);
            for (a, b) in [(flash, stack), (flash, ram), (stack, ram)] {
                assert!(a.end() <= b.start || b.end() <= a.start, "{}", board.name);
            }
            assert!(case.is_none_or(|case| !ram.holds(case.start, case.end())), "{}", board.name);
        }
    }

    #[test]
    fn a_part_with_less_memory_has_so_much() {
        for board in BOARDS {
            assert_eq!(board.part(None, None), board);
            assert_eq!(board.part(Some(u64::MAX), Some(u64::MAX)), board);
            let part = board.part(Some(512 * KIB), Some(96 * KIB));
            assert_eq!(part.ram(), 96 * KIB, "{}", board.name);
            assert_eq!(part.flash(), board.flash().map(|_| 512 * KIB), "{}", board.name);
        }
    }
}
