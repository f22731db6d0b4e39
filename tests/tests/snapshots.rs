//! A session goes on from a saved state as if nothing had happened, and takes no state that isn't its own.

use jamlet::{Model, Options, Plan, Sampler, Session, SnapshotError, StateWidth};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, pack};

fn workspace(image: &AlignedBytes, options: Options) -> AlignedBytes {
    AlignedBytes::zeros(Plan::new(image.get(), options).expect("a plan").bytes())
}

fn bits(session: &mut Session<'_, '_>) -> Vec<u32> {
    let mut bits = Vec::new();
    session.logits(|_, block| bits.extend(block.iter().map(|x| x.to_bits()))).expect("logits");
    bits
}

fn save(session: &mut Session<'_, '_>) -> Vec<u8> {
    let mut bytes = vec![0xAA; session.plan().snapshot_bytes()];
    let length = session.snapshot(&mut bytes).expect("room");
    bytes.truncate(length);
    bytes
}

#[test]
fn the_same_bits_after_a_restore_wherever_it_was_saved() {
    for name in ["dense-odd", "moe-in-attention", "mamba-only", "attention-only"] {
        let fixture = fixtures::load(name);
        let image = pack(&fixture.dir, 32);
        let model = Model::parse(image.get()).expect(name);
        for state in [StateWidth::F32, StateWidth::F16] {
            // The ring of the cache is not full, just full, and has gone round.
            let options = Options::window(9).sinks(2).chunk(4).state(state);
            for cut in [1, 5, 10, 11, 12, 30, 63] {
                let (before, after) = fixture.tokens.split_at(cut);
                let mut first = workspace(&image, options);
                let mut session = Session::new(&model, options, first.get_mut()).expect(name);
                session.feed(before).expect("tokens");
                let here = bits(&mut session);
                let snapshot = save(&mut session);
                session.feed(after).expect("tokens");
                let right = bits(&mut session);

                // Into memory that held another text, in other chunks.
                let options = options.chunk(7);
                let mut second = workspace(&image, options);
                let mut session = Session::new(&model, options, second.get_mut()).expect(name);
                session.feed(&fixture.tokens[3..40]).expect("tokens");
                session.restore(&snapshot).expect("a snapshot");
                assert_eq!(session.position(), cut as u64);
                assert!(bits(&mut session) == here, "{name}, {cut} tokens: the logits at the place");
                assert!(save(&mut session) == snapshot, "{name}, {cut} tokens: the snapshot of the snapshot");
                session.feed(after).expect("tokens");
                assert!(bits(&mut session) == right, "{name}, {cut} tokens: the logits at the end");
            }
        }
    }
}

#[test]
fn a_sampled_token_that_was_not_fed_yet_is_saved_too() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(16);
    let mut memory = workspace(&image, options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens[..8]).expect("tokens");
    session.next(&mut Sampler::greedy()).expect("a token");
    let snapshot = save(&mut session);
    let right = session.next(&mut Sampler::greedy()).expect("a token");
    session.reset();
    session.restore(&snapshot).expect("a snapshot");
    assert_eq!((session.position(), session.next(&mut Sampler::greedy())), (9, Ok(right)));
}

#[test]
fn what_is_not_this_sessions_state_is_refused_and_changes_nothing() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(16);
    let mut memory = workspace(&image, options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens[..20]).expect("tokens");
    let (right, snapshot) = (bits(&mut session), save(&mut session));

    let needed = snapshot.len();
    let small = session.snapshot(&mut vec![0; needed - 1]);
    assert_eq!(small, Err(SnapshotError::TooSmall { needed, found: needed - 1 }));
    for length in 0..needed {
        session.restore(&snapshot[..length]).expect_err("a cut snapshot");
    }
    session.restore(&[&snapshot[..], &[0]].concat()).expect_err("a longer snapshot");
    for at in 0..needed {
        let mut wrong = snapshot.clone();
        wrong[at] ^= 1 << (at % 8);
        session.restore(&wrong).expect_err("a flipped bit");
    }
    // A length that only a lie about the number of tokens explains, under a right checksum.
    for position in [0u64, 19, 1 << 40, u64::MAX] {
        let mut wrong = snapshot.clone();
        wrong[32..40].copy_from_slice(&position.to_le_bytes());
        let (content, sum) = wrong.split_last_chunk_mut::<4>().expect("a snapshot");
        *sum = crc32fast::hash(content).to_le_bytes();
        if let Err(error) = session.restore(&wrong) {
            assert!(matches!(error, SnapshotError::Length { .. }), "{error}");
        } else {
            // More tokens than slots look all the same; they only turn the ring.
            bits(&mut session);
            session.restore(&snapshot).expect("the right one");
        }
    }
    let other = pack(&fixtures::dir("dense"), 32);
    let other_model = Model::parse(other.get()).expect("an image");
    let mut other_memory = workspace(&other, options);
    let mut other_session = Session::new(&other_model, options, other_memory.get_mut()).expect("a session");
    assert!(matches!(other_session.restore(&snapshot), Err(SnapshotError::OtherImage { .. })));
    let wider = Options::window(17);
    let mut wider_memory = workspace(&image, wider);
    let mut wider_session = Session::new(&model, wider, wider_memory.get_mut()).expect("a session");
    let refused = wider_session.restore(&snapshot);
    assert_eq!(refused, Err(SnapshotError::OtherOption { name: "window", found: 16, expected: 17 }));

    assert!(bits(&mut session) == right, "the session is as it was");
}
