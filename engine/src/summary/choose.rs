//! Which line says best what a passage says.

use super::quotes::Cut;
use super::words::is_word;
use super::{Examined, Line, Listener, Step, Style, Summarizer, SummaryError, TextKind, Way, before};
use crate::kernels::math::exp;
use crate::model::parameters::GATE;
use crate::sampler::grounding::NAME;
use heapless::Vec;

/// The beam that keeps the state before the prompt's last token, until there are others.
const SPARE: usize = 1;

/// Tokens of a sentence that are weighed together.
const BATCH: usize = 16;

/// Words of the shortest rewrite.
const FEWEST_WORDS: usize = 3;

/// The likelihood of a sentence that isn't worth to be weighed.
const IMPROBABLE: [f32; 2] = [-16.0; 2];

/// Sentences that are weighed where everything is examined.
const EXAMINED: usize = 8;

/// How much less a line of a digest says that is no statement by itself, more than signals ever tell two sentences apart.
const FRAGMENT: f32 = 10.0;
/// And one that goes on from a sentence before it: as much as two sentences of a text often differ.
const REFERS_BACK: f32 = 2.0;

/// What a passage's line is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub way: Way,
    /// How much of a quote is said.
    pub cut: Cut,
    /// Place of the sentence among those that wait, where one is quoted.
    pub at: usize,
    /// How much the quote says.
    pub score: f32,
    pub confidence: f32,
}

impl Choice {
    pub fn line(&self) -> Line {
        Line { way: self.way, confidence: self.confidence }
    }
}

impl<const B: usize, const W: usize> Summarizer<'_, '_, '_, B, W> {
    /// What kind of text the passage is.
    pub(super) fn kind(&self) -> TextKind {
        let quotes = &self.reader.quotes;
        if quotes.len() == 0 {
            TextKind::Nothing
        } else if quotes.prose == 0 {
            // Logs and lists have few words that tell a language.
            TextKind::Lines
        } else if !quotes.is_english() {
            TextKind::OtherLanguage
        } else {
            TextKind::Prose
        }
    }

    /// Feeds the prompt's last token.
    pub(super) fn feed_held(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if let Some(token) = self.held {
            before(listener)?;
            self.reader.session.feed(&[token])?;
            listener.after(Step::Weighed(1));
        }
        Ok(())
    }

    /// Chooses the passage's line: none where it has no word. A rewrite, if that is chosen, is the search's.
    #[inline(never)]
    pub(super) fn choose(&mut self, listener: &mut dyn Listener) -> Result<Option<Choice>, SummaryError> {
        let before_last = self.reader.session.position();
        let spare = self.held.is_some() && self.reader.session.plan().options.beams > 1;
        if spare {
            self.reader.session.copy_beam(0, SPARE);
        }
        self.feed_held(listener)?;
        let probe = self.probe(listener)?;
        self.rank(spare.then_some(before_last), listener)?;
        let Some(quote) = self.best() else {
            // Sentences are unknown where a state was restored.
            return self.without_sentences(spare, before_last, listener);
        };
        let rewrite = match self.options.style {
            Style::Rewrite => true,
            Style::Auto | Style::Title => self.options.examine || self.may_be_rewritten() && !self.gate_is_shut(),
            Style::Quote | Style::Compress => self.options.examine,
        };
        if !rewrite {
            return Ok(Some(quote));
        }
        if spare {
            self.reader.session.return_to(SPARE, before_last);
            self.feed_held(listener)?;
        }
        self.search(false, listener)?;
        let margin = self.margin(&quote, probe, listener);
        let better = match self.options.style {
            Style::Rewrite => true,
            Style::Auto | Style::Title => self.may_be_rewritten() && margin > 0.0 && self.is_sound(),
            Style::Quote | Style::Compress => false,
        };
        Ok(Some(match better {
            true => {
                Choice { way: Way::Rewrite, confidence: sigmoid(self.odds(quote.score) + margin.max(0.0)), ..quote }
            }
            false => quote,
        }))
    }

    /// The quote at `at`, which was ranked.
    #[inline(never)]
    pub(super) fn quote(&self, at: usize) -> Choice {
        let score = self.reader.quotes.get(at).map_or(f32::NEG_INFINITY, |kept| kept.score);
        let cut = match self.options.style {
            Style::Compress => Cut::Compressed,
            Style::Auto if self.reader.parameters().compress => Cut::Compressed,
            Style::Title => Cut::Title,
            Style::Auto | Style::Quote | Style::Rewrite => Cut::Whole,
        };
        let shorter = self.reader.quotes.get(at).is_some_and(|kept| kept.is_shorter(cut));
        let way = if shorter { Way::Compress } else { Way::Quote };
        Choice { way, cut, at, score, confidence: sigmoid(self.odds(score)) }
    }

    /// The score that the best `count` sentences have at least.
    pub(super) fn least_of_best(&self, count: usize) -> f32 {
        let quotes = &self.reader.quotes;
        let better = |score: f32| quotes.iter().filter(|kept| kept.score > score).count();
        let among = quotes.iter().map(|kept| kept.score).filter(|&score| better(score) < count);
        among.fold(f32::INFINITY, |least, score| if score < least { score } else { least })
    }

    /// The quote that says most; among equals the first.
    fn best(&self) -> Option<Choice> {
        let mut best: Option<Choice> = None;
        for at in 0..self.reader.quotes.len() {
            let quote = self.quote(at);
            if best.is_none_or(|best| quote.score > best.score) {
                best = Some(quote);
            }
        }
        best
    }

    /// Whether the text is of the kind that models rewrite well. A line of a long text is a quote, and so is that of a text with a
    /// title: a document tells more than one thing.
    fn may_be_rewritten(&self) -> bool {
        self.passages == 0 && self.kind() == TextKind::Prose && !self.reader.quotes.has_title
    }

    /// Whether no rewrite can pass the gate, so that none has to be searched for.
    fn gate_is_shut(&self) -> bool {
        let [bias, rest @ ..] = &self.reader.parameters().gate.0;
        *bias <= 0.0 && rest.iter().all(|&weight| weight == 0.0)
    }

    /// Where a state was restored, a rewrite is all that there is; otherwise a text without words has no summary.
    fn without_sentences(
        &mut self,
        spare: bool,
        before_last: u64,
        listener: &mut dyn Listener,
    ) -> Result<Option<Choice>, SummaryError> {
        if !self.grounding.has_missed() && self.options.style != Style::Rewrite {
            return Ok(None);
        }
        if spare {
            self.reader.session.return_to(SPARE, before_last);
            self.feed_held(listener)?;
        }
        self.search(false, listener)?;
        Ok(Some(Choice { way: Way::Rewrite, cut: Cut::Whole, at: 0, score: 0.0, confidence: 0.0 }))
    }

    /// What the hidden state behind the prompt says.
    fn probe(&mut self, listener: &mut dyn Listener) -> Result<f32, SummaryError> {
        let weights = self.reader.parameters().probe;
        if weights.is_empty() && !self.options.examine {
            return Ok(0.0);
        }
        let hidden = self.reader.session.hidden()?;
        if self.options.examine {
            listener.examined(&Examined::Hidden(hidden));
        }
        let mut sum = 0.0;
        for (weight, hidden) in weights.iter().zip(hidden) {
            sum += weight * hidden;
        }
        Ok(sum)
    }

    /// Ranks the sentences; those that say most also by how probable they are as the summary, if there is a state to go back
    /// to, which has seen `spare` tokens.
    #[inline(never)]
    fn rank(&mut self, spare: Option<u64>, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let parameters = self.reader.parameters();
        self.rank_by_signals();
        let most = if self.options.examine { EXAMINED.max(parameters.likelihoods) } else { parameters.likelihoods };
        let weighed = self.least_of_best(parameters.likelihoods);
        if let Some(position) = spare.filter(|_| most > 0) {
            let least = self.least_of_best(most);
            for at in 0..self.reader.quotes.len() {
                let says_enough = self.reader.quotes.get(at).is_some_and(|kept| kept.score >= least);
                let likelihood = if says_enough { self.weigh(at, position, listener)? } else { IMPROBABLE };
                if let Some(kept) = self.reader.quotes.get_mut(at) {
                    (kept.likelihood, kept.has_likelihood) = (likelihood, says_enough);
                }
            }
        }
        if self.options.examine {
            self.tell_sentences(listener);
        }
        if spare.is_some() && parameters.likelihoods > 0 {
            let [mean_weight, end_weight] = parameters.likelihood;
            for at in 0..self.reader.quotes.len() {
                if let Some(kept) = self.reader.quotes.get_mut(at) {
                    let [mean, end] = if kept.score >= weighed { kept.likelihood } else { IMPROBABLE };
                    kept.score += mean_weight * mean + end_weight * end;
                }
            }
        }
        if self.options.has_passages() && (self.passages > 0 || self.options.lines > 1) {
            self.put_back_fragments();
        }
        Ok(())
    }

    /// A summary of several lines has whole sentences for them, that can be understood without others; where all that a passage has is
    /// fragments, nothing changes among these.
    #[inline(never)]
    fn put_back_fragments(&mut self) {
        for at in 0..self.reader.quotes.len() {
            if let Some(kept) = self.reader.quotes.get_mut(at) {
                kept.score -= match (kept.stands_alone(), kept.refers_back()) {
                    (false, _) => FRAGMENT,
                    (true, true) => REFERS_BACK,
                    (true, false) => 0.0,
                };
            }
        }
    }

    // Not inlined: signals are many.
    #[inline(never)]
    fn rank_by_signals(&mut self) {
        let ranking = self.reader.parameters().ranking;
        self.reader.quotes.rank(&ranking, |_, _| {});
    }

    #[inline(never)]
    fn tell_sentences(&mut self, listener: &mut dyn Listener) {
        let ranking = self.reader.parameters().ranking;
        self.reader.quotes.rank(&ranking, |kept, signals| {
            let likelihood = kept.has_likelihood.then_some(kept.likelihood);
            let (text, score) = (kept.sentence.text(), kept.score);
            listener.examined(&Examined::Sentence { text, signals, score, likelihood });
        });
    }

    /// How probable the sentence at `at` is as the summary: the mean log-probability of its tokens and its end, and its end's.
    #[inline(never)]
    fn weigh(&mut self, at: usize, position: u64, listener: &mut dyn Listener) -> Result<[f32; 2], SummaryError> {
        let Self { encoder, reader, held, .. } = self;
        let Some(mut last) = *held else { return Ok([0.0; 2]) };
        reader.session.return_to(SPARE, position);
        let (session, quotes) = (&mut reader.session, &reader.quotes);
        let encoder = encoder.without_prompt();
        let mut text = quotes.get(at).map_or(&[][..], |kept| kept.sentence.text()).iter();
        let mut stop = session.model().prompt().stops().next();
        let (mut sum, mut count, mut end, mut over) = (0.0, 0u32, 0.0, false);
        loop {
            let (mut tokens, mut next) = (Vec::<u32, BATCH>::new(), Vec::<u32, BATCH>::new());
            while !tokens.is_full() {
                let token = loop {
                    if let Some(token) = encoder.pop() {
                        break Some(token);
                    }
                    match text.next() {
                        Some(&byte) => encoder.push(byte),
                        None if over => break stop.take(),
                        None => {
                            over = true;
                            encoder.end();
                        }
                    }
                };
                let Some(token) = token else { break };
                let _ = (tokens.push(last), next.push(token));
                last = token;
            }
            if tokens.is_empty() {
                return Ok([sum / count.max(1) as f32, end]);
            }
            before(listener)?;
            session.feed_and_score(&tokens, &next, &mut |log_probability| {
                sum += log_probability;
                end = log_probability;
                count += 1;
            })?;
            listener.after(Step::Weighed(tokens.len()));
        }
    }

    /// Whether the rewrite has an end, enough words, and none that the text doesn't have: whatever the gate says, no other one is
    /// chosen.
    fn is_sound(&self) -> bool {
        let Some((_, cost)) = self.beams.means() else { return false };
        // All other costs together are less.
        let from_the_text = cost * ((self.beams.tokens().count() + 1) as f32) < 0.9 * NAME;
        let (mut words, mut in_word) = (0, false);
        for byte in self.beams.tokens().filter_map(|token| self.tokenizer.piece(token)).flatten() {
            words += usize::from(is_word(byte) && !in_word);
            in_word = is_word(byte);
        }
        self.beams.has_ended() && from_the_text && words >= FEWEST_WORDS
    }

    /// How sure the gate is that the rewrite is better.
    #[inline(never)]
    fn margin(&self, quote: &Choice, probe: f32, listener: &mut dyn Listener) -> f32 {
        let features = self.features(quote, probe);
        if self.options.examine {
            self.tell_rewrite(&features, listener);
        }
        self.reader.parameters().gate.margin(&features)
    }

    /// What the gate looks at.
    fn features(&self, quote: &Choice, probe: f32) -> [f32; GATE] {
        let quotes = &self.reader.quotes;
        let (log_probability, cost) = self.beams.means().unwrap_or((0.0, 0.0));
        let kept = quotes.get(quote.at);
        let prose = f32::from(quotes.prose);
        let words = kept.map_or(0, |kept| super::words::words(kept.sentence.text()).count());
        let others = quotes.iter().enumerate().filter(|(at, _)| *at != quote.at).map(|(_, kept)| kept.score);
        let second = others.fold(f32::NEG_INFINITY, |best, score| if score > best { score } else { best });
        let bytes = self.passage as f32;
        [
            1.0,
            log_probability,
            cost.min(100.0),
            self.beams.tokens().count() as f32 / 16.0,
            quote.score,
            if second.is_finite() { (quote.score - second).min(8.0) } else { 8.0 },
            probe,
            kept.map_or(0.0, |kept| kept.mark),
            words as f32 / 20.0,
            prose / (8.0 + prose),
            if prose > 0.0 { 1.0 } else { 0.0 },
            bytes / (2000.0 + bytes),
        ]
    }

    fn tell_rewrite(&self, features: &[f32; GATE], listener: &mut dyn Listener) {
        for token in self.beams.tokens() {
            listener.examined(&Examined::Token(token));
        }
        let (log_probability, cost) = self.beams.means().unwrap_or((0.0, 0.0));
        listener.examined(&Examined::Rewrite { log_probability, cost });
        listener.examined(&Examined::Gate(features));
    }

    /// Logarithm of the odds that a quote with this score is a good summary.
    fn odds(&self, score: f32) -> f32 {
        let [bias, slope] = self.reader.parameters().confidence;
        bias + slope * score
    }
}

fn sigmoid(x: f32) -> f32 {
    if x > 0.0 {
        1.0 / (1.0 + exp(-x))
    } else {
        let e = exp(x);
        e / (1.0 + e)
    }
}
