//! The table of all cases: the one place where a rule is written down. The pages in `docs/conformance` are made of it.
//!
//! What a case does is in `checks`, under the same name.

use crate::case::{About, Group, Level};

macro_rules! cases {
    ($( $variant:ident $name:literal $group:ident $level:ident $($long:ident)? [$($base:ident)*]
        $rule:literal $why:literal $source:literal )+) => {
        /// A rule and its test.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the rule beside each says it")]
        pub enum Case { $($variant),+ }

        impl Case {
            /// All of them, in the order in which they run: each after those that it rests on.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// What is said of it.
            pub fn about(self) -> &'static About {
                match self { $(Self::$variant => const { &About {
                    name: $name,
                    group: Group::$group,
                    level: Level::$level,
                    rule: $rule,
                    why: $why,
                    source: $source,
                    rests_on: &[$(Case::$base),*],
                    is_long: $(cases!(@$long) ||)? false,
                } }),+ }
            }
        }
    };
    (@long) => { true };
}

cases! {
    Registration "registration" Loading Must []
        "The entry under which the driver is registered names a file that is there, for this kind of processor, by an absolute path or by the name of a file in Windows' own folder."
        "Hosts pass over entries without a file, or show them and fail when they are chosen."
        "The interface's list of drivers; JUCE, NAudio, Kodi."
    RegisteredName "registered-name" Loading Should [Registration]
        "The registered name has at most 31 characters, and is what the description and getDriverName say."
        "Lists cut names to 32 bytes; NAudio shows the name, others the description or what the driver says."
        "The interface's list of drivers; NAudio."
    Instantiation "instantiation" Loading Must []
        "Loading the file and asking its factory gives an object."
        "Without it there is no driver."
        "COM; cwASIO's instantiateDriver."
    ReleaseBeforeInit "release-before-init" Loading Must [Instantiation]
        "An object that was never initialised can be released, also where another one was used before."
        "A list of drivers makes each object, asks it for its name and lets it go."
        "WineASIO, whose Release goes by what its memory held before."
    QueryInterface "query-interface" Loading Should [Instantiation]
        "QueryInterface gives the same object for IUnknown each time, and E_NOINTERFACE with a null pointer for an id that nobody knows."
        "COM's identity rules; some wrappers ask for IUnknown before they use the object."
        "COM; WineASIO and PipeASIO."
    ReferenceCounts "reference-counts" Loading Must [Instantiation]
        "AddRef and Release answer the count, and the last Release answers 0."
        "A host that looks at the count decides by it whether to unload the code."
        "COM; the scan of PortAudio."
    InstancesLeaveNothing "instances-leave-nothing" Loading Must [ReleaseBeforeInit]
        "A hundred objects made and released, every other one initialised, leave no thread, handle or memory behind."
        "PortAudio and Kodi make and release every driver to list it."
        "PortAudio's and Kodi's scans."
    UnloadAfterRelease "unload-after-release" Loading Must [Instantiation]
        "After the last Release no thread of the driver runs any more, and its code can be unloaded at once."
        "rs_asio unloads the file straight after the last Release; a thread that is left crashes the host."
        "rs_asio."
    StackBalance "stack-balance" Loading Must [Instantiation]
        "On 32-bit Windows every method takes exactly its own arguments from the stack and keeps EBX, ESI and EDI."
        "A method with the wrong calling convention destroys the caller's stack."
        "The interface's methods are thiscall, COM's three stdcall."
    ThreadingModel "threading-model" Loading Should [Registration]
        "The registered threading model is \"Apartment\" or \"Both\"."
        "With any other COM makes the object in an apartment that its host is not in, and cannot pass it on: the host is told that there is no such interface."
        "COM; the interface's own sample driver, FlexASIO."
    BothWidths "both-widths" Loading Information [Registration]
        "The driver is registered for 32-bit and for 64-bit programs."
        "A host sees the drivers of its own width alone."
        "The interface's list of drivers; its users' most frequent question."
    Aggregation "aggregation" Loading Should [Instantiation]
        "The class factory refuses to make the object a part of another one, with CLASS_E_NOAGGREGATION and no object."
        "An object that does not know its outer one breaks the counting of both."
        "COM, IClassFactory::CreateInstance."
    NameBeforeInit "name-before-init" Init Must [Instantiation]
        "getDriverName works before init, ends within 32 bytes and writes no byte beyond them."
        "Hosts show the name before they initialise, and give 32 bytes."
        "The interface; JUCE; a driver of M-Audio's that PortAudio gives 4096 bytes."
    ErrorMessageBeforeError "error-message-before-error" Init Must [Instantiation]
        "getErrorMessage works before any error, ends within 124 bytes and writes no byte beyond them."
        "Hosts read it whatever happened."
        "The interface; JUCE reads it always."
    VersionIsStable "version-is-stable" Init Should [Instantiation]
        "getDriverVersion answers the same number above 0 before and after init."
        "Hosts store it with their settings."
        "Inferred from hosts that compare it."
    InstanceName "instance-name" Init Should [NameBeforeInit]
        "A driver that lets itself be told its entry's name says so to a question without a name, takes its own name at any time, refuses names of no entry, and then answers to the name that it took."
        "A file that is registered several times learns only so which of its entries it is."
        "cwASIO's selector SetInstanceName."
    InitAnswersABoolean "init-answers-a-boolean" Init Must [Instantiation]
        "init answers 1 or 0, nothing else."
        "NAudio, Kodi and others compare with 1; a negative code counts as success elsewhere."
        "NAudio; Kodi."
    Init "init" Init Must [InitAnswersABoolean]
        "init succeeds on a machine that has what the driver needs."
        "Everything else rests on it."
        "The interface."
    Apartments "apartments" Init Should [Init]
        "The driver works on threads in COM's multithreaded apartment, and on threads that do not use COM, as on those in an apartment of their own."
        ".NET hosts are in the multithreaded apartment; rs_asio loads the file without COM."
        "NAudio issue 843; rs_asio."
    CallsBeforeInit "calls-before-init" Init Must [Instantiation]
        "Every method before init answers an error or sane data, never crashes, and never answers SUCCESS."
        "Hosts go on calling after an init that failed."
        "FlexASIO issue 264."
    PanelBeforeInit "panel-before-init" Init Should [Instantiation]
        "controlPanel before init shows the panel or answers NotPresent, and the object can be released while it is open."
        "Some hosts open the panel from their list of drivers."
        "FlexASIO issue 184, SAR issue 133, PortAudio."
    AnyWindowHandle "any-window-handle" Init Must [Init]
        "init does the same for null, for a module's handle and for a number that is no handle at all."
        "cpal and Jamulus pass garbage, rs_asio a module, Roon and many others null."
        "cpal, Jamulus, rs_asio, Roon."
    InitTwice "init-twice" Init Should [Init]
        "A second init answers 1 and changes nothing."
        "Hosts that scan and then use a driver may do both on one object."
        "The interface's own sample driver."
    FailedInit "failed-init" Init Must [Instantiation]
        "After an init that failed getErrorMessage says why, stop and disposeBuffers do no harm, queries answer errors, and the object can be released."
        "The user sees nothing else than this text; hosts go on calling."
        "NAudio (Realtek's empty text), FlexASIO issue 264."
    TwoInstances "two-instances" Init Should [Init]
        "Two objects may be initialised at once on two threads; the second may be refused with a text, and the first is not disturbed."
        "Ableton Live and Pro Tools initialise several drivers in parallel."
        "FlexASIO issue 86."
    TwoProcesses "two-processes" Init Should [Init]
        "Two processes may each have an object initialised; the second may be refused with a text."
        "A host's scanner and its engine are often two processes."
        "FlexASIO issue 86; Bitwig and Cubase."
    InitTime "init-time" Init Information [Init]
        "Loading and init take less than two seconds."
        "PortAudio initialises every registered driver at its start."
        "PortAudio."
    InitIsQuiet "init-is-quiet" Init Should [Init]
        "init calls nobody back and leaves the sample rate as it finds it from object to object."
        "A scan must not be noticed by what plays."
        "Inferred from the scans of PortAudio and Kodi."
    Channels "channels" Queries Must [Init]
        "getChannels writes both numbers, neither is negative, and there is at least one channel; without any it answers NotPresent."
        "Every host begins with it."
        "The interface."
    BufferSizes "buffer-sizes" Queries Must [Init]
        "getBufferSize writes all four: 1 ≤ min ≤ preferred ≤ max, granularity −1 only among powers of two, 0 only if there is one size, else preferred and max are min plus multiples of it."
        "A zero makes hosts divide by it; a lie makes them ask for sizes that are refused."
        "The interface; Behringer's driver in rs_asio issue 128; Microsoft's driver on DAWs that crash."
    SizesHostsLike "sizes-hosts-like" Queries Information [BufferSizes]
        "The least size is 32 or more, the preferred one a power of two, the greatest at most 2048."
        "Max/MSP crashes below 32, Pro Tools takes powers of two only and struggles from 2048 on."
        "FlexASIO issues 50, 88, 89, 90."
    CanSampleRate "can-sample-rate" Queries Must [Init]
        "canSampleRate answers OK, NoClock or NotPresent for each usual rate, tells nobody, and changes nothing."
        "Hosts ask for all rates to fill their menu, also while something plays."
        "The interface; PortAudio, JUCE, Roon."
    AbsurdRates "absurd-rates" Queries Must [Init]
        "canSampleRate refuses 0, negative, infinite, tiny and huge rates and NaN with NoClock."
        "APx500 asks for NaN; ASIOTest for all of them."
        "FlexASIO issue 135; ASIOTest."
    SampleRate "sample-rate" Queries Must [Init]
        "getSampleRate writes a rate above 0, or answers NoClock with 0."
        "Hosts divide by it; JUCE sets 44100 if it is nonsense."
        "The interface; JUCE."
    RateFollowsSet "rate-follows-set" Queries Must [SampleRate]
        "Each rate that canSampleRate allows can be set, and getSampleRate answers it at once."
        "cpal takes a driver that lags through a whole dummy run."
        "cpal on Steinberg's and Realtek's drivers."
    RefusedRate "refused-rate" Queries Must [SampleRate]
        "setSampleRate refuses impossible rates with NoClock, or InvalidMode under an external clock, and keeps the old rate."
        "Ableton Live never asks; it sets and expects the refusal."
        "The interface; FlexASIO issue 16."
    ExternalClockRate "external-clock-rate" Queries Should [SampleRate]
        "setSampleRate(0) selects the external clock, or is refused with NoClock or InvalidMode and leaves the rate."
        "Taken for a rate it ends in a division by zero."
        "The interface."
    SameRateIsQuiet "same-rate-is-quiet" Queries Should [SampleRate]
        "Setting the rate that is in force answers OK and tells nobody."
        "RtAudio stops its stream at any sampleRateDidChange, JUCE opens anew."
        "RtAudio issue 235 on a MOTU driver."
    RateIsRemembered "rate-is-remembered" Queries Should [RateFollowsSet]
        "A new object in the same process has the rate that was set last."
        "REW sets the rate, releases, and uses a new object without setting it again."
        "FlexASIO issue 31."
    ClockSources "clock-sources" Queries Must [Init]
        "getClockSources tells at least one source, all with terminated names and numbers of their own, exactly one in force."
        "Hosts show them, and index by what they find."
        "The interface."
    ClockSourceCapacity "clock-source-capacity" Queries Must [ClockSources]
        "getClockSources writes no more sources than there is room for."
        "OpenMPT gives room for one and grows."
        "OpenMPT; the interface's own sample driver ignores the number."
    SetClockSource "set-clock-source" Queries Should [ClockSources]
        "setClockSource takes the current source, and refuses numbers that name none without a change."
        "A host restores what it stored last year."
        "The interface."
    ChannelInfo "channel-info" Queries Must [Channels]
        "getChannelInfo tells of every channel a known sample type, inactive, and a terminated name, whatever the structure held before, and writes nothing behind it."
        "PortAudio and Kodi ask before there are buffers, with a structure full of garbage."
        "The interface; PortAudio; Kodi."
    ChannelOutOfRange "channel-out-of-range" Queries Must [Channels]
        "getChannelInfo refuses channels that do not exist with InvalidParameter."
        "Hosts ask for stored channels that are gone."
        "The interface."
    OneSampleType "one-sample-type" Queries Information [ChannelInfo]
        "All channels of both directions have one sample type."
        "PortAudio, RtAudio and cpal look at one channel; Pro Tools fails if directions differ."
        "FlexASIO issue 87."
    EarlyLatencies "early-latencies" Queries Should [BufferSizes]
        "getLatencies before there are buffers tells at least the preferred size, or NotPresent; never garbage."
        "JUCE and NAudio ask early."
        "FlexASIO issue 122; JUCE."
    UnknownSelectors "unknown-selectors" Queries Must [Init]
        "future refuses selectors that nobody defined with InvalidParameter (NotPresent is borne), with and without an argument."
        "A 0 or SUCCESS means that the driver can do it."
        "The interface."
    YesOfFuture "yes-of-future" Queries Must [Init]
        "future says yes with SUCCESS, no with InvalidParameter or NotPresent, and writes at most its structure."
        "Hosts compare with SUCCESS; 0 is neither yes nor no."
        "The interface; OpenMPT."
    OutputReadyIsSteady "output-ready-is-steady" Queries Must [Init]
        "outputReady answers always OK or always NotPresent."
        "A host asks once and goes by it."
        "The interface."
    NullPointers "null-pointers" Queries Should [Init]
        "A null pointer in place of an answer is refused with InvalidParameter, without a crash."
        "Sloppy hosts pass null for what they do not need."
        "Inferred."
    CreateBuffers "create-buffers" Buffers Must [Channels BufferSizes]
        "createBuffers for all channels at the preferred size gives two usable halves each, none of which share memory."
        "What a host does with every driver."
        "The interface."
    BufferAlignment "buffer-alignment" Buffers Should [CreateBuffers]
        "Halves are aligned to 16 bytes; 4 are the least."
        "Hosts run vector instructions on them."
        "Inferred."
    ChannelSubsets "channel-subsets" Buffers Must [CreateBuffers]
        "createBuffers takes any channels in any order, each entry gets its own channel's buffers, and getChannelInfo calls exactly these active."
        "RtAudio names outputs first, others leave channels out; OpenMPT asserts isActive."
        "WineASIO issue 17; OpenMPT; RtAudio."
    BlockSizes "block-sizes" Buffers Must [CreateBuffers]
        "Every size that getBufferSize promises is taken; 0 and less is refused; others are refused or really used."
        "The project's size decides, not the driver's taste."
        "The interface."
    BadRequests "bad-requests" Buffers Must [CreateBuffers]
        "createBuffers refuses channels that do not exist, an empty or negative count, and null pointers, and makes nothing."
        "A refusal must leave nothing that would have to be disposed of."
        "The interface; xt-audio issue 26."
    NoTimeInfoFunction "no-time-info-function" Buffers Must [CreateBuffers]
        "createBuffers works for a host without bufferSwitchTimeInfo."
        "Hosts made with RtAudio up to 6.0.1 leave it null."
        "RtAudio issue 485."
    CreateTwice "create-twice" Buffers Should [CreateBuffers]
        "A second createBuffers is refused or changes nothing, and the first buffers stay usable."
        "Hosts that lost track try again."
        "FlexASIO; Microsoft's driver."
    CreateAfterFailure "create-after-failure" Buffers Must [CreateBuffers]
        "After a createBuffers that was refused a right one succeeds."
        "PortAudio, JUCE and RtAudio try their own size first and then the preferred one."
        "PortAudio; RtAudio; JUCE."
    DisposeWithoutBuffers "dispose-without-buffers" Buffers Must [Init]
        "disposeBuffers without buffers does no harm, and answers InvalidMode or OK."
        "JUCE disposes before it first creates; xt-audio after a failed create."
        "JUCE; xt-audio issue 26."
    NoGrowth "no-growth" Buffers Should [CreateBuffers]
        "Making and disposing of buffers many times leaves latencies, sizes, threads and memory as they were."
        "A host opens the driver anew with every change of a project."
        "PortAudio issue 523 on a Focusrite 2i2."
    MessagesWhilePreparing "messages-while-preparing" Buffers Must [CreateBuffers]
        "createBuffers asks what it likes of any host, old or new, calls for no block before start, and works whatever is answered."
        "Jamulus holds a lock meanwhile; Kodi answers 0 to everything, rs_asio speaks version 1."
        "Jamulus issue 3869; Kodi; rs_asio."
    Latencies "latencies" Buffers Must [CreateBuffers]
        "getLatencies with buffers tells at least a block for inputs, and as much for the outputs of a host that does not call outputReady, else more than nothing; GetInternalBufferSamples tells no more than what is beyond a block."
        "Recordings are put in place by it. Who does not call outputReady may write until the next block; who does may be heard sooner than a block, where the device's own buffers are smaller."
        "The interface; ASIOUtil's page on buffers."
    LatenciesHold "latencies-hold" Buffers Should [Latencies]
        "What getLatencies tells once there are buffers is what it tells while blocks come, to a host that calls outputReady and to one that does not, or LatenciesChanged is sent."
        "Most hosts ask once, between createBuffers and start."
        "JUCE; PortAudio; RtAudio."
    PositionAtRest "position-at-rest" Buffers Should [CreateBuffers]
        "getSamplePosition answers SPNotAdvancing or NotPresent while nothing runs."
        "A host that takes 0 for a position waits for ever."
        "The interface."
    StartWithoutBuffers "start-without-buffers" Running Must [Init]
        "start without buffers is refused, and no block is called for."
        "Roon's host starts without looking at what createBuffers answered."
        "Roon's sample host."
    Start "start" Running Must [CreateBuffers]
        "start answers OK, and the first block is called for within three seconds."
        "JUCE gives up after three."
        "The interface; JUCE."
    SilentOutputs "silent-outputs" Running Should [Start]
        "Outputs hold silence when the host is called for the first time; fresh buffers do so as well."
        "Hosts add to what they find, or leave channels unwritten: rubbish would be heard."
        "Inferred; WineASIO clears its buffers only in start."
    StartDoesNotWait "start-does-not-wait" Running Must [Start]
        "start returns although the host's first callback waits for that."
        "foobar2000's plugin does just this."
        "FlexASIO issue 60."
    CallbackThread "callback-thread" Running Must [Start]
        "No block is called for on the thread that called start."
        "A host that holds a lock over start would wait for itself."
        "Jamulus; WineASIO calls within start."
    HalvesAlternate "halves-alternate" Running Must [Start]
        "The first block is half 0, and halves alternate from then on."
        "Hosts fill the half that they are told."
        "The interface; cpal on repeated halves."
    OneBlockAtATime "one-block-at-a-time" Running Must [Start]
        "No block is called for while the host is still in the last one."
        "Hosts are not written for that."
        "The interface allows it, no host bears it; PortAudio guards against it."
    DirectProcess "direct-process" Running Should [Start]
        "directProcess is 1."
        "OpenMPT moves to a thread of its own otherwise."
        "OpenMPT; FlexASIO and Microsoft's driver pass 1."
    TimeInfoAsNegotiated "time-info-as-negotiated" Running Must [Start]
        "Each block comes once: through bufferSwitchTimeInfo if the host wants time info, else through bufferSwitch."
        "Twice a block doubles the sound."
        "The interface; RtAudio issue 485."
    NoNullTimeInfo "no-null-time-info" Running Information [NoTimeInfoFunction Start]
        "A host that says yes to time info although it has no bufferSwitchTimeInfo is called through bufferSwitch."
        "Such a host contradicts itself; a null pointer that is called crashes it."
        "Inferred; WineASIO goes by the answer alone."
    TimeInfoContent "time-info-content" Running Must [TimeInfoAsNegotiated]
        "Time info says that position and time are valid, has zeros where it is reserved, the rate in force, and no time code unless asked for."
        "Hosts believe the flags."
        "The interface."
    CanTimeInfo "can-time-info" Running Should [TimeInfoAsNegotiated]
        "future(CanTimeInfo) says yes exactly if blocks come through bufferSwitchTimeInfo for a host that wants them so."
        "Hosts decide by the answer which function they prepare."
        "The interface."
    RateChangedFlag "rate-changed-flag" Running Should [TimeInfoAsNegotiated]
        "Time info of a steady run never says that rate or clock have changed; a change of rate while running is said there, by sampleRateDidChange, or by a request to reset."
        "Hosts measure anew, or open the driver anew, when they are told of a change."
        "The interface's flags of time info."
    PositionSteps "position-steps" Running Must [TimeInfoAsNegotiated]
        "The position begins at 0 (one block is borne) and grows by whole blocks, one for each that is not lost."
        "Sequencers place events by it."
        "The interface."
    WordOrder "word-order" Running Must [TimeInfoAsNegotiated]
        "The high word of positions comes first, so that it is 0 for the first hours."
        "Swapped, the position is 2³² frames a frame."
        "The interface; FlexASIO issue 9; NAudio."
    TimeIsMonotone "time-is-monotone" Running Must [TimeInfoAsNegotiated]
        "The time of each block is later than that of the one before."
        "Hosts divide by differences."
        "The interface."
    TimeSteps "time-steps" Running Should [TimeIsMonotone PositionSteps]
        "From block to block the time grows by what a block takes: all but a twentieth of the steps are off by less than a quarter of that, or 2 ms."
        "Hosts interpolate between the times to place events within a block."
        "Inferred from hosts that place MIDI by the time of a block."
    PositionKeepsTime "position-keeps-time" Running Should [TimeIsMonotone PositionSteps]
        "Position and time of a run agree: at the rate told they never get further apart than a block and 20 ms, also where frames were lost."
        "A position that leaves lost frames out puts everything behind them too early."
        "The interface; a driver that loses count when the host was late."
    LossesAreTold "losses-are-told" Running Should [PositionSteps]
        "Where the position leaves blocks out a host that asked CanReportOverload is told of an overload, or asked to resynchronise."
        "Users look for clicks that nobody has told them of."
        "The interface, version 2.3: Overload."
    TimeBase "time-base" Running Should [TimeInfoAsNegotiated]
        "The time of a block is that of the system's clock at its callback, within 20 ms."
        "MIDI is placed against it."
        "The interface: timeGetTime on Windows."
    QueriesInCallback "queries-in-callback" Running Must [Start]
        "Within a block getSamplePosition, getSampleRate, getLatencies, canSampleRate, outputReady and future answer, and do so swiftly."
        "PortAudio and Roon ask with every block."
        "ASIOTest; PortAudio; Roon."
    PositionAgrees "position-agrees" Running Must [QueriesInCallback TimeInfoAsNegotiated]
        "getSamplePosition within a block answers the block's own position and time."
        "Hosts use either, and mix them."
        "The interface."
    TimeInfoReturnIgnored "time-info-return-ignored" Running Must [TimeInfoAsNegotiated]
        "What bufferSwitchTimeInfo returns is ignored: null, the given pointer, another, or none at all."
        "Hosts return any of these."
        "Kodi returns a structure of its own; others null or garbage."
    OutputReadyManners "output-ready-manners" Running Must [Start]
        "The stream goes on if outputReady is called within the block, later from another thread, twice, only sometimes, or never."
        "VB-Audio's bridge asks and never calls; some call late."
        "FlexASIO issues 180, 235 and 261."
    OutputReadyNotPresent "output-ready-not-present" Running Must [Start]
        "outputReady that is not present stays so when it is called anyway."
        "Products of Native Instruments and RtAudio call it with every block without asking."
        "RtAudio."
    SlowHost "slow-host" Running Should [OneBlockAtATime HalvesAlternate]
        "After a host that was late by half a block, two and twenty the stream goes on, halves alternate, and the position accounts for what was lost."
        "Hosts are late at times."
        "The interface; Microsoft's driver."
    StartWhileRunning "start-while-running" Running Should [Start]
        "start while running does no harm."
        "Hosts that lost track."
        "Inferred from what drivers do."
    CreateWhileRunning "create-while-running" Running Should [Start]
        "createBuffers while running is refused, and blocks go on."
        "What is in use must not change."
        "The interface."
    SilenceAfterStop "silence-after-stop" Running Must [Start]
        "stop returns within two seconds, no block is called for afterwards, and the buffers can still be read."
        "Hosts free what the callback uses."
        "The interface; Jamulus issue 3869."
    StopWhileCallbackBlocked "stop-while-callback-blocked" Running Must [SilenceAfterStop]
        "stop returns although the host's callback stands still, and no block begins afterwards."
        "A callback that waits for a lock of the stopping thread would wait for ever."
        "Jamulus issue 3779; RtAudio; NAudio issue 259."
    StopWithinCallback "stop-within-callback" Running Must [SilenceAfterStop]
        "stop within a callback returns, and no further block follows."
        "Players stop at the end of their file, there."
        "NAudio issues 259 and 366; RtAudio."
    StopOnBothSides "stop-on-both-sides" Running Should [StopWithinCallback]
        "stop within a callback and stop on another thread at the same moment both return within a second."
        "The user presses stop where the file ends."
        "Inferred from hosts that stop within their callback."
    RestartAfterStopWithin "restart-after-stop-within" Running Should [StopWithinCallback]
        "After a stop within a callback start begins anew, with half 0 and position 0."
        "Players begin the next file."
        "NAudio; players that stop where their file ends."
    DisposeWithinCallback "dispose-within-callback" Running Should [StopWithinCallback]
        "disposeBuffers within a callback returns, no further block follows, and buffers can be made anew."
        "Some hosts tear down where they notice that they are done."
        "Inferred from hosts that stop within their callback."
    ReleaseWithinCallback "release-within-callback" Running Should [StopWithinCallback UnloadAfterRelease]
        "The last Release within a callback returns, no further block follows, and no thread of the driver is left three seconds later."
        "The last owner of a driver may be the callback itself."
        "Inferred from hosts that count references."
    StartWhileCallbackBlocked "start-while-callback-blocked" Running Should [StopWhileCallbackBlocked]
        "start while a callback of the last run has not returned yet is refused, or blocks come once it has; afterwards start works."
        "An OK after which nothing comes looks like a hang."
        "Inferred from hosts that try again."
    BlockedCallbackLeavesNothing "blocked-callback-leaves-nothing" Running Should [StopWhileCallbackBlocked UnloadAfterRelease]
        "If stop and Release were called while a callback stood still, no thread of the driver is left three seconds after it has returned."
        "Hosts open and close drivers all day."
        "Inferred."
    StopWithoutOutputReady "stop-without-output-ready" Running Must [SilenceAfterStop]
        "stop returns although the host has not called outputReady for its last block."
        "Max stops so."
        "FlexASIO issue 235."
    StopWhileAwaited "stop-while-awaited" Running Should [StopWithoutOutputReady]
        "stop does not wait for an outputReady that another thread owes: it returns within half a second."
        "The thread that would call it may be the one that stops."
        "FlexASIO issue 235."
    StopTwice "stop-twice" Running Should [Start]
        "A second stop, and one without a start, answer OK or InvalidMode and do no harm."
        "Roon's and Kodi's ends do it always."
        "Roon; Kodi."
    FailedStart "failed-start" Running Should [CreateBuffers]
        "A start that fails answers an error with a text, calls for no block, and may be tried again with the same buffers."
        "Devices are pulled out between createBuffers and start; Roon tries again after two seconds."
        "Roon's sample host."
    Restart "restart" Running Must [HalvesAlternate SilenceAfterStop]
        "start after stop begins anew with half 0 and position 0, many times, without new buffers."
        "Transport buttons do it."
        "The interface; JUCE."
    DisposeWhileRunning "dispose-while-running" Running Must [SilenceAfterStop]
        "disposeBuffers while running stops, and no block is called for afterwards."
        "Hosts leave stop out."
        "The interface; JUCE."
    ReleaseWhileRunning "release-while-running" Running Must [SilenceAfterStop]
        "The last Release while running stops and frees everything, and no block is called for afterwards."
        "cwASIO's own player ends so."
        "JUCE; cwASIO."
    HostFreesCallbacks "host-frees-callbacks" Running Must [Start]
        "After disposeBuffers the host's structures may be gone."
        "NAudio frees them straight afterwards."
        "NAudio; CamillaDSP."
    CallbacksAreCopied "callbacks-are-copied" Running Information [Start]
        "The four functions are copied in createBuffers, so that the host's structure need not live on."
        "ASIOTest has it on its stack; WineASIO crashes with it."
        "ASIOTest; WineASIO."
    ParallelCalls "parallel-calls" Running Should [Start]
        "Queries from four threads at once while blocks come do no harm."
        "User interfaces ask from their own thread."
        "FlexASIO issue 185."
    ThreadsOfAnyKind "threads-of-any-kind" Running Should [Start]
        "An object made on one thread runs from a second and is released on a third."
        "CamillaDSP does this."
        "CamillaDSP."
    RateChangeWhileRunning "rate-change-while-running" Running Should [Start RateFollowsSet]
        "setSampleRate while running is refused with InvalidMode, or taken and followed by blocks at that rate or a request to reset."
        "Players change the rate between tracks."
        "The interface; FlexASIO."
    QuietRun "quiet-run" Running Should [Start]
        "A steady run brings no request to reset or resynchronise and no change of rate."
        "JUCE opens the driver anew with each of them, again and again."
        "cpal, Roon and JUCE guard against it."
    ResetIsIgnored "reset-is-ignored" Running Must [Start]
        "After a request to reset that the host ignores blocks go on, and the request is not repeated more than once a second."
        "Ableton Live hangs if blocks cease before it has reset; PortAudio ignores the request."
        "Microsoft's driver on Ableton Live; PortAudio."
    ResetWithin "reset-within" Running Should [Start]
        "A host may stop, dispose and release within the request to reset."
        "Some do just that."
        "PipeASIO's change log."
    LongPosition "long-position" Running Should long [PositionSteps]
        "The position runs past 2³² frames."
        "A day at 48 kHz."
        "PipeASIO's change log."
    CallbackPriority "callback-priority" Running Information [Start]
        "The thread that calls for blocks has real-time priority."
        "Otherwise a busy machine makes clicks."
        "Microsoft's documentation on MMCSS; Linux' on SCHED_FIFO."
    PathOrder "path-order" Path Must [Start]
        "What is written to the outputs comes back at the inputs once and in order: no block dropped, repeated, swapped or shifted."
        "It is what a driver is for."
        "ASIOUtil's page on buffers; PipeASIO's loop-back test."
    PathBegins "path-begins" Path Should [PathOrder]
        "What the host writes in its first block is played as well, and followed by the second, whether it calls outputReady or not."
        "A short sound has its beginning there; the sum of blocks and the position would be off by one."
        "ASIOUtil's page on buffers; WineASIO calls for a first block that it does not play."
    PathChannels "path-channels" Path Must [PathOrder]
        "Each channel comes back on the channel of its number, all at the same time."
        "Left is left."
        "WineASIO issue 17."
    PathExact "path-exact" Path Should [PathOrder]
        "Every bit of the promised width comes back as it was sent, with every pattern."
        "Bit-perfect players and DoP rest on it."
        "The interface promises integers; FlexASIO's shared mode does not keep them."
    PathLatency "path-latency" Path Should [PathOrder]
        "The way round takes what getLatencies tells, within one frame; up to one block off is a warning."
        "Overdubs are placed by it."
        "The interface; ASIOUtil's page on buffers."
    PathConstant "path-constant" Path Should [PathLatency]
        "The way round takes the same at each start."
        "A host measures it once."
        "PortAudio issue 523."
    PathAfterRestart "path-after-restart" Path Should [PathConstant Restart]
        "After stop and a second start with the same buffers the path keeps order, and the way round takes the same."
        "Transport buttons do it."
        "Inferred from the rules for restart and path."
    OutputReadySaves "output-ready-saves" Path Should [PathLatency]
        "If outputReady answers OK, a host that calls it within each block is heard sooner than one that never calls it."
        "It is what the call is for; hosts that make the effort get nothing otherwise."
        "The interface's description of outputReady."
    PathLaterWrites "path-later-writes" Path Should [PathOrder PathBegins]
        "A host that writes its outputs on a thread of its own, after its callback and before the next block, without outputReady, is heard whole and in order."
        "The half of a block is the host's until the next block; who reads it at the callback's return plays what was there before."
        "The interface; OpenMPT works so where directProcess is 0."
    PathLaterAnswers "path-later-answers" Path Should [PathLaterWrites OutputReadySaves]
        "The same host is heard whole, in order and at the latency told if it calls outputReady when it is done, always or for every second block, and it is heard sooner for it."
        "Hosts with several processors make a block on another thread and call from there."
        "FlexASIO issues 180 and 261."
    OutputReadyCeases "output-ready-ceases" Path Should [PathLaterAnswers]
        "A host that has called outputReady from another thread and then only writes within its callback is heard again within 16 blocks."
        "Hosts change their way of working with their settings, while they play."
        "FlexASIO issue 261."
    PathSizes "path-sizes" Path Should [PathOrder]
        "At the least, preferred and greatest block size and at another rate the path keeps order and bits."
        "The project decides."
        "Inferred."
    UnwrittenOutputs "unwritten-outputs" Path Information [PathOrder]
        "Outputs that the host does not write bring silence or its own last samples, never another program's."
        "REW leaves some unwritten."
        "FlexASIO issue 43."
    IoFormatQuestion "io-format-question" Dsd Should [Init]
        "CanDoIoFormat and SetIoFormat agree about one-bit samples, and write no more than their structure; a refusal leaves −1."
        "Players ask one and use the other."
        "The interface; LUXMAN's driver in Roon's host."
    IoFormatPcm "io-format-pcm" Dsd Should [Init]
        "A driver that knows the questions about formats can do PCM, takes it, and says at first that it is in force."
        "Players go back to PCM before they leave."
        "The interface; Omega player."
    IoFormatWithBuffers "io-format-with-buffers" Dsd Should [CreateBuffers]
        "SetIoFormat while there are buffers is refused."
        "What is in use must not change."
        "The interface."
    DsdRun "dsd-run" Dsd Should [IoFormatQuestion CreateBuffers]
        "With one-bit samples chosen types, rates and sizes follow, a stream runs, and each half has as many bytes as a block has samples."
        "Kodi writes so many."
        "The interface; Kodi; Roon."
    PcmAgain "pcm-again" Dsd Should [IoFormatQuestion]
        "Back at PCM types and rates are as before, and GetIoFormat says so; a new object begins at PCM."
        "Players probe and leave."
        "Roon; Omega player."
    CallbackRate "callback-rate" Timing Must [Start]
        "Blocks come as often as frames and rate say, within 2% over the run."
        "Hosts count time by them."
        "The interface."
    Jitter "jitter" Timing Information [CallbackRate]
        "How regularly blocks come."
        "What a host may use of its time depends on it."
        "Measured."
    ClockDrift "clock-drift" Timing Information [CallbackRate]
        "How fast the device's clock runs against the system's, in millionths."
        "Recordings of two devices drift apart by it."
        "Measured."
    LoadedRun "loaded-run" Timing Should [CallbackRate]
        "A host that uses half of its time loses no block while the processor is busy with other things."
        "Hosts work."
        "Measured."
    HostPortAudio "host-portaudio" Hosts Should [Start]
        "The order of calls of PortAudio works, from its scan to its end."
        "Audacity and many others."
        "PortAudio."
    HostJuce "host-juce" Hosts Should [Start]
        "The order of calls of JUCE works, with its dummy run of 80 ms."
        "Most plug-in hosts."
        "JUCE."
    HostRtAudio "host-rtaudio" Hosts Should [Start]
        "The order of calls of RtAudio works: buffers made, disposed of and made again, outputs first, no time info function."
        "JackTrip, openFrameworks and many others."
        "RtAudio."
    HostNAudio "host-naudio" Hosts Should [Start]
        "The order of calls of NAudio works, with all channels, and everything freed straight after disposeBuffers."
        "Most .NET programs."
        "NAudio."
    HostRsAsio "host-rs-asio" Hosts Should [Start]
        "The order of calls of rs_asio works: a module as window, version 1, unloading at once."
        "Rocksmith."
        "rs_asio."
    HostRoon "host-roon" Hosts Should [Start]
        "The order of calls of Roon's output works: DSD tried, PCM again, the rate before sizes, only outputs."
        "Roon."
        "Roon's sample host."
    HostKodi "host-kodi" Hosts Should [Start]
        "The order of calls of Kodi works: a scan of all rates, 0 to every question, stop and dispose whatever happened."
        "Kodi."
        "Kodi."
    HostRew "host-rew" Hosts Should [Start RateIsRemembered]
        "The order of calls of REW works: the rate set, all released, a second object that goes by it."
        "REW, which measures rooms."
        "FlexASIO issue 31."
    HostCpal "host-cpal" Hosts Should [Start]
        "The order of calls of cpal works: garbage for a window, a dummy run at a rate, then the run."
        "Rust programs."
        "cpal."
}
