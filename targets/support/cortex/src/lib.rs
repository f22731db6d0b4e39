//! What the Cortex-M boards share.
#![no_std]

#[cfg(jamlet_strict_alignment)]
mod alignment;
pub mod board;
pub mod clock;
pub mod cmsdk;
#[cfg(feature = "conformance")]
pub mod conformance;
mod fault;
#[cfg(feature = "file-flash")]
pub mod file_flash;
#[cfg(feature = "kernels")]
pub mod kernels;
#[cfg(feature = "conformance")]
pub mod marks;
pub mod stack;

// The log: binary records that `defmt-print` and probe-rs turn into text, never on the serial port.
#[cfg(not(feature = "emulated"))]
use defmt_rtt as _;
#[cfg(feature = "emulated")]
mod console_log;
