//! Whoever sits at the other end of the serial line: the application, fed with a script.
//!
//! Byte 0 says whether the board asks to wait, how fast its clock goes and whether writing fails after some bytes; the rest
//! is what arrives. A NUL announces what the line itself does: an error, a pause, or a NUL.

use std::sync::LazyLock;

use embedded_io::{Error, ErrorKind, ErrorType, Read, ReadReady, Write};
use jamlet::{Model, Options, Plan};
use jamlet_app::app::{self, Memory};
use jamlet_app::board::Board;
use jamlet_app::extras::Extras;

use super::Input;
use crate::images::AlignedBytes;
use crate::tiny;

static IMAGE: LazyLock<AlignedBytes> = LazyLock::new(|| {
    let (_, image) = tiny::all().pop().expect("a small image");
    let image = AlignedBytes::new(&image);
    assert!(Model::parse(image.get()).expect("a small image").tokenizer().is_some());
    image
});

const BEAMS: usize = 3;

/// Types the bytes into the application.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let options = Options::window(4).sinks(1).chunk(4).beams(BEAMS as u32);
    let mut workspace = AlignedBytes::zeros(Plan::new(IMAGE.get(), options).expect("a plan").bytes());
    let port = Script { bytes: input.rest(), pause: false, left: if choice & 1 == 0 { usize::MAX } else { 200 } };
    let board = Desk { micros: 0, step: 500 << (choice >> 2 & 3), waits: choice & 2 == 0 };
    let extras = Extras::of(IMAGE.get());
    let served =
        app::serve(IMAGE.get(), options, workspace.get_mut(), &mut Memory::<BEAMS>::new(), port, board, extras);
    assert!(served.is_ok() || choice & 1 != 0, "only a port that fails ends in an error");
}

/// What people type, and what they don't.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 9] = [
        b"abc abc\x04",
        b"/help\r/stats\r\n/reset\n",
        b"a\n\nb\x04\x03abc\x0c\x0c",
        b"abc\x08\x7f\x17a b\x17\x15\x1b[A\x1bOP\xff\xc3(\x04",
        b"abcabc\x00\x01abc\x00\x00\x00\x02abc\x04\x03",
        b"\x04\x04<s>\x04",
        b"aa\r\nbb\ra\x11\x13\x04",
        b"abababababababababababababababababababababababababababababababababababababababababababababab\x03a\x04",
        b"/stats\x04/resetx\r/verify\r",
    ];
    (0..16).flat_map(|choice| texts.map(|text| [&[choice], text].concat())).collect()
}

/// A port whose other end follows a script.
struct Script<'d> {
    bytes: &'d [u8],
    /// Nothing is there at the moment.
    pause: bool,
    /// Bytes that can still be written.
    left: usize,
}

/// What the line says when it fails.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Error for Broken {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Script<'_> {
    type Error = Broken;
}

impl Read for Script<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        self.pause = false;
        let mut input = Input(self.bytes);
        if self.bytes.is_empty() {
            return Ok(0);
        }
        let mut byte = input.byte();
        if byte == 0 {
            match input.byte() % 4 {
                0 => {}
                1 => {
                    self.bytes = input.0;
                    return Err(Broken);
                }
                _ => (byte, self.pause) = (b'a', true),
            }
        }
        self.bytes = input.0;
        buffer[0] = byte;
        Ok(1)
    }
}

impl ReadReady for Script<'_> {
    fn read_ready(&mut self) -> Result<bool, Broken> {
        Ok(!std::mem::take(&mut self.pause))
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let written = bytes.len().min(self.left);
        self.left -= written;
        if written == 0 && !bytes.is_empty() { Err(Broken) } else { Ok(written) }
    }

    fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

/// A board with a clock.
struct Desk {
    micros: u32,
    step: u32,
    waits: bool,
}

impl Board for Desk {
    fn micros(&mut self) -> u32 {
        self.micros = self.micros.wrapping_add(self.step);
        self.micros
    }

    fn stack(&mut self) -> Option<usize> {
        self.waits.then_some(1000)
    }

    fn flow_control(&self) -> bool {
        self.waits
    }
}
