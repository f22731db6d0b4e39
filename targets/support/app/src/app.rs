//! The application: reads texts from a serial port and streams their summaries back.
//!
//! A text goes into the model's state while it arrives, so it may be of any length: nothing of it is kept, and nothing of
//! it is cut off. Of its words a table of constant size remembers enough to prefer them in the summary.

use crate::board::Board;
#[cfg(feature = "persist")]
use crate::extras::Store;
use crate::extras::{Begin, Extras};
use crate::input::{Byte, Input};
use crate::line::{Key, Line};
use crate::log::{info, warning};
use crate::rate::Rate;
use crate::terminal::{Piece, print, send, text_lines};
use Piece::{Number, Tenths, Text};
use embedded_io::{Read, ReadReady, Write};
use heapless::Vec;
use jamlet::beams::{Beams, MAX_SUMMARY};
use jamlet::kernels::Kernels;
use jamlet::tokenizer::{Decoder, Encoder, Tokenizer};
use jamlet::{Grounding, ImageError, Model, Options, Session};

/// A serial port.
pub trait Port: Read + ReadReady + Write {}
impl<P: Read + ReadReady + Write> Port for P {}

/// The most tokens of a summary.
pub const LONGEST_SUMMARY: u64 = MAX_SUMMARY as u64;
/// Symbols of a word that can be merged with each other.
const WORD: usize = 256;
/// Tokens that wait to be fed together. Prefill in chunks reads the weights once a chunk.
const BATCH: usize = 32;

const HELP: &str = "\
Type or paste a text, then Ctrl-D (or a form feed): its summary follows.
Backspace, Ctrl-W and Ctrl-U erase a character, a word, a line.
Ctrl-C drops the text, or ends the summary.
/help   this
/stats  memory, and what was read and written
/reset  drops the text, and counts from zero
/verify whether the model's image is still as it was
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
    encoder: Place<Encoder<'m, WORD>>,
    beams: Place<Beams<N>>,
    grounding: Grounding,
}

/// An `Option` whose `None` is all zeros, so that a `static` lies in `.bss` and takes no flash.
#[repr(u8)]
enum Place<T> {
    Empty,
    Taken(T),
}

impl<const N: usize> Memory<'_, N> {
    /// Nothing was typed.
    pub const fn new() -> Self {
        Self {
            input: Input::new(),
            line: Line::new(),
            encoder: Place::Empty,
            beams: Place::Empty,
            grounding: Grounding::new(),
        }
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
    let (tokenizer, session) = match opened {
        Ok(opened) => opened,
        Err(problem) => return Err(refuse(&mut port, problem)),
    };
    let Memory { input, line, encoder, beams, grounding } = memory;
    let (Some(encoder), Some(beams)) =
        (in_place(encoder, || Encoder::new(tokenizer)), in_place(beams, || Beams::new(MAX_SUMMARY)))
    else {
        return Err(Ok(()));
    };
    Ok(App {
        reader: Reader {
            port,
            board,
            input,
            session,
            beams,
            grounding,
            batch: Vec::new(),
            begun: false,
            interrupted: false,
            read: Rate::new(),
            failure: Ok(()),
            begin: extras.begin,
        },
        tokenizer,
        #[cfg(feature = "persist")]
        store: extras.store,
        encoder,
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

/// What is said of an image that isn't what it was.
const DAMAGED: &str = "the model's image is damaged";

/// The parts of a model that the application needs. All sizes were settled when the firmware was linked, so little is left
/// to go wrong.
#[inline(never)]
fn open<'m, 'w>(
    image: &'m [u8],
    options: Options,
    workspace: &'w mut [u8],
    kernels: Kernels<'static>,
) -> Result<(Tokenizer<'m>, Session<'m, 'w>), &'static str> {
    let model = parse(image).map_err(|_| DAMAGED)?;
    #[cfg(feature = "signature")]
    crate::signature::check(model.image())?;
    let tokenizer = model.tokenizer().ok_or("the model's image has no tokenizer")?;
    let session = Session::with_kernels(&model, options, workspace, kernels);
    Ok((tokenizer, session.map_err(|_| "the workspace is too small for the model")?))
}

fn parse(image: &[u8]) -> Result<Model<'_>, ImageError> {
    // Structure is always checked, so that nothing behind it can fail.
    #[cfg(feature = "unchecked-start")]
    return Model::parse_with(image, |_| image.last_chunk::<4>().map_or(0, |sum| u32::from_le_bytes(*sum)));
    #[cfg(not(feature = "unchecked-start"))]
    Model::parse(image)
}

/// Makes something where it stays. A function of its own, so that what it needs of the stack is free again afterwards.
#[inline(never)]
fn in_place<T>(place: &mut Place<T>, make: impl FnOnce() -> T) -> Option<&mut T> {
    *place = Place::Taken(make());
    match place {
        Place::Empty => None,
        Place::Taken(made) => Some(made),
    }
}

/// The port and what becomes of a text. Functions that compute, or need much of the stack, are not inlined: then what one
/// needs is free again for the next.
struct App<'a, 'm, 'w, P: Port, B, const N: usize> {
    reader: Reader<'a, 'm, 'w, P, B, N>,
    tokenizer: Tokenizer<'m>,
    #[cfg(feature = "persist")]
    store: Option<&'a mut dyn Store>,
    encoder: &'a mut Encoder<'m, WORD>,
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
        info!("workspace of {=usize} bytes", self.reader.session.plan().bytes());
        self.say(&[Text("\njamlet. /help helps.\n> ")])?;
        loop {
            let reader = &mut self.reader;
            match reader.input.next(&mut reader.port, &mut reader.board)? {
                Byte::Some(byte) => self.take(byte)?,
                Byte::Interrupt => self.drop_text("^C\n> ")?,
                Byte::Ended => return Ok(()),
            }
            core::mem::replace(&mut self.reader.failure, Ok(()))?;
            if self.reader.interrupted {
                self.drop_text("^C\n> ")?;
            }
            if self.damaged {
                return refuse(&mut self.reader.port, DAMAGED);
            }
        }
    }

    fn say(&mut self, pieces: &[Piece]) -> Result<(), P::Error> {
        print(&mut self.reader.port, pieces)
    }

    fn take(&mut self, byte: u8) -> Result<(), P::Error> {
        #[cfg(feature = "plant-panic")]
        assert!(byte.is_ascii());
        let port = &mut self.reader.port;
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
        let Self { line, encoder, reader, .. } = self;
        if !line.bytes().is_empty() {
            let ends = core::mem::take(&mut self.line_ends);
            // Line ends before a text's first line are none of it.
            for _ in 0..if reader.begun { ends } else { 0 } {
                reader.grounding.feed(b"\n");
                encoder.feed(b"\n", |token| reader.push(token));
            }
            reader.begin();
            reader.grounding.feed(line.bytes());
            encoder.feed(line.bytes(), |token| reader.push(token));
        }
        line.clear();
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
            [b'/', name @ ..] if !name.is_empty() && name.iter().all(u8::is_ascii_lowercase) => {
                let Self { line, reader, .. } = self;
                let name = core::str::from_utf8(line.bytes()).unwrap_or_default();
                print(&mut reader.port, &[Text("["), Text(name), Text(": no such command; /help lists them]\n> ")])?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Keeps the state. The text's last word ends here: its tokens can't be taken back.
    #[cfg(feature = "persist")]
    #[inline(never)]
    fn save(&mut self) -> Result<(), P::Error> {
        if !self.reader.begun {
            return self.say(&[Text("[no text yet]\n> ")]);
        }
        let Self { encoder, reader, store, .. } = self;
        encoder.finish(|token| reader.push(token));
        reader.feed();
        core::mem::replace(&mut reader.failure, Ok(()))?;
        let saved = !reader.interrupted && store.as_mut().is_some_and(|store| store.save(&mut reader.session));
        self.say_tokens(if saved { "[saved, " } else { "[not saved, " })
    }

    /// Goes on from the state that was kept, at the beginning of a line.
    #[cfg(feature = "persist")]
    #[inline(never)]
    fn resume(&mut self) -> Result<(), P::Error> {
        self.drop_text("")?;
        let Self { reader, store, .. } = self;
        if !store.as_mut().is_some_and(|store| store.resume(&mut reader.session)) {
            return self.say(&[Text("[nothing was saved]\n> ")]);
        }
        reader.begun = true;
        reader.grounding.miss();
        self.line_ends = 1;
        self.say_tokens("[resumed, ")
    }

    #[cfg(feature = "persist")]
    fn say_tokens(&mut self, what: &str) -> Result<(), P::Error> {
        let tokens = self.reader.session.position();
        self.say(&[Text(what), Number(tokens), Text(" tokens]\n> ")])
    }

    /// Looks at the whole image again.
    #[inline(never)]
    fn verify(&mut self) {
        self.damaged |= !self.reader.session.model().image().is_intact();
    }

    fn stats(&mut self) -> Result<(), P::Error> {
        let plan = self.reader.session.plan();
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
        if let Some(stack) = self.reader.board.stack() {
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
            Number(self.reader.input.errors.into()),
            Text("\n> "),
        ])
    }

    /// Ends the text and writes its summary.
    fn summarize(&mut self) -> Result<(), P::Error> {
        if !self.reader.begun {
            return self.say(&[Text("\n[no text yet]\n> ")]);
        }
        self.end_text();
        let reader = &mut self.reader;
        core::mem::replace(&mut reader.failure, Ok(()))?;
        if reader.interrupted {
            return Ok(());
        }
        let read = reader.read;
        self.say(&[
            Text("\n["),
            Number(read.tokens),
            Text(" tokens read, "),
            Tenths(read.per_second_tenths()),
            Text("/s]\n"),
        ])?;
        let written = self.reader.write_summary(self.tokenizer)?;
        info!("read {=u64} tokens, wrote {=u64}", read.tokens, written.tokens);
        // A summary that was computed from damaged weights must not pass for one.
        self.verify();
        if self.damaged {
            return Ok(());
        }
        self.texts += 1;
        self.all_read.add(read);
        self.all_written.add(written);
        let workspace = self.reader.session.plan().bytes() as u64;
        let end = if self.reader.input.take_interrupt() { "^C\n[" } else { "\n[" };
        self.say(&[
            Text(end),
            Number(written.tokens),
            Text(" tokens written, "),
            Tenths(written.per_second_tenths()),
            Text("/s; workspace "),
            Number(workspace),
            Text(" bytes"),
        ])?;
        if let Some(stack) = self.reader.board.stack() {
            self.say(&[Text(", stack "), Number(stack as u64)])?;
        }
        self.say(&[Text("]\n")])?;
        self.drop_text("> ")
    }

    /// Gives the model what is left of the text, and what follows it.
    #[inline(never)]
    fn end_text(&mut self) {
        let Self { encoder, reader, .. } = self;
        encoder.finish(|token| reader.push(token));
        reader.grounding.finish();
        for token in reader.session.model().prompt().suffix() {
            reader.push(token);
        }
        reader.feed();
    }

    /// Makes ready for another text.
    #[inline(never)]
    fn drop_text(&mut self, prompt: &str) -> Result<(), P::Error> {
        self.encoder.finish(|_| {});
        self.line.clear();
        (self.line_begun, self.line_ends) = (false, 0);
        self.reader.drop_text();
        self.say(&[Text(prompt)])
    }
}

/// What tokens pass through.
struct Reader<'a, 'm, 'w, P: Port, B, const N: usize> {
    port: P,
    board: B,
    input: &'a mut Input,
    session: Session<'m, 'w>,
    beams: &'a mut Beams<N>,
    /// The words of this text.
    grounding: &'a mut Grounding,
    batch: Vec<u32, BATCH>,
    /// A text was begun: the state has seen the prompt's beginning.
    begun: bool,
    /// Ctrl-C was typed while a text was read: the rest of it goes nowhere.
    interrupted: bool,
    /// Tokens of this text.
    read: Rate,
    /// What went wrong with the port where that couldn't be said at once.
    failure: Result<(), P::Error>,
    begin: Begin<'m>,
}

impl<P: Port, B: Board, const N: usize> Reader<'_, '_, '_, P, B, N> {
    /// Begins a text, if none has begun.
    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            if !(self.begin)(&mut self.session) {
                for token in self.session.model().opening() {
                    self.push(token);
                }
            }
        }
    }

    /// Takes a token of the text.
    fn push(&mut self, token: u32) {
        if self.batch.push(token).is_err() {
            self.feed();
            // There is room now.
            let _ = self.batch.push(token);
        }
    }

    /// Feeds the tokens that wait.
    #[inline(never)]
    fn feed(&mut self) {
        let Self { port, board, input, .. } = self;
        if let Err(error) = input.hold(port, board) {
            self.failure = Err(error);
        }
        self.interrupted |= input.poll(port);
        if !self.interrupted {
            let start = board.micros();
            // The tokenizer's ids are all in the vocabulary: the image was checked.
            let _ = self.session.feed(&self.batch);
            self.read.count(self.batch.len() as u64, board.micros().wrapping_sub(start));
        }
        self.batch.clear();
    }

    #[inline(never)]
    fn write_summary(&mut self, tokenizer: Tokenizer) -> Result<Rate, P::Error> {
        let Self { port, board, input, session, beams, grounding, .. } = self;
        input.release(port, board)?;
        beams.reset();
        let mut decoder = Decoder::new(tokenizer, true);
        let mut written = Rate::new();
        let mut more = true;
        while more && !input.poll_and_hold(port, board)? {
            let start = board.micros();
            // The text was fed, so there is something to go on from.
            more = beams.step(session, Some(grounding)).unwrap_or(false);
            let before = written.tokens;
            written.count(0, board.micros().wrapping_sub(start));
            let mut sent = Ok(());
            for token in beams.settled().skip(before as usize) {
                written.count(1, 0);
                decoder.push(token, |text| {
                    sent = core::mem::replace(&mut sent, Ok(())).and_then(|()| text_lines(port, text))
                });
            }
            sent?;
            port.flush()?;
        }
        let mut sent = Ok(());
        decoder.finish(|text| sent = text_lines(port, text));
        sent.map(|()| written)
    }

    fn drop_text(&mut self) {
        self.session.reset();
        self.grounding.reset();
        self.batch.clear();
        self.read = Rate::new();
        (self.begun, self.interrupted) = (false, false);
        self.input.take_interrupt();
    }
}
