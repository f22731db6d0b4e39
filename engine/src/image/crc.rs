//! The checksum of images and of saved states.

/// CRC-32/ISO-HDLC, the one of zlib, PNG and Ethernet.
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The checksum of `bytes`. Bytewise, with a table of 1 KiB: hosts have faster implementations of the same sum.
pub fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// The same checksum of bytes that come in pieces.
pub(crate) fn digest() -> crc::Digest<'static, u32> {
    CRC.digest()
}
