//! Linux: nothing to be tied.

use crate::Block;
use crate::memory::Handle;
use barewire_types::Result;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Ties;

impl Ties {
    #[expect(clippy::unnecessary_wraps, reason = "it may fail on Windows")]
    pub(super) fn of_hub(_: &[Arc<Block>; 3], _: &Handle, _: &Handle) -> Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it may fail on Windows")]
    pub(super) fn of_client(_: &[Arc<Block>; 3], _: &Handle, _: &Handle) -> Result<Self> {
        Ok(Self)
    }
}
