//! Text and numbers for a terminal. Numbers are written without `core::fmt`, which alone would be larger than the rest of
//! the application.

use embedded_io::Write;

/// Something that can be put on a terminal.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'t> {
    /// Text as it is.
    Text(&'t str),
    /// A whole number.
    Number(u64),
    /// Tenths, as a decimal fraction.
    Tenths(u64),
}

/// Writes pieces one after the other.
///
/// # Errors
/// The port's.
pub fn print<P: Write>(port: &mut P, pieces: &[Piece]) -> Result<(), P::Error> {
    for piece in pieces {
        match *piece {
            Piece::Text(text) => text_lines(port, text)?,
            Piece::Number(n) => port.write_all(itoa::Buffer::new().format(n).as_bytes())?,
            Piece::Tenths(n) => {
                port.write_all(itoa::Buffer::new().format(n / 10).as_bytes())?;
                port.write_all(&[b'.', b'0' + (n % 10) as u8])?;
            }
        }
    }
    port.flush()
}

/// Writes text with line ends as terminals want them.
///
/// # Errors
/// The port's.
pub fn text_lines<P: Write>(port: &mut P, text: &str) -> Result<(), P::Error> {
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            port.write_all(b"\r\n")?;
        }
        port.write_all(line.as_bytes())?;
    }
    Ok(())
}
