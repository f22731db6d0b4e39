//! Everything that a run changes: its sizes ([`Plan`]), its memory ([`Workspace`]) and what lies in it.

pub(crate) mod cache;
mod plan;
pub mod snapshot;
mod workspace;

pub use plan::{Eviction, MAX_BEAMS, Options, Parts, Plan, PlanError, StateWidth};
pub use snapshot::{RestoreError, SnapshotError};
pub use workspace::{Aligned, Workspace};
pub(crate) use workspace::{Arena, Buffers, MambaState, QuantBuffer};
