//! The least of ELF: a file that says at which address its bytes belong.

/// Wraps bytes so that a loader places them at `address`. QEMU refuses raw files for machines whose memory is all fixed.
pub fn wrap(bytes: &[u8], address: u32) -> Vec<u8> {
    const HEADER: u32 = 52;
    const SEGMENT: u32 = 32;
    let start = (HEADER + SEGMENT).next_multiple_of(64);
    let size = bytes.len() as u32;
    // 32 bits, little-endian, version 1; an executable for Arm
    let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0".to_vec();
    let words = |file: &mut Vec<u8>, words: &[u32]| file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    // version, entry, program headers, section headers, flags (EABI 5)
    words(&mut file, &[1, address, HEADER, 0, 0x0500_0000]);
    // sizes and counts, 16 bits each: one program header, no sections
    file.extend([HEADER as u16, SEGMENT as u16, 1, 40, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    // loaded, offset, virtual and physical address, size in file and memory, readable, alignment
    words(&mut file, &[1, start, address, address, size, size, 4, 4]);
    file.resize(start as usize, 0);
    file.extend(bytes);
    file
}
