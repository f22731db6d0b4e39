//! A run of a model: tokens in, logits and tokens out.

use crate::kernels::Kernels;
use crate::layers::{self, Norm, Pass};
use crate::model::{FfnWeights, MixerWeights, Model};
use crate::planned::planned;
use crate::sampler::{Grounding, LogSum, Sampler};
use crate::state::cache::Cache;
use crate::state::snapshot::{self, Progress, RestoreError, SnapshotError, SnapshotView};
use crate::state::{Arena, Buffers, MambaState, Options, Plan, PlanError};
use core::convert::Infallible;
use core::ops::Range;

/// Tokens whose successors are scored together.
const SCORED: usize = 4;

/// Why a session can't do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError {
    /// There is no plan for these options.
    Plan(PlanError),
    /// The workspace is too small, or doesn't lie at a multiple of 16.
    Workspace {
        /// Bytes that the plan needs.
        needed: usize,
        /// Bytes that were given.
        found: usize,
        /// Whether the address was a multiple of 16.
        aligned: bool,
    },
    /// A token that isn't in the vocabulary.
    UnknownToken {
        /// The token.
        id: u32,
        /// Size of the vocabulary.
        vocab: u32,
    },
    /// There are no logits: nothing was fed, or nothing since a state without them was restored.
    NothingFed,
    /// [`Options::beams`] asks for more beams than the [`Beams`](crate::Beams) that search have room for.
    Beams {
        /// Beams of the session's options.
        asked: u32,
        /// Beams that there is room for.
        room: u32,
    },
}

impl core::fmt::Display for SessionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Plan(error) => error.fmt(f),
            Self::Workspace { needed, found, aligned: true } => {
                write!(f, "the workspace has {found} bytes; {needed} are needed")
            }
            Self::Workspace { aligned: false, .. } => {
                write!(f, "the workspace must lie at a multiple of 16 bytes")
            }
            Self::UnknownToken { id, vocab } => {
                write!(f, "token {id} is not in the vocabulary; 0 to {} would be right", vocab - 1)
            }
            Self::Beams { asked, room } => write!(f, "beams is {asked}; 1 to {room} would be right for this search"),
            Self::NothingFed => write!(
                f,
                "no token was fed yet, or none since a state without logits was restored: there is nothing to continue"
            ),
        }
    }
}

impl core::error::Error for SessionError {}

/// A model, its state, and the memory of both. See the [crate documentation](crate) for an example.
pub struct Session<'m, 'w> {
    model: Model<'m>,
    plan: Plan,
    kernels: Kernels<'m>,
    buffers: Buffers<'w>,
    mamba: MambaState<'w>,
    cache: Cache<'w>,
    /// Tokens that were fed.
    position: u64,
    /// Row of the residual stream that holds the last token, if one does. Behind it are those of other beams.
    last: Option<usize>,
    /// A token that was sampled and isn't fed yet: it never has to be where an answer ends.
    pending: Option<u32>,
}

impl<'m, 'w> Session<'m, 'w> {
    /// Divides `workspace`, which must have at least [`Plan::bytes`] bytes and lie at a multiple of 16.
    ///
    /// # Errors
    /// [`SessionError::Plan`] or [`SessionError::Workspace`], which says the size needed.
    pub fn new(model: &Model<'m>, options: Options, workspace: &'w mut [u8]) -> Result<Self, SessionError> {
        Self::with_kernels(model, options, workspace, Kernels::detect())
    }

    /// As [`Session::new`], with kernels of the caller's choice.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_kernels(
        model: &Model<'m>,
        options: Options,
        workspace: &'w mut [u8],
        kernels: Kernels<'m>,
    ) -> Result<Self, SessionError> {
        let plan = Plan::new(model.image().bytes(), options).map_err(SessionError::Plan)?;
        let (found, aligned) = (workspace.len(), workspace.as_ptr().addr().is_multiple_of(16));
        let mut arena = Arena::new(workspace, plan.bytes()).ok_or(SessionError::Workspace {
            needed: plan.bytes(),
            found,
            aligned,
        })?;
        let header = model.header();
        let mamba = MambaState::carve(&mut arena, &plan);
        let cache = Cache::carve(&mut arena, &plan, header.kv_heads as usize, header.head_dim as usize);
        let buffers = Buffers::carve(&mut arena, &plan);
        Ok(Self { model: *model, plan, kernels, buffers, mamba, cache, position: 0, last: None, pending: None })
    }

    /// The model that runs.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The plan of the workspace.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tokens that the state has seen.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Forgets everything that was fed.
    pub fn reset(&mut self) {
        self.mamba.reset();
        self.cache.reset();
        (self.position, self.last, self.pending) = (0, None, None);
    }

    /// Reads tokens into the state (prefill), a chunk at a time.
    ///
    /// # Errors
    /// [`SessionError::UnknownToken`]; nothing was fed then.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<(), SessionError> {
        let vocab = self.model.header().vocab;
        if let Some(&id) = tokens.iter().find(|&&id| id >= vocab) {
            return Err(SessionError::UnknownToken { id, vocab });
        }
        self.feed_pending();
        for chunk in tokens.chunks(self.chunk()) {
            self.forward(chunk, chunk.len());
        }
        Ok(())
    }

    /// Goes on from the image's baked prompt, if there is one and it was made for this session's options. What the session
    /// remembered before is gone then. If not, nothing happens, and the caller feeds [`Model::opening`] to the same effect.
    pub fn start_baked(&mut self) -> bool {
        let Some(baked) = self.model.baked() else { return false };
        let right = baked.tokens().len() as u64;
        snapshot::position(baked.snapshot()) == Some(right) && self.restore(baked.snapshot()).is_ok()
    }

    /// Begins a text: goes on from the image's baked prompt ([`Session::start_baked`]) or, where there is none for this session's
    /// options, feeds [`Model::opening`]. What the session remembered before is gone. The text's tokens are fed next.
    ///
    /// # Errors
    /// As [`Session::feed`].
    pub fn start(&mut self) -> Result<(), SessionError> {
        if self.start_baked() {
            return Ok(());
        }
        self.reset();
        let mut opening = self.model.opening();
        loop {
            let chunk: heapless::Vec<u32, 32> = opening.by_ref().take(32).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            self.feed(&chunk)?;
        }
    }

    /// Samples the next token (decode). It is fed when the next one is asked for.
    ///
    /// # Errors
    /// [`SessionError::NothingFed`].
    pub fn next(&mut self, sampler: &mut Sampler) -> Result<u32, SessionError> {
        self.feed_pending();
        sampler.begin();
        self.logits(|first, logits| sampler.see(first, logits))?;
        let token = sampler.choose();
        self.pending = Some(token);
        Ok(token)
    }

    /// As [`Session::next`], with a preference for the words of the text that `grounding` has read, see
    /// [`grounding`](crate::sampler::grounding). Without a tokenizer in the image nothing is preferred.
    ///
    /// # Errors
    /// [`SessionError::NothingFed`].
    pub fn next_grounded(&mut self, sampler: &mut Sampler, grounding: &mut Grounding) -> Result<u32, SessionError> {
        let tokenizer = self.model.tokenizer();
        let cost = |id| tokenizer.as_ref().map_or(0.0, |tokenizer| grounding.cost(tokenizer, id));
        self.feed_pending();
        sampler.begin();
        self.logits(|first, logits| sampler.see_at_cost(first, logits, cost))?;
        let token = sampler.choose();
        if let Some(tokenizer) = &tokenizer {
            grounding.push(tokenizer, token);
        }
        self.pending = Some(token);
        Ok(token)
    }

    /// Computes the logits after the last token in blocks of rows: `sink(first_row, logits)`. The block may be changed.
    ///
    /// # Errors
    /// [`SessionError::NothingFed`].
    pub fn logits(&mut self, mut sink: impl FnMut(usize, &mut [f32])) -> Result<(), SessionError> {
        self.feed_pending();
        self.logits_of_beams(1, &mut |_, first, logits| sink(first, logits))
    }

    /// The logits after the last token of the first `beams` beams, where no sampled token waits to be fed: block by block, of each
    /// beam `sink(beam, first_row, logits)`.
    pub(crate) fn logits_of_beams(
        &mut self,
        beams: usize,
        sink: &mut dyn FnMut(usize, usize, &mut [f32]),
    ) -> Result<(), SessionError> {
        let last = self.last.ok_or(SessionError::NothingFed)?;
        self.head(last..last + beams, 0..self.model.head().rows(), sink);
        Ok(())
    }

    /// The logits of `tokens`, which begin with a tile, after those in `rows` of the residual stream: block by block, of each row
    /// `sink(index, first_token, logits)`. There may be as many rows as beams, or as [`Session::scored`].
    fn head(&mut self, rows: Range<usize>, tokens: Range<usize>, sink: &mut dyn FnMut(usize, usize, &mut [f32])) {
        let (header, k, block) = (self.model.header(), self.kernels, self.block());
        let (hidden, group) = (header.hidden as usize, header.group as usize);
        let b = &mut self.buffers;
        let count = rows.len();
        let rows = planned(b.residual.get(rows.start * hidden..rows.end * hidden));
        let norm = Norm { weight: self.model.final_norm(), eps: header.eps };
        let [wide, _, normed] = &mut b.wide;
        let input = layers::normalize(k, rows, norm, group, normed, &mut b.quant_in);
        let head = self.model.head();
        // As many blocks as there is room for, so that cores wait for each other less often.
        let at_once = (wide.len() / (count * block).max(1)).max(1) * block;
        let mut first = tokens.start;
        while first < tokens.end {
            let part = head.slice_rows(first, at_once.min(tokens.end - first));
            let logits = layers::take_prefix(wide, count * part.rows());
            k.matmul(&part, &input, logits);
            for begin in (0..part.rows()).step_by(block) {
                for (index, logits) in logits.chunks_exact_mut(part.rows().max(1)).enumerate() {
                    let logits = logits.get_mut(begin..).unwrap_or_default();
                    let count = block.min(logits.len());
                    sink(index, first + begin, layers::take_prefix(logits, count));
                }
            }
            first += at_once;
        }
    }

    /// Logits of a token that a sink is given at a time: whole tiles.
    fn block(&self) -> usize {
        (self.plan.logits as usize / 8 * 8).max(8)
    }

    /// Tokens that there is room for the logits of: at least one.
    fn scored(&self) -> usize {
        self.buffers.wide[0].len().checked_div(self.block()).map_or(1, |rows| rows.clamp(1, SCORED))
    }

    /// As [`Session::feed`], and gives the logit of `token` after each of the tokens whose bits are set in `at` to
    /// `sink(index, logit)`.
    pub(crate) fn feed_and_look(
        &mut self,
        tokens: &[u32],
        at: u64,
        token: u32,
        sink: &mut dyn FnMut(usize, f32),
    ) -> Result<(), SessionError> {
        let tile = token as usize / 8 * 8;
        for (number, chunk) in tokens.chunks(self.chunk()).enumerate() {
            self.feed(chunk)?;
            let first = number * self.chunk();
            for row in (0..chunk.len()).filter(|row| at.checked_shr((first + row) as u32).is_some_and(|at| at & 1 == 1))
            {
                self.head(row..row + 1, tile..tile + 8, &mut |_, begin, logits| {
                    if let Some(&mut logit) = logits.get_mut((token as usize).wrapping_sub(begin)) {
                        sink(first + row, logit);
                    }
                });
            }
        }
        Ok(())
    }

    /// Feeds `tokens`, and gives the log-probability of each one's successor to `sink`; `next` has the successors, as many as tokens.
    pub(crate) fn feed_and_score(
        &mut self,
        tokens: &[u32],
        next: &[u32],
        sink: &mut dyn FnMut(f32),
    ) -> Result<(), SessionError> {
        let (chunk, at_once, end) = (self.chunk(), self.scored().max(1), self.model.head().rows());
        for (chunk, next) in tokens.chunks(chunk).zip(next.chunks(chunk)) {
            self.feed(chunk)?;
            for (number, next) in next.chunks(at_once).enumerate() {
                let mut found = [const { (LogSum::NEW, 0.0) }; SCORED];
                let first = number * at_once;
                self.head(first..first + next.len(), 0..end, &mut |row, first, logits| {
                    let (Some((total, logit)), Some(&next)) = (found.get_mut(row), next.get(row)) else { return };
                    total.add(logits);
                    if let Some(&mut found) = logits.get_mut((next as usize).wrapping_sub(first)) {
                        *logit = found;
                    }
                });
                found.iter().take(next.len()).for_each(|(total, logit)| sink(logit - total.get()));
            }
        }
        Ok(())
    }

    /// Feeds what waits, and returns the last token's hidden state after the final norm, which the head reads.
    pub(crate) fn hidden(&mut self) -> Result<&[f32], SessionError> {
        self.feed_pending();
        let last = self.last.ok_or(SessionError::NothingFed)?;
        self.head(last..last + 1, 0..0, &mut |_, _, _| {});
        let [.., normed] = &self.buffers.wide;
        Ok(planned(normed.get(..self.model.header().hidden as usize)))
    }

    /// Tokens that are computed together.
    fn chunk(&self) -> usize {
        self.plan.options.chunk.max(1) as usize
    }

    /// Saves what the session remembers into `out` and returns the length: see [`crate::state::snapshot`] for the format.
    /// It grows with the text until the attention cache is full; [`Plan::snapshot_bytes`] is enough for any text.
    ///
    /// A session that restores it can be fed on, and a token that was sampled here last is known there. For anything else
    /// that needs the logits after the last token, save them as well: [`Session::snapshot_with_logits`].
    ///
    /// # Errors
    /// [`SnapshotError::TooSmall`], which says the size needed.
    pub fn snapshot(&mut self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let progress = Progress { position: self.position, sampled: self.pending, output: false };
        self.save_into(progress, out)
    }

    /// As [`Session::snapshot`], with what the logits after the last token are computed from: the session that restores it
    /// can sample at once. It takes 4 bytes more for each of the model's hidden dimensions,
    /// [`Plan::snapshot_with_logits_bytes`] at most.
    ///
    /// # Errors
    /// [`SnapshotError::TooSmall`], which says the size needed.
    pub fn snapshot_with_logits(&mut self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        self.feed_pending();
        let progress = Progress { position: self.position, sampled: None, output: self.last.is_some() };
        self.save_into(progress, out)
    }

    /// As [`Session::snapshot`], into anything that takes bytes: `put` gets them piece by piece. Returns the length, which
    /// [`Session::snapshot_length`] tells beforehand.
    ///
    /// # Errors
    /// Those of `put`.
    pub fn snapshot_to<E>(&mut self, put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
        let progress = Progress { position: self.position, sampled: self.pending, output: false };
        self.snapshot_view(None).save(progress, put)
    }

    /// Bytes that [`Session::snapshot`] takes now.
    pub fn snapshot_length(&mut self) -> u64 {
        let progress = Progress { position: self.position, sampled: self.pending, output: false };
        self.snapshot_view(None).length(progress)
    }

    /// As [`Session::snapshot`], without a token that was sampled and not fed.
    pub(crate) fn save_for_rewind(&mut self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        self.save_into(Progress { position: self.position, sampled: None, output: false }, out)
    }

    /// Forgets a token that was sampled and not fed.
    pub(crate) fn forget_sampled(&mut self) {
        self.pending = None;
    }

    /// Gives the state of beam `from` of [`Options::beams`] to beam `to` as well; the session's is the first beam's. No sampled token
    /// waits to be fed.
    pub(crate) fn copy_beam(&mut self, from: usize, to: usize) {
        debug_assert!(self.pending.is_none(), "a token waits");
        self.mamba.copy(from, to);
        self.cache.copy(from, to);
    }

    /// Feeds one known token to each of the first beams, all of which have seen as many. No sampled token waits.
    pub(crate) fn feed_beams(&mut self, tokens: &[u32]) {
        debug_assert!(self.pending.is_none(), "a token waits");
        self.forward(tokens, 1);
    }

    /// Goes back to the state that [`Session::copy_beam`] gave to beam `spare` after `position` tokens, where it stays. There are no
    /// logits then until something is fed.
    pub(crate) fn return_to(&mut self, spare: usize, position: u64) {
        self.pending = None;
        self.cache.seek(position);
        self.copy_beam(spare, 0);
        (self.position, self.last) = (position, None);
    }

    fn save_into(&mut self, progress: Progress, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut view = self.snapshot_view(self.last);
        let (needed, found) = (view.length(progress) as usize, out.len());
        let mut rest = out.get_mut(..needed).ok_or(SnapshotError::TooSmall { needed, found })?;
        let Ok(_) = view.save(progress, |bytes| {
            // `needed` is the sum of all pieces, so there is always room.
            if let Some((place, tail)) = core::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
                place.copy_from_slice(bytes);
                rest = tail;
            }
            Ok::<_, Infallible>(())
        });
        Ok(needed)
    }

    /// Goes on from a state that [`Session::snapshot`] saved, on this machine or another, with the same model, window,
    /// sinks and state width. What the session remembered before is gone; on an error, it is as it was.
    ///
    /// # Errors
    /// What is wrong with the snapshot.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let restored = self.restore_from(snapshot.len() as u64, |offset, bytes| {
            // The length was checked before anything is read.
            let from = snapshot.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
            bytes.copy_from_slice(from.ok_or(())?);
            Ok(())
        });
        restored.map_err(|error| match error {
            RestoreError::Snapshot(error) => error,
            RestoreError::Read(()) => SnapshotError::NotASnapshot,
        })
    }

    /// As [`Session::restore`], from anything that `length` bytes can be read from: `read(offset, bytes)` fills `bytes`.
    /// All are read twice, first to check them, then to take them. If the second time fails, the session is empty.
    ///
    /// # Errors
    /// What is wrong with the snapshot, or with reading it.
    pub fn restore_from<E>(
        &mut self,
        length: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), RestoreError<E>> {
        let mut view = self.snapshot_view(Some(0));
        let progress = view.check(length, &mut read)?;
        if let Err(error) = view.load(progress, read) {
            self.reset();
            return Err(RestoreError::Read(error));
        }
        self.position = progress.position;
        (self.last, self.pending) = (progress.output.then_some(0), progress.sampled);
        Ok(())
    }

    /// What a snapshot holds, the last token being in row `row` of the residual stream.
    fn snapshot_view(&mut self, row: Option<usize>) -> SnapshotView<'_, 'w> {
        let (identity, header) = (self.model.identity(), self.model.header());
        let (hidden, vocab) = (header.hidden as usize, header.vocab);
        let row = row.and_then(|row| self.buffers.residual.get_mut(row * hidden..(row + 1) * hidden));
        SnapshotView {
            plan: &self.plan,
            identity,
            vocab,
            mamba: &mut self.mamba,
            cache: &mut self.cache,
            residual: row.unwrap_or(&mut []),
        }
    }

    /// Feeds a sampled token that waits.
    pub(crate) fn feed_pending(&mut self) {
        if let Some(token) = self.pending.take() {
            self.forward(&[token], 1);
        }
    }

    /// Known tokens through all layers: at most [`Options::chunk`] of one sequence, or `each` = 1 of each of the first beams'.
    fn forward(&mut self, tokens: &[u32], each: usize) {
        let header = *self.model.header();
        let hidden = header.hidden as usize;
        let embedding = self.model.embedding();
        let residual = layers::take_prefix(self.buffers.residual, tokens.len() * hidden);
        layers::embed(self.kernels, tokens, &embedding, residual);
        let (mut mamba, mut attention) = (0, 0);
        for layer in self.model.layers() {
            let buffers = &mut self.buffers;
            let (tokens, position) = (tokens.len(), self.position);
            let mut pass = Pass { kernels: self.kernels, header: &header, buffers, tokens, each, position };
            match &layer.mixer {
                MixerWeights::Mamba(weights) => {
                    layers::mamba(&mut pass, layer.mixer_norm, weights, &mut self.mamba, mamba);
                    mamba += 1;
                }
                MixerWeights::Mamba2(weights) => {
                    layers::mamba2(&mut pass, layer.mixer_norm, weights, &mut self.mamba, mamba);
                    mamba += 1;
                }
                MixerWeights::Attention(weights) => {
                    layers::attention(&mut pass, layer.mixer_norm, weights, &mut self.cache, attention);
                    attention += 1;
                }
            }
            match &layer.ffn {
                FfnWeights::None => {}
                FfnWeights::Mlp { norm, mlp } => layers::mlp(&mut pass, norm, mlp),
                FfnWeights::Moe { norm, moe } => layers::moe(&mut pass, norm, moe),
            }
        }
        self.cache.advance(each);
        self.position += each as u64;
        self.last = each.checked_sub(1);
    }
}
