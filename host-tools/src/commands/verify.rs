//! `jamlet verify`.

use super::image::ImageArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use jamlet::image::Encoding;
use jamlet::matrix::{Bits, Group, Groups, TILE_COLS, decode, padded_cols};
use jamlet_tools::sign;
use std::io::Write;

/// Checks an image completely: structure, checksum, that every number is finite, and its signature
#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    image: ImageArgs,
    /// Who must have signed it: a public key, as a file in PEM or as 64 hexadecimal digits
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
}

impl Verify {
    /// Says what is wrong, or that nothing is.
    pub fn run(&self) -> Result<()> {
        let key = self.public_key.as_deref().map(sign::public_key).transpose()?;
        let file = self.image.open()?;
        let model = file.model()?;
        let group = model.header().group as usize;
        let mut numbers = 0u64;
        for (expected, section) in model.image().sections() {
            let bad = match expected.encoding {
                Encoding::Bytes => None,
                Encoding::F32 => {
                    let (words, _) = section.bytes.as_chunks::<4>();
                    words.iter().position(|word| !f32::from_le_bytes(*word).is_finite())
                }
                Encoding::Q8 => bad_weight(section.bytes, Bits::Eight, section.cols, group),
                Encoding::Q4 => bad_weight(section.bytes, Bits::Four, section.cols, group),
            };
            if let Some(at) = bad {
                let (role, layer) = (expected.role, expected.layer);
                let place = if layer == u16::MAX { String::new() } else { format!(" of layer {layer}") };
                bail!("{}: number {at} of {role:?}{place} can't be a weight", file.name());
            }
            numbers += (section.rows * section.cols) as u64;
        }
        let signature = match (&key, model.image().signature()) {
            (Some(key), _) => {
                sign::verify(model.image(), key).with_context(|| file.name().to_owned())?;
                ", signed by this key"
            }
            (None, Some(_)) => ", signed: --public-key checks by whom",
            (None, None) => "",
        };
        writeln!(
            std::io::stdout(),
            "{}: sound, checksum {:08x}, {numbers} numbers, all finite{signature}",
            file.name(),
            model.image().checksum()
        )?;
        Ok(())
    }
}

/// The first scale that isn't finite, or, of 8 bits, is negative, or byte that is −128. Any half byte is a weight of 4 bits.
fn bad_weight(bytes: &[u8], bits: Bits, cols: usize, group: usize) -> Option<usize> {
    let half = |scale: &[u8; 2]| half::f16::from_le_bytes(*scale);
    let tiles = bytes.chunks_exact(bits.tile_bytes(cols, group).max(1));
    let mut at = 0;
    for Group { scales, weights } in tiles.flat_map(|tile| Groups::new(tile, bits, padded_cols(cols), group)) {
        let weights = weights.as_flattened();
        let sound =
            scales.as_chunks().0.iter().all(|s| half(s).is_finite() && (bits == Bits::Four || half(s).to_f32() >= 0.0));
        let clipped = bits == Bits::Eight
            && weights.as_chunks::<TILE_COLS>().0.iter().any(|stored| decode(*stored).contains(&i8::MIN));
        if !sound || clipped {
            return Some(at);
        }
        at += weights.len();
    }
    None
}
