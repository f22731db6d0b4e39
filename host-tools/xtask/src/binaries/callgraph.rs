//! Which functions of a linked program call which, and how much stack each takes: read from its instructions.
//!
//! Thumb-2 (ARMv7-M Architecture Reference Manual, A7.7) and A64 (Arm ARM, C6.2). What matters is little: branches that
//! leave a function, and what moves the stack pointer down.

use anyhow::{Context, Result};
use jamlet_tools::firmware::program::{Program, Section, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// A function of a program.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its name, demangled.
    pub name: String,
    /// Where it begins.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Bytes by which its instructions move the stack pointer down, all of them together: at least what it takes.
    pub frame: u64,
    /// It moves the stack pointer by a number that isn't in its instructions.
    pub dynamic: bool,
    /// Where it calls or jumps to outside itself: (from, to).
    pub calls: Vec<(u64, u64)>,
    /// Calls to addresses that are computed.
    pub indirect: usize,
    /// Functions whose address it takes, itself or in a table such as a vtable.
    pub takes: BTreeSet<u64>,
}

/// All functions by address.
#[derive(Debug)]
pub struct CallGraph {
    functions: BTreeMap<u64, Function>,
}

impl CallGraph {
    /// Reads a program.
    ///
    /// # Errors
    /// When it is empty.
    pub fn read(program: &Program) -> Result<Self> {
        let flat = program.flat()?;
        let word_size = if program.wide { 8 } else { 4 };
        let code = |symbol: &&Symbol| symbol.code && !symbol.name.starts_with('$');
        let mut functions: BTreeMap<u64, Function> = BTreeMap::new();
        for symbol in program.symbols.iter().filter(code) {
            let Symbol { name, address, size, .. } = symbol.clone();
            let known = functions.entry(address).or_default();
            if known.size <= size {
                *known = Function { name, address, size, ..Function::default() };
            }
        }
        // Assembly has no sizes: such a function ends where the next one begins.
        let starts: Vec<u64> = functions.keys().copied().collect();
        for (start, next) in starts.iter().zip(starts.iter().skip(1)) {
            if let Some(function) = functions.get_mut(start).filter(|function| function.size == 0) {
                function.size = (next - start).min(4096);
            }
        }
        let tables = Tables { program, word_size, starts: starts.iter().copied().collect() };
        for function in functions.values_mut() {
            let start = function.address.checked_sub(flat.address).context("code before the program")? as usize;
            let Some(bytes) = flat.bytes.get(start..start + function.size as usize) else { continue };
            let mut reader = Reader { function, tables: &tables };
            if program.wide { reader.a64(bytes) } else { reader.thumb(bytes, &program.data) }
        }
        Ok(Self { functions })
    }

    /// All functions.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.values()
    }

    /// The function at an address.
    pub fn at(&self, address: u64) -> Option<&Function> {
        self.functions.get(&(address & !1))
    }

    /// The function of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&self, name: &str) -> Result<&Function> {
        self.functions().find(|function| function.name == name).with_context(|| format!("no function {name}"))
    }
}

/// What addresses stand for.
struct Tables<'a> {
    program: &'a Program,
    word_size: usize,
    starts: BTreeSet<u64>,
}

impl Tables<'_> {
    /// The functions that an address stands for: itself, or all that a constant at that address points to.
    fn functions(&self, address: u64) -> Vec<u64> {
        if let Some(function) = self.function(address) {
            return vec![function];
        }
        // Small numbers look like addresses in the table of interrupts, which no code reads.
        let holds = |section: &Section| (section.address..section.address + section.size).contains(&address);
        if self.program.sections.iter().any(|section| section.name == ".vector_table" && holds(section)) {
            return Vec::new();
        }
        let lies = |symbol: &&Symbol| !symbol.code && (symbol.address..symbol.address + symbol.size).contains(&address);
        let (start, size) = match self.program.symbols.iter().find(lies) {
            Some(symbol) if symbol.size <= 256 => (symbol.address, symbol.size),
            Some(_) => return Vec::new(),
            // A constant without a symbol: as much as a vtable of a closure has.
            None => (address, 6 * self.word_size as u64),
        };
        let words = (start..start + size).step_by(self.word_size).filter_map(|at| self.program.word(at));
        words.filter_map(|word| self.function(word)).collect()
    }

    /// The function that begins at an address. Thumb's have the lowest bit set: so small numbers are taken for none.
    fn function(&self, address: u64) -> Option<u64> {
        let thumb = u64::from(!self.program.wide);
        (address & 1 == thumb && self.starts.contains(&(address & !1))).then_some(address & !1)
    }
}

struct Reader<'a, 'p> {
    function: &'a mut Function,
    tables: &'a Tables<'p>,
}

impl Reader<'_, '_> {
    fn branch(&mut self, from: u64, to: u64) {
        let inside = self.function.address..self.function.address + self.function.size;
        // A jump into itself is a loop, a call of itself is recursion.
        if !inside.contains(&to) || to == self.function.address {
            self.function.calls.push((from, to));
        }
    }

    fn take(&mut self, address: u64) {
        let found = self.tables.functions(address);
        self.function.takes.extend(found);
    }

    fn thumb(&mut self, code: &[u8], data: &[(u64, u64)]) {
        let base = self.function.address;
        let is_data = |address: u64| data.iter().any(|&(start, end)| (start..end).contains(&address));
        let half = |at: usize| Some(u16::from_le_bytes(*code.get(at..)?.first_chunk()?));
        let mut low_halves = [0u32; 16];
        let mut at = 0;
        while let Some(first) = half(at) {
            let address = base + at as u64;
            if is_data(address) {
                if let Some(word) =
                    code.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u32::from_le_bytes(*word))
                    && address.is_multiple_of(4)
                {
                    self.take(word.into());
                }
                at += 2;
                continue;
            }
            // 16 bits, unless the first five say otherwise.
            if first >> 11 < 0b11101 {
                match first {
                    0xB400..=0xB5FF => self.function.frame += 4 * u64::from((first & 0x1FF).count_ones()), // PUSH
                    0xB080..=0xB0FF => self.function.frame += 4 * u64::from(first & 0x7F),                 // SUB SP
                    0xE000..=0xE7FF => {
                        let offset = i64::from(((first & 0x7FF) << 5) as i16 >> 4);
                        self.branch(address, address.wrapping_add_signed(offset + 4)); // B
                    }
                    _ if first & 0xFF87 == 0x4780 => self.function.indirect += 1, // BLX register
                    _ if first & 0xFF87 == 0x4700 && first != 0x4770 => self.function.indirect += 1, // BX but LR
                    _ => {}
                }
                at += 2;
                continue;
            }
            let Some(second) = half(at + 2) else { break };
            let (f, s) = (u32::from(first), u32::from(second));
            let immediate = (f >> 10 & 1) << 11 | (s >> 12 & 7) << 8 | s & 0xFF;
            if let Some(to) = branch(address, first, second) {
                self.branch(address, to);
            } else if f == 0xE92D {
                self.function.frame += 4 * u64::from(s.count_ones()); // PUSH.W
            } else if f == 0xF84D && s & 0xFFF == 0xD04 {
                self.function.frame += 4; // STR …, [SP, #-4]!
            } else if f == 0xE96D {
                self.function.frame += 4 * u64::from(s & 0xFF); // STRD …, [SP, #-n]!
            } else if f & 0xFFBF == 0xED2D && s & 0x0E00 == 0x0A00 {
                self.function.frame += 4 * u64::from(s & 0xFF); // VPUSH
            } else if f & 0xFBEF == 0xF1AD && s & 0x8F00 == 0x0D00 {
                self.function.frame += u64::from(expand(immediate)); // SUB.W SP, SP, #…
            } else if f & 0xFBFF == 0xF2AD && s & 0x8F00 == 0x0D00 {
                self.function.frame += u64::from(immediate); // SUBW SP, SP, #…
            } else if f & 0xFFEF == 0xEBAD && s & 0x0F00 == 0x0D00 {
                self.function.dynamic = true; // SUB.W SP, SP, register
            } else if f & 0xFBF0 == 0xF240 && s & 0x8000 == 0 {
                low_halves[(s >> 8 & 15) as usize] = (f & 15) << 12 | immediate; // MOVW
            } else if f & 0xFBF0 == 0xF2C0 && s & 0x8000 == 0 {
                self.take(u64::from(((f & 15) << 12 | immediate) << 16 | low_halves[(s >> 8 & 15) as usize])); // MOVT
            }
            at += 4;
        }
    }

    fn a64(&mut self, code: &[u8]) {
        let mut pages = [0u64; 32];
        for (index, word) in code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).enumerate() {
            let address = self.function.address + 4 * index as u64;
            let signed = |value: u32, bits: u32| i64::from((value << (32 - bits)) as i32 >> (32 - bits));
            let (to, from) = ((word & 31) as usize, (word >> 5 & 31) as usize);
            let scaled = |scale: i64| (-signed(word >> 15 & 0x7F, 7) * scale).max(0) as u64;
            match word {
                _ if word & 0x7C00_0000 == 0x1400_0000 => {
                    self.branch(address, address.wrapping_add_signed(4 * signed(word & 0x3FF_FFFF, 26))); // B, BL
                }
                _ if word & 0xFF00_0000 == 0x5400_0000 || word & 0x7E00_0000 == 0x3400_0000 => {
                    self.branch(address, address.wrapping_add_signed(4 * signed(word >> 5 & 0x7_FFFF, 19))); // B.cond, CBZ
                }
                _ if word & 0xFFDF_FC1F == 0xD61F_0000 => self.function.indirect += 1, // BR, BLR
                _ if word & 0xFF80_03FF == 0xD100_03FF => {
                    let shift = if word >> 22 & 1 == 1 { 12 } else { 0 };
                    self.function.frame += u64::from(word >> 10 & 0xFFF) << shift; // SUB SP, SP, #…
                }
                _ if word & 0xFFC0_03E0 == 0xA980_03E0 => self.function.frame += scaled(8), // STP X, pre-indexed by SP
                _ if word & 0xFFC0_03E0 == 0x6D80_03E0 => self.function.frame += scaled(8), // STP D
                _ if word & 0xFFC0_03E0 == 0xAD80_03E0 => self.function.frame += scaled(16), // STP Q
                _ if word & 0xFBE0_0FE0 == 0xF800_0FE0 => {
                    self.function.frame += (-signed(word >> 12 & 0x1FF, 9)).max(0) as u64; // STR X or D
                }
                _ if word & 0xFFE0_7FFF == 0xCB20_63FF => self.function.dynamic = true, // SUB SP, SP, register
                _ if word & 0x9F00_0000 == 0x9000_0000 => {
                    let offset = signed((word >> 5 & 0x7_FFFF) << 2 | word >> 29 & 3, 21) << 12;
                    pages[to] = (address & !0xFFF).wrapping_add_signed(offset); // ADRP
                }
                _ if word & 0x9F00_0000 == 0x1000_0000 => {
                    let offset = signed((word >> 5 & 0x7_FFFF) << 2 | word >> 29 & 3, 21);
                    self.take(address.wrapping_add_signed(offset)); // ADR
                }
                _ if word & 0xFFC0_0000 == 0x9100_0000 && pages[from] != 0 => {
                    self.take(pages[from] + u64::from(word >> 10 & 0xFFF)); // ADD to what ADRP gave
                }
                _ => {}
            }
        }
    }
}

/// Where a Thumb instruction at `address` leads, if it is BL or a wide B, conditional or not (A7.7.12 and A7.7.18).
pub fn branch(address: u64, first: u16, second: u16) -> Option<u64> {
    if first >> 11 != 0b11110 || second >> 15 != 1 {
        return None;
    }
    let bit = |half: u16, at: u16| i64::from(half >> at & 1);
    let sign = bit(first, 10);
    let low = i64::from(second & 0x7FF) << 1;
    let offset = if second >> 12 & 1 == 1 {
        // BL, and B without a condition.
        let (i1, i2) = (1 - (bit(second, 13) ^ sign), 1 - (bit(second, 11) ^ sign));
        (-sign << 24) | (i1 << 23) | (i2 << 22) | i64::from(first & 0x3FF) << 12 | low
    } else if second >> 14 & 1 == 0 && first >> 7 & 7 != 7 {
        (-sign << 20) | (bit(second, 11) << 19) | (bit(second, 13) << 18) | i64::from(first & 0x3F) << 12 | low
    } else {
        return None;
    };
    address.checked_add_signed(offset + 4)
}

/// A modified immediate constant (A5.3.2).
fn expand(immediate: u32) -> u32 {
    let byte = immediate & 0xFF;
    match immediate >> 8 {
        0 => byte,
        1 => byte << 16 | byte,
        2 => byte << 24 | byte << 8,
        3 => byte << 24 | byte << 16 | byte << 8 | byte,
        _ => (0x80 | byte & 0x7F).rotate_right(immediate >> 7),
    }
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
        assert_eq!(branch(0x1000, 0xF040, 0x8080), Some(0x1104)); // bne.w .+0x104
        assert_eq!(branch(0x1000, 0x4770, 0xBF00), None); // bx lr; nop
        assert_eq!(branch(0x1000, 0xF3EF, 0x8010), None); // mrs r0, primask
    }

    #[test]
    fn constants_are_expanded_as_the_manual_says() {
        assert_eq!(expand(0x0AB), 0xAB);
        assert_eq!(expand(0x1AB), 0x00AB_00AB);
        assert_eq!(expand(0xF40), 768); // sub.w sp, sp, #768
        assert_eq!(expand(0xD80), 0x1000); // sub.w sp, sp, #4096
    }
}
