//! `jamlet tune`.

use super::image::ImageArgs;
use super::print_json;
use anyhow::Result;
use clap::Args;
use jamlet_tools::destination::Destination;
use jamlet_tools::tune::{self, Tuning};
use std::path::PathBuf;

/// Stores in an image what its summaries are chosen by: weights and thresholds that were fitted to the model
#[derive(Args, Debug)]
pub struct Tune {
    #[command(flatten)]
    image: ImageArgs,
    /// The weights and thresholds; without them those of the image are printed
    #[arg(short, long, value_name = "FILE.json", requires = "output")]
    parameters: Option<PathBuf>,
    /// Where the new image goes; `-` is standard output
    #[arg(short, long, value_name = "IMAGE", requires = "parameters")]
    output: Option<PathBuf>,
}

impl Tune {
    /// Stores, or prints.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        match (&self.parameters, &self.output) {
            (Some(parameters), Some(output)) => {
                let output = Destination::new(output, file.path().into_iter().chain([&**parameters]))?;
                tune::tune(&file, &tune::read(parameters)?, &output)
            }
            _ => print_json(&Tuning::of(&file.model()?.parameters())),
        }
    }
}
