#![no_std]
#![no_main]
use jamlet_cortex as _;
#[cortex_m_rt::entry]
fn main() -> ! {
    loop {}
}
