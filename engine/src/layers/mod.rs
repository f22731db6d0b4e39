//! The blocks of a Jamba, each readable beside its paper. Every block reads the residual stream through a norm and adds
//! its output to it.

mod attention;
mod embedding;
mod mamba;
mod mamba2;
mod mlp;
mod moe;
mod norm;
mod pass;
mod rows;

pub(crate) use attention::attention;
pub(crate) use embedding::embed;
pub(crate) use mamba::mamba;
pub(crate) use mamba2::mamba2;
pub(crate) use mlp::mlp;
pub(crate) use moe::moe;
pub(crate) use norm::{Norm, normalize};
pub(crate) use pass::Pass;
pub(crate) use rows::take_prefix;
