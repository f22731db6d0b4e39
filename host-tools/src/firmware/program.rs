//! A linked program: what lies where in a board's memory.

use anyhow::{Context, Result, ensure};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind, elf};
use std::fs;
use std::path::Path;

/// Bytes at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where they are flashed or loaded.
    pub address: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A section that takes memory on the board.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it is while the program runs.
    pub address: u64,
    /// Its size.
    pub size: u64,
    /// Whether it is written while the program runs.
    pub writable: bool,
}

/// A function or a static.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Its name, demangled.
    pub name: String,
    /// Where it is; the Thumb bit is gone.
    pub address: u64,
    /// Its size.
    pub size: u64,
    /// Whether it is a function.
    pub code: bool,
}

/// What the linker made.
#[derive(Debug)]
pub struct Program {
    /// Where it starts, with the Thumb bit.
    pub entry: u64,
    /// What is loaded, in order of addresses.
    pub segments: Vec<Segment>,
    /// What takes memory.
    pub sections: Vec<Section>,
    /// What has a name.
    pub symbols: Vec<Symbol>,
    /// Constants among the instructions: (start, end).
    pub data: Vec<(u64, u64)>,
    /// Whether addresses have 64 bits.
    pub wide: bool,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let program = match bytes.get(4) {
            Some(1) => Self::parse::<elf::FileHeader32<object::LittleEndian>>(&bytes),
            _ => Self::parse::<elf::FileHeader64<object::LittleEndian>>(&bytes),
        };
        program.with_context(|| path.display().to_string())
    }

    fn parse<H: FileHeader<Endian = object::LittleEndian>>(bytes: &[u8]) -> Result<Self> {
        let file = ElfFile::<H>::parse(bytes)?;
        let endian = object::LittleEndian;
        let mut segments = Vec::new();
        for header in file.elf_program_headers() {
            let content = header.data(endian, bytes).ok().context("a segment reaches past the end of the file")?;
            if header.p_type(endian) == elf::PT_LOAD && !content.is_empty() {
                segments.push(Segment { address: header.p_paddr(endian).into(), bytes: content.to_vec() });
            }
        }
        segments.sort_by_key(|segment| segment.address);
        let mut sections = Vec::new();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            if sh_flags.contains(elf::SHF_ALLOC) && section.size() > 0 {
                sections.push(Section {
                    name: section.name()?.into(),
                    address: section.address(),
                    size: section.size(),
                    writable: sh_flags.contains(elf::SHF_WRITE),
                });
            }
        }
        let symbols = file
            .symbols()
            .filter(|symbol| symbol.is_definition() || symbol.size() > 0 || symbol.kind() != SymbolKind::File)
            .map(|symbol| {
                // Labels in assembly needn't be typed as functions; mapping symbols mark their code.
                let code = symbol.kind() == SymbolKind::Text;
                Symbol {
                    name: format!("{:#}", rustc_demangle::demangle(symbol.name().unwrap_or_default())),
                    address: if code { symbol.address() & !1 } else { symbol.address() },
                    size: symbol.size(),
                    code,
                }
            })
            .collect();
        let data = constants(
            &file.symbols().filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?))).collect::<Vec<_>>(),
        );
        Ok(Self { entry: file.entry(), segments, sections, symbols, data, wide: file.is_64() })
    }

    /// All segments as one block of memory, zeros between them, and its address.
    ///
    /// # Errors
    /// When there are none, or they overlap.
    pub fn flat(&self) -> Result<Segment> {
        let address = self.segments.first().context("nothing to load")?.address;
        let mut bytes: Vec<u8> = Vec::new();
        for segment in &self.segments {
            let offset = (segment.address - address) as usize;
            ensure!(offset >= bytes.len(), "segments overlap at {:#x}", segment.address);
            bytes.resize(offset, 0);
            bytes.extend(&segment.bytes);
        }
        Ok(Segment { address, bytes })
    }

    /// The address-sized number at an address that is loaded.
    pub fn word(&self, address: u64) -> Option<u64> {
        let segment =
            self.segments.iter().find(|s| (s.address..s.address + s.bytes.len() as u64).contains(&address))?;
        let bytes = segment.bytes.get((address - segment.address) as usize..)?;
        match self.wide {
            true => bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
            false => bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes).into()),
        }
    }

    /// The address of a symbol.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn address(&self, name: &str) -> Result<u64> {
        let symbol = self.symbols.iter().find(|symbol| symbol.name == name);
        symbol.map(|symbol| symbol.address).with_context(|| format!("the program has no symbol {name}"))
    }
}

/// Where mapping symbols (ELF for the Arm Architecture, 5.5.5) say that constants lie among the instructions.
fn constants(symbols: &[(u64, &str)]) -> Vec<(u64, u64)> {
    let kind = |name: &str| name.strip_prefix('$').and_then(|rest| rest.chars().next());
    let mut marks: Vec<(u64, char)> = symbols.iter().filter_map(|&(at, name)| Some((at, kind(name)?))).collect();
    marks.sort_unstable();
    let pairs = marks.iter().zip(marks.iter().skip(1));
    pairs.filter(|((_, kind), _)| *kind == 'd').map(|((start, _), (end, _))| (*start, *end)).collect()
}
