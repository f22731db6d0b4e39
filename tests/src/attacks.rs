//! Hostile images and folders from the recipes in `tests/attacks`: each begins with something small that is right, and is
//! made wrong in one way.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use jamlet::image::{Header, Role, crc, field};
use jamlet::tokenizer;
use serde_json::{Value, json};

use crate::images::AlignedBytes;
use crate::{folder, tiny};

/// A recipe.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// What it is called.
    pub name: String,
    /// What it begins with.
    pub base: String,
    /// What is changed, in this order.
    pub edits: Vec<String>,
    /// The error that it must give; "none" for what must run without harm.
    pub error: String,
}

/// Reads recipes: `[name]`, then `base`, `edit` and `error`, a line each; `#` begins a comment.
///
/// # Panics
/// If a line is none of these.
pub fn recipes(text: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            recipes.push(Recipe { name: name.into(), ..Recipe::default() });
            continue;
        }
        let (recipe, (key, value)) = recipes.last_mut().zip(line.split_once(": ")).expect(line);
        match key {
            "base" => recipe.base = value.into(),
            "edit" => recipe.edits.push(value.into()),
            "error" => recipe.error = value.into(),
            _ => panic!("a recipe has no {key}"),
        }
    }
    recipes
}

/// The recipes for images.
pub fn images() -> Vec<Recipe> {
    recipes(include_str!("../attacks/images.txt"))
}

/// The recipes for Hugging Face folders.
pub fn folders() -> Vec<Recipe> {
    recipes(include_str!("../attacks/folders.txt"))
}

/// Where a field of the header lies.
fn header_field(name: &str) -> Option<usize> {
    Some(match name {
        "version" => field::VERSION,
        "features" => field::FEATURES,
        "sections" => field::SECTIONS,
        "layers" => field::LAYERS,
        "vocab" => field::VOCAB,
        "hidden" => field::HIDDEN,
        "intermediate" => field::INTERMEDIATE,
        "heads" => field::HEADS,
        "kv_heads" => field::KV_HEADS,
        "head_dim" => field::HEAD_DIM,
        "d_inner" => field::D_INNER,
        "d_state" => field::D_STATE,
        "d_conv" => field::D_CONV,
        "dt_rank" => field::DT_RANK,
        "experts" => field::EXPERTS,
        "top_k" => field::TOP_K,
        "group" => field::GROUP,
        "eps" => field::EPS,
        "bos" => field::BOS,
        "ssm_heads" => field::SSM_HEADS,
        "ssm_head_dim" => field::SSM_HEAD_DIM,
        "ssm_groups" => field::SSM_GROUPS,
        "step_min" => field::STEP_MIN,
        "step_max" => field::STEP_MAX,
        "shared" => field::SHARED,
        "reserved" => field::RESERVED,
        _ => return None,
    })
}

/// An image being edited.
struct Image {
    bytes: Vec<u8>,
    /// The header as it was.
    header: Header,
    /// Where each section began and how long it was.
    sections: Vec<(Role, usize, usize)>,
    sealed: bool,
}

/// The image of a recipe, and by how many bytes it must lie askew.
///
/// # Panics
/// If the recipe is none.
pub fn image(recipe: &Recipe) -> (Vec<u8>, usize) {
    let bytes = tiny::all().into_iter().find(|(name, _)| *name == recipe.base).expect(&recipe.base).1;
    let (header, sections) = {
        let aligned = AlignedBytes::new(&bytes);
        let image = jamlet::image::Image::parse(aligned.get()).expect("a small image");
        let start = aligned.get().as_ptr().addr();
        let place = |section: &[u8]| section.as_ptr().addr() - start;
        let sections = image.sections().map(|(is, s)| (is.role, place(s.bytes), s.bytes.len())).collect();
        (*image.header(), sections)
    };
    let mut image = Image { bytes, header, sections, sealed: true };
    let mut askew = 0;
    for edit in &recipe.edits {
        match edit.as_str() {
            "unsealed" => image.sealed = false,
            "askew" => askew = 1,
            edit => image.edit(edit),
        }
    }
    if image.sealed
        && let Some((content, sum)) = image.bytes.split_last_chunk_mut::<4>()
    {
        *sum = crc::checksum(content).to_le_bytes();
    }
    (image.bytes, askew)
}

impl Image {
    fn edit(&mut self, edit: &str) {
        let (place, value) = edit.split_once(" = ").expect(edit);
        let words: Vec<&str> = place.split(' ').collect();
        match words[..] {
            ["cut"] => self.bytes.truncate(number(value) as usize),
            ["append"] => {
                // Before the checksum, as a part of the file.
                let at = self.bytes.len() - 4;
                self.bytes.splice(at..at, vec![0; number(value) as usize]);
            }
            ["length"] => self.put(field::LENGTH, 8, value),
            ["magic", at] => self.put(number(at) as usize, 1, value),
            ["layer", index, name] => {
                let at = field::HEADER_BYTES + number(index) as usize * field::LAYER_BYTES;
                let (offset, width) = match name {
                    "mixer" => (field::LAYER_MIXER, 1),
                    "ffn" => (field::LAYER_FFN, 1),
                    "reserved" => (field::LAYER_ZERO, 2),
                    "first" => (field::LAYER_FIRST, 4),
                    _ => panic!("{edit}"),
                };
                self.put(at + offset, width, value);
            }
            ["section", role, name] => {
                let (index, _, _) = self.section(role);
                let at = self.header.section_table() + index * field::SECTION_BYTES;
                let (offset, width) = match name {
                    "role" => (field::SECTION_ROLE, 2),
                    "layer" => (field::SECTION_LAYER, 2),
                    "expert" => (field::SECTION_EXPERT, 2),
                    "encoding" => (field::SECTION_ENCODING, 2),
                    "rows" => (field::SECTION_ROWS, 4),
                    "cols" => (field::SECTION_COLS, 4),
                    "offset" => (field::SECTION_OFFSET, 8),
                    "length" => (field::SECTION_LENGTH, 8),
                    _ => panic!("{edit}"),
                };
                self.put(at + offset, width, value);
            }
            ["after", role] => {
                let (_, start, length) = self.section(role);
                self.put(start + length, 1, value);
            }
            ["byte", role, at] | ["word", role, at] | ["long", role, at] => {
                let (_, start, length) = self.section(role);
                let width = [1, 2, 4][["byte", "word", "long"].iter().position(|w| *w == words[0]).expect(edit)];
                let at = number(at) as usize;
                assert!(at + width <= length, "{edit}: the section has {length} bytes");
                self.put(start + at, width, value);
            }
            ["tokenizer", name] => {
                let (_, start, _) = self.section("Tokenizer");
                let (at, width) = tokenizer_field(name);
                self.put(start + at, width, value);
            }
            [name] => self.put(header_field(name).expect(edit), 4, value),
            _ => panic!("{edit}"),
        }
    }

    fn section(&self, role: &str) -> (usize, usize, usize) {
        let found = self.sections.iter().position(|(found, ..)| format!("{found:?}") == role);
        let index = found.unwrap_or_else(|| panic!("no section {role}"));
        (index, self.sections[index].1, self.sections[index].2)
    }

    /// Writes a number, or with `+` or `-` before it what is there and a number.
    fn put(&mut self, at: usize, width: usize, value: &str) {
        let mut old = [0; 8];
        old[..width].copy_from_slice(&self.bytes[at..at + width]);
        let old = u64::from_le_bytes(old);
        let new = match value.split_at(1) {
            ("+", more) => old.wrapping_add(number(more)),
            ("-", less) => old.wrapping_sub(number(less)),
            _ => number(value),
        };
        self.bytes[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
    }
}

/// Offset and width of a field of the tokenizer's header.
fn tokenizer_field(name: &str) -> (usize, usize) {
    use tokenizer::field;
    match name {
        "version" => (field::VERSION, 2),
        "width" => (field::WIDTH, 1),
        "kind" => (field::KIND, 1),
        "flags" => (field::FLAGS, 1),
        "stages" => (field::STAGES, 1),
        "classes" => (field::CLASSES, 1),
        "prefix" => (field::PREFIX, 1),
        "strip" => (field::STRIP, 1),
        "longest" => (field::LONGEST, 2),
        "tokens" => (field::TOKENS, 4),
        "slots" => (field::SLOTS, 4),
        "added" => (field::ADDED, 4),
        "whole" => (field::WHOLE, 4),
        "texts" => (field::TEXTS, 4),
        "levels" => (field::LEVELS, 4),
        "program" => (field::PROGRAM, 4),
        "normal_forms" => (field::NORMAL_FORMS, 4),
        "reserved" => (field::ZERO, 4),
        _ => panic!("the tokenizer has no field {name}"),
    }
}

/// A number in decimal, or hexadecimal with `0x`.
fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Writes the folder of a recipe into `dir`.
///
/// # Panics
/// If the recipe is none.
pub fn write_folder(recipe: &Recipe, dir: &Path) {
    let mut config = folder::config();
    let (size, rest) = folder::checkpoint().split_first_chunk::<8>().expect("a size");
    let (header, data) = rest.split_at(u64::from_le_bytes(*size) as usize);
    let mut header: Value = serde_json::from_slice(header).expect("a header");
    let (mut data, mut said, mut twice) = (data.to_vec(), None, None);
    let mut files: HashMap<String, Vec<u8>> = HashMap::new();
    if recipe.base == "tokenizer" {
        files.insert("tokenizer.json".into(), folder::tokenizer().to_string().into_bytes());
        config["vocab_size"] = json!(300);
    }
    let mut tokenizer = folder::tokenizer();
    for edit in &recipe.edits {
        let (place, value) = edit.split_once(" = ").expect(edit);
        let words: Vec<&str> = place.split(' ').collect();
        let json = || -> Value { serde_json::from_str(value).expect(edit) };
        match words[..] {
            ["config", key] => config[key] = json(),
            ["tensor", name, key] => header[name][key] = json(),
            ["tensor", name] => header[name] = json(),
            ["header-size"] => said = Some(number(value)),
            ["number", name, index] => {
                let at = header[name]["data_offsets"][0].as_u64().expect(edit) as usize + 2 * number(index) as usize;
                data[at..at + 2].copy_from_slice(&(number(value) as u16).to_le_bytes());
            }
            ["more-numbers"] => data.extend(vec![0; number(value) as usize]),
            ["tokenizer", path] => {
                *tokenizer.pointer_mut(path).expect(edit) = json();
                files.insert("tokenizer.json".into(), tokenizer.to_string().into_bytes());
            }
            ["vocab", token] => {
                let token = String::from_utf8(repeated(token)).expect(edit);
                tokenizer["model"]["vocab"][token] = json();
                files.insert("tokenizer.json".into(), tokenizer.to_string().into_bytes());
            }
            ["without", token] => {
                tokenizer["model"]["vocab"].as_object_mut().expect(edit).remove(token).expect(edit);
                files.insert("tokenizer.json".into(), tokenizer.to_string().into_bytes());
            }
            ["twice", name] => twice = Some((name.to_owned(), json())),
            ["write", file] => drop(files.insert(file.into(), repeated(value))),
            _ => panic!("{edit}"),
        }
    }
    let mut header = header.to_string();
    if let Some((name, value)) = twice {
        header.insert_str(header.len() - 1, &format!(",{name:?}:{value}"));
    }
    let mut model = folder::safetensors(header.as_bytes(), &data);
    if let Some(said) = said {
        model[..8].copy_from_slice(&said.to_le_bytes());
    }
    files.entry("config.json".into()).or_insert_with(|| config.to_string().into_bytes());
    if !files.contains_key("model.safetensors.index.json") {
        files.entry("model.safetensors".into()).or_insert(model);
    } else {
        files.entry("shard.safetensors".into()).or_insert(model);
    }
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).expect("a file");
    }
}

/// A text in which `«text»×number` stands for so many repetitions.
fn repeated(text: &str) -> Vec<u8> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('«') {
        let (what, after) = after.split_once("»×").expect(text);
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        out += before;
        out += &what.repeat(number(&after[..end]) as usize);
        rest = &after[end..];
    }
    (out + rest).into_bytes()
}

/// All images in one blob, as `jamlet_app::conformance::attacks` reads them on boards.
pub fn blob(recipes: &[Recipe]) -> Vec<u8> {
    let mut words = vec![jamlet_app::conformance::ATTACKS, recipes.len() as u32];
    let mut images = Vec::new();
    let start = (4 * (2 + 2 * recipes.len())).next_multiple_of(64);
    for recipe in recipes {
        let (bytes, askew) = image(recipe);
        images.resize(images.len().next_multiple_of(64) + askew, 0);
        words.extend([(start + images.len()) as u32, bytes.len() as u32]);
        images.extend(bytes);
    }
    let mut blob: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    blob.resize(start, 0);
    blob.extend(images);
    blob
}
