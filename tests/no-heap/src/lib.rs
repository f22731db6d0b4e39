//! The whole engine in a program without standard library and without allocator. The compiler refuses to finish such a
//! program if anything in it needs a heap.
#![no_std]

use core::panic::PanicInfo;
use jamlet::summary::Memory;
use jamlet::tokenizer::{Decoder, Encoder};
use jamlet::{
    Beams, Grounding, Model, Options, PromptEncoder, Sampler, SamplerOptions, Session, Summarizer, SummaryOptions,
};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Uses everything, so that nothing is left out.
#[unsafe(no_mangle)]
pub extern "C" fn summarize(image: &'static [u8; 64], workspace: &'static mut [u8; 64]) -> u32 {
    run(image, workspace).unwrap_or(0)
}

fn run(image: &'static [u8], workspace: &'static mut [u8]) -> Option<u32> {
    let model = Model::parse(image).ok()?;
    let mut session = Session::new(&model, Options::window(256), workspace).ok()?;
    let mut encoder = Encoder::<512>::new(model.tokenizer()?);
    encoder.feed(b"text", |id| _ = session.feed(&[id]));
    encoder.finish(|id| _ = session.feed(&[id]));
    let mut sampler = Sampler::new(SamplerOptions { temperature: 1.0, ..SamplerOptions::greedy() });
    let mut length = 0;
    let mut decoder = Decoder::new(model.tokenizer()?, true);
    decoder.push(session.next(&mut sampler).ok()?, |text| length += text.len() as u32);
    let mut grounding = Grounding::new();
    grounding.feed(b"text");
    grounding.finish();
    decoder.push(session.next_grounded(&mut sampler, &mut grounding).ok()?, |text| length += text.len() as u32);
    let mut beams = Beams::<2>::new(64);
    while beams.step(&mut session, Some(&grounding)).ok()? {}
    length += beams.tokens().chain(beams.settled()).count() as u32;
    session.reset();
    let mut encoder = PromptEncoder::<512>::new(&model, model.tokenizer()?);
    encoder.feed(b"text", |id| length += id);
    encoder.finish(|id| length += id);
    let mut memory = Memory::<2, 512>::new();
    let mut summarizer = Summarizer::new(session, &mut memory, SummaryOptions::new()).ok()?;
    let mut print = |piece: &str| length += piece.len() as u32;
    summarizer.feed(b"text", &mut print).ok()?;
    summarizer.finish(&mut print).ok()?;
    #[cfg(feature = "heap")]
    {
        extern crate alloc;
        length += alloc::vec![length].len() as u32;
    }
    Some(length)
}
