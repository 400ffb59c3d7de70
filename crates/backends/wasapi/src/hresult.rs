//! What Windows' audio service answers, and the sentence for each answer: what happened, to what, and what to do.

use crate::service::Hresult;
use barewire_device::Loss;
use barewire_types::{Error, ErrorKind};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Hresult = ($value as u32).cast_signed();)+
    };
}

codes! {
    /// Not implemented: an interface that this Windows does not have.
    E_NOTIMPL = 0x8000_4001;
    /// No such interface.
    E_NOINTERFACE = 0x8000_4002;
    /// Access denied.
    E_ACCESSDENIED = 0x8007_0005;
    /// Out of memory.
    E_OUTOFMEMORY = 0x8007_000E;
    /// A wrong argument.
    E_INVALIDARG = 0x8007_0057;
    /// No such element.
    E_NOTFOUND = 0x8007_0490;
    /// The stream is not initialised.
    NOT_INITIALIZED = 0x8889_0001;
    /// The stream is initialised already.
    ALREADY_INITIALIZED = 0x8889_0002;
    /// A service that endpoints of this direction do not have.
    WRONG_ENDPOINT_TYPE = 0x8889_0003;
    /// Unplugged, its format changed, its driver restarted, or taken.
    DEVICE_INVALIDATED = 0x8889_0004;
    /// The stream is not stopped.
    NOT_STOPPED = 0x8889_0005;
    /// More frames than there is room for.
    BUFFER_TOO_LARGE = 0x8889_0006;
    /// The call is out of order.
    OUT_OF_ORDER = 0x8889_0007;
    /// A format that is not taken.
    UNSUPPORTED_FORMAT = 0x8889_0008;
    /// Not as many frames as were lent.
    INVALID_SIZE = 0x8889_0009;
    /// Held by another program.
    DEVICE_IN_USE = 0x8889_000A;
    /// The stream is being reset or a buffer is lent.
    BUFFER_OPERATION_PENDING = 0x8889_000B;
    /// The user forbids exclusive use of the endpoint.
    EXCLUSIVE_MODE_NOT_ALLOWED = 0x8889_000E;
    /// The endpoint could not be made.
    ENDPOINT_CREATE_FAILED = 0x8889_000F;
    /// The audio service does not run.
    SERVICE_NOT_RUNNING = 0x8889_0010;
    /// The stream was not initialised for events.
    EVENTHANDLE_NOT_EXPECTED = 0x8889_0011;
    /// The endpoint can only be used exclusively.
    EXCLUSIVE_MODE_ONLY = 0x8889_0012;
    /// With events, buffer and period must be equally long.
    BUFDURATION_PERIOD_NOT_EQUAL = 0x8889_0013;
    /// The event was not given.
    EVENTHANDLE_NOT_SET = 0x8889_0014;
    /// The buffer is too short or too long.
    BUFFER_SIZE_ERROR = 0x8889_0016;
    /// Too much time passed in the cycle.
    CPUUSAGE_EXCEEDED = 0x8889_0017;
    /// No buffer at the moment.
    BUFFER_ERROR = 0x8889_0018;
    /// The buffer is not as long as the hardware's alignment wants it.
    BUFFER_SIZE_NOT_ALIGNED = 0x8889_0019;
    /// A period that the device does not have.
    INVALID_DEVICE_PERIOD = 0x8889_0020;
    /// A flag that is not taken.
    INVALID_STREAM_FLAG = 0x8889_0021;
    /// What the stream needs was moved or taken away.
    RESOURCES_INVALIDATED = 0x8889_0026;
    /// The endpoint has no raw mode.
    RAW_MODE_UNSUPPORTED = 0x8889_0027;
    /// Another program has fixed the mixer's period.
    ENGINE_PERIODICITY_LOCKED = 0x8889_0028;
    /// Another program has fixed the mixer's format.
    ENGINE_FORMAT_LOCKED = 0x8889_0029;
    /// The other end of a remote call is gone: the audio service died.
    RPC_DISCONNECTED = 0x8001_0108;
    /// Not Windows' own, but ours: the stream was started and no event came (`ERROR_TIMEOUT`).
    NO_EVENT = 0x8007_05B4;
}

/// What became of a device, judged by what a call on a running stream answered.
pub(crate) fn loss(code: Hresult) -> Loss {
    match code {
        DEVICE_INVALIDATED | E_NOTFOUND | RESOURCES_INVALIDATED => Loss::Gone,
        DEVICE_IN_USE => Loss::Taken,
        NO_EVENT => Loss::Stalled,
        _ => Loss::Failed,
    }
}

/// The error for what Windows answered when `doing` was done to the device called `name`.
pub(crate) fn error(name: &str, doing: &str, code: Hresult) -> Error {
    let (kind, what, remedy) = words(code);
    Error::new(kind, format!("{name}: {doing}: {what}")).remedy(remedy).os_code(code)
}

type Words = (ErrorKind, &'static str, &'static str);

fn words(code: Hresult) -> Words {
    about_device(code).or_else(|| about_stream(code)).unwrap_or((
        ErrorKind::Malfunction,
        "Windows or its driver failed",
        "unplug it and plug it in again, or restart the service \"Windows Audio\"",
    ))
}

/// It cannot be had at all.
fn about_device(code: Hresult) -> Option<Words> {
    use ErrorKind::{Busy, Denied, Lost, Malfunction, NotFound};
    Some(match code {
        DEVICE_INVALIDATED | RESOURCES_INVALIDATED => (
            Lost,
            "it was unplugged, or its format was changed",
            "plug it in, or open it anew: the driver tries by itself",
        ),
        DEVICE_IN_USE => (
            Busy,
            "another program holds it for itself alone",
            "end that program, or let it release the device; in the device's properties, tab Advanced, \"Give exclusive mode applications priority\" lets us take it from programs that share it",
        ),
        EXCLUSIVE_MODE_NOT_ALLOWED => (
            Denied,
            "exclusive use is forbidden by its settings",
            "in the device's properties, tab Advanced, tick \"Allow applications to take exclusive control of this device\", or set driver.mode to \"shared\"",
        ),
        E_ACCESSDENIED => (
            Denied,
            "Windows denies access to it",
            "for a microphone: Settings, Privacy & security, Microphone, allow access for desktop apps",
        ),
        E_NOTFOUND => (
            NotFound,
            "there is no such device any more",
            "plug it in, or choose one that `barewire devices` lists",
        ),
        ENDPOINT_CREATE_FAILED => (
            Busy,
            "its driver refuses to make another stream",
            "end other programs that use it, or unplug it and plug it in again",
        ),
        SERVICE_NOT_RUNNING | RPC_DISCONNECTED => (
            Lost,
            "the service \"Windows Audio\" does not run",
            "start it (services.msc, \"Windows Audio\"), or wait until it has restarted",
        ),
        NO_EVENT => (
            Malfunction,
            "it was started, but its driver gives no sign of life",
            "set driver.mode to \"exclusive-polled\" or \"shared\", or unplug the device and plug it in again",
        ),
        _ => return None,
    })
}

/// It cannot be had so.
fn about_stream(code: Hresult) -> Option<Words> {
    use ErrorKind::{Busy, Malfunction, NoMemory, Unsupported};
    Some(match code {
        UNSUPPORTED_FORMAT => (
            Unsupported,
            "it does not take this format",
            "choose another rate, format or channel count; `barewire devices` lists what it takes",
        ),
        BUFFER_SIZE_ERROR | BUFFER_SIZE_NOT_ALIGNED | INVALID_DEVICE_PERIOD => (
            Unsupported,
            "its driver refuses this block size",
            "choose another block size, or set driver.mode to \"exclusive-polled\"",
        ),
        EXCLUSIVE_MODE_ONLY => {
            (Unsupported, "it can only be used exclusively", "set driver.mode to \"exclusive\"")
        }
        ENGINE_PERIODICITY_LOCKED | ENGINE_FORMAT_LOCKED => (
            Busy,
            "another program has fixed the period or format of the system's mixer",
            "end that program, or choose the block size that it uses",
        ),
        CPUUSAGE_EXCEEDED => (
            Malfunction,
            "Windows stopped it because a cycle took too long",
            "choose a longer block",
        ),
        E_OUTOFMEMORY => (
            NoMemory,
            "its driver has no memory for the stream",
            "choose a shorter block, or end other programs",
        ),
        E_NOTIMPL | E_NOINTERFACE | WRONG_ENDPOINT_TYPE => (
            Unsupported,
            "this Windows cannot do that",
            "set driver.mode to \"shared\", or choose another backend",
        ),
        NOT_INITIALIZED
        | ALREADY_INITIALIZED
        | NOT_STOPPED
        | OUT_OF_ORDER
        | INVALID_SIZE
        | BUFFER_TOO_LARGE
        | BUFFER_OPERATION_PENDING
        | EVENTHANDLE_NOT_EXPECTED
        | EVENTHANDLE_NOT_SET
        | BUFDURATION_PERIOD_NOT_EQUAL
        | INVALID_STREAM_FLAG
        | E_INVALIDARG => (
            ErrorKind::Bug,
            "Windows calls this use of it wrong",
            "please report it with this message",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_words_and_a_remedy() {
        for low in 0..=0x40_u32 {
            let error = error("USB", "opening it", (0x8889_0000 | low).cast_signed());
            assert!(error.remedy_text().is_some_and(|text| !text.is_empty()), "{error}");
            assert!(error.message().starts_with("USB: opening it: "), "{error}");
        }
        let kind = |code| error("", "", code).kind();
        assert_eq!(kind(EXCLUSIVE_MODE_NOT_ALLOWED), ErrorKind::Denied);
        assert_eq!(kind(DEVICE_IN_USE), ErrorKind::Busy);
        assert_eq!(kind(E_NOTFOUND), ErrorKind::NotFound);
        assert!(error("Mic", "opening", E_ACCESSDENIED).to_string().contains("Privacy"));
    }
}
