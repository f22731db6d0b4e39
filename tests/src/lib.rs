//! Shared by the tests in `tests/`: where fixtures lie, and how to run a model on the host.

pub mod fixtures;
