//! What single drivers need that the rule does not cover, each with its source.

/// A filter that claims more pins than this counts wrongly; real ones have fewer than twenty.
pub(crate) const MOST_PINS: u32 = 64;
