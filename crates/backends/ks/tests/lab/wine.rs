//! The card as a driver under Wine (`labs/ks-driver`), below the real kernel interface of the product. There is one card, so
//! tests run one after the other (`--test-threads=1`), and each begins by describing it anew.

use super::Hand;
use barewire_ks::kernel::{Kernel, Object, RealKernel};
use barewire_ks::uapi::{Guid, category};
use barewire_ks_device::lab_code;
use barewire_rt::RealSystem;
use barewire_types::Ns;
use std::sync::{Arc, Mutex, PoisonError};

/// `KSCATEGORY_TOPOLOGY`.
const TOPOLOGY: Guid = Guid::new(0xDDA54A40_1E4C_11D1_A050_405705C10000);

/// A card that was just described anew.
pub(super) struct Start {
    pub(super) hand: Arc<dyn Hand>,
    pub(super) kernel: Arc<dyn Kernel>,
    pub(super) begin_ns: Ns,
    pub(super) topology_link: String,
}

/// The line to the driver.
struct Line(Mutex<Box<dyn Object>>);

impl Hand for Line {
    fn command(&self, text: &str, answer: &mut [u8]) -> usize {
        let mut filter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filter
            .control(lab_code::COMMAND, text.as_bytes(), answer)
            .unwrap_or_else(|failure| panic!("{text}: {failure:?}"))
    }

    fn faults(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // For the next test, if this one has pulled the card out.
        self.command("plug 1", &mut []);
    }
}

pub(super) fn start() -> Start {
    let kernel: Arc<dyn Kernel> = Arc::new(RealKernel::new(RealSystem::new()));
    let find = |which: &Guid| {
        let found = kernel.filters(which).unwrap().into_iter().next();
        found.expect("the simulated card is installed: see `cargo xtask windows ks`")
    };
    let (wave, topology) = (find(&category::REALTIME), find(&TOPOLOGY));
    let line = Line(Mutex::new(kernel.open_filter(&wave.path).unwrap()));
    let mut answer = [0; 8];
    line.command("now", &mut answer);
    Start {
        hand: Arc::new(line),
        kernel,
        begin_ns: u64::from_le_bytes(answer) + 1_000_000_000,
        topology_link: topology.path,
    }
}
