//! Beam search finds what a search finds that reads everything again for every beam.

use jamlet::beams::MAX_SUMMARY;
use jamlet::summary::{Examined, Listener, Memory, Way};
use jamlet::tokenizer::Encoder;
use jamlet::{
    Beams, Grounding, Model, Options, Sampler, SamplerOptions, Session, SessionError, Summarizer, SummaryOptions,
};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, last_logits, memories, pack, pack_with_many_stops, workspace};
use std::ops::ControlFlow;
use std::path::Path;

const LIMIT: usize = 12;

/// Checkpoints with layers of every kind.
const KINDS: [&str; 7] =
    ["dense-odd", "moe-in-attention", "mamba-only", "attention-only", "granite-odd", "s4d-hybrid", "mamba2-odd"];

/// What a search says after a step: the answer as it looks now, and how many tokens of it are settled.
type Looks = Vec<(Vec<u32>, usize)>;

/// All steps of a search, and that what is settled stays.
fn search<const B: usize>(session: &mut Session<'_, '_>, text: Option<&Grounding>, limit: usize) -> Vec<u32> {
    let looks = search_by_steps::<B>(session, text, limit);
    looks.into_iter().last().expect("a step").0
}

fn search_by_steps<const B: usize>(session: &mut Session<'_, '_>, text: Option<&Grounding>, limit: usize) -> Looks {
    let mut beams = Beams::<B>::new(limit);
    let (mut looks, mut settled) = (Looks::new(), Vec::new());
    loop {
        let more = beams.step(session, text).expect("something was fed");
        let now: Vec<u32> = beams.settled().collect();
        assert!(now.starts_with(&settled), "{now:?} after {settled:?} was settled");
        let tokens: Vec<u32> = beams.tokens().collect();
        assert!(tokens.starts_with(&now) && tokens.len() <= limit);
        looks.push((tokens, now.len()));
        settled = now;
        if !more {
            assert!(beams.settled().eq(beams.tokens()) && looks.len() <= limit + 1);
            return looks;
        }
    }
}

/// The same in f64, from the logits of a session that reads everything, for every beam and step.
fn naive(model: &Model<'_>, options: Options, prompt: &[u32], width: usize) -> Looks {
    naive_by_beams(model, options, prompt, width).0
}

/// The same, and for every step what was read.
fn naive_by_beams(model: &Model<'_>, options: Options, prompt: &[u32], width: usize) -> (Looks, Vec<Vec<Vec<u32>>>) {
    let mean = |score: f64, tokens: usize| score / tokens as f64;
    let mut beams = vec![(Vec::new(), 0.0)];
    let mut ended: Vec<(Vec<u32>, f64)> = Vec::new();
    let (mut looks, mut read) = (Looks::new(), Vec::new());
    loop {
        read.push(beams.iter().map(|(tokens, _)| [prompt, tokens].concat()).collect());
        let mut ways = Vec::new();
        for (tokens, score) in &beams {
            let logits = last_logits(model, options, &[prompt, tokens].concat());
            let total = logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
            for (token, &logit) in (0..).zip(&logits) {
                let again = tokens.last().is_some_and(|&last| tokens.windows(2).any(|pair| pair == [last, token]));
                let cost = if again { f64::from(jamlet::sampler::REPEAT) } else { 0.0 };
                ways.push((tokens, token, score + f64::from(logit) - cost - total));
            }
        }
        ways.sort_by(|a, b| b.2.total_cmp(&a.2));
        let is_stop = |token| model.prompt().is_stop(token);
        for (tokens, _, score) in ways.iter().take(width).filter(|(_, token, _)| is_stop(*token)) {
            ended.push(((*tokens).clone(), mean(*score, tokens.len() + 1)));
        }
        ended.sort_by(|a, b| b.1.total_cmp(&a.1));
        let going_on = ways.iter().filter(|(_, token, _)| !is_stop(*token)).take(width);
        let next: Vec<_> = going_on.map(|(tokens, token, score)| ([&tokens[..], &[*token]].concat(), *score)).collect();
        let hope =
            next.iter().any(|(tokens, score)| ended.first().is_none_or(|best| mean(*score, tokens.len()) > best.1));
        if !hope || ended.len() >= width || beams[0].0.len() == LIMIT {
            let answer = ended.first().map_or(&next[0].0[..LIMIT.min(next[0].0.len() - 1)], |best| &best.0).to_vec();
            let settled = answer.len();
            looks.push((answer, settled));
            return (looks, read);
        }
        // The beginnings that go on, without the tokens that they go on with.
        let beginning = |next: &(Vec<u32>, f64)| next.0[..next.0.len() - 1].to_vec();
        let answer = ended.first().map_or_else(|| beginning(&next[0]), |best| best.0.clone());
        let agree = |other: Vec<u32>| answer.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let settled = next.iter().map(|next| agree(beginning(next))).min().expect("a beam");
        looks.push((answer, settled));
        beams = next;
    }
}

#[test]
fn as_if_every_beam_were_read_alone() {
    let (mut searches, mut ends, mut greedy) = (0, 0, 0);
    for name in KINDS {
        let fixture = fixtures::load(name);
        let image = pack(&fixture.dir, 32);
        let model = Model::parse(image.get()).expect(name);
        for options in memories(Options::window(14).sinks(2).chunk(4)) {
            // The ring of the cache is not full, is filled while beams differ, and has gone round.
            for length in [3, 9, 40] {
                let prompt = &fixture.tokens[..length];
                let found = |width| {
                    let options = options.beams(width);
                    let mut memory = workspace(image.get(), options);
                    let mut session = Session::new(&model, options, memory.get_mut()).expect(name);
                    session.feed(prompt).expect("tokens");
                    // The options say how many take part.
                    search_by_steps::<4>(&mut session, None, LIMIT)
                };
                for width in 1..=4 {
                    let right = naive(&model, options, prompt, width as usize);
                    assert_eq!(found(width), right, "{name}, {options:?}, {length} tokens, {width} beams");
                    searches += 1;
                    let answer = |looks: &Looks| looks.last().map(|look| look.0.clone());
                    ends += usize::from(answer(&right).is_some_and(|tokens| tokens.len() < LIMIT));
                    greedy += usize::from(width > 1 && answer(&right) == answer(&found(1)));
                }
            }
        }
    }
    assert!(ends > 0 && greedy < searches / 2, "{searches} searches: {ends} ended, {greedy} as without beams");
}

/// The state after `tokens` and what the logits are computed from, of a session that reads nothing else.
fn alone(model: &Model<'_>, options: Options, tokens: &[u32]) -> Vec<u8> {
    let mut memory = workspace(model.image().bytes(), options);
    let mut session = Session::new(model, options, memory.get_mut()).expect("a session");
    session.feed(tokens).expect("tokens");
    saved(&mut session)
}

fn saved(session: &mut Session<'_, '_>) -> Vec<u8> {
    let mut bytes = vec![0; session.plan().snapshot_with_logits_bytes()];
    let length = session.snapshot_with_logits(&mut bytes).expect("room");
    bytes.truncate(length);
    bytes
}

#[test]
fn beams_are_computed_together_with_the_bits_of_each_alone() {
    // Whose state became the session's: the best beginning's, or another one's.
    let mut whose = [0; 4];
    for name in KINDS {
        let fixture = fixtures::load(name);
        let image = pack(&fixture.dir, 32);
        let model = Model::parse(image.get()).expect(name);
        // A chunk may have fewer tokens than there are beams.
        for (options, chunk) in memories(Options::window(14).sinks(2)).into_iter().flat_map(|o| [(o, 1), (o, 3)]) {
            let options = options.chunk(chunk);
            for (length, width) in [(3, 2), (9, 4), (40, 3)] {
                let prompt = &fixture.tokens[..length];
                let (looks, read) = naive_by_beams(&model, options, prompt, width);
                let options = options.beams(width as u32);
                let mut memory = workspace(image.get(), options);
                let mut session = Session::new(&model, options, memory.get_mut()).expect(name);
                session.feed(prompt).expect("tokens");
                let mut beams = Beams::<4>::new(LIMIT);
                for read in &read {
                    beams.step(&mut session, None).expect("tokens");
                    let found = saved(&mut session);
                    let of = read.iter().position(|tokens| alone(&model, options, tokens) == found);
                    let of = of.unwrap_or_else(|| panic!("{name}, {options:?}: a state of no beam after {read:?}"));
                    whose[of] += 1;
                }
                assert_eq!(looks.last().map(|look| look.0.clone()), Some(beams.tokens().collect()), "{name}");
            }
        }
    }
    assert!(whose[0] > 100 && whose[1..].iter().sum::<i32>() > 100, "{whose:?}");
}

#[test]
fn a_search_is_over_when_as_many_ended_as_there_are_beams() {
    let mut over = 0;
    let mut reused = Beams::<4>::new(LIMIT);
    for name in ["dense-odd", "moe-in-attention", "mamba-only", "attention-only"] {
        let fixture = fixtures::load(name);
        let image = pack_with_many_stops(&fixture.dir, 32);
        let model = Model::parse(image.get()).expect(name);
        for length in 3..40 {
            let (prompt, width) = (&fixture.tokens[..length], 2 + length as u32 % 3);
            let options = Options::window(14).sinks(2).chunk(4).beams(width);
            let mut memory = workspace(image.get(), options);
            let mut session = Session::new(&model, options, memory.get_mut()).expect(name);
            session.feed(prompt).expect("tokens");
            let right = naive(&model, options, prompt, width as usize);
            over += usize::from(right.len() > 2 && right.len() < LIMIT);
            assert_eq!(
                search_by_steps::<4>(&mut session, None, LIMIT),
                right,
                "{name}, {length} tokens, {width} beams"
            );
            // And what a search has forgotten says nothing.
            reused.reset();
            assert_eq!(reused.tokens().count(), 0);
            session.reset();
            session.feed(prompt).expect("tokens");
            while reused.step(&mut session, None).expect("tokens") {}
            assert_eq!(Some(reused.tokens().collect()), right.last().map(|look| look.0.clone()), "{name}, {length}");
        }
    }
    assert!(over > 20, "{over}");
}

#[test]
fn one_beam_is_a_greedy_search() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-tools/models/nano.jamlet");
    let image = AlignedBytes::new(&std::fs::read(path).expect("the model"));
    let model = Model::parse(image.get()).expect("a model");
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let mut memory = workspace(image.get(), Options::window(64));
    let mut session = Session::new(&model, Options::window(64), memory.get_mut()).expect("a session");
    for text in ["dusk shows the largest files of a disk as a tree.", "A Go library for the API of tide-watch 2.", "x"]
    {
        for grounded in [true, false] {
            let mut grounding = Grounding::new();
            let mut tokens: Vec<u32> = model.opening().collect();
            let mut encoder = Encoder::<256>::new(tokenizer);
            encoder.feed(text.as_bytes(), |token| tokens.push(token));
            encoder.finish(|token| tokens.push(token));
            grounding.feed(text.as_bytes());
            grounding.finish();
            tokens.extend(model.prompt().suffix());
            session.reset();
            session.feed(&tokens).expect("tokens");
            let found = search::<1>(&mut session, grounded.then_some(&grounding), MAX_SUMMARY);
            session.reset();
            session.feed(&tokens).expect("tokens");
            let mut sampler = Sampler::new(SamplerOptions::summary());
            let mut greedy = Vec::new();
            while greedy.len() < MAX_SUMMARY {
                let token = match grounded {
                    true => session.next_grounded(&mut sampler, &mut grounding),
                    false => session.next(&mut sampler),
                };
                match token.expect("a token") {
                    token if model.prompt().is_stop(token) => break,
                    token => greedy.push(token),
                }
            }
            assert_eq!(found, greedy, "{text:?}");
        }
    }
}

#[test]
fn a_search_needs_a_text_and_begins_where_the_session_stands() {
    let fixture = fixtures::load("dense-odd");
    let image = pack(&fixture.dir, 32);
    let model = Model::parse(image.get()).expect("a model");
    let options = Options::window(9).beams(2);
    let mut memory = workspace(image.get(), options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    let mut early = Beams::<2>::new(4);
    assert_eq!(early.step(&mut session, None), Err(SessionError::NothingFed));
    let narrow = Beams::<1>::new(4).step(&mut session, None);
    assert_eq!(narrow, Err(SessionError::Beams { asked: 2, room: 1 }));
    session.feed(&fixture.tokens[..5]).expect("tokens");
    let right = search::<2>(&mut session, None, 4);
    session.reset();
    session.feed(&fixture.tokens[..5]).expect("tokens");
    while early.step(&mut session, None).expect("now there is a text") {}
    assert!(early.tokens().eq(right.iter().copied()));
    // A token that was sampled belongs to what was read.
    session.reset();
    session.feed(&fixture.tokens[..5]).expect("tokens");
    let sampled = session.next(&mut Sampler::greedy()).expect("a token");
    let behind = search::<2>(&mut session, None, 4);
    session.reset();
    session.feed(&[&fixture.tokens[..5], &[sampled]].concat()).expect("tokens");
    assert_eq!(search::<2>(&mut session, None, 4), behind);
    // A search can be used again, and has forgotten everything.
    let mut beams = Beams::<2>::new(4);
    for _ in 0..2 {
        session.reset();
        session.feed(&fixture.tokens[..5]).expect("tokens");
        beams.reset();
        while beams.step(&mut session, None).expect("tokens") {}
        assert!(beams.tokens().eq(right.iter().copied()));
    }
}

/// What a summarizer tells of its rewrite.
#[derive(Default)]
struct Rewrite {
    tokens: Vec<u32>,
    log_probability: f32,
    cost: f32,
}

impl Listener for Rewrite {
    fn text(&mut self, _piece: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn examined(&mut self, what: &Examined<'_>) {
        match *what {
            Examined::Token(token) => self.tokens.push(token),
            Examined::Rewrite { log_probability, cost } => {
                (self.log_probability, self.cost) = (log_probability, cost);
            }
            _ => {}
        }
    }
}

/// The rewrite of a text, and what the summary's line is.
fn rewrite(model: &Model<'_>, options: SummaryOptions, text: &str) -> (Rewrite, Option<Way>) {
    let plan = Options::window(64).beams(2);
    let mut memory = workspace(model.image().bytes(), plan);
    let session = Session::new(model, plan, memory.get_mut()).expect("a session");
    let mut parts = Box::new(Memory::<2, 256>::new());
    // What was asked for last counts.
    let mut summarizer = Summarizer::new(session, &mut parts, SummaryOptions::new().limit(1)).expect("a tokenizer");
    summarizer.set_options(options.lines(1));
    let mut rewrite = Rewrite::default();
    summarizer.feed(text.as_bytes(), &mut rewrite).expect("nobody interrupts");
    let answer = summarizer.finish(&mut rewrite).expect("nobody interrupts");
    (rewrite, answer.first.map(|line| line.way))
}

#[test]
fn a_rewrite_knows_its_probability_and_its_end() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-tools/models/nano.jamlet");
    let image = AlignedBytes::new(&std::fs::read(path).expect("the model"));
    let model = Model::parse(image.get()).expect("a model");
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let all = SummaryOptions::new().examine(true);
    let mut costs = 0.0;
    for text in [
        "This package contains a tool that reads the log files of web servers and writes a report about them.",
        "dusk shows the largest files of a disk as a tree. It is written in Rust.",
    ] {
        let (found, _) = rewrite(&model, all, text);
        let mut fed: Vec<u32> = model.opening().collect();
        let mut encoder = Encoder::<256>::new(tokenizer);
        encoder.feed(text.as_bytes(), |token| fed.push(token));
        encoder.finish(|token| fed.push(token));
        fed.extend(model.prompt().suffix());
        let end = model.prompt().stops().next().expect("a stop");
        let mut sum = 0.0;
        for &token in found.tokens.iter().chain([&end]) {
            let logits = last_logits(&model, Options::window(64), &fed);
            let total = logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
            sum += f64::from(logits[token as usize]) - total;
            fed.push(token);
        }
        let mean = sum / (found.tokens.len() + 1) as f64;
        assert!(
            (f64::from(found.log_probability) - mean).abs() < 1e-3,
            "{} of {text:?}: {mean}",
            found.log_probability
        );
        assert!(found.cost >= 0.0 && found.tokens.len() > 3, "{} of {text:?}", found.cost);
        costs += found.cost;
        // What was cut off is never taken, however sure the model is.
        let most = found.tokens.len() - 1;
        let (cut, way) = rewrite(&model, all.limit(most), text);
        assert_eq!((cut.tokens.len(), way), (most, Some(Way::Quote)), "{text:?}");
    }
    assert!(costs > 0.0, "no word costs anything");
    // The same with a text whose rewrite is taken otherwise.
    let text = "This package contains the header files and static libraries that are needed to build programs with it. \
                It is a small library for matrix arithmetic.";
    let (found, way) = rewrite(&model, all, text);
    assert_eq!(way, Some(Way::Rewrite));
    let titled = format!("# Matrix tools\n\n{text}");
    assert_eq!(rewrite(&model, all, &titled).1, Some(Way::Quote), "a text with a title is quoted");
    for most in 6..found.tokens.len() {
        assert_eq!(rewrite(&model, all.limit(most), text).1, Some(Way::Quote), "cut off after {most} tokens");
    }
}
