//! Everything that a run changes: its sizes ([`Plan`]), its memory ([`Workspace`]) and what lies in it.

mod beam_states;
pub(crate) mod cache;
mod plan;
pub mod snapshot;
mod workspace;

pub(crate) use beam_states::BeamStates;
pub use plan::{Eviction, MAX_BEAMS, Options, Parts, Plan, PlanError, StateWidth};
pub use snapshot::{RestoreError, SnapshotError};
pub use workspace::{Aligned, Workspace};
pub(crate) use workspace::{Arena, Buffers, MambaLayer, MambaState, QuantBuffer};
