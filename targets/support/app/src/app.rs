//! The application: reads texts from a serial port and streams their summaries back.
//!
//! A text goes into a [`Summarizer`] while it arrives, so it may be of any length, and summaries are those of the host.

use crate::board::Board;
use crate::extras::Extras;
#[cfg(feature = "persist")]
use crate::extras::Store;
use crate::input::{Byte, Input};
use crate::line::{Key, Line};
use crate::log::{info, warning};
use crate::rate::Rate;
use crate::terminal::{Piece, print, send, text_lines};
use Piece::{Number, Tenths, Text};
use core::ops::ControlFlow;
use embedded_io::{Read, ReadReady, Write};
use jamlet::beams::MAX_SUMMARY;
use jamlet::kernels::Kernels;
use jamlet::summary::{self, Answer, Listener, MOST_LINES, Step, Style, TextKind, Way};
use jamlet::{ImageError, Model, Options, Session, Summarizer, SummaryOptions};

/// A serial port.
pub trait Port: Read + ReadReady + Write {}
impl<P: Read + ReadReady + Write> Port for P {}

/// The most tokens of a summary.
pub const LONGEST_SUMMARY: u64 = MAX_SUMMARY as u64;
/// Symbols of a word that can be merged with each other.
const WORD: usize = 256;

const HELP: &str = "\
Type or paste a text, then Ctrl-D (or a form feed): its summary follows.
Backspace, Ctrl-W and Ctrl-U erase a character, a word, a line.
Ctrl-C drops the text, or ends the summary.
/help   this
/stats  memory, and what was read and written
/reset  drops the text, and counts from zero
/verify whether the model's image is still as it was
/lines N   lines of a summary; 0 for more the longer the text is
/style S   auto, quote, compress, rewrite or title
";
#[cfg(feature = "persist")]
const HELP_STATES: &str = "\
/save   keeps what was read of this text, also without power
/resume goes on with the text that was kept
";

/// What the application remembers between bytes: for a `static`, because it is large for a stack. `N` is [`Options::beams`].
pub struct Memory<'m, const N: usize> {
    input: Input,
    line: Line,
    summary: summary::Memory<'m, N, WORD>,
}

impl<const N: usize> Memory<'_, N> {
    /// Nothing was typed.
    pub const fn new() -> Self {
        Self { input: Input::new(), line: Line::new(), summary: summary::Memory::new() }
    }
}

impl<const N: usize> Default for Memory<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves a serial port until it ends, which a board's never does.
///
/// # Errors
/// When the port can't be written.
pub fn serve<'a, 'm, P: Port, const N: usize>(
    image: &'m [u8],
    options: Options,
    workspace: &mut [u8],
    memory: &'a mut Memory<'m, N>,
    port: P,
    board: impl Board,
    extras: Extras<'a, 'm>,
) -> Result<(), P::Error> {
    // By reference: moving it out would take its size on the stack twice.
    match &mut assemble(image, options, workspace, memory, port, board, extras) {
        Ok(app) => app.run(),
        Err(end) => core::mem::replace(end, Ok(())),
    }
}

/// Makes the application, or says why not. A function of its own, so that what it needs of the stack is free again afterwards.
#[inline(never)]
fn assemble<'a, 'm, 'w, P: Port, B: Board, const N: usize>(
    image: &'m [u8],
    options: Options,
    workspace: &'w mut [u8],
    memory: &'a mut Memory<'m, N>,
    mut port: P,
    mut board: B,
    extras: Extras<'a, 'm>,
) -> Result<App<'a, 'm, 'w, P, B, N>, Result<(), P::Error>> {
    let start = board.micros();
    let opened = open(image, options, workspace, board.kernels());
    let checked_micros = board.micros().wrapping_sub(start);
    let session = match opened {
        Ok(session) => session,
        Err(problem) => return Err(refuse(&mut port, problem)),
    };
    let Memory { input, line, summary } = memory;
    let summarizer = Summarizer::beginning_with(extras.begin, session, summary, SummaryOptions::new());
    let Ok(summarizer) = summarizer else { return Err(refuse(&mut port, NO_TOKENIZER)) };
    Ok(App {
        door: Door {
            port,
            board,
            input,
            writing: false,
            interrupted: false,
            since: None,
            read: Rate::new(),
            written: Rate::new(),
            failure: Ok(()),
        },
        summarizer,
        #[cfg(feature = "persist")]
        store: extras.store,
        line,
        line_begun: false,
        line_ends: 0,
        texts: 0,
        all_read: Rate::new(),
        all_written: Rate::new(),
        checked_micros,
        damaged: false,
    })
}

/// Says why the board serves nobody.
#[inline(never)]
fn refuse<P: Port>(port: &mut P, problem: &str) -> Result<(), P::Error> {
    warning!("{=str}", problem);
    print(port, &[Text("\n["), Text(problem), Text("]\n")])
}

/// What is said of an image whose checksum is wrong.
const DAMAGED: &str = "the model's image is damaged";
const NO_TOKENIZER: &str = "the model's image has no tokenizer";

/// The parts of a model that the application needs. All sizes were settled when the firmware was linked, so little is left
/// to go wrong.
#[inline(never)]
fn open<'m, 'w>(
    image: &'m [u8],
    options: Options,
    workspace: &'w mut [u8],
    kernels: Kernels<'static>,
) -> Result<Session<'m, 'w>, &'static str> {
    let model = parse(image).map_err(|_| DAMAGED)?;
    #[cfg(feature = "signature")]
    crate::signature::check(model.image())?;
    let session = Session::with_kernels(&model, options, workspace, kernels);
    session.map_err(|_| "the workspace is too small for the model")
}

fn parse(image: &[u8]) -> Result<Model<'_>, ImageError> {
    // Structure is always checked, so that nothing behind it can fail.
    #[cfg(feature = "unchecked-start")]
    return Model::parse_with(image, |_| image.last_chunk::<4>().map_or(0, |sum| u32::from_le_bytes(*sum)));
    #[cfg(not(feature = "unchecked-start"))]
    Model::parse(image)
}

/// The port and what becomes of a text. Functions that compute, or need much of the stack, are not inlined: then what one
/// needs is free again for the next.
struct App<'a, 'm, 'w, P: Port, B, const N: usize> {
    door: Door<'a, P, B>,
    summarizer: Summarizer<'a, 'm, 'w, N, WORD>,
    #[cfg(feature = "persist")]
    store: Option<&'a mut dyn Store>,
    line: &'a mut Line,
    /// A part of the line was read already: it was longer than can be edited.
    line_begun: bool,
    /// Line ends since the last character of the text: they count only if text follows.
    line_ends: u32,
    texts: u64,
    all_read: Rate,
    all_written: Rate,
    /// How long it took to check the image at the start.
    checked_micros: u32,
    /// The image is not what it was at the start: nothing that the model says can be trusted.
    damaged: bool,
}

impl<P: Port, B: Board, const N: usize> App<'_, '_, '_, P, B, N> {
    #[inline(never)]
    fn run(&mut self) -> Result<(), P::Error> {
        info!("workspace of {=usize} bytes", self.summarizer.session().plan().bytes());
        self.say(&[Text("\njamlet. /help helps.\n> ")])?;
        loop {
            let door = &mut self.door;
            match door.input.next(&mut door.port, &mut door.board)? {
                Byte::Some(byte) => self.take(byte)?,
                Byte::Interrupt => self.drop_text("^C\n> ")?,
                Byte::Ended => return Ok(()),
            }
            core::mem::replace(&mut self.door.failure, Ok(()))?;
            if self.door.interrupted {
                self.drop_text("^C\n> ")?;
            }
            if self.damaged {
                return refuse(&mut self.door.port, DAMAGED);
            }
        }
    }

    fn say(&mut self, pieces: &[Piece]) -> Result<(), P::Error> {
        print(&mut self.door.port, pieces)
    }

    fn take(&mut self, byte: u8) -> Result<(), P::Error> {
        #[cfg(feature = "plant-panic")]
        assert!(byte.is_ascii());
        let port = &mut self.door.port;
        match self.line.push(byte, |shown| send(port, shown))? {
            Key::Typed => port.flush(),
            Key::Enter if !self.line_begun && self.command()? => {
                self.line.clear();
                Ok(())
            }
            key => {
                self.read_line();
                self.line_begun = key == Key::Full;
                self.line_ends += u32::from(key == Key::Enter);
                if key == Key::End { self.summarize() } else { Ok(()) }
            }
        }
    }

    /// Gives the line to the model, and the line ends before it.
    #[inline(never)]
    fn read_line(&mut self) {
        if !self.line.bytes().is_empty() {
            let ends = core::mem::take(&mut self.line_ends);
            let Self { line, summarizer, door, .. } = self;
            // Line ends before a text's first line don't belong to it.
            let ends = if summarizer.has_text() { ends } else { 0 };
            // The reason for an interruption is in `door`.
            let mut going = (0..ends).all(|_| summarizer.feed(b"\n", door).is_ok());
            going = going && summarizer.feed(line.bytes(), door).is_ok();
            door.interrupted |= !going;
        }
        self.line.clear();
    }

    /// Does what the line asks for, if it is a command.
    #[inline(never)]
    fn command(&mut self) -> Result<bool, P::Error> {
        match self.line.bytes() {
            #[cfg(feature = "persist")]
            b"/help" => self.say(&[Text(HELP), Text(HELP_STATES), Text("> ")])?,
            #[cfg(feature = "persist")]
            b"/save" => self.save()?,
            #[cfg(feature = "persist")]
            b"/resume" => self.resume()?,
            #[cfg(not(feature = "persist"))]
            b"/help" => self.say(&[Text(HELP), Text("> ")])?,
            b"/stats" => self.stats()?,
            b"/verify" => {
                self.verify();
                self.say(&[Text(if self.damaged { "" } else { "sound\n> " })])?;
            }
            b"/reset" => {
                (self.texts, self.all_read, self.all_written) = (0, Rate::new(), Rate::new());
                self.drop_text("> ")?;
            }
            line => match (setting(line, self.summarizer.options()), line) {
                (Some(options), _) => {
                    self.summarizer.set_options(options);
                    self.drop_text("> ")?;
                }
                (None, [b'/', name @ ..]) if !name.is_empty() && name.iter().all(u8::is_ascii_lowercase) => {
                    let Self { line, door, .. } = self;
                    let name = core::str::from_utf8(line.bytes()).unwrap_or_default();
                    print(&mut door.port, &[Text("["), Text(name), Text(": no such command; /help lists them]\n> ")])?;
                }
                _ => return Ok(false),
            },
        }
        Ok(true)
    }

    /// Keeps the state. The text's last word ends here: its tokens can't be taken back.
    #[cfg(feature = "persist")]
    #[inline(never)]
    fn save(&mut self) -> Result<(), P::Error> {
        if !self.summarizer.has_text() {
            return self.say(&[Text("[no text yet]\n> ")]);
        }
        let Self { summarizer, door, store, .. } = self;
        door.interrupted |= summarizer.flush(door).is_err();
        core::mem::replace(&mut door.failure, Ok(()))?;
        let saved = !door.interrupted && store.as_mut().is_some_and(|store| store.save(summarizer.session_mut()));
        self.say_tokens(if saved { "[saved, " } else { "[not saved, " })
    }

    /// Goes on from the state that was kept, at the beginning of a line.
    #[cfg(feature = "persist")]
    #[inline(never)]
    fn resume(&mut self) -> Result<(), P::Error> {
        self.drop_text("")?;
        let Self { summarizer, store, .. } = self;
        if !store.as_mut().is_some_and(|store| store.resume(summarizer.session_mut())) {
            return self.say(&[Text("[nothing was saved]\n> ")]);
        }
        self.summarizer.resumed();
        self.line_ends = 1;
        self.say_tokens("[resumed, ")
    }

    #[cfg(feature = "persist")]
    fn say_tokens(&mut self, what: &str) -> Result<(), P::Error> {
        let tokens = self.summarizer.session().position();
        self.say(&[Text(what), Number(tokens), Text(" tokens]\n> ")])
    }

    /// Looks at the whole image again.
    #[inline(never)]
    fn verify(&mut self) {
        self.damaged |= !self.summarizer.session().model().image().is_intact();
    }

    fn stats(&mut self) -> Result<(), P::Error> {
        let plan = self.summarizer.session().plan();
        let (parts, options) = (plan.parts(), plan.options);
        let bytes = |bytes: usize| Number(bytes as u64);
        self.say(&[
            Text("window "),
            Number(options.window.into()),
            Text(" tokens, workspace "),
            bytes(plan.bytes()),
            Text(" bytes: ssm "),
            bytes(parts.ssm),
            Text(", conv "),
            bytes(parts.conv),
            Text(", cache "),
            bytes(parts.cache),
            Text(", other beams "),
            bytes(parts.beams),
            Text(", scratch "),
            bytes(parts.scratch),
            Text("\nimage checked at the start in "),
            Number(self.checked_micros.into()),
            Text(" us\n"),
        ])?;
        if let Some(stack) = self.door.board.stack() {
            self.say(&[Text("stack "), bytes(stack), Text(" bytes at most\n")])?;
        }
        let (read, written) = (self.all_read, self.all_written);
        self.say(&[
            Text("texts "),
            Number(self.texts),
            Text(", tokens read "),
            Number(read.tokens),
            Text(" ("),
            Tenths(read.per_second_tenths()),
            Text("/s), written "),
            Number(written.tokens),
            Text(" ("),
            Tenths(written.per_second_tenths()),
            Text("/s), port errors "),
            Number(self.door.input.errors.into()),
            Text("\n> "),
        ])
    }

    /// Ends the text and writes its summary.
    fn summarize(&mut self) -> Result<(), P::Error> {
        if !self.summarizer.has_text() {
            return self.say(&[Text("\n[no text yet]\n> ")]);
        }
        self.end_text();
        let door = &mut self.door;
        core::mem::replace(&mut door.failure, Ok(()))?;
        if door.interrupted {
            return Ok(());
        }
        let read = door.read;
        self.say(&[
            Text("\n["),
            Number(read.tokens),
            Text(" tokens read, "),
            Tenths(read.per_second_tenths()),
            Text("/s]\n"),
        ])?;
        let answer = self.write_summary()?;
        let written = self.door.written;
        info!("read {=u64} tokens, wrote {=u64}", read.tokens, written.tokens);
        // A summary that was computed from damaged weights must not pass for one.
        self.verify();
        if self.damaged {
            return Ok(());
        }
        self.texts += 1;
        self.all_read.add(read);
        self.all_written.add(written);
        let workspace = self.summarizer.session().plan().bytes() as u64;
        let end = if self.door.input.take_interrupt() { "^C\n[" } else { "\n[" };
        self.say(&[
            Text(end),
            Number(written.tokens),
            Text(" tokens written, "),
            Tenths(written.per_second_tenths()),
            Text("/s; "),
            Text(answer.map_or("", note)),
            Text("workspace "),
            Number(workspace),
            Text(" bytes"),
        ])?;
        if let Some(stack) = self.door.board.stack() {
            self.say(&[Text(", stack "), Number(stack as u64)])?;
        }
        self.say(&[Text("]\n")])?;
        self.drop_text("> ")
    }

    /// Gives the model what is left of the text, and what follows it.
    #[inline(never)]
    fn end_text(&mut self) {
        let Self { summarizer, door, .. } = self;
        door.interrupted |= summarizer.end(door).is_err();
    }

    /// Writes the summary: none, or a part of it, where Ctrl-C was typed.
    #[inline(never)]
    fn write_summary(&mut self) -> Result<Option<Answer>, P::Error> {
        let Self { summarizer, door, .. } = self;
        door.input.release(&mut door.port, &mut door.board)?;
        door.writing = true;
        let answer = summarizer.write(door);
        core::mem::replace(&mut door.failure, Ok(()))?;
        door.port.flush()?;
        Ok(answer.ok())
    }

    /// Makes ready for another text.
    #[inline(never)]
    fn drop_text(&mut self, prompt: &str) -> Result<(), P::Error> {
        self.line.clear();
        (self.line_begun, self.line_ends) = (false, 0);
        self.summarizer.reset();
        let door = &mut self.door;
        (door.read, door.written) = (Rate::new(), Rate::new());
        (door.writing, door.interrupted) = (false, false);
        door.input.take_interrupt();
        self.say(&[Text(prompt)])
    }
}

/// What `/lines` and `/style` ask for.
fn setting(line: &[u8], options: SummaryOptions) -> Option<SummaryOptions> {
    if let Some(digit) = line.strip_prefix(b"/lines ") {
        let [digit @ b'0'..=b'9'] = digit else { return None };
        let lines = usize::from(digit - b'0');
        return (lines <= MOST_LINES).then(|| options.lines(lines));
    }
    let style = match line.strip_prefix(b"/style ")? {
        b"auto" => Style::Auto,
        b"quote" => Style::Quote,
        b"compress" => Style::Compress,
        b"rewrite" => Style::Rewrite,
        b"title" => Style::Title,
        _ => return None,
    };
    Some(options.style(style))
}

/// A note for people on how the summary was made.
fn note(answer: Answer) -> &'static str {
    match (answer.text, answer.first.map(|line| line.way)) {
        (TextKind::Nothing, None) => "nothing to summarize; ",
        (TextKind::OtherLanguage, _) => "not English, quoted; ",
        (TextKind::Lines, Some(Way::Quote)) => "no sentences, quoted; ",
        // A rewrite was searched for, and not chosen.
        (_, Some(Way::Quote)) if answer.written > 0 => "quoted instead; ",
        (_, Some(Way::Compress)) if answer.written > 0 => "quoted in part instead; ",
        (_, Some(Way::Quote)) => "quoted; ",
        (_, Some(Way::Compress)) => "quoted in part; ",
        _ => "",
    }
}

/// The port, while the model computes.
struct Door<'a, P: Port, B> {
    port: P,
    board: B,
    input: &'a mut Input,
    /// The text is over.
    writing: bool,
    /// Ctrl-C was typed, or the port failed: the rest of the text goes nowhere.
    interrupted: bool,
    /// When the model began to compute.
    since: Option<u32>,
    /// Tokens of this text.
    read: Rate,
    written: Rate,
    /// What went wrong with the port where that couldn't be said at once.
    failure: Result<(), P::Error>,
}

impl<P: Port, B: Board> Door<'_, P, B> {
    fn keep(&mut self, result: Result<(), P::Error>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Err(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl<P: Port, B: Board> Listener for Door<'_, P, B> {
    #[inline(never)]
    fn before(&mut self) -> ControlFlow<()> {
        let Self { port, board, input, .. } = self;
        let polled = match self.writing {
            true => input.poll_and_hold(port, board),
            // What was sent before a summary began waits in the queue.
            false => input.hold(port, board).map(|()| input.poll(port)),
        };
        let interrupted = match polled {
            Ok(interrupted) => interrupted,
            Err(error) => return self.keep(Err(error)),
        };
        self.since = Some(self.board.micros());
        if interrupted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    #[inline(never)]
    fn after(&mut self, step: Step) {
        let micros = self.since.take().map_or(0, |since| self.board.micros().wrapping_sub(since));
        match step {
            Step::Read(tokens) => self.read.count(tokens as u64, micros),
            Step::Weighed(_) => self.written.count(0, micros),
            Step::Wrote(tokens) => self.written.count(tokens as u64, micros),
        }
    }

    #[inline(never)]
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        let Self { port, board, input, .. } = self;
        let polled =
            text_lines(port, piece).and_then(|()| port.flush()).and_then(|()| input.poll_and_hold(port, board));
        match polled {
            Ok(true) => ControlFlow::Break(()),
            Ok(false) => ControlFlow::Continue(()),
            Err(error) => self.keep(Err(error)),
        }
    }
}
