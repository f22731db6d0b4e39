//! What programs in C know of an image when they are compiled: `jamlet plan --c-header`, and `--c-array`.

use anyhow::{Result, ensure};
use jamlet::{Options, Plan};
use std::io::{self, Write};

/// The most beams of C's library.
const MOST_BEAMS: u32 = 2;
/// Bytes of an array on a line.
const ON_A_LINE: usize = 32;

/// Writes a header with the sizes of buffers as macros; `name` is the image's.
///
/// # Errors
/// For options that C's library doesn't have, and when it can't be written.
pub fn header(name: &str, image: &[u8], options: Options, out: &mut dyn Write) -> Result<()> {
    let Options { window, sinks, chunk, beams, .. } = options;
    ensure!(
        options == Options::window(window).sinks(sinks).chunk(chunk).beams(beams),
        "C's library keeps states in f32 and a window of recent tokens: --state and --eviction are not for --c-header"
    );
    ensure!(beams <= MOST_BEAMS, "beams is {beams}; 1 to {MOST_BEAMS} would be right for C's library");
    let plan = Plan::new(image, options)?;
    let (length, bytes) = (image.len(), plan.bytes());
    write!(
        out,
        "// What {name} takes with window {window}, sinks {sinks}, chunk {chunk}, beams {beams}. Written by `jamlet plan`.\n\
         #ifndef JAMLET_PLAN_H\n\
         #define JAMLET_PLAN_H\n\
         \n\
         #include <jamlet.h>\n\
         \n\
         // Bytes of the image.\n\
         #define JAMLET_IMAGE_BYTES {length}\n\
         // To initialize the jamlet_options with that the sizes below are for.\n\
         #define JAMLET_PLAN_OPTIONS {{{window}, {sinks}, {chunk}, {beams}}}\n\
         // Bytes of a workspace for jamlet_summarizer_new.\n\
         #define JAMLET_SUMMARIZER_WORKSPACE (JAMLET_SUMMARIZER_BYTES + {bytes})\n\
         // Bytes of a workspace for jamlet_session_new.\n\
         #define JAMLET_SESSION_WORKSPACE (JAMLET_SESSION_BYTES + {bytes})\n\
         // Bytes of a buffer for jamlet_summarizer_save and jamlet_session_save.\n\
         #define JAMLET_SNAPSHOT_BYTES {}\n\
         \n\
         #endif\n",
        plan.snapshot_with_logits_bytes()
    )?;
    Ok(())
}

/// Writes an image as an array of C.
///
/// # Errors
/// When it can't be written.
pub fn array(image: &[u8], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nstatic const unsigned char jamlet_image[JAMLET_IMAGE_BYTES] __attribute__((aligned(64))) = {{")?;
    for line in image.chunks(ON_A_LINE) {
        let numbers: String = line.iter().map(|byte| format!("{byte},")).collect();
        writeln!(out, "{numbers}")?;
    }
    writeln!(out, "}};")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aligned::Aligned;
    use crate::firmware::build::models_folder;
    use jamlet::StateWidth;

    #[test]
    fn a_header_says_what_the_plan_says_and_an_array_holds_the_image() {
        let image = std::fs::read(models_folder().join("nano.jamlet")).unwrap();
        let image = Aligned::copy(&image);
        let options = Options::window(100).beams(2);
        let mut text = Vec::new();
        header("nano", image.bytes(), options, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let plan = Plan::new(image.bytes(), options).unwrap();
        assert!(text.contains(&format!("WORKSPACE (JAMLET_SUMMARIZER_BYTES + {})\n", plan.bytes())), "{text}");
        assert!(text.contains("JAMLET_PLAN_OPTIONS {100, 4, 8, 2}\n"), "{text}");
        assert!(text.contains(&format!("IMAGE_BYTES {}\n", image.bytes().len())), "{text}");
        let mut array = Vec::new();
        super::array(image.bytes(), &mut array).unwrap();
        let array = String::from_utf8(array).unwrap();
        let numbers = array.split('{').nth(1).unwrap().split('}').next().unwrap();
        let bytes: Vec<u8> = numbers.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        assert!(bytes == image.bytes());
    }

    #[test]
    fn what_the_library_for_c_lacks_is_refused() {
        let image = std::fs::read(models_folder().join("nano.jamlet")).unwrap();
        let image = Aligned::copy(&image);
        for options in [Options::window(9).state(StateWidth::F16), Options::window(9).beams(3), Options::window(0)] {
            assert!(header("nano", image.bytes(), options, &mut Vec::new()).is_err(), "{options:?}");
        }
    }
}
