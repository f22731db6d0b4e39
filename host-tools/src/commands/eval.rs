//! `jamlet eval`.

use super::image::ImageArgs;
use super::{EvictionArgs, State, ThreadsArgs, print_json};
use anyhow::{Context, Result, ensure};
use clap::Args;
use jamlet::{Model, Options};
use jamlet_tools::eval::{Report, Side, compare, documents, whole};
use jamlet_tools::input;
use jamlet_tools::numbers;
use jamlet_tools::progress;
use jamlet_tools::reference::Reference;
use jamlet_tools::text::encode;
use std::io::Write;
use std::path::PathBuf;

/// Measures what quantization and bounded memory cost: perplexity and divergence
#[derive(Args, Debug)]
pub struct Eval {
    #[command(flatten)]
    image: ImageArgs,
    /// The Hugging Face folder that the image was packed from, to be computed in f32 [default: the image itself, with a state in
    /// f32 and a window that holds the longest document]
    #[arg(long, value_name = "HF_DIR")]
    reference: Option<PathBuf>,
    /// A text in UTF-8; a document begins wherever the beginning-of-sequence token is written out
    #[arg(long, value_name = "FILE", required_unless_present = "tokens")]
    text: Option<PathBuf>,
    /// Token ids in place of a text: one JSON list a line, each a document
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    tokens: Option<PathBuf>,
    /// Longest piece of a document, in tokens
    #[arg(long, default_value_t = 1024, value_parser = numbers::whole::<usize>)]
    context: usize,
    /// Tokens that attention sees, beside the sinks [default: the longest document]
    #[arg(long, value_parser = numbers::whole::<u32>)]
    window: Option<u32>,
    /// First tokens that attention sees for ever
    #[arg(long, default_value_t = 4, value_parser = numbers::whole::<u32>)]
    sinks: u32,
    /// How the state of Mamba layers is stored
    #[arg(long, value_enum, default_value = "f32")]
    state: State,
    #[command(flatten)]
    eviction: EvictionArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Eval {
    /// Compares, and prints the figures.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let model = file.model()?;
        let reference = self.reference.as_deref().map(Reference::load).transpose()?;
        let texts = self.texts(&model)?;
        ensure!(!texts.is_empty(), "there is no document of two tokens or more");
        let bar = progress::count("evaluating", texts.len() as u64);
        let whole = whole(&texts);
        let window = self.window.unwrap_or(whole);
        let options = Options::window(window).sinks(self.sinks).state(self.state.width());
        let ours = Side::Engine(&model, options.eviction(self.eviction.eviction(window)?));
        let theirs = match &reference {
            Some(reference) => Side::Reference(reference),
            None => Side::Engine(&model, Options::window(whole)),
        };
        // Documents go to cores of their own.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.count()).build()?;
        let report = pool.install(|| compare(ours, theirs, &texts, || bar.inc(1)));
        bar.finish_and_clear();
        let report = report?;
        if self.json { print_json(&report) } else { print(&report) }
    }

    fn texts(&self, model: &Model<'_>) -> Result<Vec<Vec<u32>>> {
        let (bos, context) = (model.header().bos, self.context.max(2));
        if let Some(path) = &self.tokens {
            let lines = input::read(path)?;
            let document = |(number, line)| {
                serde_json::from_str(line).with_context(|| format!("{}: line {}", path.display(), number + 1))
            };
            let texts: Vec<Vec<u32>> = lines.lines().enumerate().map(document).collect::<Result<_>>()?;
            return Ok(texts.iter().flat_map(|tokens| documents(tokens, bos, context)).collect());
        }
        let Some(path) = &self.text else { return Ok(Vec::new()) };
        Ok(documents(&encode(model, input::read(path)?)?, bos, context))
    }
}

fn print(report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} predictions in {} documents", report.predictions, report.documents)?;
    writeln!(
        out,
        "  perplexity         {:.4}, of the reference {:.4}",
        report.perplexity, report.reference_perplexity
    )?;
    writeln!(out, "  ratio              {:.5}", report.perplexity_ratio)?;
    writeln!(
        out,
        "  KL divergence      {:.6} nat mean, {:.6} at 99 %",
        report.kl_divergence, report.kl_divergence_p99
    )?;
    writeln!(out, "  same top token     {:.2} %", 100.0 * report.top1_agreement)?;
    Ok(())
}
