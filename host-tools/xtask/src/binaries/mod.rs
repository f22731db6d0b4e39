//! What linked firmware contains: sizes, stack, panics, symbols.

pub mod callgraph;
pub mod forbidden_symbols;
pub mod panics;
pub mod sizes;
pub mod stack_bound;
