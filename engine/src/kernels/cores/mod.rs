//! How a kernel's work is spread over the processor's cores.

mod columns;
mod executor;
#[cfg(target_has_atomic = "ptr")]
mod worker_pool;

pub use columns::Columns;
pub(super) use columns::Shared;
pub(super) use executor::Taken;
pub use executor::{Executor, OneCore};
#[cfg(target_has_atomic = "ptr")]
pub use worker_pool::WorkerPool;
