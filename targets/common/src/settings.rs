//! Settings that the build script hands over as text.

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
