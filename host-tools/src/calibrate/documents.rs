//! The calibration text as tokens.

use crate::eval::documents;
use anyhow::{Context, Result, ensure};

/// A text in plain English of several kinds, for those who have none of their own: a document each paragraph.
pub const BUILT_IN: &str = include_str!("text.txt");

/// Tokens that are read of a text, so that a long one doesn't take for ever.
const MOST: usize = 4096;
/// Longest piece of a text, in tokens.
const PIECE: usize = 512;

/// Pieces of a text, each read from an empty state.
#[derive(Clone, Debug)]
pub struct Documents(Vec<Vec<u32>>);

impl Documents {
    /// Pieces of texts given as tokens: the first of them, up to 4,096 tokens.
    ///
    /// # Errors
    /// When there is nothing to predict, or a token is outside of a vocabulary of `vocab`.
    pub fn new(texts: impl IntoIterator<Item = Vec<u32>>, bos: Option<u32>, vocab: usize) -> Result<Self> {
        let mut left = MOST;
        let mut pieces = Vec::new();
        for mut piece in texts.into_iter().flat_map(|text| documents(&text, bos, PIECE)) {
            piece.truncate(left);
            left -= piece.len();
            pieces.push(piece);
        }
        pieces.retain(|piece| piece.len() > 1);
        ensure!(!pieces.is_empty(), "there is no document of two tokens or more");
        if let Some(token) = pieces.iter().flatten().find(|token| **token as usize >= vocab) {
            anyhow::bail!("token {token} is outside of the vocabulary of {vocab}");
        }
        Ok(Self(pieces))
    }

    /// Lists of tokens as JSON, one a line.
    ///
    /// # Errors
    /// The line that is none.
    pub fn lists(lines: &str) -> Result<Vec<Vec<u32>>> {
        let list = |(number, line)| serde_json::from_str(line).with_context(|| format!("line {}", number + 1));
        lines.lines().enumerate().map(list).collect()
    }

    /// The tokens that are predicted in each piece, and what they are predicted from: all but the last.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &[u32]> {
        self.0.iter().filter_map(|piece| Some(piece.split_last()?.1))
    }

    /// Tokens that are predicted: all but the first of each piece.
    pub fn predictions(&self) -> usize {
        self.inputs().map(<[u32]>::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_an_empty_one_refused() {
        let long = Documents::new([vec![3; 10_000]], Some(1), 4).expect("documents");
        assert_eq!(long.inputs().map(|inputs| inputs.len() + 1).sum::<usize>(), MOST);
        assert!(long.inputs().all(|inputs| inputs.len() < PIECE && inputs[0] == 1));
        assert!(Documents::new([vec![3]], None, 4).is_err());
        let says = Documents::new([vec![3, 4]], None, 4).expect_err("no such token").to_string();
        assert_eq!(says, "token 4 is outside of the vocabulary of 4");
        let says = format!("{:#}", Documents::lists("[1, 2]\n[1, x]\n").expect_err("no list"));
        assert!(says.starts_with("line 2"), "{says}");
    }
}
