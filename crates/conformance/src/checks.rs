//! What each case does. One function for each, called by [`check`]; what they share is in `desk`.

mod buffers;
mod clock;
mod com;
mod dsd;
mod footprint;
mod hosts;
mod init;
mod loading;
mod path;
mod queries;
mod rates;
mod running;
mod stopping;
mod timing;
mod within;

pub(crate) use init::is_a_code;

use crate::case::Case;
use crate::desk::{Check, Desk};

/// Runs a case.
pub(crate) fn check(case: Case, desk: &Desk) -> Check {
    let body = match case {
        Case::Registration
        | Case::RegisteredName
        | Case::Instantiation
        | Case::ReleaseBeforeInit
        | Case::QueryInterface
        | Case::ReferenceCounts
        | Case::InstancesLeaveNothing
        | Case::UnloadAfterRelease
        | Case::StackBalance => loading::body(case),
        Case::ThreadingModel | Case::BothWidths | Case::Apartments | Case::Aggregation => {
            com::body(case)
        }
        Case::CanSampleRate
        | Case::AbsurdRates
        | Case::SampleRate
        | Case::RateFollowsSet
        | Case::RefusedRate
        | Case::ExternalClockRate
        | Case::SameRateIsQuiet
        | Case::RateIsRemembered => rates::body(case),
        Case::SlowHost
        | Case::SilenceAfterStop
        | Case::StopWhileCallbackBlocked
        | Case::StopWithinCallback
        | Case::StopWithoutOutputReady
        | Case::StopTwice
        | Case::Restart
        | Case::DisposeWhileRunning
        | Case::ReleaseWhileRunning
        | Case::HostFreesCallbacks
        | Case::CallbacksAreCopied
        | Case::ResetIsIgnored
        | Case::ResetWithin => stopping::body(case),
        Case::CanTimeInfo
        | Case::RateChangedFlag
        | Case::TimeSteps
        | Case::PositionKeepsTime
        | Case::LossesAreTold => clock::body(case),
        Case::StopOnBothSides
        | Case::RestartAfterStopWithin
        | Case::DisposeWithinCallback
        | Case::ReleaseWithinCallback
        | Case::StartWhileCallbackBlocked
        | Case::BlockedCallbackLeavesNothing
        | Case::StopWhileAwaited
        | Case::FailedStart => within::body(case),
        other => match other.about().group {
            crate::Group::Loading | crate::Group::Init => init::body(other),
            crate::Group::Queries => queries::body(other),
            crate::Group::Buffers => buffers::body(other),
            crate::Group::Running => running::body(other),
            crate::Group::Path => path::body(other),
            crate::Group::Dsd => dsd::body(other),
            crate::Group::Timing => timing::body(other),
            crate::Group::Hosts => hosts::body(other),
        },
    };
    match body {
        Some(body) => body(desk),
        None => crate::desk::unjudged("the suite has no test for this rule"),
    }
}

/// A case's test.
type Body = fn(&Desk) -> Check;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_test() {
        use crate::desk::{End, Options};
        // A driver that cannot be loaded: each case gets as far as that, or says that it does not apply.
        let source = barewire_host::Source::file("no such driver");
        for &case in Case::ALL {
            let desk = Desk::new(source.clone(), Options::default());
            match check(case, &desk) {
                Err(End::NotJudged(text)) => assert!(!text.contains("no test"), "{case}"),
                Err(_) => {}
                Ok(()) => panic!("{case} passes without a driver"),
            }
        }
    }
}
