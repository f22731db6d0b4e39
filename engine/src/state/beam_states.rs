//! States of summaries that are written side by side, beside the one that the session computes in.

use super::cache::{Cache, Head};
use super::plan::Plan;
use super::workspace::{Arena, MambaState};
use crate::planned::planned;
use bytemuck::{cast_slice_mut, try_cast_slice_mut};

/// As many states as [`Options::beams`](crate::Options::beams) asks for, less one.
pub(crate) struct BeamStates<'w> {
    /// `(place, ...)`.
    mamba: MambaState<'w>,
    /// Its layers are `(place, attention layer)`.
    cache: Cache<'w>,
    attention_layers: usize,
}

impl<'w> BeamStates<'w> {
    pub(crate) fn carve(arena: &mut Arena<'w>, plan: &Plan, kv_heads: usize, head_dim: usize) -> Self {
        // The same sizes, for more layers.
        let places = u64::from(plan.options.beams).saturating_sub(1);
        let (mamba_layers, attention_layers) = (plan.mamba_layers * places, plan.attention_layers * places);
        let all = Plan { mamba_layers, attention_layers, ..*plan };
        Self {
            mamba: MambaState::carve(arena, &all),
            cache: Cache::carve(arena, &all, kv_heads, head_dim),
            attention_layers: plan.attention_layers as usize,
        }
    }

    /// Copies a state to a place. Of the cache as many slots as `position` tokens fill.
    pub(crate) fn copy(&mut self, place: usize, position: u64, mamba: &mut MambaState<'_>, cache: &mut Cache<'_>) {
        self.each(place, position, mamba, cache, |state, spare| {
            // Of the same plan, so of the same length.
            if state.len() == spare.len() {
                spare.copy_from_slice(state);
            }
        });
    }

    /// Copies the state of a place back.
    pub(crate) fn copy_back(&mut self, place: usize, position: u64, mamba: &mut MambaState<'_>, cache: &mut Cache<'_>) {
        self.each(place, position, mamba, cache, |state, spare| {
            if state.len() == spare.len() {
                state.copy_from_slice(spare);
            }
        });
    }

    /// Exchanges a state with that of a place, likewise.
    pub(crate) fn exchange(&mut self, place: usize, position: u64, mamba: &mut MambaState<'_>, cache: &mut Cache<'_>) {
        self.each(place, position, mamba, cache, |state, spare| {
            // Word by word, unless a head has an odd number of bytes: bytes take four times as long.
            match (try_cast_slice_mut::<u8, u32>(state), try_cast_slice_mut::<u8, u32>(spare)) {
                (Ok(state), Ok(spare)) => swap(state, spare),
                _ => swap(state, spare),
            }
        });
    }

    /// Gives all pieces of a state to `both`, each with what lies at `place`.
    fn each(
        &mut self,
        place: usize,
        position: u64,
        mamba: &mut MambaState<'_>,
        cache: &mut Cache<'_>,
        mut both: impl FnMut(&mut [u8], &mut [u8]),
    ) {
        let conv = of_place(self.mamba.conv, place, mamba.conv.len());
        both(cast_slice_mut(mamba.conv), cast_slice_mut(conv));
        let ssm = of_place(self.mamba.ssm, place, mamba.ssm.len());
        both(mamba.ssm, ssm);
        let used = position.min(cache.slots as u64) as usize;
        let dim = cache.head_dim;
        for layer in 0..self.attention_layers {
            for head in 0..cache.kv_heads {
                let other = self.cache.head(place * self.attention_layers + layer, head);
                let (Some(one), Some(other)) = (cache.head(layer, head), other) else { continue };
                for (one, other) in pieces(one, used, dim).into_iter().zip(pieces(other, used, dim)) {
                    both(one, other);
                }
            }
        }
    }
}

fn swap<T>(one: &mut [T], other: &mut [T]) {
    for (one, other) in one.iter_mut().zip(other) {
        core::mem::swap(one, other);
    }
}

/// The first `used` slots of a head, as bytes.
fn pieces(head: Head<'_>, used: usize, dim: usize) -> [&mut [u8]; 5] {
    fn prefix_bytes<T: bytemuck::Pod>(slice: &mut [T], count: usize) -> &mut [u8] {
        cast_slice_mut(planned(slice.get_mut(..count)))
    }
    let head_counts = head.counts.len();
    [
        prefix_bytes(head.keys, used * dim),
        prefix_bytes(head.values, used * dim),
        prefix_bytes(head.key_scales, used),
        prefix_bytes(head.value_scales, used),
        // Where tokens aren't counted there are none.
        prefix_bytes(head.counts, used.min(head_counts)),
    ]
}

/// The `place`th part of states that have `length` elements each.
fn of_place<T>(states: &mut [T], place: usize, length: usize) -> &mut [T] {
    planned(states.get_mut(place * length..(place + 1) * length))
}
