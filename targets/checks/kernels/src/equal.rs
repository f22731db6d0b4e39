//! The engine's tests that all kernels compute the same bits: `engine/tests/kernels_equal.rs`, word for word.
#![allow(clippy::all, dropping_copy_types, missing_docs, unused_qualifications)]

use alloc::{format, vec, vec::Vec};

/// What the tests use of the standard library, where there is one core and no threads.
mod std {
    pub mod thread {
        pub struct Scope;

        pub fn scope(run: impl FnOnce(&Scope)) {
            run(&Scope);
        }

        impl Scope {
            pub fn spawn(&self, task: impl FnOnce()) {
                task();
            }
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/equal.rs"));
