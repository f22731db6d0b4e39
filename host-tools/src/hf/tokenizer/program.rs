//! How texts are cut into words, as the engine reads it.

use super::automaton::{Classes, Places, table};
use super::bytes::byte_of;
use super::pattern::{Node, set};

use jamlet::tokenizer::MAX_STAGES;

/// Something that cuts: matches are words, and what lies between them.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub pattern: Node,
    /// It reads bytes, each as the character that stands for it in GPT-2's alphabet.
    pub bytes: bool,
}

/// The program's bytes, with the numbers of its stages and classes.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The part of the section.
    pub bytes: Vec<u8>,
    /// Its stages.
    pub stages: u8,
    /// Its classes.
    pub classes: u8,
}

/// Compiles stages. With `spaces_and_words`, the program tells white space and characters of words apart, too.
pub(super) fn compile(stages: &[Stage], spaces_and_words: bool) -> Result<Program, String> {
    if stages.is_empty() && !spaces_and_words {
        return Ok(Program { bytes: Vec::new(), stages: 0, classes: 0 });
    }
    if stages.len() > MAX_STAGES {
        return Err(format!("{} steps that cut; the engine does up to {MAX_STAGES}", stages.len()));
    }
    let mut classes = Classes::new();
    let marks = spaces_and_words.then(|| [r"\s", r"\w"].map(|class| classes.add(&set(class))));
    let places: Vec<Places> =
        stages.iter().map(|stage| Places::new(&stage.pattern, &mut classes)).collect::<Result<_, _>>()?;
    classes.divide()?;

    let mut bytes = Vec::new();
    let masks = marks.map_or([0; 2], |marks| marks.map(|set| classes.mask(set)));
    masks.iter().for_each(|mask| bytes.extend(mask.to_le_bytes()));
    bytes.extend((0..128_u8).map(|byte| classes.of(byte.into())));
    let alphabet: Vec<(u8, char)> = ('!'..='\u{143}').filter_map(|c| Some((byte_of(c)?, c))).collect();
    let character = |byte: u8| alphabet.iter().find(|(other, _)| *other == byte).expect("a character").1;
    bytes.extend((0..=255).map(|byte| classes.of(character(byte))));
    bytes.extend(edges(&classes)?);
    for (stage, places) in stages.iter().zip(&places) {
        let table = table(places, &classes)?;
        bytes.extend(u16::from(stage.bytes).to_le_bytes());
        bytes.extend((table.len() as u16).to_le_bytes());
        for &(next, matched) in table.iter().flatten() {
            bytes.extend((next as u16 | u16::from(matched) << 15).to_le_bytes());
        }
    }
    Ok(Program { bytes, stages: stages.len() as u8, classes: classes.len() as u8 })
}

/// The planes and edges of the classes.
fn edges(classes: &Classes) -> Result<Vec<u8>, String> {
    let (mut starts, mut lows, mut of) = (Vec::new(), Vec::new(), Vec::new());
    for plane in 0..17_u32 {
        starts.push(lows.len());
        let first = classes.of(char::from_u32(plane << 16).expect("a plane's first character"));
        let inner = classes.edges.iter().filter(|(edge, _)| edge >> 16 == plane && edge & 0xffff != 0);
        // ASCII has a table of its own.
        for (low, class) in [(0, first)].into_iter().chain(inner.map(|&(edge, class)| (edge as u16, class))) {
            match (plane, low) {
                (0, 1..128) => *of.last_mut().expect("the first") = class,
                _ => {
                    lows.push(low);
                    of.push(class);
                }
            }
        }
    }
    starts.push(lows.len());
    if lows.len() > usize::from(u16::MAX) {
        return Err("classes with more parts than there can be".into());
    }
    let numbers = starts.into_iter().map(|start| start as u16).chain(lows);
    Ok(numbers.flat_map(u16::to_le_bytes).chain(of).collect())
}
