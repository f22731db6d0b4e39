//! Checks that run programs: on emulated boards, under valgrind, in a fuzzer.

pub mod attacks;
pub mod chats;
pub mod conformance;
pub mod endless;
pub mod example;
pub mod faults;
pub mod fuzz;
pub mod host_examples;
pub mod kernels;
pub mod memory_safety;
pub mod raspberry_pi_os;
pub mod runners;
pub mod saved_states;
pub mod serial;
pub mod small_parts;
pub mod soak;
pub mod stack_in_use;
pub mod unaligned_access;
