//! What every board runs, whatever its serial port: [`app`] for users, [`conformance`] for the test suite.
#![no_std]
#![forbid(unsafe_code)]

pub mod conformance;
pub mod hash;
