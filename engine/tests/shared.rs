//! Outputs that several cores write at once, each its own part: small enough for Miri, which sees every pointer.

use jamlet::kernels::{Columns, Executor, Kernels, Quantized, Scan};
use jamlet::matrix::{Bits, QMatrix};

/// Three cores, as a thread each.
struct Threads;

impl Executor for Threads {
    fn cores(&self) -> usize {
        3
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| (0..shares).for_each(|share| drop(scope.spawn(move || task(share)))));
    }
}

/// An executor that is wrong: two threads do each share, and some that there are none for.
struct Careless;

impl Executor for Careless {
    fn cores(&self) -> usize {
        3
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for share in (0..shares).chain(0..shares).chain([shares, 64, usize::MAX]) {
                scope.spawn(move || task(share));
            }
        });
    }
}

/// Large enough to be shared, small enough to be interpreted.
const ROWS: usize = 260;
const COLS: usize = 64;

#[test]
fn a_matrix_product_on_three_cores() {
    let bytes: Vec<u8> =
        (0..ROWS.div_ceil(8) * jamlet::matrix::tile_bytes(COLS, COLS)).map(|i| (i % 61) as u8).collect();
    let w = QMatrix::new(&bytes, Bits::Eight, ROWS, COLS, COLS);
    let values: Vec<i8> = (0..2 * COLS).map(|i| (i % 120) as i8).collect();
    let x = Quantized { values: &values, scales: &[0.5, 0.25], cols: COLS, group: COLS };
    let product = |kernels: Kernels<'_>| {
        let mut out = vec![0.0; 2 * ROWS];
        kernels.matmul(&w, &x, &mut out);
        out
    };
    assert_eq!(product(Kernels::portable()), product(Kernels::portable().on_cores(&Threads)));
    assert_eq!(product(Kernels::portable()), product(Kernels::portable().on_cores(&Careless)));
}

#[test]
fn a_scan_on_three_cores() {
    const E: usize = 72;
    const N: usize = 57;
    let numbers = |count: usize| -> Vec<f32> { (0..count).map(|i| (i % 7) as f32 * 0.25 - 0.75).collect() };
    let scan = |kernels: Kernels<'_>| {
        let (mut u, mut state) = (numbers(E), numbers(E * N));
        let (dt, z, bc, a, d) = (numbers(E), numbers(E), numbers(1 + 2 * N), vec![-0.5; E * N], numbers(E));
        let scan = Scan {
            u: Columns::new(&mut u, E),
            first: 0,
            dt: &dt,
            z: &z,
            stride: E,
            bc: &bc,
            row: 1 + 2 * N,
            a: &a,
            d: &d,
            state: &mut state,
            d_state: N,
        };
        kernels.scan(scan);
        (u, state)
    };
    assert_eq!(scan(Kernels::portable()), scan(Kernels::portable().on_cores(&Threads)));
}
