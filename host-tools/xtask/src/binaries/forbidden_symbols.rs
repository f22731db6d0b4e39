//! What a firmware program must not contain.

use anyhow::{Result, ensure};
use jamlet_tools::firmware::program::{Program, Symbol};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_and_doubles_are_found() {
        let program = |name: &str| Program {
            entry: 0,
            segments: Vec::new(),
            sections: Vec::new(),
            symbols: vec![Symbol { name: name.into(), address: 0, size: 2, code: true }],
            data: Vec::new(),
            wide: false,
        };
        assert!(check(&program("jamlet::session::Session::next")).is_ok());
        assert!(check(&program("<usize as core::fmt::Display>::fmt")).is_err());
        assert!(check(&program("__aeabi_dmul")).is_err());
    }
}
