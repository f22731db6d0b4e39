//! Text to the ids of a whole prompt.

mod trim;

use crate::model::{Model, Template};
use crate::tokenizer::{Encoder, Tokenizer};
use trim::Trim;

/// Encodes a text between the ids that begin and end the model's prompt, as one text with what the template puts around it.
///
/// The ids before the text are those of [`Model::opening`], which a session has seen already where it started from a baked state;
/// everything after them comes from here, the prompt's suffix included. Where the template trims a text, its end is known to be
/// white space for up to 128 bytes of it: of a longer run at the end, what came first stays.
#[derive(Clone, Debug)]
pub struct PromptEncoder<'m, const N: usize = 512> {
    model: Model<'m>,
    encoder: Encoder<'m, N>,
    trim: Trim,
    begun: bool,
}

impl<'m, const N: usize> PromptEncoder<'m, N> {
    /// At the beginning of a text, with the `model`'s tokenizer.
    pub fn new(model: &Model<'m>, tokenizer: Tokenizer<'m>) -> Self {
        Self { model: *model, encoder: Encoder::new(tokenizer), trim: Trim::new(), begun: false }
    }

    /// Reads the next piece of the text and gives the ids that are certain by now to `out`.
    pub fn feed(&mut self, text: &[u8], mut out: impl FnMut(u32)) {
        self.begin(&mut out);
        let Self { encoder, trim, .. } = self;
        trim.feed(text, &mut |part| encoder.feed(part, &mut out));
    }

    /// Ends the text, gives the ids that are left to `out`, the prompt's suffix last, and is ready for another text.
    pub fn finish(&mut self, mut out: impl FnMut(u32)) {
        self.begin(&mut out);
        let Self { encoder, trim, .. } = self;
        trim.finish(&mut |part| encoder.feed(part, &mut out));
        if let Some(template) = self.template() {
            self.encoder.feed(template.after(), &mut out);
        }
        self.encoder.finish(&mut out);
        self.model.prompt().suffix().for_each(out);
        self.begun = false;
    }

    /// Ends the text's last word and gives its ids to `out`. More of the text may follow, in a new word.
    pub fn flush(&mut self, mut out: impl FnMut(u32)) {
        if !self.begun {
            return;
        }
        let Self { encoder, trim, .. } = self;
        trim.finish(&mut |part| encoder.feed(part, &mut out));
        encoder.finish(out);
    }

    /// The text that follows goes on behind one that is read already.
    pub fn resumed(&mut self) {
        self.begun = true;
        let end = self.template().is_some_and(|template| template.trims_end());
        self.trim.begin(false, end);
    }

    /// Drops what was read of a text, and is ready for another.
    pub fn reset(&mut self) {
        self.encoder.finish(|_| ());
        self.begun = false;
    }

    fn template(&self) -> Option<Template<'m>> {
        self.model.template()
    }

    fn begin(&mut self, out: &mut impl FnMut(u32)) {
        if self.begun {
            return;
        }
        self.begun = true;
        // A text that was baked in behind the prefix stands where the template's would, and begins the message.
        let mut prefix = self.model.prompt().prefix();
        let in_message = self.model.opening().len() != prefix.len();
        let trims = self.template().map_or((false, false), |t| (t.trims_start() && !in_message, t.trims_end()));
        self.trim.begin(trims.0, trims.1);
        let Some(template) = self.template().filter(|_| !in_message) else { return };
        if let Some(last) = prefix.by_ref().last().filter(|_| template.goes_on()) {
            self.encoder.go_on_behind(last);
        }
        self.encoder.feed(template.before(), out);
    }
}
