//! Measurements: instructions, cycles, speed beside llama.cpp, memory on small machines, and what models recall.

pub mod cores;
pub mod cycles;
pub mod family;
pub mod host_instructions;
pub mod instructions;
pub mod llama_cpp;
pub mod quantization;
pub mod recall;
pub mod small_machines;
