//! Summarizes standard input with a model that is mapped from its file, so that only the pages that are read take memory:
//! `cargo run --release -p jamlet-tools --example mapped -- IMAGE < TEXT`.
//!
//! It needs the crates jamlet and memmap2 alone.

use jamlet::summary::{Memory, Summarizer, SummaryOptions};
use jamlet::{Model, Options, Plan, Session};
use memmap2::{Mmap, MmapMut};
use std::error::Error;
use std::fs::File;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let image = std::env::args().nth(1).ok_or("usage: mapped IMAGE < TEXT")?;
    // SAFETY: the file must not change while it is mapped: replace it by renaming another file over it.
    let image = unsafe { Mmap::map(&File::open(image)?)? };
    let model = Model::parse(&image)?;

    let options = Options::window(256).beams(2);
    let mut workspace = MmapMut::map_anon(Plan::new(&image, options)?.bytes())?;
    let session = Session::new(&model, options, &mut workspace)?;
    let mut memory = Memory::<2, 256>::new();
    let mut summarizer = Summarizer::new(session, &mut memory, SummaryOptions::new())?;

    // The text is read as it comes, so it may be longer than memory.
    let mut print = |piece: &str| print!("{piece}");
    let (mut input, mut piece) = (std::io::stdin().lock(), [0; 4096]);
    loop {
        match input.read(&mut piece)? {
            0 => break,
            count => summarizer.feed(&piece[..count], &mut print)?,
        }
    }
    summarizer.finish(&mut print)?;
    println!();
    Ok(())
}
