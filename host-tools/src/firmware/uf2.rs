//! UF2, the format that a Pico's boot loader takes as a file on its USB drive: <https://github.com/microsoft/uf2>.

use super::program::Segment;
use anyhow::{Context, Result, ensure};

/// RP2350, secure Arm code. A Pico 2 takes no other family as firmware.
pub const RP2350_ARM: u32 = 0xE48B_FF59;

const BLOCK: usize = 512;
const PAYLOAD: usize = 256;
const FIRST: u32 = 0x0A32_4655;
const SECOND: u32 = 0x9E5D_5157;
const LAST: u32 = 0x0AB1_6F30;
const HAS_FAMILY: u32 = 0x2000;

/// Writes memory as blocks of 256 bytes. The end of the last one is filled with zeros.
pub fn write(memory: &Segment, family: u32) -> Vec<u8> {
    let parts = memory.bytes.chunks(PAYLOAD);
    let count = parts.len() as u32;
    let mut file = Vec::with_capacity(parts.len() * BLOCK);
    for (index, part) in parts.enumerate() {
        let address = memory.address as u32 + (index * PAYLOAD) as u32;
        let head = [FIRST, SECOND, HAS_FAMILY, address, PAYLOAD as u32, index as u32, count, family];
        file.extend(head.into_iter().flat_map(u32::to_le_bytes));
        file.extend(part);
        file.resize((index + 1) * BLOCK - 4, 0);
        file.extend(LAST.to_le_bytes());
    }
    file
}

/// Reads what [`write`] wrote, and checks it as a boot loader does.
///
/// # Errors
/// The first block that is wrong, and what is wrong with it.
pub fn read(file: &[u8], family: u32) -> Result<Segment> {
    let (blocks, rest) = file.as_chunks::<BLOCK>();
    ensure!(rest.is_empty() && !blocks.is_empty(), "{} bytes are no whole number of blocks", file.len());
    let mut memory = Segment { address: 0, bytes: Vec::new() };
    for (index, block) in blocks.iter().enumerate() {
        let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        let check = |name: &str, at: usize, right: u32| {
            ensure!(word(at) == right, "block {index}: {name} is {:#x}; {right:#x} would be right", word(at));
            Ok(())
        };
        check("first magic number", 0, FIRST)?;
        check("second magic number", 4, SECOND)?;
        check("flags", 8, HAS_FAMILY)?;
        if index == 0 {
            memory.address = word(12).into();
            ensure!(memory.address.is_multiple_of(PAYLOAD as u64), "the address {:#x} is not aligned", memory.address);
        }
        check("address", 12, memory.address as u32 + (index * PAYLOAD) as u32)?;
        check("payload", 16, PAYLOAD as u32)?;
        check("number", 20, index as u32)?;
        check("count", 24, blocks.len() as u32)?;
        check("family", 28, family)?;
        check("last magic number", BLOCK - 4, LAST)?;
        memory.bytes.extend(block.get(32..32 + PAYLOAD).context("payload")?);
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes: usize) -> Segment {
        Segment { address: 0x1000_0000, bytes: (0..bytes).map(|i| i as u8).collect() }
    }

    #[test]
    fn what_is_written_is_read() {
        for bytes in [1, 255, 256, 257, 100_000] {
            let file = write(&memory(bytes), RP2350_ARM);
            let mut read = read(&file, RP2350_ARM).unwrap();
            assert!(read.bytes.len() - bytes < PAYLOAD);
            assert!(read.bytes.drain(bytes..).all(|byte| byte == 0));
            assert_eq!(read, memory(bytes));
        }
    }

    #[test]
    fn every_changed_word_of_a_header_is_found() {
        let file = write(&memory(1000), RP2350_ARM);
        for block in 0..4 {
            for at in (0..32).chain(BLOCK - 4..BLOCK) {
                let mut file = file.clone();
                file[block * BLOCK + at] ^= 1;
                assert!(read(&file, RP2350_ARM).is_err(), "block {block}, byte {at}");
            }
        }
        assert!(read(&file[..700], RP2350_ARM).is_err());
        assert!(read(&[], RP2350_ARM).is_err());
    }
}
