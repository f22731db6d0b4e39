//! Summarizes a text file: `cargo run --release -p jamlet --example summarize -- IMAGE TEXT`.

use jamlet::summary::{Memory, Summarizer, SummaryOptions};
use jamlet::{Model, Options, Plan, Session};
use std::error::Error;
use std::{env, fs};

/// An image lies at a multiple of 64 bytes, and a workspace of 16, which a `Vec` doesn't promise.
const ALIGN: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [image, text] = &arguments[..] else { return Err("usage: summarize IMAGE TEXT".into()) };
    let (file, text) = (fs::read(image)?, fs::read(text)?);

    let mut image = vec![0; file.len() + ALIGN];
    let image = aligned(&mut image, file.len());
    image.copy_from_slice(&file);
    let model = Model::parse(image)?;

    let options = Options::window(256).beams(2);
    let bytes = Plan::new(image, options)?.bytes();
    let mut workspace = vec![0; bytes + ALIGN];
    let session = Session::new(&model, options, aligned(&mut workspace, bytes))?;
    let mut memory = Memory::<2, 256>::new();
    let mut summarizer = Summarizer::new(session, &mut memory, SummaryOptions::new())?;

    let mut print = |piece: &str| print!("{piece}");
    summarizer.feed(&text, &mut print)?;
    summarizer.finish(&mut print)?;
    println!();
    Ok(())
}

fn aligned(bytes: &mut [u8], length: usize) -> &mut [u8] {
    let start = bytes.as_ptr().align_offset(ALIGN);
    &mut bytes[start..start + length]
}
