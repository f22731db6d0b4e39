//! Files as memory: an image is run where it lies in the page cache, never copied.
#![allow(unsafe_code)]

use anyhow::{Context, Result};
use std::fs::File;
use std::path::Path;

/// A file mapped read-only.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// When it can't be opened or mapped; the path is named.
    pub fn open(path: &Path) -> Result<Self> {
        // Checked before it is opened, which waits for a pipe's writer. Some systems open a folder, and then refuse to map it with a
        // message that doesn't say why.
        let found = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        anyhow::ensure!(!found.is_dir(), "{}: a folder; an image file was expected", path.display());
        anyhow::ensure!(found.is_file(), "{}: not a file; an image is mapped, so it has to be one", path.display());
        let file = File::open(path).with_context(|| path.display().to_string())?;
        // SAFETY: a mapped file must not shrink or change while it is read. Images are replaced by renaming a new file
        // over them (see `pack`), which leaves the mapped one alone; whoever overwrites one in place while it runs gets
        // wrong numbers or a bus error, as with any mapped program or library.
        let map = unsafe { memmap2::Mmap::map(&file) }.with_context(|| path.display().to_string())?;
        // Large pages, for a file that Linux has yet to read: it can with ext4 since 6.16 and XFS (see `pack::Blocks` for those
        // that it wrote). Where it can't, nothing changes.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(map))
    }
}

impl std::ops::Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
