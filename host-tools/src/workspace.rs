//! Memory for a session on a machine that has a heap.

use anyhow::{Context, Result};
use jamlet::kernels::Kernels;
use jamlet::{Model, Options, Plan, Session};
use memmap2::MmapMut;

/// A workspace as large as a plan needs, at the start of a page.
#[derive(Debug)]
pub struct HostWorkspace {
    memory: MmapMut,
    options: Options,
}

impl HostWorkspace {
    /// Room for `model` under `options`.
    ///
    /// # Errors
    /// When there is no such plan, or no such memory.
    pub fn new(model: &Model<'_>, options: Options) -> Result<Self> {
        let plan = Plan::new(model.image().bytes(), options)?;
        let memory =
            MmapMut::map_anon(plan.bytes().max(1)).with_context(|| format!("a workspace of {} bytes", plan.bytes()))?;
        // Large pages: a long attention cache is read from end to end for every token.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Self { memory, options })
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
        Session::with_kernels(model, self.options, &mut self.memory, kernels)
            .context("the workspace was planned for another model")
    }
}
