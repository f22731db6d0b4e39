//! A NOR flash for boards in QEMU that have none: a file of this machine, by semihosting. It outlives the emulator, and whoever
//! kills that cuts the power.

use cortex_m_semihosting::{nr, syscall};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// The file, in the folder where QEMU was started. Its length is the flash's.
const NAME: &[u8] = b"flash.bin\0";
const SECTOR: usize = 4096;

/// The flash.
pub struct FileFlash {
    handle: usize,
    length: u32,
}

/// The file can't be read or written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl NorFlashError for Refused {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl FileFlash {
    /// Opens the file, if there is one.
    pub fn open() -> Option<Self> {
        // SAFETY: SYS_OPEN reads the name, which ends with a zero that the length doesn't count.
        let handle = unsafe { syscall!(OPEN, NAME.as_ptr(), nr::open::RW_BINARY, NAME.len() - 1) };
        if handle == usize::MAX {
            return None;
        }
        // SAFETY: SYS_FLEN takes a handle.
        let length = unsafe { syscall!(FLEN, handle) };
        u32::try_from(length).ok().filter(|&length| length != u32::MAX).map(|length| Self { handle, length })
    }

    /// Bytes of the flash.
    pub fn length(&self) -> u32 {
        self.length
    }

    fn seek(&mut self, offset: u32, length: usize) -> Result<(), Refused> {
        let end = (offset as usize).checked_add(length);
        if end.is_none_or(|end| end > self.length as usize) {
            return Err(Refused);
        }
        // SAFETY: SYS_SEEK takes a handle and a position.
        let status = unsafe { syscall!(SEEK, self.handle, offset) };
        if status == 0 { Ok(()) } else { Err(Refused) }
    }
}

impl ErrorType for FileFlash {
    type Error = Refused;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Refused> {
        self.seek(offset, bytes.len())?;
        // SAFETY: SYS_READ writes as many bytes as are given.
        let missing = unsafe { syscall!(READ, self.handle, bytes.as_mut_ptr(), bytes.len()) };
        if missing == 0 { Ok(()) } else { Err(Refused) }
    }

    fn capacity(&self) -> usize {
        self.length as usize
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Refused> {
        for sector in (from..to).step_by(SECTOR) {
            for part in (0..SECTOR as u32).step_by(ERASED.len()) {
                self.write(sector + part, &ERASED)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Refused> {
        self.seek(offset, bytes.len())?;
        // SAFETY: SYS_WRITE reads the bytes.
        let missing = unsafe { syscall!(WRITE, self.handle, bytes.as_ptr(), bytes.len()) };
        if missing == 0 { Ok(()) } else { Err(Refused) }
    }
}

static ERASED: [u8; 256] = [0xFF; 256];
