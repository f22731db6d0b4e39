//! The caller's memory and how it is divided.

use super::cache::Cache;
use super::plan::{ALIGN, Plan, QuantSizes, StateWidth};
use crate::planned::{planned, there};
use bytemuck::{Pod, try_cast_slice, try_cast_slice_mut};

/// Memory for a session, in a `static` or anywhere else. `N` is [`Plan::bytes`].
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Workspace<const N: usize>([u8; N]);

impl<const N: usize> Workspace<N> {
    /// Zeroed, so that a `static` lies in `.bss`.
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// The bytes to give to [`crate::Session::new`].
    pub const fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Workspace<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes on a multiple of 64, for images in flash. See [`crate::include_image`].
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// Embeds an image file, aligned as [`crate::Model::parse`] needs it, as a `&'static [u8]`.
#[macro_export]
macro_rules! include_image {
    ($path:expr) => {{
        const BYTES: &[u8] = include_bytes!($path);
        static IMAGE: $crate::Aligned<[u8; BYTES.len()]> = $crate::Aligned(*include_bytes!($path));
        &IMAGE.0 as &'static [u8]
    }};
}

/// Cuts aligned slices from the front of a buffer.
pub(crate) struct Arena<'w> {
    rest: &'w mut [u8],
}

impl<'w> Arena<'w> {
    /// `None` when the buffer is too small or not aligned.
    pub(crate) fn new(buffer: &'w mut [u8], needed: usize) -> Option<Self> {
        let aligned = buffer.as_ptr().addr().is_multiple_of(ALIGN as usize);
        if aligned { buffer.get_mut(..needed).map(|rest| Self { rest }) } else { None }
    }

    /// The next `count` elements, zeroed.
    fn cut<T: Pod>(&mut self, count: u64) -> &'w mut [T] {
        let length = count as usize * size_of::<T>();
        let padded = length.next_multiple_of(ALIGN as usize);
        let (head, tail) = planned(core::mem::take(&mut self.rest).split_at_mut_checked(padded));
        self.rest = tail;
        head.fill(0);
        planned(head.get_mut(..length).and_then(|bytes| try_cast_slice_mut(bytes).ok()))
    }
}

/// Room for quantized rows.
pub(crate) struct QuantBuffer<'w> {
    pub values: &'w mut [i8],
    pub scales: &'w mut [f32],
}

impl<'w> QuantBuffer<'w> {
    fn carve(arena: &mut Arena<'w>, sizes: QuantSizes) -> Self {
        Self { values: arena.cut(sizes.values), scales: arena.cut(sizes.scales) }
    }
}

/// What one chunk is computed in; contents don't outlive a call.
pub(crate) struct Buffers<'w> {
    pub residual: &'w mut [f32],
    pub quant_in: QuantBuffer<'w>,
    pub quant_mid: QuantBuffer<'w>,
    pub quant_routed: QuantBuffer<'w>,
    /// The first one also for logits, the last one for normalised rows.
    pub wide: [&'w mut [f32]; 3],
    pub narrow: &'w mut [f32],
    pub scores: &'w mut [f32],
    pub query: &'w mut [i16],
    pub routed: &'w mut [u16],
    pub routes: &'w mut [f32],
}

impl<'w> Buffers<'w> {
    pub(crate) fn carve(arena: &mut Arena<'w>, plan: &Plan) -> Self {
        Self {
            residual: arena.cut(plan.residual),
            quant_in: QuantBuffer::carve(arena, plan.quant_in),
            quant_mid: QuantBuffer::carve(arena, plan.quant_mid),
            quant_routed: QuantBuffer::carve(arena, plan.quant_routed),
            wide: plan.wide.map(|count| arena.cut(count)),
            narrow: arena.cut(plan.narrow),
            scores: arena.cut(plan.scores),
            query: arena.cut(plan.query),
            routed: arena.cut(plan.routed),
            routes: arena.cut(plan.routes),
        }
    }
}

/// The states of all Mamba layers: those of the session's sequence, then those of every other beam's.
pub(crate) struct MambaState<'w> {
    /// `(sequence, layer, d_conv − 1, E)`; in Mamba-2 so many of x, then so many of B and C.
    conv: &'w mut [f32],
    /// `(sequence, layer, E / 8, N, 8)` numbers of [`Options::state`](crate::Options::state), as bytes.
    ssm: &'w mut [u8],
    /// Layers of a sequence.
    layers: usize,
    sequences: usize,
    width: StateWidth,
}

/// The state of one Mamba layer, or of all layers one after another.
pub(crate) struct MambaLayer<'a> {
    /// `(d_conv − 1, E)`; in Mamba-2 of x, then of B and C.
    pub conv: &'a mut [f32],
    /// `(E / 8, N, 8)` numbers of `width`; of int8, `(E / 8, 1 + N, 8)`.
    pub ssm: &'a mut [u8],
    pub width: StateWidth,
}

impl<'w> MambaState<'w> {
    /// The state of layer `layer` of a sequence.
    pub(crate) fn layer(&mut self, sequence: usize, layer: usize) -> MambaLayer<'_> {
        let layers = self.layers;
        self.part(sequence * layers + layer, self.sequences * layers)
    }

    /// The states of all layers of a sequence.
    pub(crate) fn all_layers(&mut self, sequence: usize) -> MambaLayer<'_> {
        self.part(sequence, self.sequences)
    }

    /// Part `index` of `parts` equal ones.
    fn part(&mut self, index: usize, parts: usize) -> MambaLayer<'_> {
        fn part<T>(state: &mut [T], index: usize, parts: usize) -> &mut [T] {
            let size = state.len() / parts.max(1);
            planned(state.get_mut(index * size..(index + 1) * size))
        }
        MambaLayer { conv: part(self.conv, index, parts), ssm: part(self.ssm, index, parts), width: self.width }
    }

    pub(crate) fn carve(arena: &mut Arena<'w>, plan: &Plan) -> Self {
        let sequences = u64::from(plan.options.beams);
        let layers = sequences * plan.mamba_layers;
        Self {
            ssm: arena.cut(layers * plan.ssm),
            conv: arena.cut(layers * plan.conv),
            layers: plan.mamba_layers as usize,
            sequences: sequences as usize,
            width: plan.options.state,
        }
    }

    /// Forgets what the session's sequence was.
    pub(crate) fn reset(&mut self) {
        let MambaLayer { conv, ssm, .. } = self.all_layers(0);
        conv.fill(0.0);
        // All zeros is zero in every width.
        ssm.fill(0);
    }

    /// Gives the state of sequence `from` to sequence `to` as well.
    pub(crate) fn copy(&mut self, from: usize, to: usize) {
        let (conv, ssm) = (self.conv.len() / self.sequences.max(1), self.ssm.len() / self.sequences.max(1));
        copy_part(self.conv, from * conv, to * conv, conv);
        copy_part(self.ssm, from * ssm, to * ssm, ssm);
    }
}

/// Copies `count` elements to a place that they don't reach into.
pub(super) fn copy_part<T: Pod>(all: &mut [T], from: usize, to: usize, count: usize) {
    let [from, to, count] = [from, to, count].map(|elements| elements * size_of::<T>());
    copy_bytes(planned(try_cast_slice_mut(all).ok()), from, to, count);
}

/// The same of bytes. Not inlined: there is one of it in flash.
#[inline(never)]
fn copy_bytes(all: &mut [u8], from: usize, to: usize, count: usize) {
    let parts = all.get_disjoint_mut([from..from + count, to..to + count]).ok();
    let Some([from, to]) = there(parts) else { return };
    // Eight words at a time, unless a head has an odd number of bytes: bytes take many times as long.
    match (try_cast_slice::<u8, u32>(from), try_cast_slice_mut::<u8, u32>(to)) {
        (Ok(from), Ok(to)) => {
            let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
        }
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
    }
}

impl<'w> Cache<'w> {
    pub(crate) fn carve(arena: &mut Arena<'w>, plan: &Plan, kv_heads: usize, head_dim: usize) -> Self {
        let layers = plan.attention_layers * u64::from(plan.options.beams);
        let (cache, scales) = (layers * plan.cache, layers * plan.cache_scales);
        Self {
            keys: arena.cut(cache),
            values: arena.cut(cache),
            key_scales: arena.cut(scales),
            value_scales: arena.cut(scales),
            counts: arena.cut(layers * plan.cache_counts),
            layers: plan.attention_layers as usize,
            slots: plan.slots as usize,
            sinks: plan.options.sinks as usize,
            ring: plan.slots.saturating_sub(plan.options.eviction.recent(plan.options.window) as u64) as usize,
            kv_heads,
            head_dim,
            filled: 0,
            next: 0,
        }
    }
}
