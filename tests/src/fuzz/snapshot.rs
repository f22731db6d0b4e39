//! A saved state from a stranger. Byte 0 chooses the model, byte 1 the options, byte 2 what is made right: the checksum,
//! and the fields that must agree with the session; and whether it is read from something that changes between the two
//! times that it is read. Then the snapshot follows.

use std::sync::LazyLock;

use jamlet::image::crc;
use jamlet::{Eviction, Model, Options, Plan, RestoreError, Sampler, Session, StateWidth};

use super::{Input, image::show};
use crate::images::AlignedBytes;
use crate::tiny;

static IMAGES: LazyLock<Vec<AlignedBytes>> =
    LazyLock::new(|| tiny::all().iter().map(|(_, image)| AlignedBytes::new(image)).collect());
static MODELS: LazyLock<Vec<Model<'static>>> =
    LazyLock::new(|| IMAGES.iter().map(|image| Model::parse(image.get()).expect("a small image")).collect());

/// Restores the bytes as a state.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let model = &MODELS[usize::from(input.byte()) % MODELS.len()];
    let options = options(input.byte());
    let right = input.byte();
    let mut bytes = input.rest().to_vec();
    let mut workspace = AlignedBytes::zeros(Plan::new(model.image().bytes(), options).expect("a plan").bytes());
    let mut session = Session::new(model, options, workspace.get_mut()).expect("a session");
    make_right(right, model, options, &mut bytes);
    let before = match right & 0x80 {
        0 => Vec::new(),
        _ => {
            session.feed(&[1, 2, 3]).expect("tokens");
            save(&mut session)
        }
    };
    match read(right, &bytes, &mut session) {
        Ok(()) => go_on(&mut session),
        Err(RestoreError::Read(())) => {
            assert!(session.position() == 0, "what could be read only once is forgotten");
            go_on(&mut session);
        }
        Err(RestoreError::Snapshot(error)) => {
            show(&error);
            if !before.is_empty() {
                assert!(save(&mut session) == before, "an error changed the session");
            }
        }
    }
}

/// Restores bytes, or what is read twice and is something else the second time, or can't be read then.
fn read(right: u8, bytes: &[u8], session: &mut Session<'_, '_>) -> Result<(), RestoreError<()>> {
    if right & 0x40 == 0 {
        return session.restore(bytes).map_err(RestoreError::Snapshot);
    }
    let mut checked = false;
    session.restore_from(bytes.len() as u64, |offset, out| {
        let from = offset as usize;
        out.copy_from_slice(bytes.get(from..from + out.len()).ok_or(())?);
        if checked {
            out.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0x5a);
            return if right & 0x20 == 0 { Ok(()) } else { Err(()) };
        }
        checked = from + out.len() == bytes.len();
        Ok(())
    })
}

/// Whatever was restored, the session goes on.
fn go_on(session: &mut Session<'_, '_>) {
    // There may be nothing to sample from.
    let _ = session.next(&mut Sampler::greedy());
    session.feed(&[4, 5]).expect("tokens");
    session.logits(|_, _| ()).expect("logits");
    let saved = save(session);
    session.restore(&saved).expect("its own state");
    let mut bytes = vec![0; session.plan().snapshot_with_logits_bytes()];
    let length = session.snapshot_with_logits(&mut bytes).expect("room for a snapshot");
    session.restore(&bytes[..length]).expect("its own state");
}

/// States after some tokens of each model.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, model) in MODELS.iter().enumerate() {
        for (choice, tokens) in
            [(0, &[1, 2][..]), (1, &[1, 2, 3, 4, 5, 6, 7, 1, 2]), (6, &[3, 2, 1]), (8, &[1, 2, 3, 4, 5, 6, 7])]
        {
            let options = options(choice);
            let mut workspace = AlignedBytes::zeros(Plan::new(model.image().bytes(), options).expect("a plan").bytes());
            let mut session = Session::new(model, options, workspace.get_mut()).expect("a session");
            session.feed(tokens).expect("tokens");
            for right in [0x0f, 0x4f, 0x8f] {
                seeds.push([&[index as u8, choice, right], &save(&mut session)[..]].concat());
            }
        }
    }
    seeds
}

fn options(choice: u8) -> Options {
    let state = if choice & 4 == 0 { StateWidth::F32 } else { StateWidth::F16 };
    let (window, sinks) = [(4, 2), (3, 0), (1, 1), (5, 1)][usize::from(choice & 3)];
    let eviction = if choice & 8 == 0 { Eviction::Window } else { Eviction::HeavyHitters { recent: 1 } };
    Options { state, eviction, ..Options::window(window).sinks(sinks).chunk(2) }
}

/// The session's state.
pub fn save(session: &mut Session<'_, '_>) -> Vec<u8> {
    let mut bytes = vec![0; session.plan().snapshot_bytes()];
    let length = session.snapshot(&mut bytes).expect("room for a snapshot");
    bytes.truncate(length);
    bytes
}

fn make_right(right: u8, model: &Model<'_>, options: Options, bytes: &mut [u8]) {
    let length = bytes.len() as u64;
    let mut put = |bit: u8, at: usize, value: &[u8]| {
        if right & bit != 0
            && let Some(place) = bytes.get_mut(at..at + value.len())
        {
            place.copy_from_slice(value);
        }
    };
    put(2, 0, b"\x93JSTATE\n\x02\0\0\0");
    put(2, 12, &model.identity().to_le_bytes());
    put(4, 16, &options.window.to_le_bytes());
    put(4, 20, &options.sinks.to_le_bytes());
    put(4, 24, &if options.state == StateWidth::F32 { 4_u32 } else { 2 }.to_le_bytes());
    put(4, 28, &u32::from(options.eviction != Eviction::Window).to_le_bytes());
    put(8, 40, &length.to_le_bytes());
    if right & 1 != 0
        && let Some((content, sum)) = bytes.split_last_chunk_mut::<4>()
    {
        *sum = crc::checksum(content).to_le_bytes();
    }
}
