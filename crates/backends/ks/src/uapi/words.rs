//! Requests as they are written, replies as they are read: word by word, no allocation.

use super::{Guid, POINTER, flag, rtaudio, set};

/// The longest request: a pin's creation without its format.
const MOST: usize = 72;

/// The input of a control call.
#[derive(Clone, Copy)]
pub struct Request {
    bytes: [u8; MOST],
    length: usize,
}

impl Request {
    pub(crate) const fn empty() -> Self {
        Self { bytes: [0; MOST], length: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len();
        }
        self
    }

    pub(crate) fn guid(&mut self, guid: &Guid) -> &mut Self {
        self.put(guid.bytes())
    }

    pub(crate) fn word(&mut self, word: u32) -> &mut Self {
        self.put(&word.to_ne_bytes())
    }

    pub(crate) fn pointer(&mut self, pointer: usize) -> &mut Self {
        self.put(&pointer.to_ne_bytes())
    }

    /// Up to the next multiple of `bytes`.
    pub(crate) fn align(&mut self, bytes: usize) -> &mut Self {
        self.length = self.length.next_multiple_of(bytes).min(MOST);
        self
    }

    /// `KSPROPERTY`.
    pub fn property(set: &Guid, id: u32, flags: u32) -> Self {
        let mut request = Self::empty();
        request.guid(set).word(id).word(flags);
        request
    }

    /// `KSP_PIN`.
    pub fn of_pin(set: &Guid, id: u32, flags: u32, pin: u32) -> Self {
        let mut request = Self::property(set, id, flags);
        request.word(pin).word(0);
        request
    }

    /// `KSNODEPROPERTY`.
    pub fn of_node(id: u32, flags: u32, node: u32) -> Self {
        let mut request = Self::property(&set::AUDIO, id, flags | flag::TOPOLOGY);
        request.word(node).word(0);
        request
    }

    /// `KSNODEPROPERTY_AUDIO_CHANNEL`.
    pub fn of_channel(id: u32, node: u32, channel: u32) -> Self {
        let mut request = Self::of_node(id, flag::GET, node);
        request.word(channel).word(0);
        request
    }

    /// `KSRTAUDIO_BUFFER_PROPERTY`, or the one with notifications.
    pub fn rt_buffer(id: u32, bytes: u32, notifications: Option<u32>) -> Self {
        let mut request = Self::property(&set::RTAUDIO, id, flag::GET);
        request.pointer(0).word(bytes);
        if let Some(count) = notifications {
            request.word(count);
        }
        request.align(8);
        request
    }

    /// A real-time property with one pointer or handle: `KSRTAUDIO_HWREGISTER_PROPERTY`,
    /// `KSRTAUDIO_NOTIFICATION_EVENT_PROPERTY`. All of them are GET: a SET of the position register is refused (PortAudio#273).
    pub fn with_pointer(id: u32, pointer: usize) -> Self {
        debug_assert!(id != rtaudio::BUFFER);
        let mut request = Self::property(&set::RTAUDIO, id, flag::GET);
        request.pointer(pointer).align(8);
        request
    }

    /// As the system takes it.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// The output of a control call. Reading beyond its end yields nothing.
#[derive(Clone, Copy)]
pub struct Reply<'a>(pub &'a [u8]);

impl Reply<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    /// A 32-bit word.
    pub fn word(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_ne_bytes)
    }

    /// A 64-bit word.
    pub fn long(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_ne_bytes)
    }

    /// A pointer or handle.
    pub fn pointer(&self, at: usize) -> Option<usize> {
        const _: () = assert!(POINTER == size_of::<usize>());
        self.array(at).map(usize::from_ne_bytes)
    }

    /// A GUID.
    pub fn guid(&self, at: usize) -> Option<Guid> {
        self.array(at).map(Guid::from_bytes)
    }

    /// UTF-16 text from `at` to its end or a zero.
    pub fn text(&self, at: usize) -> String {
        let units = self.0.get(at..).unwrap_or(&[]).chunks_exact(2);
        let text: Vec<u16> = units
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .take_while(|&u| u != 0)
            .collect();
        String::from_utf16_lossy(&text)
    }
}
