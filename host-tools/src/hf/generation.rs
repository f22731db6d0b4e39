//! `generation_config.json`: what ends an answer, and how answers are drawn.

use super::{ImportError, JambaConfig, files};
use jamlet::model::Sampling;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What transformers takes for `top_k` where the file has none.
const DEFAULT_TOP_K: u32 = 50;

/// What the file says, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// Ids that end an answer: the file's, then the config's.
    pub stops: Vec<u32>,
    /// How answers are drawn; `None` for always the most probable token.
    pub sampling: Option<Sampling>,
}

impl Generation {
    /// Reads the file of the folder `dir`, which may have none.
    ///
    /// # Errors
    /// If the file can't be read or a field is out of its range.
    pub fn open(dir: &Path, config: &JambaConfig) -> Result<Self, ImportError> {
        let file = dir.join("generation_config.json");
        let json = match files::read_if_there(&file)? {
            Some(bytes) => files::parse(&bytes).map_err(|e| ImportError::file(&file, format!("not JSON: {e}")))?,
            None => Value::Null,
        };
        let fields = Fields { file, json };
        let mut stops = fields.stops(config.vocab_size)?;
        stops.extend(&config.eos_token_ids);
        Ok(Self { stops, sampling: fields.sampling()? })
    }
}

struct Fields {
    file: PathBuf,
    json: Value,
}

impl Fields {
    fn stops(&self, vocab: usize) -> Result<Vec<u32>, ImportError> {
        let field = "eos_token_id";
        let ends = match &self.json[field] {
            Value::Array(ids) => ids.as_slice(),
            Value::Null => &[],
            id => std::slice::from_ref(id),
        };
        let id = |end: &Value| end.as_u64().filter(|&id| id < vocab as u64).map(|id| id as u32);
        let ids: Option<Vec<u32>> = ends.iter().map(id).collect();
        ids.ok_or_else(|| self.wrong(field, &format!("ids below vocab_size {vocab}")))
    }

    /// As transformers reads it: without `do_sample` only the penalty counts.
    fn sampling(&self) -> Result<Option<Sampling>, ImportError> {
        let greedy = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0 };
        let penalty = self.number("repetition_penalty", 1.0, "above 0", |x| x > 0.0)?;
        let mut sampling = Sampling { repetition_penalty: penalty, ..greedy };
        match &self.json["do_sample"] {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => {
                sampling.temperature = self.number("temperature", 1.0, "of at least 0", |x| x >= 0.0)?;
                sampling.top_p = self.number("top_p", 1.0, "above 0 and at most 1", |x| x > 0.0 && x <= 1.0)?;
                sampling.min_p = self.number("min_p", 0.0, "from 0 to 1", |x| (0.0..=1.0).contains(&x))?;
                sampling.top_k = match &self.json["top_k"] {
                    Value::Null => DEFAULT_TOP_K,
                    value => value
                        .as_u64()
                        .and_then(|k| u32::try_from(k).ok())
                        .ok_or_else(|| self.wrong("top_k", "a number of tokens, 0 for all"))?,
                };
            }
            _ => return Err(self.wrong("do_sample", "true or false")),
        }
        Ok((sampling != greedy).then_some(sampling))
    }

    fn number(
        &self,
        field: &str,
        default: f32,
        range: &str,
        in_range: impl Fn(f32) -> bool,
    ) -> Result<f32, ImportError> {
        match &self.json[field] {
            Value::Null => Ok(default),
            value => {
                let number = value.as_f64().map(|x| x as f32).filter(|&x| x.is_finite() && in_range(x));
                number.ok_or_else(|| self.wrong(field, &format!("a number {range}")))
            }
        }
    }

    fn wrong(&self, field: &str, expected: &str) -> ImportError {
        ImportError::field(&self.file, field, &self.json[field], expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sampling(json: Value) -> Result<Option<Sampling>, String> {
        Fields { file: "generation_config.json".into(), json }.sampling().map_err(|error| error.to_string())
    }

    #[test]
    fn as_transformers_reads_it() {
        let some = |temperature, top_k, top_p, min_p, repetition_penalty| {
            Ok(Some(Sampling { temperature, top_k, top_p, min_p, repetition_penalty }))
        };
        assert_eq!(sampling(json!({})), Ok(None));
        assert_eq!(sampling(json!({"do_sample": false, "temperature": 0.6, "top_p": 0.9})), Ok(None));
        assert_eq!(sampling(json!({"do_sample": true})), some(1.0, 50, 1.0, 0.0, 1.0));
        let llama = json!({"do_sample": true, "temperature": 0.6, "top_p": 0.9});
        assert_eq!(sampling(llama), some(0.6, 50, 0.9, 0.0, 1.0));
        let qwen = json!({"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.05});
        assert_eq!(sampling(qwen), some(0.7, 20, 0.8, 0.05, 1.05));
        assert_eq!(sampling(json!({"repetition_penalty": 1.2, "top_k": 5})), some(0.0, 0, 1.0, 0.0, 1.2));
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        for (field, value) in [
            ("temperature", json!(-1)),
            ("top_p", json!(0)),
            ("top_p", json!(1.5)),
            ("min_p", json!(5)),
            ("top_k", json!(-1)),
            ("repetition_penalty", json!(0)),
            ("repetition_penalty", json!("Infinity")),
            ("temperature", json!(1e300)),
        ] {
            let mut json = json!({"do_sample": true});
            json[field] = value.clone();
            let error = sampling(json).unwrap_err();
            assert!(error.starts_with(&format!("generation_config.json: {field}: found {value}")), "{error}");
        }
    }
}
