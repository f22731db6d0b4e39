//! Runs the tests of the kernels, and cases of the conformance suite, where WebAssembly runs: `targets/web/tests` calls it.
#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::arch::wasm32;
use core::panic::PanicInfo;
use dlmalloc::GlobalDlmalloc;
use jamlet_app::conformance::{Case, run};
use jamlet_kernels::equal;
use spin::Mutex;

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Bytes on a multiple of 64, as an image and a workspace must lie.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

const NO_LINE: Line = Line([0; 64]);
/// Bytes of workspace: more than any case needs.
const WORKSPACE: usize = 16 << 20;

/// The case, and its bytes.
static CASE: Mutex<(Vec<Line>, usize)> = Mutex::new((Vec::new(), 0));

// SAFETY: the page or Node gives functions that only read the bytes named.
unsafe extern "C" {
    /// A piece of the report.
    safe fn said(text: *const u8, bytes: usize);
}

/// Room for a case, where the caller writes it.
#[unsafe(no_mangle)]
extern "C" fn place(bytes: usize) -> *mut u8 {
    let mut case = CASE.lock();
    *case = (vec![NO_LINE; bytes.div_ceil(64)], bytes);
    case.0.as_mut_ptr().cast()
}

/// Runs the case.
#[unsafe(no_mangle)]
extern "C" fn run_case() {
    let case = CASE.lock();
    let blob = bytemuck::cast_slice(&case.0).get(..case.1).unwrap_or(&[]);
    let mut workspace = vec![NO_LINE; WORKSPACE / 64];
    let mut report = String::new();
    match Case::parse(blob) {
        // A String takes everything.
        Some(case) => drop(run(&case, bytemuck::cast_slice_mut(&mut workspace), &mut (), &mut report)),
        None => report.push_str("error no case in the file\n"),
    }
    report.push_str("end\n");
    say(&report);
}

/// Runs the test of this number and says its name; 0 where there is none.
#[unsafe(no_mangle)]
extern "C" fn run_test(index: usize) -> u32 {
    let Some((name, test)) = equal::ALL.get(index) else { return 0 };
    say(name);
    test();
    1
}

/// Says which kernels run.
#[unsafe(no_mangle)]
extern "C" fn kernels() {
    say(jamlet::kernels::Kernels::detect().name());
}

fn say(text: &str) {
    said(text.as_ptr(), text.len());
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(&info.to_string());
    wasm32::unreachable()
}
