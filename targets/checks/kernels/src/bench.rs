//! Runs each kernel once between marks, so that whoever counts instructions can say what it costs.

use alloc::{format, vec, vec::Vec};
use core::fmt::{self, Write};
use jamlet::kernels::{Columns, Kernels, Quantized, S4dScan, Scan, SsdScan};
use jamlet::matrix::{Bits, QMatrix, encode, encode_nibbles, groups, padded_cols};
use jamlet_app::conformance::Marks;

/// Numbers that look like activations and weights. Xorshift (Marsaglia 2003).
struct Numbers(u32);

impl Numbers {
    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Between −1 and 1.
    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.bits() >> 8) as f32 / 8_388_608.0 - 1.0).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.bits() % 255) as i8).map(|q| q.max(-127)).collect()
    }

    fn matrix(&mut self, bits: Bits, rows: usize, cols: usize, group: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(rows.div_ceil(8) * bits.tile_bytes(cols, group));
        for _ in 0..rows.div_ceil(8) {
            for part in 0..groups(cols, group) {
                // Scales near 2⁻⁷.
                (0..8).for_each(|_| bytes.extend((0x2000 | self.bits() as u16 & 0x3FF).to_le_bytes()));
                let width = group.min(padded_cols(cols) - part * group);
                for _ in 0..8 * width / bits.block_cols() {
                    let q = self.bytes(bits.block_cols());
                    bytes.extend(match bits {
                        Bits::Eight => encode([q[0], q[1], q[2], q[3]]),
                        Bits::Four => encode_nibbles([0, 1, 2, 3, 4, 5, 6, 7].map(|i: usize| q[i] >> 4)),
                    });
                }
            }
        }
        bytes
    }
}

/// A report under way: a line `kernel COUNT UNIT: NAME` for every pair of marks, in their order.
struct Bench<'a, M, W> {
    marks: &'a mut M,
    report: &'a mut W,
}

impl<M: Marks, W: Write> Bench<'_, M, W> {
    fn measure(&mut self, name: &str, count: usize, unit: &str, run: impl FnOnce()) -> fmt::Result {
        self.marks.token_begins();
        run();
        self.marks.token_ends();
        writeln!(self.report, "kernel {count} {unit}: {name}")
    }
}

/// Measures all kernels of the processor that runs this, on one core.
///
/// # Errors
/// When the report can't be written.
pub fn run(marks: &mut impl Marks, report: &mut impl Write) -> fmt::Result {
    let k = Kernels::detect();
    let n = &mut Numbers(0x9E37_79B9);
    writeln!(report, "kernels {}", k.name())?;
    let mut b = Bench { marks, report };

    // Products: a decoded token, a chunk of prefill, and the narrow matrices of Mamba (x_proj and dt_proj of pico).
    let products = [
        ("matmul 256 x 256 in groups of 32, 1 token", Bits::Eight, 256, 256, 32, 1),
        ("matmul 256 x 256 in groups of 64, 1 token", Bits::Eight, 256, 256, 64, 1),
        ("matmul 256 x 256 in groups of 32, 2 tokens", Bits::Eight, 256, 256, 32, 2),
        ("matmul 256 x 256 in groups of 32, 8 tokens", Bits::Eight, 256, 256, 32, 8),
        ("matmul 256 x 256 in groups of 64, 8 tokens", Bits::Eight, 256, 256, 64, 8),
        ("matmul 42 x 320 in groups of 32, 1 token", Bits::Eight, 42, 320, 32, 1),
        ("matmul 320 x 10 in groups of 32, 1 token", Bits::Eight, 320, 10, 32, 1),
        ("matmul 256 x 256 of 4 bits, 1 token", Bits::Four, 256, 256, 32, 1),
        ("matmul 256 x 256 of 4 bits, 2 tokens", Bits::Four, 256, 256, 32, 2),
        ("matmul 256 x 256 of 4 bits, 8 tokens", Bits::Four, 256, 256, 32, 8),
    ];
    for (name, bits, rows, cols, group, tokens) in products {
        let bytes = n.matrix(bits, rows, cols, group);
        let w = QMatrix::new(&bytes, bits, rows, cols, group);
        let padded = padded_cols(cols);
        let (values, scales) = (n.bytes(tokens * padded), n.floats(tokens * groups(cols, group)));
        let x = Quantized { values: &values, scales: &scales, cols: padded, group };
        let mut out = vec![0.0; tokens * rows];
        b.measure(name, tokens * rows * cols, "multiply-accumulate", || k.matmul(&w, &x, &mut out))?;
    }

    const E: usize = 256;
    let x = n.floats(E);
    let (mut values, mut scales) = (vec![0; E], vec![0.0; E / 32]);
    b.measure("quantize 256 in groups of 32", E, "number", || k.quantize(&x, 32, &mut values, &mut scales))?;
    let (weight, mut out) = (n.floats(E), vec![0.0; E]);
    b.measure("rms_norm 256", E, "number", || k.rms_norm(&x, &weight, 1e-6, &mut out))?;
    let (taps, mut history) = (n.floats(4 * E), n.floats(3 * E));
    b.measure("conv_silu 256 of 4 taps, 1 token", E, "channel", || {
        k.conv_silu(&mut out, &taps, &weight, &mut history);
    })?;
    b.measure("softplus_bias 256", E, "number", || k.softplus_bias(&mut out, &weight))?;
    b.measure("swiglu 256", E, "number", || k.swiglu(&mut out, &x))?;

    // The scan with its gate.
    const N: usize = 16;
    let (mut u, z, bc, d) = (n.floats(E), n.floats(E), n.floats(2 * N), n.floats(E));
    let dt: Vec<f32> = n.floats(E).iter().map(|dt| dt.abs()).collect();
    let a: Vec<f32> = n.floats(E * N).iter().map(|a| -4.0 * a.abs()).collect();
    let mut state = n.floats(E * N);
    let scan = Scan {
        u: Columns::new(&mut u, E),
        first: 0,
        dt: &dt,
        z: &z,
        stride: E,
        bc: &bc,
        row: 2 * N,
        a: &a,
        d: &d,
        state: &mut state,
        d_state: N,
    };
    b.measure("scan 256 channels of 16 states, 1 token, with its gate", E * N, "state element", || k.scan(scan))?;

    // The scan of S4D, one token and several.
    for tokens in [1, 8] {
        let (mut u, z, d) = (n.floats(tokens * E), n.floats(tokens * E), n.floats(E));
        let decay: Vec<f32> = n.floats(E * N).iter().map(|decay| decay.abs()).collect();
        let (b_all, c, mut state) = (n.floats(E * N), n.floats(E * N), n.floats(E * N));
        let u = Columns::new(&mut u, E);
        let scan = S4dScan {
            u,
            first: 0,
            z: &z,
            stride: E,
            decay: &decay,
            b: &b_all,
            c: &c,
            d: &d,
            state: &mut state,
            d_state: N,
        };
        let name = format!("s4d_scan 256 channels of 16 states, {tokens} token(s), with its gate");
        b.measure(&name, tokens * E * N, "state element", || k.s4d_scan(scan))?;
    }

    // The scan of Mamba-2, one token and several.
    for tokens in [1, 8] {
        const E: usize = 64;
        const N: usize = 128;
        let (mut u, z, bc, d) = (n.floats(tokens * E), n.floats(tokens * E), n.floats(tokens * 2 * N), n.floats(E));
        // Heads of 32 channels.
        let (dt, a) = (n.floats(tokens * E / 32), n.floats(E / 32));
        let dt: Vec<f32> = dt.iter().flat_map(|dt| [dt.abs(); 32]).collect();
        let a: Vec<f32> = a.iter().flat_map(|a| [-4.0 * a.abs(); 32]).collect();
        let mut state = n.floats(E * N);
        let u = Columns::new(&mut u, E);
        let (dt, z, bc, a, d, state) = (&dt, &z, &bc, &a, &d, &mut state);
        let scan = SsdScan { u, first: 0, dt, z, stride: E, bc, row: 2 * N, shared: E, a, d, state, d_state: N };
        let name = format!("ssd_scan 64 channels of 128 states, {tokens} token(s), with its gate");
        b.measure(&name, tokens * E * N, "state element", || k.ssd_scan(scan))?;
    }

    // Attention: a head of 32 over 256 cached tokens.
    const DIM: usize = 32;
    const SLOTS: usize = 256;
    let q = n.floats(DIM);
    let (mut query, mut scores) = ([0i16; DIM], vec![0.0; SLOTS]);
    let scale = k.quantize_query(&q, &mut query);
    let (keys, key_scales) = (n.bytes(SLOTS * DIM), n.floats(SLOTS));
    b.measure("scores of a head of 32, 256 cached tokens", SLOTS * DIM, "multiply-accumulate", || {
        k.scores(&query, scale, &keys, &key_scales, &mut scores);
    })?;
    let mut sum = 0.0;
    b.measure("softmax 256", SLOTS, "number", || sum = k.softmax(&mut scores))?;
    let mut mixed = [0.0; DIM];
    b.measure("weighted_values of a head of 32, 256 cached tokens", SLOTS * DIM, "multiply-accumulate", || {
        k.weighted_values(&mut scores, sum, &keys, &key_scales, &mut mixed);
    })
}
