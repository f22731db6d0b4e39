//! The bounded attention cache: the first tokens (sinks) and a window of others, in int8.
//!
//! Jamba's attention has no positional encoding, so a token may lie in any slot: the most recent tokens lie in a ring, and
//! evicting means overwriting. All attention layers move on together, one slot a token.
//!
//! # Heavy hitters
//!
//! With [`Eviction::HeavyHitters`](super::Eviction::HeavyHitters) (H2O, Zhang et al. 2023) the ring has only the `recent` most
//! recent tokens, and the slots between sinks and ring belong to those that were attended to most:
//!
//! ```text
//! | sinks | window - recent: heavy hitters | recent: the ring |
//! ```
//!
//! A token that leaves the ring takes the place of the heavy hitter with the least attention, if it has more (one pass over the
//! window, as attention itself is). Layers and key-value heads choose for themselves. How much attention a token got is a u16
//! count, see `count_attention` in `kernels/portable.rs`. With every turn of the ring all counts are
//! halved: H2O's plain sums favour the oldest tokens, which had the most time to gather attention, until nothing new is kept.
//! `bounded-memory.md` has figures.

use super::workspace::copy_part;
use crate::kernels::Kernels;
#[cfg(feature = "heavy-hitters")]
use crate::planned::planned;

/// Keys and values of all attention layers: those of the session's sequence, then those of every other beam's, which has seen as
/// many tokens. Its layers are numbered through.
pub(crate) struct Cache<'w> {
    /// `(sequence, layer, kv_head, slot, head_dim)`.
    pub keys: &'w mut [i8],
    /// `(sequence, layer, kv_head, slot, head_dim)`.
    pub values: &'w mut [i8],
    /// `(sequence, layer, kv_head, slot)`.
    pub key_scales: &'w mut [f32],
    /// `(sequence, layer, kv_head, slot)`.
    pub value_scales: &'w mut [f32],
    /// `(sequence, layer, kv_head, slot)`: attention that the tokens got. Nothing where only the most recent ones are kept.
    pub counts: &'w mut [u16],
    /// Layers of a sequence.
    pub layers: usize,
    /// Slots of a head: sinks and window.
    pub slots: usize,
    /// Slots of the first tokens, which stay.
    pub sinks: usize,
    /// The first slot of the ring.
    pub ring: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Slots in use.
    pub filled: usize,
    /// The slot that the next token takes.
    pub next: usize,
}

/// One head of one layer.
pub(crate) struct Head<'a> {
    /// `(slot, head_dim)`.
    pub keys: &'a mut [i8],
    /// `(slot, head_dim)`.
    pub values: &'a mut [i8],
    /// `(slot)`.
    pub key_scales: &'a mut [f32],
    /// `(slot)`.
    pub value_scales: &'a mut [f32],
    /// `(slot)`, or nothing.
    pub counts: &'a mut [u16],
}

/// What a token attends to in one layer.
pub(crate) struct Attended<'a> {
    /// `(kv_head, slot, head_dim)`.
    keys: &'a [i8],
    /// `(kv_head, slot, head_dim)`.
    values: &'a [i8],
    /// `(kv_head, slot)`.
    key_scales: &'a [f32],
    /// `(kv_head, slot)`.
    value_scales: &'a [f32],
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Slots of a head.
    pub slots: usize,
    /// The first so many of them are attended to.
    pub used: usize,
    #[cfg_attr(not(feature = "heavy-hitters"), expect(dead_code))]
    sinks: usize,
}

/// What a token attends to in one key-value head.
pub(crate) struct AttendedHead<'a> {
    /// `(used, head_dim)`.
    pub keys: &'a [i8],
    /// `(used, head_dim)`.
    pub values: &'a [i8],
    /// `(used)`.
    pub key_scales: &'a [f32],
    /// `(used)`.
    pub value_scales: &'a [f32],
    pub head_dim: usize,
}

impl AttendedHead<'_> {
    /// Slots in use.
    pub(crate) const fn used(&self) -> usize {
        self.value_scales.len()
    }
}

impl Attended<'_> {
    /// Key-value head `head`, without the `newest` tokens.
    pub(crate) fn head(&self, head: usize, newest: usize) -> Option<AttendedHead<'_>> {
        let rows = head * self.slots..head * self.slots + self.used.saturating_sub(newest);
        let numbers = rows.start * self.head_dim..rows.end * self.head_dim;
        Some(AttendedHead {
            keys: self.keys.get(numbers.clone())?,
            values: self.values.get(numbers)?,
            key_scales: self.key_scales.get(rows.clone())?,
            value_scales: self.value_scales.get(rows)?,
            head_dim: self.head_dim,
        })
    }

    /// Adds the attention that a query head gave, `weights (used)` of sum `sum`, to the counts `(slots)` of the tokens behind
    /// the sinks, where tokens are counted.
    #[cfg(feature = "heavy-hitters")]
    pub(crate) fn count(&self, weights: &[f32], sum: f32, position: u64, counts: &mut [u16], k: Kernels<'_>) {
        let behind = self.sinks..self.used;
        if let (Some(counts), Some(weights)) = (counts.get_mut(behind.clone()), weights.get(behind)) {
            k.count_attention(weights, sum, position, counts);
        }
    }

    /// No tokens are counted.
    #[cfg(not(feature = "heavy-hitters"))]
    pub(crate) fn count(&self, _: &[f32], _: f32, _: u64, _: &mut [u16], _: Kernels<'_>) {}
}

/// A token's slot.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub index: usize,
    /// Slots that are in use once the token is stored.
    pub used: usize,
}

impl Cache<'_> {
    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        (self.filled, self.next) = (0, 0);
    }

    /// Gives what sequence `from` has cached to sequence `to` as well.
    pub(crate) fn copy(&mut self, from: usize, to: usize) {
        let heads = self.layers * self.kv_heads;
        let (slots, used, dim) = (self.slots, self.filled, self.head_dim);
        for head in 0..heads {
            let (from, to) = ((from * heads + head) * slots, (to * heads + head) * slots);
            for numbers in [&mut *self.keys, &mut *self.values] {
                copy_part(numbers, from * dim, to * dim, used * dim);
            }
            for scales in [&mut *self.key_scales, &mut *self.value_scales] {
                copy_part(scales, from, to, used);
            }
            if !self.counts.is_empty() {
                copy_part(self.counts, from, to, used);
            }
        }
    }

    /// How many tokens from the one `ahead` places after the next one can be stored before any attends, in the slots that follow:
    /// none where slots would be taken again or attention is counted, which goes token by token.
    pub(crate) fn fitting(&self, ahead: usize) -> usize {
        if self.counts.is_empty() { self.slots.saturating_sub(self.filled + ahead) } else { 0 }
    }

    /// The slot of the token `ahead` places after the next one.
    fn slot(&self, ahead: usize) -> Slot {
        let mut index = self.next + ahead;
        if index >= self.slots {
            // Past the end the ring begins anew.
            index = self.ring + (index - self.slots) % (self.slots - self.ring).max(1);
        }
        Slot { index, used: (self.filled + ahead + 1).min(self.slots) }
    }

    /// Quantizes key and value, both `(kv_heads, head_dim)`, of the token `ahead` places after the next one into its slot of
    /// attention layer `layer`. The token that was there is forgotten, or becomes a heavy hitter.
    pub(crate) fn push(&mut self, layer: usize, ahead: usize, keys: &[f32], values: &[f32], k: Kernels<'_>) {
        let slot = self.slot(ahead).index;
        #[cfg(feature = "heavy-hitters")]
        let (full, heavy) = (self.filled + ahead >= self.slots, self.sinks..self.ring);
        let dim = self.head_dim.max(1);
        for (head, (key, value)) in keys.chunks_exact(dim).zip(values.chunks_exact(dim)).enumerate() {
            let Some(mut head) = self.head(layer, head) else { continue };
            #[cfg(feature = "heavy-hitters")]
            {
                if slot == heavy.end {
                    head.age();
                }
                if full {
                    head.retire(slot, heavy.clone());
                }
            }
            head.store(slot, key, value, k);
        }
    }

    /// Moves all layers on by `tokens`.
    pub(crate) fn advance(&mut self, tokens: usize) {
        // A model without attention has no slots to move.
        let Some(last) = tokens.checked_sub(1).filter(|_| self.slots > 0) else { return };
        let Slot { index, used } = self.slot(last);
        self.filled = used;
        self.next = if index + 1 >= self.slots { self.ring } else { index + 1 };
    }

    /// As if `position` tokens had been stored from the beginning.
    pub(crate) fn seek(&mut self, position: u64) {
        let (slots, begin) = (self.slots as u64, self.ring as u64);
        // A plan's ring has a slot at least, but a model without attention has no slots.
        let ring = slots.saturating_sub(begin).max(1);
        self.filled = position.min(slots) as usize;
        self.next = match position.checked_sub(slots) {
            Some(beyond) if slots > 0 => (begin + beyond % ring) as usize,
            Some(_) => 0,
            None => position as usize,
        };
    }

    /// Head `head` of attention layer `layer`.
    pub(crate) fn head(&mut self, layer: usize, head: usize) -> Option<Head<'_>> {
        let index = layer * self.kv_heads + head;
        let rows = index * self.slots..(index + 1) * self.slots;
        let numbers = rows.start * self.head_dim..rows.end * self.head_dim;
        Some(Head {
            keys: self.keys.get_mut(numbers.clone())?,
            values: self.values.get_mut(numbers)?,
            key_scales: self.key_scales.get_mut(rows.clone())?,
            value_scales: self.value_scales.get_mut(rows.clone())?,
            counts: self.counts.get_mut(rows).unwrap_or(&mut []),
        })
    }

    /// What the token `ahead` places after the next one attends to in attention layer `layer`, once it is stored; and the
    /// layer's counts `(kv_head, slot)`, where there are any.
    pub(crate) fn attended(&mut self, layer: usize, ahead: usize) -> Option<(Attended<'_>, &mut [u16])> {
        let used = self.slot(ahead).used;
        let rows = layer * self.kv_heads * self.slots..(layer + 1) * self.kv_heads * self.slots;
        let numbers = rows.start * self.head_dim..rows.end * self.head_dim;
        let attended = Attended {
            keys: self.keys.get(numbers.clone())?,
            values: self.values.get(numbers)?,
            key_scales: self.key_scales.get(rows.clone())?,
            value_scales: self.value_scales.get(rows.clone())?,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            slots: self.slots,
            used,
            sinks: self.sinks,
        };
        Some((attended, self.counts.get_mut(rows).unwrap_or(&mut [])))
    }
}

impl Head<'_> {
    /// Quantizes one token's key and value into its slot.
    fn store(&mut self, slot: usize, key: &[f32], value: &[f32], k: Kernels<'_>) {
        let dim = key.len();
        if let Some(count) = self.counts.get_mut(slot) {
            *count = 0;
        }
        let numbers = slot * dim..(slot + 1) * dim;
        if let (Some(to), Some(scale)) = (self.keys.get_mut(numbers.clone()), self.key_scales.get_mut(slot)) {
            *scale = k.quantize_head(key, to);
        }
        if let (Some(to), Some(scale)) = (self.values.get_mut(numbers), self.value_scales.get_mut(slot)) {
            *scale = k.quantize_head(value, to);
        }
    }
}

#[cfg(feature = "heavy-hitters")]
impl Head<'_> {
    /// What attention was counted so far counts half from now on.
    fn age(&mut self) {
        self.counts.iter_mut().for_each(|count| *count /= 2);
    }

    /// The token in `slot` is about to be overwritten: it moves to the heavy hitters' slots `heavy`, if it got more attention
    /// than one of them.
    fn retire(&mut self, slot: usize, heavy: core::ops::Range<usize>) {
        // Nothing is counted where only recent tokens are kept.
        let Some(&count) = self.counts.get(slot) else { return };
        let (first, mut least) = (heavy.start, (0, u16::MAX));
        for (place, &other) in planned(self.counts.get(heavy)).iter().enumerate() {
            if other < least.1 {
                least = (first + place, other);
            }
        }
        if least.1 >= count {
            return;
        }
        let dim = self.keys.len() / self.counts.len().max(1);
        for numbers in [&mut *self.keys, &mut *self.values] {
            copy_part(numbers, slot * dim, least.0 * dim, dim);
        }
        for scales in [&mut *self.key_scales, &mut *self.value_scales] {
            copy_part(scales, slot, least.0, 1);
        }
        copy_part(self.counts, slot, least.0, 1);
    }
}
