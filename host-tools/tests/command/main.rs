//! The `jamlet` command as it is run, and what the README says of it.

mod bits;
mod chat;
mod chat_model;
mod commands;
mod options;
mod outputs;
mod readme;
mod texts;
mod tool;
