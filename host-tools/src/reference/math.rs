//! The few functions that all layers share.

use rayon::prelude::*;

/// `x` (T, in) times the transpose of `weight` (out, in): (T, out).
pub(super) fn matmul(x: &[f32], weight: &[f32], inputs: usize) -> Vec<f32> {
    /// Tokens that one pass over the weights serves, and numbers below which a thread isn't worth waking.
    const TOKENS: usize = 4;
    const SMALL: usize = 1 << 15;

    let (tokens, outputs) = (x.len() / inputs, weight.len() / inputs);
    let mut y = vec![0.0; tokens * outputs];
    if tokens == 1 {
        let rows = SMALL.div_ceil(inputs);
        y.par_chunks_mut(rows).zip(weight.par_chunks(rows * inputs)).for_each(|(y, weight)| {
            y.iter_mut().zip(weight.chunks_exact(inputs)).for_each(|(y, w)| *y = dot(x, w));
        });
    } else {
        // Blocks of tokens for the threads; within one, every row of weights is read once for four tokens.
        let block = SMALL.div_ceil(inputs * outputs).next_multiple_of(TOKENS);
        y.par_chunks_mut(block * outputs).zip(x.par_chunks(block * inputs)).for_each(|(y, x)| {
            for (y, x) in y.chunks_mut(TOKENS * outputs).zip(x.chunks(TOKENS * inputs)) {
                let mut rows = x.chunks_exact(inputs);
                match [rows.next(), rows.next(), rows.next(), rows.next()] {
                    [Some(a), Some(b), Some(c), Some(d)] => {
                        for (o, w) in weight.chunks_exact(inputs).enumerate() {
                            let sums = dot4([a, b, c, d], w);
                            sums.iter().enumerate().for_each(|(t, sum)| y[t * outputs + o] = *sum);
                        }
                    }
                    _ => {
                        for (y, x) in y.chunks_exact_mut(outputs).zip(x.chunks_exact(inputs)) {
                            y.iter_mut().zip(weight.chunks_exact(inputs)).for_each(|(y, w)| *y = dot(x, w));
                        }
                    }
                }
            }
        });
    }
    y
}

/// `Σ a b`, in eight partial sums so that it vectorises.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// [`dot`] of four vectors with one, with the same sums.
fn dot4(a: [&[f32]; 4], b: &[f32]) -> [f32; 4] {
    let (b, b_rest) = b.as_chunks::<8>();
    let chunks = a.map(|a| &a.as_chunks::<8>().0[..b.len()]);
    let mut sums = [[0f32; 8]; 4];
    for (i, b) in b.iter().enumerate() {
        for (sums, a) in sums.iter_mut().zip(&chunks) {
            for lane in 0..8 {
                sums[lane] += a[i][lane] * b[lane];
            }
        }
    }
    std::array::from_fn(|t| {
        let rest: f32 = a[t].as_chunks::<8>().1.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sums[t].iter().sum::<f32>() + rest
    })
}

/// `x += y`.
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// `x += factor y`.
pub(super) fn add_scaled(x: &mut [f32], y: &[f32], factor: f32) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += factor * y);
}

/// Every row of `x` (T, len) divided by its root mean square and multiplied by `weight` (len).
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    x.chunks_exact(weight.len())
        .flat_map(|row| {
            let scale = 1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt();
            row.iter().zip(weight).map(move |(x, w)| w * (x * scale))
        })
        .collect()
}

/// `x / (1 + e^-x)`.
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// `ln(1 + e^x)`; above 20 that is x, and e^x would overflow soon after.
pub(super) fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

/// In place; the largest becomes e^0, so nothing overflows.
pub(super) fn softmax(x: &mut [f32]) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f32 = x.iter().sum();
    x.iter_mut().for_each(|x| *x /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matmul_equals_the_sum_it_stands_for_at_every_shape() {
        for (tokens, inputs, outputs) in [(1, 3, 2), (4, 40, 9), (7, 19, 5), (13, 160, 400), (1, 200, 300)] {
            let number = |i: usize| ((i * 37 + 11) % 29) as f32 - 14.0;
            let x: Vec<_> = (0..tokens * inputs).map(number).collect();
            let w: Vec<_> = (0..outputs * inputs).map(|i| number(i + 5)).collect();
            let y = matmul(&x, &w, inputs);
            for (t, x) in x.chunks_exact(inputs).enumerate() {
                for (o, w) in w.chunks_exact(inputs).enumerate() {
                    // Integers this small sum without rounding in any order.
                    assert_eq!(y[t * outputs + o], x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>());
                }
            }
        }
    }

    #[test]
    fn functions_stay_finite_far_out() {
        assert_eq!((softplus(500.0), softplus(-500.0)), (500.0, 0.0));
        assert_eq!((silu(500.0), silu(-500.0)), (500.0, 0.0));
        let mut x = [1000.0, 1000.0, -1000.0];
        softmax(&mut x);
        assert_eq!(x, [0.5, 0.5, 0.0]);
    }
}
