//! The table of all keys: name, type, default, limits and what it means. Parser, defaults and reference page come
//! from here and from nowhere else.

use crate::choices::{
    BackendChoice, Clock, DeviceMode, HubStart, KsTransport, Layout, LogLevel, OutputReady,
    RatePolicy, ReleaseOn, Sink, Source,
};
use crate::device::DeviceChoice;
use crate::faults::VirtualFault;
use crate::schema::{section, sections};
use crate::values::{MapEntry, SizeStep};
use barewire_types::{MAX_FRAMES, RateHz, SampleFormat};
use std::path::PathBuf;

sections! {
    /// All that can be set.
    Settings {
        /// The driver.
        driver: Driver = "driver";
        /// Where sound comes in.
        input: Side = "input";
        /// Where sound goes out.
        output: Side = "output";
        /// What is computed.
        mix: Mix = "output";
        /// The block sizes that a host is offered.
        blocks: Blocks = "blocks";
        /// The hub.
        hub: HubSettings = "hub";
        /// Windows Kernel Streaming.
        ks: KsSettings = "ks";
        /// The log.
        log: Log = "log";
        /// The virtual device.
        virtual_device: Virtual = "virtual";
    }
}

section! {
    /// How devices are reached and what the driver promises to the host.
    Driver {
        /// The way to the devices. `auto` takes the best one that finds a device.
        backend: BackendChoice = BackendChoice::Auto;
        /// How a device is held. `exclusive` is bit-perfect; `exclusive-polled` is for devices whose events
        /// fail; `shared` goes through the system's mixer. A backend that does not know the mode says so.
        mode: DeviceMode = DeviceMode::Auto;
        /// The sample type that the host gets on every channel. `auto` takes the device's container if both
        /// directions share it, else `int32`.
        sample_type: Option<SampleFormat> = None;
        /// What happens when a host asks for a rate that the device has not: `refuse` says no, `convert`
        /// resamples.
        rate_policy: RatePolicy = RatePolicy::Refuse;
        /// When the device is let go for other programs.
        release_on: ReleaseOn = ReleaseOn::DisposeBuffers;
        /// Whether a host's block is played in the cycle that asked for it (`direct`) or in the next one
        /// (`queued`). `auto` goes by what the host does.
        output_ready: OutputReady = OutputReady::Auto;
    }
}

section! {
    /// Devices and channels of one direction; input and output are chosen separately.
    Side {
        /// The device.
        device: DeviceChoice = DeviceChoice::Default;
        /// How many channels of the device are opened. `auto` opens all.
        channels: Option<u16> = None, within 1 ..= 256u16;
        /// For each channel of the host the channel of the device, numbered from 1, or `"none"` for silence.
        /// `auto` takes them in order.
        channel_map: Option<Vec<MapEntry>> = None;
        /// At least this many channels are offered to the host; those that the device lacks are silent. For
        /// hosts that need two outputs.
        pad_to_channels: u16 = 0, within 0 ..= 256u16;
        /// The sample format that the device is opened with. `auto` takes the best.
        format: Option<SampleFormat> = None;
        /// Added to the latency that the host is told. `barewire latency --store` measures and writes it.
        latency_offset_frames: i32 = 0, within -1_048_576 ..= MAX_FRAMES;
    }
}

section! {
    /// Arithmetic on the way out.
    Mix {
        /// A linear factor for all outputs; 8 is 18 dB. At 1.0 samples are not computed but copied.
        gain: f64 = 1.0, within 0 ..= 8;
    }
}

section! {
    /// Within what the device can do, or beyond it: the driver adapts, at the price of latency that it reports.
    Blocks {
        /// The smallest block. `auto` is what the device can do.
        min_frames: Option<u32> = None, within 1 ..= MAX_FRAMES;
        /// The greatest block. `auto` is what the device can do.
        max_frames: Option<u32> = None, within 1 ..= MAX_FRAMES;
        /// The block that a host should take. `auto` is what the device does best with.
        preferred_frames: Option<u32> = None, within 1 ..= MAX_FRAMES;
        /// The step from one size to the next: a number of frames, `"powers-of-two"`, or `"fixed"` for the
        /// preferred size alone.
        granularity: Option<SizeStep> = None, within 1 ..= MAX_FRAMES;
    }
}

section! {
    /// The process that shares one device among several programs: `barewire hub`.
    HubSettings {
        /// Who starts it: you (`by-hand`), or the first program whose driver wants a device (`first-client`).
        start: HubStart = HubStart::ByHand;
        /// The `barewire` command that is started then. `auto` is the one that is found in the path.
        command: Option<PathBuf> = None;
        /// Part of the name of the program that sets sample rate and buffer size. `auto` is the first one.
        leader: Option<String> = None;
        /// Offer what is being played as further inputs, so that it can be recorded. Every client then hears every
        /// other.
        tap: bool = false;
        /// The most programs at a time.
        most_clients: u16 = 16, within 1 ..= 32u16;
    }
}

section! {
    /// How the backend `ks` gets at a pin's memory. Those who know ASIO4ALL know these keys.
    KsSettings {
        /// `auto` takes the best that the pin has: WaveRT with events (`event`, ASIO4ALL's pull mode), WaveRT by the clock
        /// (`polled`), packets (`packets`).
        transport: KsTransport = KsTransport::Auto;
        /// With WaveRT by the clock: how far we keep away from the hardware beyond a block, in microseconds. Less is less
        /// latency, too little is crackling. `auto` is a millisecond, or what the hardware holds of its own.
        buffer_offset_us: Option<u32> = None, within 0 ..= 100_000;
        /// With packets: how many of them the driver has at a time. More is more latency, too few is crackling.
        kernel_buffers: u32 = 2, within 2 ..= 8u32;
    }
}

section! {
    /// Xruns, late clients, losses and resets with time and position; written off the device thread.
    Log {
        /// The least that is worth a line.
        level: LogLevel = LogLevel::Info;
        /// The size at which the log begins anew; one older log of the same size is kept.
        max_bytes: u32 = 1_048_576, within 4096 ..= 1_073_741_824u32;
    }
}

section! {
    /// A device without hardware, for tests and for computers without sound.
    Virtual {
        /// The part of its id behind `virtual:`.
        name: String = "loop".to_owned();
        /// Its name for people.
        title: String = "Virtual device".to_owned();
        /// `real` keeps time; `simulated` runs as fast as the processor goes.
        clock: Clock = Clock::Real;
        /// Sample formats, the best first.
        formats: Vec<SampleFormat> = vec![
            SampleFormat::INT32,
            SampleFormat::INT24_IN_32,
            SampleFormat::INT24,
            SampleFormat::INT16,
            SampleFormat::FLOAT64,
            SampleFormat::FLOAT32,
        ];
        /// How the channels lie in its memory.
        layout: Layout = Layout::Interleaved;
        /// The rates it can run at.
        rates_hz: Vec<RateHz> = RateHz::COMMON.to_vec();
        /// Capture channels; 0 for none.
        inputs: u16 = 2, within 0 ..= 64u16;
        /// Playback channels; 0 for none.
        outputs: u16 = 2, within 0 ..= 64u16;
        /// The smallest period.
        min_period_frames: u32 = 8, within 1 ..= 65_536u32;
        /// The greatest period.
        max_period_frames: u32 = 8192, within 1 ..= 65_536u32;
        /// Exactly this period whatever is asked for; `auto` follows what is asked for.
        fixed_period_frames: Option<u32> = None, within 1 ..= 65_536u32;
        /// Periods of silence before the first frame.
        prefill_periods: u32 = 2, within 2 ..= 64u32;
        /// Its clock is faster than nominal by this much; it says nothing of it.
        offset_ppm: f64 = 0.0, within -10_000 ..= 10_000;
        /// Where played frames go: `wav` and `raw` write one file for each opening into `sink_path`, `memory`
        /// is read by the program that opened it.
        sink: Sink = Sink::Null;
        /// The directory of `wav` and `raw` sinks.
        sink_path: Option<PathBuf> = None;
        /// The most frames that the `memory` sink keeps for each opening.
        sink_max_frames: u32 = 16_777_216, within 1 ..= 1_073_741_824u32;
        /// Where captured frames come from: `loop` is what was played, `counter` tells frame and channel in each
        /// sample, `wav` and `raw` read the file `source_path`.
        source: Source = Source::Loop;
        /// The file of `wav` and `raw` sources.
        source_path: Option<PathBuf> = None;
        /// Frames from an output to the input of the same number, for the `loop` source.
        loop_delay_frames: u32 = 0, within 0 ..= MAX_FRAMES;
        /// The seed of the jitter.
        seed: u32 = 0;
        /// Wake-ups come late by up to this much.
        jitter_ns: u32 = 0, within 0 ..= 1_000_000_000;
        /// The times at which it tells its position are up to this much too late.
        reading_jitter_ns: u32 = 0, within 0 ..= 1_000_000_000;
        /// That many openings are refused before one succeeds, as if another program held the device.
        refuse_openings: u32 = 0, within 0 ..= 1_000_000;
        /// That many starts fail before one succeeds, as if the device had just been switched off.
        refuse_starts: u32 = 0, within 0 ..= 1_000_000;
        /// It can be opened once at a time, as most hardware.
        exclusive: bool = false;
        /// What goes wrong, in ascending order: `{ at_frames = 48000, fault = "late-wake", for_ns = 5000000 }`.
        /// Faults are `late-wake` and `stall` (`for_ns`), `miss` (`for_frames`), `spurious-wake`, and `unplug`
        /// (comes back after `for_ns`, if given).
        faults: Vec<VirtualFault> = Vec::new();
    }
}
