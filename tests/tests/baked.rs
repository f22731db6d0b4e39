//! A baked prompt saves work and changes nothing; one that is damaged or made for something else is no harm.

use jamlet::image::{ImageError, Role, features};
use jamlet::{Model, Options, Plan, Session, StateWidth};
use jamlet_tests::images::AlignedBytes;
use jamlet_tools::bake::bake;
use jamlet_tools::frame::{self, Frame};
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::pack;
use std::path::Path;

const PREFIX: &str = "Package maintainers: what follows is a description.\n";

fn baked(from: &ImageFile, options: Options) -> (tempfile::TempDir, ImageFile) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("baked.jamlet");
    bake(from, PREFIX, options, &path, |_, _| ()).expect("baked");
    let file = ImageFile::open(Some(&path)).expect("the image");
    (folder, file)
}

fn bits(session: &mut Session<'_, '_>) -> Vec<u32> {
    let mut bits = Vec::new();
    session.logits(|_, block| bits.extend(block.iter().map(|x| x.to_bits()))).expect("logits");
    bits
}

/// Logits after a text that is begun as applications begin it, and the tokens that were not fed for it.
fn run(model: &Model<'_>, options: Options) -> (Vec<u32>, u64) {
    let mut memory = AlignedBytes::zeros(Plan::new(model.image().bytes(), options).expect("a plan").bytes());
    let mut session = Session::new(model, options, memory.get_mut()).expect("a session");
    let saved = if session.start_baked() { session.position() } else { 0 };
    session.reset();
    let mut frame = Frame::new(model, true, None).expect("a tokenizer");
    frame::feed(&mut session, &mut frame, &mut &b"A tool that reads logs."[..], |_| ()).expect("tokens");
    (bits(&mut session), saved)
}

fn default_model() -> ImageFile {
    ImageFile::open(None).expect("the default model")
}

#[test]
fn a_session_starts_from_it_with_the_same_bits() {
    let plain = default_model();
    let plain_model = plain.model().expect("an image");
    for options in [Options::window(64), Options::window(8).sinks(1).state(StateWidth::F16)] {
        let (_folder, file) = baked(&plain, options);
        let model = file.model().expect("an image");
        assert_eq!(model.identity(), plain_model.identity(), "states go on with or without a baked prompt");
        // Fresh, from the image in which nothing was baked.
        let tokens: Vec<u32> = model.baked().expect("a baked prompt").tokens().collect();
        let prefix: Vec<u32> = plain_model.prompt().prefix().collect();
        assert!(tokens.starts_with(&prefix) && tokens.len() > prefix.len() + 5);
        for options in [
            options,
            options.chunk(3),
            Options { window: 9, ..options },
            options.sinks(2),
            options.state(StateWidth::F32),
        ] {
            let mut memory = AlignedBytes::zeros(Plan::new(plain.bytes(), options).expect("a plan").bytes());
            let mut session = Session::new(&plain_model, options, memory.get_mut()).expect("a session");
            assert!(!session.start_baked(), "nothing was baked into this one");
            let mut frame = Frame::new(&model, true, None).expect("a tokenizer");
            assert_eq!(frame.start(), tokens);
            frame::feed(&mut session, &mut frame, &mut &b"A tool that reads logs."[..], |_| ()).expect("tokens");
            let (found, saved) = run(&model, options);
            assert!(found == bits(&mut session), "{options:?}");
            let made_for = Options { chunk: options.chunk, ..made_for(&model) };
            assert_eq!(saved, if options == made_for { tokens.len() as u64 } else { 0 }, "{options:?}");
        }
    }
}

fn made_for(model: &Model<'_>) -> Options {
    let made =
        jamlet::state::snapshot::made_for(model.baked().expect("a baked prompt").snapshot()).expect("a snapshot");
    let state = if made.state_width == 2 { StateWidth::F16 } else { StateWidth::F32 };
    Options::window(made.window).sinks(made.sinks).state(state)
}

fn rewritten(file: &ImageFile, section: &[u8]) -> AlignedBytes {
    let model = file.model().expect("an image");
    let mut out = Vec::new();
    pack::rewrite(model.image(), model.header().features, &[(Role::Baked, section)], &mut out).expect("an image");
    AlignedBytes::new(&out)
}

#[test]
fn a_malformed_one_is_refused_and_a_wrong_state_is_not_started_from() {
    let options = Options::window(8);
    // A small model: its image is summed again and again.
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-tools/models/nano.jamlet");
    let (_folder, file) = baked(&ImageFile::open(Some(&nano)).expect("nano"), options);
    let model = file.model().expect("an image");
    let section = model.image().model_section(Role::Baked).expect("the section").bytes;
    let count = model.baked().expect("a baked prompt").tokens().len();
    let parse = |section: &[u8]| {
        let image = rewritten(&file, section);
        Model::parse_with(image.get(), crc32fast::hash).map(|_| ()).err()
    };
    for length in [0, 1, 7, 8, 9, 8 + 4 * count - 1] {
        assert_eq!(parse(&section[..length]), Some(ImageError::Baked), "{length} bytes");
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut wrong = section.to_vec();
        wrong[at..at + bytes.len()].copy_from_slice(bytes);
        wrong
    };
    for (at, word) in [(4, 0), (4, u32::MAX), (4, 1 << 30), (8, model.header().vocab), (8, u32::MAX)] {
        assert_eq!(parse(&with(at, &word.to_le_bytes())), Some(ImageError::Baked), "{word} at {at}");
    }
    // What is wrong with the state only costs the time to read the tokens.
    let snapshot = 8 + 4 * count;
    for section in [
        section[..snapshot].to_vec(),
        section[..section.len() - 1].to_vec(),
        with(0, &7u32.to_le_bytes()),
        with(snapshot + 100, &[section[snapshot + 100] ^ 1]),
        with(snapshot + 32, &3u64.to_le_bytes()),
    ] {
        let image = rewritten(&file, &section);
        let model = Model::parse_with(image.get(), crc32fast::hash).expect("an image");
        let (found, saved) = run(&model, options);
        assert_eq!(saved, 0);
        assert!(found == run(&file.model().expect("an image"), options).0);
    }
    // One token less than the state has seen: it isn't the state after these tokens.
    let less =
        [&section[..4], &(count as u32 - 1).to_le_bytes(), &section[8..snapshot - 4], &section[snapshot..]].concat();
    let image = rewritten(&file, &less);
    assert_eq!(run(&Model::parse_with(image.get(), crc32fast::hash).expect("an image"), options).1, 0);
    // Readers that don't know the feature refuse the image by name: it is one of the bits that they check.
    assert!(model.header().has(features::BAKED) && features::KNOWN & features::BAKED != 0);
}
