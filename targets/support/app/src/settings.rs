//! Settings that the build script hands over as text.

/// 32 bytes from 64 hexadecimal digits, for constants: anything else stops the compiler.
///
/// # Panics
/// When it is something else.
#[cfg(feature = "signature")]
pub const fn key(text: &str) -> [u8; 32] {
    const fn digit(digit: u8) -> u8 {
        match (digit as char).to_digit(16) {
            Some(value) => value as u8,
            None => panic!("not a hexadecimal digit"),
        }
    }
    let (digits, mut key, mut at) = (text.as_bytes(), [0; 32], 0);
    assert!(digits.len() == 64, "a key has 64 hexadecimal digits");
    while at < key.len() {
        key[at] = digit(digits[2 * at]) << 4 | digit(digits[2 * at + 1]);
        at += 1;
    }
    key
}

/// A decimal number, for constants: anything else stops the compiler.
///
/// # Panics
/// When it is no number.
pub const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("not a decimal number"),
    }
}
