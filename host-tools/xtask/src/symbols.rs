//! What a firmware program must not contain, and what it still does.

use crate::program::{Program, Symbol};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// Formatting of text, which alone would be larger than an engine's layer.
const FORMATTING: &str = "core::fmt::";
/// Arithmetic in f64, which these cores do in software: conversions and operations, by ARM's names and by LLVM's.
const DOUBLE: [&str; 12] = [
    "__aeabi_d",
    "__aeabi_f2d",
    "__aeabi_i2d",
    "__aeabi_ui2d",
    "__aeabi_l2d",
    "__aeabi_ul2d",
    "__adddf3",
    "__subdf3",
    "__muldf3",
    "__divdf3",
    "__extendsfdf2",
    "__truncdfsf2",
];
const PANIC: &str = "core::panicking::";

/// Checks that neither formatting nor f64 is linked.
///
/// # Errors
/// The first such symbol.
pub fn check(program: &Program) -> Result<()> {
    for Symbol { name, .. } in &program.symbols {
        ensure!(!name.contains(FORMATTING), "formatting is linked: {name}");
        ensure!(!DOUBLE.iter().any(|double| name.starts_with(double)), "f64 arithmetic is linked: {name}");
    }
    Ok(())
}

/// Where code of the engine can still panic: function, kind of panic and number of places. No message is linked.
///
/// # Errors
/// When the program is empty.
pub fn panics(program: &Program) -> Result<BTreeMap<(String, String), usize>> {
    let flat = program.flat()?;
    let of_panics = |symbol: &&Symbol| symbol.name.starts_with(PANIC);
    let panics: BTreeMap<u64, &str> =
        program.symbols.iter().filter(of_panics).map(|symbol| (symbol.address, &symbol.name[PANIC.len()..])).collect();
    let mut found = BTreeMap::new();
    for function in program.symbols.iter().filter(|symbol| symbol.name.starts_with("jamlet::")) {
        let Some(start) = function.address.checked_sub(flat.address) else { continue };
        let Some(code) = flat.bytes.get(start as usize..(start + function.size) as usize) else { continue };
        let halves: Vec<u16> = code.as_chunks().0.iter().map(|half| u16::from_le_bytes(*half)).collect();
        for (index, pair) in halves.windows(2).enumerate() {
            let target = branch(function.address + 2 * index as u64, pair[0], pair[1]);
            if let Some(kind) = target.and_then(|target| panics.get(&target)) {
                *found.entry((function.name.clone(), (*kind).into())).or_insert(0) += 1;
            }
        }
    }
    Ok(found)
}

/// Where a Thumb instruction at `address` leads, if it is BL or a wide B (ARMv7-M, A7.7.12 and A7.7.18).
fn branch(address: u64, first: u16, second: u16) -> Option<u64> {
    if first >> 11 != 0b11110 || second >> 12 & 0b1001 != 0b1001 {
        return None;
    }
    let bit = |half: u16, at: u16| i64::from(half >> at & 1);
    let sign = bit(first, 10);
    let i1 = 1 - (bit(second, 13) ^ sign);
    let i2 = 1 - (bit(second, 11) ^ sign);
    let low = i64::from(first & 0x3FF) << 12 | i64::from(second & 0x7FF) << 1;
    let offset = (-sign << 24) | (i1 << 23) | (i2 << 22) | low;
    address.checked_add_signed(offset + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_decoded_as_the_manual_says() {
        // As GNU as assembles them at 0x1000.
        assert_eq!(branch(0x1000, 0xF000, 0xF800), Some(0x1004)); // bl .+4
        assert_eq!(branch(0x1000, 0xF7FF, 0xFFFE), Some(0x1000)); // bl .
        assert_eq!(branch(0x1000, 0xF001, 0xB800), Some(0x2004)); // b.w .+0x1004
        assert_eq!(branch(0x1000, 0x4770, 0xBF00), None); // bx lr; nop
    }

    #[test]
    fn formatting_and_doubles_are_found() {
        let program = |name: &str| Program {
            entry: 0,
            segments: Vec::new(),
            sections: Vec::new(),
            symbols: vec![Symbol { name: name.into(), address: 0, size: 2 }],
        };
        assert!(check(&program("jamlet::session::Session::next")).is_ok());
        assert!(check(&program("<usize as core::fmt::Display>::fmt")).is_err());
        assert!(check(&program("__aeabi_dmul")).is_err());
    }
}
