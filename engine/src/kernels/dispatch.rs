//! The kernels of the processor that runs this, spread over its cores.

#[cfg(i8mm)]
use super::aarch64::i8mm;
#[cfg(target_arch = "aarch64")]
use super::aarch64::{dotprod, neon};
#[cfg(dsp)]
use super::arm::dsp;
#[cfg(feature = "cores")]
use super::cores::Executor;
use super::cores::{Columns, Cores, Shared, Span};
#[cfg(feature = "narrow-state")]
use super::int8_state;
use super::operands::{Conv, Product, Quantized, S4dScan, Scan, SsdScan, StateScalar, StateWidth, WeightedHead};
#[cfg(any(portable, feature = "heavy-hitters"))]
use super::portable;
use super::tokens::TokenRows;
#[cfg(target_feature = "simd128")]
use super::wasm::simd128;
#[cfg(target_arch = "x86_64")]
use super::x86::{avx2, avx512};
use crate::matrix::{Bits, QMatrix, TILE_ROWS};
use crate::planned::planned;
use core::fmt;
use core::num::NonZeroUsize;

/// The instruction sets for which there are kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    // Left out where others are certain to run: nothing would call it, and flash and downloads are scarce.
    #[cfg(portable)]
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    Dotprod,
    #[cfg(i8mm)]
    I8mm,
    #[cfg(dsp)]
    Dsp,
    #[cfg(target_feature = "simd128")]
    Simd128,
}

/// Calls a kernel of the processor's instruction set.
macro_rules! call {
    ($isa:expr, $kernel:ident($($argument:expr),*)) => {
        match $isa {
            #[cfg(portable)]
            Isa::Portable => portable::$kernel($($argument),*),
            // SAFETY: `Kernels` holds this only where the processor was seen to have AVX2 and F16C.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::$kernel($($argument),*) },
            // SAFETY: `Kernels` holds this only where the processor was seen to have AVX-512 F, BW, VL and VNNI.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::$kernel($($argument),*) },
            // SAFETY: every aarch64 processor that this is compiled for has NEON.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => unsafe { neon::$kernel($($argument),*) },
            // SAFETY: `Kernels` holds this only where the processor was seen to have SDOT.
            #[cfg(target_arch = "aarch64")]
            Isa::Dotprod => unsafe { dotprod::$kernel($($argument),*) },
            // SAFETY: `Kernels` holds this only where the processor was seen to have SMMLA and SDOT.
            #[cfg(i8mm)]
            Isa::I8mm => unsafe { i8mm::$kernel($($argument),*) },
            #[cfg(dsp)]
            Isa::Dsp => dsp::$kernel($($argument),*),
            #[cfg(target_feature = "simd128")]
            Isa::Simd128 => simd128::$kernel($($argument),*),
        }
    };
}

/// The kernels of the processor that runs this, and its cores.
#[derive(Clone, Copy)]
pub struct Kernels<'e> {
    pub(super) isa: Isa,
    pub(super) cores: Cores<'e>,
}

impl fmt::Debug for Kernels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} core(s)", self.name(), self.cores.count())
    }
}

impl Default for Kernels<'_> {
    fn default() -> Self {
        Self::detect()
    }
}

impl<'e> Kernels<'e> {
    const fn on(isa: Isa) -> Self {
        Self { isa, cores: Cores::ONE }
    }

    /// The portable kernels, which define all others. Not there where others are certain, on Cortex-M with DSP and in WebAssembly
    /// with simd128.
    #[cfg(portable)]
    pub const fn portable() -> Self {
        Self::on(Isa::Portable)
    }

    /// The best kernels for this processor, on one core.
    pub fn detect() -> Self {
        #[cfg(dsp)]
        return Self::on(Isa::Dsp);
        #[cfg(target_feature = "simd128")]
        return Self::on(Isa::Simd128);
        #[cfg(not(any(dsp, target_feature = "simd128")))]
        Self::all().last().unwrap_or(Self::portable())
    }

    /// All kernels that this processor can run, the best last.
    pub fn all() -> impl Iterator<Item = Self> {
        let all = [
            #[cfg(portable)]
            Some(Isa::Portable),
            #[cfg(target_arch = "x86_64")]
            avx2::available().then_some(Isa::Avx2),
            #[cfg(target_arch = "x86_64")]
            avx512::available().then_some(Isa::Avx512),
            #[cfg(target_arch = "aarch64")]
            Some(Isa::Neon),
            #[cfg(target_arch = "aarch64")]
            dotprod::available().then_some(Isa::Dotprod),
            #[cfg(i8mm)]
            i8mm::available().then_some(Isa::I8mm),
            #[cfg(dsp)]
            Some(Isa::Dsp),
            #[cfg(target_feature = "simd128")]
            Some(Isa::Simd128),
        ];
        all.into_iter().flatten().map(Self::on)
    }

    /// The same kernels on other cores.
    #[cfg(feature = "cores")]
    pub const fn on_cores(self, executor: &'e dyn Executor) -> Self {
        Self { cores: Cores::of(executor), ..self }
    }

    /// Name of the instruction set.
    pub const fn name(&self) -> &'static str {
        match self.isa {
            #[cfg(portable)]
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512vnni",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Isa::Dotprod => "dotprod",
            #[cfg(i8mm)]
            Isa::I8mm => "i8mm",
            #[cfg(dsp)]
            Isa::Dsp => "dsp",
            #[cfg(target_feature = "simd128")]
            Isa::Simd128 => "simd128",
        }
    }
}

/// Tiles that kernels take together.
pub(super) const TILES: usize = 4;
/// Tokens that they take together, at most.
pub(super) const STRIP: usize = 8;
/// Tiles of a matrix beside which it is little what a kernel does once with every token. On x86-64 that takes as long as the products of
/// one or two tiles.
pub(super) const STRETCH: usize = 32;

/// Channels that stay together where a kernel may be cut anywhere: a cache line or two.
const CHANNELS: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Bytes of weights that are multiplied in the time of one number's SiLU or softplus, with all that is computed beside it.
const ACTIVATION: usize = 16;

impl Kernels<'_> {
    /// Whether there is but one core, which firmware for one knows when it is compiled.
    pub(crate) fn on_one_core(&self) -> bool {
        self.cores.count() == 1
    }
}

/// The kernels themselves: for the engine, its tests and its benchmarks.
#[doc(hidden)]
impl Kernels<'_> {
    /// Quantizes one row: `values` has the padded columns, `scales` one place a group.
    pub fn quantize(&self, x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]) {
        call!(self.isa, quantize(x, group, values, scales));
    }

    /// `out (tokens, w.rows) = x (tokens, w.cols) · wᵀ`.
    pub fn matmul(&self, w: &QMatrix<'_>, x: &Quantized<'_>, out: &mut [f32]) {
        self.products(&mut [Product::new(w, out)], x);
    }

    /// The products of several matrices with the same rows, as [`Kernels::matmul`]: cores wait for each other once. Not part of its
    /// callers, whose frames are large.
    #[inline(never)]
    pub fn products(&self, products: &mut [Product<'_>], x: &Quantized<'_>) {
        #[cfg(test)]
        products.iter().for_each(|Product { w, .. }| super::counted::add(w.bytes().len()));
        if self.on_one_core() {
            return products.iter_mut().for_each(|Product { w, out }| self.multiply(w, x, out.all()));
        }
        let products = &*products;
        let (mut tiles, mut bytes) = (0, 0);
        for Product { w, .. } in products {
            tiles += w.rows().div_ceil(TILE_ROWS);
            bytes += w.bytes().len();
        }
        let tokens = x.tokens();
        let shares = self.cores.shares(usize::MAX, tiles, bytes * tokens).get();
        let grid = self.cores.grid(shares, tiles / (STRETCH * products.len().max(1)), tokens / STRIP);
        // A core's cells are neighbours: what it computes of a channel, of all matrices, stays in its cache.
        self.cores.each(grid.cells(), &|cell| {
            let of_tokens = grid.tokens(cell, tokens, STRIP);
            for Product { w, out } in products {
                let rows = grid.rows(cell, w.rows(), TILES * TILE_ROWS);
                // SAFETY: no two cells have a row of a matrix, which is a column of its output, for the same token.
                unsafe { self.multiply_block(w, x, out, of_tokens, rows) };
            }
        });
    }

    /// The product of some rows of a matrix for some tokens, on the core that calls; `out` has the columns of all rows.
    ///
    /// # Safety
    /// No other core has these columns for these tokens.
    #[inline(never)]
    pub(super) unsafe fn multiply_block(
        &self,
        w: &QMatrix<'_>,
        x: &Quantized<'_>,
        out: &Columns<'_>,
        tokens: Span,
        rows: Span,
    ) {
        if tokens.count > 0 && rows.count > 0 {
            // SAFETY: the caller's promise.
            let out = unsafe { out.block_of(tokens, rows) };
            self.multiply(&w.slice_rows(rows.first, rows.count), &x.slice(tokens.first, tokens.count), out);
        }
    }

    /// A product, on the core that calls.
    fn multiply(&self, w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
        match w.bits() {
            Bits::Eight => call!(self.isa, matmul(w, x, out)),
            Bits::Four => call!(self.isa, matmul_q4(w, x, out)),
        }
    }

    /// Normalises one row into `out`.
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        call!(self.isa, rms_norm(x, weight, eps, out));
    }

    /// Normalises one row in place.
    pub fn rms_norm_in_place(&self, x: &mut [f32], weight: &[f32], eps: f32) {
        call!(self.isa, rms_norm_in_place(x, weight, eps));
    }

    /// `u (tokens, E)` becomes `silu(bias + Σ_k weight[k] · u[t − (K−1) + k])`; `history (K−1, E)` holds the inputs
    /// before the chunk and is moved on. `weight` is `(K, E)`.
    pub fn conv_silu(&self, u: &mut [f32], weight: &[f32], bias: &[f32], history: &mut [f32]) {
        let channels = bias.len();
        let (u, history) = (Columns::new(u, channels), Columns::new(history, channels));
        self.cores.share(channels / 8, ACTIVATION * channels * u.tokens(), &|first, count| {
            let (first, count) = (8 * first, 8 * count);
            let Some(bias) = bias.get(first..first + count) else { return };
            // SAFETY: no two shares have a channel in common; here and below.
            let u = unsafe { u.part(first, count) };
            // SAFETY: as above.
            let history = unsafe { history.part(first, count) };
            call!(self.isa, conv_silu(Conv { u, history, weight, stride: channels, first, bias }));
        });
    }

    /// `dt (tokens, E)` becomes `softplus(dt + bias)`.
    pub fn softplus_bias(&self, dt: &mut [f32], bias: &[f32]) {
        let width = bias.len();
        let (tokens, rows) = (dt.len() / width.max(1), TokenRows { x: dt, width, values: &mut [], scales: &mut [] });
        self.columns(tokens, ACTIVATION, rows, CHANNELS, &|_, first, row| {
            let bias = planned(bias.get(first..first + row.x.len()));
            call!(self.isa, softplus_bias(row.x, bias));
        });
    }

    /// The selective scan over a chunk.
    pub fn scan<S: StateScalar>(&self, scan: Scan<'_, S>) {
        self.share_scan(scan, |n| n, |scan| call!(self.isa, scan(scan)));
    }

    /// The selective scan with a state in int8, `(E / 8, 1 + N, 8)`: see `int8_state.rs`. `position` is the number of tokens
    /// before the chunk.
    #[cfg(feature = "narrow-state")]
    pub fn scan_int8(&self, scan: Scan<'_, i8>, position: u64) {
        let round = |h: &mut [_], exponents: &mut _, q: &mut [_], phase| self.round_state(h, exponents, q, phase);
        self.share_scan(
            scan,
            |n| n + 1,
            |scan| int8_state::scan(scan, position, |scan| call!(self.isa, scan(scan)), round),
        );
    }

    /// [`int8_state::round`] of the instruction set.
    #[cfg(feature = "narrow-state")]
    fn round_state(&self, h: &mut [[f32; 8]], exponents: &mut [i8; 8], q: &mut [[i8; 8]], phase: u32) {
        #[cfg(target_arch = "x86_64")]
        if matches!(self.isa, Isa::Avx2 | Isa::Avx512) {
            // SAFETY: `Kernels` holds these only where the processor was seen to have AVX2 and F16C.
            return unsafe { avx2::round_state(h, exponents, q, phase) };
        }
        int8_state::round(h, exponents, q, phase);
    }

    /// The selective scan with a state as it is stored: bytes of numbers of `width`.
    pub(crate) fn scan_stored(&self, scan: Scan<'_, u8>, width: StateWidth, _position: u64) {
        match width {
            StateWidth::F32 => self.scan(scan.with_state(cast_state::<f32>)),
            #[cfg(feature = "narrow-state")]
            StateWidth::F16 => self.scan(scan.with_state(cast_state::<u16>)),
            #[cfg(feature = "narrow-state")]
            StateWidth::I8 => self.scan_int8(scan.with_state(cast_state::<i8>), _position),
        }
    }

    /// Cuts the channels into shares; a channel's state has `numbers(N)` numbers. Not part of its callers, whose frames are large.
    #[inline(never)]
    fn share_scan<S: Send>(
        &self,
        scan: Scan<'_, S>,
        numbers: impl Fn(usize) -> usize + Sync,
        step: impl Fn(Scan<'_, S>) + Sync,
    ) {
        let Scan { u, first: offset, dt, z, stride, bc, row, a, d, state, d_state: n } = scan;
        let (bytes, state) = (size_of_val(state), Shared::new(state));
        self.cores.share(d.len() / 8, bytes * u.tokens(), &|first, count| {
            let (first, count) = (8 * first, 8 * count);
            // SAFETY: no two shares have a channel in common; here and below.
            let u = unsafe { u.part(first, count) };
            // SAFETY: as above.
            let state = unsafe { state.part(first * numbers(n), count * numbers(n)) };
            let (Some(a), Some(d)) = (a.get(first * n..(first + count) * n), d.get(first..first + count)) else {
                return;
            };
            step(Scan { u, first: offset + first, dt, z, stride, bc, row, a, d, state, d_state: n });
        });
    }

    /// The scan over a chunk where dt, B and C are constants.
    pub fn s4d_scan<S: StateScalar>(&self, scan: S4dScan<'_, S>) {
        self.share_s4d(scan, |n| n, |scan| call!(self.isa, s4d_scan(scan)));
    }

    /// The same with a state in int8, `(E / 8, 1 + N, 8)`: see [`int8_state`]. `position` is the number of tokens before the
    /// chunk.
    #[cfg(feature = "narrow-state")]
    pub fn s4d_scan_int8(&self, scan: S4dScan<'_, i8>, position: u64) {
        let round = |h: &mut [_], exponents: &mut _, q: &mut [_], phase| self.round_state(h, exponents, q, phase);
        self.share_s4d(
            scan,
            |n| n + 1,
            |scan| int8_state::s4d_scan(scan, position, |scan| call!(self.isa, s4d_scan(scan)), round),
        );
    }

    /// The same with a state as it is stored: bytes of numbers of `width`.
    pub(crate) fn s4d_scan_stored(&self, scan: S4dScan<'_, u8>, width: StateWidth, _position: u64) {
        match width {
            StateWidth::F32 => self.s4d_scan(scan.with_state(cast_state::<f32>)),
            #[cfg(feature = "narrow-state")]
            StateWidth::F16 => self.s4d_scan(scan.with_state(cast_state::<u16>)),
            #[cfg(feature = "narrow-state")]
            StateWidth::I8 => self.s4d_scan_int8(scan.with_state(cast_state::<i8>), _position),
        }
    }

    /// Cuts the channels into shares; a channel's state has `numbers(N)` numbers. Not part of its callers, whose frames are large.
    #[inline(never)]
    fn share_s4d<S: Send>(
        &self,
        scan: S4dScan<'_, S>,
        numbers: impl Fn(usize) -> usize + Sync,
        step: impl Fn(S4dScan<'_, S>) + Sync,
    ) {
        let S4dScan { u, first: offset, z, stride, decay, b, c, d, state, d_state: n } = scan;
        let (bytes, state) = (size_of_val(state), Shared::new(state));
        self.cores.share(d.len() / 8, bytes * u.tokens(), &|first, count| {
            let (first, count) = (8 * first, 8 * count);
            // SAFETY: no two shares have a channel in common; here and below.
            let u = unsafe { u.part(first, count) };
            // SAFETY: as above.
            let state = unsafe { state.part(first * numbers(n), count * numbers(n)) };
            let range = first * n..(first + count) * n;
            let (Some(decay), Some(b), Some(c), Some(d)) =
                (decay.get(range.clone()), b.get(range.clone()), c.get(range), d.get(first..first + count))
            else {
                return;
            };
            step(S4dScan { u, first: offset + first, z, stride, decay, b, c, d, state, d_state: n });
        });
    }

    /// The scan over a chunk where a decay belongs to a head.
    pub fn ssd_scan<S: StateScalar>(&self, scan: SsdScan<'_, S>) {
        self.share_ssd(scan, |n| n, |scan| call!(self.isa, ssd_scan(scan)));
    }

    /// The same with a state in int8, `(E / 8, 1 + N, 8)`: see [`int8_state`]. `position` is the number of tokens before the
    /// chunk.
    #[cfg(feature = "narrow-state")]
    pub fn ssd_scan_int8(&self, scan: SsdScan<'_, i8>, position: u64) {
        let round = |h: &mut [_], exponents: &mut _, q: &mut [_], phase| self.round_state(h, exponents, q, phase);
        self.share_ssd(
            scan,
            |n| n + 1,
            |scan| int8_state::ssd_scan(scan, position, |scan| call!(self.isa, ssd_scan(scan)), round),
        );
    }

    /// The same with a state as it is stored: bytes of numbers of `width`.
    pub(crate) fn ssd_scan_stored(&self, scan: SsdScan<'_, u8>, width: StateWidth, _position: u64) {
        match width {
            StateWidth::F32 => self.ssd_scan(scan.with_state(cast_state::<f32>)),
            #[cfg(feature = "narrow-state")]
            StateWidth::F16 => self.ssd_scan(scan.with_state(cast_state::<u16>)),
            #[cfg(feature = "narrow-state")]
            StateWidth::I8 => self.ssd_scan_int8(scan.with_state(cast_state::<i8>), _position),
        }
    }

    /// Cuts the channels into shares; a channel's state has `numbers(N)` numbers. Not part of its callers, whose frames are large.
    #[inline(never)]
    fn share_ssd<S: Send>(
        &self,
        scan: SsdScan<'_, S>,
        numbers: impl Fn(usize) -> usize + Sync,
        step: impl Fn(SsdScan<'_, S>) + Sync,
    ) {
        let SsdScan { u, first: offset, dt, z, stride, bc, row, shared, a, d, state, d_state: n } = scan;
        let (bytes, state) = (size_of_val(state), Shared::new(state));
        self.cores.share(d.len() / 8, bytes * u.tokens(), &|first, count| {
            let (first, count) = (8 * first, 8 * count);
            // SAFETY: no two shares have a channel in common; here and below.
            let u = unsafe { u.part(first, count) };
            // SAFETY: as above.
            let state = unsafe { state.part(first * numbers(n), count * numbers(n)) };
            let (Some(a), Some(d)) = (a.get(first..first + count), d.get(first..first + count)) else { return };
            step(SsdScan { u, first: offset + first, dt, z, stride, bc, row, shared, a, d, state, d_state: n });
        });
    }

    /// `gate = silu(gate) · up`.
    pub fn swiglu(&self, gate: &mut [f32], up: &[f32]) {
        call!(self.isa, swiglu(gate, up));
    }

    /// Quantizes a query head to 16 bits and returns its scale.
    pub fn quantize_query(&self, q: &[f32], out: &mut [i16]) -> f32 {
        call!(self.isa, quantize_query(q, out))
    }

    /// Quantizes a key or value head to 8 bits and returns its scale.
    pub fn quantize_head(&self, x: &[f32], out: &mut [i8]) -> f32 {
        call!(self.isa, quantize_head(x, out))
    }

    /// `scores[t] = f32(q · keys[t]) × (scale × key_scales[t])`, keys being `(slots, head_dim)`.
    pub fn scores(&self, q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
        call!(self.isa, scores(q, scale, keys, key_scales, scores));
    }

    /// `x = exp(x − max x)`; returns the sum.
    pub fn softmax(&self, x: &mut [f32]) -> f32 {
        call!(self.isa, softmax(x))
    }

    /// Adds the attention that tokens got, `weights[t] / sum`, to their counts: see `portable.rs`.
    #[cfg(feature = "heavy-hitters")]
    pub fn count_attention(&self, weights: &[f32], sum: f32, position: u64, counts: &mut [u16]) {
        portable::count_attention(weights, sum, position, counts);
    }

    /// `out = (Σ_t weights[t] · value_scales[t] · values[t]) / sum`, values being `(slots, head_dim)`. The weights are
    /// used up. See `portable.rs` for the order and the 15-bit rounding of the weights.
    pub fn weighted_values(&self, weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]) {
        call!(self.isa, weighted_values(weights, sum, values, value_scales, out));
    }

    /// The same for heads that share their values. AVX-512 reads them once for two heads.
    pub fn weighted_values_of_heads<'h>(
        &self,
        heads: impl IntoIterator<Item = WeightedHead<'h>>,
        values: &[i8],
        value_scales: &[f32],
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.reads_values_for_two() {
            let mut heads = heads.into_iter();
            while let Some(head) = heads.next() {
                // SAFETY: `Kernels` holds this only where the processor was seen to have what it takes, as in `call`.
                unsafe {
                    match heads.next() {
                        Some(other) => avx512::weighted_values_of([head, other], values, value_scales),
                        None => avx512::weighted_values_of([head], values, value_scales),
                    }
                }
            }
            return;
        }
        for head in heads {
            self.weighted_values(head.weights, head.sum, values, value_scales, head.out);
        }
    }

    /// Whether [`Kernels::weighted_values_of_heads`] reads values once for two heads.
    pub(super) fn reads_values_for_two(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.isa == Isa::Avx512;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Dot product of two f32 vectors.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        call!(self.isa, dot(a, b))
    }
}

/// A stored state as numbers. The workspace is aligned for them, so nothing is lost.
fn cast_state<S: bytemuck::Pod>(state: &mut [u8]) -> &mut [S] {
    planned(bytemuck::try_cast_slice_mut(state).ok())
}
