//! Constrained choice: which of some texts the model would write.

use crate::error::{JamletError, code};
use crate::handle::{Entered, write};
use crate::session::{JamletSession, Run};
use core::ffi::{CStr, c_char};
use core::slice;

/// The most texts to choose from.
pub const JAMLET_MOST_CHOICES: usize = 32;

/// Chooses one of `count` texts, the one that the model would write next if it had to write one of them, and feeds it. `choices`
/// are texts with a zero at the end; each is read as a text of its own, so it begins with a space where the model would write
/// one. `chosen` gets its index; `probability` its probability among the others, and may be null.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_choose(
    session: *mut JamletSession,
    choices: *const *const c_char,
    count: usize,
    chosen: *mut usize,
    probability: *mut f32,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, choices) = unsafe { (Entered::new(session), read(choices, count)) };
    code(entered.and_then(|mut run| {
        let (choices, mut texts) = (choices?, [&[][..]; JAMLET_MOST_CHOICES]);
        for (text, &choice) in texts.iter_mut().zip(choices) {
            if choice.is_null() {
                return Err(JamletError::Null);
            }
            // SAFETY: not null, and the caller's promise that a zero ends it.
            *text = unsafe { CStr::from_ptr(choice) }.to_bytes();
        }
        let (index, found) = run.choose(texts.get(..choices.len()).unwrap_or_default())?;
        // SAFETY: the caller's promises about pointers.
        unsafe {
            if !probability.is_null() {
                write(probability, found)?;
            }
            write(chosen, index)
        }
    }))
}

/// # Safety
/// `choices` is null or points to `count` pointers.
unsafe fn read<'a>(choices: *const *const c_char, count: usize) -> Result<&'a [*const c_char], JamletError> {
    if choices.is_null() {
        return Err(JamletError::Null);
    }
    if count == 0 || count > JAMLET_MOST_CHOICES {
        return Err(JamletError::Choices);
    }
    // SAFETY: not null, few, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(choices, count) })
}

/// A choice that may be the one: how it goes on, and that token's logit.
#[derive(Clone, Copy)]
struct Branch {
    /// `None` where it has ended: then the model would have to end too.
    token: Option<u32>,
    logit: f32,
}

impl Run {
    /// Goes down the tree that the texts' tokens make, always where the model would; returns the index and the product of the
    /// probabilities of the branches that were taken.
    fn choose(&mut self, texts: &[&[u8]]) -> Result<(usize, f32), JamletError> {
        self.feed_text(&[], true)?;
        if self.session.position() == 0 {
            return Err(JamletError::NothingFed);
        }
        let mut alive = [true; JAMLET_MOST_CHOICES];
        let mut probability = 1.0;
        for depth in 0.. {
            let mut branches = [const { None::<Branch> }; JAMLET_MOST_CHOICES];
            for ((branch, text), _) in branches.iter_mut().zip(texts).zip(alive).filter(|(_, alive)| *alive) {
                *branch = Some(Branch { token: self.token_at(text, depth)?, logit: f32::NEG_INFINITY });
            }
            let first = branches.iter().flatten().next().map(|branch| branch.token);
            let forked = branches.iter().flatten().any(|branch| Some(branch.token) != first);
            let token = if forked { self.take(&mut branches, &mut probability)? } else { first.flatten() };
            let goes_on = |branch: &Option<Branch>| branch.is_some_and(|branch| branch.token == token);
            branches.iter().zip(&mut alive).for_each(|(branch, alive)| *alive = goes_on(branch));
            match token {
                Some(token) => self.session.feed(&[token])?,
                None => break,
            }
        }
        Ok((alive.iter().position(|&alive| alive).unwrap_or(0), probability))
    }

    /// The branch with the highest logit, whose probability is multiplied to the others.
    fn take(
        &mut self,
        branches: &mut [Option<Branch>; JAMLET_MOST_CHOICES],
        probability: &mut f32,
    ) -> Result<Option<u32>, JamletError> {
        let prompt = self.session.model().prompt();
        self.session.logits(|first, logits| {
            let logit = |id: u32| logits.get((id as usize).wrapping_sub(first)).copied();
            let end = prompt.stops().filter_map(logit).fold(f32::NEG_INFINITY, f32::max);
            for branch in branches.iter_mut().flatten() {
                branch.logit = branch.logit.max(branch.token.map_or(Some(end), logit).unwrap_or(f32::NEG_INFINITY));
            }
        })?;
        let mut best = Branch { token: None, logit: f32::NEG_INFINITY };
        for branch in branches.iter().flatten() {
            if branch.logit > best.logit {
                best = *branch;
            }
        }
        // Each token once, however many choices go on with it.
        let mut total = 0.0;
        for (index, branch) in branches.iter().enumerate() {
            let Some(branch) = branch else { continue };
            let before = branches.iter().take(index).flatten();
            if before.into_iter().all(|other| other.token != branch.token) {
                total += libm::expf(branch.logit - best.logit);
            }
        }
        // At least 1, unless no logit is a number.
        *probability /= if total >= 1.0 { total } else { 1.0 };
        Ok(best.token)
    }

    /// The token of a text at this place, if it has as many.
    fn token_at(&mut self, text: &[u8], at: usize) -> Result<Option<u32>, JamletError> {
        let encoder = &mut self.text.as_mut().ok_or(JamletError::NoTokenizer)?.encoder;
        let (mut number, mut found) = (0, None);
        let mut out = |token| {
            found = if number == at { Some(token) } else { found };
            number += 1;
        };
        encoder.feed(text, &mut out);
        encoder.finish(&mut out);
        Ok(found)
    }
}
