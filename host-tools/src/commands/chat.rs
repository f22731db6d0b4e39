//! `jamlet chat`.

use super::image::ImageArgs;
use super::sampling::SamplerArgs;
use super::voice::{Spoken, Voice};
use super::{PlanArgs, ThreadsArgs, positive, print_json_line, size};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use jamlet::kernels::Kernels;
use jamlet::{RewindPoints, Sampler, Session};
use jamlet_tools::chat::template::Marks;
use jamlet_tools::chat::{ChatTemplate, Conversation, End, Turn, saved};
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::input::check_whole;
use jamlet_tools::memory;
use jamlet_tools::numbers::whole;
use jamlet_tools::workspace::HostWorkspace;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde::Serialize;
use std::io::{BufRead, IsTerminal, StdinLock, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const HELP: &str = "\
/reset       begin a new conversation
/system TEXT begin a new one in which the model is told TEXT first; without TEXT it is told nothing
/save FILE   write the conversation and the model's state to FILE
/load FILE   go on with what /save wrote
/stats       what the last turn and all turns took
/help        this list
/quit        leave, as Ctrl-D does
//TEXT       say /TEXT

Ctrl-C stops an answer, a second one at once ends all; at the prompt it leaves. Pasted lines are one message.";

/// Talks with a chat model, by the chat template of its makers
#[derive(Args, Debug)]
#[command(
    after_help = "On a terminal, /help lists commands, and Ctrl-C stops an answer. Elsewhere, every line of standard input is a \
                        turn, empty lines aside, and answers go to standard output."
)]
pub struct Chat {
    #[command(flatten)]
    image: ImageArgs,
    /// What the model is told before anybody says something
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Go on with a conversation that /save wrote
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    load: Option<PathBuf>,
    /// Don't show what the model thinks before it answers
    #[arg(long)]
    hide_thinking: bool,
    /// Most tokens of an answer, thinking included
    #[arg(short = 'n', long, default_value_t = 2048, value_parser = positive)]
    max_tokens: usize,
    /// States that are kept to go back to, where the template rewrites what was said
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole::<usize>)]
    checkpoints: usize,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Print every turn as a line of JSON, with what it took
    #[arg(long)]
    json: bool,
}

/// Ctrl-C was pressed during an answer.
static STOP: AtomicBool = AtomicBool::new(false);
/// An answer is being read for or written.
static ANSWERS: AtomicBool = AtomicBool::new(false);

impl Chat {
    /// Talks until standard input ends.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let model = file.model()?;
        let template = ChatTemplate::of(&model, file.name())?;
        let marks = Marks::new(&model, &template)?;
        let threads = self.threads.count();
        let options = self.plan.options_for_chat()?.heads_at_once(heads_at_once(threads));
        let mut workspace = HostWorkspace::new(&model, options)?;
        let mut sampler = self.sampler.plain(&model)?;
        on_threads(threads, Kernels::detect(), |kernels| {
            let mut session = workspace.session_on(&model, kernels)?;
            let mut memory = vec![0; RewindPoints::bytes(session.plan(), self.checkpoints)];
            let points = RewindPoints::new(session.plan(), &mut memory);
            let mut conversation = Conversation::new(&template, marks.tokenizer()?, points);
            conversation.reset(self.system.as_deref());
            if let Some(path) = &self.load {
                saved::load(path, &mut conversation, &mut session)?;
            }
            let lines = Lines::open()?;
            if let Lines::Terminal(_) = lines {
                eprintln!("{}: /help lists commands, Ctrl-D leaves", file.name());
            }
            let mut talk = Talk {
                options: self,
                session: &mut session,
                sampler: &mut sampler,
                conversation,
                total: Total::default(),
                last: None,
            };
            talk.talk(lines)
        })
    }
}

/// Where a person's lines come from.
enum Lines {
    Terminal(Box<DefaultEditor>),
    Other(StdinLock<'static>),
}

impl Lines {
    /// Standard input. On a terminal lines are edited, and Ctrl-C stops answers from now on.
    fn open() -> Result<Self> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Ok(Self::Other(stdin().lock()));
        }
        ctrlc::set_handler(|| {
            // At the prompt it is a key like others; one that comes just after an answer loses no conversation.
            if ANSWERS.load(Ordering::Relaxed) && STOP.swap(true, Ordering::Relaxed) {
                // As the shell reports a command that Ctrl-C ended.
                std::process::exit(130);
            }
        })
        .context("handling Ctrl-C")?;
        Ok(Self::Terminal(Box::new(DefaultEditor::new().context("the terminal")?)))
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Terminal(editor) => match editor.readline("> ") {
                Ok(line) => {
                    // What isn't remembered can still be said.
                    let _ = editor.add_history_entry(&line);
                    Ok(Some(line.into_bytes()))
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
                Err(error) => Err(error).context("the terminal"),
            },
            Self::Other(input) => {
                let mut line = Vec::new();
                let read = input.read_until(b'\n', &mut line).context("standard input")?;
                while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                    line.pop();
                }
                Ok((read > 0).then_some(line))
            }
        }
    }
}

/// What turns took together.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Total {
    turns: usize,
    read_tokens: usize,
    reused_tokens: usize,
    tokens: usize,
    prefill_seconds: f64,
    decode_seconds: f64,
}

impl Total {
    fn add(&mut self, turn: &Turn) {
        self.turns += 1;
        self.read_tokens += turn.prompt_tokens - turn.reused_tokens;
        self.reused_tokens += turn.reused_tokens;
        self.tokens += turn.tokens;
        self.prefill_seconds += turn.prefill_seconds;
        self.decode_seconds += turn.decode_seconds;
    }
}

/// What `/stats` says.
#[derive(Serialize)]
struct Stats {
    messages: usize,
    /// Tokens that the state has seen.
    state_tokens: u64,
    last_turn: Option<Total>,
    all_turns: Total,
    workspace_bytes: usize,
    /// Bytes of the states that are kept to go back to.
    checkpoint_bytes: usize,
    peak_rss_bytes: Option<u64>,
}

/// A conversation in progress.
struct Talk<'a, 't, 'b, 'm, 'w> {
    options: &'a Chat,
    session: &'a mut Session<'m, 'w>,
    sampler: &'a mut Sampler,
    conversation: Conversation<'t, 'b>,
    total: Total,
    last: Option<Total>,
}

impl Talk<'_, '_, '_, '_, '_> {
    fn talk(&mut self, mut lines: Lines) -> Result<()> {
        let (mut count, mut failed) = (0, 0);
        let terminal = matches!(lines, Lines::Terminal(_));
        while let Some(line) = lines.next()? {
            count += 1;
            match self.line(&line) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if terminal => eprintln!("jamlet: {error:#}"),
                Err(error) => {
                    eprintln!("jamlet: line {count}: {error:#}");
                    failed += 1;
                }
            }
        }
        ensure!(failed == 0, "{failed} of {count} lines failed");
        Ok(())
    }

    /// Does what a line says. Returns whether more of them follow.
    fn line(&mut self, line: &[u8]) -> Result<bool> {
        if line.trim_ascii().is_empty() {
            return Ok(true);
        }
        if let Err(problem) = check_whole(line) {
            bail!(problem);
        }
        let line = String::from_utf8_lossy(line);
        match line.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => self.turn(rest)?,
            Some("quit" | "exit") => return Ok(false),
            Some(command) => self.command(command)?,
            None => self.turn(&line)?,
        }
        Ok(true)
    }

    fn command(&mut self, command: &str) -> Result<()> {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = argument.trim();
        let file = || {
            ensure!(!argument.is_empty(), "/{name} needs the name of a file");
            Ok(Path::new(argument))
        };
        match name {
            "help" => println!("{HELP}"),
            "stats" => self.stats()?,
            "reset" => {
                let first = self.conversation.messages().first();
                let system = first.filter(|message| message.role == jamlet_tools::chat::Role::System);
                let system = system.map(|message| message.content.clone());
                self.conversation.reset(system.as_deref());
            }
            "system" => self.conversation.reset(Some(argument).filter(|text| !text.is_empty())),
            "save" => {
                let bytes = saved::save(file()?, &mut self.conversation, self.session)?;
                self.note(&format!("{argument}: {}", size(bytes)));
            }
            "load" => {
                saved::load(file()?, &mut self.conversation, self.session)?;
                self.note(&format!("{argument}: {} messages", self.conversation.messages().len()));
            }
            _ => bail!("/{name} is no command; /help lists them, and //{name} says /{name}"),
        }
        Ok(())
    }

    /// Says something to a person.
    fn note(&self, text: &str) {
        if stderr().is_terminal() {
            eprintln!("[{text}]");
        }
    }

    fn turn(&mut self, text: &str) -> Result<()> {
        STOP.store(false, Ordering::Relaxed);
        ANSWERS.store(true, Ordering::Relaxed);
        let mut voice = Voice::new(self.options.hide_thinking, self.options.json, Some(&STOP));
        let limit = self.options.max_tokens;
        let turn = self.conversation.turn(self.session, self.sampler, text, limit, &mut voice);
        let text = voice.finish();
        ANSWERS.store(false, Ordering::Relaxed);
        let (turn, text) = (turn?, text?);
        let mut last = Total::default();
        last.add(&turn);
        self.last = Some(last);
        self.total.add(&turn);
        if self.options.json {
            return print_json_line(&Spoken::new(&turn, &text, self.session.plan()));
        }
        match turn.end {
            End::Stop => {}
            End::Limit => self.note(&format!("stopped after {limit} tokens; -n sets how many an answer may have")),
            End::Interrupted if turn.tokens == 0 => self.note("stopped before the answer: this was not said"),
            End::Interrupted => self.note("stopped"),
        }
        Ok(())
    }

    fn stats(&self) -> Result<()> {
        let plan = self.session.plan();
        let stats = Stats {
            messages: self.conversation.messages().len(),
            state_tokens: self.session.position(),
            last_turn: self.last,
            all_turns: self.total,
            workspace_bytes: plan.bytes(),
            checkpoint_bytes: RewindPoints::bytes(plan, self.options.checkpoints),
            peak_rss_bytes: memory::peak(),
        };
        if self.options.json {
            #[derive(Serialize)]
            struct Line {
                stats: Stats,
            }
            return print_json_line(&Line { stats });
        }
        let turns = |name: &str, total: &Total| {
            let speed = |tokens: usize, seconds: f64| tokens as f64 / seconds.max(1e-9);
            println!(
                "{name:<14}{} tokens read ({:.1} a second), {} kept from before, {} written ({:.1} a second)",
                total.read_tokens,
                speed(total.read_tokens, total.prefill_seconds),
                total.reused_tokens,
                total.tokens,
                speed(total.tokens, total.decode_seconds)
            );
        };
        println!("{:<14}{} messages, {} tokens in the state", "conversation", stats.messages, stats.state_tokens);
        if let Some(last) = &stats.last_turn {
            turns("last turn", last);
            turns("all turns", &stats.all_turns);
        }
        let kept = size(stats.checkpoint_bytes as u64);
        let peak =
            stats.peak_rss_bytes.map_or_else(String::new, |bytes| format!(", {} of RAM at most in all", size(bytes)));
        println!(
            "{:<14}{} for the model's state, {kept} to go back{peak}",
            "memory",
            size(stats.workspace_bytes as u64)
        );
        Ok(())
    }
}
