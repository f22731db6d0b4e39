//! The state after a fixed prefix, so that a run starts from it instead of computing it.

/// The `Baked` section:
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | u32 | identity of the model: the checksum that its image had before anything was baked into it |
/// | 4 | u32 | number of tokens, at least 1 |
/// | 8 | u32 each | the tokens: those of the prompt's prefix, and what was baked in behind them |
/// | .. | | the state after them, see [`crate::state::snapshot`] |
#[derive(Clone, Copy, Debug)]
pub struct Baked<'m> {
    identity: u32,
    tokens: &'m [[u8; 4]],
    snapshot: &'m [u8],
}

impl<'m> Baked<'m> {
    /// `None` where there are no tokens, or fewer than it says, or one isn't below `vocab`. The state is checked by the
    /// session that it is restored into.
    pub(crate) fn parse(bytes: &'m [u8], vocab: u32) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<4>();
        let (head, rest) = words.split_first_chunk::<2>()?;
        let [identity, count] = head.map(u32::from_le_bytes);
        let (tokens, _) = rest.split_at_checked(count as usize)?;
        let snapshot = bytes.get(4 * head.len() + 4 * tokens.len()..)?;
        let known = tokens.iter().all(|id| u32::from_le_bytes(*id) < vocab);
        (known && !tokens.is_empty()).then_some(Self { identity, tokens, snapshot })
    }

    /// What this state and all others of the model are bound to.
    pub fn identity(&self) -> u32 {
        self.identity
    }

    /// The tokens that it has seen.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        self.tokens.iter().map(|id| u32::from_le_bytes(*id))
    }

    /// The state, for [`crate::Session::restore`].
    pub fn snapshot(&self) -> &'m [u8] {
        self.snapshot
    }

    pub(crate) fn words(&self) -> &'m [[u8; 4]] {
        self.tokens
    }
}
