//! Files written in whole blocks.

use std::io::{Result, Write};

/// A large page of x86-64, and of aarch64 with pages of 4 KiB.
const BLOCK: usize = 2 << 20;

/// Writes [`BLOCK`]s at multiples of their size. What was written stays in memory for a while, and Linux keeps such a block in
/// one large page where the file system can (ext4 since 6.16, XFS): a mapped image is then read a fifth faster than from
/// scattered pages of 4 KiB. Flush it at the end.
pub struct Blocks<W> {
    out: W,
    block: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    /// From the beginning of a file on.
    pub fn new(out: W) -> Self {
        Self { out, block: Vec::with_capacity(BLOCK) }
    }
}

impl<W: Write> Write for Blocks<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.block.len() == BLOCK {
            self.flush()?;
        }
        let (taken, _) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
        self.block.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.block)?;
        self.block.clear();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers how long its pieces were.
    #[derive(Default)]
    struct Pieces(Vec<usize>, Vec<u8>);

    impl Write for &mut Pieces {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.push(bytes.len());
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_of_any_length_become_whole_blocks() {
        let bytes: Vec<u8> = (0..2 * BLOCK + 5).map(|i| (i % 251) as u8).collect();
        for length in [1000, BLOCK - 1, BLOCK, bytes.len()] {
            let mut pieces = Pieces::default();
            let mut writer = Blocks::new(&mut pieces);
            bytes.chunks(length).try_for_each(|piece| writer.write_all(piece)).unwrap();
            writer.flush().unwrap();
            assert!(pieces.1 == bytes && pieces.0 == [BLOCK, BLOCK, 5], "{length}: {:?}", pieces.0);
        }
    }
}
