//! Calls everything that the engine offers, with arguments that the compiler knows nothing about.
//!
//! A program of this alone links only if no panic of the engine is reachable, whatever its users call and give it. It is
//! linked and never run. What it leaves out: `Plan::of`, which is for constants and stops the compiler, and the texts of
//! errors, whose formatting is `core::fmt`'s.

use core::hint::black_box;
use heapless::Vec;
use jamlet::image::{features, layout};
use jamlet::kernels::{Columns, Kernels, Quantized, S4dScan, Scan, SsdScan};
use jamlet::matrix::{Bits, QMatrix};
use jamlet::model::FfnWeights;
use jamlet::state::snapshot;
use jamlet::summary::{Memory, Style};
use jamlet::tokenizer::{Decoder, Encoder};
use jamlet::{
    Beams, Eviction, Grounding, Model, Options, Plan, PromptEncoder, RewindPoints, Sampler, SamplerOptions, Session,
    StateWidth, Summarizer, SummaryOptions,
};

/// Memory whose content the compiler doesn't know.
pub struct Bytes<'a> {
    /// An image.
    pub image: &'a [u8],
    /// A workspace.
    pub workspace: &'a mut [u8],
    /// A snapshot, and a text.
    pub other: &'a mut [u8],
}

/// Calls everything.
pub fn run(bytes: &mut Bytes<'_>) {
    let Bytes { image, workspace, other } = black_box(bytes);
    #[cfg(feature = "plant-panic")]
    black_box(other[0]);
    black_box(Model::parse_with(image, |bytes| bytes.len() as u32).is_ok());
    let Ok(model) = black_box(Model::parse(image)) else { return };
    read(&model);
    let width = black_box([StateWidth::F32, StateWidth::F16, StateWidth::I8]).into_iter().next().unwrap_or_default();
    let options =
        Options::window(black_box(0)).sinks(black_box(0)).chunk(black_box(0)).beams(black_box(0)).state(width);
    let options = options.eviction(black_box(Eviction::HeavyHitters { recent: 0 }));
    black_box(Plan::new(image, options).map(|plan| (plan.bytes(), plan.parts(), plan.snapshot_bytes())).is_ok());
    black_box(Session::new(&model, options, workspace).is_ok());
    let Ok(mut session) = Session::with_kernels(&model, options, workspace, Kernels::detect()) else { return };
    text(&model, &mut session, other);
    remember(&mut session, other);
    summarize(session, other);
    kernels(&black_box(Kernels::detect()), black_box(workspace));
}

/// The parts of a model.
fn read(model: &Model<'_>) {
    let (header, image) = (model.header(), model.image());
    black_box((header.has(features::KNOWN), header.section_table(), header.tables_end(), image.checksum()));
    for index in black_box(0)..black_box(1) {
        black_box((image.layer(index), image.section(index).bytes));
    }
    image.sections().for_each(|(expected, section)| {
        black_box((expected.bytes(header), section.bytes));
    });
    layout::model_sections(header).for_each(|expected| _ = black_box(expected.role));
    black_box(model.final_norm());
    for matrix in [model.embedding(), model.head()] {
        black_box((
            matrix.rows(),
            matrix.cols(),
            matrix.groups(),
            matrix.slice_rows(black_box(1), black_box(2)).rows(),
        ));
    }
    for layer in model.layers() {
        if let FfnWeights::Moe { moe, .. } = layer.ffn {
            black_box(moe.experts.get(black_box(9)).gate.rows());
        }
        black_box(layer.mixer_norm);
    }
    black_box((model.identity(), model.baked().map(|baked| (baked.identity(), baked.tokens().len()))));
    model.opening().for_each(|id| _ = black_box(id));
    black_box((model.plain_start().count(), model.plain_end().count(), model.sampling()));
    if let Some(template) = model.template() {
        black_box((template.goes_on(), template.trims_start(), template.trims_end()));
        black_box((template.before(), template.after()));
    }
    let prompt = model.prompt();
    prompt.prefix().chain(prompt.suffix()).chain(prompt.stops()).for_each(|id| _ = black_box(prompt.is_stop(id)));
}

/// A text, and its continuation by every way of sampling.
fn text(model: &Model<'_>, session: &mut Session<'_, '_>, text: &mut [u8]) {
    let Some(tokenizer) = model.tokenizer() else { return };
    black_box((tokenizer.tokens(), tokenizer.longest(), tokenizer.is_special(black_box(1))));
    black_box(core::str::from_utf8(text).ok().and_then(|text| tokenizer.added_token(text)));
    let mut encoder = Encoder::<256>::new(tokenizer);
    encoder.feed(text, |id| _ = black_box(session.feed(&[id])));
    encoder.finish(|id| _ = black_box(session.feed(&[id])));
    let mut encoder = PromptEncoder::<256>::new(model, tokenizer);
    encoder.feed(text, |id| _ = black_box(session.feed(&[id])));
    encoder.end_word();
    while let Some(id) = encoder.pop() {
        _ = black_box(session.feed(&[id]));
    }
    encoder.resumed();
    encoder.finish(|id| _ = black_box(session.feed(&[id])));
    encoder.reset();
    let mut sampler = sampler();
    let mut decoder =
        if black_box(true) { Decoder::new(tokenizer, black_box(true)) } else { Decoder::resume(tokenizer, true) };
    while let Ok(id) = session.next(&mut sampler) {
        decoder.push(id, |text| _ = black_box(text));
        decoder.push_bytes(id, |byte| _ = black_box(byte));
    }
    decoder.finish(|text| _ = black_box(text));
    sampler.reset();
    let mut grounding = Grounding::new();
    grounding.feed(text);
    grounding.finish();
    while let Ok(id) = session.next_grounded(&mut sampler, &mut grounding) {
        black_box(id);
        grounding.miss();
    }
    let mut beams = Beams::<3>::new(black_box(1));
    while let Ok(true) = beams.step(session, Some(black_box(&grounding))) {
        beams.settled().chain(beams.tokens()).for_each(|id| _ = black_box(id));
    }
    beams.reset();
    grounding.reset();
}

/// A sampler of any options.
fn sampler() -> Sampler {
    Sampler::new(SamplerOptions {
        temperature: black_box(1.0),
        top_k: black_box(1),
        top_p: black_box(1.0),
        min_p: black_box(1.0),
        repetition_penalty: black_box(1.0),
        no_repeat_ngram: black_box(1),
        seed: black_box(1),
    })
}

/// A text and its summary, in every style and by every way of writing.
fn summarize(session: Session<'_, '_>, text: &[u8]) {
    let options = SummaryOptions::new().lines(black_box(0)).limit(black_box(1)).grounded(black_box(true));
    let mut memory = Memory::<3, 256>::new();
    let Ok(mut summarizer) = Summarizer::new(session, &mut memory, options) else { return };
    let listener = &mut |piece: &str| _ = black_box(piece);
    for style in black_box([Style::Auto, Style::Rewrite, Style::Compress, Style::Quote, Style::Title]) {
        summarizer.set_options(options.style(style).examine(black_box(false)));
        black_box(summarizer.feed(text, listener).is_ok());
        black_box((summarizer.has_text(), summarizer.flush(listener).is_ok(), summarizer.options()));
        summarizer.session_mut().reset();
        summarizer.resumed();
        black_box((summarizer.end(listener).is_ok(), summarizer.write_sampled(&mut sampler(), listener).is_ok()));
        black_box((summarizer.finish(listener).is_ok(), summarizer.session().position()));
        summarizer.reset();
    }
}

/// What outlives a session.
fn remember(session: &mut Session<'_, '_>, out: &mut [u8]) {
    let tokens: Vec<u32, 8> = Vec::new();
    black_box(session.feed(black_box(&tokens)).is_ok());
    black_box(session.logits(|first, logits| _ = black_box((first, logits))).is_ok());
    black_box((session.snapshot(out).is_ok(), session.snapshot_with_logits(out).is_ok(), session.restore(out).is_ok()));
    black_box(session.snapshot_to(|piece| if black_box(piece).is_empty() { Err(()) } else { Ok(()) }).is_ok());
    black_box((session.snapshot_length(), session.start_baked(), session.start().is_ok()));
    let read = |at: u64, piece: &mut [u8]| {
        piece.fill(black_box(0));
        if black_box(at) > 0 { Err(()) } else { Ok(()) }
    };
    black_box(session.restore_from(black_box(0), read).is_ok());
    black_box(snapshot::made_for(out));
    let plan = *session.plan();
    let mut points = RewindPoints::new(&plan, out);
    points.keep(session);
    points.positions().for_each(|position| _ = black_box(position));
    black_box(points.rewind(session, black_box(9)));
    black_box((session.position(), session.plan(), session.model().header().vocab));
    session.reset();
}

/// The kernels, with slices of lengths that don't agree.
fn kernels(k: &Kernels<'_>, bytes: &mut [u8]) {
    let mut floats = [[0.0f32; 16]; 7];
    let [a, b, c, d, e, f, g] = black_box(&mut floats);
    let any = |slice: &'static [f32]| black_box(slice);
    let count = || black_box(8usize);
    let (mut values, mut query, mut narrow) = ([0i8; 16], [0i16; 16], [0u16; 16]);
    let (values, query, narrow) = (black_box(&mut values[..]), black_box(&mut query[..]), black_box(&mut narrow[..]));
    k.quantize(cut(a), count(), cut(values), cut(b));
    for bits in [Bits::Eight, Bits::Four] {
        let matrix = QMatrix::new(bytes, black_box(bits), count(), count(), count());
        matrix.dequantize_row(count(), cut(a));
        let x = Quantized { values: cut(values), scales: cut(b), cols: count(), group: count() };
        k.matmul(&matrix, &x, cut(a));
    }
    k.rms_norm(cut(a), cut(b), 1.0, cut(c));
    k.rms_norm_in_place(cut(a), cut(b), 1.0);
    k.conv_silu(cut(a), cut(b), cut(c), cut(d));
    k.softplus_bias(cut(a), cut(b));
    k.swiglu(cut(a), cut(b));
    black_box((k.quantize_query(cut(a), cut(query)), k.quantize_head(cut(a), cut(values)), k.name()));
    k.scores(cut(query), 1.0, cut(values), cut(a), cut(b));
    let sum = k.softmax(cut(a));
    k.count_attention(cut(a), sum, 1, cut(narrow));
    k.weighted_values(cut(a), sum, cut(values), cut(b), cut(c));
    black_box((k.dot(cut(a), cut(b)), any(&[])));
    let mut scan = |half: bool| {
        let u = Columns::new(cut(a), count());
        let (first, stride, row, d_state) = (count(), count(), count(), count());
        let (dt, z, bc, a, d) = (cut(b), cut(c), cut(d), cut(e), cut(f));
        match half {
            true if black_box(false) => {
                k.scan_int8(Scan { u, first, dt, z, stride, bc, row, a, d, state: cut(values), d_state }, 1);
            }
            true => k.scan(Scan { u, first, dt, z, stride, bc, row, a, d, state: cut(narrow), d_state }),
            false => k.scan(Scan { u, first, dt, z, stride, bc, row, a, d, state: cut(g), d_state }),
        }
    };
    scan(false);
    scan(true);
    let mut s4d_scan = |half: bool| {
        let u = Columns::new(cut(a), count());
        let (first, stride, d_state) = (count(), count(), count());
        let (z, decay, b, c, d) = (cut(b), cut(c), cut(d), cut(e), cut(f));
        match half {
            true if black_box(false) => {
                k.s4d_scan_int8(S4dScan { u, first, z, stride, decay, b, c, d, state: cut(values), d_state }, 1);
            }
            true => k.s4d_scan(S4dScan { u, first, z, stride, decay, b, c, d, state: cut(narrow), d_state }),
            false => k.s4d_scan(S4dScan { u, first, z, stride, decay, b, c, d, state: cut(g), d_state }),
        }
    };
    s4d_scan(false);
    s4d_scan(true);
    let mut ssd_scan = |half: bool| {
        let u = Columns::new(cut(a), count());
        let (first, stride, row, shared, d_state) = (count(), count(), count(), count(), count());
        let (dt, z, bc, a, d) = (cut(b), cut(c), cut(d), cut(e), cut(f));
        match half {
            true if black_box(false) => {
                let state = cut(values);
                k.ssd_scan_int8(SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state, d_state }, 1);
            }
            true => {
                let state = cut(narrow);
                k.ssd_scan(SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state, d_state });
            }
            false => k.ssd_scan(SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state: cut(g), d_state }),
        }
    };
    ssd_scan(false);
    ssd_scan(true);
}

/// Some part of a slice.
fn cut<T>(slice: &mut [T]) -> &mut [T] {
    slice.get_mut(black_box(0)..black_box(16)).unwrap_or_default()
}
