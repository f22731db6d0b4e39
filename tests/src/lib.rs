//! What the cross-crate tests share.
#![forbid(unsafe_code)]

pub mod fixtures;
pub mod images;
