//! What a card needs of the machine that it is in.

/// Memory that a client and the card share.
pub type Share = u64;

/// The client's memory and events, and the requests that it waits for.
pub trait Surroundings {
    /// Reads the client's memory.
    fn read_memory(&mut self, client: u64, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes it.
    fn write_memory(&mut self, client: u64, address: u64, bytes: &[u8]) -> bool;
    /// Maps `bytes` zeroed bytes into the client: the share and where the client sees it.
    fn map(&mut self, client: u64, bytes: usize) -> Option<(Share, u64)>;
    /// Unmaps it: the client's next access is its end.
    fn unmap(&mut self, client: u64, share: Share);
    /// Reads shared memory.
    fn get(&mut self, share: Share, offset: usize, bytes: &mut [u8]);
    /// Writes it.
    fn put(&mut self, share: Share, offset: usize, bytes: &[u8]);
    /// Takes hold of an event of the client's.
    fn adopt_event(&mut self, client: u64, handle: u64) -> Option<u64>;
    /// Signals it.
    fn signal(&mut self, event: u64);
    /// Lets go of it.
    fn release_event(&mut self, event: u64);
    /// Ends a request that was pending. `output` is what its output buffer holds now.
    fn complete(&mut self, request: u64, status: u32, output: &[u8]);
    /// The card came or went.
    fn plugged(&mut self, is_there: bool);
}
