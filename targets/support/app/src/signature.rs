//! Whose model this is: with the feature `signature`, firmware runs only images that one key signed.

use crate::settings;
use ed25519_dalek::ed25519::signature::MultipartVerifier;
use ed25519_dalek::{Signature, VerifyingKey};
use jamlet::image::Image;

/// The key, compiled in.
const KEY: [u8; 32] = settings::key(env!(
    "JAMLET_PUBLIC_KEY",
    "the feature `signature` needs a public key: `jamlet firmware BOARD --public-key KEY` sets it"
));

/// Whether the key's owner signed exactly these bytes.
///
/// # Errors
/// What to tell the user.
#[inline(never)]
pub fn check(image: &Image) -> Result<(), &'static str> {
    let signed = image.signature().ok_or("the model's image is not signed, and this board runs signed ones only")?;
    let key = VerifyingKey::from_bytes(&KEY).map_err(|_| "the key in this firmware is none")?;
    key.multipart_verify(&signed.message, &Signature::from_bytes(signed.signature))
        .map_err(|_| "the model's image was not signed by this board's owner, or was changed since")
}
