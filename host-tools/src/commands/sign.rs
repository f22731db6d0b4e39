//! `jamlet sign`.

use super::image::ImageArgs;
use anyhow::{Context, Result};
use clap::Args;
use jamlet_tools::destination::Destination;
use jamlet_tools::sign;
use std::path::PathBuf;

/// Signs an image (Ed25519), so that firmware with the public key runs no other
#[derive(Args, Debug)]
pub struct Sign {
    #[command(flatten)]
    image: ImageArgs,
    /// Private key, PKCS#8 in PEM: `openssl genpkey -algorithm ed25519 -out KEY`
    #[arg(long)]
    key: PathBuf,
    /// Where the signed image goes; `-` is standard output
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
}

impl Sign {
    /// Signs, and prints the public key.
    pub fn run(&self) -> Result<()> {
        let key = sign::private_key(&self.key)?;
        let file = self.image.open()?;
        let output = Destination::new(&self.output, file.path().into_iter().chain([&*self.key]))?;
        let model = file.model()?;
        sign::sign(model.image(), &key, &self.output).with_context(|| output.name())?;
        let public = sign::hexadecimal(&key.verifying_key());
        writeln!(output.report(), "{}: signed; public key {public}", output.name())?;
        Ok(())
    }
}
