//! Going back in a run: from a rewind point, a session goes on as one that never read anything else.

use jamlet::{Model, Options, Plan, RewindPoints, Sampler, Session, StateWidth};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, pack};
use jamlet_tools::prompts::Prompts;

fn bits(session: &mut Session<'_, '_>) -> Vec<u32> {
    let mut bits = Vec::new();
    session.logits(|_, block| bits.extend(block.iter().map(|x| x.to_bits()))).expect("logits");
    bits
}

/// What a session computes that reads `tokens` and nothing else.
fn fresh(model: &Model<'_>, options: Options, tokens: &[u32]) -> Vec<u32> {
    let mut memory = AlignedBytes::zeros(Plan::new(model.image().bytes(), options).expect("a plan").bytes());
    let mut session = Session::new(model, options, memory.get_mut()).expect("a session");
    session.feed(tokens).expect("tokens");
    bits(&mut session)
}

#[test]
fn a_rewound_session_goes_on_as_a_fresh_one() {
    for name in ["dense-odd", "moe-in-attention", "mamba-only", "attention-only", "granite-odd-groups"] {
        let fixture = fixtures::load(name);
        let image = pack(&fixture.dir, 32);
        let model = Model::parse(image.get()).expect(name);
        for state in [StateWidth::F32, StateWidth::F16] {
            let options = Options::window(9).sinks(2).chunk(4).state(state);
            let plan = Plan::new(image.get(), options).expect("a plan");
            let mut memory = AlignedBytes::zeros(plan.bytes());
            let mut session = Session::new(&model, options, memory.get_mut()).expect(name);
            let mut slots = vec![0xAA; RewindPoints::bytes(&plan, 4)];
            let mut points = RewindPoints::new(&plan, &mut slots);
            assert_eq!(points.positions().count(), 0);

            let tokens = &fixture.tokens;
            for piece in tokens[..60].chunks(6) {
                session.feed(piece).expect("tokens");
                points.keep(&mut session);
            }
            session.next(&mut Sampler::greedy()).expect("a token that is never fed");
            let kept: Vec<u64> = points.positions().collect();
            assert_eq!(kept.len(), 4);
            for to in [60, 59, 41, 23, 7, 1, 0] {
                let at = points.rewind(&mut session, to);
                let best = kept.iter().copied().filter(|&p| p <= to).max().unwrap_or(0);
                assert_eq!((at, session.position()), (best, best), "{name}: back to {to}");
                assert!(points.positions().all(|p| p <= to), "the future is forgotten");
                let (mut told, rest) = (tokens[..at as usize].to_vec(), &tokens[50..64]);
                session.feed(rest).expect("tokens");
                told.extend(rest);
                assert!(bits(&mut session) == fresh(&model, options, &told), "{name}: on from {at}");
            }
            // No slots: everything is read again.
            let mut none = RewindPoints::new(&plan, &mut []);
            none.keep(&mut session);
            assert_eq!((none.rewind(&mut session, 3), session.position()), (0, 0));
        }
    }
}

#[test]
fn going_back_costs_in_proportion_to_how_far() {
    let image = pack(&fixtures::dir("mamba-only"), 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(1);
    let plan = Plan::new(image.get(), options).expect("a plan");
    let mut memory = AlignedBytes::zeros(plan.bytes());
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    let mut slots = vec![0; RewindPoints::bytes(&plan, 8)];
    let mut points = RewindPoints::new(&plan, &mut slots);
    let piece = [5; 64];
    let mut worst = 0.0f64;
    while session.position() < 20_000 {
        session.feed(&piece).expect("tokens");
        points.keep(&mut session);
        let now = session.position();
        for to in (1..now).step_by(17) {
            let best = points.positions().filter(|&p| p <= to).max().unwrap_or(0);
            let (again, back) = (to - best, now - to);
            worst = worst.max((again as f64 - 64.0) / back as f64);
            assert!(again <= 64 + 4 * back, "back from {now} to {to}: {again} tokens again");
        }
    }
    let mut kept: Vec<u64> = points.positions().collect();
    kept.sort_unstable();
    println!("after {} tokens: {kept:?}; at most 64 + {worst:.2} d tokens again", session.position());
}

#[test]
fn a_changed_prompt_is_read_from_where_it_differs() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("an image");
    let options = Options::window(40).chunk(16);
    let plan = Plan::new(image.get(), options).expect("a plan");
    let mut memory = AlignedBytes::zeros(plan.bytes());
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    let mut slots = vec![0; RewindPoints::bytes(&plan, 6)];
    let mut prompts = Prompts::new(RewindPoints::new(&plan, &mut slots));
    let vocab = model.header().vocab;
    let mut random = 1u32;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let mut tokens: Vec<u32> = (0..500).map(|_| draw(vocab as usize) as u32).collect();
    let mut reused = 0;
    for turn in 0..60 {
        match draw(4) {
            0 => drop(tokens.splice(tokens.len() - 1 - draw(tokens.len() / 2).., [7, 8, 9])),
            1 => tokens.extend((0..draw(200)).map(|i| i as u32 % vocab)),
            2 => {
                let at = draw(tokens.len());
                tokens[at] = draw(vocab as usize) as u32;
            }
            _ => {} // the same again
        }
        let mut last = 0;
        reused += prompts.read(&mut session, &tokens, |read| last = read).expect("tokens");
        assert_eq!((last, session.position()), (tokens.len() as u64, tokens.len() as u64));
        assert!(bits(&mut session) == fresh(&model, options, &tokens), "turn {turn}");
        for _ in 0..draw(3) {
            session.next(&mut Sampler::greedy()).expect("a token");
        }
    }
    assert!(reused > 5_000, "{reused} tokens were not read again");

    // Questions about one text: from the third on, only the question is read.
    let text: Vec<u32> = (0..1000).map(|i| i * 31 % vocab).collect();
    let ask = |question: u32| [&text[..], &[question; 5]].concat();
    prompts.read(&mut session, &ask(1), |_| ()).expect("tokens");
    prompts.read(&mut session, &ask(2), |_| ()).expect("tokens");
    for question in 3..6 {
        assert_eq!(prompts.read(&mut session, &ask(question), |_| ()).expect("tokens"), 1000);
        assert!(bits(&mut session) == fresh(&model, options, &ask(question)));
    }
}
