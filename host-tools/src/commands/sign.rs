//! `jamlet sign`.

use anyhow::{Context, Result};
use clap::Args;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::sign;
use std::io::Write;
use std::path::PathBuf;

/// Signs an image (Ed25519), so that firmware with the public key runs no other
#[derive(Args, Debug)]
pub struct Sign {
    /// The image
    image: PathBuf,
    /// Private key, PKCS#8 in PEM: `openssl genpkey -algorithm ed25519 -out KEY`
    #[arg(long)]
    key: PathBuf,
    /// Where the signed image goes
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
}

impl Sign {
    /// Signs, and prints the public key.
    pub fn run(&self) -> Result<()> {
        let key = sign::private_key(&self.key)?;
        let file = ImageFile::open(Some(&self.image))?;
        let model = file.model()?;
        sign::sign(model.image(), &key, &self.output).with_context(|| self.output.display().to_string())?;
        let public = sign::hexadecimal(&key.verifying_key());
        writeln!(std::io::stdout(), "{}: signed; public key {public}", self.output.display())?;
        Ok(())
    }
}
