//! What can be wrong with the specimen: each fault with the rule that it breaks, and the other "must" rules that fall with it.

use std::sync::OnceLock;

macro_rules! faults {
    ($( $variant:ident $name:literal breaks $case:literal $(and $($also:literal),+)? ; )+) => {
        /// One thing that the specimen does wrongly.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the name says it, and the rule beside it")]
        pub enum Kind { $($variant),+ }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The rule that it breaks.
            pub fn breaks(self) -> &'static str {
                match self { $(Self::$variant => $case),+ }
            }

            /// Other "must" rules that it breaks as a consequence.
            pub fn also(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($($also),+)?]),+ }
            }
        }
    };
}

faults! {
    ReleaseNeverEnds "release-never-ends" breaks "reference-counts" and "release-while-running";
    NoObject "no-object" breaks "instantiation";
    LeaksThreads "leaks-threads" breaks "instances-leave-nothing" and "unload-after-release";
    LeaksMemory "leaks-memory" breaks "instances-leave-nothing";
    ThreadOutlivesRelease "thread-outlives-release" breaks "unload-after-release";
    Aggregates "aggregates" breaks "aggregation";
    ShunsMultithreaded "shuns-multithreaded" breaks "apartments";
    TakesTooMuch "takes-too-much" breaks "stack-balance";
    TakesNothing "takes-nothing" breaks "stack-balance";
    DestroysRegister "destroys-register" breaks "stack-balance";
    ReleaseNeedsInit "release-needs-init" breaks "release-before-init";
    RefusalWithPointer "refusal-with-pointer" breaks "query-interface";
    NameUnterminated "name-unterminated" breaks "name-before-init";
    NameTooLong "name-too-long" breaks "name-before-init";
    ErrorTextTooLong "error-text-too-long" breaks "error-message-before-error";
    VersionChanges "version-changes" breaks "version-is-stable";
    VersionNegative "version-negative" breaks "version-is-stable";
    TakesAnyName "takes-any-name" breaks "instance-name";
    InitAnswersTwo "init-answers-two" breaks "init-answers-a-boolean" and "failed-init";
    InitFailsSilently "init-fails-silently" breaks "failed-init" and "init";
    InitFollowsHandle "init-follows-handle" breaks "any-window-handle";
    CrashesBeforeInit "crashes-before-init" breaks "calls-before-init";
    SuccessBeforeInit "success-before-init" breaks "calls-before-init";
    ExitsInClockSources "exits-in-clock-sources" breaks "clock-sources" and "calls-before-init";
    LoopsInClockSources "loops-in-clock-sources" breaks "clock-sources" and "calls-before-init";
    ChannelsHalfWritten "channels-half-written" breaks "channels";
    NoChannels "no-channels" breaks "channels";
    PreferredZero "preferred-zero" breaks "buffer-sizes";
    GranularityLies "granularity-lies" breaks "buffer-sizes";
    RateQuestionSuccess "rate-question-success" breaks "can-sample-rate" and "rate-follows-set", "queries-in-callback";
    RateQuestionSets "rate-question-sets" breaks "can-sample-rate";
    AcceptsNan "accepts-nan" breaks "absurd-rates";
    RateZero "rate-zero" breaks "sample-rate" and "can-sample-rate", "time-info-content", "queries-in-callback";
    RateLags "rate-lags" breaks "rate-follows-set";
    RefusalChangesRate "refusal-changes-rate" breaks "refused-rate";
    AcceptsAnyRate "accepts-any-rate" breaks "refused-rate";
    ForgetsRate "forgets-rate" breaks "rate-is-remembered";
    TellsSameRate "tells-same-rate" breaks "same-rate-is-quiet";
    ClockUnterminated "clock-unterminated" breaks "clock-sources";
    TwoClocksInForce "two-clocks-in-force" breaks "clock-sources";
    ClocksOverrun "clocks-overrun" breaks "clock-source-capacity";
    ChannelUnterminated "channel-unterminated" breaks "channel-info";
    ChannelTypeUnknown "channel-type-unknown" breaks "channel-info";
    ChannelOverrun "channel-overrun" breaks "channel-info";
    AnyChannel "any-channel" breaks "channel-out-of-range";
    CrashesAtChannel "crashes-at-channel" breaks "channel-out-of-range";
    YesToUnknown "yes-to-unknown" breaks "unknown-selectors";
    FutureOk "future-ok" breaks "yes-of-future";
    InternalOverrun "internal-overrun" breaks "yes-of-future";
    OutputReadyMoody "output-ready-moody" breaks "output-ready-is-steady";
    CrashesAtNull "crashes-at-null" breaks "null-pointers";
    OneHalf "one-half" breaks "create-buffers";
    SharedBuffers "shared-buffers" breaks "create-buffers";
    NullHalf "null-half" breaks "create-buffers";
    ScribblesOverInfos "scribbles-over-infos" breaks "create-buffers";
    OddAlignment "odd-alignment" breaks "buffer-alignment" and "path-order";
    KeyedByPlace "keyed-by-place" breaks "channel-subsets" and "bad-requests";
    AlwaysActive "always-active" breaks "channel-subsets";
    RefusesLeast "refuses-least" breaks "block-sizes";
    AcceptsNoFrames "accepts-no-frames" breaks "block-sizes";
    UsesOtherSize "uses-other-size" breaks "block-sizes";
    AcceptsAnyChannel "accepts-any-channel" breaks "bad-requests";
    CrashesAtNoEntries "crashes-at-no-entries" breaks "bad-requests";
    StuckAfterRefusal "stuck-after-refusal" breaks "create-after-failure";
    CallsNullTimeInfo "calls-null-time-info" breaks "no-time-info-function" and "time-info-as-negotiated";
    CrashesAtDispose "crashes-at-dispose" breaks "dispose-without-buffers" and "calls-before-init";
    GrowsLatency "grows-latency" breaks "no-growth";
    LeaksBuffers "leaks-buffers" breaks "no-growth";
    CallsInCreate "calls-in-create" breaks "messages-while-preparing" and "callback-thread", "halves-alternate", "position-steps";
    NeedsVersionTwo "needs-version-two" breaks "messages-while-preparing";
    LatencyZero "latency-zero" breaks "latencies";
    LatencyShifts "latency-shifts" breaks "latencies-hold";
    PositionAtRest "position-at-rest" breaks "position-at-rest";
    StartsWithoutBuffers "starts-without-buffers" breaks "start-without-buffers" and "bad-requests", "dispose-while-running";
    NeverCalls "never-calls" breaks "start";
    FailsSilently "fails-silently" breaks "failed-start" and "start", "messages-while-preparing";
    CrashesInStart "crashes-in-start" breaks "start" and "channel-subsets", "block-sizes", "no-time-info-function", "create-after-failure", "dispose-without-buffers", "messages-while-preparing", "unload-after-release";
    NoisyBuffers "noisy-buffers" breaks "silent-outputs";
    WaitsInStart "waits-in-start" breaks "start-does-not-wait";
    CallsWithinStart "calls-within-start" breaks "callback-thread" and "start-does-not-wait";
    RepeatsHalf "repeats-half" breaks "halves-alternate" and "path-order";
    BeginsWithHalfOne "begins-with-half-one" breaks "halves-alternate";
    CallsAgainMeanwhile "calls-again-meanwhile" breaks "one-block-at-a-time" and "unload-after-release";
    NotDirect "not-direct" breaks "direct-process";
    CallsBoth "calls-both" breaks "time-info-as-negotiated" and "halves-alternate", "path-order";
    BelievesInTimeInfo "believes-in-time-info" breaks "no-null-time-info";
    TimeInfoUnasked "time-info-unasked" breaks "time-info-as-negotiated";
    ReservedGarbage "reserved-garbage" breaks "time-info-content";
    DeniesTimeInfo "denies-time-info" breaks "can-time-info";
    FlagsRateChange "flags-rate-change" breaks "rate-changed-flag";
    NoFlags "no-flags" breaks "time-info-content";
    PositionHalfSteps "position-half-steps" breaks "position-steps" and "block-sizes";
    PositionBeginsLate "position-begins-late" breaks "position-steps" and "restart";
    WordsSwapped "words-swapped" breaks "word-order" and "position-steps";
    TimeStandsStill "time-stands-still" breaks "time-is-monotone";
    TimeJitters "time-jitters" breaks "time-steps";
    PositionDrifts "position-drifts" breaks "position-keeps-time";
    LosesSilently "loses-silently" breaks "losses-are-told";
    TimeFarOff "time-far-off" breaks "time-base";
    QueryDeadlocks "query-deadlocks" breaks "queries-in-callback";
    SlowQueries "slow-queries" breaks "queries-in-callback";
    PositionDisagrees "position-disagrees" breaks "position-agrees";
    FollowsReturn "follows-return" breaks "time-info-return-ignored";
    WaitsForOutputReady "waits-for-output-ready" breaks "output-ready-manners";
    OutputReadyNowAndThen "output-ready-now-and-then" breaks "output-ready-not-present";
    LosesCountWhenLate "loses-count-when-late" breaks "slow-host";
    CreatesWhileRunning "creates-while-running" breaks "create-while-running";
    CallsAfterStop "calls-after-stop" breaks "silence-after-stop" and "unload-after-release";
    StopWaitsForEver "stop-waits-for-ever" breaks "stop-while-callback-blocked";
    StopWithinDeadlocks "stop-within-deadlocks" breaks "stop-within-callback";
    StopsMeet "stops-meet" breaks "stop-on-both-sides";
    StopWithinSticks "stop-within-sticks" breaks "restart-after-stop-within";
    DisposeWithinForgets "dispose-within-forgets" breaks "dispose-within-callback";
    LingersWhenReleasedWithin "lingers-when-released-within" breaks "release-within-callback";
    StartLiesWhenBlocked "start-lies-when-blocked" breaks "start-while-callback-blocked";
    LingersWhenBlocked "lingers-when-blocked" breaks "blocked-callback-leaves-nothing";
    StopNeedsOutputReady "stop-needs-output-ready" breaks "stop-without-output-ready" and "output-ready-manners";
    StopWaitsLong "stop-waits-long" breaks "stop-while-awaited";
    SecondStopCrashes "second-stop-crashes" breaks "stop-twice" and "calls-before-init", "host-frees-callbacks";
    PositionGoesOn "position-goes-on" breaks "restart";
    RunsOnWhenDisposed "runs-on-when-disposed" breaks "dispose-while-running";
    RunsOnWhenReleased "runs-on-when-released" breaks "release-while-running" and "unload-after-release";
    ReadsFreedCallbacks "reads-freed-callbacks" breaks "host-frees-callbacks";
    FreesUnderCalls "frees-under-calls" breaks "parallel-calls";
    RateStopsRun "rate-stops-run" breaks "rate-change-while-running";
    AsksResets "asks-resets" breaks "quiet-run";
    LosesFirstBlock "loses-first-block" breaks "path-begins";
    DropsBlock "drops-block" breaks "path-order";
    RepeatsBlock "repeats-block" breaks "path-order";
    DropsFrames "drops-frames" breaks "path-order";
    RepeatsFrames "repeats-frames" breaks "path-order";
    SilencesFrames "silences-frames" breaks "path-order";
    SwapsBlocks "swaps-blocks" breaks "path-order";
    OtherHalf "other-half" breaks "path-order";
    SwapsChannels "swaps-channels" breaks "path-channels";
    LateChannel "late-channel" breaks "path-channels";
    DeadChannel "dead-channel" breaks "path-order";
    DropsChannelFrames "drops-channel-frames" breaks "path-order";
    Clicks "clicks" breaks "path-exact";
    StuckBit "stuck-bit" breaks "path-exact";
    Truncates "truncates" breaks "path-exact";
    Scales "scales" breaks "path-exact";
    Inverts "inverts" breaks "path-exact";
    FloatRounds "float-rounds" breaks "path-exact";
    Dithers "dithers" breaks "path-exact";
    ShiftsBits "shifts-bits" breaks "path-exact";
    LatencyWrong "latency-wrong" breaks "path-latency";
    LatencyMoody "latency-moody" breaks "path-constant";
    LatencyRestarts "latency-restarts" breaks "path-after-restart";
    OutputReadyUseless "output-ready-useless" breaks "output-ready-saves";
    TakesAtOnce "takes-at-once" breaks "path-later-writes";
    IgnoresLaterAnswers "ignores-later-answers" breaks "path-later-answers";
    LosesTurnedHost "loses-turned-host" breaks "output-ready-ceases";
    WrongRate "wrong-rate" breaks "callback-rate";
    Ceases "ceases" breaks "callback-rate";
    DsdInconsistent "dsd-inconsistent" breaks "io-format-question";
    PcmRefused "pcm-refused" breaks "io-format-pcm";
    DsdWithBuffers "dsd-with-buffers" breaks "io-format-with-buffers";
}

impl Kind {
    /// Whether it can be wrong here: only Windows has COM, and on 32-bit Windows alone methods take their arguments off the
    /// stack.
    pub fn is_possible(self) -> bool {
        let is_of_com = matches!(self, Self::Aggregates | Self::ShunsMultithreaded);
        let is_convention =
            matches!(self, Self::TakesTooMuch | Self::TakesNothing | Self::DestroysRegister);
        (!is_of_com || cfg!(windows)) && (!is_convention || cfg!(all(windows, target_arch = "x86")))
    }

    /// Whether it shows only against a clock.
    pub fn needs_time(self) -> bool {
        matches!(
            self,
            Self::TimeFarOff
                | Self::WrongRate
                | Self::Ceases
                | Self::LosesCountWhenLate
                | Self::TakesAtOnce
                | Self::IgnoresLaterAnswers
                | Self::LosesTurnedHost
        )
    }
}

/// A fault with its measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Where, for faults of one channel.
    pub channel: usize,
    /// The frame of a run at which it begins, for faults that happen.
    pub moment: u64,
    /// How much: frames, bits.
    pub size: u32,
}

/// The variable in which a test says what is to be wrong: `kind`, `kind:channel:moment:size`, or nothing.
pub const VARIABLE: &str = "BAREWIRE_SPECIMEN";
/// Set to anything, it makes the specimen run as fast as it can.
pub const FREE_RUNNING: &str = "BAREWIRE_SPECIMEN_FREE";

impl Fault {
    /// A kind with measures that show.
    pub fn of(kind: Kind) -> Self {
        Self { kind, channel: 1, moment: 1000, size: 8 }
    }

    /// As the variable has it.
    pub fn to_text(self) -> String {
        format!("{}:{}:{}:{}", self.kind.name(), self.channel, self.moment, self.size)
    }

    /// What the variable says; `None` if nothing that is known.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        let kind = Kind::ALL.iter().copied().find(|kind| kind.name() == name)?;
        let mut fault = Self::of(kind);
        if let Some(channel) = parts.next() {
            fault.channel = channel.parse().ok()?;
        }
        if let Some(moment) = parts.next() {
            fault.moment = moment.parse().ok()?;
        }
        if let Some(size) = parts.next() {
            fault.size = size.parse().ok()?;
        }
        Some(fault)
    }
}

/// What is wrong in this process.
pub(crate) fn chosen() -> Option<Fault> {
    static CHOSEN: OnceLock<Option<Fault>> = OnceLock::new();
    *CHOSEN.get_or_init(|| Fault::from_text(&std::env::var(VARIABLE).ok()?))
}

/// Whether that is what is wrong.
pub(crate) fn has(kind: Kind) -> bool {
    chosen().is_some_and(|fault| fault.kind == kind)
}
