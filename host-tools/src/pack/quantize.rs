//! f32 rows to the `Q8` and `Q4` tiles of an image, and how much that lost.

use half::f16;
use jamlet::matrix::{
    Bits, NIBBLE_COLS, QMatrix, TILE_COLS, TILE_ROWS, encode, encode_nibbles, groups_mut, padded_cols,
};
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

/// How a matrix is quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Bits of a weight.
    pub bits: Bits,
    /// Columns that share a scale.
    pub group: usize,
    /// How a scale is chosen.
    pub fit: Fit,
}

/// How a group's scale is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// So that the largest weight is the last step: for comparison.
    Largest,
    /// So that least is lost.
    Search,
}

/// Quantizes `rows`, whole rows of `cols` numbers that begin at a multiple of 8, to as many tiles as it takes.
pub fn tiles(rows: &[f32], cols: usize, format: Format) -> (Vec<u8>, Noise) {
    let size = format.bits.tile_bytes(cols, format.group);
    let count = (rows.len() / cols).div_ceil(TILE_ROWS);
    let mut bytes = vec![0u8; count * size];
    let noise = bytes
        .par_chunks_exact_mut(size)
        .zip(rows.par_chunks(TILE_ROWS * cols))
        .map(|(tile, rows)| fill_tile(tile, rows, cols, format))
        .reduce(Noise::default, Noise::plus);
    (bytes, noise)
}

/// What becomes of `weights`, rows of `cols` numbers, in an image and back.
pub fn round_trip(weights: &[f32], cols: usize, format: Format) -> Vec<f32> {
    let (bytes, _) = tiles(weights, cols, format);
    let matrix = QMatrix::new(&bytes, format.bits, weights.len() / cols, cols, format.group);
    let mut out = vec![0.0; weights.len()];
    for (row, out) in out.chunks_exact_mut(cols).enumerate() {
        matrix.dequantize_row(row, out);
    }
    out
}

/// Quantizes up to eight rows into a zeroed tile.
fn fill_tile(tile: &mut [u8], rows: &[f32], cols: usize, format: Format) -> Noise {
    let Format { bits, group, fit } = format;
    let padded = padded_cols(cols);
    let mut total = Noise::default();
    let zero = match bits {
        Bits::Eight => encode([0; TILE_COLS]),
        Bits::Four => encode_nibbles([0; NIBBLE_COLS]),
    };
    for group in groups_mut(tile, bits, padded, group) {
        group.weights.as_flattened_mut().as_chunks_mut().0.fill(zero);
    }
    for (lane, row) in rows.chunks_exact(cols).enumerate() {
        for (weights, to) in row.chunks(group).zip(groups_mut(tile, bits, padded, group)) {
            let scale = match (bits, fit) {
                (Bits::Eight, Fit::Largest) => f16::from_f32(largest(weights).abs() / 127.0),
                (Bits::Eight, Fit::Search) => scale(weights),
                (Bits::Four, Fit::Largest) => f16::from_f32(largest(weights) / -8.0),
                (Bits::Four, Fit::Search) => nibble_scale(weights),
            };
            to.scales[2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
            let scale = scale.to_f32();
            for (stored, weights) in to.weights.iter_mut().zip(weights.chunks(bits.block_cols())) {
                stored.as_chunks_mut().0[lane] = match bits {
                    Bits::Eight => encode(quantize(weights, scale, step, &mut total)),
                    Bits::Four => encode_nibbles(quantize(weights, scale, nibble, &mut total)),
                };
            }
        }
    }
    total
}

/// Up to `N` weights in whole steps, zeros behind them.
fn quantize<const N: usize>(weights: &[f32], scale: f32, step: impl Fn(f32) -> f32, total: &mut Noise) -> [i8; N] {
    let mut quantized = [0; N];
    for (q, &w) in quantized.iter_mut().zip(weights) {
        *q = if scale != 0.0 { step(w / scale) as i8 } else { 0 };
        let error = f64::from(w) - f64::from(*q) * f64::from(scale);
        total.signal += f64::from(w) * f64::from(w);
        total.noise += error * error;
    }
    quantized
}

/// The weight of the largest magnitude.
fn largest(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |max: f32, &w| if w.abs() > max.abs() { w } else { max })
}

/// The scale of a group of int8 as f16: of some near its largest weight over 127, the one that loses least. A little larger or
/// smaller (the largest weight is then clipped) often lets the other weights fall closer to whole steps.
fn scale(weights: &[f32]) -> f16 {
    let max = largest(weights).abs();
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

/// The scale of a group of 4 bits as f16. Each of some divisors of the largest weight rounds the weights to steps; the scale
/// that fits these steps best, Σwq / Σq² by least squares, loses Σw² − (Σwq)² / Σq². A negative scale lets a largest weight
/// above zero be −8 steps, as Q4_0 of llama.cpp has it: weights that lie on that grid come back as they are.
pub(crate) fn nibble_scale(weights: &[f32]) -> f16 {
    let largest = largest(weights);
    let plain = largest / -8.0;
    if f16::from_f32(plain).to_f32() == 0.0 {
        return f16::ZERO;
    }
    if let Some(scale) = grid(weights, largest) {
        return scale;
    }
    let (mut best, mut most) = (plain, 0.0);
    for divisor in NIBBLE_CANDIDATES {
        let inverse = divisor / largest;
        // Eight sums, as in `scale`.
        let (mut products, mut squares) = ([0f32; 8], [0f32; 8]);
        for weights in weights.chunks(8) {
            for ((product, square), w) in products.iter_mut().zip(&mut squares).zip(weights) {
                let q = nibble(w * inverse);
                *product += w * q;
                *square += q * q;
            }
        }
        let (product, square) = (products.iter().sum::<f32>(), squares.iter().sum::<f32>());
        if product * product > most * square {
            (best, most) = (product / square, product * product / square);
        }
    }
    f16::from_f32(best)
}

/// The scale of weights that are whole steps already, but for what f32 loses, as those of an image or of GPTQ are: −8 steps first
/// for the largest.
fn grid(weights: &[f32], largest: f32) -> Option<f16> {
    let scales = (-8..=7).filter(|steps| *steps != 0).map(|steps| f16::from_f32(largest / steps as f32));
    scales.into_iter().find(|scale| {
        let scale = scale.to_f32();
        scale != 0.0 && weights.iter().all(|w| (nibble(w / scale) * scale - w).abs() <= largest.abs() * 1e-6)
    })
}

/// Steps of the largest weight that are tried: −8 first, which the others must beat.
const NIBBLE_CANDIDATES: [f32; 23] = [
    -8.0, -9.0, -8.75, -8.5, -8.25, -7.75, -7.5, -7.25, -7.0, -6.75, -6.5, -6.25, -6.0, 5.5, 5.75, 6.0, 6.25, 6.5,
    6.75, 7.0, 7.25, 7.5, 7.75,
];

/// The whole number of steps nearest to `x`, as far as int8 goes.
fn step(x: f32) -> f32 {
    round(x.clamp(-127.0, 127.0))
}

/// The same, as far as 4 bits go.
pub(crate) fn nibble(x: f32) -> f32 {
    round(x.clamp(-8.0, 7.0))
}

/// Adding 1.5 · 2²³ leaves no room for a fraction; ties go to even. `round_ties_even` is a call on plain x86-64.
fn round(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    (x + ROUND) - ROUND
}

/// The largest weight that a scale of 16 bits can express.
pub const fn max_weight(bits: Bits) -> f32 {
    match bits {
        Bits::Eight => 65504.0 * 127.0,
        Bits::Four => 65504.0 * 7.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_comes_back_within_half_a_step() {
        for (rows, cols, group) in [(8, 8, 8), (11, 40, 32), (3, 5, 64), (24, 160, 64), (9, 100, 32)] {
            let weights: Vec<f32> = (0..rows * cols).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 700.0).collect();
            let format = Format { bits: Bits::Eight, group, fit: Fit::Search };
            let (bytes, noise) = tiles(&weights, cols, format);
            let matrix = QMatrix::new(&bytes, Bits::Eight, rows, cols, group);
            assert_eq!((matrix.rows(), bytes.len() % matrix.tile_bytes()), (rows, 0));
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

    /// Numbers around zero, most of them small.
    fn weights(random: &mut u64) -> Vec<f32> {
        let mut next = || {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*random >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..32).map(|_| next() + next() + next()).collect()
    }

    #[test]
    fn weights_of_four_bits_come_back_with_little_noise() {
        let mut random = 7;
        let (mut searched, mut plain) = (Noise::default(), Noise::default());
        for (rows, cols) in [(8, 8), (11, 40), (3, 5), (24, 160), (9, 100)] {
            let weights: Vec<f32> =
                std::iter::repeat_with(|| weights(&mut random)).flatten().take(rows * cols).collect();
            let of = |fit| {
                let format = Format { bits: Bits::Four, group: 32, fit };
                (round_trip(&weights, cols, format), tiles(&weights, cols, format).1)
            };
            let (back, noise) = of(Fit::Search);
            let lost: f64 = weights.iter().zip(&back).map(|(w, b)| f64::from(w - b).powi(2)).sum();
            assert!((noise.noise - lost).abs() <= 1e-6 * noise.signal, "{} {lost}", noise.noise);
            searched = searched.plus(noise);
            plain = plain.plus(of(Fit::Largest).1);
        }
        assert!(searched.snr_db() > plain.snr_db() + 0.5, "{} {}", searched.snr_db(), plain.snr_db());
        assert!(searched.snr_db() > 20.0, "{}", searched.snr_db());
    }

    #[test]
    fn weights_on_the_grid_of_four_bits_come_back_as_they_are() {
        let format = Format { bits: Bits::Four, group: 32, fit: Fit::Search };
        for scale in [0.017_f32, -0.25, 3e-4, -41.0] {
            let scale = f16::from_f32(scale).to_f32();
            // −8 among them, as Q4_0 has it in every group; then fewer and fewer steps, as GPTQ may leave them.
            for (least, part) in (-8..=-1).flat_map(|least| [(least, 1), (least, 2)]) {
                let weights: Vec<f32> = (0..64).map(|i| scale * (i * 5 % (8 - least) / part + least) as f32).collect();
                assert_eq!(round_trip(&weights, 64, format), weights, "{scale} {least} {part}");
            }
        }
        assert_eq!(nibble_scale(&[1e-9, -1e-10]), f16::ZERO);
    }
}
