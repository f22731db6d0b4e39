//! Errors say what was found and what would be right.

use jamlet::{Options, Plan, PlanError, RestoreError, SessionError, SnapshotError, Workspace};

#[test]
fn sessions() {
    let workspace = |aligned| SessionError::Workspace { needed: 100, found: 99, aligned };
    for (error, right) in [
        (workspace(true), "the workspace has 99 bytes; 100 are needed"),
        (workspace(false), "the workspace must lie at a multiple of 16 bytes"),
        (SessionError::UnknownToken { id: 7, vocab: 7 }, "token 7 is not in the vocabulary; 0 to 6 would be right"),
        (SessionError::Plan(PlanError::TooLarge), "the workspace would be larger than this machine can address"),
    ] {
        assert_eq!(error.to_string(), right);
    }
    assert!(SessionError::NothingFed.to_string().starts_with("no token was fed yet"));
}

#[test]
fn plans() {
    let error = PlanError::Option { name: "window", found: 0, min: 1, max: 9 };
    assert_eq!(error.to_string(), "window is 0; 1 to 9 would be right");
    let error = Plan::new(b"", Options::default()).expect_err("nothing");
    assert_eq!(error.to_string(), "the image is cut off: 0 bytes, 128 needed");
}

#[test]
fn snapshots() {
    for (error, right) in [
        (SnapshotError::TooSmall { needed: 2, found: 1 }, "a snapshot takes 2 bytes; 1 are there"),
        (
            SnapshotError::OtherImage { found: 10, expected: 11 },
            "belongs to model 0000000a; this session runs 0000000b",
        ),
        (SnapshotError::OtherOption { name: "sinks", found: 1, expected: 2 }, "made with sinks 1; this session has 2"),
        (
            SnapshotError::Field { name: "sampled token", found: 9, max: 8 },
            "sampled token is 9; at most 8 would be right",
        ),
        (SnapshotError::Length { expected: 5, found: 4 }, "has 4 bytes; 5 would be right"),
        (SnapshotError::Crc { stored: 1, computed: 2 }, "checksum 00000002, but the snapshot says 00000001"),
        (SnapshotError::Version { found: 1 }, "snapshot version 1; this jamlet reads version"),
        (SnapshotError::NotASnapshot, "not a snapshot"),
    ] {
        assert!(error.to_string().contains(right), "{error}");
        assert_eq!(RestoreError::<PlanError>::from(error).to_string(), error.to_string());
    }
    let read = RestoreError::Read(PlanError::TooLarge).to_string();
    assert!(read.starts_with("the snapshot can't be read: the workspace would be larger"), "{read}");
}

#[test]
fn a_workspace_is_zeroed_memory_on_a_multiple_of_16() {
    let mut workspace = Workspace::<33>::default();
    assert_eq!(workspace.as_mut_bytes(), [0; 33]);
    assert!(workspace.as_mut_bytes().as_ptr().addr().is_multiple_of(16));
}
