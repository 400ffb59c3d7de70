//! Settings that are one word out of a few.

use crate::nearest::nearest;
use crate::schema::{Limits, Refusal, Setting};
use crate::values::{refuse_kind, words};
use std::fmt;
use toml_edit::Value;

/// An enum whose variants have a name in the file.
macro_rules! choices {
    ($( $(#[doc = $about:literal])+ $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, )+ } )+) => { $(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[doc = $doc])+ $variant, )+ }

        impl $name {
            /// Every word that may stand in the file.
            pub const WORDS: &[&str] = &[$($word),+];

            /// As the file spells it.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            /// What the file spells so.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $( $word => Some(Self::$variant), )+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.word()) }
        }

        impl Setting for $name {
            fn allowed(_: Limits) -> String { words(Self::WORDS) }

            fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
                let Some(word) = value.as_str() else {
                    return Err(refuse_kind(value, &Self::allowed(limits)));
                };
                Self::from_word(word).ok_or_else(|| {
                    Refusal::new(format!("`{word}` is not {}", Self::allowed(limits)))
                        .suggest(nearest(word, Self::WORDS.iter().copied()))
                })
            }

            fn write(&self) -> Value { self.word().into() }
        }
    )+ };
}

choices! {
    /// The way to the devices.
    BackendChoice {
        /// The best one that finds a device.
        Auto = "auto",
        /// Devices without hardware.
        Virtual = "virtual",
        /// The Linux kernel's PCM interface.
        Alsa = "alsa",
        /// JACK, and PipeWire through it.
        Jack = "jack",
        /// Windows Audio Session API.
        Wasapi = "wasapi",
        /// Windows Kernel Streaming.
        Ks = "ks",
        /// DirectSound.
        Dsound = "dsound",
        /// The Windows multimedia extensions.
        Mme = "mme",
        /// A device that another Barewire process holds.
        Hub = "hub",
    }
    /// Who starts the hub.
    HubStart {
        /// A person, or the system at log-in.
        ByHand = "by-hand",
        /// The first driver that wants a device.
        FirstClient = "first-client",
    }
    /// How a device is held.
    DeviceMode {
        /// Exclusive if it can be had, else the next best, which is then said.
        Auto = "auto",
        /// For us alone, woken by the device's events.
        Exclusive = "exclusive",
        /// For us alone, looked at by the clock.
        ExclusivePolled = "exclusive-polled",
        /// Through the system's mixer.
        Shared = "shared",
    }
    /// How memory travels between a kernel streaming pin and us.
    KsTransport {
        /// The best that the pin has.
        Auto = "auto",
        /// WaveRT, woken by the driver's events.
        Event = "event",
        /// WaveRT, looked at by the clock.
        Polled = "polled",
        /// Packets: WaveCyclic and WavePci.
        Packets = "packets",
    }
    /// What happens when a host asks for a rate that the device has not.
    RatePolicy {
        /// The host is told no.
        Refuse = "refuse",
        /// Sound is resampled.
        Convert = "convert",
    }
    /// When the device is let go for other programs.
    ReleaseOn {
        /// As soon as the host stops.
        Stop = "stop",
        /// Not before the host disposes of its buffers.
        DisposeBuffers = "disposeBuffers",
    }
    /// In which cycle a host's block is played.
    OutputReady {
        /// As the host shows by its behaviour.
        Auto = "auto",
        /// In the cycle that asked for it.
        Direct = "direct",
        /// In the next one.
        Queued = "queued",
    }
    /// The least that is worth a line in the log.
    LogLevel {
        /// Nothing.
        Off = "off",
        /// What failed.
        Error = "error",
        /// What went wrong but was mended: xruns, late clients.
        Warn = "warn",
        /// What changed: devices, rates, integrity.
        Info = "info",
        /// Every call of the host that changes something.
        Debug = "debug",
    }
    /// What the virtual device keeps time by.
    Clock {
        /// The system's clock.
        Real = "real",
        /// As fast as the processor goes.
        Simulated = "simulated",
    }
    /// How the channels lie in the virtual device's memory.
    Layout {
        /// Frame after frame.
        Interleaved = "interleaved",
        /// Each channel by itself.
        Planar = "planar",
    }
    /// Where the virtual device's played frames go.
    Sink {
        /// Nowhere.
        Null = "null",
        /// WAV files.
        Wav = "wav",
        /// Files of bare samples.
        Raw = "raw",
        /// Memory.
        Memory = "memory",
    }
    /// Where the virtual device's captured frames come from.
    Source {
        /// Silence.
        Silence = "silence",
        /// What was played.
        Loop = "loop",
        /// Frame and channel in each sample.
        Counter = "counter",
        /// A WAV file.
        Wav = "wav",
        /// A file of bare samples.
        Raw = "raw",
    }
}
