//! `jamlet inspect`.

use super::image::ImageArgs;
use super::{print_json, size};
use anyhow::Result;
use clap::Args;
use jamlet::image::{FeedForward, Header, Mixer, NONE_U16, features};
use jamlet::model::{Model, Sampling};
use jamlet::state::snapshot;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::pack::kind;
use jamlet_tools::text;
use jamlet_tools::tokenizer_facts::TokenizerFacts;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

/// Shows what an image holds
#[derive(Args, Debug)]
pub struct Inspect {
    #[command(flatten)]
    image: ImageArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    image: String,
    bytes: u64,
    checksum: String,
    version: u32,
    sizes: BTreeMap<&'static str, u32>,
    rms_norm_eps: f32,
    tied: bool,
    bos: Option<u32>,
    /// One letter a layer: M Mamba, D Mamba-2 (the state-space dual), A attention, S S4D; lower case with a mixture of experts.
    layers: String,
    prompt_prefix: Vec<u32>,
    prompt_suffix: Vec<u32>,
    stop_tokens: Vec<u32>,
    prompt: Prompt,
    /// How answers are drawn where nobody asks for another way; `None` for the most probable token.
    sampling: Option<SamplingDefaults>,
    tokenizer: Option<TokenizerFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baked: Option<BakedPrompt>,
    bytes_by_kind: BTreeMap<&'static str, u64>,
    /// How many weights the matrices have, by their bits.
    weights_by_bits: BTreeMap<u8, u64>,
    /// Bits of a weight of each role's matrices, a digit a layer: - where a layer has none, m where its experts differ.
    bits_by_role: BTreeMap<String, String>,
    provenance: serde_json::Value,
}

/// What stands around a text, in the order of the fields. Texts are `None` where the image has no tokenizer.
#[derive(Serialize)]
struct Prompt {
    /// The ids before a message, as text.
    prefix: Option<String>,
    /// Text of the template that is encoded together with the message.
    before: String,
    /// White space at the start and end of a message is dropped.
    trims_start: bool,
    trims_end: bool,
    after: String,
    /// The ids behind a message, as text.
    suffix: Option<String>,
    /// Any of these ends an answer.
    stops: Option<Vec<String>>,
    /// Ids around a text that is read without the template.
    plain_start: Vec<u32>,
    plain_end: Vec<u32>,
}

/// What the folder's `generation_config.json` said.
#[derive(Serialize)]
struct SamplingDefaults {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repetition_penalty: f32,
}

/// A baked prompt, and the options of the sessions that start from it.
#[derive(Serialize)]
struct BakedPrompt {
    tokens: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    window: u32,
    sinks: u32,
    state_bytes_per_number: u32,
}

impl Inspect {
    /// Checks the image and prints its parts.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let report = report(&file, &file.model()?);
        if self.json {
            return print_json(&report);
        }
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{}: {}, format {}, checksum {}",
            report.image,
            size(report.bytes),
            report.version,
            report.checksum
        )?;
        writeln!(
            out,
            "\nlayers  {}  (M Mamba, D Mamba-2, A attention, S S4D; lower case: mixture of experts)",
            report.layers
        )?;
        for (name, value) in &report.sizes {
            writeln!(out, "  {name:<20} {value}")?;
        }
        writeln!(out, "  {:<20} {}", "rms_norm_eps", report.rms_norm_eps)?;
        writeln!(out, "  {:<20} {}", "head", if report.tied { "tied to the embedding" } else { "its own" })?;
        for (bits, count) in &report.weights_by_bits {
            writeln!(out, "  {:<20} {count}", format!("weights of {bits} bits"))?;
        }
        if report.weights_by_bits.len() > 1 {
            writeln!(out, "\nbits  a digit a layer (- no such matrix, m mixed)")?;
            for (role, bits) in &report.bits_by_role {
                writeln!(out, "  {role:<20} {bits}")?;
            }
        }
        report.print_tokenizer(&mut out)?;
        report.print_prompt(&mut out)?;
        if let Some(baked) = &report.baked {
            writeln!(
                out,
                "  {} tokens baked in, for window {}, sinks {}, {} bytes a number of the state: {:?}",
                baked.tokens.len(),
                baked.window,
                baked.sinks,
                baked.state_bytes_per_number,
                baked.text.as_deref().unwrap_or_default()
            )?;
        }
        writeln!(out, "\nbytes")?;
        let mut parts: Vec<(String, u64)> = report.bytes_by_kind.iter().map(|(k, b)| ((*k).into(), *b)).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        super::print_bars(&parts)?;
        let mut provenance = report.provenance;
        // The whole of it is in the JSON.
        if let Some(map) = provenance.as_object_mut() {
            map.remove("chat");
        }
        writeln!(out, "\nprovenance  {provenance}")?;
        Ok(())
    }
}

impl Report {
    fn print_tokenizer(&self, out: &mut impl Write) -> Result<()> {
        let Some(facts) = &self.tokenizer else {
            writeln!(out, "\ntokenizer  none: token ids only")?;
            return Ok(());
        };
        writeln!(out, "\ntokenizer  {}, {} tokens", facts.kind, facts.tokens)?;
        let mut line = |name: &str, value: String| writeln!(out, "  {name:<20} {value}");
        line("added tokens", format!("{}, special {}", facts.added_tokens, facts.special_tokens))?;
        line("longest token", format!("{} symbols", facts.longest))?;
        line("cuts", facts.cuts.to_string())?;
        line("NFC", if facts.nfc { "yes" } else { "no" }.into())?;
        line("space before", facts.space_before.into())?;
        line("decoding drops", facts.strips.into())?;
        let parts: Vec<String> = facts.flash_by_part.iter().map(|(name, b)| format!("{name} {}", size(*b))).collect();
        line("flash", format!("{} ({})", size(facts.flash), parts.join(", ")))?;
        line("RAM", format!("{} at most, on boards", size(facts.ram)))?;
        Ok(())
    }

    fn print_prompt(&self, out: &mut impl Write) -> Result<()> {
        let Prompt { prefix, before, trims_start, trims_end, after, suffix, stops, plain_start, plain_end } =
            &self.prompt;
        writeln!(out, "\nprompt")?;
        let mut line = |name: &str, value: String| writeln!(out, "  {name:<20} {value}");
        let ids = |text: &Option<String>, ids: &[u32]| match text {
            Some(text) => format!("{text:?} {ids:?}"),
            None => format!("{ids:?}"),
        };
        line("begins with", ids(prefix, &self.prompt_prefix))?;
        if !before.is_empty() || !after.is_empty() {
            line("around the message", format!("{before:?} and {after:?}, encoded with it"))?;
        }
        match (trims_start, trims_end) {
            (false, false) => {}
            (true, true) => line("white space dropped", "at both ends of the message".into())?,
            (true, false) => line("white space dropped", "at the start of the message".into())?,
            (false, true) => line("white space dropped", "at the end of the message".into())?,
        }
        line("asks with", ids(suffix, &self.prompt_suffix))?;
        match stops {
            Some(texts) => line("stops at", format!("{texts:?} {:?}", self.stop_tokens))?,
            None => line("stops at", format!("{:?}", self.stop_tokens))?,
        }
        if let Some(template) = self.provenance["chat"]["template"].as_str() {
            line("conversations", format!("by a chat template of {} bytes, on hosts", template.len()))?;
        }
        if (plain_start, plain_end) != (&self.prompt_prefix, &self.prompt_suffix) {
            line("without the template", format!("{plain_start:?} before and {plain_end:?} behind a text"))?;
        }
        match &self.sampling {
            None => line("draws", "the most probable token".into())?,
            Some(s) => {
                let SamplingDefaults { temperature, top_k, top_p, min_p, repetition_penalty } = s;
                line(
                    "draws",
                    format!(
                        "temperature {temperature}, top-k {top_k}, top-p {top_p}, min-p {min_p}, repetition penalty \
                         {repetition_penalty}"
                    ),
                )?;
            }
        }
        Ok(())
    }
}

fn prompt(model: &Model<'_>) -> Prompt {
    let (ids, template) = (model.prompt(), model.template());
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tokenizer = model.tokenizer();
    // With the texts of special tokens.
    let text = |ids: Vec<u32>| -> Option<String> {
        let bytes: Vec<u8> = ids.iter().filter_map(|&id| tokenizer.as_ref()?.piece(id)).flatten().collect();
        tokenizer.is_some().then(|| lossy(&bytes))
    };
    Prompt {
        prefix: text(ids.prefix().collect()),
        before: template.map_or_else(String::new, |template| lossy(template.before())),
        trims_start: template.is_some_and(|template| template.trims_start()),
        trims_end: template.is_some_and(|template| template.trims_end()),
        after: template.map_or_else(String::new, |template| lossy(template.after())),
        suffix: text(ids.suffix().collect()),
        stops: ids.stops().map(|id| text(vec![id])).collect(),
        plain_start: model.plain_start().collect(),
        plain_end: model.plain_end().collect(),
    }
}

fn report(file: &ImageFile, model: &Model<'_>) -> Report {
    let header = model.header();
    let ids = model.prompt();
    let (mut kinds, mut weights) = (BTreeMap::new(), BTreeMap::new());
    let mut provenance = serde_json::Value::Null;
    for (expected, section) in model.image().sections() {
        *kinds.entry(kind(expected.role)).or_insert(0) += section.bytes.len() as u64;
        if let Some(bits) = section.encoding.bits() {
            *weights.entry(bits.count()).or_insert(0) += (section.rows * section.cols) as u64;
        }
        if expected.role == jamlet::image::Role::Provenance {
            provenance = serde_json::from_slice(section.bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(section.bytes).into_owned().into());
        }
    }
    Report {
        image: file.name().into(),
        bytes: header.length,
        checksum: format!("{:08x}", model.image().checksum()),
        version: jamlet::image::VERSION,
        sizes: sizes(header),
        rms_norm_eps: header.eps,
        tied: header.has(features::TIED),
        bos: header.bos,
        layers: (0..header.layers).filter_map(|i| model.image().layer(i)).map(letter).collect(),
        prompt_prefix: ids.prefix().collect(),
        prompt_suffix: ids.suffix().collect(),
        stop_tokens: ids.stops().collect(),
        prompt: prompt(model),
        sampling: model.sampling().map(|sampling| {
            let Sampling { temperature, top_k, top_p, min_p, repetition_penalty } = sampling;
            SamplingDefaults { temperature, top_k, top_p, min_p, repetition_penalty }
        }),
        tokenizer: TokenizerFacts::of(model),
        baked: model.baked().and_then(|baked| {
            let made_for = snapshot::made_for(baked.snapshot())?;
            let tokens: Vec<u32> = baked.tokens().collect();
            Some(BakedPrompt {
                text: text::decode(model, &tokens).ok(),
                tokens,
                window: made_for.window,
                sinks: made_for.sinks,
                state_bytes_per_number: made_for.state_width,
            })
        }),
        bytes_by_kind: kinds,
        weights_by_bits: weights,
        bits_by_role: bits_by_role(model),
        provenance,
    }
}

fn bits_by_role(model: &Model<'_>) -> BTreeMap<String, String> {
    let layers = model.header().layers as usize;
    let mut roles: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (expected, section) in model.image().sections() {
        let Some(bits) = section.encoding.bits() else { continue };
        let of_model = expected.layer == NONE_U16;
        let digits = roles.entry(format!("{:?}", expected.role));
        let digits = digits.or_insert_with(|| vec![b'-'; if of_model { 1 } else { layers }]);
        if let Some(digit) = digits.get_mut(if of_model { 0 } else { usize::from(expected.layer) }) {
            let bits = b'0' + bits.count();
            *digit = if [b'-', bits].contains(digit) { bits } else { b'm' };
        }
    }
    roles.into_iter().map(|(role, digits)| (role, digits.into_iter().map(char::from).collect())).collect()
}

fn letter(kind: jamlet::image::LayerKind) -> char {
    let letter = match kind.mixer {
        Mixer::Mamba => 'M',
        Mixer::Attention => 'A',
        Mixer::S4d => 'S',
        Mixer::Mamba2 => 'D',
    };
    if kind.ffn == FeedForward::Moe { letter.to_ascii_lowercase() } else { letter }
}

fn sizes(h: &Header) -> BTreeMap<&'static str, u32> {
    let all = [
        ("vocab_size", h.vocab),
        ("hidden_size", h.hidden),
        ("intermediate_size", h.intermediate),
        ("num_attention_heads", h.heads),
        ("num_key_value_heads", h.kv_heads),
        ("head_dim", h.head_dim),
        ("d_inner", h.d_inner),
        ("d_state", h.d_state),
        ("d_conv", h.d_conv),
        ("dt_rank", h.dt_rank),
        ("num_experts", h.experts),
        ("num_experts_per_tok", h.top_k),
        ("group_size", h.group),
    ];
    // What few models have.
    let more = [
        ("mamba_n_heads", h.ssm_heads),
        ("mamba_d_head", h.ssm_head_dim),
        ("mamba_n_groups", h.ssm_groups),
        ("shared_intermediate", h.shared_intermediate),
    ];
    all.into_iter().chain(more.into_iter().filter(|(_, size)| *size > 0)).collect()
}
