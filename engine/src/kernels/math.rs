//! Scalar functions as fixed sequences of f32 operations, which compilers can vectorise.

/// Adding and subtracting 1.5 · 2²³ rounds to the nearest even integer for |x| < 2²².
pub const ROUND: f32 = 12_582_912.0;

/// 2²³: a logarithm times this is what [`exp2`] takes.
pub const LOG_SCALE: f32 = 8_388_608.0;

/// log2(e) · 2²³, from a natural logarithm to what [`exp2`] takes.
pub const LOG2_E: f32 = core::f32::consts::LOG2_E * LOG_SCALE;

/// Coefficients of [`exp2`] times 2²³.
pub const EXP2: [i32; 3] = [2_878_558, 663_907, 113_713];

/// 129 in the exponent's place: see [`exp2`].
pub const EXP2_BIAS: i16 = 129 << 7;

/// The upper half of a product: `⌊a·b / 2³²⌋`.
#[inline(always)]
pub const fn high(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64) >> 32) as i32
}

/// `−2^(t / 2²³)` for t ≤ 0, to 3.8e-6 relative; exactly −1 at 0, and −0 (or a subnormal below 2⁻¹³²) from −127 · 2²³ on.
/// What it returns for t > 0 is fixed too, but only below 128 · 2²³ is it the power.
///
/// With `t / 2²³ = n + f`, 0 ≤ f < 1, the number's bits are those of n, f side by side (which would be `2ⁿ·(1 + f)`) less
/// `1 + f − 2^f = f·(1 − f)·r(f − ½)`, where r is the minimax polynomial of degree 2 (Remez). Since the error vanishes at
/// both ends, `1 − exp2(t)` stays accurate for the small |t| of a slowly decaying state.
///
/// Integers, because that is fastest where it matters most: on a Cortex-M4 it is six instructions. The bias is
/// subtracted from the upper half alone, saturating: that is the clamp, and it leaves the sign bit set.
#[inline(always)]
pub const fn negative_exp2(t: i32) -> f32 {
    let w = (t << 9) ^ i32::MIN; // f − ½, times 2³²
    let g = high(w, w) - (1 << 30); // −f·(1 − f), times 2³²
    let r = EXP2[0] + high(w, EXP2[1] + high(w, EXP2[2]));
    let log = t.wrapping_add(high(g, r));
    let upper = ((log >> 16) as i16).saturating_sub(EXP2_BIAS);
    f32::from_bits(((upper as u16 as u32) << 16) | (log as u32 & 0xFFFF))
}

/// `2^(t / 2²³)` for t ≤ 0, see [`negative_exp2`].
#[inline(always)]
pub const fn exp2(t: i32) -> f32 {
    -negative_exp2(t)
}

/// `eˣ` for x ≤ 0.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp2((x * LOG2_E) as i32)
}

/// `x·σ(x)`, with `e = e^−|x|`: `x / (1 + e)` for x > 0, else `x·e / (1 + e)`.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    let e = exp2((x.abs() * -LOG2_E) as i32);
    (if x > 0.0 { x } else { x * e }) / (1.0 + e)
}

/// `ln(1 + eˣ)` without overflow, as `max(x, 0) + ln(1 + e^−|x|)`.
///
/// `ln(1 + u) = s·q(s²)` with `s = u / (2 + u)` ≤ 1/3; q is a minimax polynomial of degree 4 (Remez), relative error 4e-9.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let u = exp2((x.abs() * -LOG2_E) as i32);
    let s = u / (2.0 + u);
    let t = s * s;
    let [q4, q3, q2, q1, q0] = SOFTPLUS;
    let q = (((q4 * t + q3) * t + q2) * t + q1) * t + q0;
    let positive = if x > 0.0 { x } else { 0.0 };
    positive + s * q
}

/// Coefficients of [`softplus`], the highest power first.
pub const SOFTPLUS: [f32; 5] = [0.281_917_33, 0.279_576_18, 0.400_251_18, 0.666_663_1, 2.0];

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
        let power = |x: f32| exp2((x * LOG_SCALE) as i32);
        assert!(worst(-125.9, 0.0, 1_000_000, power, libm::exp2) < 3.8e-6);
        assert_eq!((exp2(0), exp2(-LOG_SCALE as i32), exp2(-126 << 23)), (1.0, 0.5, f32::MIN_POSITIVE));
        assert!((i32::MIN..-(127 << 23)).step_by(997).all(|t| (0.0..1e-40).contains(&exp2(t))));
        // A state that decays by 1e-4 a token: the decay itself is right to 0.3 %.
        let decay = |x| 1.0 - power(x);
        assert!(worst(-1e-4, -0.9e-4, 1000, decay, |x| -libm::expm1(x * core::f64::consts::LN_2)) < 3e-3);
    }

    #[test]
    fn exp2_never_grows_towards_smaller_numbers() {
        let mut last = exp2(-3 << 23);
        for t in (-3 << 23)..=0 {
            let next = exp2(t);
            assert!(next >= last, "{t}");
            last = next;
        }
    }

    #[test]
    fn softplus_and_silu_are_accurate() {
        assert!(worst(-80.0, 80.0, 1_000_000, softplus, |x| libm::log1p(libm::exp(x))) < 1e-5);
        assert!(worst(-80.0, 80.0, 1_000_000, silu, |x| x / (1.0 + libm::exp(-x))) < 1e-5);
        assert_eq!((softplus(1e30), softplus(-1e30)), (1e30, 0.0));
        assert_eq!((silu(1e30), silu(-1e30)), (1e30, 0.0));
    }

    #[test]
    fn round_is_to_nearest_even() {
        for (x, right) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.49, 126), (-32767.0, -32767)] {
            assert_eq!(round(x), right, "{x}");
        }
    }
}
