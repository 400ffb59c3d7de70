//! How long a frame takes, computed from what is known before anything runs.

use barewire_device::Shape;
use barewire_types::Latency;

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Frames of silence that stand between the client's output and the device if a block is no whole number of periods,
/// or periods vary: block - gcd(block, period), or block - 1.
///
/// Why that many: a block is complete at a wake-up once every block's worth of frames was captured; the longest that
/// playback has to go on without it is a block less the smallest step by which the two drift apart.
pub(crate) fn adaption_frames(block_frames: u32, shape: &Shape) -> u32 {
    block_frames - step_frames(block_frames, shape)
}

fn step_frames(block_frames: u32, shape: &Shape) -> u32 {
    if shape.steady { greatest_common_divisor(block_frames, shape.period_frames) } else { 1 }
}

/// The latency of a client with blocks of `block_frames` on a stream of this shape. Both together are exactly the way
/// from an input to an output that the client copies it to, as [`Shape::latency`] counts the device's part.
///
/// `input_frames` is the age of a block's first frame at its hand-over in the worst case: a block may be complete in
/// the middle of a period. `output_frames` is what is left. A *queued* client's output waits for one block more.
pub fn latency(shape: &Shape, block_frames: u32, is_direct: bool) -> Latency {
    let waiting = shape.period_frames - step_frames(block_frames, shape).min(shape.period_frames);
    let queued = if is_direct { 0 } else { block_frames };
    Latency {
        input_frames: block_frames + waiting + shape.latency.input_frames,
        output_frames: shape.latency.output_frames + queued,
    }
}
