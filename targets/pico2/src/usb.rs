//! A USB serial port that the application can read and write while the bus is served in an interrupt.

use core::convert::Infallible;
use embassy_executor::InterruptExecutor;
use embassy_futures::join::join3;
use embassy_rp::interrupt::{self, InterruptExt, Priority};
use embassy_rp::{Peri, bind_interrupts, peripherals, usb};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_usb::class::cdc_acm::{CdcAcmClass, Receiver, Sender, State};
use embassy_usb::{Builder, Config};
use embedded_io::{ErrorType, Read, ReadReady, Write};

type Driver<'d> = usb::Driver<'d, peripherals::USB>;

/// Largest packet of a full-speed bulk endpoint.
const PACKET: usize = 64;

/// From the host. When it is full no packet is accepted, so the host waits.
static INPUT: Pipe<CriticalSectionRawMutex, 1024> = Pipe::new();
/// To the host.
static OUTPUT: Pipe<CriticalSectionRawMutex, 1024> = Pipe::new();
/// Runs on an interrupt that no peripheral uses.
static EXECUTOR: InterruptExecutor = InterruptExecutor::new();

bind_interrupts!(struct Interrupts {
    USBCTRL_IRQ => usb::InterruptHandler<peripherals::USB>;
});

// SAFETY: only the interrupt controller calls this.
#[embassy_rp::interrupt]
unsafe fn SWI_IRQ_0() {
    // SAFETY: this is the executor's interrupt, and it fires only after `start`.
    unsafe { EXECUTOR.on_interrupt() }
}

/// Attaches the board to the bus.
pub fn start(peripheral: Peri<'static, peripherals::USB>) -> Port {
    interrupt::SWI_IRQ_0.set_priority(Priority::P3);
    let spawner = EXECUTOR.start(interrupt::SWI_IRQ_0);
    if let Ok(task) = bus(peripheral) {
        spawner.spawn(task);
    }
    Port
}

#[embassy_executor::task]
async fn bus(peripheral: Peri<'static, peripherals::USB>) {
    // pid.codes' identifier for tests: a product needs one of its own.
    let mut config = Config::new(0x1209, 0x0001);
    config.manufacturer = Some("jamlet");
    config.product = Some("jamlet on a Pico 2");
    let (mut configuration, mut strings, mut control) = ([0; 256], [0; 64], [0; PACKET]);
    let mut state = State::new();
    let driver = Driver::new(peripheral, Interrupts);
    let mut builder = Builder::new(driver, config, &mut configuration, &mut strings, &mut [], &mut control);
    let class = CdcAcmClass::new(&mut builder, &mut state, PACKET as u16);
    let (sender, receiver) = class.split();
    join3(builder.build().run(), receive(receiver), send(sender)).await;
}

async fn receive<'d>(mut receiver: Receiver<'d, Driver<'d>>) {
    let mut packet = [0; PACKET];
    loop {
        receiver.wait_connection().await;
        while let Ok(length) = receiver.read_packet(&mut packet).await {
            INPUT.write_all(packet.get(..length).unwrap_or_default()).await;
        }
    }
}

async fn send<'d>(mut sender: Sender<'d, Driver<'d>>) {
    let mut packet = [0; PACKET];
    loop {
        sender.wait_connection().await;
        loop {
            let length = OUTPUT.read(&mut packet).await;
            if sender.write_packet(packet.get(..length).unwrap_or_default()).await.is_err() {
                break;
            }
            // A full packet says that more follows; an empty one, that nothing does.
            if length == PACKET && OUTPUT.is_empty() && sender.write_packet(&[]).await.is_err() {
                break;
            }
        }
    }
}

/// The serial port.
pub struct Port;

impl ErrorType for Port {
    type Error = Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!INPUT.is_empty())
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            match INPUT.try_read(buffer) {
                Ok(length) => return Ok(length),
                Err(_) => cortex_m::asm::wfi(),
            }
        }
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        loop {
            match OUTPUT.try_write(bytes) {
                Ok(length) => return Ok(length),
                Err(_) => cortex_m::asm::wfi(),
            }
        }
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
