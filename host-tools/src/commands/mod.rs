//! The commands of `jamlet`, one a file: arguments, and what is printed.

pub mod bake;
pub mod bench;
pub mod eval;
pub mod generate;
pub mod inspect;
pub mod pack;
pub mod plan;
pub mod run;
pub mod score;
pub mod sign;
pub mod summarize;
pub mod verify;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jamlet::{Options, StateWidth};
use serde::Serialize;
use std::io::Write;

/// How wide the state of Mamba layers is stored.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// 4 bytes a number, no loss.
    F32,
    /// 2 bytes a number.
    F16,
}

/// What a session remembers, and how much it computes at once.
#[derive(Args, Clone, Copy, Debug)]
pub struct PlanArgs {
    /// Recent tokens that attention sees
    #[arg(long, default_value_t = 512)]
    window: u32,
    /// First tokens that attention sees for ever (attention sinks)
    #[arg(long, default_value_t = 4)]
    sinks: u32,
    /// Tokens that are read together: faster, and more memory
    #[arg(long, default_value_t = 8)]
    chunk: u32,
    /// How the state of Mamba layers is stored
    #[arg(long, value_enum, default_value = "f32")]
    state: State,
}

impl PlanArgs {
    /// As the engine has them.
    pub fn options(&self) -> Options {
        let state = match self.state {
            State::F32 => StateWidth::F32,
            State::F16 => StateWidth::F16,
        };
        Options::window(self.window).sinks(self.sinks).chunk(self.chunk).state(state)
    }
}

/// Prints `value` as JSON, for scripts.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Prints `value` as one line of JSON, where more of them follow.
pub fn print_json_line(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A bar of `width` columns of which `part` of `whole` is filled, to an eighth of a column.
pub fn bar(part: u64, whole: u64, width: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (8.0 * width as f64 * part as f64 / whole.max(1) as f64).round() as usize;
    let mut bar = "█".repeat((eighths / 8).min(width));
    if eighths < 8 * width && !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    // What is there is seen.
    if bar.is_empty() && part > 0 {
        bar.push(EIGHTHS[0]);
    }
    bar
}

/// Lines of label, bytes and bar, as long as the largest of them demands.
pub fn print_bars(parts: &[(String, u64)]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let largest = parts.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let label = parts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (name, bytes) in parts {
        writeln!(out, "  {name:label$}  {:>10}  {}", size(*bytes), bar(*bytes, largest, 40))?;
    }
    Ok(())
}
