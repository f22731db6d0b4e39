//! A Cortex-M board as the application sees it.

use crate::{clock, stack};
use jamlet::kernels::Kernels;
use jamlet_app::board::Board;

/// Time by SysTick, stack by paint.
pub struct CortexBoard {
    flow_control: bool,
    kernels: Kernels<'static>,
}

impl CortexBoard {
    /// Starts the clock of a core that runs at this frequency, and its caches if it has some. The serial port needs flow
    /// control by characters.
    pub fn start(core_hertz: u32) -> Self {
        #[cfg(jamlet_strict_alignment)]
        crate::alignment::trap(true);
        if let Some(core) = cortex_m::Peripherals::take() {
            #[cfg(feature = "caches")]
            {
                // No board uses DMA, so nothing has to be kept coherent by hand.
                let (mut control, mut id) = (core.SCB, core.CPUID);
                control.enable_icache();
                control.enable_dcache(&mut id);
            }
            clock::start(core.SYST, core_hertz);
        }
        Self { flow_control: true, kernels: Kernels::detect() }
    }

    /// For ports that make the sender wait by themselves, as USB does.
    pub fn without_flow_control(self) -> Self {
        Self { flow_control: false, ..self }
    }

    /// For boards with more than one core.
    pub fn with_kernels(self, kernels: Kernels<'static>) -> Self {
        Self { kernels, ..self }
    }
}

impl Board for CortexBoard {
    fn micros(&mut self) -> u32 {
        clock::micros()
    }

    fn stack(&mut self) -> Option<usize> {
        Some(stack::high_water())
    }

    fn kernels(&self) -> Kernels<'static> {
        self.kernels
    }

    fn flow_control(&self) -> bool {
        self.flow_control
    }
}

/// Ends a program that has nothing left to do.
pub fn rest() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
