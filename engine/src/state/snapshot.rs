//! Saved states: what a session remembers, as bytes that are the same on every target.
//!
//! # Format, version 2
//!
//! All integers are unsigned and little-endian, all floats IEEE 754 little-endian.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 8 bytes | magic `93 4A 53 54 41 54 45 0A` (`\x93JSTATE\n`) |
//! | 8 | u32 | version, 2 |
//! | 12 | u32 | identity of the model that the state belongs to, see [`crate::Model::identity`] |
//! | 16 | u32 | attention window |
//! | 20 | u32 | attention sinks |
//! | 24 | u32 | bytes of a number of the SSM state: 4, 2 or 1 |
//! | 28 | u32 | the most recent tokens that are kept where heavy hitters are kept too, else zero |
//! | 32 | u64 | tokens that were fed, below 2^63 |
//! | 40 | u64 | length in bytes, checksum included |
//! | 48 | u32 | a token that was sampled and not fed yet, or `FFFFFFFF` |
//! | 52 | u32 | output flag: 1 if the last token's output is part of it, else 0 |
//! | 56 | | convolution inputs, f32, `(layer, d_conv − 1, E)` |
//! | .. | | SSM state, f32 or f16, `(layer, E / 8, N, 8)`; int8, `(layer, E / 8, 1 + N, 8)`, the first 8 being exponents |
//! | .. | | of every attention layer and key-value head: the slots in use of keys and values, int8 `(slot, head_dim)`, then of their scales, f32 `(slot)`; with heavy hitters also their counts, u16 `(slot)` |
//! | .. | | with the last token's output: the residual stream after it, f32, `(hidden)` |
//! | last 4 | u32 | CRC-32 (ISO-HDLC) of all bytes before it |
//!
//! Which slots are in use follows from the number of tokens. The chunk size is not part of it: it changes no result.
//!
//! # Without a buffer
//!
//! A state is as large as most of the memory of a small board, so it is written and read in pieces
//! ([`crate::Session::snapshot_to`], [`crate::Session::restore_from`]): none is larger than a head's keys or a state of the plan,
//! and nothing is copied in between. Reading takes two passes, so that nothing is changed before everything was checked.

use super::cache::Cache;
use super::plan::{Eviction, Plan, StateWidth};
use super::workspace::{MambaLayer, MambaState};
use crate::image::crc;
use crate::planned::planned;
use bytemuck::cast_slice_mut;
use core::convert::Infallible;

/// First eight bytes of every snapshot.
pub const MAGIC: [u8; 8] = *b"\x93JSTATE\n";
/// The version that this crate reads and writes.
pub const VERSION: u32 = 2;
/// Words of 4 bytes before the state.
const HEADER_WORDS: usize = 14;
/// Bytes before the state.
const HEADER: usize = 4 * HEADER_WORDS;
/// Where the number of tokens and the length are.
const POSITION: usize = 32;
const LENGTH: usize = 40;
/// Bytes of the checksum.
const CRC: usize = 4;
/// Bytes of a snapshot beside the state.
const AROUND: usize = HEADER + CRC;
/// "No token" in the header.
const NO_TOKEN: u32 = u32::MAX;
/// Bytes that are looked at together where a checksum is computed.
const PIECE: usize = 64;

impl Plan {
    /// Bytes that suffice for [`crate::Session::snapshot`], whatever was fed: those of the state, and 60.
    pub const fn snapshot_bytes(&self) -> usize {
        // Parts are padded here and not there.
        AROUND + self.state_bytes() as usize
    }

    /// Bytes that suffice for [`crate::Session::snapshot_with_logits`], whatever was fed.
    pub const fn snapshot_with_logits_bytes(&self) -> usize {
        self.snapshot_bytes() + 4 * self.hidden as usize
    }
}

/// Why a state can't be saved or restored. The session is then as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
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
    /// The state belongs to another model.
    OtherImage {
        /// Identity of its model.
        found: u32,
        /// Identity of this session's model.
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
    /// A field of the header has a value that can't be.
    Field {
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u64,
        /// The largest right value.
        max: u64,
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
                write!(f, "the snapshot belongs to model {found:08x}; this session runs {expected:08x}")
            }
            Self::OtherOption { name, found, expected } => {
                write!(f, "the snapshot was made with {name} {found}; this session has {expected}")
            }
            Self::Field { name, found, max } => {
                write!(f, "the snapshot's {name} is {found}; at most {max} would be right")
            }
            Self::Length { expected, found } => write!(f, "the snapshot has {found} bytes; {expected} would be right"),
            Self::Crc { stored, computed } => {
                write!(f, "checksum {computed:08x}, but the snapshot says {stored:08x}: it is damaged")
            }
        }
    }
}

impl core::error::Error for SnapshotError {}

/// Why a state can't be restored from somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RestoreError<E> {
    /// What was read is no state of this session, which is as it was.
    Snapshot(SnapshotError),
    /// It couldn't be read. If that was while it was checked, the session is as it was; else it is as after
    /// [`crate::Session::reset`].
    Read(E),
}

impl<E> From<SnapshotError> for RestoreError<E> {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl<E: core::fmt::Display> core::fmt::Display for RestoreError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Snapshot(error) => error.fmt(f),
            Self::Read(error) => write!(f, "the snapshot can't be read: {error}"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for RestoreError<E> {}

/// The number of tokens after which a snapshot was taken; `None` where there isn't one. Nothing else of it is checked.
pub(crate) fn position(bytes: &[u8]) -> Option<u64> {
    let low = bytes.strip_prefix(&MAGIC)?.get(POSITION - MAGIC.len()..)?;
    low.first_chunk().map(|long| u64::from_le_bytes(*long))
}

/// Options of the sessions that can restore a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeFor {
    /// Attention window.
    pub window: u32,
    /// Attention sinks.
    pub sinks: u32,
    /// Bytes of a number of the SSM state.
    pub state_width: u32,
}

/// What a snapshot was made for, for people: nothing else of it is checked.
pub fn made_for(bytes: &[u8]) -> Option<MadeFor> {
    let (words, _) = bytes.strip_prefix(&MAGIC)?.as_chunks::<4>();
    let [_, _, window, sinks, state_width] = words.first_chunk()?.map(u32::from_le_bytes);
    Some(MadeFor { window, sinks, state_width })
}

/// A snapshot at the beginning of `bytes`, without what follows it.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let length = bytes.get(LENGTH..).and_then(|rest| rest.first_chunk()).map_or(0, |long| u64::from_le_bytes(*long));
    usize::try_from(length).ok().and_then(|length| bytes.get(..length)).unwrap_or(bytes)
}

/// What is saved.
pub(crate) struct SnapshotView<'a, 'w> {
    pub plan: &'a Plan,
    /// Identity of the model.
    pub identity: u32,
    /// Size of the vocabulary.
    pub vocab: u32,
    pub mamba: &'a mut MambaState<'w>,
    pub cache: &'a mut Cache<'w>,
    /// The residual stream after the last token, `(hidden)`.
    pub residual: &'a mut [f32],
}

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Tokens that were fed.
    pub position: u64,
    /// A token that was sampled and not fed.
    pub sampled: Option<u32>,
    /// The last token's output is part of the state.
    pub output: bool,
}

impl SnapshotView<'_, '_> {
    /// Bytes of a snapshot.
    pub(crate) fn length(&mut self, progress: Progress) -> u64 {
        let mut length = AROUND as u64;
        let Ok(()) = self.visit(progress, |part| {
            length += part.len() as u64;
            Ok::<_, Infallible>(())
        });
        length
    }

    /// Gives all parts of the state to `part`, in the order of the format.
    fn visit<E>(&mut self, progress: Progress, mut part: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        let MambaLayer { conv, ssm, .. } = self.mamba.all_layers(0);
        part(cast_slice_mut(conv))?;
        part(ssm)?;
        let used = progress.position.min(self.cache.slots as u64) as usize;
        let (dim, heads) = (self.cache.head_dim, self.cache.kv_heads);
        for layer in 0..self.plan.attention_layers as usize {
            for head in 0..heads {
                let Some(head) = self.cache.head(layer, head) else { continue };
                for numbers in [head.keys, head.values] {
                    part(cast_slice_mut(planned(numbers.get_mut(..used * dim))))?;
                }
                for scales in [head.key_scales, head.value_scales] {
                    part(cast_slice_mut(planned(scales.get_mut(..used))))?;
                }
                part(cast_slice_mut(head.counts.get_mut(..used).unwrap_or(&mut [])))?;
            }
        }
        if progress.output { part(cast_slice_mut(self.residual)) } else { Ok(()) }
    }

    /// What the options say that a snapshot must agree with, in the order of the header.
    fn options(&self) -> [(&'static str, u32); 4] {
        let o = self.plan.options;
        let width = match o.state {
            StateWidth::F32 => 4,
            #[cfg(feature = "narrow-state")]
            StateWidth::F16 => 2,
            #[cfg(feature = "narrow-state")]
            StateWidth::I8 => 1,
        };
        let recent = match o.eviction {
            Eviction::Window => 0,
            #[cfg(feature = "heavy-hitters")]
            Eviction::HeavyHitters { recent } => recent,
        };
        [("window", o.window), ("sinks", o.sinks), ("state width", width), ("recent", recent)]
    }

    fn header(&self, progress: Progress, length: u64) -> [u32; HEADER_WORDS] {
        let [a, b, c, d, e, f, g, h] = MAGIC;
        let [window, sinks, width, recent] = self.options().map(|(_, value)| value);
        let Progress { position, sampled, output } = progress;
        [
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
            VERSION,
            self.identity,
            window,
            sinks,
            width,
            recent,
            position as u32,
            (position >> 32) as u32,
            length as u32,
            (length >> 32) as u32,
            sampled.unwrap_or(NO_TOKEN),
            output.into(),
        ]
    }

    /// Gives a snapshot to `put`, piece by piece, and returns its length.
    pub(crate) fn save<E>(
        &mut self,
        progress: Progress,
        mut put: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let length = self.length(progress);
        let header = self.header(progress, length).map(u32::to_le_bytes);
        let header = header.as_flattened();
        let mut sum = crc::digest();
        sum.update(header);
        put(header)?;
        self.visit(progress, |part| {
            sum.update(part);
            put(part)
        })?;
        put(&sum.finalize().to_le_bytes())?;
        Ok(length)
    }

    /// Reads a snapshot of `length` bytes through `read(offset, bytes)` and checks everything that can be wrong with it.
    pub(crate) fn check<E>(
        &mut self,
        length: u64,
        read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Progress, RestoreError<E>> {
        if length < AROUND as u64 {
            let found = length as usize;
            return Err(SnapshotError::TooSmall { needed: AROUND, found }.into());
        }
        let mut header = [[0; 4]; HEADER_WORDS];
        read(0, header.as_flattened_mut()).map_err(RestoreError::Read)?;
        let (progress, said) = self.read_header(header.map(u32::from_le_bytes))?;
        let expected = self.length(progress);
        for found in [said, length] {
            if found != expected {
                return Err(SnapshotError::Length { expected, found }.into());
            }
        }
        let (mut sum, mut offset, end) = (crc::digest(), 0, length - CRC as u64);
        let mut piece = [0; PIECE];
        while offset < end {
            let size = (end - offset).min(PIECE as u64) as usize;
            let piece = planned(piece.get_mut(..size));
            read(offset, piece).map_err(RestoreError::Read)?;
            sum.update(piece);
            offset += size as u64;
        }
        let mut stored = [0; CRC];
        read(end, &mut stored).map_err(RestoreError::Read)?;
        let (stored, computed) = (u32::from_le_bytes(stored), sum.finalize());
        if stored != computed {
            return Err(SnapshotError::Crc { stored, computed }.into());
        }
        Ok(progress)
    }

    /// Takes the state from a snapshot that was checked.
    pub(crate) fn load<E>(
        &mut self,
        progress: Progress,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut offset = HEADER as u64;
        self.visit(progress, |part| {
            let at = offset;
            offset += part.len() as u64;
            read(at, part)
        })?;
        self.cache.seek(progress.position);
        Ok(())
    }

    /// Where the run stood, and the snapshot's length.
    fn read_header(&self, header: [u32; HEADER_WORDS]) -> Result<(Progress, u64), SnapshotError> {
        let [magic @ .., version, identity, a, b, c, d, low, high, length, length_high, sampled, output] = header;
        let right = MAGIC.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        if !magic.into_iter().eq(right) {
            return Err(SnapshotError::NotASnapshot);
        }
        if version != VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        if identity != self.identity {
            return Err(SnapshotError::OtherImage { found: identity, expected: self.identity });
        }
        for ((name, expected), found) in self.options().into_iter().zip([a, b, c, d]) {
            if found != expected {
                return Err(SnapshotError::OtherOption { name, found, expected });
            }
        }
        let long = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let position = long(low, high);
        let sampled = Some(sampled).filter(|&id| id != NO_TOKEN);
        for (name, found, max) in [
            ("number of tokens", position, i64::MAX as u64),
            ("sampled token", sampled.unwrap_or(0).into(), u64::from(self.vocab.saturating_sub(1))),
            ("output flag", output.into(), 1),
        ] {
            if found > max {
                return Err(SnapshotError::Field { name, found, max });
            }
        }
        Ok((Progress { position, sampled, output: output == 1 }, long(length, length_high)))
    }
}
