//! What a linked program takes of its board.

use super::layout;
use super::program::Program;
use anyhow::Result;
use std::fmt;

/// Bytes of a linked program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Flash without the image: engine, application, drivers, vectors and initial values.
    pub code: u64,
    /// Flash for the image.
    pub image: u64,
    /// RAM of all statics, the workspace among them.
    pub statics: u64,
    /// RAM that is set aside for the stack.
    pub stack: u64,
}

impl Sizes {
    /// Measures a program.
    ///
    /// # Errors
    /// When it has no model or no stack.
    pub fn of(program: &Program) -> Result<Self> {
        let flat = program.flat()?;
        let image = layout::model(&flat)?.len() as u64;
        let statics = program.sections.iter().filter(|section| section.writable).map(|section| section.size).sum();
        let stack = program.address("_stack_start")? - program.address("_stack_end")?;
        Ok(Self { code: flat.bytes.len() as u64 - image, image, statics, stack })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, image, statics, stack } = self;
        write!(
            f,
            "flash {} bytes: code {code}, image {image}; RAM {} bytes: statics {statics}, stack {stack}",
            code + image,
            statics + stack
        )
    }
}
