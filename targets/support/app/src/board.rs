//! What the application asks of a board besides its serial port.

use jamlet::kernels::Kernels;

/// A board.
pub trait Board {
    /// Microseconds since some moment; wraps.
    fn micros(&mut self) -> u32;

    /// The most bytes of stack that were in use so far, where the board can tell.
    fn stack(&mut self) -> Option<usize> {
        None
    }

    /// The kernels that compute, and the cores that they run on.
    fn kernels(&self) -> Kernels<'static> {
        Kernels::detect()
    }

    /// Whether the other side of the serial port is asked to wait (XON/XOFF) while the board computes. Not needed where
    /// the port does it itself, as USB does.
    fn flow_control(&self) -> bool {
        true
    }
}
