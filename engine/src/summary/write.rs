//! The lines of a summary as text.

use super::choose::Choice;
use super::digest::usual_lines;
use super::quotes::Quotes;
use super::sink::Sink;
use super::{Answer, Line, Listener, Step, Style, Summarizer, SummaryError, TextKind, Way, before};
use crate::beams::Beams;
use crate::sampler::Sampler;
use crate::tokenizer::{Decoder, Tokenizer};

impl<const B: usize, const W: usize> Summarizer<'_, '_, '_, B, W> {
    /// Writes the summary of a text that [`Summarizer::end`] ended.
    ///
    /// # Errors
    /// [`SummaryError::Interrupted`].
    pub fn write(&mut self, listener: &mut dyn Listener) -> Result<Answer, SummaryError> {
        let lines = if self.options.lines == 0 { usual_lines(self.bytes) } else { self.options.lines };
        let kind = self.kind();
        if self.passages == 0 {
            return self.write_one(lines, kind, listener);
        }
        self.write_passage(listener)?;
        self.digest.keep(lines);
        let mut first = None;
        for at in 0..self.digest.len() {
            let Some((line, text)) = self.digest.get(at) else { break };
            first = first.or(Some(line));
            end_line(at, listener)?;
            listener.line(&line);
            let mut sink = Sink::answer(listener, false);
            sink.put(text);
            sink.begun()?;
        }
        Ok(Answer { lines: self.digest.len(), first, ..self.answer(kind) })
    }

    /// Writes the summary of a text of one passage.
    fn write_one(&mut self, lines: usize, kind: TextKind, listener: &mut dyn Listener) -> Result<Answer, SummaryError> {
        if self.options.style == Style::Rewrite && !self.options.examine {
            self.feed_held(listener)?;
            let line = Line { way: Way::Rewrite, confidence: 1.0 };
            listener.line(&line);
            self.search(true, listener)?;
            return Ok(Answer { lines: 1, first: Some(line), ..self.answer(kind) });
        }
        if self.options.style == Style::Title && kind == TextKind::Prose && !self.reader.quotes.heading().is_empty() {
            return self.write_heading(listener);
        }
        let Some(choice) = self.choose(listener)? else { return Ok(self.answer(kind)) };
        if self.options.style != Style::Title && lines > 1 && choice.way != Way::Rewrite {
            return self.write_best(lines, choice, kind, listener);
        }
        let line = choice.line();
        listener.line(&line);
        self.write_choice(&choice, listener)?;
        Ok(Answer { lines: 1, first: Some(line), ..self.answer(kind) })
    }

    /// Quotes the text's own heading: who wrote it knew what the text says.
    fn write_heading(&mut self, listener: &mut dyn Listener) -> Result<Answer, SummaryError> {
        let line = Line { way: Way::Quote, confidence: 1.0 };
        listener.line(&line);
        let mut sink = Sink::answer(listener, false);
        for chunk in self.reader.quotes.heading().utf8_chunks() {
            sink.put(chunk.valid());
        }
        sink.begun()?;
        Ok(Answer { lines: 1, first: Some(line), ..self.answer(TextKind::Prose) })
    }

    /// Quotes the best `lines` sentences of a passage, in its order.
    fn write_best(
        &mut self,
        lines: usize,
        best: Choice,
        kind: TextKind,
        listener: &mut dyn Listener,
    ) -> Result<Answer, SummaryError> {
        let (mut written, mut first) = (0, None);
        let least = self.least_of_best(lines);
        for at in 0..self.reader.quotes.len() {
            if written == lines {
                break;
            }
            let choice = if at == best.at { best } else { self.quote(at) };
            if choice.score < least && at != best.at {
                continue;
            }
            let line = choice.line();
            end_line(written, listener)?;
            listener.line(&line);
            self.write_choice(&choice, listener)?;
            first = first.or(Some(line));
            written += 1;
        }
        Ok(Answer { lines: written, first, ..self.answer(kind) })
    }

    /// Chooses the passage's line, which waits for those of others.
    pub(super) fn write_passage(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if let Some(choice) = self.choose(listener)? {
            self.digest.add(choice.line());
            let Self { tokenizer, beams, reader, digest, .. } = self;
            write_to(&mut Sink::Digest(digest), tokenizer, beams, reader.quotes, &choice);
        }
        Ok(())
    }

    /// Writes what was chosen.
    fn write_choice(&mut self, choice: &Choice, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let mut sink = Sink::answer(listener, false);
        write_to(&mut sink, &self.tokenizer, self.beams, self.reader.quotes, choice);
        sink.begun().map(|_| ())
    }

    /// Searches for a rewrite from where the session stands; with `show` it is written as far as it is settled.
    #[inline(never)]
    pub(super) fn search(&mut self, show: bool, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.beams.reset();
        let grounding = self.options.grounded.then_some(&*self.grounding);
        let mut written = Written::new(self.tokenizer);
        loop {
            before(listener)?;
            let more = self.beams.step(&mut self.reader.session, grounding)?;
            let mut settled = 0;
            for token in self.beams.settled().skip(written.tokens) {
                settled += 1;
                if show {
                    written.push(token, listener)?;
                }
            }
            if !show {
                written.tokens += settled;
            }
            listener.after(Step::Wrote(settled));
            if !more {
                break;
            }
        }
        self.written += written.tokens as u64;
        if show { written.finish(listener) } else { Ok(()) }
    }

    /// As [`Summarizer::write`], where the text is rewritten, and a sampler chooses one token after the other.
    ///
    /// # Errors
    /// As there.
    pub fn write_sampled(
        &mut self,
        sampler: &mut Sampler,
        listener: &mut dyn Listener,
    ) -> Result<Answer, SummaryError> {
        self.feed_held(listener)?;
        let line = Line { way: Way::Rewrite, confidence: 1.0 };
        listener.line(&line);
        let answer = Answer { lines: 1, first: Some(line), ..self.answer(self.kind()) };
        let Self { reader, grounding, options, .. } = self;
        let prompt = reader.session.model().prompt();
        let session = &mut reader.session;
        let mut written = Written::new(self.tokenizer);
        while written.tokens < options.limit {
            before(listener)?;
            let token = match options.grounded {
                true => session.next_grounded(sampler, grounding)?,
                false => session.next(sampler)?,
            };
            if prompt.is_stop(token) {
                break;
            }
            written.push(token, listener)?;
            listener.after(Step::Wrote(1));
        }
        let tokens = written.tokens as u64;
        written.finish(listener)?;
        Ok(Answer { written: tokens, ..answer })
    }

    fn answer(&self, text: TextKind) -> Answer {
        Answer { lines: 0, first: None, text, read: self.read, written: self.written }
    }
}

/// Ends the line before the one at `at`, if there is one.
fn end_line(at: usize, listener: &mut dyn Listener) -> Result<(), SummaryError> {
    if at > 0 && listener.text("\n").is_break() { Err(SummaryError::Interrupted) } else { Ok(()) }
}

/// Writes what was chosen of a passage.
#[inline(never)]
fn write_to<const B: usize>(
    sink: &mut Sink<'_>,
    tokenizer: &Tokenizer<'_>,
    beams: &Beams<B>,
    quotes: &Quotes,
    choice: &Choice,
) {
    if choice.way == Way::Rewrite {
        let mut text = Decoder::new(*tokenizer, true);
        for token in beams.tokens() {
            decode(&mut text, token, sink);
        }
        text.finish(|piece| sink.put(piece));
    } else if let Some(kept) = quotes.get(choice.at) {
        kept.write(choice.cut, sink);
    }
}

#[inline(never)]
fn decode(text: &mut Decoder<'_>, token: u32, sink: &mut Sink<'_>) {
    text.push(token, |piece| sink.put(piece));
}

/// Tokens of a rewrite that are written as they come.
struct Written<'m> {
    text: Decoder<'m>,
    begun: bool,
    tokens: usize,
}

impl<'m> Written<'m> {
    fn new(tokenizer: Tokenizer<'m>) -> Self {
        Self { text: Decoder::new(tokenizer, true), begun: false, tokens: 0 }
    }

    fn push(&mut self, token: u32, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.tokens += 1;
        let mut sink = Sink::answer(listener, self.begun);
        decode(&mut self.text, token, &mut sink);
        self.begun = sink.begun()?;
        Ok(())
    }

    fn finish(mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let mut sink = Sink::answer(listener, self.begun);
        self.text.finish(|piece| sink.put(piece));
        sink.begun().map(|_| ())
    }
}
