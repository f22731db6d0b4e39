//! The bounded attention cache: the first tokens (sinks) and a window of the most recent ones, in int8.
//!
//! Jamba's attention has no positional encoding, so a token may lie in any slot: the window is a ring, and evicting
//! means overwriting. All attention layers move on together, one slot a token.

/// Keys and values of all attention layers.
pub(crate) struct Cache<'w> {
    /// `(layer, kv_head, slot, head_dim)`.
    pub keys: &'w mut [i8],
    /// `(layer, kv_head, slot, head_dim)`.
    pub values: &'w mut [i8],
    /// `(layer, kv_head, slot)`.
    pub key_scales: &'w mut [f32],
    /// `(layer, kv_head, slot)`.
    pub value_scales: &'w mut [f32],
    /// Slots of a head: sinks and window.
    pub slots: usize,
    pub sinks: usize,
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
}

impl Cache<'_> {
    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        (self.filled, self.next) = (0, 0);
    }

    /// The slot of the token `ahead` places after the next one, and how many slots are in use once it is stored.
    pub(crate) fn slot(&self, ahead: usize) -> (usize, usize) {
        let mut slot = self.next + ahead;
        if slot >= self.slots {
            // Past the end the ring goes on behind the sinks.
            slot = self.sinks + (slot - self.slots) % (self.slots - self.sinks).max(1);
        }
        (slot, (self.filled + ahead + 1).min(self.slots))
    }

    /// Moves all layers on by `tokens`.
    pub(crate) fn advance(&mut self, tokens: usize) {
        // A model without attention has no slots to move.
        let Some(last) = tokens.checked_sub(1).filter(|_| self.slots > 0) else { return };
        let (slot, filled) = self.slot(last);
        self.filled = filled;
        self.next = if slot + 1 >= self.slots { self.sinks } else { slot + 1 };
    }

    /// As if `position` tokens had been stored from the beginning.
    pub(crate) fn seek(&mut self, position: u64) {
        let (slots, sinks) = (self.slots as u64, self.sinks as u64);
        // A plan has more slots than sinks, but a model without attention has no slots.
        let ring = slots.saturating_sub(sinks).max(1);
        self.filled = position.min(slots) as usize;
        self.next = match position.checked_sub(slots) {
            Some(beyond) if slots > 0 => (sinks + beyond % ring) as usize,
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
            value_scales: self.value_scales.get_mut(rows)?,
        })
    }
}
