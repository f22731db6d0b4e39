//! Parts that only some images and boards have: baked prompts and saved states. Which are linked is decided when firmware is compiled.

use jamlet::Session;
use jamlet::image::{Header, features};

/// Takes an empty session to where texts begin, if the image says how; otherwise its opening is read.
pub type Begin<'m> = fn(&mut Session<'m, '_>) -> bool;

/// What an image and a board have.
pub struct Extras<'a, 'm> {
    pub(crate) begin: Begin<'m>,
    #[cfg(feature = "persist")]
    pub(crate) store: Option<&'a mut dyn Store>,
    #[cfg(not(feature = "persist"))]
    store: core::marker::PhantomData<&'a ()>,
}

impl<'m> Extras<'_, 'm> {
    /// What an image has: a baked prompt, or nothing. For constants, where the image is known then.
    pub const fn of(image: &[u8]) -> Self {
        let begin: Begin<'m> = match Header::read(image) {
            Ok(header) if header.has(features::BAKED) => |session| session.start_baked(),
            _ => |_| false,
        };
        #[cfg(feature = "persist")]
        return Self { begin, store: None };
        #[cfg(not(feature = "persist"))]
        Self { begin, store: core::marker::PhantomData }
    }

    /// A place where states are kept, too, if the board found one.
    #[cfg(feature = "persist")]
    pub fn keeping<'b>(self, store: Option<&'b mut impl Store>) -> Extras<'b, 'm> {
        Extras { begin: self.begin, store: store.map(|store| store as &mut dyn Store) }
    }
}

/// Where states outlive the power supply.
#[cfg(feature = "persist")]
pub trait Store {
    /// Saves the session's state. False if that failed; what was saved before is there then.
    fn save(&mut self, session: &mut Session<'_, '_>) -> bool;
    /// Has the session go on from the state that was saved last. False if there is none.
    fn resume(&mut self, session: &mut Session<'_, '_>) -> bool;
}

#[cfg(feature = "persist")]
impl<F: embedded_storage::nor_flash::NorFlash> Store for jamlet_persist::Persist<F> {
    #[inline(never)]
    fn save(&mut self, session: &mut Session<'_, '_>) -> bool {
        Self::save(self, session).is_ok()
    }

    #[inline(never)]
    fn resume(&mut self, session: &mut Session<'_, '_>) -> bool {
        Self::resume(self, session).is_ok()
    }
}
