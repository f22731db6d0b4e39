//! See `jamlet-build`.

fn main() {
    jamlet_build::firmware();
}
