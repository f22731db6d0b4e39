//! See `jamlet-build`.

fn main() {
    jamlet_build::cortex(jamlet_build::Embedded { model: "nano", window: 256, beams: 1 });
}
