//! A session goes on from a saved state as if nothing had happened, and takes no state that isn't its own.

use jamlet::{Model, Options, Plan, RestoreError, Sampler, Session, SessionError, SnapshotError, StateWidth};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, memories, pack, workspace};

fn bits(session: &mut Session<'_, '_>) -> Vec<u32> {
    let mut bits = Vec::new();
    session.logits(|_, block| bits.extend(block.iter().map(|x| x.to_bits()))).expect("logits");
    bits
}

fn save(session: &mut Session<'_, '_>) -> Vec<u8> {
    let mut bytes = vec![0xAA; session.plan().snapshot_bytes()];
    let length = session.snapshot(&mut bytes).expect("room");
    assert_eq!(length as u64, session.snapshot_length());
    bytes.truncate(length);
    bytes
}

fn save_with_logits(session: &mut Session<'_, '_>) -> Vec<u8> {
    let mut bytes = vec![0xAA; session.plan().snapshot_with_logits_bytes()];
    let length = session.snapshot_with_logits(&mut bytes).expect("room");
    bytes.truncate(length);
    bytes
}

#[test]
fn the_same_bits_after_a_restore_wherever_it_was_saved() {
    for name in ["dense-odd", "moe-in-attention", "mamba-only", "attention-only", "granite-odd-groups", "granite-moe"] {
        let fixture = fixtures::load(name);
        let image = pack(&fixture.dir, 32);
        let model = Model::parse(image.get()).expect(name);
        for options in memories(Options::window(9).sinks(2).chunk(4)) {
            // The ring of the cache is not full, just full, and has gone round.
            for cut in [1, 5, 10, 11, 12, 30, 63] {
                let (before, after) = fixture.tokens.split_at(cut);
                let mut first = workspace(image.get(), options);
                let mut session = Session::new(&model, options, first.get_mut()).expect(name);
                session.feed(before).expect("tokens");
                let here = bits(&mut session);
                let (snapshot, with_logits) = (save(&mut session), save_with_logits(&mut session));
                session.feed(after).expect("tokens");
                let right = bits(&mut session);

                // Into memory that held another text, in other chunks.
                let options = options.chunk(7);
                let mut second = workspace(image.get(), options);
                let mut session = Session::new(&model, options, second.get_mut()).expect(name);
                session.feed(&fixture.tokens[3..40]).expect("tokens");
                session.restore(&with_logits).expect("a snapshot");
                assert_eq!(session.position(), cut as u64);
                assert!(bits(&mut session) == here, "{name}, {cut} tokens: the logits at the place");
                assert!(save_with_logits(&mut session) == with_logits, "{name}, {cut} tokens: a snapshot's snapshot");
                assert!(save(&mut session) == snapshot, "{name}, {cut} tokens: a snapshot's snapshot, without logits");
                session.feed(after).expect("tokens");
                assert!(bits(&mut session) == right, "{name}, {cut} tokens: the logits at the end");

                session.restore(&snapshot).expect("a snapshot");
                assert_eq!(session.position(), cut as u64);
                let early = session.next(&mut Sampler::greedy());
                assert_eq!(early, Err(SessionError::NothingFed), "these logits were not saved");
                assert!(save(&mut session) == snapshot, "{name}, {cut} tokens: a snapshot's snapshot");
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
    let mut memory = workspace(image.get(), options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens[..8]).expect("tokens");
    session.next(&mut Sampler::greedy()).expect("a token");
    let snapshot = save(&mut session);
    let with_logits = save_with_logits(&mut session);
    let right = session.next(&mut Sampler::greedy()).expect("a token");
    for (snapshot, position) in [(snapshot, 8), (with_logits, 9)] {
        session.reset();
        session.restore(&snapshot).expect("a snapshot");
        assert_eq!((session.position(), session.next(&mut Sampler::greedy())), (position, Ok(right)));
    }
}

#[test]
fn what_is_not_this_sessions_state_is_refused_and_changes_nothing() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(16);
    let mut memory = workspace(image.get(), options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens[..20]).expect("tokens");
    let (right, snapshot) = (bits(&mut session), save(&mut session));
    let with_logits = save_with_logits(&mut session);

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
    // Lies under a right checksum.
    let lie = |at: usize, bytes: &[u8]| {
        let mut wrong = snapshot.clone();
        wrong[at..at + bytes.len()].copy_from_slice(bytes);
        let (content, sum) = wrong.split_last_chunk_mut::<4>().expect("a snapshot");
        *sum = crc32fast::hash(content).to_le_bytes();
        wrong
    };
    for position in [0u64, 19, i64::MAX as u64] {
        if let Err(error) = session.restore(&lie(32, &position.to_le_bytes())) {
            assert!(matches!(error, SnapshotError::Length { .. }), "{error}");
        } else {
            // More tokens than slots look all the same; they only turn the ring.
            session.feed(&fixture.tokens[..9]).expect("tokens");
            session.restore(&with_logits).expect("the right one");
        }
    }
    for (at, bytes, name) in [
        (32, &u64::MAX.to_le_bytes()[..], "number of tokens"),
        (48, &model.header().vocab.to_le_bytes(), "sampled token"),
        (52, &2u32.to_le_bytes(), "output flag"),
    ] {
        let refused = session.restore(&lie(at, bytes));
        assert!(matches!(refused, Err(SnapshotError::Field { name: found, .. }) if found == name), "{refused:?}");
    }
    let refused = session.restore(&lie(8, &1u32.to_le_bytes()));
    assert_eq!(refused, Err(SnapshotError::Version { found: 1 }));
    let other = pack(&fixtures::dir("dense"), 32);
    let other_model = Model::parse(other.get()).expect("an image");
    let mut other_memory = workspace(other.get(), options);
    let mut other_session = Session::new(&other_model, options, other_memory.get_mut()).expect("a session");
    assert!(matches!(other_session.restore(&snapshot), Err(SnapshotError::OtherImage { .. })));
    let wider = Options::window(17);
    let mut wider_memory = workspace(image.get(), wider);
    let mut wider_session = Session::new(&model, wider, wider_memory.get_mut()).expect("a session");
    let refused = wider_session.restore(&snapshot);
    assert_eq!(refused, Err(SnapshotError::OtherOption { name: "window", found: 16, expected: 17 }));

    assert!(bits(&mut session) == right, "the session is as it was");
}

#[test]
fn a_state_is_written_and_read_in_pieces() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(16);
    let mut memory = workspace(image.get(), options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens[..20]).expect("tokens");
    let whole = save(&mut session);
    let mut pieces = Vec::new();
    let length = session.snapshot_to(|piece| {
        pieces.extend_from_slice(piece);
        Ok::<_, ()>(())
    });
    assert!(pieces == whole && length == Ok(whole.len() as u64));
    let mut count = 0;
    let full = session.snapshot_to(|_| {
        count += 1;
        if count > 3 { Err("full") } else { Ok(()) }
    });
    assert_eq!(full, Err("full"));

    session.feed(&fixture.tokens[20..]).expect("tokens");
    let right = bits(&mut session);
    // A medium that fails at its n-th use: while it is checked nothing changes, later the session is empty.
    let (mut whole_again, mut emptied) = (0, 0);
    for uses in 0.. {
        let mut left = uses;
        let restored = session.restore_from(whole.len() as u64, |offset, bytes| {
            let at = offset as usize;
            bytes.copy_from_slice(&whole[at..at + bytes.len()]);
            left -= 1;
            if left < 0 { Err("broken") } else { Ok(()) }
        });
        match restored {
            Ok(()) => break,
            Err(RestoreError::Read("broken")) if session.position() == 0 => {
                emptied += 1;
                session.feed(&fixture.tokens).expect("tokens");
                assert!(bits(&mut session) == right, "an empty session is as a new one");
            }
            Err(RestoreError::Read("broken")) => {
                whole_again += 1;
                assert!(bits(&mut session) == right, "the session is as it was");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(whole_again > whole.len() / 64 && emptied > 4, "{whole_again} and {emptied}");
    session.feed(&fixture.tokens[20..]).expect("tokens");
    assert!(bits(&mut session) == right);
}

/// The largest snapshots of the default model, against the limit: what the plan calls state, and 64 bytes.
#[test]
fn a_snapshot_of_the_default_model_is_its_state_and_little_else() {
    let file = jamlet_tools::image_file::ImageFile::open(None).expect("the default model");
    let model = file.model().expect("an image");
    for width in [StateWidth::F32, StateWidth::F16, StateWidth::I8] {
        let options = Options::window(64).state(width);
        let plan = Plan::new(file.bytes(), options).expect("a plan");
        let mut memory = AlignedBytes::zeros(plan.bytes());
        let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
        let tokens: Vec<u32> = (0..70).map(|i| 3 + i * 7919 % (model.header().vocab - 3)).collect();
        session.feed(&tokens).expect("tokens");
        let snapshot = save(&mut session);
        let parts = plan.parts();
        let state = parts.ssm + parts.conv + parts.cache;
        println!(
            "{width:?}: state {state}, snapshot {}, with logits {}",
            snapshot.len(),
            save_with_logits(&mut session).len()
        );
        assert!(snapshot.len() <= state + 64, "{} bytes for a state of {state}", snapshot.len());

        let (next, right) = (&tokens[..8], {
            session.feed(&tokens[..8]).expect("tokens");
            bits(&mut session)
        });
        let mut wrong = snapshot.clone();
        // Every byte of what is small, and some of what is large.
        for at in (0..snapshot.len()).filter(|at| *at < 64 || at % 4099 == 0 || snapshot.len() - at < 8) {
            wrong[at] ^= 0x10;
            session.restore(&wrong).expect_err("a flipped bit");
            session.restore(&snapshot[..at]).expect_err("a cut snapshot");
            wrong[at] ^= 0x10;
        }
        assert!(bits(&mut session) == right, "the session is as it was");
        session.reset();
        session.restore(&snapshot).expect("the snapshot");
        session.feed(next).expect("tokens");
        assert!(bits(&mut session) == right);
    }
}
