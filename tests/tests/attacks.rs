//! Every hostile image and folder of `attacks/` gives the error that its recipe names, to the letter.

use std::path::Path;

use anyhow::Result;
use jamlet_app::conformance::attacks;
use jamlet_tests::attacks::{Recipe, blob, folders, images, write_folder};
use jamlet_tests::images::AlignedBytes;
use jamlet_tools::hf::tokenizer::{self, PromptIds};
use jamlet_tools::hf::{JambaConfig, Weights};
use jamlet_tools::pack::{self, Blobs};

/// Says all that is wrong at once.
#[track_caller]
fn compare(recipes: &[Recipe], found: &[String]) {
    assert_eq!(recipes.len(), found.len());
    let pairs = recipes.iter().zip(found).filter(|(recipe, found)| recipe.error != **found);
    let wrong: Vec<String> = pairs.map(|(recipe, found)| format!("[{}]\nerror: {found}", recipe.name)).collect();
    assert!(wrong.is_empty(), "{} recipes differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_image_gives_its_error() {
    let recipes = images();
    let (blob, mut report) = (AlignedBytes::new(&blob(&recipes)), String::new());
    assert!(attacks(blob.get(), AlignedBytes::zeros(1 << 18).get_mut(), &mut report).expect("a report"));
    compare(&recipes, &report.lines().map(String::from).collect::<Vec<_>>());
}

#[test]
fn every_folder_gives_its_error() {
    let recipes = folders();
    let found: Vec<String> = recipes
        .iter()
        .map(|recipe| {
            let dir = tempfile::tempdir().expect("a folder");
            write_folder(recipe, dir.path());
            let path = format!("{}/", dir.path().display());
            match import(dir.path(), recipe.base != "model") {
                Ok(()) => "none".into(),
                // The last path is that of the folder itself, where nothing in particular is wrong.
                Err(error) => format!("{error:#}").replace(&path, "").replace(path.trim_end_matches('/'), "."),
            }
        })
        .collect();
    compare(&recipes, &found);
}

/// Imports a folder's tokenizer, or its model, as `jamlet pack` does.
fn import(dir: &Path, with_tokenizer: bool) -> Result<()> {
    if with_tokenizer {
        let config = JambaConfig::open(dir)?;
        let packed = tokenizer::load(dir, config.vocab_size as u32)?.expect("a tokenizer");
        let prompt = tokenizer::prompt(dir, &packed, &config, true)?;
        // A template that can't be used stops nothing.
        if let Some(warning) = prompt.warnings.first() {
            anyhow::bail!(
                "{}",
                warning.trim_end_matches(": packed without the template; --no-template does so without this warning")
            );
        }
        return Ok(());
    }
    let weights = Weights::open(dir)?;
    let prompt = PromptIds::default().section();
    let blobs = Blobs { prompt, provenance: b"{}".to_vec(), ..Blobs::default() };
    pack::pack(
        &weights,
        &blobs,
        pack::Options { group: 8, ..pack::Options::default() },
        &dir.join("image"),
        |_, _| (),
    )?;
    Ok(())
}
