//! Scalar functions as fixed sequences of f32 operations, which compilers can vectorise.

/// Adding and subtracting 1.5 · 2²³ rounds to the nearest even integer for |x| < 2²².
pub const ROUND: f32 = 12_582_912.0;

/// log2(e).
pub const LOG2_E: f32 = core::f32::consts::LOG2_E;

/// 2ˣ for −126 ≤ x ≤ 126, to 2.2e-7 relative; clamped outside, and exactly 1 at 0.
///
/// `x = n + f` with |f| ≤ 1/2; `2^f = 1 + f·g(f)`, where g is the minimax polynomial of degree 4 of `(2^f − 1)/f` (Remez).
/// Since the error scales with f, `1 − exp2(x)` stays accurate for the small |x| of a slowly decaying state.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let x = if x > -126.0 { x } else { -126.0 };
    let x = if x < 126.0 { x } else { 126.0 };
    let shifted = x + ROUND;
    let f = x - (shifted - ROUND);
    let g = ((((0.001_340_043_6 * f + 0.009_666_373) * f + 0.055_503_33) * f) + 0.240_223_48) * f + 0.693_147_2;
    let p = f * g + 1.0;
    // The low bits of `shifted` hold n in two's complement.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// eˣ as `exp2(x · log2 e)`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp2(x * LOG2_E)
}

/// `x / (1 + e^−x)`.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `ln(1 + eˣ)` without overflow, as `max(x, 0) + ln(1 + e^−|x|)`.
///
/// `ln(1 + u) = s·q(s²)` with `s = u / (2 + u)` ≤ 1/3; q is a minimax polynomial of degree 4 (Remez), relative error 4e-9.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let u = exp(-x.abs());
    let s = u / (2.0 + u);
    let t = s * s;
    let q = (((0.281_917_33 * t + 0.279_576_18) * t + 0.400_251_18) * t + 0.666_663_1) * t + 2.0;
    let positive = if x > 0.0 { x } else { 0.0 };
    positive + s * q
}

/// Rounds to the nearest even integer; |x| < 2²².
#[inline(always)]
pub fn round(x: f32) -> i32 {
    (x + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest relative error against f64 over `n` points of `lo..hi`.
    fn worst(lo: f64, hi: f64, n: u32, f: impl Fn(f32) -> f32, right: impl Fn(f64) -> f64) -> f64 {
        (0..=n)
            .map(|i| {
                let x = (lo + (hi - lo) * f64::from(i) / f64::from(n)) as f32;
                let right = right(f64::from(x));
                ((f64::from(f(x)) - right) / right).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp2_is_accurate() {
        assert!(worst(-125.9, 125.9, 1_000_000, exp2, libm::exp2) < 3e-7);
        assert_eq!(exp2(0.0), 1.0);
        assert_eq!(exp2(-1000.0), exp2(-126.0));
        // A state that decays by 1e-4 a token: the decay itself is right to 0.1 %.
        assert!(worst(-1e-4, -0.9e-4, 1000, |x| 1.0 - exp2(x), |x| -libm::expm1(x * core::f64::consts::LN_2)) < 1e-3);
    }

    #[test]
    fn softplus_and_silu_are_accurate() {
        assert!(worst(-80.0, 80.0, 1_000_000, softplus, |x| libm::log1p(libm::exp(x))) < 5e-6);
        assert!(worst(-10.0, 30.0, 1_000_000, silu, |x| x / (1.0 + libm::exp(-x))) < 2e-6);
        assert_eq!(softplus(1e30), 1e30);
        assert!(softplus(-1e30) >= 0.0);
    }

    #[test]
    fn round_is_to_nearest_even() {
        for (x, right) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.49, 126), (-32767.0, -32767)] {
            assert_eq!(round(x), right, "{x}");
        }
    }
}
