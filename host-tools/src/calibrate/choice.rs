//! Which parts get 4 bits.

use super::Part;
use crate::pack::Choice;
use anyhow::Result;
use std::collections::HashSet;

/// A part gets 4 bits where it costs less than this, in nat, unless an image's size is asked for.
pub const LOSS: f64 = 0.001;

/// What is asked of a choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Least loss in an image of at most so many bytes.
    Bytes(u64),
    /// As small as it gets with parts that cost less than so much each, in nat.
    Loss(f64),
}

/// Chooses the parts that get 4 bits; the others have 8. `length` is the size of an image in bytes.
///
/// Where a size is asked for, parts are taken by loss a byte saved until the image fits; then those that turn out not to be
/// needed are given back, the costliest first. If the image never fits, all are taken.
///
/// # Errors
/// What `length` says.
pub fn choose(parts: &[Part], goal: Goal, length: &dyn Fn(&Choice) -> Result<u64>) -> Result<Choice> {
    let choice = |taken: &[bool]| {
        let taken = parts.iter().zip(taken).filter(|(_, taken)| **taken);
        Choice::Four(taken.flat_map(|(part, _)| part.ids.iter().copied()).collect::<HashSet<_>>())
    };
    let bytes = match goal {
        Goal::Loss(most) => return Ok(choice(&parts.iter().map(|part| part.loss < most).collect::<Vec<_>>())),
        Goal::Bytes(bytes) => bytes,
    };
    let mut taken = vec![false; parts.len()];
    let largest = length(&choice(&taken))?;
    let mut order = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        taken[index] = true;
        let saved = largest.saturating_sub(length(&choice(&taken))?);
        taken[index] = false;
        order.push((index, part.loss / saved.max(1) as f64));
    }
    // Equal ones in the order of the file.
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    for (index, _) in order {
        if length(&choice(&taken))? <= bytes {
            break;
        }
        taken[index] = true;
    }
    let mut costly: Vec<usize> = (0..parts.len()).filter(|index| taken[*index]).collect();
    costly.sort_by(|a, b| parts[*b].loss.total_cmp(&parts[*a].loss));
    for index in costly {
        taken[index] = false;
        taken[index] = length(&choice(&taken))? > bytes;
    }
    Ok(choice(&taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::WeightId;
    use jamlet::matrix::Bits;

    /// Parts with their losses, and an image of 1,000 bytes in which each saves as many as are named.
    fn of(parts: &[(f64, u64)], goal: Goal) -> Vec<usize> {
        let named = |(layer, (loss, _)): (usize, &(f64, u64))| Part {
            name: layer.to_string(),
            ids: vec![WeightId::OutProj(layer)],
            loss: *loss,
        };
        let four = |choice: &Choice| -> Vec<usize> {
            (0..parts.len()).filter(|l| choice.bits(WeightId::OutProj(*l)) == Bits::Four).collect()
        };
        let length = |choice: &Choice| Ok(1000 - four(choice).iter().map(|l| parts[*l].1).sum::<u64>());
        let named: Vec<Part> = parts.iter().enumerate().map(named).collect();
        four(&choose(&named, goal, &length).expect("sizes"))
    }

    #[test]
    fn the_least_loss_a_byte_is_taken_until_it_fits() {
        let parts = [(0.1, 100), (0.01, 100), (0.05, 200), (0.2, 50)];
        assert!(of(&parts, Goal::Bytes(1000)).is_empty());
        assert_eq!(of(&parts, Goal::Bytes(900)), vec![1]);
        assert_eq!(of(&parts, Goal::Bytes(700)), vec![1, 2]);
        assert_eq!(of(&parts, Goal::Bytes(550)), vec![0, 1, 2, 3]);
        assert_eq!(of(&parts, Goal::Bytes(0)), vec![0, 1, 2, 3]);
        // The second isn't needed any more once the third is taken.
        assert_eq!(of(&parts, Goal::Bytes(800)), vec![2]);
        assert_eq!(of(&parts, Goal::Loss(0.1)), vec![1, 2]);
        assert!(of(&[], Goal::Bytes(1000)).is_empty());
    }
}
