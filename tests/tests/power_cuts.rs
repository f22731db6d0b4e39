//! Power cuts at every single operation of the flash, while a state is saved: afterwards the old one or the new one is there.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use jamlet::{Model, Options, Plan, Session, StateWidth};
use jamlet_persist::{Persist, PersistError, slot_bytes};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, pack};

const WORD: usize = 8;
const SECTOR: usize = 1024;

/// What a cut leaves of the operation that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Torn {
    /// Nothing of it happened.
    Before,
    /// Some of its bits changed, others not.
    Within,
    /// All of it happened, and nobody was told.
    After,
}

const TORN: [Torn; 3] = [Torn::Before, Torn::Within, Torn::After];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PowerCut;

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// A NOR flash that programs word by word and erases sector by sector, and loses power when it was told to.
#[derive(Clone)]
struct Flash {
    bytes: Vec<u8>,
    /// Words that were written since they were erased: error correction permits it once.
    written: Vec<bool>,
    erased: Vec<u32>,
    /// Operations until the power is cut, and how.
    cut: Option<(u64, Torn)>,
    operations: u64,
    random: u64,
}

impl Flash {
    fn new(sectors: usize) -> Self {
        // As it comes from the factory's tests: not erased.
        let (bytes, written) = (vec![0x5A; sectors * SECTOR], vec![true; sectors * SECTOR / WORD]);
        Self { bytes, written, erased: vec![0; sectors], cut: None, operations: 0, random: 1 }
    }

    fn noise(&mut self) -> u8 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 56) as u8
    }

    /// How much of the next operation happens.
    fn operate(&mut self) -> Option<Torn> {
        self.operations += 1;
        let (left, torn) = self.cut?;
        self.cut = left.checked_sub(1).map(|left| (left, torn)).or(self.cut);
        (left == 0).then_some(torn)
    }
}

impl ErrorType for Flash {
    type Error = PowerCut;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        bytes.copy_from_slice(&self.bytes[offset as usize..offset as usize + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        let (from, to) = (from as usize, to as usize);
        assert!(from.is_multiple_of(SECTOR) && to.is_multiple_of(SECTOR) && from < to && to <= self.bytes.len());
        for start in (from..to).step_by(SECTOR) {
            let torn = self.operate();
            self.erased[start / SECTOR] += 1;
            for at in start..start + SECTOR {
                match torn {
                    Some(Torn::Before) => {}
                    // Bits rise in no order.
                    Some(Torn::Within) => self.bytes[at] |= self.noise(),
                    Some(Torn::After) | None => self.bytes[at] = 0xFF,
                }
            }
            let whole = matches!(torn, Some(Torn::After) | None);
            self.written[start / WORD..(start + SECTOR) / WORD].fill(!whole);
            if torn.is_some() {
                return Err(PowerCut);
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        let offset = offset as usize;
        assert!(offset.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD), "whole words");
        for (index, word) in bytes.chunks_exact(WORD).enumerate() {
            let start = offset + index * WORD;
            assert!(!self.written[start / WORD], "a word is written twice without being erased");
            self.written[start / WORD] = true;
            let torn = self.operate();
            for (at, &byte) in (start..).zip(word) {
                match torn {
                    Some(Torn::Before) => {}
                    // Bits fall in no order.
                    Some(Torn::Within) => self.bytes[at] &= byte | self.noise(),
                    Some(Torn::After) | None => self.bytes[at] &= byte,
                }
            }
            if torn.is_some() {
                return Err(PowerCut);
            }
        }
        Ok(())
    }
}

fn save(session: &mut Session<'_, '_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(_) = session.snapshot_to(|piece| {
        bytes.extend_from_slice(piece);
        Ok::<_, std::convert::Infallible>(())
    });
    bytes
}

/// A board that is turned on again: the state that it finds.
fn found(flash: &Flash, plan: &Plan, session: &mut Session<'_, '_>) -> Option<Vec<u8>> {
    let mut flash = Flash { cut: None, ..flash.clone() };
    let region = 0..flash.bytes.len() as u32;
    session.reset();
    match Persist::new(&mut flash, region, plan).expect("room").resume(session) {
        Ok(()) => Some(save(session)),
        Err(PersistError::Nothing) => None,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_power_cut_at_every_operation_leaves_the_old_or_the_new_state() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    for (state, slots) in [(StateWidth::F32, 2), (StateWidth::F16, 3)] {
        let options = Options::window(12).sinks(2).state(state);
        let plan = Plan::new(image.get(), options).expect("a plan");
        let mut memory = AlignedBytes::zeros(plan.bytes());
        let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
        // What the session has to save, from small (the cache is nearly empty) to large.
        let states: Vec<Vec<u8>> = (0..6)
            .map(|_| {
                session.feed(&fixture.tokens[..3]).expect("tokens");
                save(&mut session)
            })
            .collect();
        let sectors = slots * slot_bytes(&plan, SECTOR) as usize / SECTOR;
        let mut flash = Flash::new(sectors);
        let region = 0..flash.bytes.len() as u32;
        assert_eq!(found(&flash, &plan, &mut session), None, "an empty flash");
        let mut cuts = 0u64;
        for (index, new) in states.iter().enumerate() {
            let old = index.checked_sub(1).map(|old| &states[old]);
            // How many operations there are.
            let mut whole = flash.clone();
            whole.operations = 0;
            session.restore(new).expect("a state");
            Persist::new(&mut whole, region.clone(), &plan).expect("room").save(&mut session).expect("no cut");
            assert_eq!(found(&whole, &plan, &mut session).as_ref(), Some(new));
            for at in 0..whole.operations {
                for torn in TORN {
                    let mut cut = Flash { cut: Some((at, torn)), random: at * 3 + cuts, ..flash.clone() };
                    session.restore(new).expect("a state");
                    let saved = Persist::new(&mut cut, region.clone(), &plan).expect("room").save(&mut session);
                    assert_eq!(saved, Err(PersistError::Flash(PowerCut)));
                    let there = found(&cut, &plan, &mut session);
                    let last = at + 1 == whole.operations;
                    let new_one = there.as_ref() == Some(new);
                    assert!(new_one || there.as_ref() == old, "cut at {at} ({torn:?}): neither the old nor the new");
                    assert!(!new_one || at + 32 >= whole.operations, "cut at {at}: new before it is complete");
                    assert!(new_one || !(last && torn == Torn::After), "all was written");
                    cuts += 1;
                    // And the next save works, cut or not, on what is left.
                    if at.is_multiple_of(41) || last {
                        cut.cut = None;
                        session.restore(new).expect("a state");
                        Persist::new(&mut cut, region.clone(), &plan)
                            .expect("room")
                            .save(&mut session)
                            .expect("no cut");
                        assert_eq!(found(&cut, &plan, &mut session).as_ref(), Some(new));
                    }
                }
            }
            flash = whole;
        }
        println!("{state:?}, {slots} slots: {cuts} cuts, each at another operation or in another way");
    }
}

#[test]
fn many_cuts_in_a_row_and_even_wear() {
    let fixture = fixtures::load("mamba-only");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(1);
    let plan = Plan::new(image.get(), options).expect("a plan");
    let mut memory = AlignedBytes::zeros(plan.bytes());
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    let slot = slot_bytes(&plan, SECTOR) as usize / SECTOR;
    let (mut random, slots) = (7u64, 3);
    let mut flash = Flash::new(slots * slot);
    let region = 0..flash.bytes.len() as u32;
    // The plain model: the states that may be there.
    let mut may: Vec<Option<Vec<u8>>> = vec![None];
    let mut told = Vec::new();
    for round in 0..600u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        told.push((random >> 40) as u32 % model.header().vocab);
        session.reset();
        session.feed(&told[told.len().saturating_sub(5)..]).expect("tokens");
        let new = save(&mut session);
        let cut = if round % 3 == 0 { None } else { Some((random >> 20) % 600) };
        flash.cut = cut.map(|at| (at, TORN[(random >> 8) as usize % 3]));
        match Persist::new(&mut flash, region.clone(), &plan).expect("room").save(&mut session) {
            Ok(_) => may = vec![Some(new)],
            Err(error) => {
                assert_eq!(error, PersistError::Flash(PowerCut));
                may.push(Some(new));
            }
        }
        let there = found(&flash, &plan, &mut session);
        assert!(may.contains(&there), "round {round}");
        // Whatever was found is what is there from now on.
        may = vec![there];
        flash.cut = None;
    }
    // Saves that succeed go around all slots.
    flash.erased.fill(0);
    for _ in 0..30 {
        Persist::new(&mut flash, region.clone(), &plan).expect("room").save(&mut session).expect("no cut");
    }
    let first: Vec<u32> = flash.erased.chunks(slot).map(|slot| slot[0]).collect();
    assert_eq!(first, [10, 10, 10], "erasures of each slot after 30 saves");
    // A region for one slot only, and a session whose state is larger than planned for.
    let small = Persist::new(&mut flash, 0..slot as u32 * SECTOR as u32, &plan);
    assert!(matches!(small, Err(PersistError::TooSmall { .. })));
}

#[test]
fn a_state_of_another_model_is_not_resumed() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let (options, other) = (Options::window(12), Options::window(13));
    let plan = Plan::new(image.get(), other).expect("a plan");
    let mut flash = Flash::new(2 * slot_bytes(&plan, SECTOR) as usize / SECTOR);
    let region = 0..flash.bytes.len() as u32;
    let mut kept = Persist::new(&mut flash, region, &plan).expect("room");
    let mut memory = AlignedBytes::zeros(plan.bytes());
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens).expect("tokens");
    kept.save(&mut session).expect("room");
    let mut memory = AlignedBytes::zeros(plan.bytes());
    let mut session = Session::new(&model, other, memory.get_mut()).expect("a session");
    session.feed(&fixture.tokens[..7]).expect("tokens");
    assert_eq!(kept.resume(&mut session), Err(PersistError::Nothing));
    assert_eq!(session.position(), 7, "the session is as it was");
    // Damage to the newest one: the one before is used.
    kept.save(&mut session).expect("room");
    session.feed(&fixture.tokens[..1]).expect("tokens");
    kept.save(&mut session).expect("room");
    let flash = kept.into_flash();
    for (at, position) in [(0, 8), (1, 7)] {
        let mut damaged = flash.clone();
        let half = damaged.bytes.len() / 2;
        // The first save went into slot 0, the second into slot 1, the third into slot 0 again.
        damaged.bytes[(1 - at) * half + 3 * SECTOR] ^= 1;
        let region = 0..damaged.bytes.len() as u32;
        Persist::new(&mut damaged, region, &plan).expect("room").resume(&mut session).expect("one of two");
        assert_eq!(session.position(), position);
    }
}
