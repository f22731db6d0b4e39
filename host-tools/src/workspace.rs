//! Memory for a session on a machine that has a heap.

use anyhow::{Context, Result};
use jamlet::kernels::Kernels;
use jamlet::{Model, Options, Plan, Session};

/// A workspace as large as a plan needs, aligned as the engine wants it.
#[derive(Debug)]
pub struct HostWorkspace {
    words: Vec<u128>,
    options: Options,
}

impl HostWorkspace {
    /// Room for `model` under `options`.
    ///
    /// # Errors
    /// When there is no such plan.
    pub fn new(model: &Model<'_>, options: Options) -> Result<Self> {
        let plan = Plan::new(model.image().bytes(), options)?;
        Ok(Self { words: vec![0; plan.bytes().div_ceil(size_of::<u128>())], options })
    }

    /// A session in this memory.
    ///
    /// # Errors
    /// When `model` isn't the one that the workspace was made for.
    pub fn session<'m>(&mut self, model: &Model<'m>) -> Result<Session<'m, '_>> {
        self.session_on(model, Kernels::detect())
    }

    /// A session in this memory with kernels of the caller's choice.
    ///
    /// # Errors
    /// When `model` isn't the one that the workspace was made for.
    pub fn session_on<'m>(&mut self, model: &Model<'m>, kernels: Kernels<'m>) -> Result<Session<'m, '_>> {
        let bytes = bytemuck::cast_slice_mut(&mut self.words);
        Session::with_kernels(model, self.options, bytes, kernels)
            .context("the workspace was planned for another model")
    }
}
