//! Every kernel of every instruction set that this processor has computes exactly the bits of the portable one.

mod random;

use jamlet::kernels::{
    Columns, Executor, Kernels, Product, Quantized, S4dScan, Scan, SsdScan, StateScalar, WeightedHead,
};
use jamlet::matrix::{Bits, NIBBLE_GROUP, QMatrix, decode_nibbles, encode, encode_nibbles, groups, padded_cols};
use random::Random;

/// What the tests draw.
trait Draw {
    /// Numbers of one kind: ordinary, tiny, huge, zeros, subnormal, or a mixture.
    fn floats(&mut self, count: usize, kind: usize) -> Vec<f32>;
}

impl Draw for Random {
    fn floats(&mut self, count: usize, kind: usize) -> Vec<f32> {
        let one = |random: &mut Self, kind| match kind {
            0 => random.between(-4.0, 4.0),
            1 => random.between(-1e-30, 1e-30),
            2 => random.between(-1e30, 1e30),
            3 => [0.0, -0.0][random.below(2)],
            4 => f32::from_bits(random.bits() as u32 & 0x807F_FFFF),
            5 => [1.0, -1.0, 0.5, -127.0, 127.0, 63.5, f32::MIN_POSITIVE, -126.0, 128.0, -1e-45][random.below(10)],
            6 => random.between(-300.0, 300.0),
            _ => f32::from_bits(random.bits() as u32 & !0x7F80_0000 | (random.between(90.0, 160.0) as u32) << 23),
        };
        (0..count)
            .map(|_| {
                if kind == KINDS {
                    let kind = self.below(KINDS);
                    one(self, kind)
                } else {
                    one(self, kind)
                }
            })
            .collect()
    }
}

/// Kinds of numbers; this one mixes them.
const KINDS: usize = 8;

/// All kernels of this processor beside the portable ones, each on one core and on three.
fn others() -> Vec<Kernels<'static>> {
    let one: Vec<_> = Kernels::all().collect();
    let three = one.iter().map(|kernels| kernels.on_cores(&Threads));
    one.iter().copied().skip(1).chain(three).collect()
}

/// Three cores, as a thread for each share.
struct Threads;

impl Executor for Threads {
    fn cores(&self) -> usize {
        3
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| (0..shares).for_each(|share| drop(scope.spawn(move || task(share)))));
    }
}

/// So many cores, which are worth waking for every byte, and of which one does all shares, from the last to the first.
struct Backwards(usize);

impl Executor for Backwards {
    fn cores(&self) -> usize {
        self.0
    }

    fn min_parallel_bytes(&self) -> usize {
        1
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..shares).rev().for_each(task);
    }
}

/// The same bits, NaNs being equal to NaNs.
#[track_caller]
fn same(right: &[f32], found: &[f32], what: &str) {
    assert_eq!(right.len(), found.len(), "{what}");
    for (index, (right, found)) in right.iter().zip(found).enumerate() {
        let equal = right.to_bits() == found.to_bits() || right.is_nan() && found.is_nan();
        assert!(
            equal,
            "{what}: number {index} is {found:e} ({:08x}), not {right:e} ({:08x})",
            found.to_bits(),
            right.to_bits()
        );
    }
}

/// A matrix in tiles whose weights are drawn by `weight`.
fn matrix(
    bits: Bits,
    rows: usize,
    cols: usize,
    group: usize,
    random: &mut Random,
    weight: fn(&mut Random) -> i8,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rows.div_ceil(8) {
        for part in 0..groups(cols, group) {
            for _ in 0..8 {
                // Any finite f16, subnormal ones and zero among them.
                let scale = match random.below(8) {
                    0 => 0,
                    1 => random.bits() as u16 & 0x83FF,
                    2 => 0x7BFF,
                    _ => random.bits() as u16 & 0xBFFF,
                };
                bytes.extend(scale.to_le_bytes());
            }
            let width = group.min(padded_cols(cols) - part * group);
            for _ in 0..width / bits.block_cols() * 8 {
                bytes.extend(match bits {
                    Bits::Eight => encode([0; 4].map(|_: i8| weight(random))),
                    Bits::Four => encode_nibbles([0; 8].map(|_: i8| weight(random) >> 4)),
                });
            }
        }
    }
    assert_eq!(bytes.len(), rows.div_ceil(8) * bits.tile_bytes(cols, group));
    bytes
}

#[test]
fn matmul() {
    let random = &mut Random(1);
    let weights: [fn(&mut Random) -> i8; 5] = [
        |random| (random.below(255) as i32 - 127) as i8,
        |random| [127, -127][random.below(2)],
        |_| 127,
        |_| -127,
        // What no packer writes, but a damaged image may hold.
        |random| [-128, -128, 127][random.below(3)],
    ];
    let shapes = [
        (8, 8, 8),
        (1, 1, 8),
        (9, 24, 16),
        (16, 64, 64),
        (23, 100, 32),
        (40, 72, 64),
        (8, 2048, 1024),
        (7, 40, 1024),
        (128, 256, 64),
        (200, 520, 256),
        (24, 520, 512),
        (9, 1544, 768),
        // More groups than kernels prepare at once, and more than some prepare at all.
        (24, 2088, 32),
        (9, 1056, 32),
        (17, 4200, 8),
        // More tiles than eight tokens are taken through at once.
        (133, 96, 32),
    ];
    // What 4 bits add: groups cut short by 8, 16 and 24 columns, and other groups than an image has.
    let nibbles = [(8, 8), (1, 1), (9, 24), (23, 100), (40, 72), (8, 2048), (128, 256), (7, 40), (24, 88), (133, 96)];
    let nibbles = nibbles.into_iter().chain([(24, 2088), (9, 1056), (9, 16_424)]);
    let nibbles = nibbles.map(|(rows, cols)| (Bits::Four, rows, cols, NIBBLE_GROUP));
    let nibbles = nibbles.chain([(Bits::Four, 9, 72, 16), (Bits::Four, 9, 264, 256)]);
    let shapes = shapes.into_iter().map(|(rows, cols, group)| (Bits::Eight, rows, cols, group));
    for (bits, rows, cols, group) in shapes.chain(nibbles) {
        // Boards have no room for many wide tokens.
        for tokens in (1..=9).chain([15, 16, 17, 33]).filter(|tokens| tokens * cols < 150_000) {
            let kind = random.below(weights.len());
            let bytes = matrix(bits, rows, cols, group, random, weights[kind]);
            let w = QMatrix::new(&bytes, bits, rows, cols, group);
            let padded = padded_cols(cols);
            let extreme = random.below(2) == 0;
            let values: Vec<i8> = (0..tokens * padded)
                .map(|_| if extreme { [127, -127][random.below(2)] } else { (random.below(255) as i32 - 127) as i8 })
                .collect();
            let kind = random.below(9);
            let scales = random.floats(tokens * groups(cols, group), kind);
            let x = Quantized { values: &values, scales: &scales, cols: padded, group };
            let mut right = vec![0.0; tokens * rows];
            Kernels::portable().matmul(&w, &x, &mut right);
            for kernels in others() {
                let mut found = vec![7.0; tokens * rows];
                kernels.matmul(&w, &x, &mut found);
                same(&right, &found, &format!("{kernels:?}: {bits:?}, {tokens} x {rows} x {cols} in {group}"));
            }
        }
    }
}

#[test]
fn matmul_is_what_it_says() {
    let random = &mut Random(2);
    let (rows, cols, group) = (11, 44, 32);
    for bits in [Bits::Eight, Bits::Four] {
        let bytes = matrix(bits, rows, cols, group, random, |random| (random.below(255) as i32 - 127) as i8);
        let w = QMatrix::new(&bytes, bits, rows, cols, group);
        let values: Vec<i8> = (0..padded_cols(cols)).map(|_| (random.below(255) as i32 - 127) as i8).collect();
        let mut row = vec![0.0; padded_cols(cols)];
        let mut y = vec![0.0; rows];
        let x = Quantized { values: &values, scales: &[1.0, 0.5], cols: padded_cols(cols), group };
        for kernels in Kernels::all() {
            kernels.matmul(&w, &x, &mut y);
            for (index, y) in y.iter().enumerate() {
                w.dequantize_row(index, &mut row);
                let terms = row.iter().zip(&values).enumerate();
                let terms =
                    terms.map(|(col, (w, x))| f64::from(*w) * f64::from(*x) * if col < group { 1.0 } else { 0.5 });
                let (right, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                assert!((f64::from(*y) - right).abs() <= size * 1e-6, "{kernels:?}, {bits:?}: {y} {right}");
            }
        }
    }
}

#[test]
fn a_word_of_nibbles_holds_what_it_says() {
    let weights = [-8, -1, 0, 7, 3, -5, 1, 6];
    // u = q + 8, the first four columns in the lower halves.
    let stored = encode_nibbles(weights);
    assert_eq!(stored, [0xB0, 0x37, 0x98, 0xEF]);
    assert_eq!(decode_nibbles(stored), weights);
    assert_eq!(encode_nibbles([0; 8]), [0x88; 4]);
}

#[test]
fn quantize() {
    let random = &mut Random(3);
    for kind in 0..=KINDS {
        for cols in (1..40).chain([63, 64, 65, 200, 1000]) {
            for group in [8, 16, 32, 64, 1024] {
                let x = random.floats(cols, kind);
                let run = |kernels: Kernels<'_>| {
                    let mut values = vec![9; padded_cols(cols)];
                    let mut scales = vec![9.0; groups(cols, group)];
                    kernels.quantize(&x, group, &mut values, &mut scales);
                    (values, scales)
                };
                let (values, scales) = run(Kernels::portable());
                for kernels in others() {
                    let (found, found_scales) = run(kernels);
                    assert_eq!(values, found, "{kernels:?}: {cols} in {group}, kind {kind}");
                    same(&scales, &found_scales, &format!("{kernels:?}: {cols} in {group}, kind {kind}"));
                }
            }
        }
    }
}

/// Runs a kernel on rows of many lengths and all kinds of numbers; it gets two rows and returns what is compared.
fn on_rows(lengths: impl Iterator<Item = usize> + Clone, run: impl Fn(Kernels<'_>, &[f32], &[f32]) -> Vec<f32>) {
    let random = &mut Random(4);
    for kind in 0..=KINDS {
        for length in lengths.clone() {
            let (a, b) = (random.floats(length, kind), random.floats(length, kind));
            let right = run(Kernels::portable(), &a, &b);
            for kernels in others() {
                same(&right, &run(kernels, &a, &b), &format!("{kernels:?}: {length} numbers of kind {kind}"));
            }
        }
    }
}

#[test]
fn norms_and_sums() {
    on_rows((1..40).chain([64, 100, 257]), |kernels, x, w| {
        let mut out = vec![0.0; x.len()];
        kernels.rms_norm(x, w, 1e-6, &mut out);
        let mut in_place = x.to_vec();
        kernels.rms_norm_in_place(&mut in_place, w, 1e-5);
        out.extend(in_place);
        out.push(kernels.dot(x, w));
        out
    });
}

#[test]
fn activations() {
    on_rows((1..40).chain([64, 100, 257]), |kernels, x, w| {
        let mut gate = x.to_vec();
        kernels.swiglu(&mut gate, w);
        let mut dt = [x, x].concat();
        kernels.softplus_bias(&mut dt, w);
        gate.extend(dt);
        let mut scores = x.to_vec();
        let sum = kernels.softmax(&mut scores);
        gate.extend(scores);
        gate.push(sum);
        gate
    });
}

#[test]
fn cores_change_no_bit() {
    let random = &mut Random(17);
    for (tokens, channels, rows) in
        [(1, 8, [5, 0, 19]), (1, 48, [40, 8, 1]), (3, 40, [9, 17, 3]), (9, 104, [24, 25, 64])]
    {
        let cols = 56;
        let weight = |random: &mut Random| (random.below(255) as i32 - 127) as i8;
        let matrices = rows.map(|rows| matrix(Bits::Eight, rows, cols, 32, random, weight));
        let values: Vec<i8> = (0..tokens * cols).map(|_| weight(random)).collect();
        let scales = random.floats(tokens * cols.div_ceil(32), 0);
        let (input, history) = (random.floats(tokens * channels, 0), random.floats(3 * channels, 0));
        let (taps, bias) = (random.floats(4 * channels, 0), random.floats(channels, 0));
        let run = |kernels: Kernels<'_>| {
            let x = Quantized { values: &values, scales: &scales, cols, group: 32 };
            let mut out = rows.map(|rows| vec![9.0; tokens * rows]);
            let [one, two, three] = &mut out;
            let [a, b, c] = [0, 1, 2].map(|index| QMatrix::new(&matrices[index], Bits::Eight, rows[index], cols, 32));
            kernels.products(&mut [Product::new(&a, one), Product::new(&b, two), Product::new(&c, three)], &x);
            let (mut u, mut history) = (input.clone(), history.clone());
            kernels.conv_silu(&mut u, &taps, &bias, &mut history);
            [out.concat(), u, history].concat()
        };
        let right = run(Kernels::portable());
        for cores in 1..=5 {
            for kernels in Kernels::all() {
                let cores = Backwards(cores);
                let kernels = kernels.on_cores(&cores);
                same(&right, &run(kernels), &format!("{kernels:?}: {tokens} x {channels}, {rows:?} rows"));
            }
        }
    }
}

#[test]
fn convolution() {
    let random = &mut Random(5);
    for kind in 0..=KINDS {
        for (channels, taps) in [(8, 1), (8, 2), (24, 4), (64, 4), (80, 3), (16, 7)] {
            for tokens in [1, 2, 3, 5, 8] {
                let input = random.floats(tokens * channels, kind);
                let weight = random.floats(taps * channels, 0);
                let bias = random.floats(channels, kind);
                let past = random.floats((taps - 1) * channels, kind);
                let run = |kernels: Kernels<'_>| {
                    let (mut u, mut history) = (input.clone(), past.clone());
                    kernels.conv_silu(&mut u, &weight, &bias, &mut history);
                    u.extend(history);
                    u
                };
                let right = run(Kernels::portable());
                for kernels in others() {
                    same(&right, &run(kernels), &format!("{kernels:?}: {tokens} x {channels} x {taps}, kind {kind}"));
                }
            }
        }
    }
}

fn scan<S: StateScalar>(seed: u64, start: fn(f32) -> S) {
    let random = &mut Random(seed);
    for kind in 0..=KINDS {
        for (e, n, rank) in [(8, 1, 1), (16, 16, 4), (24, 11, 3), (80, 16, 0), (512, 16, 16)] {
            for tokens in [1, 3, 8] {
                let row = rank + 2 * n;
                let u = random.floats(tokens * e, kind);
                let z = random.floats(tokens * e, kind);
                let dt: Vec<f32> = random.floats(tokens * e, kind).iter().map(|x| x.abs()).collect();
                let bc = random.floats(tokens * row, kind % 4);
                // Negative, as exponentials make them; and anything, as a damaged image may hold it.
                let mut a = random.floats(e * n, kind);
                if random.below(2) == 0 {
                    a.iter_mut().for_each(|a| *a = -a.abs());
                }
                let d = random.floats(e, 0);
                let h: Vec<S> = random.floats(e * n, kind % 2 * 4).into_iter().map(start).collect();
                let run = |kernels: Kernels<'_>| {
                    let (mut u, mut state) = (u.clone(), h.clone());
                    kernels.scan(Scan {
                        u: Columns::new(&mut u, e),
                        first: 0,
                        dt: &dt,
                        z: &z,
                        stride: e,
                        bc: &bc,
                        row,
                        a: &a,
                        d: &d,
                        state: &mut state,
                        d_state: n,
                    });
                    u.extend(state.into_iter().map(S::load));
                    u
                };
                let right = run(Kernels::portable());
                for kernels in others() {
                    same(&right, &run(kernels), &format!("{kernels:?}: {tokens} x {e} x {n}, kind {kind}"));
                }
            }
        }
    }
}

fn s4d_scan<S: StateScalar>(seed: u64, start: fn(f32) -> S) {
    let random = &mut Random(seed);
    for kind in 0..=KINDS {
        for (e, n) in [(8, 1), (16, 16), (24, 11), (80, 16), (512, 16)] {
            for tokens in [1, 3, 8] {
                let u = random.floats(tokens * e, kind);
                let z = random.floats(tokens * e, kind);
                let [decay, b, c] = [0, kind % 4, 0].map(|kind| random.floats(e * n, kind));
                let d = random.floats(e, 0);
                let h: Vec<S> = random.floats(e * n, kind % 2 * 4).into_iter().map(start).collect();
                let run = |kernels: Kernels<'_>| {
                    let (mut u, mut state) = (u.clone(), h.clone());
                    kernels.s4d_scan(S4dScan {
                        u: Columns::new(&mut u, e),
                        first: 0,
                        z: &z,
                        stride: e,
                        decay: &decay,
                        b: &b,
                        c: &c,
                        d: &d,
                        state: &mut state,
                        d_state: n,
                    });
                    u.extend(state.into_iter().map(S::load));
                    u
                };
                let right = run(Kernels::portable());
                for kernels in others() {
                    same(&right, &run(kernels), &format!("{kernels:?}: {tokens} x {e} x {n}, kind {kind}"));
                }
            }
        }
    }
}

/// E channels, N states, G groups of them: of an even and of an odd number of eights, which three cores cut anywhere.
const SSD_SHAPES: [(usize, usize, usize); 9] =
    [(8, 1, 1), (16, 16, 2), (24, 11, 3), (80, 16, 1), (16, 128, 1), (256, 17, 4), (48, 6, 2), (40, 3, 1), (8, 256, 1)];

/// Gives every eight channels the first one's number, as heads have it whose width is a multiple of 8; or leaves them as they are.
fn of_heads(random: &mut Random, mut numbers: Vec<f32>) -> Vec<f32> {
    if random.below(2) == 0 {
        numbers.chunks_exact_mut(8).for_each(|eight| eight.fill(eight[0]));
    }
    numbers
}

fn ssd_scan<S: StateScalar>(seed: u64, start: fn(f32) -> S) {
    let random = &mut Random(seed);
    for kind in 0..=KINDS {
        for (e, n, groups) in SSD_SHAPES {
            for tokens in 1..=9 {
                // Rows end with padding.
                let row = 2 * groups * n + 3;
                let u = random.floats(tokens * e, kind);
                let z = random.floats(tokens * e, kind);
                let dt: Vec<f32> = random.floats(tokens * e, kind).iter().map(|x| x.abs()).collect();
                let dt = of_heads(random, dt);
                let bc = random.floats(tokens * row, kind % 4);
                // Negative, as exponentials make them; and anything, as a damaged image may hold it.
                let mut a = random.floats(e, kind);
                if random.below(2) == 0 {
                    a.iter_mut().for_each(|a| *a = -a.abs());
                }
                let a = of_heads(random, a);
                let d = random.floats(e, 0);
                let h: Vec<S> = random.floats(e * n, kind % 2 * 4).into_iter().map(start).collect();
                let run = |kernels: Kernels<'_>| {
                    let (mut u, mut state) = (u.clone(), h.clone());
                    let of_u = Columns::new(&mut u, e);
                    let (first, stride, shared) = (0, e, e / groups);
                    let (dt, z, bc, a, d, state_of) = (&dt, &z, &bc, &a, &d, &mut state);
                    kernels.ssd_scan(SsdScan {
                        u: of_u,
                        first,
                        dt,
                        z,
                        stride,
                        bc,
                        row,
                        shared,
                        a,
                        d,
                        state: state_of,
                        d_state: n,
                    });
                    u.extend(state.into_iter().map(S::load));
                    u
                };
                let right = run(Kernels::portable());
                for kernels in others() {
                    same(&right, &run(kernels), &format!("{kernels:?}: {tokens} x {e} x {n} / {groups}, kind {kind}"));
                }
                // Group by group, it is the selective scan with one decay for all states.
                let (mut all, mut state) = (u.clone(), h.clone());
                for group in 0..groups {
                    let channels = group * e / groups..(group + 1) * e / groups;
                    let of_group = |rows: &[f32]| -> Vec<f32> {
                        rows.chunks_exact(e).flat_map(|row| &row[channels.clone()]).copied().collect()
                    };
                    let (mut u, dt, z) = (of_group(&u), of_group(&dt), of_group(&z));
                    let bc: Vec<f32> = bc
                        .chunks_exact(row)
                        .flat_map(|bc| [&bc[group * n..][..n], &bc[(groups + group) * n..][..n]].concat())
                        .collect();
                    let eights = a[channels.clone()].chunks_exact(8);
                    let a: Vec<f32> = eights.flat_map(|a| core::iter::repeat_n(a, n).flatten()).copied().collect();
                    let stride = e / groups;
                    Kernels::portable().scan(Scan {
                        u: Columns::new(&mut u, stride),
                        first: 0,
                        dt: &dt,
                        z: &z,
                        stride,
                        bc: &bc,
                        row: 2 * n,
                        a: &a,
                        d: &d[channels.clone()],
                        state: &mut state[channels.start * n..channels.end * n],
                        d_state: n,
                    });
                    for (all, u) in all.chunks_exact_mut(e).zip(u.chunks_exact(stride)) {
                        all[channels.clone()].copy_from_slice(u);
                    }
                }
                all.extend(state.into_iter().map(S::load));
                same(&right, &all, &format!("the selective scan: {tokens} x {e} x {n} / {groups}, kind {kind}"));
            }
        }
    }
}

#[test]
fn ssd_scan_with_a_state_in_f32() {
    ssd_scan::<f32>(12, |x| x);
}

#[test]
fn ssd_scan_with_a_state_in_f16() {
    ssd_scan::<u16>(13, u16::store);
}

#[test]
fn ssd_scan_with_a_state_in_int8() {
    let random = &mut Random(14);
    for kind in 0..=KINDS {
        for (e, n, groups) in SSD_SHAPES {
            let (row, tokens) = (2 * groups * n, 7);
            let u = random.floats(tokens * e, kind);
            let z = random.floats(tokens * e, kind);
            let dt: Vec<f32> = random.floats(tokens * e, kind).iter().map(|x| x.abs()).collect();
            let bc = random.floats(tokens * row, kind % 4);
            let a: Vec<f32> = random.floats(e, kind).iter().map(|a| -a.abs()).collect();
            let (dt, a) = (of_heads(random, dt), of_heads(random, a));
            let d = random.floats(e, 0);
            let state: Vec<i8> = (0..e * (n + 1)).map(|_| (random.bits() as i8).max(-100)).collect();
            // Chunks of any length: the rounding knows the position.
            let run = |kernels: Kernels<'_>, chunk: usize| {
                let (mut all, mut state) = (Vec::new(), state.clone());
                for from in (0..tokens).step_by(chunk) {
                    let to = (from + chunk).min(tokens);
                    let mut u = u[from * e..to * e].to_vec();
                    let scan = SsdScan {
                        u: Columns::new(&mut u, e),
                        first: 0,
                        dt: &dt[from * e..to * e],
                        z: &z[from * e..to * e],
                        stride: e,
                        bc: &bc[from * row..to * row],
                        row,
                        shared: e / groups,
                        a: &a,
                        d: &d,
                        state: &mut state,
                        d_state: n,
                    };
                    kernels.ssd_scan_int8(scan, (1 << 32) - 3 + from as u64);
                    all.extend(u);
                }
                all.extend(state.iter().map(|&x| f32::from(x)));
                all
            };
            let right = run(Kernels::portable(), tokens);
            for kernels in others().into_iter().chain([Kernels::portable()]) {
                for chunk in [1, 3, tokens] {
                    same(&right, &run(kernels, chunk), &format!("{kernels:?}: {chunk} x {e} x {n}, kind {kind}"));
                }
            }
        }
    }
}

#[test]
fn s4d_scan_with_a_state_in_f32() {
    s4d_scan::<f32>(9, |x| x);
}

#[test]
fn s4d_scan_with_a_state_in_f16() {
    s4d_scan::<u16>(10, u16::store);
}

#[test]
fn scan_with_a_state_in_f32() {
    scan::<f32>(6, |x| x);
}

#[test]
fn scan_with_a_state_in_f16() {
    scan::<u16>(7, u16::store);
}

#[test]
fn scan_with_a_state_in_int8() {
    let random = &mut Random(9);
    for kind in 0..=KINDS {
        for (e, n, rank) in [(8, 1, 1), (24, 11, 3), (80, 16, 0), (16, 17, 2), (512, 16, 16)] {
            let row = rank + 2 * n;
            let tokens = 7;
            let u = random.floats(tokens * e, kind);
            let z = random.floats(tokens * e, kind);
            let dt: Vec<f32> = random.floats(tokens * e, kind).iter().map(|x| x.abs()).collect();
            let bc = random.floats(tokens * row, kind % 4);
            let a: Vec<f32> = random.floats(e * n, kind).iter().map(|a| -a.abs()).collect();
            let d = random.floats(e, 0);
            let state: Vec<i8> = (0..e * (n + 1)).map(|_| (random.bits() as i8).max(-100)).collect();
            // Chunks of any length: the rounding knows the position.
            let run = |kernels: Kernels<'_>, chunk: usize| {
                let (mut all, mut state) = (Vec::new(), state.clone());
                for from in (0..tokens).step_by(chunk) {
                    let to = (from + chunk).min(tokens);
                    let mut u = u[from * e..to * e].to_vec();
                    let scan = Scan {
                        u: Columns::new(&mut u, e),
                        first: 0,
                        dt: &dt[from * e..to * e],
                        z: &z[from * e..to * e],
                        stride: e,
                        bc: &bc[from * row..to * row],
                        row,
                        a: &a,
                        d: &d,
                        state: &mut state,
                        d_state: n,
                    };
                    kernels.scan_int8(scan, (1 << 32) - 3 + from as u64);
                    all.extend(u);
                }
                all.extend(state.iter().map(|&x| f32::from(x)));
                all
            };
            let right = run(Kernels::portable(), tokens);
            for kernels in others().into_iter().chain([Kernels::portable()]) {
                for chunk in [1, 3, tokens] {
                    same(&right, &run(kernels, chunk), &format!("{kernels:?}: {chunk} x {e} x {n}, kind {kind}"));
                }
            }
        }
    }
}

#[test]
fn attention() {
    let random = &mut Random(8);
    for kind in 0..=KINDS {
        for dim in [1, 2, 7, 8, 10, 16, 31, 32, 64, 80, 96, 128, 256, 512] {
            for slots in [1, 2, 3, 7, 8, 63, 64, 65, 130, 700] {
                let q = random.floats(dim, kind);
                let (keys, values): (Vec<i8>, Vec<i8>) = (0..slots * dim)
                    .map(|_| {
                        if kind % 2 == 0 {
                            (127, -127)
                        } else {
                            ((random.bits() as i8).max(-127), (random.bits() as i8).max(-127))
                        }
                    })
                    .collect();
                let key_scales: Vec<f32> = random.floats(slots, kind).iter().map(|x| x.abs()).collect();
                let value_scales: Vec<f32> = random.floats(slots, kind).iter().map(|x| x.abs()).collect();
                let any = random.floats(slots, kind);
                let run = |kernels: Kernels<'_>| {
                    let mut query = vec![0; dim];
                    let scale = kernels.quantize_query(&q, &mut query);
                    let mut head = vec![0; dim];
                    let head_scale = kernels.quantize_head(&q, &mut head);
                    let mut scores = vec![0.0; slots];
                    kernels.scores(&query, scale, &keys, &key_scales, &mut scores);
                    let mut all: Vec<f32> = head.iter().map(|&x| f32::from(x)).collect();
                    all.extend([scale, head_scale]);
                    all.extend(&scores);
                    let sum = kernels.softmax(&mut scores);
                    all.extend(&scores);
                    let mut out = vec![9.0; dim];
                    kernels.weighted_values(&mut scores, sum, &values, &value_scales, &mut out);
                    all.extend(&out);
                    // Weights of both signs, which no softmax makes.
                    scores.copy_from_slice(&any);
                    kernels.weighted_values(&mut scores, 3.0, &values, &value_scales, &mut out);
                    all.extend(&out);
                    // Two heads: these weights, and others.
                    let (mut one, mut two, mut other) = (any.clone(), key_scales.clone(), vec![9.0; dim]);
                    let heads = [
                        WeightedHead { weights: &mut one, sum: 3.0, out: &mut out },
                        WeightedHead { weights: &mut two, sum: 0.5, out: &mut other },
                    ];
                    kernels.weighted_values_of_heads(heads, &values, &value_scales);
                    all.extend(&out);
                    all.extend(&other);
                    all
                };
                let right = run(Kernels::portable());
                for kernels in others() {
                    same(&right, &run(kernels), &format!("{kernels:?}: {slots} x {dim}, kind {kind}"));
                }
            }
        }
    }
}

#[test]
fn a_crew_does_every_share_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let pool = jamlet::kernels::WorkerPool::new(3, |_| std::thread::yield_now());
    // More than cores.
    const SHARES: usize = 7;
    let counts = [const { AtomicUsize::new(0) }; SHARES];
    std::thread::scope(|scope| {
        for _ in 1..3 {
            scope.spawn(|| pool.work());
        }
        let count = |share: usize| {
            counts[share].fetch_add(1, Ordering::Relaxed);
        };
        for round in 1..=1000 {
            pool.run(SHARES, &count);
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == round));
        }
        // A task within a task.
        pool.run(3, &|share| {
            if share == 1 {
                pool.run(SHARES, &count);
            }
        });
        // Fewer shares than cores, none, and more than a task can have.
        pool.run(2, &count);
        pool.run(0, &count);
        pool.run(300, &|share| count(share % SHARES));
        pool.dismiss();
    });
    let right = |share: usize| 1001 + usize::from(share < 2) + (0..300).filter(|other| other % SHARES == share).count();
    assert!(counts.iter().enumerate().all(|(share, count)| count.load(Ordering::Relaxed) == right(share)));
}
