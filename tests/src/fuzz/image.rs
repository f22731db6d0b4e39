//! An image from a stranger: parsing, and every accessor of what parses. The checksum counts as right, as someone who
//! means harm would make it, but for one image in eight.

use std::fmt::{Display, Write};

use jamlet::image::{Role, crc, features};
use jamlet::matrix::QMatrix;
use jamlet::model::{FfnWeights, Mixer, MixerWeights, MlpWeights, SsmWeights};
use jamlet::{Model, Options, Plan, PromptEncoder};

use crate::images::AlignedBytes;
use crate::tiny;

/// Parses the bytes as an image.
pub fn run(data: &[u8]) {
    if data.as_ptr().addr().is_multiple_of(16) {
        // As they are: a fuzzer's copy ends where its bytes end, and what lies behind is guarded.
        parse(data);
    } else {
        parse(AlignedBytes::new(data).get());
    }
}

/// The small images.
pub fn seeds() -> Vec<Vec<u8>> {
    tiny::all().into_iter().map(|(_, image)| image).collect()
}

/// A model from bytes whose checksum counts as right, mostly.
pub fn model(image: &[u8]) -> Option<Model<'_>> {
    let stored = image.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let sum = |content: &[u8]| if stored.is_multiple_of(8) { crc::checksum(content) } else { stored };
    Model::parse_with(image, sum).inspect_err(show).ok()
}

fn parse(image: &[u8]) {
    for options in [Options::window(5), Options::window(1 << 24).sinks(1 << 16).chunk(1 << 12)] {
        match Plan::new(image, options) {
            Ok(plan) => assert!(plan.parts().scratch <= plan.bytes() && plan.snapshot_bytes() > 0),
            Err(error) => show(&error),
        }
    }
    if let Some(model) = model(image) {
        use_all(&model);
    }
}

/// Writes a message and throws it away.
pub fn show(message: &impl Display) {
    struct Nowhere;
    impl Write for Nowhere {
        fn write_str(&mut self, _: &str) -> std::fmt::Result {
            Ok(())
        }
    }
    write!(Nowhere, "{message}").expect("a message can be written");
}

/// Every accessor, with indices that are there and that are not.
fn use_all(model: &Model<'_>) {
    let (image, header) = (model.image(), *model.header());
    let mut total = image.bytes().len() - 4;
    for (expected, section) in image.sections() {
        assert_eq!(expected.shape.unwrap_or((1, section.cols as u32)), (section.rows as u32, section.cols as u32));
        total = total.checked_sub(section.bytes.len()).expect("sections fit the image");
    }
    for index in [header.sections, header.sections + 1, u32::MAX / 32, u32::MAX] {
        assert!(image.section(index).bytes.is_empty(), "section {index} of {}", header.sections);
    }
    for role in [Role::Embedding, Role::Head, Role::Provenance, Role::MambaA] {
        std::hint::black_box(image.model_section(role));
    }
    assert!(image.layer(header.layers).is_none() && image.layer(u32::MAX).is_none());
    let hidden = header.hidden as usize;
    assert_eq!(model.final_norm().len(), hidden);
    assert_eq!((model.embedding().rows(), model.head().rows()), (header.vocab as usize, header.vocab as usize));
    matrix(&model.embedding(), hidden);
    matrix(&model.head(), hidden);
    let mut layers = 0;
    for layer in model.layers() {
        layers += 1;
        assert_eq!(layer.mixer_norm.len(), hidden);
        let inner = header.d_inner as usize;
        match layer.mixer {
            MixerWeights::Mamba(w) => {
                [w.in_x, w.in_z].iter().for_each(|weights| matrix(weights, hidden));
                matrix(&w.out, inner);
                let states = inner * header.d_state as usize;
                match w.ssm {
                    SsmWeights::Selective(s) => {
                        matrix(&s.x_proj, inner);
                        matrix(&s.dt_proj, header.dt_rank as usize);
                        assert_eq!((s.a.len(), s.dt_bias.len()), (states, inner));
                        let norms = s.norms.iter().map(|norm| norm.len()).sum::<usize>();
                        let all = (header.dt_rank + 2 * header.d_state) as usize;
                        assert_eq!(norms, if header.has(features::PLAIN_MAMBA) { 0 } else { all });
                    }
                    SsmWeights::Constant(s) => {
                        assert_eq!((s.decay.len(), s.b.len(), s.c.len()), (states, states, states));
                    }
                }
                assert_eq!(w.conv.len(), (header.d_conv as usize) * inner);
                assert!(w.in_bias.len() == 2 * w.out_bias.len() / hidden * inner);
                assert_eq!((w.conv_bias.len(), w.d.len()), (inner, inner));
            }
            MixerWeights::Mamba2(w) => {
                let (inner, bc) = (header.d_inner as usize, w.in_bc.rows());
                [w.in_x, w.in_z, w.in_bc, w.in_dt].iter().for_each(|weights| matrix(weights, hidden));
                matrix(&w.out, inner);
                assert!(w.in_x.rows() == inner && inner.is_multiple_of(8) && bc.is_multiple_of(8));
                assert!(bc >= 2 * (header.ssm_groups * header.d_state) as usize);
                assert_eq!(
                    (w.conv.len(), w.bc_conv.len()),
                    (header.d_conv as usize * inner, header.d_conv as usize * bc)
                );
                assert_eq!((w.conv_bias.len(), w.bc_conv_bias.len()), (inner, bc));
                assert_eq!(
                    (w.in_bias.len(), w.bc_bias.len() * hidden),
                    (2 * w.out_bias.len() / hidden * inner, bc * w.out_bias.len())
                );
                assert_eq!((w.a.len(), w.d.len(), w.norm.len()), (inner, inner, inner));
                assert_eq!((w.dt_bias.len(), w.in_dt.rows()), (header.ssm_heads as usize, header.ssm_heads as usize));
                assert!(header.step_limit[0] >= 0.0 && header.step_limit[0] <= header.step_limit[1]);
            }
            MixerWeights::Attention(w) => {
                [w.q, w.k, w.v].iter().for_each(|weights| matrix(weights, hidden));
                matrix(&w.o, (header.heads * header.head_dim) as usize);
            }
        }
        match layer.ffn {
            FfnWeights::None => {}
            FfnWeights::Mlp { norm, mlp: weights } => mlp(norm.len() - hidden, &weights, hidden),
            FfnWeights::Moe { norm, moe } => {
                assert_eq!(moe.router.len(), header.experts as usize * norm.len());
                assert_eq!(moe.experts.shared().is_some(), header.shared_intermediate > 0);
                if let Some(shared) = &moe.experts.shared() {
                    mlp(norm.len() - hidden, shared, hidden);
                }
                for expert in [0, header.experts as usize - 1] {
                    mlp(norm.len() - hidden, &moe.experts.get(expert), hidden);
                }
                for expert in [header.experts as usize, usize::MAX] {
                    assert_eq!(moe.experts.get(expert).gate.rows(), 0, "there is no such expert");
                }
            }
        }
    }
    assert_eq!(layers, header.layers);
    let mamba = (0..layers).filter_map(|index| image.layer(index)).filter(|kind| kind.mixer == Mixer::Mamba).count();
    assert!(mamba <= layers as usize);
    let prompt = model.prompt();
    assert!(prompt.prefix().chain(prompt.suffix()).chain(prompt.stops()).all(|id| id < header.vocab));
    assert!(prompt.stops().all(|id| prompt.is_stop(id)));
    assert!(model.plain_start().chain(model.plain_end()).all(|id| id < header.vocab));
    if let Some(template) = model.template() {
        assert!(template.before().len() + template.after().len() < image.bytes().len());
    }
    assert!(model.sampling().is_none_or(|sampling| sampling.is_valid()));
    if let Some(tokenizer) = model.tokenizer() {
        let mut encoder = PromptEncoder::<256>::new(model, tokenizer);
        let mut known = true;
        encoder.feed(b" \n a text\xff \xe2\x80", |id| known &= id < header.vocab);
        encoder.finish(|id| known &= id < header.vocab);
        assert!(known);
    }
    if let Some(baked) = model.baked() {
        assert!(baked.tokens().len() > 0 && baked.tokens().all(|id| id < header.vocab));
        assert!(baked.snapshot().len() < image.bytes().len() && baked.identity() == model.identity());
    }
    if let Some(signed) = image.signature() {
        assert_eq!(signed.message[0].len() + signed.message[1].len() + 68, image.bytes().len());
    }
    if let Some(tokenizer) = model.tokenizer() {
        assert!(tokenizer.tokens() <= header.vocab);
        std::hint::black_box(tokenizer.piece(tokenizer.tokens() - 1).map(Iterator::count));
    }
}

fn mlp(extra: usize, weights: &MlpWeights<'_>, hidden: usize) {
    assert_eq!(extra, 0);
    matrix(&weights.gate, hidden);
    matrix(&weights.up, hidden);
    matrix(&weights.down, weights.gate.rows());
}

fn matrix(weights: &QMatrix<'_>, cols: usize) {
    assert_eq!(weights.cols(), cols);
    assert_eq!(weights.tiles().len(), weights.rows().div_ceil(8));
    let mut row = [0.0; 24];
    for index in [0, weights.rows() - 1, weights.rows(), usize::MAX] {
        weights.dequantize_row(index, &mut row);
    }
    for (first, count) in [(0, 8), (8, usize::MAX / 2), (weights.rows() / 8 * 8, 3), (1 << 24, 8)] {
        let part = weights.slice_rows(first, count);
        assert!(part.rows() <= weights.rows() && part.tiles().len() == part.rows().div_ceil(8));
    }
}
