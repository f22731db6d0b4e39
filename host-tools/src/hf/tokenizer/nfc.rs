//! Unicode's normalization form C as the engine reads it.

use std::collections::HashMap;

use unicode_normalization_alignments::char::{canonical_combining_class, compose, decompose_canonical};

/// The tables' bytes.
pub fn tables() -> Vec<u8> {
    let all = || ('\0'..=char::MAX).filter(|c| !('\u{ac00}'..='\u{d7a3}').contains(c));
    let parts_of = |c: char| {
        let mut parts = Vec::new();
        decompose_canonical(c, |part| parts.push(part));
        parts
    };
    let decomposed: Vec<(char, Vec<char>)> =
        all().map(|c| (c, parts_of(c))).filter(|(c, parts)| parts[..] != [*c]).collect();
    // What all but the last part are together is a character, too: characters are taken apart in two.
    let whole_of: HashMap<&[char], char> = decomposed.iter().map(|(c, parts)| (&parts[..], *c)).rev().collect();
    let mut parts: Vec<(char, char, char)> = Vec::new();
    for (c, list) in &decomposed {
        let (last, first) = list.split_last().expect("a part");
        parts.push(match first {
            [] => (*c, *last, '\0'),
            [first] => (*c, *first, *last),
            first => (*c, whole_of[first], *last),
        });
    }
    let mut wholes: Vec<usize> = (0..parts.len())
        .filter(|&at| parts[at].2 != '\0' && compose(parts[at].1, parts[at].2) == Some(parts[at].0))
        .collect();
    wholes.sort_by_key(|&at| (parts[at].1, parts[at].2));
    let mut classes: Vec<(char, u8)> = vec![('\0', 0)];
    for c in all() {
        let class = canonical_combining_class(c);
        if classes.last().is_some_and(|last| last.1 != class) {
            classes.push((c, class));
        }
    }

    let code = |c: char| u32::from(c).to_le_bytes();
    let mut bytes = Vec::new();
    for count in [parts.len(), wholes.len(), classes.len(), 0] {
        bytes.extend((count as u16).to_le_bytes());
    }
    for (c, first, second) in parts {
        [c, first, second].iter().for_each(|&c| bytes.extend(&code(c)[..3]));
    }
    wholes.iter().for_each(|&at| bytes.extend((at as u16).to_le_bytes()));
    for (c, class) in classes {
        bytes.extend(&code(c)[..3]);
        bytes.push(class);
    }
    bytes
}
