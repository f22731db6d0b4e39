//! Text to the ids of a whole prompt.

mod trim;

use crate::model::{Model, Prompt, Template};
use crate::slot::Slot;
use crate::tokenizer::{Encoder, Tokenizer};
use trim::Trim;

/// Encodes a text between the ids that begin and end the model's prompt, as one text with what the template puts around it.
///
/// The ids before the text are those of [`Model::opening`], which a session has seen already where it started from a baked state;
/// everything after them comes from here, the prompt's suffix included. Where the template trims a text, its end is known to be
/// white space for up to 128 bytes of it: of a longer run at the end, what came first stays.
///
/// Ids are given to a function, or taken one by one, as with the [`Encoder`].
#[derive(Clone, Debug)]
pub struct PromptEncoder<'m, const N: usize = 512> {
    frame: Slot<Frame<'m>>,
    encoder: Encoder<'m, N>,
    trim: Trim,
    place: Place,
    coming: Slot<Coming>,
}

/// What stands around a text.
#[derive(Clone, Copy, Debug)]
struct Frame<'m> {
    prompt: Prompt<'m>,
    template: Option<Template<'m>>,
    /// A text that was baked in behind the prefix stands where the template's would, and begins the message.
    in_message: bool,
}

/// Where the prompt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// So many bytes of the template's text before the message are read.
    Before(usize),
    Message,
    /// A word of the message ends, and no more.
    WordEnd,
    /// So many bytes of the template's text after the message are read.
    After(usize),
    /// So many ids of the suffix are out.
    Suffix(usize),
}

#[derive(Clone, Copy, Debug)]
enum Coming {
    Byte(u8),
    WordEnd,
    End,
}

impl<'m, const N: usize> PromptEncoder<'m, N> {
    /// Of no model: there are no ids. All zeros, see [`Slot`].
    pub(crate) const EMPTY: Self =
        Self { frame: Slot::Empty, encoder: Encoder::EMPTY, trim: Trim::NEW, place: Place::Start, coming: Slot::Empty };

    /// At the beginning of a text, with the `model`'s tokenizer.
    pub fn new(model: &Model<'m>, tokenizer: Tokenizer<'m>) -> Self {
        let mut encoder = Self::EMPTY;
        encoder.load(model, tokenizer);
        encoder
    }

    /// As new, in place: it is large for a stack.
    #[inline(never)]
    pub(crate) fn load(&mut self, model: &Model<'m>, tokenizer: Tokenizer<'m>) {
        let prompt = model.prompt();
        let in_message = model.opening().len() != prompt.prefix().len();
        self.frame = Slot::Full(Frame { prompt, template: model.template(), in_message });
        self.encoder.load(tokenizer);
        self.trim = Trim::NEW;
        (self.place, self.coming) = (Place::Start, Slot::Empty);
    }

    /// Reads the next byte of the text. Only after [`PromptEncoder::pop`] has said that no id is left.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.come(Coming::Byte(byte));
    }

    /// Ends the text's last word, likewise. More of the text may follow, in a new word.
    pub fn end_word(&mut self) {
        if self.place != Place::Start {
            self.come(Coming::WordEnd);
        }
    }

    /// Ends the text, likewise. When the ids that were left are taken, the prompt's suffix last, another text may begin.
    pub fn end(&mut self) {
        self.come(Coming::End);
    }

    fn come(&mut self, coming: Coming) {
        debug_assert!(self.coming.is_empty(), "ids are left");
        self.coming = Slot::Full(coming);
    }

    /// Takes the next id that is certain by now.
    pub fn pop(&mut self) -> Option<u32> {
        let Frame { prompt, template, .. } = *self.frame.as_ref()?;
        loop {
            if let Some(id) = self.encoder.pop() {
                return Some(id);
            }
            if let Some(byte) = self.trim.next() {
                self.encoder.push(byte);
                continue;
            }
            match self.place {
                Place::Start => {
                    if self.coming.is_empty() {
                        return None;
                    }
                    self.begin();
                }
                Place::Before(at) => match template.and_then(|template| template.before().get(at)) {
                    Some(&byte) => {
                        self.encoder.push(byte);
                        self.place = Place::Before(at + 1);
                    }
                    None => self.place = Place::Message,
                },
                Place::Message => match self.coming.take()? {
                    Coming::Byte(byte) => self.trim.put(byte),
                    Coming::WordEnd => {
                        self.trim.end();
                        self.place = Place::WordEnd;
                    }
                    Coming::End => {
                        self.trim.end();
                        self.place = Place::After(0);
                    }
                },
                Place::WordEnd => {
                    self.encoder.end();
                    self.place = Place::Message;
                }
                Place::After(at) => match template.and_then(|template| template.after().get(at)) {
                    Some(&byte) => {
                        self.encoder.push(byte);
                        self.place = Place::After(at + 1);
                    }
                    None => {
                        self.encoder.end();
                        self.place = Place::Suffix(0);
                    }
                },
                Place::Suffix(at) => {
                    let id = prompt.suffix().nth(at);
                    self.place = if id.is_some() { Place::Suffix(at + 1) } else { Place::Start };
                    return id;
                }
            }
        }
    }

    /// Reads the next piece of the text and gives the ids that are certain by now to `out`.
    pub fn feed(&mut self, text: &[u8], mut out: impl FnMut(u32)) {
        for &byte in text {
            self.push(byte);
            while let Some(id) = self.pop() {
                out(id);
            }
        }
    }

    /// Ends the text, gives the ids that are left to `out`, the prompt's suffix last, and is ready for another text.
    pub fn finish(&mut self, mut out: impl FnMut(u32)) {
        self.end();
        while let Some(id) = self.pop() {
            out(id);
        }
    }

    /// The text that follows goes on behind one that is read already.
    pub fn resumed(&mut self) {
        self.reset();
        self.place = Place::Message;
        let template = self.frame.as_ref().and_then(|frame| frame.template);
        self.trim.begin(false, template.is_some_and(|template| template.trims_end()));
    }

    /// Drops what was read of a text, and is ready for another.
    pub fn reset(&mut self) {
        self.encoder.finish(|_| ());
        self.trim.begin(false, false);
        (self.place, self.coming) = (Place::Start, Slot::Empty);
    }

    /// The encoder of texts without a prompt; only between two prompts.
    pub(crate) fn without_prompt(&mut self) -> &mut Encoder<'m, N> {
        &mut self.encoder
    }

    fn begin(&mut self) {
        let Some(&Frame { prompt, template, in_message }) = self.frame.as_ref() else { return };
        let trims = template.map_or((false, false), |t| (t.trims_start() && !in_message, t.trims_end()));
        self.trim.begin(trims.0, trims.1);
        self.place = Place::Message;
        let Some(template) = template.filter(|_| !in_message) else { return };
        if let Some(last) = prompt.prefix().last().filter(|_| template.goes_on()) {
            self.encoder.go_on_behind(last);
        }
        self.place = Place::Before(0);
    }
}
