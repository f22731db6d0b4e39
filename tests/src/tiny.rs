//! The smallest images of every kind of layer: a few thousand bytes each, so that a fuzzer can take millions.

use anyhow::Result;
use jamlet::image::layout::SectionSpec;
use jamlet::image::{FeedForward, Header, LayerKind, Mixer, Role, SIGNATURE_BYTES, features};
use jamlet::matrix::Bits;
use jamlet::model::{Sampling, Template};
use jamlet::{Model, Options, Plan, Session};
use jamlet_tools::hf::tokenizer::Prompt;
use jamlet_tools::pack::{self, Blobs, Source};
use jamlet_tools::tune::Tuning;

use crate::images::AlignedBytes;
use crate::random::Random;
use crate::vocabulary;

/// Numbers for weights, from the section's name.
struct Weights {
    random: Random,
    /// Bits of the layers' weights; the embedding keeps 8.
    bits: Bits,
}

impl Weights {
    fn new(seed: u64) -> Self {
        Self { random: Random(seed), bits: Bits::Eight }
    }

    fn next(&mut self) -> f32 {
        self.random.between(-1.0, 1.0)
    }
}

impl Source for Weights {
    fn rows(&mut self, section: &SectionSpec, rows: std::ops::Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let cols = section.shape.map_or(0, |(_, cols)| cols as usize);
        for _ in 0..rows.len() * cols {
            out.push(match section.role {
                Role::MambaA | Role::Mamba2A => -1.0 + 0.5 * self.next(),
                Role::FinalNorm | Role::MixerNorm | Role::FfnNorm | Role::Mamba2Norm => 1.0 + 0.25 * self.next(),
                _ => self.next(),
            });
        }
        Ok(())
    }

    fn bits(&self, section: &SectionSpec) -> Bits {
        if section.role == Role::Embedding { Bits::Eight } else { self.bits }
    }

    fn name(&self, section: &SectionSpec) -> String {
        format!("{:?}", section.role)
    }
}

/// Sizes of most of them.
const BASE: Header = Header {
    features: features::TIED,
    vocab: 12,
    hidden: 8,
    intermediate: 8,
    heads: 2,
    kv_heads: 1,
    head_dim: 4,
    d_inner: 8,
    d_state: 2,
    d_conv: 2,
    dt_rank: 1,
    experts: 2,
    top_k: 1,
    group: 8,
    bos: Some(11),
    ..Header::EMPTY
};

/// The images by name.
///
/// # Panics
/// If they can't be packed.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    use FeedForward::{Mlp, Moe, None};
    use Mixer::{Attention, Mamba, Mamba2, S4d};
    let layer = |mixer, ffn| LayerKind { mixer, ffn };
    let base = BASE;
    let with_tokenizer = features::TIED | features::TOKENIZER;
    let with_template = with_tokenizer | features::TEMPLATE | features::SAMPLING;
    // Sizes that are no multiple of a tile or group, an untied head, biases.
    let odd = Header {
        features: features::PROJ_BIAS,
        vocab: 9,
        hidden: 10,
        intermediate: 5,
        kv_heads: 2,
        head_dim: 3,
        d_state: 3,
        d_conv: 4,
        bos: Option::None,
        ..base
    };
    // Heads, and of B and C more channels than a multiple of 8 has.
    let heads = Header {
        d_inner: 16,
        d_state: 3,
        ssm_heads: 4,
        ssm_head_dim: 3,
        ssm_groups: 2,
        step_limit: [0.0, f32::INFINITY],
        ..base
    };
    let granite = Header {
        features: features::TIED | features::PROJ_BIAS,
        d_inner: 8,
        ssm_heads: 1,
        ssm_head_dim: 5,
        ssm_groups: 1,
        step_limit: [0.125, 0.5],
        shared_intermediate: 5,
        ..base
    };
    // The layers of 4 bits a weight, the embedding of 8.
    let nibbles = Header { features: features::TIED | features::FOUR_BITS, group: 32, ..base };
    [
        ("mamba2", heads, vec![layer(Mamba2, None)]),
        ("granite", granite, vec![layer(Mamba2, Moe), layer(Attention, Moe)]),
        ("mamba", base, vec![layer(Mamba, None)]),
        ("attention", base, vec![layer(Attention, Mlp)]),
        ("experts", Header { top_k: 2, experts: 3, ..base }, vec![layer(Attention, Moe)]),
        ("s4d", base, vec![layer(S4d, None)]),
        ("plain", Header { features: features::TIED | features::PLAIN_MAMBA, ..base }, vec![layer(Mamba, None)]),
        ("nibbles", nibbles, vec![layer(Mamba, Mlp), layer(Attention, None)]),
        ("odd", odd, vec![layer(Mamba, Mlp), layer(Attention, None)]),
        ("template", Header { features: with_template, ..base }, vec![layer(Mamba, None)]),
        ("text", Header { features: with_tokenizer, ..base }, vec![layer(Mamba, None), layer(Attention, None)]),
    ]
    .into_iter()
    .map(|(name, header, layers)| (name, build(header, &layers)))
    .flat_map(|(name, image)| match name {
        "mamba" => vec![("summary", with_summary(&image)), (name, image)],
        // Before the last, which has a tokenizer.
        "text" => vec![("marked", marked(&image)), (name, image)],
        _ => vec![(name, image)],
    })
    .collect()
}

/// The smallest image with a tokenizer's section and a prompt.
///
/// # Panics
/// If it can't be packed.
pub fn with_prompt(vocab: u32, tokenizer: Vec<u8>, prompt: &Prompt) -> Vec<u8> {
    let template = prompt.template_section(None);
    let feature = if template.is_empty() { 0 } else { features::TEMPLATE };
    let features = features::TIED | features::TOKENIZER | feature;
    let header = Header { features, vocab, bos: None, ..BASE };
    let provenance = serde_json::json!({ "chat": prompt.chat }).to_string().into();
    let blobs = Blobs { tokenizer, prompt: prompt.ids.section(), template, provenance, ..Blobs::default() };
    let layers = [LayerKind { mixer: Mixer::Mamba, ffn: FeedForward::None }];
    let (mut image, mut weights) = (Vec::new(), Weights::new(0));
    pack::write(header, &layers, &mut weights, &blobs, &mut image, &mut |_, _| ()).expect("a small image");
    image
}

/// An image with all that can be added later: a signature, of nobody, and a baked prompt.
fn marked(image: &[u8]) -> Vec<u8> {
    let image = AlignedBytes::new(image);
    let model = Model::parse(image.get()).expect("a small image");
    let options = Options::window(4).sinks(1);
    let mut workspace = AlignedBytes::zeros(Plan::new(image.get(), options).expect("a plan").bytes());
    let mut session = Session::new(&model, options, workspace.get_mut()).expect("a session");
    session.feed(&[1, 7]).expect("tokens");
    let mut state = vec![0; session.plan().snapshot_bytes()];
    let length = session.snapshot(&mut state).expect("room for a state");
    let head = [model.identity(), 2, 1, 7].map(u32::to_le_bytes);
    let baked = [head.as_flattened(), &state[..length]].concat();
    let signature = [0x5a; SIGNATURE_BYTES];
    let sections = [(Role::Baked, &baked[..]), (Role::Signature, &signature)];
    let features = model.header().features | features::BAKED | features::SIGNED;
    let mut marked = Vec::new();
    pack::rewrite(model.image(), features, &sections, &mut marked).expect("a small image");
    marked
}

/// An image that says how its summaries are chosen: by two signals, a hidden unit, and the state behind the prompt.
///
/// # Panics
/// If `image` is none.
pub fn with_summary(image: &[u8]) -> Vec<u8> {
    let image = AlignedBytes::new(image);
    let model = Model::parse(image.get()).expect("a small image");
    let mut probe = vec![0.5; model.header().hidden as usize];
    // The section's last number is 0, as what lies between sections must be: so a recipe can make it shorter.
    *probe.last_mut().expect("a width") = 0.0;
    let tuning = Tuning {
        mark: Some(3),
        likelihoods: 2,
        mean: vec![0.25; 2],
        inverse: vec![2.0; 2],
        linear: vec![-0.5; 2],
        weights: vec![vec![1.0; 2]],
        bias: vec![0.5],
        out: vec![-1.0],
        probe,
        ..Tuning::default()
    };
    let section = tuning.section().expect("lengths that agree");
    let features = model.header().features | features::SUMMARY;
    let mut tuned = Vec::new();
    pack::rewrite(model.image(), features, &[(Role::Summary, &section[..])], &mut tuned).expect("a small image");
    tuned
}

/// White space is dropped at the end of a message between `a` and `b!`, which goes on behind the prefix; without the template, token 1
/// comes before a text and tokens 2 and 3 after it.
fn template() -> Vec<u8> {
    let words = [Template::GOES_ON | Template::TRIM_END, 1, 2, 1, 2, 1, 2, 3].into_iter().flat_map(u32::to_le_bytes);
    words.chain(*b"ab!").collect()
}

fn build(header: Header, layers: &[LayerKind]) -> Vec<u8> {
    let tokenizer = match header.has(features::TOKENIZER) {
        true => vocabulary::small().section(),
        false => Vec::new(),
    };
    // A token before the text, one after it, and three that end an answer.
    let prompt = [1_u32, 1, 3, 0, 1, 2, 5, 7].into_iter().flat_map(u32::to_le_bytes).collect();
    let template = match header.has(features::TEMPLATE) {
        true => template(),
        false => Vec::new(),
    };
    let sampling = match header.has(features::SAMPLING) {
        true => {
            let values = Sampling { temperature: 0.5, top_k: 3, top_p: 0.75, min_p: 0.125, repetition_penalty: 1.5 };
            values.to_bytes().into()
        }
        false => Vec::new(),
    };
    let blobs = Blobs { tokenizer, prompt, template, sampling, provenance: b"{}".to_vec() };
    let (mut image, mut weights) = (Vec::new(), Weights::new(layers.len() as u64));
    if header.has(features::FOUR_BITS) {
        weights.bits = Bits::Four;
    }
    pack::write(header, layers, &mut weights, &blobs, &mut image, &mut |_, _| ()).expect("a small image");
    image
}
