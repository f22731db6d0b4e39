//! Runs a case of the conformance suite as so many cores would, one share of their work after the other, and marks each share for
//! whoever counts instructions.

use jamlet::kernels::{Executor, Kernels};
use jamlet_app::conformance::{Case, Marks, run_with};
use jamlet_linux::{Hints, Lines, read, share_begins, share_ends};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Cores of which one does everything.
struct Counting {
    cores: usize,
    sections: Mutex<Sections>,
}

/// How many shares each task had that was given to the cores.
#[derive(Default)]
struct Sections {
    /// Which of `shares` grows, if the run is in a region: prefill, decoded tokens.
    region: Option<usize>,
    shares: [Vec<usize>; 2],
}

impl Counting {
    fn enter(&self, region: Option<usize>) {
        self.sections.lock().unwrap_or_else(PoisonError::into_inner).region = region;
    }

    /// Notes a task; whether it is in a region.
    fn note(&self, shares: usize) -> bool {
        let sections = &mut *self.sections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_region) = sections.region.and_then(|region| sections.shares.get_mut(region)) else { return false };
        of_region.push(shares);
        true
    }
}

impl Executor for Counting {
    fn cores(&self) -> usize {
        self.cores
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        let marked = self.note(shares);
        for share in 0..shares {
            if marked {
                share_begins();
            }
            task(share);
            if marked {
                share_ends();
            }
        }
    }
}

/// The marks of prefill and tokens, of which the cores learn.
struct Regions<'a>(&'a Counting);

impl Marks for Regions<'_> {
    fn prefill_begins(&mut self) {
        self.0.enter(Some(0));
        Hints.prefill_begins();
    }

    fn prefill_ends(&mut self) {
        Hints.prefill_ends();
        self.0.enter(None);
    }

    fn token_begins(&mut self) {
        self.0.enter(Some(1));
        Hints.token_begins();
    }

    fn token_ends(&mut self) {
        Hints.token_ends();
        self.0.enter(None);
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next();
    let cores = arguments.next().and_then(|cores| cores.to_str()?.parse().ok());
    let (Some(path), Some(cores)) = (path, cores) else {
        eprintln!("usage: cores CASE NUMBER");
        return ExitCode::FAILURE;
    };
    let blob = match read(&path) {
        Ok(blob) => blob,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut workspace = Lines::zeros(32 << 20);
    let Some(mut case) = Case::parse(blob.bytes()) else {
        eprintln!("no case in the file");
        return ExitCode::FAILURE;
    };
    // As the host's program has it: see host-tools/src/cores.rs.
    case.options = case.options.heads_at_once(2 * cores as u32);
    let counting = Counting { cores, sections: Mutex::default() };
    let kernels = Kernels::detect().on_cores(&counting);
    let mut report = String::new();
    // A String takes everything.
    let _ = run_with(&case, workspace.bytes_mut(), kernels, &mut Regions(&counting), &mut report);
    for (name, shares) in
        ["prefill", "decode"].iter().zip(&counting.sections.lock().unwrap_or_else(PoisonError::into_inner).shares)
    {
        let shares: Vec<String> = shares.iter().map(usize::to_string).collect();
        report += &format!("shares {name} {}\n", shares.join(" "));
    }
    println!("{report}end");
    ExitCode::SUCCESS
}
