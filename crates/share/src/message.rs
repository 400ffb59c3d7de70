//! What hub and clients say to each other beside the shared memory: a length of four bytes, then that many bytes of JSON,
//! at most [`MOST_BYTES`]. A client begins with [`Ask::Hello`]; its version is read before anything else, so that another
//! version gets a sentence and not a guess.

use barewire_types::{Error, ErrorKind, RateHz, Result, SampleFormat};
use serde::{Deserialize, Serialize};

/// The longest message: a report of all clients with 256 channels each.
pub const MOST_BYTES: usize = 1 << 20;
/// The longest message of a client: it has little to say.
pub const MOST_ASK_BYTES: usize = 4096;
/// The longest name of a program that is kept.
pub const MOST_NAME: usize = 64;

/// Who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The name of its program.
    pub program: String,
    /// The number of its process.
    pub process: u32,
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The rate of its blocks.
    pub rate_hz: u32,
    /// The block that it would like.
    pub period_frames: u32,
    /// Whether it captures.
    pub captures: bool,
    /// Whether it plays.
    pub plays: bool,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// The first message.
    Hello {
        /// [`PROTOCOL`](crate::PROTOCOL).
        protocol: u32,
        /// The version of Barewire, for people.
        version: String,
        /// Who speaks.
        who: Who,
    },
    /// What the device is.
    Describe {},
    /// To be let in.
    Attach {
        /// What is wanted.
        wish: Wish,
    },
    /// Cycles, from now on.
    Start {},
    /// No more of them.
    Stop {},
    /// What everybody does.
    Report {},
    /// To change how a client is heard.
    Tune {
        /// The clients: part of a program's name, or a process.
        client: String,
        /// A factor for its outputs.
        gain: Option<f64>,
        /// Whether it is silenced.
        muted: Option<bool>,
    },
    /// The hub is to end once its clients have left, or at once.
    End {
        /// At once.
        now: bool,
    },
}

/// What the hub answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To a hello.
    Welcome {
        /// [`PROTOCOL`](crate::PROTOCOL).
        protocol: u32,
        /// The version of Barewire, for people.
        version: String,
    },
    /// To a question for the device.
    Device {
        /// What it is.
        device: Box<DeviceWords>,
    },
    /// The client is let in. With it come the descriptors of page, gate and segment, in this order.
    Attached {
        /// As what.
        attached: Attached,
    },
    /// It was done.
    Done {},
    /// What everybody does.
    Report {
        /// It.
        report: Box<Report>,
    },
    /// It was not done.
    Refused {
        /// What kind of refusal.
        kind: RefusalKind,
        /// What and why.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
}

/// One direction of the device as clients are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideWords {
    /// Channels.
    pub channels: u16,
    /// Their names; may be fewer.
    pub names: Vec<String>,
    /// The rates that can be had now: one, if others play already.
    pub rates_hz: Vec<u32>,
}

/// The device as clients are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWords {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How samples of clients lie in memory.
    pub format: String,
    /// What it captures with.
    pub capture: Option<SideWords>,
    /// What it plays with.
    pub playback: Option<SideWords>,
    /// Least, greatest and best period, and the step between.
    pub periods: [u32; 4],
    /// Who leads, if anybody does.
    pub leader: Option<Who>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// How a client was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its number.
    pub client: u32,
    /// The rate in force.
    pub rate_hz: u32,
    /// Frames of a block.
    pub block_frames: u32,
    /// Channels from hub to client.
    pub inputs: u16,
    /// Channels from client to hub.
    pub outputs: u16,
    /// How samples lie in memory.
    pub format: String,
    /// The device's own part of the latency of inputs, the hub's included.
    pub input_latency_frames: u32,
    /// Of outputs.
    pub output_latency_frames: u32,
    /// Bytes of the segment.
    pub segment_bytes: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What kind of refusal it is; the kinds that a client's caller can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// No such thing.
    NotFound,
    /// Another program holds it.
    Busy,
    /// It may not.
    Denied,
    /// Not at this rate.
    UnsupportedRate,
    /// Not so.
    Unsupported,
    /// The message is wrong.
    InvalidArgument,
    /// The device is gone.
    Lost,
    /// Anything else.
    Failed,
}

/// A client as `barewire top` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientReport {
    /// Its number.
    pub client: u32,
    /// Who it is.
    pub who: Who,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it has started.
    pub runs: bool,
    /// Whether it is served one block later.
    pub later: bool,
    /// Blocks that it was given.
    pub blocks: u64,
    /// Blocks that it was late for.
    pub lates: u64,
    /// How often the way it is served was changed.
    pub changes: u64,
    /// Nanoseconds from the beginning of the latest cycle to its answer.
    pub answer_ns: u64,
    /// The longest of them since the last report.
    pub longest_answer_ns: u64,
    /// Channels from hub to client.
    pub inputs: u16,
    /// Channels from client to hub.
    pub outputs: u16,
    /// The factor of its outputs.
    pub gain: f64,
    /// Whether it is silenced.
    pub muted: bool,
    /// The highest sample of each output since the last report, 1 being full scale.
    pub peaks: Vec<f32>,
    /// What arrives of what it gives.
    pub integrity: String,
    /// Why.
    pub reason: String,
}

/// What everybody does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the hub.
    pub version: String,
    /// Its process.
    pub process: u32,
    /// The device's id.
    pub device: String,
    /// The device's name.
    pub device_name: String,
    /// `waiting`, `running` or `lost`.
    pub state: String,
    /// The rate in force.
    pub rate_hz: u32,
    /// Frames of a block.
    pub block_frames: u32,
    /// The format that the device captures.
    pub capture_format: Option<String>,
    /// The format that the device plays.
    pub playback_format: Option<String>,
    /// Blocks since the device was opened.
    pub blocks: u64,
    /// Xruns of the device.
    pub xruns: u64,
    /// Frames lost in them.
    pub missed_frames: u64,
    /// Blocks that clients were late for.
    pub lates: u64,
    /// Thousandths of a period that the latest pass took, clients included.
    pub load_permille: u32,
    /// The most that any pass took.
    pub peak_load_permille: u32,
    /// Time that clients have for a block.
    pub budget_ns: u64,
    /// Time that mixing takes, which is kept back from it.
    pub mixing_ns: u64,
    /// How long the hub went on waiting behind a deadline, at most: the scheduler's part.
    pub longest_overstay_ns: u64,
    /// What arrives of what the clients give.
    pub integrity: String,
    /// Why.
    pub reason: String,
    /// All clients.
    pub clients: Vec<ClientReport>,
    /// What happened lately.
    pub events: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// The part of a hello that every version understands.
#[derive(Deserialize)]
struct Greeting {
    ask: String,
    protocol: u32,
    #[serde(default)]
    version: String,
}

impl RefusalKind {
    /// What it is called on the way.
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::UnsupportedRate => Self::UnsupportedRate,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::InvalidArgument | ErrorKind::WrongState => Self::InvalidArgument,
            ErrorKind::Lost => Self::Lost,
            _ => Self::Failed,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Busy => ErrorKind::Busy,
            Self::Denied => ErrorKind::Denied,
            Self::UnsupportedRate => ErrorKind::UnsupportedRate,
            Self::Unsupported => ErrorKind::Unsupported,
            Self::InvalidArgument => ErrorKind::InvalidArgument,
            Self::Lost => ErrorKind::Lost,
            Self::Failed => ErrorKind::Malfunction,
        }
    }
}

impl Answer {
    /// What an error is told as.
    pub fn refused(error: &Error) -> Self {
        Self::Refused {
            kind: RefusalKind::of(error.kind()),
            message: error.message().to_owned(),
            remedy: error.remedy_text().map(str::to_owned),
        }
    }

    /// The refusal as an error, if it is one.
    ///
    /// # Errors
    /// The refusal.
    pub fn accepted(self) -> Result<Self> {
        match self {
            Self::Refused { kind, message, remedy } => {
                let error = Error::new(kind.kind(), message);
                Err(match remedy {
                    Some(remedy) => error.remedy(remedy),
                    None => error,
                })
            }
            other => Ok(other),
        }
    }
}

fn unreadable(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("a message cannot be read: {what}"))
}

/// A message with its length before it.
///
/// # Errors
/// `InvalidArgument` if it is too long.
pub fn framed<T: Serialize>(message: &T) -> Result<Vec<u8>> {
    let body = serde_json::to_vec(message).map_err(unreadable)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MOST_BYTES);
    let Some(length) = length else {
        return Err(unreadable(format!("{} bytes are too many", body.len())));
    };
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    Ok(bytes)
}

/// The bytes that follow a length.
///
/// # Errors
/// `InvalidArgument` if they are none or more than `most`.
pub fn length(header: [u8; 4], most: usize) -> Result<usize> {
    let bytes = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if bytes == 0 || bytes > most {
        return Err(unreadable(format!("its length is {bytes}, and at most {most} may be")));
    }
    Ok(bytes)
}

/// The first message of a client.
///
/// # Errors
/// `Unsupported` for another version, with the words that its user is to read; `InvalidArgument` for what is no hello.
pub fn hello(body: &[u8], own_version: &str) -> Result<Who> {
    let greeting: Greeting = serde_json::from_slice(body).map_err(unreadable)?;
    if greeting.ask != "hello" {
        return Err(unreadable("the first one has to be a hello"));
    }
    if greeting.protocol != crate::PROTOCOL {
        let theirs: String = greeting.version.chars().take(MOST_NAME).collect();
        let text = format!(
            "the hub is Barewire {own_version} (protocol {}), and this program has Barewire {theirs} (protocol {})",
            crate::PROTOCOL,
            greeting.protocol
        );
        return Err(Error::new(ErrorKind::Unsupported, text)
            .remedy("end the hub and start it from the same version as the driver"));
    }
    match ask(body)? {
        Ask::Hello { who, .. } => Ok(who),
        _ => Err(unreadable("the first one has to be a hello")),
    }
}

/// What a client asks for, checked.
///
/// # Errors
/// `InvalidArgument` if it is none.
pub fn ask(body: &[u8]) -> Result<Ask> {
    let ask: Ask = serde_json::from_slice(body).map_err(unreadable)?;
    match ask {
        Ask::Hello { protocol, version, mut who } => {
            let clean = |c: char| if c.is_control() { '?' } else { c };
            who.program = who.program.chars().take(MOST_NAME).map(clean).collect();
            Ok(Ask::Hello { protocol, version, who })
        }
        Ask::Attach { wish } if RateHz::new(wish.rate_hz).is_none() => {
            Err(unreadable(format!("{} is no sample rate", wish.rate_hz)))
        }
        Ask::Attach { wish } if !(wish.captures || wish.plays) => {
            Err(unreadable("neither inputs nor outputs are wanted"))
        }
        Ask::Tune { gain: Some(gain), .. } if !(0.0..=8.0).contains(&gain) => {
            Err(unreadable(format!("a gain lies between 0 and 8, not at {gain}")))
        }
        ask => Ok(ask),
    }
}

/// What the hub answers.
///
/// # Errors
/// `InvalidArgument` if it cannot be read.
pub fn answer(body: &[u8]) -> Result<Answer> {
    serde_json::from_slice(body).map_err(unreadable)
}

impl Attached {
    /// What the segment holds, checked against what it was told to be.
    ///
    /// # Errors
    /// `Malfunction` if the hub contradicts itself.
    pub fn shape(&self) -> Result<crate::layout::SegmentShape> {
        let wrong = || Error::new(ErrorKind::Malfunction, "the hub contradicts itself");
        let format = SampleFormat::from_name(&self.format).ok_or_else(wrong)?;
        let (inputs, outputs, block_frames) = (self.inputs, self.outputs, self.block_frames);
        let shape = crate::layout::SegmentShape { inputs, outputs, block_frames, format };
        shape.check()?;
        let is_whole = usize::try_from(self.segment_bytes) == Ok(shape.bytes());
        is_whole.then_some(shape).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_gets_a_sentence_whatever_else_it_says() {
        let body = br#"{"ask":"hello","protocol":99,"version":"9.0","more":{"a":1}}"#;
        let error = hello(body, "0.1.0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains("protocol 99") && text.contains("0.1.0"), "{text}");
        assert!(error.remedy_text().is_some());
    }

    #[test]
    fn names_are_cut_and_cleaned_and_absurd_wishes_are_refused() {
        let who = Who { program: "a\n".repeat(200), process: 1 };
        let body = serde_json::to_vec(&Ask::Hello {
            protocol: crate::PROTOCOL,
            version: String::new(),
            who,
        })
        .unwrap();
        let who = hello(&body, "").unwrap();
        assert_eq!(who.program.chars().count(), MOST_NAME);
        assert!(!who.program.contains('\n'));
        let wish = |rate_hz, plays| Ask::Attach {
            wish: Wish { rate_hz, period_frames: 64, captures: false, plays },
        };
        let asked = |message: &Ask| ask(&serde_json::to_vec(message).unwrap());
        assert!(asked(&wish(48_000, true)).is_ok());
        assert!(asked(&wish(0, true)).is_err());
        assert!(asked(&wish(48_000, false)).is_err());
        let tune = Ask::Tune { client: "a".into(), gain: Some(9.0), muted: None };
        assert!(asked(&tune).is_err());
    }

    #[test]
    fn a_length_of_nothing_or_too_much_is_refused() {
        assert!(length([0; 4], 100).is_err());
        assert!(length([101, 0, 0, 0], 100).is_err());
        assert!(length([255; 4], MOST_BYTES).is_err());
        assert_eq!(length([100, 0, 0, 0], 100).unwrap(), 100);
    }
}

/// Not on Windows: proptest's own import of `ProcessPrng` collides with `rt`'s.
#[cfg(all(test, unix))]
mod damage {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (ask(&body), answer(&body), hello(&body, "x"));
        }

        #[test]
        fn no_damage_to_a_message_makes_a_reader_panic(at in 0usize..200, byte: u8) {
            let attached = Attached { client: 3, format: "int32".into(), ..Attached::default() };
            let mut body = serde_json::to_vec(&Answer::Attached { attached }).unwrap();
            let at = at % body.len();
            body[at] = byte;
            if let Ok(Answer::Attached { attached }) = answer(&body) {
                let _ = attached.shape();
            }
        }
    }
}
