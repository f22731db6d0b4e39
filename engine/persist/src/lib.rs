//! Saved states on NOR flash: whenever the power is cut, the old state or the new one is there afterwards.
//!
//! A state is nearly as large as a small board's memory, so it never lies in memory as a whole: it goes from the session to the
//! flash and back page by page, through a buffer of one page. (Stores of many small items, such as `sequential-storage`, hold
//! each item in memory, and move those that live when they erase.)
//!
//! # Format, version 1
//!
//! The region is cut into as many equal slots as it has room for, two at least, each a whole number of sectors. States go
//! around them, so that all sectors wear alike: each is erased once in as many saves as there are slots.
//!
//! | offset in the slot | type | field |
//! |---|---|---|
//! | 0 | 8 bytes | magic `93 4A 53 4C 4F 54 31 0A` (`\x93JSLOT1\n`) |
//! | 8 | u32 | sequence number: 1 for the first state, one more for each that follows |
//! | 12 | u32 | length of the state |
//! | 16 | u32 | CRC-32 (ISO-HDLC) of the 16 bytes before |
//! | 20..256 | | FF |
//! | 256.. | | the state as [`jamlet::state::snapshot`] has it; FF up to the end of its last page |
//!
//! All integers are little-endian. The page with the sequence number, the *record*, is written last.
//!
//! # Why a power cut leaves one of the two
//!
//! A slot counts if its record is right, and the one with the highest number is the current one. A save erases and writes
//! another slot, the one that has no right record, or else the lowest number. Until its record is complete, the current slot
//! is what it was, and its number is the highest: whatever a cut leaves in the other one, words half written, sectors half
//! erased, an old record that survived the erasing of its state, has no record or a lower number. Once the record is
//! complete, so is the state before it. No page is written twice between two erasures, which some flashes with error
//! correction don't permit.
//!
//! The checksum of the state is compared as well before it is used; an older one is used if it is wrong.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use jamlet::image::crc;
use jamlet::{Plan, RestoreError, Session};

/// First bytes of a record.
const MAGIC: [u8; 8] = *b"\x93JSLOT1\n";
/// Bytes that are written together; the record is one.
pub const PAGE: usize = 256;

/// Bytes of a slot for states of this plan, in flash that is erased in sectors of this size.
pub const fn slot_bytes(plan: &Plan, sector: usize) -> u32 {
    (PAGE + plan.snapshot_bytes()).next_multiple_of(sector) as u32
}

/// Why a state isn't kept, or not found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersistError<E> {
    /// The flash failed.
    Flash(E),
    /// The region has no room for two slots.
    TooSmall {
        /// Bytes that would be right.
        needed: u32,
        /// Bytes of the region.
        found: u32,
    },
    /// There is no state of this model and these options.
    Nothing,
}

impl<E> From<E> for PersistError<E> {
    fn from(error: E) -> Self {
        Self::Flash(error)
    }
}

/// A region of a flash that holds states of sessions with one plan.
#[derive(Debug)]
pub struct Persist<F> {
    flash: F,
    start: u32,
    /// Bytes of a slot.
    slot: u32,
    slots: u32,
}

/// A slot's record.
#[derive(Clone, Copy, Debug)]
struct Record {
    sequence: u32,
    length: u32,
}

impl<F: NorFlash> Persist<F> {
    /// Pages lie in sectors, are written whole, and are read from any byte on.
    const FITS: () =
        assert!(PAGE.is_multiple_of(F::WRITE_SIZE) && F::ERASE_SIZE.is_multiple_of(PAGE) && F::READ_SIZE == 1);

    /// States of sessions with this plan, in `region` of the flash, which begins and ends with a sector and which nothing else
    /// uses. What is there already is looked at only when it is asked for.
    ///
    /// # Errors
    /// [`PersistError::TooSmall`].
    pub fn new(flash: F, region: Range<u32>, plan: &Plan) -> Result<Self, PersistError<F::Error>> {
        let () = Self::FITS;
        let (slot, found) = (slot_bytes(plan, F::ERASE_SIZE), region.end.saturating_sub(region.start));
        let slots = found / slot;
        if slots < 2 {
            return Err(PersistError::TooSmall { needed: 2 * slot, found });
        }
        Ok(Self { flash, start: region.start, slot, slots })
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Saves what the session remembers now, and returns the length. Until that is complete, the state that was saved before
    /// stays.
    ///
    /// # Errors
    /// The flash's.
    pub fn save(&mut self, session: &mut Session<'_, '_>) -> Result<u32, PersistError<F::Error>> {
        let length = session.snapshot_length();
        let needed = (PAGE as u64).saturating_add(length);
        if needed > u64::from(self.slot) {
            // A session of another plan: the slots are too small for it.
            return Err(PersistError::TooSmall { needed: u32::try_from(needed).unwrap_or(u32::MAX), found: self.slot });
        }
        let (victim, last) = self.victim()?;
        let start = self.start + victim * self.slot;
        let end = start + (needed as u32).next_multiple_of(F::ERASE_SIZE as u32);
        self.flash.erase(start, end)?;
        let mut pages = Pages { flash: &mut self.flash, at: start + PAGE as u32, page: [0xFF; PAGE], filled: 0 };
        session.snapshot_to(|bytes| pages.put(bytes))?;
        pages.finish()?;
        let mut page = [0xFF; PAGE];
        if let Some((record, _)) = page.as_chunks_mut::<4>().0.split_first_chunk_mut::<5>() {
            *record = record_words(last.wrapping_add(1), length as u32).map(u32::to_le_bytes);
        }
        self.flash.write(start, &page)?;
        Ok(length as u32)
    }

    /// Has the session go on from the state that was saved last.
    ///
    /// # Errors
    /// [`PersistError::Nothing`] where there is none, and the session is as it was; the flash's.
    pub fn resume(&mut self, session: &mut Session<'_, '_>) -> Result<(), PersistError<F::Error>> {
        let mut below = u64::MAX;
        loop {
            let mut best = None;
            for index in 0..self.slots {
                let Some(record) = self.record(index)? else { continue };
                let sequence = u64::from(record.sequence);
                if sequence < below && best.is_none_or(|(_, other, _)| sequence > other) {
                    best = Some((index, sequence, record.length));
                }
            }
            let Some((index, sequence, length)) = best else { return Err(PersistError::Nothing) };
            let state = self.start + index * self.slot + PAGE as u32;
            let flash = &mut self.flash;
            match session.restore_from(length.into(), |offset, bytes| flash.read(state + offset as u32, bytes)) {
                Ok(()) => return Ok(()),
                Err(RestoreError::Read(error)) => return Err(PersistError::Flash(error)),
                Err(RestoreError::Snapshot(_)) => below = sequence,
            }
        }
    }

    /// The slot that is written next, and the highest number so far.
    fn victim(&mut self) -> Result<(u32, u32), F::Error> {
        let (mut victim, mut lowest, mut highest) = (0, u64::MAX, 0);
        for index in 0..self.slots {
            // A slot without a record comes before all.
            let sequence = self.record(index)?.map_or(0, |record| record.sequence);
            highest = highest.max(sequence);
            if u64::from(sequence) < lowest {
                (victim, lowest) = (index, sequence.into());
            }
        }
        Ok((victim, highest))
    }

    fn record(&mut self, index: u32) -> Result<Option<Record>, F::Error> {
        let mut words = [[0; 4]; 5];
        self.flash.read(self.start + index * self.slot, words.as_flattened_mut())?;
        let words = words.map(u32::from_le_bytes);
        let [_, _, sequence, length, _] = words;
        let right = words == record_words(sequence, length) && u64::from(length) + PAGE as u64 <= self.slot.into();
        Ok(right.then_some(Record { sequence, length }))
    }
}

/// The words of a record.
fn record_words(sequence: u32, length: u32) -> [u32; 5] {
    let [a, b, c, d, e, f, g, h] = MAGIC;
    let words = [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), sequence, length];
    let sum = crc::checksum(words.map(u32::to_le_bytes).as_flattened());
    let [a, b, c, d] = words;
    [a, b, c, d, sum]
}

/// Gathers bytes to pages.
struct Pages<'f, F> {
    flash: &'f mut F,
    /// Where the next page goes.
    at: u32,
    page: [u8; PAGE],
    filled: usize,
}

impl<F: NorFlash> Pages<'_, F> {
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), F::Error> {
        while !bytes.is_empty() {
            let room = self.page.get_mut(self.filled..).unwrap_or_default();
            let size = room.len().min(bytes.len());
            let (part, rest) = bytes.split_at(size);
            if let Some(place) = room.get_mut(..size) {
                place.copy_from_slice(part);
            }
            self.filled += size;
            bytes = rest;
            if self.filled == PAGE {
                self.finish()?;
            }
        }
        Ok(())
    }

    /// Writes the page, if there is anything in it.
    fn finish(&mut self) -> Result<(), F::Error> {
        if self.filled > 0 {
            self.flash.write(self.at, &self.page)?;
            self.at += PAGE as u32;
            self.page.fill(0xFF);
            self.filled = 0;
        }
        Ok(())
    }
}
