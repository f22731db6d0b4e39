//! The f32 reference computes what transformers computes, on every fixture.
//!
//! Measured as the largest difference of a logit, relative to the largest magnitude of a logit at the same position.

use jamlet_tests::fixtures::{self, Fixture};
use jamlet_tools::reference::{Reference, Visible};

/// The largest relative difference over all positions.
fn worst(ours: &[f32], theirs: &[f32], vocab: usize) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let position = |(ours, theirs): (&[f32], &[f32])| {
        let largest = theirs.iter().fold(0f32, |m, x| m.max(x.abs()));
        let difference = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0f32, |worst, d| {
            // A comparison with NaN is false: let it through as the worst.
            if d <= worst { worst } else { d }
        });
        difference / largest
    };
    let each = ours.chunks_exact(vocab).zip(theirs.chunks_exact(vocab)).map(position);
    each.fold(0f32, |worst, d| if d <= worst { worst } else { d })
}

fn load(fixture: &Fixture) -> Reference {
    Reference::load(&fixture.dir).unwrap_or_else(|e| panic!("{}: {e}", fixture.name))
}

#[test]
fn a_full_prefill_equals_transformers_on_every_fixture() {
    let fixtures = fixtures::all();
    assert!(fixtures.len() >= 16, "only {} fixtures", fixtures.len());
    let mut failed = vec![];
    for fixture in &fixtures {
        assert_eq!(fixture.tokens.len(), 64, "{}", fixture.name);
        let model = load(fixture);
        let worst = worst(&model.forward(&fixture.tokens).unwrap(), &fixture.logits, model.config().vocab_size);
        println!("{:24} {worst:.2e}", fixture.name);
        if worst.is_nan() || worst > 1e-4 {
            failed.push((&fixture.name, worst));
        }
    }
    assert!(failed.is_empty(), "beyond 1e-4: {failed:?}");
}

#[test]
fn steps_and_chunks_equal_a_full_prefill() {
    for fixture in fixtures::all() {
        let model = load(&fixture);
        let vocab = model.config().vocab_size;
        let whole = model.forward(&fixture.tokens).unwrap();
        for chunk in [1, 2, 7, 33] {
            let mut state = model.empty_state();
            let parts = fixture.tokens.chunks(chunk).flat_map(|t| model.extend(&mut state, t).unwrap());
            let worst = worst(&parts.collect::<Vec<_>>(), &whole, vocab);
            assert!(worst <= 1e-5, "{} in chunks of {chunk}: {worst:.2e}", fixture.name);
            assert_eq!(state.position(), fixture.tokens.len());
        }
    }
}

#[test]
fn a_window_changes_nothing_until_it_is_full() {
    let fixture = fixtures::load("dense-untied-eos-list");
    let whole = load(&fixture).forward(&fixture.tokens).unwrap();
    let (sinks, window) = (3, 20);
    let model = load(&fixture).with_visible(Visible::Bounded { sinks, window });
    let vocab = model.config().vocab_size;
    let bounded = model.forward(&fixture.tokens).unwrap();
    let full = (sinks + window) * vocab;
    assert_eq!(bounded[..full], whole[..full]);
    assert!(worst(&bounded[full..], &whole[full..], vocab) > 1e-3);

    let model = load(&fixture).with_visible(Visible::Bounded { sinks: 0, window: 64 });
    assert_eq!(model.forward(&fixture.tokens).unwrap(), whole);
}

#[test]
fn an_unknown_token_is_an_error_and_changes_nothing() {
    let fixture = fixtures::load("dense");
    let model = load(&fixture);
    let mut state = model.empty_state();
    let error = model.step(&mut state, 96).unwrap_err();
    assert_eq!(error.to_string(), "token 96 is outside of the vocabulary of 96");
    assert_eq!(state.position(), 0);
    assert!(model.forward(&[]).unwrap().is_empty());
}
