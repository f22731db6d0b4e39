//! How vocabularies write bytes.

/// The byte of a token such as `<0x0A>`.
pub(super) fn byte_token(string: &str) -> Option<u8> {
    let hex = string.strip_prefix("<0x")?.strip_suffix('>')?;
    let upper = |c: u8| c.is_ascii_digit() || (b'A'..=b'F').contains(&c);
    (hex.len() == 2 && hex.bytes().all(upper)).then(|| u8::from_str_radix(hex, 16).ok())?
}

/// GPT-2's alphabet of bytes: printable Latin-1 stands for itself, the other bytes in turn for the characters from U+0100.
pub(super) fn byte_of(c: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(c) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| printable(byte)),
        code => (0..=u8::MAX).filter(|&byte| !printable(byte)).nth((code - 0x100) as usize),
    }
}
