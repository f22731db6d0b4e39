//! Attention heads on several cores, each with room of its own.

use super::cores::{Cores, Shared};
use super::dispatch::Kernels;

/// What one core computes heads with.
pub(crate) struct Lane<'l> {
    /// On this core alone.
    pub kernels: Kernels<'static>,
    /// `(heads, head_dim)`: query heads.
    pub query: &'l mut [i16],
    /// `(heads, slots)`: their scores.
    pub scores: &'l mut [f32],
    /// Heads that there is room for, at most [`Lane::MOST_HEADS`].
    pub heads: usize,
    pub slots: usize,
}

impl Lane<'_> {
    /// The most heads that are computed together.
    pub(crate) const MOST_HEADS: usize = 2;
}

/// Room for [`Kernels::heads`].
pub(crate) struct HeadRoom<'l> {
    /// `(all heads, head_dim)`.
    pub query: &'l mut [i16],
    /// `(all heads, slots)`, and more.
    pub scores: &'l mut [f32],
    /// Heads that a lane has room for.
    pub heads: usize,
    pub head_dim: usize,
    pub slots: usize,
}

/// What [`Kernels::heads`] writes: a unit is a head, or heads that must stay on one core.
pub(crate) struct Units<'o> {
    /// `(units, width)`.
    pub out: &'o mut [f32],
    pub width: usize,
    /// `(units, slots)`, or nothing.
    pub counts: &'o mut [u16],
    /// Bytes that all units together read.
    pub bytes: usize,
}

impl Kernels<'_> {
    /// Query heads to compute together: two where the kernels read values once for both and every core still has work, else
    /// one. There are `heads` of them, of which `shared` share a key-value head, and `rows` rows of scores.
    pub(crate) fn heads_at_once(&self, heads: usize, shared: usize, rows: usize) -> usize {
        let cores = self.cores.count().min(rows).max(1);
        let pairs = self.reads_values_for_two() && shared.is_multiple_of(2) && rows.min(heads) / 2 >= cores;
        1 + usize::from(pairs)
    }

    /// Calls `one(unit, lane, out, counts)` for every unit with its part of the output and of the counts; on several cores
    /// where there are lanes for them and units read enough bytes.
    pub(crate) fn heads(
        &self,
        room: HeadRoom<'_>,
        units: Units<'_>,
        one: impl Fn(usize, &mut Lane<'_>, &mut [f32], &mut [u16]) + Sync,
    ) {
        let HeadRoom { query, scores, heads, head_dim, slots } = room;
        let Units { out, width, counts, bytes } = units;
        let (lane_query, lane_scores) = (heads * head_dim, heads * slots);
        let (units, lanes) = (out.len() / width.max(1), query.len() / lane_query.max(1));
        let kernels = Kernels { isa: self.isa, cores: Cores::ONE };
        let (query, scores) = (Shared::new(query), Shared::new(scores));
        let (out, counts) = (Shared::new(out), Shared::new(counts));
        let shares = self.cores.shares(lanes, units, bytes).get();
        self.cores.each(shares, &|share| {
            // SAFETY: a share has a lane of its own.
            let (query, scores) =
                unsafe { (query.part(share * lane_query, lane_query), scores.part(share * lane_scores, lane_scores)) };
            let mut lane = Lane { kernels, query, scores, heads, slots };
            // In turn, because later tokens of a chunk attend to more.
            let mut next = share;
            while next < units {
                let unit = next;
                next += shares;
                // SAFETY: no two shares have a unit in common.
                let (out, counts) = unsafe { (out.part(unit * width, width), counts.part(unit * slots, slots)) };
                one(unit, &mut lane, out, counts);
            }
        });
    }
}

#[cfg(all(test, feature = "cores"))]
mod tests {
    extern crate std;

    use super::*;
    use crate::kernels::Executor;
    use std::vec;
    use std::vec::Vec;

    /// Three cores, which are worth waking for every byte.
    struct Threads;

    impl Executor for Threads {
        fn cores(&self) -> usize {
            3
        }

        fn min_parallel_bytes(&self) -> usize {
            1
        }

        fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
            std::thread::scope(|scope| (0..shares).for_each(|share| drop(scope.spawn(move || task(share)))));
        }
    }

    #[test]
    fn every_unit_is_computed_once_in_a_lane_of_its_core() {
        const UNITS: usize = 5;
        const WIDTH: usize = 6;
        for cores in [1, 2, 3, 7] {
            let (mut query, mut scores) = (vec![0; cores * 3], vec![0.0; cores * 4 + 1]);
            let (mut out, mut counts) = (vec![0.0; UNITS * WIDTH], vec![0u16; UNITS * 4]);
            let room = HeadRoom { query: &mut query, scores: &mut scores, heads: 1, head_dim: 3, slots: 4 };
            let units = Units { out: &mut out, width: WIDTH, counts: &mut counts, bytes: 100 };
            let kernels = Kernels::portable().on_cores(&Threads);
            kernels.heads(room, units, |unit, lane, out, counts| {
                assert_eq!((lane.kernels.cores.count(), lane.query.len(), lane.scores.len()), (1, 3, 4));
                lane.query.fill(unit as i16);
                lane.scores.fill(unit as f32);
                std::thread::yield_now();
                out.iter_mut().for_each(|out| *out += f32::from(lane.query[2]) + lane.scores[3]);
                counts.iter_mut().for_each(|count| *count += 1);
            });
            let right: Vec<f32> = (0..UNITS * WIDTH).map(|i| 2.0 * (i / WIDTH) as f32).collect();
            assert_eq!((out, counts), (right, vec![1; UNITS * 4]), "{cores} lanes");
        }
    }
}
