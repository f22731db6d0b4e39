//! See `jamlet-build`.

fn main() {
    jamlet_build::cortex(jamlet_build::Embedded { model: "pico", window: 256, beams: 2 });
}
