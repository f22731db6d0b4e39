//! jamlet: int8 Jamba language models without heap or operating system.
#![no_std]
#![deny(unsafe_code)]
