//! As much of GDB's remote protocol as it takes to change a byte in the memory of a board that runs in QEMU.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Has QEMU listen at `socket`.
pub fn listen(qemu: &mut Command, socket: &Path) {
    qemu.args(["-chardev", &format!("socket,path={},server=on,wait=off,id=gdb", socket.display())]);
    qemu.args(["-gdb", "chardev:gdb"]);
}

/// Flips bits of the byte at `address` while the board is stopped, and lets it go on.
///
/// # Errors
/// When QEMU doesn't answer, or the byte isn't what it should be then.
pub fn flip(socket: &Path, address: u64, bits: u8) -> Result<()> {
    let mut debugger = Debugger::connect(socket)?;
    let read = format!("m{address:x},1");
    let before = byte(&debugger.ask(&read)?)?;
    let answer = debugger.ask(&format!("M{address:x},1:{:02x}", before ^ bits))?;
    ensure!(answer == "OK", "QEMU doesn't write at {address:#x}: {answer:?}");
    let after = byte(&debugger.ask(&read)?)?;
    ensure!(after == before ^ bits, "{after:#x} at {address:#x} after {before:#x} was flipped by {bits:#x}");
    debugger.ask("D")?;
    Ok(())
}

fn byte(hex: &str) -> Result<u8> {
    u8::from_str_radix(hex, 16).with_context(|| format!("QEMU reads {hex:?}"))
}

struct Debugger(UnixStream);

impl Debugger {
    /// Connecting stops the board.
    fn connect(socket: &Path) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                    return Ok(Self(stream));
                }
                // QEMU opens it some time after it was started.
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => return Err(error).with_context(|| socket.display().to_string()),
            }
        }
    }

    /// Sends a packet and gives the answer.
    fn ask(&mut self, text: &str) -> Result<String> {
        let sum = text.bytes().fold(0u8, u8::wrapping_add);
        self.0.write_all(format!("+${text}#{sum:02x}").as_bytes())?;
        loop {
            let mut answer = String::new();
            while self.next()? != b'$' {}
            loop {
                match self.next()? {
                    b'#' => break,
                    byte => answer.push(byte.into()),
                }
            }
            // The sum is not checked: nothing gets lost on the way.
            self.next()?;
            self.next()?;
            // That the board was stopped is said at any time.
            if !answer.starts_with(['T', 'S']) {
                self.0.write_all(b"+")?;
                return Ok(answer);
            }
        }
    }

    fn next(&mut self) -> Result<u8> {
        let mut byte = [0];
        match self.0.read(&mut byte)? {
            0 => bail!("QEMU hung up"),
            _ => Ok(byte[0]),
        }
    }
}
