//! Which half of a client is played: shown by its first block, changed by one event for each change of mind.
//! Pure; the seat that owns it reads the samples.

use crate::client::Output;
use crate::plan::OutputMode;
use barewire_types::Half;

/// What to play for one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// This half of the client's outputs.
    Half(Half),
    /// Nothing of the client's.
    Silence,
}

/// Follows one client's behaviour.
///
/// *Queued* is the same as: the block that was begun last is yet to be played. So a client that turns from direct to
/// queued has nothing to play once: a block of silence is put in, unless the block before was late and so is still
/// unplayed. A client that turns from queued to direct has one block too many: it is left out only if it is silence,
/// until then the client stays queued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    forced: OutputMode,
    is_direct: Option<bool>,
    was_late: bool,
}

impl Choice {
    pub(crate) fn new(forced: OutputMode) -> Self {
        let is_direct = match forced {
            OutputMode::Auto => None,
            OutputMode::Direct => Some(true),
            OutputMode::Queued => Some(false),
        };
        Self { forced, is_direct, was_late: false }
    }

    /// Direct, or queued; `None` until the first block has shown it.
    pub(crate) fn is_direct(&self) -> Option<bool> {
        self.is_direct
    }

    /// What to play after `half` was begun and finished with `output`. `other_is_silent` tells whether the half
    /// before holds nothing but digital silence; it is asked only where it matters.
    pub(crate) fn next(
        &mut self,
        half: Half,
        output: Output,
        other_is_silent: impl FnOnce() -> bool,
    ) -> Play {
        let output = match (self.forced, output) {
            (OutputMode::Direct, Output::Previous) => Output::This,
            (OutputMode::Queued, Output::This) => Output::Previous,
            (_, output) => output,
        };
        let was_late = std::mem::replace(&mut self.was_late, output == Output::Late);
        let (play, is_direct) = match (output, self.is_direct) {
            (Output::This, None | Some(true)) => (Play::Half(half), Some(true)),
            (Output::This, Some(false)) if other_is_silent() => (Play::Half(half), Some(true)),
            (Output::Previous, Some(true)) if !was_late => (Play::Silence, Some(false)),
            (Output::This | Output::Previous, _) => (Play::Half(half.other()), Some(false)),
            (Output::Late | Output::Gone, is_direct) => (Play::Silence, is_direct),
        };
        self.is_direct = is_direct;
        play
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `outputs`, block n being number n, with blocks for which `silent` says so; gives what was played.
    fn played(forced: OutputMode, outputs: &str, silent: impl Fn(i32) -> bool) -> Vec<Option<i32>> {
        let mut choice = Choice::new(forced);
        let mut half = Half::Zero;
        let mut played = Vec::new();
        for (n, output) in (0..).zip(outputs.chars()) {
            let output = match output {
                't' => Output::This,
                'p' => Output::Previous,
                _ => Output::Late,
            };
            played.push(match choice.next(half, output, || silent(n - 1)) {
                Play::Silence => None,
                Play::Half(h) if h == half => Some(n),
                Play::Half(_) => Some(n - 1),
            });
            half = half.other();
        }
        played
    }

    #[test]
    fn the_first_block_settles_the_mode() {
        let direct = played(OutputMode::Auto, "ttt", |_| false);
        assert_eq!(direct, [Some(0), Some(1), Some(2)]);
        // Block -1 is half 1 as the host filled it before the start.
        let queued = played(OutputMode::Auto, "ppp", |_| false);
        assert_eq!(queued, [Some(-1), Some(0), Some(1)]);
    }

    #[test]
    fn direct_to_queued_puts_in_one_block_of_silence() {
        let blocks = played(OutputMode::Auto, "ttpp", |_| false);
        assert_eq!(blocks, [Some(0), Some(1), None, Some(2)]);
    }

    #[test]
    fn queued_to_direct_leaves_out_only_silence() {
        let never = played(OutputMode::Auto, "ppttt", |_| false);
        assert_eq!(never, [Some(-1), Some(0), Some(1), Some(2), Some(3)]);
        let third = played(OutputMode::Auto, "ppttt", |n| n == 2);
        assert_eq!(third, [Some(-1), Some(0), Some(1), Some(3), Some(4)]);
    }

    #[test]
    fn a_late_block_is_silence_and_counts_as_the_one_put_in() {
        assert_eq!(played(OutputMode::Auto, "tlt", |_| false), [Some(0), None, Some(2)]);
        assert_eq!(played(OutputMode::Auto, "tlpp", |_| false), [Some(0), None, Some(1), Some(2)]);
        assert_eq!(played(OutputMode::Auto, "pplp", |_| false), [Some(-1), Some(0), None, Some(2)]);
    }

    #[test]
    fn a_forced_mode_stays() {
        assert_eq!(played(OutputMode::Direct, "tptp", |_| true), [0, 1, 2, 3].map(Some));
        assert_eq!(played(OutputMode::Queued, "tptp", |_| true), [-1, 0, 1, 2].map(Some));
    }
}
