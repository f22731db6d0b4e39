//! Saved states: what a session remembers, as bytes that are the same on every target.
//!
//! # Format, version 1
//!
//! All integers are unsigned and little-endian, all floats IEEE 754 little-endian.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 8 bytes | magic `93 4A 53 54 41 54 45 0A` (`\x93JSTATE\n`) |
//! | 8 | u32 | version, 1 |
//! | 12 | u32 | checksum of the image that the state belongs to |
//! | 16 | u32 | attention window |
//! | 20 | u32 | attention sinks |
//! | 24 | u32 | bytes of a number of the SSM state: 4 or 2 |
//! | 28 | u32 | zero |
//! | 32 | u64 | tokens that were fed |
//! | 40 | u64 | length in bytes, checksum included |
//! | 48 | | convolution inputs, f32, `(layer, d_conv − 1, E)` |
//! | .. | | SSM state, f32 or f16, `(layer, E / 8, N, 8)` |
//! | .. | | of every attention layer and key-value head: the slots in use of keys and values, int8 `(slot, head_dim)`, then of their scales, f32 `(slot)` |
//! | .. | | the residual stream after the last token, f32, `(hidden)` |
//! | last 4 | u32 | CRC-32 (ISO-HDLC) of all bytes before it |
//!
//! Which slots are in use follows from the number of tokens. The chunk size is not part of it: it changes no result.

use super::cache::Cache;
use super::plan::{Plan, StateWidth};
use super::workspace::{MambaState, Ssm};
use crate::image::crc;
use bytemuck::cast_slice_mut;

/// First eight bytes of every snapshot.
pub const MAGIC: [u8; 8] = *b"\x93JSTATE\n";
/// The version that this crate reads and writes.
pub const VERSION: u32 = 1;
/// Bytes before the state.
const HEADER: usize = 48;
/// Bytes of the checksum.
const CRC: usize = 4;

/// Why a state can't be saved or restored. The session is then as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The buffer is too small.
    TooSmall {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// The first eight bytes are not [`MAGIC`].
    NotASnapshot,
    /// Another version.
    Version {
        /// The version found; [`VERSION`] would be right.
        found: u32,
    },
    /// The state belongs to another image.
    OtherImage {
        /// Checksum of its image.
        found: u32,
        /// Checksum of this session's image.
        expected: u32,
    },
    /// The state belongs to a session with other options.
    OtherOption {
        /// Name of the option.
        name: &'static str,
        /// Its value there.
        found: u32,
        /// Its value here.
        expected: u32,
    },
    /// The length isn't what the number of tokens implies.
    Length {
        /// Bytes that would be right.
        expected: u64,
        /// Bytes that the snapshot says or has.
        found: u64,
    },
    /// The checksum is wrong: the snapshot was changed or cut after it was written.
    Crc {
        /// The sum in the snapshot.
        stored: u32,
        /// The sum of the bytes.
        computed: u32,
    },
}

impl core::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::TooSmall { needed, found } => write!(f, "a snapshot takes {needed} bytes; {found} are there"),
            Self::NotASnapshot => write!(f, "not a snapshot: the first 8 bytes differ from \\x93JSTATE\\n"),
            Self::Version { found } => write!(f, "snapshot version {found}; this jamlet reads version {VERSION}"),
            Self::OtherImage { found, expected } => {
                write!(f, "the snapshot belongs to image {found:08x}; this session runs {expected:08x}")
            }
            Self::OtherOption { name, found, expected } => {
                write!(f, "the snapshot was made with {name} {found}; this session has {expected}")
            }
            Self::Length { expected, found } => write!(f, "the snapshot has {found} bytes; {expected} would be right"),
            Self::Crc { stored, computed } => {
                write!(f, "checksum {computed:08x}, but the snapshot says {stored:08x}: it is damaged")
            }
        }
    }
}

impl core::error::Error for SnapshotError {}

/// What is saved.
pub(crate) struct Memory<'a, 'w> {
    pub plan: &'a Plan,
    /// Checksum of the image.
    pub image: u32,
    pub mamba: &'a mut MambaState<'w>,
    pub cache: &'a mut Cache<'w>,
    /// The residual stream after the last token, `(hidden)`.
    pub residual: &'a mut [f32],
}

impl Memory<'_, '_> {
    /// Bytes of a snapshot after `position` tokens.
    fn length(&mut self, position: u64) -> usize {
        let mut length = HEADER + CRC;
        self.visit(position, |part| length += part.len());
        length
    }

    /// Gives all parts of the state to `part`, in the order of the format.
    fn visit(&mut self, position: u64, mut part: impl FnMut(&mut [u8])) {
        part(cast_slice_mut(self.mamba.conv));
        match &mut self.mamba.ssm {
            Ssm::F32(state) => part(cast_slice_mut(state)),
            #[cfg(feature = "narrow-state")]
            Ssm::F16(state) => part(cast_slice_mut(state)),
        }
        let used = position.min(self.cache.slots as u64) as usize;
        let (dim, heads) = (self.cache.head_dim, self.cache.kv_heads);
        for layer in 0..self.plan.attention_layers as usize {
            for head in 0..heads {
                let Some(head) = self.cache.head(layer, head) else { continue };
                for numbers in [head.keys, head.values] {
                    part(cast_slice_mut(numbers.get_mut(..used * dim).unwrap_or(&mut [])));
                }
                for scales in [head.key_scales, head.value_scales] {
                    part(cast_slice_mut(scales.get_mut(..used).unwrap_or(&mut [])));
                }
            }
        }
        part(cast_slice_mut(self.residual));
    }

    /// What the options say that a snapshot must agree with.
    fn options(&self) -> [(&'static str, u32); 3] {
        let o = self.plan.options;
        let width = match o.state {
            StateWidth::F32 => 4,
            #[cfg(feature = "narrow-state")]
            StateWidth::F16 => 2,
        };
        [("window", o.window), ("sinks", o.sinks), ("state width", width)]
    }

    /// Writes the state after `position` tokens and returns its length.
    pub(crate) fn save(&mut self, position: u64, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let needed = self.length(position);
        let found = out.len();
        let out = out.get_mut(..needed).ok_or(SnapshotError::TooSmall { needed, found })?;
        let [window, sinks, width] = self.options().map(|(_, value)| value);
        let mut rest = &mut *out;
        let mut put = |bytes: &[u8]| {
            // `needed` is the sum of all parts, so there is always room.
            if let Some((place, tail)) = core::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
                place.copy_from_slice(bytes);
                rest = tail;
            }
        };
        put(&MAGIC);
        for word in [VERSION, self.image, window, sinks, width, 0] {
            put(&word.to_le_bytes());
        }
        put(&position.to_le_bytes());
        put(&(needed as u64).to_le_bytes());
        self.visit(position, |part| put(part));
        if let Some((content, sum)) = out.split_last_chunk_mut::<CRC>() {
            *sum = crc::checksum(content).to_le_bytes();
        }
        Ok(needed)
    }

    /// Reads a state and returns its number of tokens. Nothing is changed unless everything is right.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<u64, SnapshotError> {
        let truncated = SnapshotError::TooSmall { needed: HEADER + CRC, found: bytes.len() };
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(truncated)?;
        if *magic != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let (words, rest) = rest.split_first_chunk::<24>().ok_or(truncated)?;
        let (longs, state) = rest.split_first_chunk::<16>().ok_or(truncated)?;
        let mut words = words.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or(0);
        let found = word();
        if found != VERSION {
            return Err(SnapshotError::Version { found });
        }
        let found = word();
        if found != self.image {
            return Err(SnapshotError::OtherImage { found, expected: self.image });
        }
        for (name, expected) in self.options().into_iter().chain([("reserved", 0)]) {
            let found = word();
            if found != expected {
                return Err(SnapshotError::OtherOption { name, found, expected });
            }
        }
        let mut longs = longs.as_chunks::<8>().0.iter().map(|long| u64::from_le_bytes(*long));
        let (position, said) = (longs.next().unwrap_or(0), longs.next().unwrap_or(0));
        let expected = self.length(position) as u64;
        for found in [said, bytes.len() as u64] {
            if found != expected {
                return Err(SnapshotError::Length { expected, found });
            }
        }
        let (content, stored) = bytes.split_last_chunk::<CRC>().ok_or(truncated)?;
        let (stored, computed) = (u32::from_le_bytes(*stored), crc::checksum(content));
        if stored != computed {
            return Err(SnapshotError::Crc { stored, computed });
        }
        let mut rest = state;
        self.visit(position, |part| {
            // The length was checked, so nothing is missing.
            if let Some((bytes, tail)) = rest.split_at_checked(part.len()) {
                part.copy_from_slice(bytes);
                rest = tail;
            }
        });
        self.cache.seek(position);
        Ok(position)
    }
}
