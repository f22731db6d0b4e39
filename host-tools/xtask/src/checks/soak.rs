//! `cargo xtask soak`: random texts, keys and interruptions at an emulated board, for as long as one likes.

use crate::binaries::stack_bound::MOST_STACK;
use crate::boards::conversation::{Conversation, options};
use crate::boards::emulated::{ALL, Emulated, Machine};
use crate::models::{self, random_text_model};
use anyhow::{Context, Result, ensure};
use jamlet_tests::random::Random;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Board by name.
    #[arg(default_value = "qemu-m4")]
    board: String,
    /// How long.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// The model to run; a tiny one of random weights if none is given.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Seed of texts and keys.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What the test suite runs.
impl Default for Args {
    fn default() -> Self {
        Self { board: "qemu-m4".into(), seconds: 8, model: None, seed: 1 }
    }
}

const LIMIT: Duration = Duration::from_secs(300);
/// Bytes of the longest text.
const LONGEST: usize = 4000;

/// Runs until the time is over.
///
/// # Errors
/// The first summary that differs from this machine's, stack that grew, or a counter that is wrong.
pub fn run(args: &Args) -> Result<()> {
    let emulated = |board: &&Emulated| matches!(board.machine, Machine::Cortex { .. } | Machine::Pi { .. });
    let board = ALL.iter().filter(emulated).find(|board| board.name == args.board);
    let board = board.with_context(|| format!("{} has no serial port in QEMU", args.board))?;
    let scratch = tempfile::tempdir()?;
    let (path, image) = match &args.model {
        Some(path) => (path.clone(), models::read(path)?),
        None => (scratch.path().join("talker.jamlet"), random_text_model::image()?),
    };
    fs::write(scratch.path().join("talker.jamlet"), &image)?;
    let program = board.build(board.folder, Some(&path))?;
    let mut command = board.serial(&program, &path);
    if let Machine::Cortex { .. } = board.machine {
        // 32 ns an instruction: the board's milliseconds, in which it waits for more to arrive, are then no longer than they
        // would be on hardware, and a busy machine's board isn't kept busy by its clock alone.
        command.args(["-icount", "shift=5"]);
    }
    let mut talk = Conversation::open(&mut command, options(board), &image, LIMIT)?;
    talk.wait("> ")?;
    let mut random = Random(args.seed);
    let start = Instant::now();
    let (mut texts, mut done) = (0u64, Done::default());
    let mut first = None;
    while start.elapsed() < Duration::from_secs(args.seconds) {
        act(&mut talk, &mut random, &mut texts, &mut done)
            .with_context(|| format!("{} with seed {}, after {} summaries", board.name, args.seed, done.summaries))?;
        // What every path needs of the stack is known after some hundred texts of all kinds.
        if done.summaries.is_multiple_of(100) && done.summaries > 0 {
            let now = stats(&mut talk, texts)?;
            let first = first.get_or_insert(now.clone());
            ensure!(now.0 == first.0, "the workspace was {} and is {}", first.0, now.0);
            done.stack = now.1;
        }
    }
    let (workspace, stack) = stats(&mut talk, texts)?;
    ensure!(done.summaries > 0, "no summary in {} s", args.seconds);
    if let Machine::Cortex { .. } = board.machine {
        let used =
            stack.split(' ').find_map(|word| word.parse::<u64>().ok()).context("/stats says nothing of the stack")?;
        ensure!(used <= MOST_STACK, "{used} bytes of stack; at most {MOST_STACK} would be right");
    }
    println!(
        "{:<10} {} summaries, {} of them after a reset and {} after an interruption, {} bytes typed in {:.0} s: none differs from \
         this machine's; workspace {workspace}, {stack}, port errors 0",
        board.name,
        done.summaries,
        done.resets,
        done.interruptions,
        talk.typed,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What was done.
#[derive(Default)]
struct Done {
    summaries: u64,
    resets: u64,
    interruptions: u64,
    /// Stack at the last look.
    stack: String,
}

/// One text, and what happens before and after it.
fn act(talk: &mut Conversation, random: &mut Random, texts: &mut u64, done: &mut Done) -> Result<()> {
    match random.below(20) {
        0 => {
            talk.type_in(b"/reset\r");
            talk.wait("> ")?;
            (*texts, done.resets) = (0, done.resets + 1);
        }
        1 | 2 => {
            // A text that is dropped in the middle. It has no Ctrl-C of its own, and no end.
            let text: Vec<u8> = text(random).into_iter().filter(|byte| *byte >= b' ').collect();
            talk.type_in(&text);
            talk.type_in(b"\x03");
            talk.wait("^C\r\n> ")?;
            done.interruptions += 1;
        }
        3 => {
            talk.type_in(b"/verify\r");
            talk.wait("sound\r\n> ")?;
        }
        _ => {}
    }
    let text = text(random);
    // What a text is read as can't be said of keys that edit it: those are left to `cargo xtask serial`.
    talk.summary_of(&text, &text)?;
    (*texts, done.summaries) = (*texts + 1, done.summaries + 1);
    Ok(())
}

/// What `/stats` says of workspace and stack. The number of texts and port errors must be right.
fn stats(talk: &mut Conversation, texts: u64) -> Result<(String, String)> {
    talk.type_in(b"/stats\r");
    let stats = talk.wait("\r\n> ")?;
    let right = format!("texts {texts}, ");
    ensure!(
        stats.contains(&right) && stats.contains("port errors 0"),
        "/stats says {stats:?}; {right:?} would be right"
    );
    let between = |start: &str, end: &str| {
        let rest = stats.split_once(start).map_or("", |(_, rest)| rest);
        rest.split_once(end).map_or("", |(part, _)| part).to_owned()
    };
    Ok((between("workspace ", ":"), format!("stack {}", between("stack ", "\r\n"))))
}

/// Words, characters of all lengths, broken UTF-8, line ends; never a byte that edits or ends, and never a command. The first
/// and the last character are no spaces or line ends.
fn text(random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 12] =
        ["the", "of", "library", "Ünder", "7,421", "größer", "日本語", "tool", "👩‍💻", "in", "x86-64", "\u{fffd}"];
    let length = match random.below(10) {
        0 => 1 + random.below(LONGEST),
        1..4 => 1 + random.below(400),
        _ => 1 + random.below(80),
    };
    let mut text = b"A".to_vec();
    while text.len() < length {
        match random.below(12) {
            0 => text.push(0x80 | random.below(128) as u8),
            1 => text.push(b'\n'),
            2 => text.extend((0..random.below(9)).map(|_| b'!' + random.below(90) as u8)),
            _ => text.extend(WORDS[random.below(WORDS.len())].bytes().chain([b' '])),
        }
    }
    text.push(b'.');
    // A line that is a command would be one, and one that begins as the board's own do would be taken for one of them.
    let harmless = |byte| match byte {
        b'/' => b'|',
        b'[' => b'(',
        byte => byte,
    };
    text.into_iter().map(harmless).collect()
}
