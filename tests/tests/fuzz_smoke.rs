//! Every fuzz target takes its corpus, its seeds and some thousand changes of them, in the ordinary test build.
//! `cargo xtask fuzz` does the same with libFuzzer and AddressSanitizer, for as long as one likes.

use jamlet_tests::fuzz::{TARGETS, corpus};
use jamlet_tests::random::Random;

/// Changed inputs of each target.
const CHANGED: usize = 3000;

/// Changes some bytes, or cuts, doubles or joins what is there.
fn change(inputs: &[Vec<u8>], random: &mut Random, longest: usize) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            2 => {
                let end = (at + 1 + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let end = (at + 1 + random.below(16)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
            4 => bytes.insert(at, random.bits() as u8),
            _ => {
                let value = [0, 1, 0x7f, 0xff, random.bits() as u8][random.below(5)];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
        }
        if bytes.is_empty() {
            bytes.push(random.bits() as u8);
        }
    }
    bytes.truncate(longest);
    bytes
}

fn smoke(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let corpus = corpus::read(target.name).expect("the corpus");
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let inputs: Vec<Vec<u8>> = (target.seeds)().into_iter().chain(corpus.into_iter().map(|(_, input)| input)).collect();
    inputs.iter().for_each(|input| (target.run)(input));
    let mut random = Random(7);
    for _ in 0..CHANGED {
        (target.run)(&change(&inputs, &mut random, target.longest));
    }
}

macro_rules! smoke {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            smoke(stringify!($name));
        })*

        #[test]
        fn no_target_is_left_out() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|target| target.name));
        }
    };
}

smoke!(image inference tokenizer vocabulary snapshot serial summarizer config checkpoint tokenizer_files);
