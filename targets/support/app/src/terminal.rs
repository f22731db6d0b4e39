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
            Piece::Number(n) => send(port, itoa::Buffer::new().format(n).as_bytes())?,
            Piece::Tenths(n) => {
                send(port, itoa::Buffer::new().format(n / 10).as_bytes())?;
                send(port, &[b'.', b'0' + (n % 10) as u8])?;
            }
        }
    }
    port.flush()
}

/// Writes all bytes. As `write_all`, but a port that takes none, or says that it took more than it got, is no reason to panic:
/// what it doesn't take is lost.
///
/// # Errors
/// The port's.
pub fn send<P: Write>(port: &mut P, mut bytes: &[u8]) -> Result<(), P::Error> {
    while !bytes.is_empty() {
        match port.write(bytes)? {
            0 => break,
            taken => bytes = bytes.get(taken..).unwrap_or(&[]),
        }
    }
    Ok(())
}

/// Writes text with line ends as terminals want them.
///
/// # Errors
/// The port's.
pub fn text_lines<P: Write>(port: &mut P, text: &str) -> Result<(), P::Error> {
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            send(port, b"\r\n")?;
        }
        send(port, line.as_bytes())?;
    }
    Ok(())
}
