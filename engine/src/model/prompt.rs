//! What stands around a text, and what ends an answer.

/// The `Prompt` section: three u32 counts (prefix, suffix, stops), then that many u32 token ids.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'m> {
    prefix: &'m [[u8; 4]],
    suffix: &'m [[u8; 4]],
    stops: &'m [[u8; 4]],
}

impl<'m> Prompt<'m> {
    /// `None` where lengths don't agree or an id isn't below `vocab`.
    pub(crate) fn parse(bytes: &'m [u8], vocab: u32) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let (counts, ids) = words.split_first_chunk::<3>()?;
        let [prefix, suffix, stops] = counts.map(|count| u32::from_le_bytes(count) as usize);
        let (prefix, ids) = ids.split_at_checked(prefix)?;
        let (suffix, ids) = ids.split_at_checked(suffix)?;
        let (stops, ids) = ids.split_at_checked(stops)?;
        let known = |ids: &[[u8; 4]]| ids.iter().all(|id| u32::from_le_bytes(*id) < vocab);
        (rest.is_empty() && ids.is_empty() && known(prefix) && known(suffix) && known(stops)).then_some(Self {
            prefix,
            suffix,
            stops,
        })
    }

    /// Ids before the text.
    pub fn prefix(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        self.prefix.iter().map(|id| u32::from_le_bytes(*id))
    }

    pub(crate) fn prefix_words(&self) -> &'m [[u8; 4]] {
        self.prefix
    }

    /// Ids after the text, at which the answer begins.
    pub fn suffix(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        self.suffix.iter().map(|id| u32::from_le_bytes(*id))
    }

    /// Ids that end an answer.
    pub fn stops(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        self.stops.iter().map(|id| u32::from_le_bytes(*id))
    }

    /// Whether `id` ends an answer.
    pub fn is_stop(&self, id: u32) -> bool {
        self.stops().any(|stop| stop == id)
    }
}
