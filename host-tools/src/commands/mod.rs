//! The commands of `jamlet`, one a file: arguments, and what is printed.

pub mod ask;
pub mod bake;
pub mod bench;
pub mod bits;
pub mod chat;
pub mod eval;
pub mod generate;
pub mod image;
pub mod inspect;
pub mod pack;
pub mod plan;
pub mod retokenize;
pub mod run;
pub mod sampling;
pub mod score;
pub mod sign;
pub mod style;
pub mod summarize;
pub mod tokenize;
pub mod tune;
pub mod verify;
pub mod voice;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use jamlet::beams::{DEFAULT_BEAMS, MAX_SUMMARY};
use jamlet::state::MAX_BEAMS;
use jamlet::{Eviction, Options, StateWidth};
use jamlet_tools::boards::{BOARDS, Board};
use jamlet_tools::numbers::{one_to, whole};
use jamlet_tools::prose::Format;
use sampling::SamplerArgs;
use serde::Serialize;
use std::io::Write;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// How many cores work.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThreadsArgs {
    /// Threads that compute; the result is the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<u8>,
}

impl ThreadsArgs {
    /// Their number.
    pub fn count(&self) -> usize {
        let cores = || available_parallelism().map_or(1, NonZeroUsize::get).min(usize::from(u8::MAX));
        self.threads.map_or_else(cores, usize::from)
    }
}

/// A number of threads, from an argument.
pub fn threads(argument: &str) -> Result<u8, String> {
    argument.parse().ok().filter(|count| *count > 0).ok_or_else(|| "1 to 255 would be right".into())
}

/// A board by its name, from an argument.
pub fn board(argument: &str) -> Result<&'static Board, String> {
    let names = || BOARDS.iter().map(|board| board.name).collect::<Vec<_>>().join(", ");
    Board::named(argument).ok_or_else(|| format!("one of {} would be right", names()))
}

/// A number that isn't 0, from an argument.
pub fn positive(argument: &str) -> Result<usize, String> {
    argument.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a number from 1 on would be right".into())
}

/// What a text is written in.
#[derive(Args, Clone, Copy, Debug)]
pub struct FormatArgs {
    /// What the text is written in; its prose is summarized
    #[arg(long, value_enum, default_value = "auto")]
    format: Format,
    /// Take the text as it is, markup and all: the same as --format raw
    #[arg(long, conflicts_with = "format")]
    raw: bool,
}

impl FormatArgs {
    /// The one that was asked for.
    pub fn format(&self) -> Format {
        if self.raw { Format::Raw } else { self.format }
    }
}

/// How wide the state of Mamba layers is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// 4 bytes a number, no loss.
    F32,
    /// 2 bytes a number.
    F16,
    /// 1 byte a number, and 1 a channel.
    Int8,
}

impl State {
    /// As the engine has it.
    pub fn width(self) -> StateWidth {
        match self {
            Self::F32 => StateWidth::F32,
            Self::F16 => StateWidth::F16,
            Self::Int8 => StateWidth::I8,
        }
    }
}

/// Which tokens attention sees, beside the sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Evict {
    /// The most recent ones.
    Window,
    /// Some of the most recent ones, and those that were attended to most (H2O).
    HeavyHitters,
}

/// Which tokens the attention cache keeps.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictionArgs {
    /// Which tokens attention sees, beside the sinks
    #[arg(long, value_enum, default_value = "window")]
    eviction: Evict,
    /// With heavy-hitters: so many of the window are the most recent tokens [default: half]
    #[arg(long, value_parser = whole::<u32>)]
    recent: Option<u32>,
}

impl EvictionArgs {
    /// As the engine has it, for a window.
    ///
    /// # Errors
    /// For `--recent` with an eviction that keeps recent tokens alone, or out of range.
    pub fn eviction(&self, window: u32) -> Result<Eviction> {
        match (self.eviction, self.recent) {
            (Evict::Window, Some(recent)) => {
                bail!(
                    "recent is {recent}, which does nothing without --eviction heavy-hitters: a window is recent tokens alone"
                )
            }
            (Evict::Window, None) => Ok(Eviction::Window),
            (Evict::HeavyHitters, Some(recent)) if recent == 0 || recent > window => {
                bail!("recent is {recent}; 1 to {window}, the window, would be right")
            }
            (Evict::HeavyHitters, recent) => {
                Ok(Eviction::HeavyHitters { recent: recent.unwrap_or(window.div_ceil(2)) })
            }
        }
    }
}

/// Tokens that attention sees in a conversation, where nothing else is asked for: a host has the memory.
const CHAT_WINDOW: u32 = 4096;

/// What a session remembers, and how much it computes at once.
#[derive(Args, Clone, Copy, Debug)]
pub struct PlanArgs {
    /// The window and the beams of this board's firmware, where they aren't named [default: those of most boards]
    #[arg(long, value_name = "NAME", value_parser = board)]
    board: Option<&'static Board>,
    /// Tokens that attention sees, beside the sinks [default: 256, as on boards; 4096 with a chat template]
    #[arg(long, value_parser = whole::<u32>)]
    window: Option<u32>,
    /// First tokens that attention sees for ever (attention sinks)
    #[arg(long, default_value_t = 4, value_parser = whole::<u32>)]
    sinks: u32,
    /// Tokens that are read together: faster, and more memory
    #[arg(long, default_value_t = 8, value_parser = whole::<u32>)]
    chunk: u32,
    /// How the state of Mamba layers is stored
    #[arg(long, value_enum, default_value = "f32")]
    state: State,
    #[command(flatten)]
    eviction: EvictionArgs,
}

impl PlanArgs {
    /// As the engine has them.
    ///
    /// # Errors
    /// For an option that has no effect together with the others.
    pub fn options(&self) -> Result<Options> {
        self.options_for(self.board.map_or(Options::default().window, |board| board.window))
    }

    /// As [`PlanArgs::options`], for a board whose firmware has this window unless told otherwise.
    ///
    /// # Errors
    /// As there.
    pub fn options_for(&self, window: u32) -> Result<Options> {
        let window = self.window.unwrap_or(window);
        let eviction = self.eviction.eviction(window)?;
        let options = Options::window(window).sinks(self.sinks).chunk(self.chunk);
        Ok(options.state(self.state.width()).eviction(eviction))
    }

    /// As [`PlanArgs::options`], for conversations.
    ///
    /// # Errors
    /// As there.
    pub fn options_for_chat(&self) -> Result<Options> {
        self.options_for(self.board.map_or(CHAT_WINDOW, |board| board.window))
    }

    /// The beams where no other number is asked for.
    pub fn beams(&self) -> u32 {
        self.board.map_or(DEFAULT_BEAMS, |board| board.beams)
    }

    /// Whether none of them was asked for.
    pub fn is_default(&self) -> bool {
        let eviction = EvictionArgs { eviction: Evict::Window, recent: None };
        let default = Options::default();
        self.board.is_none()
            && self.window.is_none()
            && (self.sinks, self.chunk, self.state) == (default.sinks, default.chunk, State::F32)
            && self.eviction == eviction
    }
}

/// How many summaries are written side by side.
#[derive(Args, Clone, Copy, Debug)]
pub struct BeamsArgs {
    /// Summaries that are written side by side, of which the best is kept; each takes memory for its state, and time
    /// [default: 2, or 1 with an option of single tokens or more than 128 of them]
    #[arg(long, value_name = "N", value_parser = one_to::<MAX_BEAMS, u32>)]
    beams: Option<u32>,
}

impl BeamsArgs {
    /// Whether no number was asked for.
    pub fn is_default(&self) -> bool {
        self.beams.is_none()
    }

    /// Their number for summaries of at most `max_tokens`, where tokens are chosen by `sampler` otherwise.
    pub fn count(&self, plan: &PlanArgs, sampler: &SamplerArgs, max_tokens: usize) -> Result<u32> {
        let single = !sampler.is_default()? || max_tokens > MAX_SUMMARY;
        match (self.beams, single) {
            (Some(beams @ 2..), true) => bail!(
                "--beams {beams} keeps the most probable summary of at most {MAX_SUMMARY} tokens; --temperature and the other options of \
                 single tokens, and longer summaries, need --beams 1"
            ),
            (Some(beams), _) => Ok(beams),
            (None, false) => Ok(plan.beams()),
            (None, true) => Ok(1),
        }
    }
}

/// Prints `value` as JSON, for scripts.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    write_json(&mut std::io::stdout().lock(), value)
}

/// Writes `value` as JSON to `out`.
pub fn write_json(mut out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
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
    // Whatever is above zero shows.
    if bar.is_empty() && part > 0 {
        bar.push(EIGHTHS[0]);
    }
    bar
}

/// Lines of label, bytes and bar, as long as the largest of them demands.
pub fn print_bars(parts: &[(String, u64)]) -> Result<()> {
    write_bars(&mut std::io::stdout().lock(), parts)
}

/// As [`print_bars`], to `out`.
pub fn write_bars(out: &mut dyn Write, parts: &[(String, u64)]) -> Result<()> {
    let largest = parts.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let label = parts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (name, bytes) in parts {
        writeln!(out, "  {name:label$}  {:>10}  {}", size(*bytes), bar(*bytes, largest, 40))?;
    }
    Ok(())
}
