//! Tests and measures the engine's kernels, as the boards do.

use jamlet_kernels::{bench, equal};
use jamlet_linux::Hints;

fn main() {
    let mut report = String::new();
    // A String takes everything.
    let _ = bench::run(&mut Hints, &mut report);
    println!("{report}measured");
    for (name, test) in equal::ALL {
        test();
        println!("equal {name}");
    }
    println!("end");
}
