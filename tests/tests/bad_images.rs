//! Damaged and hostile images are errors, never a panic; and what parses in spite of it can be run to the end.

use jamlet::image::{Image, ImageError, field};
use jamlet::{Model, Options, Plan, Session};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, pack};

const FIXTURES: [&str; 6] =
    ["dense-odd", "moe-in-attention", "mamba-only", "dense-proj-bias", "s4d-hybrid", "falcon-mamba-expand-3"];

/// Writes the checksum anew, as someone would who means harm.
fn seal(image: &mut [u8]) {
    let (content, sum) = image.split_last_chunk_mut::<4>().expect("an image");
    *sum = crc32fast::hash(content).to_le_bytes();
}

/// As [`Model::parse`], with a fast checksum: these tests take thousands.
fn parse(bytes: &[u8]) -> Result<Model<'_>, ImageError> {
    Model::parse_with(bytes, crc32fast::hash)
}

fn u32_at(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().expect("four bytes"))
}

/// Runs some tokens, if the image can be planned at a sane size.
fn run(model: &Model<'_>) {
    let options = Options::window(8).sinks(1).chunk(3);
    let Ok(plan) = Plan::new(model.image().bytes(), options) else { return };
    if plan.bytes() > 1 << 24 {
        return;
    }
    let mut workspace = AlignedBytes::zeros(plan.bytes());
    let mut session = Session::new(model, options, workspace.get_mut()).expect("a planned workspace");
    let vocab = model.header().vocab;
    session.feed(&[0, 1 % vocab, vocab - 1, 2 % vocab, 0]).expect("known tokens");
    let mut count = 0;
    session.logits(|_, block| count += block.len()).expect("logits");
    assert_eq!(count, vocab as usize);
}

#[test]
fn an_image_cut_anywhere_is_an_error() {
    for name in FIXTURES {
        let image = pack(&fixtures::dir(name), 32);
        let bytes = image.get();
        let whole = Image::parse(bytes).expect(name);
        // Every byte of header and tables, the borders of every section, and steps between.
        let tables = whole.header().tables_end();
        let borders = whole.sections().flat_map(|(_, section)| {
            let start = section.bytes.as_ptr().addr() - bytes.as_ptr().addr();
            [start.saturating_sub(1), start, start + 1, start + section.bytes.len()]
        });
        let steps = (tables..bytes.len()).step_by(997);
        let ends = (bytes.len() - 70)..bytes.len();
        for length in (0..tables + 2).chain(borders).chain(steps).chain(ends).filter(|&l| l < bytes.len()) {
            let error = Image::parse(&bytes[..length]).expect_err("a cut image");
            assert!(matches!(error, ImageError::Truncated { .. }), "{name}, {length} bytes: {error}");
        }
        let mut longer = AlignedBytes::zeros(bytes.len() + 1);
        longer.get_mut()[..bytes.len()].copy_from_slice(bytes);
        let error = Image::parse(longer.get()).expect_err("a longer image");
        assert!(matches!(error, ImageError::TrailingBytes { .. }), "{error}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    for name in ["dense-odd", "moe-in-attention"] {
        let image = pack(&fixtures::dir(name), 32);
        let mut bytes = image.clone();
        let length = bytes.get().len();
        for at in (0..length).step_by(61).chain(0..200).chain(length - 8..length) {
            bytes.get_mut()[at] ^= 1 << (at % 8);
            parse(bytes.get()).expect_err("a flipped bit");
            bytes.get_mut()[at] ^= 1 << (at % 8);
        }
        parse(bytes.get()).expect("the image as it was");
    }
}

#[test]
fn a_flipped_bit_under_a_right_checksum_is_an_error_or_a_model_that_runs() {
    let (mut refused, mut ran) = (0, 0);
    for name in FIXTURES {
        let image = pack(&fixtures::dir(name), 32);
        let tables = Image::parse(image.get()).expect(name).header().tables_end();
        let length = image.get().len();
        let mut bytes = image.clone();
        // All of header, layer table and section table; then places in every section.
        for bit in (0..8 * tables).chain((8 * tables..8 * (length - 4)).step_by(19_997)) {
            let (at, mask) = (bit / 8, 1 << (bit % 8));
            bytes.get_mut()[at] ^= mask;
            seal(bytes.get_mut());
            match parse(bytes.get()) {
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
                Ok(model) => {
                    run(&model);
                    ran += 1;
                }
            }
            bytes.get_mut()[at] ^= mask;
        }
    }
    assert!(refused > 1000 && ran > 100, "{refused} refused, {ran} ran");
}

#[test]
fn hostile_sizes_are_refused_by_the_name_of_their_field() {
    let image = pack(&fixtures::dir("moe-in-attention"), 32);
    let extremes = [0, 1, 2, 3, 7, 8, 9, 255, 256, 65535, 65536, 1 << 20, 1 << 24, i32::MAX as u32, u32::MAX];
    for at in (field::VERSION..field::HEADER_BYTES).step_by(4) {
        for value in extremes {
            let mut bytes = image.clone();
            if u32_at(bytes.get(), at) == value {
                continue;
            }
            bytes.get_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
            seal(bytes.get_mut());
            // Epsilons and the first token are free; every other field is tied to the rest.
            match parse(bytes.get()) {
                Ok(model) => {
                    assert!(
                        [field::EPS, field::MIXER_EPS, field::BOS, field::TOP_K].contains(&at),
                        "offset {at} = {value}"
                    );
                    run(&model);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn section_table_entries_can_not_be_moved_overlapped_or_resized() {
    let image = pack(&fixtures::dir("dense-odd"), 32);
    let header = *Image::parse(image.get()).expect("an image").header();
    for index in 0..header.sections as usize {
        let entry = header.section_table() + index * field::SECTION_BYTES;
        for (offset, change) in [
            (field::SECTION_OFFSET, 64u64),
            (field::SECTION_OFFSET, (-64i64) as u64),
            (field::SECTION_OFFSET, 1 << 40),
            (field::SECTION_OFFSET, u64::MAX),
            (field::SECTION_LENGTH, 64),
            (field::SECTION_LENGTH, u64::MAX - 7),
            (field::SECTION_LENGTH, 1 << 63),
        ] {
            let mut bytes = image.clone();
            let at = entry + offset;
            let value = u64::from_le_bytes(bytes.get()[at..at + 8].try_into().expect("eight bytes"));
            bytes.get_mut()[at..at + 8].copy_from_slice(&value.wrapping_add(change).to_le_bytes());
            seal(bytes.get_mut());
            let error = parse(bytes.get()).expect_err("a changed table");
            let named = matches!(error, ImageError::Section { .. } | ImageError::Prompt);
            assert!(named, "section {index}, field {offset} + {change}: {error}");
        }
    }
}

#[test]
fn a_newer_image_is_refused_by_name() {
    let mut image = pack(&fixtures::dir("dense-odd"), 32);
    image.get_mut()[field::VERSION] = 2;
    seal(image.get_mut());
    assert_eq!(parse(image.get()).err(), Some(ImageError::Version { found: 2 }));
    image.get_mut()[field::VERSION] = 1;
    image.get_mut()[field::FEATURES + 3] |= 0x40;
    seal(image.get_mut());
    assert_eq!(parse(image.get()).err(), Some(ImageError::Features { unknown: 0x4000_0000 }));
    assert!(ImageError::Features { unknown: 1 }.to_string().contains("newer"));
}

#[test]
fn what_is_no_image_or_lies_askew_is_refused() {
    assert!(matches!(Model::parse(&[]).err(), Some(ImageError::Truncated { .. })));
    let zeros = AlignedBytes::zeros(4096);
    assert_eq!(Model::parse(zeros.get()).err(), Some(ImageError::NotAnImage));
    let image = pack(&fixtures::dir("dense-odd"), 32);
    let mut askew = AlignedBytes::zeros(image.get().len() + 1);
    askew.get_mut()[1..].copy_from_slice(image.get());
    assert_eq!(Model::parse(&askew.get()[1..]).err(), Some(ImageError::Misaligned));
}

#[test]
fn what_is_wrong_with_a_field_is_said_as_people_say_it() {
    let image = pack(&fixtures::dir("dense-odd"), 32);
    let heads = image.get()[field::HEADS];
    let cases = [
        (field::EPS, 2.0f32.to_bits(), "header field rms_norm_eps has bits 40000000, which is no number from 0 to 1"),
        (field::GROUP, 12, "header field group_size is 12; a multiple of 8 would be right"),
        (field::D_INNER, 12, "header field d_inner is 12; a multiple of 8 would be right"),
        (field::KV_HEADS, u32::from(heads) + 1, "would be right"),
    ];
    for (at, value, right) in cases {
        let mut image = image.clone();
        image.get_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
        seal(image.get_mut());
        let error = parse(image.get()).expect_err(right).to_string();
        assert!(error.ends_with(right), "{error}");
        assert!(at != field::KV_HEADS || error.contains(&format!("a divisor of {heads}")), "{error}");
    }
}
