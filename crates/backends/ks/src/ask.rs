//! Questions to filters and pins, in words of kernel streaming: properties with one value, with many, of nodes.

use crate::kernel::{Code, Object, code};
use crate::uapi::{
    Direction, Interface, Reply, Request, audio, connection, control, flag, pin, set,
};

/// A reply longer than this is damage.
const LONGEST_REPLY: usize = 1 << 20;

/// One property; how many bytes of `output` the driver wrote.
pub(crate) fn property(
    object: &mut dyn Object,
    request: &Request,
    output: &mut [u8],
) -> Result<usize, Code> {
    object.control(control::PROPERTY, request.bytes(), output).map_err(Code::from)
}

/// One 32-bit value.
pub(crate) fn word(object: &mut dyn Object, request: &Request) -> Result<u32, Code> {
    let mut bytes = [0; 4];
    property(object, request, &mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

/// A property of any length, in two calls: how long, then what. Control thread.
pub(crate) fn list(object: &mut dyn Object, request: &Request) -> Result<Vec<u8>, Code> {
    let length = match object.control(control::PROPERTY, request.bytes(), &mut []) {
        Ok(length) => length,
        Err(failure) if matches!(failure.code, code::MORE_DATA | code::INSUFFICIENT_BUFFER) => {
            failure.needed
        }
        Err(failure) => return Err(failure.code),
    };
    let mut bytes = vec![0; length.min(LONGEST_REPLY)];
    let written = property(object, request, &mut bytes)?;
    bytes.truncate(written.min(length));
    Ok(bytes)
}

fn of_pin(object: &mut dyn Object, id: u32, pin: u32) -> Result<u32, Code> {
    word(object, &Request::of_pin(&set::PIN, id, flag::GET, pin))
}

fn list_of_pin(object: &mut dyn Object, id: u32, pin: u32) -> Result<Vec<u8>, Code> {
    list(object, &Request::of_pin(&set::PIN, id, flag::GET, pin))
}

/// How many kinds of pins a filter has.
pub(crate) fn pin_count(filter: &mut dyn Object) -> Result<u32, Code> {
    word(filter, &Request::property(&set::PIN, pin::CTYPES, flag::GET))
}

/// Whether a pin can be opened from here: `KSPIN_COMMUNICATION_SINK` or `BOTH`. The rest are jacks and inner ends.
pub(crate) fn can_be_opened(filter: &mut dyn Object, id: u32) -> bool {
    const SINK: u32 = 1;
    const BOTH: u32 = 3;
    of_pin(filter, pin::COMMUNICATION, id).is_ok_and(|word| matches!(word, SINK | BOTH))
}

/// Which way a pin moves data.
pub(crate) fn direction(filter: &mut dyn Object, id: u32) -> Option<Direction> {
    of_pin(filter, pin::DATAFLOW, id).ok().and_then(Direction::from_word)
}

/// The data ranges of a pin as the driver lists them.
pub(crate) fn data_ranges(filter: &mut dyn Object, id: u32) -> Result<Vec<u8>, Code> {
    list_of_pin(filter, pin::DATARANGES, id)
}

/// The interfaces of a pin: which transports it really has, whatever category it is registered under (PortAudio#1045).
pub(crate) fn interfaces(filter: &mut dyn Object, id: u32) -> Vec<Interface> {
    /// A `KSIDENTIFIER`.
    const ITEM: usize = 24;
    let Ok(bytes) = list_of_pin(filter, pin::INTERFACES, id) else {
        // A driver that does not tell streams packets: the oldest interface.
        return vec![Interface::Streaming];
    };
    let items = bytes.get(8..).unwrap_or(&[]).chunks_exact(ITEM);
    items
        .filter(|item| Reply(item).guid(0) == Some(set::INTERFACE_STANDARD))
        .filter_map(|item| match Reply(item).word(16) {
            Some(0) => Some(Interface::Streaming),
            Some(1) => Some(Interface::Looped),
            _ => None,
        })
        .collect()
}

/// Whether all instances of a pin are in use.
pub(crate) fn is_occupied(filter: &mut dyn Object, id: u32) -> bool {
    let mut bytes = [0; 8];
    let request = Request::of_pin(&set::PIN, pin::CINSTANCES, flag::GET, id);
    if property(filter, &request, &mut bytes).is_err() {
        return false;
    }
    let reply = Reply(&bytes);
    match (reply.word(0), reply.word(4)) {
        (Some(possible), Some(current)) => possible > 0 && current >= possible,
        _ => false,
    }
}

/// What people call a pin.
pub(crate) fn pin_name(filter: &mut dyn Object, id: u32) -> Option<String> {
    let name = Reply(&list_of_pin(filter, pin::NAME, id).ok()?).text(0);
    (!name.is_empty()).then_some(name)
}

/// What a driver says to a format without opening anything; `None` if it does not answer such questions.
pub(crate) fn takes_format(filter: &mut dyn Object, id: u32, format: &[u8]) -> Option<bool> {
    let request = Request::of_pin(&set::PIN, pin::PROPOSEDATAFORMAT, flag::SET, id);
    let mut format = format.to_vec();
    match property(filter, &request, &mut format) {
        Ok(_) => Some(true),
        Err(code::NO_MATCH | code::INVALID_PARAMETER) => Some(false),
        Err(_) => None,
    }
}

/// Where a pin is wired to: the other filter's path and pin.
pub(crate) fn physical_connection(filter: &mut dyn Object, id: u32) -> Option<(String, u32)> {
    let bytes = list_of_pin(filter, pin::PHYSICALCONNECTION, id).ok()?;
    let reply = Reply(&bytes);
    let link = reply.text(8);
    // The kernel's name of the same thing.
    let path = link.strip_prefix(r"\??\").map_or(link.clone(), |rest| format!(r"\\?\{rest}"));
    (!path.is_empty()).then_some((path, reply.word(4)?))
}

/// A pin's state. For the device thread too.
pub(crate) fn state(pin: &mut dyn Object) -> Result<u32, Code> {
    word(pin, &Request::property(&set::CONNECTION, connection::STATE, flag::GET))
}

/// Sets a pin's state; only neighbours may follow each other.
pub(crate) fn set_state(pin: &mut dyn Object, state: u32) -> Result<(), Code> {
    let request = Request::property(&set::CONNECTION, connection::STATE, flag::SET);
    property(pin, &request, &mut state.to_ne_bytes()).map(drop)
}

/// The bytes that a driver of packets likes to get at once.
pub(crate) fn framing_bytes(pin: &mut dyn Object) -> Option<u32> {
    let request = Request::property(&set::CONNECTION, connection::ALLOCATORFRAMING, flag::GET);
    let mut bytes = [0; 24];
    property(pin, &request, &mut bytes).ok()?;
    Reply(&bytes).word(12).filter(|&bytes| bytes > 0)
}

/// Where a pin is, in bytes: played and written, or captured. For the device thread too.
pub(crate) fn position(pin: &mut dyn Object, direction: Direction) -> Result<u64, Code> {
    let request = Request::property(&set::AUDIO, audio::POSITION, flag::GET);
    let mut bytes = [0; 16];
    property(pin, &request, &mut bytes)?;
    let at = if direction == Direction::Play { 0 } else { 8 };
    Reply(&bytes).long(at).ok_or(code::GEN_FAILURE)
}
