//! A signed image is the same model, and no other image passes for it.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
use jamlet::image::{Image, ImageError, Role, SIGNATURE_BYTES, features};
use jamlet::{Model, Options};
use jamlet_tests::fixtures;
use jamlet_tests::images::{AlignedBytes, last_logits, pack};
use jamlet_tools::sign;
use std::fs;

fn parse(image: &AlignedBytes) -> Result<Image<'_>, ImageError> {
    Image::parse_with(image.get(), crc32fast::hash)
}

fn signed(image: &AlignedBytes, key: &SigningKey) -> AlignedBytes {
    let out = tempfile::NamedTempFile::new().expect("a file");
    sign::sign(&parse(image).expect("an image"), key, out.path()).expect("a signed image");
    AlignedBytes::new(&fs::read(out.path()).expect("the signed image"))
}

/// Makes the checksum right again.
fn seal(image: &mut AlignedBytes) {
    let content = image.get().len() - 4;
    let sum = crc32fast::hash(&image.get()[..content]);
    image.get_mut()[content..].copy_from_slice(&sum.to_le_bytes());
}

fn complaint(image: &AlignedBytes, key: &SigningKey) -> String {
    sign::verify(&parse(image).expect("an image"), &key.verifying_key()).expect_err("must be refused").to_string()
}

#[test]
fn a_signature_changes_nothing_but_itself() {
    let fixture = fixtures::load("moe-top-2");
    let image = pack(&fixture.dir, 32);
    let (ours, another) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
    assert!(complaint(&image, &ours).contains("isn't signed"));
    let with = signed(&image, &ours);
    let (before, after) = (parse(&image).expect("an image"), parse(&with).expect("a signed image"));
    assert_eq!(after.header().features, before.header().features | features::SIGNED);
    let same = before.sections().zip(after.sections().filter(|(is, _)| is.role != Role::Signature));
    assert!(same.into_iter().all(|((_, a), (_, b))| a.bytes == b.bytes && (a.rows, a.cols) == (b.rows, b.cols)));
    sign::verify(&after, &ours.verifying_key()).expect("our signature");
    assert!(complaint(&with, &another).contains("not this key's"));
    let logits = |image: &AlignedBytes| {
        last_logits(&Model::parse(image.get()).expect("a model"), Options::window(16), &fixture.tokens)
    };
    assert!(logits(&image) == logits(&with), "the model is another one");

    // Signing again replaces the signature: Ed25519 is deterministic, so the same key gives the same file.
    assert!(signed(&with, &ours).get() == with.get());
    let by_another = signed(&with, &another);
    sign::verify(&parse(&by_another).expect("an image"), &another.verifying_key()).expect("their signature");
    assert_eq!(by_another.get().len(), with.get().len());
}

#[test]
fn no_bit_can_be_changed() {
    let image = pack(&fixtures::dir("attention-only"), 32);
    let key = SigningKey::from_bytes(&[7; 32]);
    let with = signed(&image, &key);
    let length = with.get().len();
    let (mut refused, mut unsigned, mut invalid) = (0, 0, 0);
    // Every bit of the tables and of the signature, and of every 61st byte of the weights.
    let signature = parse(&with).expect("an image").signature().expect("a signature").message[0].len();
    let dense = |at: usize| at < 1024 || (signature..signature + SIGNATURE_BYTES).contains(&at);
    for at in (0..length - 4).filter(|&at| dense(at) || at.is_multiple_of(61)) {
        for bit in 0..8 {
            let mut changed = with.clone();
            changed.get_mut()[at] ^= 1 << bit;
            assert!(parse(&changed).is_err(), "byte {at}: the checksum was right");
            seal(&mut changed);
            match parse(&changed) {
                Err(_) => invalid += 1,
                Ok(image) => match image.signature() {
                    None => unsigned += 1,
                    Some(_) => {
                        sign::verify(&image, &key.verifying_key()).expect_err("changed, and passes as signed");
                        refused += 1;
                    }
                },
            }
        }
    }
    assert!(refused > 1000 && invalid > 1000 && unsigned == 0, "{refused} refused, {invalid} invalid, {unsigned}");
    for cut in 0..length {
        let cut = AlignedBytes::new(&with.get()[..cut]);
        assert!(parse(&cut).is_err());
    }
}

#[test]
fn keys_are_what_openssl_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a file");
        path
    };
    let key = SigningKey::from_bytes(&[7; 32]);
    let private = file("key.pem", &key.to_pkcs8_pem(LineEnding::LF).expect("PEM"));
    let public = file("public.pem", &key.verifying_key().to_public_key_pem(LineEnding::LF).expect("PEM"));
    assert_eq!(sign::private_key(&private).expect("a key"), key);
    assert_eq!(sign::public_key(public.to_str().expect("UTF-8")).expect("a key"), key.verifying_key());
    let digits: String = key.verifying_key().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sign::public_key(&digits).expect("a key"), key.verifying_key());

    let wrong = |text: &str| sign::public_key(text).expect_err("no key").to_string();
    // The neutral element: anybody can sign for it.
    assert!(wrong(&format!("01{}", "0".repeat(62))).contains("weak"));
    assert!(wrong(&digits[1..]).contains("neither 64 hexadecimal digits nor a file"));
    assert!(wrong(private.to_str().expect("UTF-8")).contains("-pubout"));
    let problem = sign::private_key(&public).expect_err("no private key").to_string();
    assert!(problem.contains("public.pem") && problem.contains("genpkey"), "{problem}");
}
