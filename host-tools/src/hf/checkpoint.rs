//! The tensors of a safetensors checkpoint: one `model.safetensors`, or shards and their index.
//!
//! Opening reads headers only. Numbers are read by ranges of rows from the place where they lie, so memory holds no more
//! than the rows asked for, however large the checkpoint is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::{ImportError, files};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The safetensors format's own cap on the length of a header, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// Bytes read from a file at a time.
const PIECE: usize = 1 << 20;

/// An open checkpoint: where every tensor lies.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

/// A tensor on disk: `shape[0]` rows, each of the product of the other dimensions.
#[derive(Debug, Clone)]
pub struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    /// Where its first number lies in the file.
    offset: u64,
    file: std::sync::Arc<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
}

impl Checkpoint {
    /// Opens the checkpoint in the folder `dir` and reads the headers of its files.
    ///
    /// # Errors
    /// If there is no safetensors checkpoint, a shard is missing, or a file is damaged.
    pub fn open(dir: &Path) -> Result<Self, ImportError> {
        let mut tensors = BTreeMap::new();
        if dir.join(SINGLE).exists() {
            read_header(&dir.join(SINGLE), &mut tensors)?;
        } else if dir.join(INDEX).exists() {
            read_shards(dir, &mut tensors)?;
        } else {
            return Err(no_checkpoint(dir));
        }
        Ok(Self { dir: dir.into(), tensors })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The tensor `name`, if there is one.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &Tensor> {
        self.tensors.values()
    }
}

impl Tensor {
    /// Its name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    pub fn file(&self) -> &Path {
        &self.file.path
    }

    /// Its dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its type on disk.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// First dimension; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Numbers a row: the product of the other dimensions.
    pub fn cols(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Replaces `out` by the `rows` of this tensor, row after row.
    ///
    /// # Errors
    /// If the file can't be read, the type is none of f32, f16 and bf16, or a number is NaN or infinite.
    ///
    /// # Panics
    /// If the tensor has no such rows.
    pub fn read_rows(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), ImportError> {
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "{}: no rows {rows:?}", self.name);
        self.read_numbers(rows.start * self.cols()..rows.end * self.cols(), out)
    }

    /// As [`Tensor::read_rows`], for a range of numbers in the order in which they lie.
    pub(super) fn read_numbers(&self, numbers: Range<usize>, out: &mut Vec<f32>) -> Result<(), ImportError> {
        self.check_dtype()?;
        let size = self.dtype.bitsize() / 8;
        out.clear();
        out.reserve_exact(numbers.len());
        let mut piece = vec![0u8; PIECE.min(numbers.len() * size)];
        while out.len() < numbers.len() {
            let begin = numbers.start + out.len();
            let bytes = PIECE.min((numbers.end - begin) * size);
            let bytes = &mut piece[..bytes];
            self.file.read_at(self.offset + (begin * size) as u64, bytes).map_err(ImportError::io(self.file()))?;
            let known = out.len();
            match self.dtype {
                Dtype::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
                Dtype::F16 => out.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
                // bf16 is the upper half of an f32.
                _ => out.extend(
                    bytes.as_chunks().0.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)),
                ),
            }
            // One pass that vectorises over all numbers, a second one only to say where the bad one is.
            if out[known..].iter().fold(0, |worst, x| (x.to_bits() & 0x7fff_ffff).max(worst)) >= 0x7f80_0000 {
                let at = out[known..].iter().position(|x| !x.is_finite()).unwrap_or(0);
                return Err(self.not_finite(begin + at, out[known + at]));
            }
        }
        Ok(())
    }

    /// Refuses a type that can't be read.
    pub(super) fn check_dtype(&self) -> Result<(), ImportError> {
        match self.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
            other => Err(self.wrong(format!("{other:?}"), "F32, F16 or BF16")),
        }
    }

    /// The error about this tensor.
    pub(super) fn wrong(&self, found: impl Into<String>, expected: impl Into<String>) -> ImportError {
        ImportError::tensor(self.file(), &self.name, found, expected)
    }

    fn not_finite(&self, number: usize, found: f32) -> ImportError {
        let mut rest = number;
        let mut index: Vec<_> = self.shape.iter().rev().map(|&d| (rest % d.max(1), rest /= d.max(1)).0).collect();
        index.reverse();
        self.wrong(format!("{found} at {index:?}"), "finite numbers only")
    }
}

impl OpenFile {
    #[cfg(unix)]
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset)
    }

    /// Without positioned reads each read opens the file anew, so that readers on several threads don't share a cursor.
    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}

/// Adds the tensors of one file.
fn read_header(path: &Path, tensors: &mut BTreeMap<String, Tensor>) -> Result<(), ImportError> {
    let file = File::open(path).map_err(ImportError::io(path))?;
    let length = file.metadata().map_err(ImportError::io(path))?.len();
    let file = std::sync::Arc::new(OpenFile { path: path.into(), file });

    let mut start = vec![0; length.min(64) as usize];
    file.read_at(0, &mut start).map_err(ImportError::io(path))?;
    files::refuse_pointer(path, &start)?;
    let mut size = [0; 8];
    if length < 8 {
        return Err(ImportError::file(path, format!("{length} bytes, too short for a safetensors header")));
    }
    file.read_at(0, &mut size).map_err(ImportError::io(path))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER {
        let problem = format!("a header of {size} bytes, expected at most {MAX_HEADER}: not a safetensors file");
        return Err(ImportError::file(path, problem));
    }
    if size > length - 8 {
        let problem = format!("truncated: a header of {size} bytes in a file of {length}");
        return Err(ImportError::file(path, problem));
    }
    let mut header = vec![0; size as usize];
    file.read_at(8, &mut header).map_err(ImportError::io(path))?;

    // Checks that the tensors lie one after another without holes or overlap, each as long as its shape and type say.
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|e| ImportError::file(path, format!("bad safetensors header: {e}")))?;
    let data = metadata.data_len() as u64;
    let present = length - 8 - size;
    if present != data {
        let what = if present < data { "truncated" } else { "bytes after the last tensor" };
        let problem = format!("{what}: {present} bytes of tensors, the header describes {data}");
        return Err(ImportError::file(path, problem));
    }

    for (name, info) in metadata.tensors() {
        let tensor = Tensor {
            name: name.clone(),
            shape: info.shape.clone(),
            dtype: info.dtype,
            offset: 8 + size + info.data_offsets.0 as u64,
            file: file.clone(),
        };
        if let Some(first) = tensors.get(&name) {
            let found = format!("it again, after {}", first.file().display());
            return Err(tensor.wrong(found, "each tensor in one file"));
        }
        tensors.insert(name, tensor);
    }
    Ok(())
}

/// Adds the tensors of all shards that the index names, and checks that they are where it says.
fn read_shards(dir: &Path, tensors: &mut BTreeMap<String, Tensor>) -> Result<(), ImportError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }

    let path = dir.join(INDEX);
    let json = files::read(&path)?;
    let index: Index = files::parse(&json)
        .map_err(|e| ImportError::file(&path, format!("{e}; expected an object with weight_map")))?;
    let shards: BTreeSet<_> = index.weight_map.values().collect();
    for shard in shards {
        // A name from a file must not lead out of the folder.
        if Path::new(shard).file_name() != Some(shard.as_ref()) {
            return Err(ImportError::field(
                &path,
                "weight_map",
                format!("{shard:?}"),
                "names of files beside the index",
            ));
        }
        let file = dir.join(shard);
        if !file.exists() {
            let problem = format!("missing shard {shard}, which the index names");
            return Err(ImportError::file(&path, problem));
        }
        read_header(&file, tensors)?;
    }
    for (name, shard) in &index.weight_map {
        let file = dir.join(shard);
        match tensors.get(name) {
            Some(tensor) if tensor.file() == file => {}
            Some(tensor) => return Err(tensor.wrong("it here", format!("it in {shard}, where the index puts it"))),
            None => {
                let expected = "the tensor that the index puts here";
                return Err(ImportError::tensor(&file, name, "nothing", expected));
            }
        }
    }
    Ok(())
}

fn no_checkpoint(dir: &Path) -> ImportError {
    let files = match std::fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) => return ImportError::io(dir)(error),
    };
    let pickle = files.flatten().find(|f| {
        let name = f.file_name();
        name.to_string_lossy().starts_with("pytorch_model") && name.to_string_lossy().contains(".bin")
    });
    let problem = match pickle {
        Some(found) => format!(
            "only {} in pickle format, which can run code when read; expected {SINGLE}: convert it with \
             transformers' save_pretrained(safe_serialization=True)",
            found.file_name().display()
        ),
        None => format!("no checkpoint, expected {SINGLE}, or {INDEX} and its shards"),
    };
    ImportError::file(dir, problem)
}
