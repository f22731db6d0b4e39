//! Nothing is lost by what a command writes.

use crate::tool::{checkpoint, error, jamlet, ok, output, text};
use std::fs;
use std::path::Path;

/// A copy of a checkpoint, to be put at risk.
fn copy(folder: &Path) -> std::path::PathBuf {
    let copy = folder.join("hf");
    fs::create_dir(&copy).expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(checkpoint("dense").join(file), copy.join(file)).expect("a copy");
    }
    copy
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

#[test]
fn inputs_are_never_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let hf = copy(folder.path());
    let pack = |to: &Path| error(&["pack", text(&hf), "--no-tokenizer", "-o", text(to)]);
    for file in ["config.json", "model.safetensors"] {
        let before = fs::read(hf.join(file)).expect("the file");
        assert!(pack(&hf.join(file)).contains("which is read"));
        fs::hard_link(hf.join(file), path("twin")).expect("a second name");
        assert!(pack(&path("twin")).contains("which is read"));
        fs::remove_file(path("twin")).expect("a file");
        assert_eq!(fs::read(hf.join(file)).expect("the file"), before);
    }
    assert!(pack(&hf).contains("a folder"));
    assert!(pack(&path("missing/image")).contains("missing: no such folder"));

    // Into the folder itself, and again over that image.
    let image = hf.join("hf.jamlet");
    ok(&["pack", text(&hf), "--no-tokenizer", "-o", text(&image)]);
    ok(&["pack", text(&hf), "--no-tokenizer", "-o", text(&image)]);
    let before = fs::read(&image).expect("the image");
    let key = path("key.pem");
    fs::write(&key, KEY).expect("a key");
    for to in [&image, &key] {
        let says = error(&["sign", text(&image), "--key", text(&key), "-o", text(to)]);
        assert!(says.contains("which is read"), "{says}");
    }
    let prompt = path("prompt");
    fs::write(&prompt, "A tool: ").expect("a prompt");
    assert!(error(&["bake", "-p", text(&prompt), "-o", text(&prompt)]).contains("which is read"));
    assert!(error(&["bake", text(&image), "-o", text(&image)]).contains("which is read"));
    let pairs = path("pairs.jsonl");
    let line = "{\"text\": \"It shows tides.\", \"summaries\": [\"tides\"]}\n";
    fs::write(&pairs, line).expect("pairs");
    assert!(error(&["score", "--pairs", text(&pairs), "--summaries", text(&pairs)]).contains("which is read"));
    assert_eq!(fs::read(&image).expect("the image"), before);
    assert_eq!(fs::read_to_string(&key).expect("the key"), KEY);
    assert_eq!(fs::read_to_string(&pairs).expect("pairs"), line);
}

#[test]
fn standard_output_has_the_image_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (image, signed) = (path("image"), path("signed"));
    let key = path("key.pem");
    fs::write(&key, KEY).expect("a key");
    ok(&["pack", text(&checkpoint("dense")), "--no-tokenizer", "-o", text(&image)]);
    ok(&["sign", text(&image), "--key", text(&key), "-o", text(&signed)]);
    let prompt = path("prompt");
    fs::write(&prompt, "A tool: ").expect("a prompt");
    let baked = path("baked");
    ok(&["bake", "-m", "nano", "-p", text(&prompt), "-o", text(&baked)]);
    let model = checkpoint("dense");
    let packed = ["pack", text(&model), "--no-tokenizer", "-o", "-"];
    for (arguments, right) in [
        (&packed[..], &image),
        (&[&packed[..], &["--json"]].concat(), &image),
        (&["sign", text(&image), "--key", text(&key), "-o", "-"], &signed),
        (&["bake", "-m", "nano", "-p", text(&prompt), "-o", "-"], &baked),
    ] {
        let output = output(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == fs::read(right).expect("the image"), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}: the report is on standard error");
    }
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_links_stay_what_they_are() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let model = checkpoint("dense");
    let pack = ["pack", text(&model), "--no-tokenizer", "-o"];
    let plain = path("plain");
    ok(&[&pack[..], &[text(&plain)]].concat());
    let right = fs::read(&plain).expect("the image");

    let pipe = path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut child = jamlet().args(pack).arg(&pipe).stdout(std::process::Stdio::null()).spawn().expect("jamlet");
    assert!(fs::read(&pipe).expect("the pipe") == right);
    assert!(child.wait().expect("jamlet").success());
    assert!(fs::symlink_metadata(&pipe).expect("the pipe").file_type().is_fifo());

    ok(&[&pack[..], &["/dev/null"]].concat());
    assert!(fs::symlink_metadata("/dev/null").expect("a device").file_type().is_char_device());

    let (link, target) = (path("link"), path("target"));
    fs::write(&target, "old").expect("a file");
    symlink("target", &link).expect("a link");
    ok(&[&pack[..], &[text(&link)]].concat());
    assert!(link.is_symlink() && fs::read(&target).expect("the image") == right);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_without_room_is_an_error() {
    for arguments in [
        &["pack", text(&checkpoint("dense")), "--no-tokenizer", "-o", "/dev/full"][..],
        &["bake", "-m", "nano", "-o", "/dev/full"],
    ] {
        let says = error(arguments);
        assert!(says.contains("/dev/full: can't be written"), "{says}");
    }
}

/// A checkpoint whose tensors `name` have `value` as their first number.
fn with_number(folder: &Path, name: &str, value: f32) -> std::path::PathBuf {
    let hf = copy(folder);
    let file = hf.join("model.safetensors");
    let mut bytes = fs::read(&file).expect("weights");
    let length = u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let found = header.as_object().expect("tensors").iter().filter(|(tensor, _)| tensor.ends_with(name));
    let mut count = 0;
    for (_, tensor) in found {
        let at = 8 + length + tensor["data_offsets"][0].as_u64().expect("an offset") as usize;
        let number = match tensor["dtype"].as_str() {
            Some("F32") => value.to_le_bytes().to_vec(),
            Some("BF16") => value.to_le_bytes()[2..].to_vec(),
            other => panic!("{other:?}"),
        };
        bytes[at..at + number.len()].copy_from_slice(&number);
        count += 1;
    }
    assert!(count > 0, "no tensor {name}");
    fs::write(&file, bytes).expect("weights");
    hf
}

#[test]
fn what_pack_writes_verify_accepts() {
    for log in [88.0, 89.0, 1000.0, 3e38, -3e38] {
        let folder = tempfile::tempdir().expect("a folder");
        let hf = with_number(folder.path(), "A_log", log);
        let image = folder.path().join("image");
        ok(&["pack", text(&hf), "--no-tokenizer", "-o", text(&image)]);
        assert!(ok(&["verify", text(&image)]).contains("all finite"), "{log}");
    }
}
