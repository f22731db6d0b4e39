//! Portable code for a richer instruction set.

/// Compiles portable kernels for an instruction set: their loops over blocks of eight become vector instructions, and
/// since nothing may be contracted or reassociated, their results stay.
macro_rules! compiled {
    ($features:literal: $(fn $kernel:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(
            #[target_feature(enable = $features)]
            pub(in crate::kernels) fn $kernel($($argument: $type),*) $(-> $result)? {
                $crate::kernels::portable::$kernel($($argument),*)
            }
        )*
    };
}
