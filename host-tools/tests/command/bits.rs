//! Bits that `jamlet pack` chooses matrix by matrix.

use crate::tool::{checkpoint, error, jamlet, json, ok, output, text};
use std::fs;
use std::path::{Path, PathBuf};

/// Texts of the fixtures' vocabulary of 96.
fn tokens(folder: &Path) -> PathBuf {
    let path = folder.join("tokens.jsonl");
    let list = |seed: usize| (0..32).map(|i| (i * i * 7 + i * seed + 5) % 93 + 3).collect::<Vec<_>>();
    let lines: Vec<String> = (1..4).map(|seed| format!("{:?}", list(seed))).collect();
    fs::write(&path, lines.join("\n")).expect("tokens");
    path
}

/// Packs a fixture to `image` with these options, and returns what `--json` says.
fn pack(model: &str, image: &Path, options: &[&str]) -> serde_json::Value {
    let model = checkpoint(model);
    json(&ok(&[&["pack", text(&model), "--no-tokenizer", "--json", "-o", text(image)], options].concat()))
}

fn bytes(report: &serde_json::Value) -> u64 {
    report["bytes"].as_u64().expect("bytes")
}

fn loss(report: &serde_json::Value) -> f64 {
    report["choice"]["kl_divergence"].as_f64().expect("a divergence")
}

#[test]
fn the_image_has_the_size_that_was_asked_for_and_never_more() {
    for model in ["dense-untied-eos-list", "mamba2-odd", "granite-moe-fused", "s4d-hybrid"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let texts = tokens(folder.path());
        let (wide, narrow, image) = (path("wide"), path("narrow"), path("image"));
        let most = bytes(&pack(model, &wide, &[]));
        let least = bytes(&pack(model, &narrow, &["--bits", "4"]));
        let sized = |size: u64| {
            let size = size.to_string();
            let report = pack(model, &image, &["--bytes", &size, "--calibrate-tokens", text(&texts)]);
            assert_eq!(Some(bytes(&report)), fs::metadata(&image).ok().map(|file| file.len()), "{model}");
            report
        };
        // At both ends it is the image of one width.
        let four = sized(least);
        assert!(fs::read(&image).expect("the image") == fs::read(&narrow).expect("the image"), "{model}");
        let eight = sized(most);
        assert!(fs::read(&image).expect("the image") == fs::read(&wide).expect("the image"), "{model}");
        let middle = sized(least.midpoint(most));
        assert!(bytes(&middle) <= least.midpoint(most) && bytes(&middle) >= least, "{model}");
        assert!(loss(&middle) <= loss(&four) && loss(&eight) <= loss(&middle), "{model}: {middle}");
        let matrices = middle["choice"]["matrices"].as_array().expect("matrices");
        let losses: Vec<f64> = matrices.iter().filter_map(|matrix| matrix["loss"].as_f64()).collect();
        assert!(losses.len() == matrices.len() && losses.iter().rev().is_sorted(), "{model}: {losses:?}");
        assert!(losses.iter().all(|loss| *loss > 0.0 && loss.is_finite()), "{model}: {losses:?}");
        for bits in [4, 8] {
            assert!(matrices.iter().any(|matrix| matrix["bits"] == bits), "{model}: {middle}");
        }
        assert!(ok(&["verify", text(&image)]).contains("sound"));
    }
}

#[test]
fn the_divergence_is_the_one_that_the_engine_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let texts = tokens(folder.path());
    for model in ["dense", "moe-top-2", "granite-dense"] {
        let report = pack(model, &image, &["--bits", "auto", "--calibrate-tokens", text(&texts)]);
        let model = checkpoint(model);
        let eval = ["eval", text(&image), "--reference", text(&model), "--tokens", text(&texts), "--json"];
        let eval = json(&ok(&eval));
        assert_eq!(eval["predictions"], report["choice"]["predictions"]);
        let (ours, right) = (loss(&report), eval["kl_divergence"].as_f64().expect("a divergence"));
        // A token between two experts may go to the other one here and there.
        assert!((ours - right).abs() < 0.05 * right, "{}: {ours} {right}", model.display());
    }
}

/// The divergence that `jamlet eval` finds of an image.
fn divergence(model: &str, image: &Path, texts: &Path) -> f64 {
    let model = checkpoint(model);
    let eval = ["eval", text(image), "--reference", text(&model), "--tokens", text(texts), "--json"];
    json(&ok(&eval))["kl_divergence"].as_f64().expect("a divergence")
}

#[test]
fn rounding_with_the_inputs_in_view_loses_less_on_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let texts = tokens(folder.path());
    for model in ["dense", "granite-dense", "mamba-only"] {
        let packed = |rounding: &str, calibrate: &[&str]| {
            let report = pack(model, &image, &[&["--bits", "4", "--rounding", rounding], calibrate].concat());
            (bytes(&report), report, divergence(model, &image, &texts))
        };
        let (nearest, search) = (packed("nearest", &[]), packed("search", &[]));
        let gptq = packed("gptq", &["--calibrate-tokens", text(&texts)]);
        assert!(gptq.0 == search.0 && nearest.0 == search.0, "{model}: the format is the same");
        assert!(gptq.2 < search.2, "{model}: {} {}", gptq.2, search.2);
        assert!(nearest.2 != search.2, "{model}: another rounding");
        // What was lost is counted from the checkpoint, not from what was rounded before.
        let quantized = gptq.1["quantized"].as_array().expect("tensors");
        let of_four: Vec<f64> = quantized
            .iter()
            .filter(|tensor| tensor["bits"] == 4)
            .filter_map(|tensor| tensor["snr_db"].as_f64())
            .collect();
        assert!(of_four.len() > 10 && of_four.iter().all(|snr| (10.0..25.0).contains(snr)), "{model}: {of_four:?}");
    }
    let report = pack("dense", &image, &["--bits", "auto", "--rounding", "gptq", "--calibrate-tokens", text(&texts)]);
    let right = divergence("dense", &image, &texts);
    assert!((loss(&report) - right).abs() < 0.05 * right, "{} {right}", loss(&report));
    let says = error(&["pack", text(&checkpoint("dense")), "--no-tokenizer", "--rounding", "gptq", "-o", text(&image)]);
    assert!(says.contains("does nothing without --bits 4, --bits auto"), "{says}");
}

#[test]
fn the_choice_is_the_same_every_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = tokens(folder.path());
    let model = checkpoint("moe-every-layer");
    let run = |name: &str, threads: &str| {
        let image = folder.path().join(name);
        let arguments = ["pack", text(&model), "--no-tokenizer", "--bits", "auto", "--calibrate-tokens", text(&texts)];
        let mut command = jamlet();
        command.env("RAYON_NUM_THREADS", threads).args(arguments).args(["--all", "-o", text(&image)]);
        let output = command.output().expect("jamlet");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let says = String::from_utf8(output.stdout).expect("UTF-8").replace(text(&image), "image");
        (fs::read(image).expect("an image"), says)
    };
    let first = run("first", "1");
    assert!(first.1.contains("of all experts of layer 1") && first.1.contains("KL divergence 0.0"), "{}", first.1);
    assert!(run("second", "4") == first && run("third", "1") == first);
}

#[test]
fn a_matrix_of_four_bits_is_shown_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let texts = tokens(folder.path());
    let least = bytes(&pack("dense", &image, &["--bits", "4"]));
    let size = (least + 1024).to_string();
    let report = pack("dense", &image, &["--bytes", &size, "--calibrate-tokens", text(&texts)]);
    let inspected = json(&ok(&["inspect", text(&image), "--json"]));
    let roles = inspected["bits_by_role"].as_object().expect("roles");
    let digits: String = roles.values().filter_map(serde_json::Value::as_str).collect();
    let layers = inspected["layers"].as_str().expect("layers");
    assert!(roles.iter().all(|(role, bits)| {
        bits.as_str().is_some_and(|bits| bits.len() == if role == "Embedding" { 1 } else { layers.len() })
    }));
    // Every section is a digit, as many of them 4 as the report says.
    let quantized = report["quantized"].as_array().expect("tensors");
    for bits in [4, 8] {
        let count = quantized.iter().filter(|tensor| tensor["bits"] == bits).count();
        assert_eq!(digits.matches(&bits.to_string()).count(), count, "{digits}");
        assert!(count > 0, "{report}");
    }
    assert!(roles["MambaXProj"].as_str().is_some_and(|bits| !bits.contains('4')), "{inspected}");
    assert!(
        ok(&["inspect", text(&image)])
            .contains(&format!("MambaOut             {}", roles["MambaOut"].as_str().unwrap()))
    );
}

#[test]
fn a_size_that_cannot_be_reached_is_an_error_that_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let texts = tokens(folder.path());
    let least = bytes(&pack("dense", &image, &["--bits", "4"]));
    fs::write(&image, "precious").expect("a file");
    let model = checkpoint("dense");
    let pack = ["pack", text(&model), "--no-tokenizer", "-o", text(&image)];
    let (size, wrong) = ((least - 1).to_string(), folder.path().join("wrong"));
    fs::write(&wrong, "[1, 2]\n[1, 96]\n").expect("a file");
    for (options, says) in [
        (
            &["--bytes", &size, "--calibrate-tokens", text(&texts)][..],
            format!("--bytes {size}; with 4 bits in every matrix that may have them it has {least} bytes, the least"),
        ),
        (&["--bytes", "2M", "--bits", "8"], "--bits auto, or none, would be right".into()),
        (&["--fit", "pico2", "--bits", "4"], "--bits auto, or none, would be right".into()),
        (&["--bits", "auto", "--head-bits", "8"], "--head-bits does nothing with --bits auto".into()),
        (&["--bits", "4", "--calibrate", text(&texts)], "do nothing without --bits auto".into()),
        (&["--bits", "auto", "--group", "64"], "a group of 64 columns; with 4 bits a weight, 32 would be right".into()),
        (&["--bits", "auto"], "--calibrate-tokens FILE would be right".into()),
        (
            &["--bits", "auto", "--calibrate-tokens", text(&wrong)],
            "wrong: token 96 is outside of the vocabulary of 96".into(),
        ),
        (&["--bits", "auto", "--calibrate-tokens", "/no/such"], "/no/such: no such file".into()),
    ] {
        let message = error(&[&pack[..], options].concat());
        assert!(message.contains(&says), "{options:?}: {message}");
        assert_eq!(fs::read(&image).expect("the file"), b"precious");
    }
    for options in
        [&["--bytes", "2G"][..], &["--bits", "5"], &["--fit", "arduino"], &["--fit", "pico2", "--bytes", "1M"]]
    {
        assert_eq!(output(&[&pack[..], options].concat()).status.code(), Some(2), "{options:?}");
    }
    let says = error(&[
        "pack",
        text(&model),
        "--no-tokenizer",
        "--bits",
        "auto",
        "--calibrate-tokens",
        text(&texts),
        "-o",
        text(&texts),
    ]);
    assert!(says.contains("which is read"), "{says}");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 3, "no half of an image stays behind");
}

#[test]
fn a_board_s_room_is_the_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let texts = tokens(folder.path());
    for (board, flash) in [("stm32h743", 2 << 20), ("stm32f405", 1 << 20)] {
        let report = pack("dense", &image, &["--fit", board, "--calibrate-tokens", text(&texts)]);
        // It fits with 8 bits, which lose least.
        assert!(report["quantized"].as_array().is_some_and(|all| all.iter().all(|tensor| tensor["bits"] == 8)));
        let plan = json(&ok(&["plan", text(&image), "--json"]));
        let on = plan["boards"].as_array().and_then(|boards| boards.iter().find(|on| on["name"] == board));
        let on = on.expect("the board");
        assert_eq!(on["fits"], true, "{plan}");
        let code = on["firmware_flash"].as_u64().filter(|code| (128 << 10..256 << 10).contains(code)).expect("code");
        assert_eq!(report["choice"]["most_bytes"].as_u64(), Some(flash - code), "{board}");
    }
    // A Raspberry Pi has the image in RAM, beside the workspace.
    let report = pack("dense", &image, &["--fit", "pi-zero-2w", "--calibrate-tokens", text(&texts)]);
    let plan = json(&ok(&["plan", text(&image), "--json"]));
    let on = plan["boards"].as_array().and_then(|boards| boards.iter().find(|on| on["name"] == "pi-zero-2w")).unwrap();
    let room = (448 << 20) - on["firmware_ram"].as_u64().unwrap() - on["workspace"].as_u64().unwrap();
    assert_eq!(report["choice"]["most_bytes"].as_u64(), Some(room));
}

#[test]
fn the_help_says_which_loss_is_too_much() {
    let help = ok(&["pack", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&format!("less than {} nat", jamlet_tools::calibrate::LOSS)), "{help}");
}
