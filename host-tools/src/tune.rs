//! What an image's summaries are chosen by, as JSON and as its section.

use crate::destination::Destination;
use crate::image_file::ImageFile;
use crate::input;
use crate::mapped::Mapped;
use crate::pack;
use anyhow::{Context, Result, ensure};
use jamlet::Model;
use jamlet::image::{NONE_U32, Role, features};
use jamlet::model::Parameters;
use jamlet::model::parameters::{COMPRESS, GATE, VERSION};
use jamlet::sampler::grounding::Costs;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// [`Parameters`] as JSON. What is left out is as usual.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// The token whose logit at a sentence's end says how important it is.
    pub mark: Option<u32>,
    /// Of how many sentences the likelihood as the summary is computed.
    pub likelihoods: u32,
    /// Whether quotes are compressed where nobody asks for something else.
    pub compress: bool,
    /// What tokens cost in a rewrite.
    pub costs: TuningCosts,
    /// Weights of a sentence's likelihood: of the mean of its tokens, of its end.
    pub likelihood: [f32; 2],
    /// From a quote's score to the confidence in it: bias and slope.
    pub confidence: [f32; 2],
    /// When a rewrite is better than a quote.
    pub gate: [f32; GATE],
    /// Mean of each signal.
    pub mean: Vec<f32>,
    /// 1 / its standard deviation.
    pub inverse: Vec<f32>,
    /// Its weight.
    pub linear: Vec<f32>,
    /// Weights of each hidden unit.
    pub weights: Vec<Vec<f32>>,
    /// Biases of the hidden units.
    pub bias: Vec<f32>,
    /// Weights of the hidden units.
    pub out: Vec<f32>,
    /// Weights of the hidden state behind the prompt.
    pub probe: Vec<f32>,
    /// Weights of words, to be multiplied by `word_scale`.
    pub words: Vec<i8>,
    /// What a weight of 1 in `words` is.
    pub word_scale: f32,
}

/// [`Costs`] as JSON.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct TuningCosts {
    pub word: f32,
    pub cut: f32,
    pub follow: f32,
    pub again: f32,
    pub lead: f32,
    pub end: f32,
    pub lead_words: u8,
}

impl Default for TuningCosts {
    fn default() -> Self {
        let Costs { word, cut, follow, again, lead, end, lead_words } = Costs::USUAL;
        Self { word, cut, follow, again, lead, end, lead_words }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self::of(&Parameters::USUAL)
    }
}

impl Tuning {
    /// What an image has.
    pub fn of(parameters: &Parameters<'_>) -> Self {
        let Costs { word, cut, follow, again, lead, end, lead_words } = parameters.costs;
        let ranking = parameters.ranking;
        Self {
            mark: parameters.mark,
            likelihoods: parameters.likelihoods as u32,
            compress: parameters.compress,
            costs: TuningCosts { word, cut, follow, again, lead, end, lead_words },
            likelihood: parameters.likelihood,
            confidence: parameters.confidence,
            gate: parameters.gate.0,
            mean: ranking.mean.to_vec(),
            inverse: ranking.inverse.to_vec(),
            linear: ranking.linear.to_vec(),
            weights: ranking.weights.chunks(ranking.mean.len()).map(<[f32]>::to_vec).collect(),
            bias: ranking.bias.to_vec(),
            out: ranking.out.to_vec(),
            probe: parameters.probe.to_vec(),
            words: ranking.words.to_vec(),
            word_scale: ranking.word_scale,
        }
    }

    /// The section [`Role::Summary`].
    ///
    /// # Errors
    /// Where lengths don't agree.
    pub fn section(&self) -> Result<Vec<u8>> {
        let (signals, hidden) = (self.mean.len(), self.out.len());
        for (name, found, right) in [
            ("inverse", self.inverse.len(), signals),
            ("linear", self.linear.len(), signals),
            ("weights", self.weights.len(), hidden),
            ("bias", self.bias.len(), hidden),
        ] {
            ensure!(found == right, "{name} has {found} elements; {right} would be right");
        }
        for (row, weights) in self.weights.iter().enumerate() {
            let found = weights.len();
            ensure!(found == signals, "weights[{row}] has {found} elements; {signals} would be right");
        }
        let header = [
            VERSION,
            self.mark.unwrap_or(NONE_U32),
            signals as u32,
            hidden as u32,
            self.probe.len() as u32,
            self.costs.lead_words.into(),
            self.likelihoods,
            if self.compress { COMPRESS } else { 0 },
        ];
        let TuningCosts { word, cut, follow, again, lead, end, .. } = self.costs;
        let costs = [word, cut, follow, again, lead, end];
        let fixed = costs.iter().chain(&self.likelihood).chain(&self.confidence).chain(&self.gate);
        let ranking = self.mean.iter().chain(&self.inverse).chain(&self.linear).chain(self.weights.iter().flatten());
        let numbers = ranking.chain(&self.bias).chain(&self.out).chain(&self.probe);
        let mut section: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        section.extend(fixed.flat_map(|x| x.to_le_bytes()));
        section.extend((self.words.len() as u32).to_le_bytes());
        section.extend(self.word_scale.to_le_bytes());
        section.extend(numbers.flat_map(|x| x.to_le_bytes()));
        section.extend(self.words.iter().map(|weight| weight.cast_unsigned()));
        Ok(section)
    }
}

/// Reads a file of JSON.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Tuning> {
    let text = input::read(path)?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Writes a copy of the image at `from` to `out` whose summaries are chosen by `tuning`. A signature is left out, because it is
/// of other bytes.
///
/// # Errors
/// When `tuning` can't be, or the new image not be written.
pub fn tune(from: &ImageFile, tuning: &Tuning, out: &Destination) -> Result<()> {
    let model = from.model()?;
    let section = tuning.section()?;
    let mut file = out.draft()?;
    let mut writer = pack::Blocks::new(file.as_file_mut());
    let wanted = model.header().features & !features::SIGNED | features::SUMMARY;
    pack::rewrite(model.image(), wanted, &[(Role::Summary, &section)], &mut writer)?;
    writer.flush().with_context(|| out.name())?;
    drop(writer);
    let written = Mapped::open(file.path())?;
    Model::parse_with(&written, crc32fast::hash)?;
    drop(written);
    out.publish(file)
}
