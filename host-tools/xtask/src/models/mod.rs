//! Models that are made here, because they need no training.

pub mod fixtures;
pub mod random_text_model;
pub mod synthetic;
