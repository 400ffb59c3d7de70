//! Seam 2: who makes the sound.

use barewire_rt::{Area, AreaMut};
use barewire_types::{Half, Ns};

/// When a block happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTime {
    /// Position of the block's first frame: a multiple of the block size, 0 for the first block of a run.
    /// Missed blocks are counted, so it may jump, but never goes back.
    pub position_frames: u64,
    /// When the block's last input frame was complete, on the filtered clock of the device: monotone, and
    /// smooth even if wake-ups are not.
    pub at_ns: Ns,
    /// The latest moment for the output to be complete.
    pub commit_by_ns: Ns,
    /// Whether frames were lost immediately before this block.
    pub xrun: bool,
}

/// What a client says of its output when the engine asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The half that was begun is complete: play it now (*direct*: one block of output latency).
    This,
    /// The half that was begun may still be written: play the other one (*queued*: two blocks).
    Previous,
    /// The half was promised for now and is not complete: play silence and count it.
    Late,
    /// The client is gone and is not to be called any more.
    Gone,
}

/// Who makes the sound for the engine: an ASIO host, a hub peer, a test.
///
/// All methods are called on the device thread, none of them may allocate, lock or wait without a deadline.
/// For each block the engine writes `inputs(half)`, calls `begin(half)`, and then `finish`, and reads
/// `outputs(half)` or `outputs(half.other())`. With several clients all are begun before the first is finished.
pub trait Client: Send {
    /// Where the inputs of `half` go: planar, one plane for each of the plan's inputs, one block long.
    fn inputs(&mut self, half: Half) -> AreaMut<'_>;

    /// Where the outputs of `half` lie: planar, one plane for each of the plan's outputs, one block long.
    fn outputs(&self, half: Half) -> Area<'_>;

    /// The inputs of `half` are complete: start to make its outputs.
    fn begin(&mut self, half: Half, time: &BlockTime);

    /// Waits for the outputs, at most until `commit_by_ns`.
    fn finish(&mut self, commit_by_ns: Ns) -> Output;
}
