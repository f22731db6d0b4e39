//! Emulated boards: starting them, and talking to them.

pub mod case_file;
pub mod console;
pub mod conversation;
pub mod emulated;
pub mod gdb;
pub mod table;
