//! A tiny model that reads and writes bytes: what it says means nothing, but it says the same everywhere, and quickly.

use anyhow::{Context, Result};
use jamlet::image::layout::SectionSpec;
use jamlet::image::{FeedForward, Header, Image, LayerKind, Mixer, Role, features};
use jamlet::{Model, Options, Plan, Session, Summarizer, SummaryOptions};
use jamlet_tests::random::Random;
use jamlet_tools::aligned::Aligned;
use jamlet_tools::hf::tokenizer::{self, PromptIds};
use jamlet_tools::pack::{Blobs, Source, rewrite, write};
use jamlet_tools::summary;
use jamlet_tools::tune::Tuning;
use std::collections::BTreeMap;
use std::fs;

/// Pairs that are one token: enough that several lengths of tokens occur.
const MERGES: [&str; 12] = ["h e", "Ġ t", "Ġt he", "e r", "i n", "in g", "o n", "Ġ a", "Ġ o", "Ġo f", "t h", "e Ċ"];
const BYTES: u32 = 256;
const BOS: u32 = BYTES + MERGES.len() as u32;
const SUMMARY: u32 = BOS + 1;
const END: u32 = BOS + 2;
const HIDDEN: u32 = 16;

/// The image.
///
/// # Errors
/// When the packer doesn't take it.
pub fn image() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("tokenizer.json"), tokenizer_json().to_string())?;
    let vocab = END + 1;
    let tokenizer = tokenizer::load(folder.path(), vocab)?.context("no tokenizer in the folder")?;
    let header = Header {
        features: features::TIED | features::TOKENIZER,
        vocab,
        hidden: HIDDEN,
        intermediate: 24,
        heads: 1,
        kv_heads: 1,
        head_dim: 8,
        d_inner: 32,
        d_state: 4,
        d_conv: 4,
        dt_rank: 2,
        group: 16,
        bos: Some(BOS),
        ..Header::EMPTY
    };
    let layers = [
        LayerKind { mixer: Mixer::Mamba, ffn: FeedForward::Mlp },
        LayerKind { mixer: Mixer::Attention, ffn: FeedForward::None },
    ];
    let prompt = PromptIds { prefix: vec![BOS], suffix: vec![SUMMARY], stops: vec![END] };
    let (tokenizer, prompt) = (tokenizer.bytes, prompt.section());
    let blobs = Blobs { tokenizer, prompt, provenance: b"{}".to_vec(), ..Blobs::default() };
    let mut image = Vec::new();
    write(header, &layers, &mut Weights(Random(7)), &blobs, &mut image, &mut |_, _| {})?;
    // Summaries by everything that there is: prose is rewritten where the quote doesn't say much, the rest is quoted.
    let mut tuning = Tuning { mark: Some(SUMMARY), likelihoods: 2, likelihood: [0.1, 0.1], ..Tuning::default() };
    tuning.compress = true;
    tuning.gate[..7].copy_from_slice(&[1.0, 0.1, -0.1, 0.0, -0.2, 0.0, 0.1]);
    tuning.probe = (0..HIDDEN).map(|at| 0.1 * at as f32).collect();
    let (plain, section) = (Aligned::copy(&image), tuning.section()?);
    let plain = Image::parse(plain.bytes()).map_err(anyhow::Error::msg)?;
    let mut image = Vec::new();
    let features = plain.header().features | features::SUMMARY;
    rewrite(&plain, features, &[(Role::Summary, &section)], &mut image)?;
    Ok(image)
}

/// What the model on this machine answers to a text, without any of the boards' application: tokens read, tokens written
/// and the summary.
///
/// # Errors
/// When the image has no tokenizer.
pub fn answer(image: &[u8], options: Options, text: &[u8], most: u64) -> Result<(usize, u64, String)> {
    answer_in_parts(image, options, &[text], most)
}

/// As [`answer`], to a text in parts of which each ends a word. Where there are several, all but the last were read before
/// the state was resumed: then the text's words aren't known.
///
/// # Errors
/// As there.
pub fn answer_in_parts(image: &[u8], options: Options, parts: &[&[u8]], most: u64) -> Result<(usize, u64, String)> {
    answer_as(image, options, parts, SummaryOptions::new().limit(most as usize))
}

/// As [`answer_in_parts`], made in a way of the caller's choice.
///
/// # Errors
/// As there.
pub fn answer_as(
    image: &[u8],
    options: Options,
    parts: &[&[u8]],
    summary_options: SummaryOptions,
) -> Result<(usize, u64, String)> {
    let image = Aligned::copy(image);
    let model = Model::parse(image.bytes()).map_err(anyhow::Error::msg)?;
    let mut workspace = Aligned::zeroed(Plan::new(image.bytes(), options).map_err(anyhow::Error::msg)?.bytes());
    let session = Session::new(&model, options, workspace.bytes_mut()).map_err(anyhow::Error::msg)?;
    let mut memory = summary::memory();
    let mut summarizer = Summarizer::new(session, &mut memory, summary_options)?;
    let mut text = String::new();
    let mut listener = |piece: &str| text.push_str(piece);
    for (number, part) in parts.iter().enumerate() {
        summarizer.feed(part, &mut listener)?;
        if number + 1 < parts.len() {
            summarizer.flush(&mut listener)?;
            summarizer.resumed();
        }
    }
    let answer = summarizer.finish(&mut listener)?;
    Ok((answer.read as usize, answer.written, text))
}

/// Bytes as byte-level tokenizers write them: printable ones as themselves, the others as letters from U+0100 on.
fn byte_letters() -> Vec<char> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = (0x100..).filter_map(char::from_u32);
    (0..=255)
        .map(|byte| if printable(byte) { Some(char::from(byte)) } else { others.next() })
        .map(Option::unwrap_or_default)
        .collect()
}

fn tokenizer_json() -> serde_json::Value {
    let mut vocab = BTreeMap::new();
    for (id, letter) in (0..).zip(byte_letters()) {
        vocab.insert(letter.to_string(), id);
    }
    for (id, merge) in (BYTES..).zip(MERGES) {
        vocab.insert(merge.replace(' ', ""), id);
    }
    let added = [("<s>", BOS), ("<summary>", SUMMARY), ("</s>", END)].map(|(content, id)| {
        serde_json::json!({
            "id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false,
        })
    });
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": MERGES,
        },
    })
}

/// Random weights, wide enough apart that the model says something.
struct Weights(Random);

impl Source for Weights {
    fn rows(&mut self, section: &SectionSpec, rows: std::ops::Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let cols = section.shape.map_or(0, |(_, cols)| cols as usize);
        let (low, high) = match section.role {
            Role::MambaA => (-12.0, -0.5),
            Role::MambaDtBias => (-4.0, -1.0),
            Role::FinalNorm | Role::MixerNorm | Role::FfnNorm | Role::MambaD => (0.5, 1.5),
            Role::MambaDtNorm | Role::MambaBNorm | Role::MambaCNorm => (0.5, 1.5),
            _ => (-2.0 / (cols as f32).sqrt(), 2.0 / (cols as f32).sqrt()),
        };
        out.extend((0..rows.len() * cols).map(|_| self.0.between(low, high)));
        Ok(())
    }

    fn name(&self, section: &SectionSpec) -> String {
        format!("{:?}", section.role)
    }
}
