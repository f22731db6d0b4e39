//! What the ids of a prompt don't say: text that is encoded together with a text, and what is read without the prompt.

/// The `Template` section. Ids before and after a text, those of the [`Prompt`](super::Prompt), are not all of a chat template: the text between
/// the last mark before a message and the message, often one space or newline, may share a token with the message, so it is
/// kept as text and encoded with it. The same holds for the text from the message to the next mark.
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | u32 | flags: 1, 2 and 4, see below |
/// | 4 | u32 | number of ids before a text without the prompt |
/// | 8 | u32 | number of ids after a text without the prompt |
/// | 12 | u32 | bytes of text before the message |
/// | 16 | u32 | bytes of text after the message |
/// | 20 | u32 each | the ids before and the ids after |
/// | .. | | text before, then text after |
///
/// Flag 1: the text before the message goes on behind the prefix's last id, a mark in the midst of a text; without it, a new text
/// begins. Flag 2: white space at the start of the message is dropped. Flag 4: white space at its end is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Template<'m> {
    flags: u32,
    plain_start: &'m [[u8; 4]],
    plain_end: &'m [[u8; 4]],
    before: &'m [u8],
    after: &'m [u8],
}

impl<'m> Template<'m> {
    /// The text before the message goes on behind the prefix's last id.
    pub const GOES_ON: u32 = 1;
    /// White space at the start of the message is dropped.
    pub const TRIM_START: u32 = 2;
    /// White space at the end of the message is dropped.
    pub const TRIM_END: u32 = 4;

    /// `None` where lengths don't agree, a flag is unknown, or an id isn't below `vocab`.
    pub(crate) fn parse(bytes: &'m [u8], vocab: u32) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<20>()?;
        let (words, _) = head.as_chunks::<4>();
        let [flags, start, end, before, after] = *words.first_chunk::<5>()?;
        let count = |word: [u8; 4]| u32::from_le_bytes(word) as usize;
        let (plain_start, rest) = rest.split_at_checked(count(start).checked_mul(4)?)?;
        let (plain_end, rest) = rest.split_at_checked(count(end).checked_mul(4)?)?;
        let (before, rest) = rest.split_at_checked(count(before))?;
        let (plain_start, plain_end) = (plain_start.as_chunks::<4>().0, plain_end.as_chunks::<4>().0);
        let flags = u32::from_le_bytes(flags);
        let known = |ids: &[[u8; 4]]| ids.iter().all(|id| u32::from_le_bytes(*id) < vocab);
        let right = rest.len() == count(after)
            && flags & !(Self::GOES_ON | Self::TRIM_START | Self::TRIM_END) == 0
            && known(plain_start)
            && known(plain_end);
        right.then_some(Self { flags, plain_start, plain_end, before, after: rest })
    }

    /// Whether the text before the message goes on behind the prefix's last id.
    pub fn goes_on(&self) -> bool {
        self.flags & Self::GOES_ON != 0
    }

    /// Whether white space at the start of the message is dropped.
    pub fn trims_start(&self) -> bool {
        self.flags & Self::TRIM_START != 0
    }

    /// Whether white space at the end of the message is dropped.
    pub fn trims_end(&self) -> bool {
        self.flags & Self::TRIM_END != 0
    }

    /// Text between the prefix's ids and the message, encoded together with the message.
    pub fn before(&self) -> &'m [u8] {
        self.before
    }

    /// Text between the message and the suffix's ids, encoded together with the message.
    pub fn after(&self) -> &'m [u8] {
        self.after
    }

    /// Ids before a text that is read without the prompt.
    pub fn plain_start(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        self.plain_start.iter().map(|id| u32::from_le_bytes(*id))
    }

    /// Ids after a text that is read without the prompt.
    pub fn plain_end(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        self.plain_end.iter().map(|id| u32::from_le_bytes(*id))
    }
}
