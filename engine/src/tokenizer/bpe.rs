//! Merges the symbols of a word to tokens, in a window of fixed size.
//!
//! Of all merges that are possible the one of the lowest rank happens, and of those of the same rank the leftmost; then
//! the same again. This has two properties that make a window possible:
//!
//! * Any run of tokens of a result is the result for its own text: no merge crossed its ends, so the merges within it
//!   were the same as without what is around it.
//! * So the result for a text is fixed by the last token of each of its prefixes: the last token of the whole text, then
//!   the last token of what remains before it, and so on.
//!
//! [`Bpe`] keeps these last tokens. A new symbol's is found from those before it: the new symbol `y` can merge only with
//! a token that was last in the text before it *at that time*, which is the last token there, or its right part until the
//! merge that made the token happened, or the right part of that. The earliest such merge happens; the merged token is
//! the new `y`, and so on until nothing merges.
//!
//! Which of two merges at different places is earlier? A merge may come before those that make its parts in the list; it
//! then happens right after them. So what counts is the *level* of a token: the highest rank among the merges that it was
//! made by, its own and those of its parts. Of two tokens at different places the one of the lower level is made first,
//! and of those of the same level the left one.
//!
//! Every longer text has a token boundary within the last `longest` prefixes. Where the chains of last tokens from all
//! of these meet, tokens are final whatever follows, and leave the window. If they don't meet within a full window, those
//! of its first half leave. Trained vocabularies meet within a few tokens: what comes later changes few of the earlier
//! ones.

use super::Tokenizer;
use super::front::drop_front;
use super::stage::{Context, Stage};
use super::symbols::Symbol;
use crate::slot::Slot;

/// Marks a prefix in [`Bpe::settled`]; ids have fewer bits.
const MARK: u32 = 1 << 31;

/// Whether the merge of `left` with the token after it, which makes `id`, happens before `left` and what is left of it
/// become `whole`. `level` is that of the token after it.
#[inline]
fn happens_before(tokenizer: &Tokenizer<'_>, id: u32, (left, level): (u32, u32), whole: u32) -> bool {
    let (rank, sibling) = (tokenizer.rank(id), tokenizer.level(tokenizer.parts(whole).0));
    // While the left sibling isn't there, merges of ranks up to its level are still to come.
    rank < tokenizer.rank(whole) || (rank < sibling && sibling > level.max(tokenizer.level(left)))
}

/// A word that is being merged, in a window of `N` symbols.
#[derive(Clone, Debug)]
pub(super) struct Bpe<const N: usize> {
    /// The last token of each prefix since the last final token; of those that are final, the tokens at `first..end`.
    last: heapless::Vec<u32, N>,
    /// Tokens that are final and not out.
    first: usize,
    end: usize,
    /// Tokens of this word are out.
    begun: bool,
    /// What has to wait until those are out.
    then: Slot<Symbol>,
}

impl<const N: usize> Bpe<N> {
    pub const NEW: Self = Self { last: heapless::Vec::new(), first: 0, end: 0, begun: false, then: Slot::Empty };

    /// The word ends here: all of it is final.
    fn finish(&mut self, tokenizer: &Tokenizer<'_>) {
        self.settle(tokenizer, self.last.len());
        if tokenizer.whole_len() > 0 && !core::mem::take(&mut self.begun) {
            let tokens = self.last.get(self.first..self.end).unwrap_or(&[]);
            let text = tokens.iter().filter_map(|&id| tokenizer.piece(id)).flatten();
            if let Some(id) = tokenizer.whole_word(text)
                && let Some(place) = self.last.get_mut(self.first)
            {
                *place = id;
                self.end = self.first + 1;
                self.last.truncate(self.end);
            }
        }
        self.begun = false;
    }

    /// The next token that is final.
    fn take_final(&mut self) -> Option<u32> {
        let id = *self.last.get(..self.end)?.get(self.first)?;
        self.first += 1;
        if self.first == self.end {
            drop_front(&mut self.last, self.end);
            (self.first, self.end) = (0, 0);
        }
        Some(id)
    }

    /// The last token of the word so far with `symbol` after it.
    #[inline]
    fn last_token(&self, tokenizer: &Tokenizer<'_>, symbol: u32) -> u32 {
        let (mut token, mut level) = (symbol, 0);
        let mut before: &[u32] = &self.last;
        while let Some(&last) = before.last() {
            // Of `last`, its right part, the right part of that, …: the deepest merges first.
            let (mut left, mut whole) = (last, None);
            let mut merged = None;
            loop {
                if let Some(id) = tokenizer.merged(left, token)
                    && whole.is_none_or(|whole| happens_before(tokenizer, id, (left, level), whole))
                {
                    merged = Some((id, left));
                }
                if tokenizer.symbols(left) < 2 || tokenizer.level(left) <= level {
                    // Its parts were there no more when `token` was.
                    break;
                }
                whole = Some(left);
                left = tokenizer.parts(left).1;
            }
            let Some((id, left)) = merged else { break };
            before = before.get(..before.len().saturating_sub(tokenizer.symbols(left).max(1))).unwrap_or(&[]);
            (token, level) = (id, tokenizer.level(id));
        }
        token
    }

    /// The longest prefix whose tokens are final whatever follows; if there is none, those of the window's first half, or
    /// the first.
    fn settled(&mut self, tokenizer: &Tokenizer<'_>) -> usize {
        let mut live = tokenizer.longest().min(self.last.len());
        self.last.iter_mut().rev().take(live).for_each(|token| *token |= MARK);
        let mut settled = None;
        for at in (0..self.last.len()).rev() {
            let Some(token) = self.last.get_mut(at).filter(|token| **token & MARK != 0) else { continue };
            *token &= !MARK;
            if live == 1 {
                settled = Some(at + 1);
                break;
            }
            let parent = (at + 1).saturating_sub(tokenizer.symbols(*token).max(1));
            match parent.checked_sub(1).and_then(|at| self.last.get_mut(at)) {
                Some(parent) if *parent & MARK != 0 => live -= 1,
                Some(parent) => *parent |= MARK,
                // A chain reaches the window's start before it meets the others.
                None => break,
            }
        }
        self.last.iter_mut().for_each(|token| *token &= !MARK);
        settled.unwrap_or_else(|| self.first_half(tokenizer))
    }

    /// The longest prefix of whole tokens in the window's first half; the first token's end if there is none.
    fn first_half(&self, tokenizer: &Tokenizer<'_>) -> usize {
        let mut end = self.last.len();
        while end > N / 2
            && let Some(&token) = end.checked_sub(1).and_then(|at| self.last.get(at))
        {
            match end.checked_sub(tokenizer.symbols(token).max(1)) {
                None | Some(0) => break,
                Some(start) => end = start,
            }
        }
        end
    }

    /// Gathers the tokens of the first `end` prefixes, which are final, in place of their entries.
    #[inline]
    fn settle(&mut self, tokenizer: &Tokenizer<'_>, end: usize) {
        // From the last token to the first, written at the end: tokens have at least one symbol, so what is written
        // stays behind what is still to be read.
        let (mut at, mut first) = (end, end);
        while let Some(&token) = at.checked_sub(1).and_then(|at| self.last.get(at)) {
            at = at.saturating_sub(tokenizer.symbols(token).max(1));
            first -= 1;
            if let Some(slot) = self.last.get_mut(first) {
                *slot = token;
            }
        }
        (self.first, self.end) = (first, end);
    }
}

impl<const N: usize> Stage for Bpe<N> {
    type In = Symbol;
    type Out = u32;

    #[inline]
    fn put(&mut self, context: &Context<'_>, symbol: Symbol) {
        let tokenizer = &context.tokenizer;
        match symbol {
            Symbol::Id(_) if self.last.is_full() => {
                let settled = self.settled(tokenizer);
                self.settle(tokenizer, settled);
                (self.begun, self.then) = (true, Slot::Full(symbol));
            }
            Symbol::Id(id) => {
                let token = self.last_token(tokenizer, id);
                let _ = self.last.push(token);
            }
            Symbol::End => self.finish(tokenizer),
            // Between words nothing waits.
            Symbol::Token(_) => self.then = Slot::Full(symbol),
        }
    }

    #[inline]
    fn next(&mut self, context: &Context<'_>) -> Option<u32> {
        if self.first < self.end {
            return self.take_final();
        }
        match self.then.take()? {
            Symbol::Token(id) => Some(id),
            // At least one prefix was settled: there is room.
            symbol => {
                self.put(context, symbol);
                None
            }
        }
    }
}
