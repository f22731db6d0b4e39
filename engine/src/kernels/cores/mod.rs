//! How a kernel's work is spread over the processor's cores.

mod columns;
#[cfg(feature = "cores")]
mod executor;
mod shares;
#[cfg(all(feature = "cores", target_has_atomic = "ptr"))]
mod worker_pool;

pub use columns::Columns;
pub(super) use columns::Shared;
#[cfg(feature = "cores")]
pub use executor::{Executor, OneCore};
pub(super) use shares::{Cores, Span};
#[cfg(all(feature = "cores", target_has_atomic = "ptr"))]
pub use worker_pool::WorkerPool;
