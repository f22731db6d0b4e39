//! An image from a stranger, run: a few tokens through whatever parses, by all kernels that this machine has.
//!
//! The last four bytes, which the checksum leaves free, choose options, kernels and sampler.

use jamlet::kernels::Kernels;
use jamlet::{Beams, Eviction, Grounding, Model, Options, Plan, Sampler, SamplerOptions, Session, StateWidth};

use super::{image, snapshot};
use crate::images::AlignedBytes;
use crate::tiny;

/// A larger workspace takes too long.
const MOST: usize = 1 << 16;

/// Runs the bytes as an image.
pub fn run(data: &[u8]) {
    if data.as_ptr().addr().is_multiple_of(16) {
        start(data);
    } else {
        start(AlignedBytes::new(data).get());
    }
}

/// The small images with different last bytes.
pub fn seeds() -> Vec<Vec<u8>> {
    let choices = [0x0000_000b_u32, 0x1234_5679, 0xffff_fff1, 0x8421_7bde];
    tiny::all()
        .into_iter()
        .flat_map(|(_, image)| {
            choices.map(|choice| {
                let mut image = image.clone();
                let end = image.len();
                image[end - 4..].copy_from_slice(&choice.to_le_bytes());
                image
            })
        })
        .collect()
}

fn start(data: &[u8]) {
    let Some(model) = image::model(data) else { return };
    let choices = model.image().checksum();
    let bits = |at: u32, count: u32| choices >> at & ((1 << count) - 1);
    let options = Options {
        window: 1 + bits(0, 3),
        sinks: bits(3, 2),
        chunk: 1 + 2 * bits(5, 1),
        state: [StateWidth::F32, StateWidth::F16, StateWidth::I8, StateWidth::I8][bits(6, 2) as usize],
        eviction: if bits(31, 1) == 0 { Eviction::Window } else { Eviction::HeavyHitters { recent: 1 + bits(29, 2) } },
        heads_at_once: 1 + bits(10, 2),
        beams: 1 + bits(12, 2),
    };
    let Ok(plan) = Plan::new(data, options) else { return };
    if plan.bytes() > MOST {
        return;
    }
    let kernels: Vec<_> = Kernels::all().collect();
    let kernels = kernels[bits(8, 2) as usize % kernels.len()];
    let mut workspace = AlignedBytes::zeros(plan.bytes());
    assert!(Session::new(&model, options, &mut workspace.get_mut()[16..]).is_err(), "too small a workspace");
    let session = Session::with_kernels(&model, options, workspace.get_mut(), kernels);
    decode(&model, session.expect("a planned workspace"), choices);
}

fn decode(model: &Model<'_>, mut session: Session<'_, '_>, choices: u32) {
    let bits = |at: u32, count: u32| choices >> at & ((1 << count) - 1);
    let vocab = model.header().vocab;
    let mut sampler = Sampler::new(SamplerOptions {
        temperature: [0.0, 1.0, f32::NAN, 1e-30][bits(10, 2) as usize],
        top_k: [0, 1, 3, usize::MAX][bits(12, 2) as usize],
        top_p: [1.0, 0.5, f32::NAN, -1.0][bits(14, 2) as usize],
        min_p: [0.0, 0.5, f32::NAN, 2.0][bits(16, 2) as usize],
        repetition_penalty: [1.0, 1.5, 0.0, f32::INFINITY][bits(18, 2) as usize],
        no_repeat_ngram: [0, 1, 3, usize::MAX][bits(20, 2) as usize],
        seed: choices.into(),
    });
    assert!(session.next(&mut sampler).is_err(), "nothing was fed");
    assert!(session.feed(&[vocab]).is_err(), "no such token");
    // Only where a state for these options is baked in.
    std::hint::black_box(session.start_baked());
    let tokens = [0, 1, 2, 3, 4].map(|i| bits(22, 10).wrapping_add(i) % vocab);
    session.feed(&tokens).expect("known tokens");
    for _ in 0..2 {
        let token = session.next(&mut sampler).expect("a token");
        assert!(token < vocab, "the sampler chose token {token} of {vocab}");
    }
    let mut grounding = Grounding::new();
    grounding.feed(&choices.to_le_bytes());
    grounding.finish();
    for _ in 0..2 {
        let token = session.next_grounded(&mut sampler, &mut grounding).expect("a token");
        assert!(token < vocab, "the sampler chose token {token} of {vocab}");
    }
    let mut beams = Beams::<4>::new(3);
    while beams.step(&mut session, (bits(1, 1) == 0).then_some(&grounding)).expect("something was fed") {}
    assert!(beams.tokens().all(|token| token < vocab) && beams.tokens().eq(beams.settled()));
    if bits(0, 6) == 0 {
        let saved = snapshot::save(&mut session);
        session.reset();
        session.restore(&saved).expect("its own state");
    }
    let mut count = 0;
    session.logits(|first, block| count = first + block.len()).expect("logits");
    assert_eq!(count, vocab as usize);
}
