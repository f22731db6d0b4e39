//! From parsed expressions to deterministic automata over classes of characters.
//!
//! A state is the list of the places in the expression at which a backtracking matcher could be, the preferred ones first.
//! A match drops all places after it: they would be tried only if it failed.

use std::collections::{BTreeSet, HashMap};

use jamlet::tokenizer::MAX_CLASSES;
use regex_syntax::hir::ClassUnicode;

use super::pattern::Node;

/// Most places of an expression.
const MOST_PLACES: usize = 4096;
/// Most states of an automaton before equal ones become one.
const MOST_STATES: usize = 2048;

/// Sets of characters, and the classes of those that are in the same ones.
pub(super) struct Classes {
    sets: Vec<ClassUnicode>,
    /// Where a class begins and which: all of Unicode, in order.
    pub edges: Vec<(u32, u8)>,
    /// For each class, whether it is in each set.
    members: Vec<Vec<bool>>,
}

impl Classes {
    pub fn new() -> Self {
        Self { sets: Vec::new(), edges: Vec::new(), members: Vec::new() }
    }

    /// The number of a set.
    pub fn add(&mut self, set: &ClassUnicode) -> usize {
        self.sets.iter().position(|known| known == set).unwrap_or_else(|| {
            self.sets.push(set.clone());
            self.sets.len() - 1
        })
    }

    /// Makes classes, once all sets are there.
    pub fn divide(&mut self) -> Result<(), String> {
        let ends = |set: &ClassUnicode| -> Vec<u32> {
            set.ranges().iter().flat_map(|range| [u32::from(range.start()), u32::from(range.end()) + 1]).collect()
        };
        let edges: BTreeSet<u32> = self.sets.iter().flat_map(ends).chain([0]).collect();
        let mut known: HashMap<Vec<bool>, u8> = HashMap::new();
        for edge in edges.into_iter().filter(|&edge| edge <= u32::from(char::MAX)) {
            let inside = |set: &ClassUnicode| {
                let ranges = set.ranges();
                let after = ranges.partition_point(|range| u32::from(range.start()) <= edge);
                after > 0 && u32::from(ranges[after - 1].end()) >= edge
            };
            let members: Vec<bool> = self.sets.iter().map(inside).collect();
            let next = known.len();
            let class = *known.entry(members.clone()).or_insert(next as u8);
            if usize::from(class) == self.members.len() {
                self.members.push(members);
            }
            if known.len() > MAX_CLASSES {
                return Err(format!("expressions that tell more than {MAX_CLASSES} classes of characters apart"));
            }
            if self.edges.last().is_none_or(|&(_, last)| last != class) {
                self.edges.push((edge, class));
            }
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The class of a character.
    pub fn of(&self, c: char) -> u8 {
        let after = self.edges.partition_point(|&(edge, _)| edge <= u32::from(c));
        self.edges[after - 1].1
    }

    /// The classes of a set, a bit each.
    pub fn mask(&self, set: usize) -> u64 {
        (0..self.len()).filter(|&class| self.members[class][set]).fold(0, |mask, class| mask | 1 << class)
    }

    fn has(&self, set: usize, class: usize) -> bool {
        self.members[class][set]
    }
}

/// A place in an expression.
#[derive(Clone, Copy)]
enum Place {
    /// A character of the set, then the place.
    Set(usize, usize),
    /// The next character is of the set, or, if true, there is none; then the place.
    Look(usize, bool, usize),
    /// The first place, or else the second.
    Either(usize, usize),
    Match,
}

/// An expression as places, whose sets are numbered.
pub(super) struct Places {
    places: Vec<Place>,
    start: usize,
}

impl Places {
    pub fn new(node: &Node, classes: &mut Classes) -> Result<Self, String> {
        let mut places = Self { places: vec![Place::Match], start: 0 };
        places.start = places.emit(node, 0, classes)?;
        Ok(places)
    }

    fn push(&mut self, place: Place) -> Result<usize, String> {
        if self.places.len() == MOST_PLACES {
            return Err("a longer expression than any tokenizer has".into());
        }
        self.places.push(place);
        Ok(self.places.len() - 1)
    }

    /// Adds `node` before the place `next`; returns where it begins.
    fn emit(&mut self, node: &Node, next: usize, classes: &mut Classes) -> Result<usize, String> {
        match node {
            Node::Set(set) => self.push(Place::Set(classes.add(set), next)),
            Node::Look { next: set, end } => self.push(Place::Look(classes.add(set), *end, next)),
            Node::Sequence(list) => list.iter().rev().try_fold(next, |next, node| self.emit(node, next, classes)),
            Node::Alternatives(list) => {
                let starts: Vec<usize> =
                    list.iter().map(|node| self.emit(node, next, classes)).collect::<Result<_, _>>()?;
                let (&last, others) = starts.split_last().expect("an alternative");
                others.iter().rev().try_fold(last, |second, &first| self.push(Place::Either(first, second)))
            }
            Node::Repeat { node, least, most, greedy } => {
                let either = |first, second| match greedy {
                    true => Place::Either(first, second),
                    false => Place::Either(second, first),
                };
                let mut start = next;
                match most {
                    Some(most) => {
                        for _ in *least..*most {
                            let body = self.emit(node, start, classes)?;
                            start = self.push(either(body, next))?;
                        }
                    }
                    None => {
                        start = self.push(Place::Match)?;
                        let body = self.emit(node, start, classes)?;
                        self.places[start] = either(body, next);
                    }
                }
                (0..*least).try_fold(start, |next, _| self.emit(node, next, classes))
            }
        }
    }

    /// Follows the places of a state over a class (`None`: the text's end): the next state, and whether what came before matches.
    fn step(&self, state: &[usize], class: Option<usize>, classes: &Classes) -> (Vec<usize>, bool) {
        let (mut next, mut seen) = (Vec::new(), vec![false; self.places.len()]);
        let mut stack: Vec<usize> = state.iter().rev().copied().collect();
        while let Some(at) = stack.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match self.places[at] {
                Place::Match => return (next, true),
                Place::Either(first, second) => stack.extend([second, first]),
                Place::Look(set, end, then) => {
                    if class.map_or(end, |class| classes.has(set, class)) {
                        stack.push(then);
                    }
                }
                Place::Set(set, then) => {
                    if class.is_some_and(|class| classes.has(set, class)) && !next.contains(&then) {
                        next.push(then);
                    }
                }
            }
        }
        (next, false)
    }
}

/// Rows of an automaton: for every class, then the end of the text, the next state from 1 on, 0 for none, and whether what
/// came before matches. The first row is where it begins.
pub(super) type Table = Vec<Vec<(usize, bool)>>;

/// Makes the automaton of an expression.
pub(super) fn table(places: &Places, classes: &Classes) -> Result<Table, String> {
    let mut states = vec![vec![places.start]];
    let mut known: HashMap<Vec<usize>, usize> = HashMap::from([(states[0].clone(), 1)]);
    let mut table: Table = Vec::new();
    while table.len() < states.len() {
        let state = states[table.len()].clone();
        let mut row = Vec::with_capacity(classes.len() + 1);
        for class in (0..classes.len()).map(Some).chain([None]) {
            let (next, matched) = places.step(&state, class, classes);
            let next = match next.is_empty() {
                true => 0,
                false => *known.entry(next.clone()).or_insert_with(|| {
                    states.push(next);
                    states.len()
                }),
            };
            row.push((next, matched));
        }
        table.push(row);
        if states.len() > MOST_STATES {
            return Err(format!("an expression of more than {MOST_STATES} states"));
        }
    }
    if table[0].iter().any(|&(_, matched)| matched) {
        return Err("an expression that matches an empty text".into());
    }
    Ok(smallest(table))
}

/// The smallest table that does the same.
fn smallest(table: Table) -> Table {
    let mut blocks = vec![1; table.len()];
    loop {
        let of = |(next, matched): (usize, bool)| (next.checked_sub(1).map_or(0, |next| blocks[next]), matched);
        let mut known = HashMap::new();
        let signatures = table.iter().map(|row| row.iter().map(|&entry| of(entry)).collect::<Vec<_>>());
        let finer: Vec<usize> = signatures
            .map(|signature| {
                let next = known.len() + 1;
                *known.entry(signature).or_insert(next)
            })
            .collect();
        if finer == blocks {
            break;
        }
        blocks = finer;
    }
    // Blocks are numbered as they come, so the first stays the first.
    let mut rows: Table = Vec::new();
    for (row, &block) in table.iter().zip(&blocks) {
        if block == rows.len() + 1 {
            let entry =
                |&(next, matched): &(usize, bool)| (next.checked_sub(1).map_or(0, |next| blocks[next]), matched);
            rows.push(row.iter().map(entry).collect());
        }
    }
    rows
}
