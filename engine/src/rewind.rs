//! Rewind points: saved states of a run, to go back to.
//!
//! An attention cache can forget its last tokens; the state of a Mamba layer can't. So a prompt that was changed in the middle
//! has to be read from the beginning again, unless the state somewhere before the change was kept:
//!
//! ```
//! # use jamlet::{RewindPoints, Session, SessionError};
//! /// Reads `tokens` in place of `before`, which was read already: only from about where the two differ.
//! fn reread(
//!     session: &mut Session<'_, '_>,
//!     points: &mut RewindPoints<'_>,
//!     before: &[u32],
//!     tokens: &[u32],
//! ) -> Result<(), SessionError> {
//!     let common = before.iter().zip(tokens).take_while(|(a, b)| a == b).count();
//!     let mut read = points.rewind(session, common as u64) as usize;
//!     for piece in tokens[read..].chunks(64) {
//!         session.feed(piece)?;
//!         read += piece.len();
//!         points.keep(session);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! There is a fixed number of slots, in memory of the caller. When all are taken, the one goes whose loss costs least: those
//! that stay lie the closer together the nearer they are to the present, about in a geometric series. So going back by `d`
//! tokens means reading a number of tokens again that is proportional to `d`, however long the text is: with 8 slots and a
//! rewind point every 64 tokens, it is at most 64 + 4·d up to a text of 20,000 tokens (`tests/tests/rewind_points.rs`).

use crate::session::Session;
use crate::state::{Plan, snapshot};

/// Slots for states of one run, see the [module](self).
#[derive(Debug)]
pub struct RewindPoints<'b> {
    /// Slot after slot: a snapshot, or nothing where the first byte is zero.
    memory: &'b mut [u8],
    /// Bytes of a slot.
    slot: usize,
}

impl<'b> RewindPoints<'b> {
    /// Bytes of memory for `count` points of sessions with this plan.
    pub const fn bytes(plan: &Plan, count: usize) -> usize {
        plan.snapshot_bytes() * count
    }

    /// As many empty slots as fit `memory`; none is no error, but then every rewind begins anew.
    pub fn new(plan: &Plan, memory: &'b mut [u8]) -> Self {
        let mut points = Self { memory, slot: plan.snapshot_bytes() };
        points.clear();
        points
    }

    /// Numbers of tokens after which there is a rewind point, in no order.
    pub fn positions(&self) -> impl Iterator<Item = u64> + '_ {
        self.snapshots().flatten()
    }

    /// Forgets all. To be called where the session reads something else without [`RewindPoints::rewind`], as after
    /// [`Session::reset`].
    pub fn clear(&mut self) {
        self.slots().for_each(empty);
    }

    /// Keeps the state as it is now. A token that was sampled and not fed is no part of it.
    pub fn keep(&mut self, session: &mut Session<'_, '_>) {
        let position = session.position();
        self.forget_after(position);
        let victim = self.victim(position);
        let Some(slot) = self.slots().nth(victim) else { return };
        empty(slot);
        // A slot has room for any state of its plan. Another plan's sessions are the caller's mistake, and have no points.
        let _ = session.save_for_rewind(slot);
    }

    /// Takes the session back to the last rewind point at or before `position`, or to the beginning, and returns where it is
    /// then: the caller feeds the tokens from there on. Points after `position` are forgotten.
    pub fn rewind(&mut self, session: &mut Session<'_, '_>, position: u64) -> u64 {
        self.forget_after(position);
        session.forget_sampled();
        if session.position() <= position {
            return session.position();
        }
        loop {
            let latest = self.slots().max_by_key(|slot| snapshot::position(slot));
            let Some(slot) = latest.filter(|slot| snapshot::position(slot).is_some()) else { break };
            if session.restore(snapshot::trim(slot)).is_ok() {
                return session.position();
            }
            empty(slot);
        }
        session.reset();
        0
    }

    fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.chunks_exact_mut(self.slot.max(1))
    }

    /// The position of every slot's snapshot.
    fn snapshots(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.memory.chunks_exact(self.slot.max(1)).map(snapshot::position)
    }

    fn forget_after(&mut self, position: u64) {
        self.slots().filter(|slot| snapshot::position(slot).is_some_and(|p| p > position)).for_each(empty);
    }

    /// The slot that a rewind point at `now` takes: that of the same position, or an empty one, or the one that is missed least.
    /// A rewind point bridges the gap between the one before it and the one after it; the wider that is for its distance from
    /// the present, the more it is worth.
    fn victim(&self, now: u64) -> usize {
        if let Some(index) = self.snapshots().position(|position| position == Some(now)) {
            return index;
        }
        let mut best = (0, 1, 0);
        for (index, position) in self.snapshots().enumerate() {
            let Some(position) = position else { return index };
            let before = self.positions().filter(|&p| p < position).max().unwrap_or(0);
            let after = self.positions().filter(|&p| p > position).min().unwrap_or(now);
            let (gap, distance) = (after - before, now - position);
            if index == 0 || u128::from(gap) * u128::from(best.1) < u128::from(best.0) * u128::from(distance) {
                best = (gap, distance, index);
            }
        }
        best.2
    }
}

/// Marks a slot as empty.
fn empty(slot: &mut [u8]) {
    if let Some(first) = slot.first_mut() {
        *first = 0;
    }
}
