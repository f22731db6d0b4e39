//! `jamlet pack`.

use super::bake::bake_into;
use super::bits::{BitsArgs, Chosen, Measured};
use super::{PlanArgs, size, write_bars, write_json};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use jamlet_tools::destination::{Destination, files_in};
use jamlet_tools::hf::Weights;
use jamlet_tools::hf::tokenizer::{self, Prompt, PromptIds, TemplateParts};
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::numbers::whole;
use jamlet_tools::pack::{self, Blobs, DEFAULT_GROUP, Options, Packed};
use jamlet_tools::progress;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Packs a Hugging Face Jamba folder into one image of 8 or 4 bits a weight
#[derive(Args, Debug)]
pub struct Pack {
    /// Folder with config.json, safetensors and tokenizer
    folder: PathBuf,
    /// Where the image goes; `-` is standard output [default: the folder's name with .jamlet]
    #[arg(short, long, value_name = "IMAGE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    bits: BitsArgs,
    /// Columns of a matrix that share a scale: a multiple of 8, and 32 with 4 bits
    #[arg(long, default_value_t = DEFAULT_GROUP, value_parser = whole::<u32>)]
    group: u32,
    /// Leave the tokenizer out: the image runs token ids only
    #[arg(long)]
    no_tokenizer: bool,
    /// Leave the chat template out: `run --template` reads a text as `run` does
    #[arg(long, conflicts_with = "no_tokenizer")]
    no_template: bool,
    /// Store the state after the prompt's beginning and the text of this file, see `jamlet bake`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_tokenizer", "json", "bytes", "fit"])]
    bake: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Options of the sessions that start from what --bake stores")]
    plan: PlanArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Show every quantized tensor and every loss, not only the ten that are worst
    #[arg(long)]
    all: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    image: String,
    bytes: u64,
    parameters: u64,
    bytes_by_kind: BTreeMap<&'static str, u64>,
    /// Worst first.
    quantized: Vec<Tensor<'a>>,
    /// How bits were chosen, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Measured>,
    /// What a user should know, a sentence each.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    tensor: &'a str,
    bits: u8,
    snr_db: f64,
}

impl Pack {
    /// Packs, and says what came of it.
    pub fn run(&self) -> Result<()> {
        let mut weights = Weights::open(&self.folder)?;
        ensure!(
            self.bake.is_some() || self.plan.is_default(),
            "--window, --sinks, --chunk, --state and --eviction do nothing without --bake: they are options of sessions"
        );
        let output = self.destination()?;
        // Baking starts from a finished image: a draft, so that nobody takes it for the wanted one.
        let draft = self.bake.as_ref().map(|_| output.draft()).transpose()?;
        let packed_to = draft.as_ref().map_or(output.path(), |draft| draft.path());
        let (blobs, warnings) = self.blobs(&weights)?;
        warnings.iter().for_each(|warning| eprintln!("jamlet: warning: {warning}"));
        let Chosen { bits, fit, lost, measured } = self.bits.choose(&mut weights, &blobs, self.group)?;
        let bar = progress::bytes("packing");
        let packed = pack::pack(&weights, &blobs, Options { group: self.group, bits, fit }, packed_to, |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let mut packed = packed?;
        for section in &mut packed.sections {
            // What was rounded before loses nothing on its way into the image.
            section.noise = section.id.and_then(|id| lost.get(&id).copied()).or(section.noise);
        }
        self.report(&output, &packed, measured, warnings)?;
        match &self.bake {
            Some(prompt) => bake_into(&ImageFile::open(Some(packed_to))?, Some(prompt), self.plan.options()?, &output),
            None => Ok(()),
        }
    }

    /// Where the image goes: over none of the folder's files, unless it is an image.
    fn destination(&self) -> Result<Destination> {
        let output = self.output.clone().unwrap_or_else(|| default_output(&self.folder));
        let files = files_in(&self.folder)?;
        let inputs = files.iter().filter(|file| file.extension().is_none_or(|extension| extension != "jamlet"));
        Destination::new(&output, inputs.chain(&self.bake).chain(self.bits.inputs()).map(PathBuf::as_path))
    }

    /// Tokenizer, prompt and provenance, and what to warn of.
    fn blobs(&self, weights: &Weights) -> Result<(Blobs, Vec<String>)> {
        let config = weights.config();
        let tokenizer = match self.no_tokenizer {
            true => None,
            false => tokenizer::load(&self.folder, config.vocab_size as u32)
                .context("the tokenizer can't be packed; --no-tokenizer packs a model that runs token ids only")?,
        };
        tokenizer.iter().flat_map(|tokenizer| &tokenizer.notes).for_each(|note| eprintln!("jamlet: {note}"));
        if tokenizer.is_none() && !self.no_tokenizer {
            bail!(
                "{}: neither tokenizer.json, tokenizer.model nor vocab.json with merges.txt; --no-tokenizer packs a model that runs token ids only",
                self.folder.display()
            );
        }
        let prompt = match &tokenizer {
            Some(tokenizer) => tokenizer::prompt(&self.folder, tokenizer, config, !self.no_template)?,
            None => {
                let start: Vec<u32> = config.bos_token_id.into_iter().collect();
                let stops = config.eos_token_ids.clone();
                Prompt {
                    ids: PromptIds { prefix: start.clone(), stops, ..PromptIds::default() },
                    template: TemplateParts { plain_start: start, ..TemplateParts::default() },
                    ..Prompt::default()
                }
            }
        };
        let mut provenance = serde_json::json!({
            "source": self.folder.canonicalize().ok().as_deref().and_then(Path::file_name).map(|n| n.to_string_lossy()),
            "architecture": config.family.architecture(),
            "parameters": pack::parameters(weights),
            "packer": concat!("jamlet ", env!("CARGO_PKG_VERSION")),
        });
        if let Some(chat) = &prompt.chat {
            provenance["chat"] = serde_json::to_value(chat)?;
        }
        let tokenizer = tokenizer.map_or_else(Vec::new, |tokenizer| tokenizer.bytes);
        let blobs = Blobs {
            tokenizer,
            prompt: prompt.ids.section(),
            template: prompt.template_section(config.bos_token_id),
            sampling: prompt.sampling.map_or_else(Vec::new, |sampling| sampling.to_bytes().into()),
            provenance: provenance.to_string().into_bytes(),
        };
        Ok((blobs, prompt.warnings))
    }

    fn report(
        &self,
        output: &Destination,
        packed: &Packed,
        choice: Option<Measured>,
        warnings: Vec<String>,
    ) -> Result<()> {
        let mut kinds = BTreeMap::new();
        for section in &packed.sections {
            *kinds.entry(pack::kind(section.section.role)).or_insert(0) += section.bytes;
        }
        let mut quantized: Vec<Tensor<'_>> = packed
            .sections
            .iter()
            .filter_map(|s| {
                Some(Tensor { tensor: &s.name, bits: s.section.encoding.bits()?.count(), snr_db: s.noise?.snr_db() })
            })
            .collect();
        quantized.sort_by(|a, b| a.snr_db.total_cmp(&b.snr_db));
        let report = Report {
            image: output.name(),
            bytes: packed.length,
            parameters: packed.parameters,
            bytes_by_kind: kinds,
            quantized,
            choice,
            warnings,
        };
        if self.json {
            return write_json(&mut output.report(), &report);
        }
        let mut out = output.report();
        writeln!(
            out,
            "{}: {} ({} parameters, {:.2} bits each)\n",
            report.image,
            size(report.bytes),
            report.parameters,
            8.0 * report.bytes as f64 / report.parameters as f64
        )?;
        let mut parts: Vec<(String, u64)> = report.bytes_by_kind.iter().map(|(k, b)| ((*k).into(), *b)).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        write_bars(&mut out, &parts)?;
        let shown = if self.all { report.quantized.len() } else { 10 };
        if let Some(choice) = &report.choice {
            choice.print(&mut out, shown)?;
        }
        writeln!(out, "\nsignal to noise of {} quantized tensors, worst first", report.quantized.len())?;
        for tensor in report.quantized.iter().take(shown) {
            writeln!(out, "  {:6.2} dB  {} bits  {}", tensor.snr_db, tensor.bits, tensor.tensor)?;
        }
        out.flush().context("standard output")
    }
}

fn default_output(folder: &Path) -> PathBuf {
    let name = folder.canonicalize().ok().as_deref().and_then(Path::file_name).map(PathBuf::from);
    name.unwrap_or_else(|| "model".into()).with_added_extension("jamlet")
}
