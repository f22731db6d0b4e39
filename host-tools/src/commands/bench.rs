//! `jamlet bench`.

use super::image::ImageArgs;
use super::{PlanArgs, positive, print_json, size, threads};
use anyhow::Result;
use clap::Args;
use jamlet_tools::bench::{PIECE, Plan, Report, measure};
use jamlet_tools::numbers::whole;
use jamlet_tools::progress;
use serde::Serialize;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Measures speed: tokens a second, and how much of the memory's bandwidth that takes
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    image: ImageArgs,
    /// Numbers of threads
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = threads)]
    threads: Vec<u8>,
    /// Tokens that prefill reads together
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_parser = whole::<u32>)]
    chunks: Vec<u32>,
    /// Tokens read before decoding begins
    #[arg(long, value_delimiter = ',', default_value = "0,1000", value_parser = whole::<usize>)]
    depths: Vec<usize>,
    /// Tokens of the prompt
    #[arg(long, default_value_t = 512, value_parser = positive)]
    prompt: usize,
    /// Tokens to decode
    #[arg(short = 'n', long, default_value_t = 64, value_parser = positive)]
    tokens: usize,
    /// Times that all is measured; the fastest counts
    #[arg(long, default_value_t = 3, value_parser = positive)]
    repeat: usize,
    #[command(flatten)]
    plan: PlanArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Measures, and prints the figures.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let model = file.model()?;
        let plan = Plan {
            threads: self.threads.iter().map(|&count| count.into()).collect(),
            chunks: self.chunks.clone(),
            depths: self.depths.clone(),
            prompt: self.prompt,
            tokens: self.tokens,
            repeat: self.repeat,
            options: self.plan.options()?,
        };
        let first_token = model.tokenizer().and_then(|_| self.first_token()).map(|time| time.as_secs_f64());
        let bar = progress::count("measuring", plan.tokens() as u64);
        let report = measure(&model, &plan, |tokens| bar.inc(tokens as u64))?;
        bar.finish_and_clear();
        let report = Figures { first_token_seconds: first_token, report };
        if self.json { print_json(&report) } else { print(&report) }
    }

    /// The shortest of some runs of this program that write one token: from starting it to its end.
    fn first_token(&self) -> Option<Duration> {
        let program = std::env::current_exe().ok()?;
        let run = || {
            let mut command = Command::new(&program);
            command.args(["run", "--threads", "1", "--max-tokens", "1", "a"]);
            if let Some(image) = self.image.path() {
                command.arg("--model").arg(image);
            }
            let start = Instant::now();
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
            status.success().then(|| start.elapsed())
        };
        (0..10 * self.repeat.max(1)).filter_map(|_| run()).min()
    }
}

/// All that is printed.
#[derive(Serialize)]
struct Figures {
    /// From the start of a `jamlet run` to the end of its first token, where the image has a tokenizer.
    first_token_seconds: Option<f64>,
    #[serde(flatten)]
    report: Report,
}

fn print(Figures { first_token_seconds, report }: &Figures) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "kernels    {}", report.kernels)?;
    writeln!(out, "image      {}", size(report.image_bytes as u64))?;
    writeln!(out, "a token    {} of weights", size(report.weight_bytes_per_token))?;
    writeln!(out, "workspace  {}", size(report.workspace_bytes as u64))?;
    if let Some(bytes) = report.peak_rss_bytes {
        writeln!(out, "peak RSS   {}", size(bytes))?;
    }
    if let Some(seconds) = first_token_seconds {
        writeln!(out, "start      {:.1} ms to the first token", 1e3 * seconds)?;
    }
    for read in &report.reads {
        writeln!(out, "read       {} thread(s)  {:.1} GB/s", read.threads, read.bytes_per_second / 1e9)?;
    }
    for p in &report.prefills {
        writeln!(
            out,
            "prefill    {} thread(s)  chunk {:>4}  {:>10.1} tokens/s",
            p.threads, p.chunk, p.tokens_per_second
        )?;
    }
    for d in &report.decodes {
        for piece in &d.reading {
            writeln!(
                out,
                "feed       {} thread(s)  tokens {:>6} to {:>6}  {:>8.1} tokens/s",
                d.threads,
                piece.begin,
                piece.begin + PIECE,
                piece.tokens_per_second
            )?;
        }
        writeln!(
            out,
            "decode     {} thread(s)  depth {:>6}  {:>8.1} tokens/s  {:.1} GB/s, {:.0} % of the read bandwidth",
            d.threads,
            d.depth,
            d.tokens_per_second,
            d.weight_bytes_per_second / 1e9,
            100.0 * d.share_of_read_bandwidth
        )?;
    }
    Ok(())
}
