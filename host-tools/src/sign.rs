//! Signed images: Ed25519 (RFC 8032), with keys in the files that OpenSSL writes.
//!
//! ```console
//! $ openssl genpkey -algorithm ed25519 -out key.pem
//! $ openssl pkey -in key.pem -pubout -out public.pem
//! ```

use crate::destination::Destination;
use crate::mapped::Mapped;
use crate::pack;
use anyhow::{Context, Result, bail, ensure};
use ed25519_dalek::ed25519::signature::{MultipartSigner, MultipartVerifier};
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use jamlet::image::{Image, Role, SIGNATURE_BYTES, features};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// A private key from a PKCS#8 file in PEM.
///
/// # Errors
/// When the file can't be read, or holds no such key.
pub fn private_key(path: &Path) -> Result<SigningKey> {
    ensure!(!path.is_dir(), "{}: a folder; a private key in PEM was expected", path.display());
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    SigningKey::from_pkcs8_pem(&text).ok().with_context(|| {
        format!("{}: not an Ed25519 private key in PEM; `openssl genpkey -algorithm ed25519` makes one", path.display())
    })
}

/// A public key: a file in PEM, or 64 hexadecimal digits.
///
/// # Errors
/// When it is neither, or a key for which anybody can sign.
pub fn public_key(text: &str) -> Result<VerifyingKey> {
    let key = match hex(text) {
        Some(bytes) => VerifyingKey::from_bytes(&bytes).ok(),
        None => {
            let pem = fs::read_to_string(text)
                .with_context(|| format!("{text}: neither 64 hexadecimal digits nor a file that can be read"))?;
            VerifyingKey::from_public_key_pem(&pem).ok()
        }
    };
    match key {
        Some(key) if !key.is_weak() => Ok(key),
        Some(_) => bail!("{text}: a weak key: anybody could sign for it"),
        None => bail!("{text}: not an Ed25519 public key in PEM; `openssl pkey -in KEY -pubout` writes one"),
    }
}

/// A public key in hexadecimal digits, as [`public_key`] reads it.
pub fn hexadecimal(key: &VerifyingKey) -> String {
    key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}

/// Writes a signed copy of `image` to `out`. An older signature is replaced; the content is the same otherwise.
///
/// # Errors
/// What goes wrong in reading or writing.
pub fn sign(image: &Image<'_>, key: &SigningKey, out: &Path) -> Result<()> {
    let destination = Destination::new(out, [])?;
    let mut file = destination.draft()?;
    let mut writer = pack::Blocks::new(file.as_file_mut());
    let unsigned = [0; SIGNATURE_BYTES];
    let signed_features = image.header().features | features::SIGNED;
    pack::rewrite(image, signed_features, &[(Role::Signature, &unsigned)], &mut writer)?;
    writer.flush().with_context(|| out.display().to_string())?;
    drop(writer);
    // What is signed is what was written.
    let written = Mapped::open(file.path())?;
    let (at, signature) = {
        let image = Image::parse_with(&written, crc32fast::hash).map_err(anyhow::Error::msg)?;
        let signed = image.signature().context("the new image has no place for a signature")?;
        (signed.message[0].len(), key.try_multipart_sign(&signed.message).map_err(anyhow::Error::msg)?.to_bytes())
    };
    let mut crc = crc32fast::Hasher::new();
    let content = written.len() - 4;
    crc.update(&written[..at]);
    crc.update(&signature);
    crc.update(&written[at + SIGNATURE_BYTES..content]);
    drop(written);
    for (at, bytes) in [(at, &signature[..]), (content, &crc.finalize().to_le_bytes())] {
        let file = file.as_file_mut();
        file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.write_all(bytes)).context("writing the signature")?;
    }
    destination.publish(file)
}

/// Checks the image's signature.
///
/// # Errors
/// When there is none, or it isn't this key's over these bytes.
pub fn verify(image: &Image<'_>, key: &VerifyingKey) -> Result<()> {
    let signed = image.signature().context("the image isn't signed; `jamlet sign` does that")?;
    key.multipart_verify(&signed.message, &Signature::from_bytes(signed.signature))
        .ok()
        .context("the signature is not this key's, or the image was changed after it was signed")
}
