//! Intel HEX.

use super::program::Segment;
use anyhow::{Result, anyhow};
use ihex::Record;

/// Writes memory as records of 16 bytes.
///
/// # Errors
/// What the encoder says.
pub fn write(memory: &Segment) -> Result<String> {
    let mut records = Vec::new();
    for (index, part) in memory.bytes.chunks(16).enumerate() {
        let address = memory.address as u32 + (index * 16) as u32;
        if index == 0 || address.is_multiple_of(0x1_0000) {
            records.push(Record::ExtendedLinearAddress((address >> 16) as u16));
        }
        records.push(Record::Data { offset: address as u16, value: part.to_vec() });
    }
    records.push(Record::EndOfFile);
    ihex::create_object_file_representation(&records).map_err(|error| anyhow!("Intel HEX: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_their_addresses_and_read_back() {
        let memory = Segment { address: 0x0800_0000, bytes: (0..0x1_0010u32).map(|i| i as u8).collect() };
        let text = write(&memory).unwrap();
        let (mut base, mut back) = (0, Vec::new());
        for record in ihex::Reader::new(&text) {
            match record.unwrap() {
                Record::ExtendedLinearAddress(high) => base = u32::from(high) << 16,
                Record::Data { offset, value } => {
                    assert_eq!(u64::from(base + u32::from(offset)), memory.address + back.len() as u64);
                    back.extend(value);
                }
                record => assert_eq!(record, Record::EndOfFile),
            }
        }
        assert_eq!(back, memory.bytes);
    }
}
