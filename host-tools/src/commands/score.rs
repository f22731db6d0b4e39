//! `jamlet score`.

use super::generate::SamplerArgs;
use super::{BeamsArgs, PlanArgs, bar, print_json};
use anyhow::{Context, Result};
use clap::Args;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::progress;
use jamlet_tools::score::{Report, Rouge, Scored, read_pairs, report, summarize};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Scores summaries of many texts: ROUGE beside simple rules, repetitions, invented names
#[derive(Args, Debug)]
pub struct Score {
    /// The image [default: the built-in model]
    image: Option<PathBuf>,
    /// Lines of {"text": .., "summaries": [..]}
    #[arg(long, value_name = "FILE.jsonl")]
    pairs: PathBuf,
    /// Only the first so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Longest summary in tokens
    #[arg(short = 'n', long, default_value_t = 64)]
    max_tokens: usize,
    /// Write every summary with its scores to this file, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    summaries: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    beams: BeamsArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Don't prefer the text's words
    #[arg(long)]
    ungrounded: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Score {
    /// Summarizes, and scores.
    pub fn run(&self) -> Result<()> {
        let file = ImageFile::open(self.image.as_deref())?;
        let model = file.model()?;
        let mut pairs = read_pairs(&self.pairs)?;
        pairs.truncate(self.limit.unwrap_or(usize::MAX));
        let bar = progress::count("summarizing", pairs.len() as u64);
        let beams = self.beams.count(&self.sampler, self.max_tokens)?;
        let how = self.sampler.how(beams, self.max_tokens, self.ungrounded);
        let scored = summarize(&model, self.plan.options().beams(beams), &how, &pairs, || bar.inc(1));
        bar.finish_and_clear();
        let scored = scored?;
        if let Some(path) = &self.summaries {
            write_lines(path, &scored)?;
        }
        let report = report(&pairs, &scored);
        if self.json { print_json(&report) } else { print(&report) }
    }
}

fn write_lines(path: &std::path::Path, scored: &[Scored]) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut out = std::io::BufWriter::new(file);
    for line in scored {
        write_line(&mut out, line).with_context(|| path.display().to_string())?;
    }
    out.flush().with_context(|| path.display().to_string())
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    Ok(writeln!(out)?)
}

fn print(r: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} texts          ROUGE-1  ROUGE-2  ROUGE-L", r.texts)?;
    let mut row = |name: &str, rouge: &Rouge| {
        let drawn = bar((10.0 * rouge.rouge_l) as u64, 600, 30);
        writeln!(out, "  {name:16} {:8.1} {:8.1} {:8.1}  {drawn}", rouge.rouge1, rouge.rouge2, rouge.rouge_l)
    };
    row("model", &r.model)?;
    row("first sentence", &r.first_sentence)?;
    row("first 12 words", &r.first_words)?;
    row("heuristic", &r.heuristic)?;
    row("best sentence", &r.best_sentence)?;
    writeln!(out, "  empty {:.1} %, repeats {:.1} %", r.empty, r.repeats)?;
    writeln!(out, "  a name that isn't in the text: {:.1} % (people: {:.1} %)", r.invents, r.reference_invents)?;
    Ok(())
}
