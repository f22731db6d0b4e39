//! The lines of a summary as text.

use super::choose::Choice;
use super::digest::usual_lines;
use super::{Answer, Line, Listener, Step, Style, Summarizer, SummaryError, TextKind, Way, before};
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
            Out { begun: false }.put(text, listener)?;
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
        let Some(choice) = self.choose(listener)? else { return Ok(self.answer(kind)) };
        if lines > 1 && choice.way != Way::Rewrite {
            return self.write_best(lines, choice, kind, listener);
        }
        let line = choice.line();
        listener.line(&line);
        self.write_choice(&choice, listener)?;
        Ok(Answer { lines: 1, first: Some(line), ..self.answer(kind) })
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
        let choice = self.choose(listener)?;
        if let Some(choice) = choice {
            self.digest.add(choice.line());
            match choice.way {
                Way::Rewrite => {
                    let mut text = Words::new(self.tokenizer);
                    for token in self.beams.tokens() {
                        text.push(token, &mut |piece| self.digest.write(piece));
                    }
                    text.finish(&mut |piece| self.digest.write(piece));
                }
                _ => {
                    let digest = &mut *self.digest;
                    let kept = self.reader.quotes.get(choice.at);
                    kept.into_iter().for_each(|kept| kept.pieces(choice.way, &mut |piece| digest.write(piece)));
                }
            }
        }
        Ok(())
    }

    /// Writes what was chosen.
    fn write_choice(&mut self, choice: &Choice, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let mut result = Ok(());
        let mut out = Out { begun: false };
        let mut put = |piece: &str| {
            if result.is_ok() {
                result = out.put(piece, listener);
            }
        };
        match choice.way {
            Way::Rewrite => {
                let mut text = Words::new(self.tokenizer);
                self.beams.tokens().for_each(|token| text.push(token, &mut put));
                text.finish(&mut put);
            }
            _ => {
                let kept = self.reader.quotes.get(choice.at);
                kept.into_iter().for_each(|kept| kept.pieces(choice.way, &mut put));
            }
        }
        result
    }

    /// Searches for a rewrite from where the session stands; with `show` it is written as far as it is settled.
    pub(super) fn search(&mut self, show: bool, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.beams.reset();
        let grounding = self.options.grounded.then_some(&*self.grounding);
        let (mut text, mut out, mut written) = (Words::new(self.tokenizer), Out { begun: false }, 0);
        loop {
            before(listener)?;
            let more = self.beams.step(&mut self.reader.session, grounding)?;
            let mut settled = 0;
            for token in self.beams.settled().skip(written) {
                settled += 1;
                if show {
                    let mut result = Ok(());
                    text.push(token, &mut |piece| result = result.and_then(|()| out.put(piece, listener)));
                    result?;
                }
            }
            written += settled;
            listener.after(Step::Wrote(settled));
            if !more {
                break;
            }
        }
        self.written += written as u64;
        let mut result = Ok(());
        if show {
            text.finish(&mut |piece| result = result.and_then(|()| out.put(piece, listener)));
        }
        result
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
        let (mut text, mut out, mut written) = (Words::new(self.tokenizer), Out { begun: false }, 0);
        let mut result = Ok(());
        while written < options.limit as u64 {
            before(listener)?;
            let token = match options.grounded {
                true => session.next_grounded(sampler, grounding)?,
                false => session.next(sampler)?,
            };
            if prompt.is_stop(token) {
                break;
            }
            written += 1;
            text.push(token, &mut |piece| result = result.and_then(|()| out.put(piece, listener)));
            result?;
            listener.after(Step::Wrote(1));
        }
        text.finish(&mut |piece| result = result.and_then(|()| out.put(piece, listener)));
        result.map(|()| Answer { written, ..answer })
    }

    fn answer(&self, text: TextKind) -> Answer {
        Answer { lines: 0, first: None, text, read: self.read, written: self.written }
    }
}

/// Ends the line before the one at `at`, if there is one.
fn end_line(at: usize, listener: &mut dyn Listener) -> Result<(), SummaryError> {
    if at > 0 && listener.text("\n").is_break() { Err(SummaryError::Interrupted) } else { Ok(()) }
}

/// The tokens of a rewrite as text.
struct Words<'m>(Decoder<'m>);

impl<'m> Words<'m> {
    fn new(tokenizer: Tokenizer<'m>) -> Self {
        Self(Decoder::new(tokenizer, true))
    }

    fn push(&mut self, token: u32, out: &mut dyn FnMut(&str)) {
        self.0.push(token, out);
    }

    fn finish(&mut self, out: &mut dyn FnMut(&str)) {
        self.0.finish(out);
    }
}

/// A line on its way to the listener.
struct Out {
    /// Something of it was written.
    begun: bool,
}

impl Out {
    /// The next piece, without the white space that some tokenizers put before the first word.
    fn put(&mut self, piece: &str, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let piece = if self.begun { piece } else { piece.trim_start() };
        if piece.is_empty() {
            return Ok(());
        }
        self.begun = true;
        if listener.text(piece).is_break() { Err(SummaryError::Interrupted) } else { Ok(()) }
    }
}
