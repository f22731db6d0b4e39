//! No kernel and no cast touches memory that it wasn't given: every input and output ends, or begins, at a page that the
//! processor refuses to read and write. One byte too far is a crash of this test.
//!
//! Buffers have the lengths that the engine gives them, and, since kernels are safe functions, any others. What kernels
//! compute from buffers that fit is compared with the portable ones, so that under valgrind nothing uninitialised may
//! have gone into it. `JAMLET_GUARDED_CASES` says how many cases of each there are.

mod random;

use jamlet::kernels::{Columns, Kernels, Quantized, Scan, SsdScan, StateScalar};
use jamlet::matrix::{Bits, QMatrix, groups, padded_cols};
use jamlet::{Model, Options, Plan, Sampler, Session, StateWidth};
use random::Random;
use region::{Allocation, Protection};

/// Memory between two pages that nobody may touch.
struct Pages {
    all: Allocation,
    length: usize,
}

impl Pages {
    fn new(bytes: usize) -> Self {
        let page = region::page::size();
        let length = bytes.next_multiple_of(page).max(page);
        let mut all = region::alloc(length + 2 * page, Protection::READ_WRITE).unwrap();
        let start: *mut u8 = all.as_mut_ptr();
        for guard in [start, start.wrapping_add(page + length)] {
            // SAFETY: the page is part of the allocation, and nothing refers to it.
            unsafe { region::protect(guard, page, Protection::NONE).unwrap() };
        }
        Self { all, length }
    }

    /// `content` with its last byte before the upper guard, or its first byte after the lower one.
    fn place<T: bytemuck::Pod>(&mut self, content: &[T], at_end: bool) -> &mut [T] {
        let bytes = size_of_val(content);
        assert!(bytes <= self.length);
        let first = region::page::size() + if at_end { self.length - bytes } else { 0 };
        let start = self.all.as_mut_ptr::<u8>().wrapping_add(first);
        // SAFETY: inside the allocation, between the guards, and borrowed with it.
        let place = unsafe { std::slice::from_raw_parts_mut(start, bytes) };
        place.copy_from_slice(bytemuck::cast_slice(content));
        bytemuck::cast_slice_mut(place)
    }
}

/// What the tests draw.
trait Draw {
    fn floats(&mut self, count: usize) -> Vec<f32>;
    fn bytes(&mut self, count: usize) -> Vec<u8>;
    fn near(&mut self, right: usize) -> usize;
}

impl Draw for Random {
    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.between(-4.0, 4.0)).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// A length that was meant to be `right`: mostly it isn't.
    fn near(&mut self, right: usize) -> usize {
        match self.below(4) {
            0 => right,
            1 => self.below(right + 1),
            2 => right + self.below(40),
            _ => self.below(20),
        }
    }
}

/// Cases of each kind.
fn cases() -> u64 {
    std::env::var("JAMLET_GUARDED_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

/// The largest buffer of a case, in bytes.
const MOST: usize = 1 << 18;

/// Six places that guard what is in them.
struct Places([Pages; 6]);

impl Places {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Pages::new(MOST)))
    }
}

/// Runs a kernel with guarded buffers, on every instruction set, at both ends of the pages.
fn everywhere<R: PartialEq + std::fmt::Debug>(mut run: impl FnMut(Kernels<'static>, bool) -> R, right: bool) {
    let mut first = None;
    for kernels in Kernels::all() {
        for at_end in [false, true] {
            let found = run(kernels, at_end);
            let first = first.get_or_insert_with(|| run(Kernels::portable(), at_end));
            assert!(!right || *first == found, "{}: {first:?} {found:?}", kernels.name());
        }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    // A NaN's sign and payload are the processor's.
    x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// Every kernel, with buffers that fit (`right`) or don't.
fn kernels(right: bool) {
    let random = &mut Random(if right { 1 } else { 2 });
    let mut places = Places::new();
    let Places([p0, p1, p2, p3, p4, p5]) = &mut places;
    for _ in 0..cases() {
        let mut length = |of: usize| if right { of } else { random.near(of) };
        let n = length(40);
        let (m, o) = (length(n), length(n));
        let n = if right { 1 + random.below(70) } else { n };
        let (m, o) = if right { (n, n) } else { (m, o) };
        let (x, y, z) = (random.floats(n), random.floats(m), random.floats(o));
        let group = [8, 16, 32, 64, 24][random.below(5)];

        // One row.
        everywhere(
            |k, end| {
                let (x, y, z) = (p0.place(&x, end), p1.place(&y, end), p2.place(&z, end));
                k.rms_norm(x, y, 1e-5, z);
                k.rms_norm_in_place(x, y, 1e-5);
                k.swiglu(y, x);
                k.softplus_bias(x, y);
                let dot = k.dot(x, z);
                (bits(x), bits(y), bits(z), bits(&[dot]))
            },
            right,
        );
        let (cols, wanted) = (padded_cols(n), groups(n, group));
        let (cols, wanted) = if right { (cols, wanted) } else { (random.near(cols), random.near(wanted)) };
        everywhere(
            |k, end| {
                let (x, values, scales) =
                    (p0.place(&x, end), p1.place(&vec![1i8; cols], end), p2.place(&vec![1.0f32; wanted], end));
                k.quantize(x, group, values, scales);
                let query = p3.place(&vec![1i16; m], end);
                let head = p4.place(&vec![1i8; o], end);
                let (q, h) = (k.quantize_query(x, query), k.quantize_head(x, head));
                let sum = k.softmax(x);
                (bits(x), values.to_vec(), bits(scales), query.to_vec(), head.to_vec(), bits(&[q, h, sum]))
            },
            right,
        );

        // A matrix product.
        let (rows, cols, tokens) = (1 + random.below(40), 1 + random.below(200), 1 + random.below(18));
        let padded = padded_cols(cols);
        let mut length = |of: usize| if right { of } else { random.near(of) };
        // Half of the time in groups of 32, for which alone there are fast kernels with 4 bits.
        let (wide, group) =
            [(Bits::Eight, group), (Bits::Four, 32), (Bits::Eight, group), (Bits::Four, group)][tokens % 4];
        let weights = length(rows.div_ceil(8) * wide.tile_bytes(cols, group));
        let (values, scales) = (length(tokens * padded), length(tokens * groups(cols, group)));
        let (out, x_cols, x_group) = (length(tokens * rows), length(padded), length(group));
        let weights: Vec<u8> = random.bytes(weights);
        let values: Vec<i8> = random.bytes(values).into_iter().map(|byte| (byte as i8).max(-127)).collect();
        let scales = random.floats(scales);
        everywhere(
            |k, end| {
                let w = QMatrix::new(p0.place(&weights, end), wide, rows, cols, group);
                let (values, scales) = (p1.place(&values, end), p2.place(&scales, end));
                let out = p3.place(&vec![0.5f32; out], end);
                k.matmul(&w, &Quantized { values, scales, cols: x_cols, group: x_group }, out);
                let row = p4.place(&vec![0.5f32; x_cols], end);
                w.dequantize_row(rows - 1, row);
                (bits(out), bits(row))
            },
            right,
        );

        // The convolution.
        let (channels, taps) = (8 * (1 + random.below(9)), 1 + random.below(5));
        let mut length = |of: usize| if right { of } else { random.near(of) };
        let lengths = [tokens * channels, taps * channels, channels, (taps - 1) * channels].map(&mut length);
        let [u, weight, bias, history] = lengths.map(|length| random.floats(length));
        everywhere(
            |k, end| {
                let (u, history) = (p0.place(&u, end), p1.place(&history, end));
                k.conv_silu(u, p2.place(&weight, end), p3.place(&bias, end), history);
                (bits(u), bits(history))
            },
            right,
        );

        // The cache.
        let (dim, slots) = (1 + random.below(70), 1 + random.below(150));
        let mut length = |of: usize| if right { of } else { random.near(of) };
        let [keys, key_scales, q, out] = [slots * dim, slots, dim, slots].map(&mut length);
        let (keys, key_scales) = (random.bytes(keys), random.floats(key_scales));
        let keys: Vec<i8> = keys.into_iter().map(|byte| (byte as i8).max(-127)).collect();
        let q: Vec<i16> = (0..q).map(|_| (random.bits() as i16).max(-32767)).collect();
        everywhere(
            |k, end| {
                let (keys, key_scales) = (p0.place(&keys, end), p1.place(&key_scales, end));
                let scores = p2.place(&vec![0.5f32; out], end);
                k.scores(p3.place(&q, end), 0.1, keys, key_scales, scores);
                let found = bits(scores);
                let mixed = p4.place(&vec![0.5f32; q.len()], end);
                k.weighted_values(scores, 2.0, keys, key_scales, mixed);
                (found, bits(scores), bits(mixed))
            },
            right,
        );

        // The scan, in both widths.
        let (n, rank, e) = ([1, 4, 16, 40][random.below(4)], random.below(9), 8 * (1 + random.below(4)));
        let row = rank + 2 * n;
        let mut length = |of: usize| if right { of } else { random.near(of) };
        let lengths = [tokens * e, tokens * e, tokens * e, tokens * row, e * n, e].map(&mut length);
        let [state, stride, d_state, bc_row, first] =
            [length(e * n), length(e), length(n), length(row), if right { 0 } else { length(0) }];
        let [u, dt, z, bc, a, d] = lengths.map(|length| random.floats(length));
        let a: Vec<f32> = a.iter().map(|a| -a.abs()).collect();
        let shape = [first, stride, d_state, bc_row, e];
        let mut pages = [&mut *p0, &mut *p1, &mut *p2, &mut *p3, &mut *p4, &mut *p5];
        everywhere(|k, end| scan::<f32>(k, end, [&u, &dt, &z, &bc, &a, &d], state, shape, &mut pages), right);
        everywhere(|k, end| scan::<u16>(k, end, [&u, &dt, &z, &bc, &a, &d], state, shape, &mut pages), right);

        // The scan of Mamba-2, likewise.
        let (groups, shared) = (1 + random.below(3), 8 * (1 + random.below(4)));
        let (e, row) = (groups * shared, 2 * groups * n + rank);
        let mut length = |of: usize| if right { of } else { random.near(of) };
        let lengths = [tokens * e, tokens * e, tokens * e, tokens * row, e, e].map(&mut length);
        let [state, stride, d_state, bc_row, shared, first] =
            [length(e * n), length(e), length(n), length(row), length(shared), if right { 0 } else { length(0) }];
        let [u, dt, z, bc, a, d] = lengths.map(|length| random.floats(length));
        let a: Vec<f32> = a.iter().map(|a| -a.abs()).collect();
        let shape = [first, stride, d_state, bc_row, e, shared];
        let mut pages = [&mut *p0, &mut *p1, &mut *p2, &mut *p3, &mut *p4, &mut *p5];
        everywhere(|k, end| ssd_scan::<f32>(k, end, [&u, &dt, &z, &bc, &a, &d], state, shape, &mut pages), right);
        everywhere(|k, end| ssd_scan::<u16>(k, end, [&u, &dt, &z, &bc, &a, &d], state, shape, &mut pages), right);
    }
}

/// The scan of Mamba-2 with all but D guarded.
fn ssd_scan<S: StateScalar>(
    k: Kernels<'_>,
    end: bool,
    [u, dt, z, bc, a, d]: [&[f32]; 6],
    state: usize,
    [first, stride, d_state, row, columns, shared]: [usize; 6],
    [p0, p1, p2, p3, p4, p5]: &mut [&mut Pages; 6],
) -> (Vec<u32>, Vec<u32>) {
    let u = p0.place(u, end);
    let state = p1.place(&vec![S::store(0.25); state], end);
    let (dt, z, bc, a) = (p2.place(dt, end), p3.place(z, end), p4.place(bc, end), p5.place(a, end));
    k.ssd_scan(SsdScan { u: Columns::new(u, columns), first, dt, z, stride, bc, row, shared, a, d, state, d_state });
    (bits(u), state.iter().map(|h| h.load().to_bits()).collect())
}

/// The scan with all but D guarded.
fn scan<S: StateScalar>(
    k: Kernels<'_>,
    end: bool,
    [u, dt, z, bc, a, d]: [&[f32]; 6],
    state: usize,
    [first, stride, d_state, row, columns]: [usize; 5],
    [p0, p1, p2, p3, p4, p5]: &mut [&mut Pages; 6],
) -> (Vec<u32>, Vec<u32>) {
    let u = p0.place(u, end);
    let state = p1.place(&vec![S::store(0.25); state], end);
    let (dt, z, bc, a) = (p2.place(dt, end), p3.place(z, end), p4.place(bc, end), p5.place(a, end));
    k.scan(Scan { u: Columns::new(u, columns), first, dt, z, stride, bc, row, a, d, state, d_state });
    (bits(u), state.iter().map(|h| h.load().to_bits()).collect())
}

#[test]
fn kernels_stay_in_buffers_that_fit() {
    kernels(true);
}

#[test]
fn kernels_stay_in_buffers_of_any_length() {
    kernels(false);
}

/// A model in memory that ends where its image does, in a workspace of exactly the planned size.
#[test]
fn a_session_stays_in_image_and_workspace() {
    let image = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../host-tools/models/nano.jamlet")).unwrap();
    let tokens = if cases() < 100 { 3 } else { 12 };
    let mut pages = Pages::new(image.len());
    // An image's length is a multiple of 4 only, so it can't both be aligned and end at the guard: the rest is canaries.
    let padded = [&image[..], &vec![0xA5; image.len().next_multiple_of(16) - image.len()]].concat();
    let image = &pages.place(&padded, true)[..image.len()];
    let model = Model::parse(image).unwrap();
    for kernels in Kernels::all() {
        for state in [StateWidth::F32, StateWidth::F16] {
            let options = Options::window(6).chunk(4).state(state);
            let plan = Plan::new(image, options).unwrap();
            let mut pages = Pages::new(plan.bytes());
            let workspace = pages.place(&vec![0xA5; plan.bytes()], true);
            let mut session = Session::with_kernels(&model, options, workspace, kernels).unwrap();
            session.feed(&(1..tokens).collect::<Vec<_>>()).unwrap();
            let next = session.next(&mut Sampler::greedy()).unwrap();
            let mut snapshots = Pages::new(plan.snapshot_bytes());
            let place = snapshots.place(&vec![0; plan.snapshot_bytes()], true);
            let length = session.snapshot(place).unwrap();
            session.reset();
            session.restore(&place[..length]).unwrap();
            assert!(next < model.header().vocab);
        }
    }
}

/// Where memory isn't aligned, that is an error with a name, never a fault.
#[test]
fn misaligned_memory_is_refused_by_name() {
    let image = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../host-tools/models/nano.jamlet")).unwrap();
    let mut pages = Pages::new(image.len() + 64);
    let padded = pages.place(&vec![0u8; image.len() + 64], false);
    for shift in [1, 2, 4, 8] {
        padded[shift..shift + image.len()].copy_from_slice(&image);
        let error = Model::parse(&padded[shift..shift + image.len()]).unwrap_err();
        assert_eq!(error, jamlet::ImageError::Misaligned);
    }
    padded[..image.len()].copy_from_slice(&image);
    let model = Model::parse(&padded[..image.len()]).unwrap();
    let plan = Plan::new(&image, Options::window(6)).unwrap();
    let mut pages = Pages::new(plan.bytes() + 16);
    let workspace = pages.place(&vec![0u8; plan.bytes() + 16], false);
    for shift in [1, 2, 4, 8] {
        let error = Session::new(&model, plan.options, &mut workspace[shift..]).err().unwrap();
        assert!(matches!(error, jamlet::SessionError::Workspace { aligned: false, .. }), "{error}");
    }
}

/// The guards guard: a process that reads one byte too far dies of it. (An emulated process can't start itself anew, so
/// who runs this in an emulator leaves it out.)
#[test]
fn a_byte_too_far_is_a_crash() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "JAMLET_GUARDED_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let mut pages = Pages::new(8);
        let end = pages.place(&[0u8; 8], true).as_ptr_range().end;
        // SAFETY: none; this must not end well.
        std::hint::black_box(unsafe { end.read_volatile() });
        return;
    }
    let test = std::env::current_exe().unwrap();
    let run = std::process::Command::new(test).args(["a_byte_too_far_is_a_crash", "--exact"]).env(CHILD, "1").output();
    assert_eq!(run.unwrap().status.signal(), Some(11));
}
