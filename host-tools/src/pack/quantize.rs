//! f32 rows to the `Q8` tiles of an image, and how much that lost.

use half::f16;
use jamlet::matrix::{QMatrix, TILE_COLS, TILE_ROWS, encode, groups_mut, padded_cols, tile_bytes};
use rayon::prelude::*;

/// Energy of a tensor and of its quantization error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    /// Σ w².
    pub signal: f64,
    /// Σ (w − ŵ)².
    pub noise: f64,
}

impl Noise {
    /// Signal-to-noise ratio in dB; infinite where nothing was lost.
    pub fn snr_db(&self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }

    /// Both energies of two parts of a tensor.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise }
    }
}

/// Quantizes `rows`, whole rows of `cols` numbers that begin at a multiple of 8, to as many tiles as it takes.
pub fn tiles(rows: &[f32], cols: usize, group: usize) -> (Vec<u8>, Noise) {
    let size = tile_bytes(cols, group);
    let count = (rows.len() / cols).div_ceil(TILE_ROWS);
    let mut bytes = vec![0u8; count * size];
    let noise = bytes
        .par_chunks_exact_mut(size)
        .zip(rows.par_chunks(TILE_ROWS * cols))
        .map(|(tile, rows)| fill_tile(tile, rows, cols, group))
        .reduce(Noise::default, Noise::plus);
    (bytes, noise)
}

/// What becomes of `weights`, rows of `cols` numbers, in an image and back.
pub fn round_trip(weights: &[f32], cols: usize, group: usize) -> Vec<f32> {
    let (bytes, _) = tiles(weights, cols, group);
    let matrix = QMatrix::new(&bytes, weights.len() / cols, cols, group);
    let mut out = vec![0.0; weights.len()];
    for (row, out) in out.chunks_exact_mut(cols).enumerate() {
        matrix.dequantize_row(row, out);
    }
    out
}

/// Quantizes up to eight rows into a zeroed tile.
fn fill_tile(tile: &mut [u8], rows: &[f32], cols: usize, group: usize) -> Noise {
    let mut total = Noise::default();
    for group in groups_mut(tile, padded_cols(cols), group) {
        group.weights.as_flattened_mut().as_chunks_mut().0.fill(encode([0; TILE_COLS]));
    }
    for (lane, row) in rows.chunks_exact(cols).enumerate() {
        for (weights, to) in row.chunks(group).zip(groups_mut(tile, padded_cols(cols), group)) {
            let scale = scale(weights);
            to.scales[2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
            let scale = scale.to_f32();
            for (stored, weights) in to.weights.iter_mut().zip(weights.chunks(TILE_COLS)) {
                let mut quantized = [0; TILE_COLS];
                for (q, &w) in quantized.iter_mut().zip(weights) {
                    *q = if scale > 0.0 { step(w / scale) as i8 } else { 0 };
                    let error = f64::from(w) - f64::from(*q) * f64::from(scale);
                    total.signal += f64::from(w) * f64::from(w);
                    total.noise += error * error;
                }
                stored.as_chunks_mut().0[lane] = encode(quantized);
            }
        }
    }
    total
}

/// The group's scale as f16: of some near its largest weight over 127, the one that loses least. A little larger or
/// smaller (the largest weight is then clipped) often lets the other weights fall closer to whole steps.
fn scale(weights: &[f32]) -> f16 {
    let max = weights.iter().fold(0.0f32, |max, w| max.max(w.abs()));
    let noise = |scale: f16| {
        let scale = scale.to_f32();
        let inverse = 1.0 / scale;
        // Eight sums, so that it vectorises: packing spends its time here.
        let mut sums = [0f32; 8];
        for weights in weights.chunks(8) {
            for (sum, w) in sums.iter_mut().zip(weights) {
                let lost = w - step(w * inverse) * scale;
                *sum += lost * lost;
            }
        }
        sums.iter().sum::<f32>()
    };
    let mut best = f16::from_f32(max / 127.0);
    if best.to_f32() == 0.0 {
        return best;
    }
    let mut least = noise(best);
    for steps in CANDIDATES {
        let scale = f16::from_f32(max / steps);
        let lost = noise(scale);
        if lost < least {
            (best, least) = (scale, lost);
        }
    }
    best
}

/// Steps up to a group's largest weight, beside 127.
const CANDIDATES: [f32; 12] = [117.0, 119.0, 121.0, 123.0, 125.0, 126.0, 126.5, 127.5, 128.0, 129.0, 130.0, 132.0];

/// The whole number of steps nearest to `x`, as far as int8 goes.
fn step(x: f32) -> f32 {
    // Adding 1.5 · 2²³ leaves no room for a fraction; ties go to even. `round_ties_even` is a call on plain x86-64.
    const ROUND: f32 = 12_582_912.0;
    (x.clamp(-127.0, 127.0) + ROUND) - ROUND
}

/// The largest weight that a scale of 16 bits can express.
pub const MAX_WEIGHT: f32 = 65504.0 * 127.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_comes_back_within_half_a_step() {
        for (rows, cols, group) in [(8, 8, 8), (11, 40, 32), (3, 5, 64), (24, 160, 64), (9, 100, 32)] {
            let weights: Vec<f32> = (0..rows * cols).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 700.0).collect();
            let (bytes, noise) = tiles(&weights, cols, group);
            let matrix = QMatrix::new(&bytes, rows, cols, group);
            assert_eq!((matrix.rows(), bytes.len() % tile_bytes(cols, group)), (rows, 0));
            let mut row = vec![0.0; cols];
            for (index, right) in weights.chunks_exact(cols).enumerate() {
                matrix.dequantize_row(index, &mut row);
                for (w, right) in row.iter().zip(right) {
                    // Half a step of the coarsest scale that is tried, and as much for the largest weight when clipped.
                    assert!((w - right).abs() <= 0.73 / 117.0 * 0.51 + 0.73 * 5.0 / 132.0, "{w} {right}");
                }
            }
            assert!(noise.snr_db() > 40.0);
        }
    }

    #[test]
    fn no_scale_loses_more_than_the_plain_one() {
        let mut random = 1u64;
        for spread in [1.0f32, 0.013, 3.7e-5, 900.0] {
            let weights: [f32; 32] = std::array::from_fn(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((random >> 40) as f32 / 8_388_608.0 - 1.0) * spread
            });
            let max = weights.iter().fold(0f32, |max, w| max.max(w.abs()));
            let lost = |scale: f32| weights.iter().map(|w| (w - step(w / scale) * scale).powi(2)).sum::<f32>();
            let (plain, chosen) = (f16::from_f32(max / 127.0).to_f32(), scale(&weights).to_f32());
            assert!(lost(chosen) <= lost(plain) * 1.0001, "{chosen} instead of {plain}");
            assert!(chosen / plain > 127.0 / 133.0 && chosen / plain < 127.0 / 116.0);
        }
        // What is too small for a scale of 16 bits becomes zero.
        assert_eq!(scale(&[1e-9, -1e-10]).to_f32(), 0.0);
    }
}
