//! Starts a child for each case, watches it, and judges what became of it.

use crate::case::{Case, Group};
use crate::child;
use crate::outcome::{Answer, Outcome, Status};
use barewire_types::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is to be run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cases, in any order.
    pub cases: Vec<Case>,
    /// Long cases run too.
    pub long: bool,
    /// Children at once. Cases that measure time run alone.
    pub jobs: usize,
    /// How long a case may take.
    pub patience: Duration,
    /// Nothing new is begun after the first failure.
    pub stop_at_failure: bool,
    /// Draws the order in which cases are begun, each still after those that it rests on; without it they are begun in the
    /// order of the table.
    pub seed: Option<u64>,
}

impl Plan {
    /// Everything, two at a time.
    pub fn all() -> Self {
        Self {
            cases: Case::ALL.to_vec(),
            long: false,
            jobs: 2,
            patience: Duration::from_secs(20),
            stop_at_failure: false,
            seed: None,
        }
    }
}

/// Another order, the same for the same seed: Fisher and Yates, with xorshift64*.
fn shuffle(cases: &mut [Case], seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for last in (1..cases.len()).rev() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let word = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        // The remainder is smaller than the length.
        cases.swap(last, usize::try_from(word % (last as u64 + 1)).unwrap_or(0));
    }
}

struct State {
    waiting: VecDeque<Case>,
    /// Verdicts so far; `None` while a case runs.
    judged: BTreeMap<Case, Option<Status>>,
    outcomes: Vec<Outcome>,
    failed: bool,
}

impl State {
    /// The groups of the cases that run now.
    fn running(&self) -> Vec<Group> {
        let runs = self.judged.iter().filter(|(_, status)| status.is_none());
        runs.map(|(case, _)| case.about().group).collect()
    }

    /// The next case that need not wait for another: all that it rests on is judged, or was not chosen. What measures time
    /// runs alone; and of what sends a pattern round one at a time, for a driver of several programs mixes them.
    fn take(&mut self) -> Option<Case> {
        let running = self.running();
        if running.contains(&Group::Timing) {
            return None;
        }
        let free = |case: &Case| {
            let ready = case.about().rests_on.iter().all(|base| {
                !self.waiting.contains(base) && !matches!(self.judged.get(base), Some(None))
            });
            let undisturbed = match case.about().group {
                Group::Timing => running.is_empty(),
                Group::Path => !running.contains(&Group::Path),
                _ => true,
            };
            ready && undisturbed
        };
        let place = self.waiting.iter().position(free)?;
        let case = self.waiting.remove(place)?;
        self.judged.insert(case, None);
        Some(case)
    }

    /// Why `case` would say nothing.
    fn unjudged(&self, case: Case) -> Option<Status> {
        case.about().rests_on.iter().find_map(|base| {
            let status = self.judged.get(base)?.as_ref()?;
            let broken = status.is_failure() || matches!(status, Status::NotJudged { .. });
            let because = format!(
                "it rests on {base}, which {}",
                match status {
                    Status::NotJudged { .. } => "was not judged",
                    _ => "failed",
                }
            );
            broken.then_some(Status::NotJudged { because })
        })
    }
}

/// Runs the plan. `command` gives the command that calls [`crate::child`] for a case, with the files for its answer and its
/// calls; `tell` hears of each outcome as it comes.
///
/// # Errors
/// If a folder for answers or a child cannot be made.
pub fn run(
    plan: &Plan,
    command: impl Fn(Case, &Path, &Path) -> Command + Sync,
    tell: impl Fn(&Outcome) + Sync,
) -> Result<Vec<Outcome>> {
    let folder = tempfile::tempdir().map_err(Error::from)?;
    let mut cases = plan.cases.clone();
    cases.sort_unstable();
    cases.dedup();
    if let Some(seed) = plan.seed {
        shuffle(&mut cases, seed);
    }
    let state = Mutex::new(State {
        waiting: cases.into(),
        judged: BTreeMap::new(),
        outcomes: Vec::new(),
        failed: false,
    });
    let change = Condvar::new();
    let trouble = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                let work = Work { plan, folder: folder.path(), command: &command, tell: &tell };
                if let Err(error) = work.run(&state, &change) {
                    *trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    state.lock().unwrap_or_else(PoisonError::into_inner).waiting.clear();
                    change.notify_all();
                }
            });
        }
    });
    if let Some(error) = trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut outcomes = state.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes;
    outcomes.sort_by_key(|outcome| outcome.case);
    Ok(outcomes)
}

struct Work<'a, C, T> {
    plan: &'a Plan,
    folder: &'a Path,
    command: &'a C,
    tell: &'a T,
}

impl<C: Fn(Case, &Path, &Path) -> Command + Sync, T: Fn(&Outcome) + Sync> Work<'_, C, T> {
    fn run(&self, state: &Mutex<State>, change: &Condvar) -> Result<()> {
        let mut held = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if held.waiting.is_empty() || (self.plan.stop_at_failure && held.failed) {
                return Ok(());
            }
            let Some(case) = held.take() else {
                held = change.wait(held).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let known = held.unjudged(case);
            drop(held);
            let outcome = match known {
                Some(status) => Ok(outcome(case, status, Vec::new(), Instant::now())),
                None if case.about().is_long && !self.plan.long => {
                    Ok(outcome(case, Status::NotRun, Vec::new(), Instant::now()))
                }
                None => self.judge(case),
            };
            held = state.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    held.judged.remove(&case);
                    return Err(error);
                }
            };
            (self.tell)(&outcome);
            held.failed |= outcome.status.is_failure();
            held.judged.insert(case, Some(outcome.status.clone()));
            held.outcomes.push(outcome);
            change.notify_all();
        }
    }

    fn judge(&self, case: Case) -> Result<Outcome> {
        let begin = Instant::now();
        let file = |kind: &str| self.folder.join(format!("{case}.{kind}"));
        let (answer, calls, words) = (file("answer"), file("calls"), file("words"));
        let mut command = (self.command)(case, &answer, &calls);
        let errors = std::fs::File::create(&words).map_err(Error::from)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let mut child = command
            .spawn()
            .map_err(|error| Error::from(error).context(command.get_program().to_string_lossy()))?;
        let ended = watch(&mut child, self.plan.patience)?;
        let written = std::fs::read(&answer).ok();
        if let Some(answer) = written.and_then(|text| serde_json::from_slice::<Answer>(&text).ok())
        {
            return Ok(outcome(case, answer.status, answer.notes, begin));
        }
        let found = std::fs::read_to_string(child::found_beside(&calls)).ok();
        let mut notes: Vec<String> =
            found.map(|words| format!("before that it {words}")).into_iter().collect();
        let calls = std::fs::read_to_string(&calls).unwrap_or_default();
        let during = match calls.trim() {
            "" => "nothing yet".to_owned(),
            call => camel(call),
        };
        let Some(status) = ended else {
            let after_s = self.plan.patience.as_secs();
            return Ok(outcome(case, Status::Hung { after_s, during }, notes, begin));
        };
        let words = std::fs::read(&words).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        if words.starts_with(UNABLE) {
            return Err(Error::new(ErrorKind::Bug, words));
        }
        notes.extend(words.lines().last().map(|line| format!("its last words: {line}")));
        let how = format!("the process ended with {status}");
        let status = Status::Crashed { how, during };
        Ok(outcome(case, status, notes, begin))
    }
}

/// What a child begins its words with if the suite itself, not the driver, is at fault.
pub(crate) const UNABLE: &str = "the suite cannot";

fn outcome(case: Case, status: Status, notes: Vec<String>, begin: Instant) -> Outcome {
    let seconds = begin.elapsed().as_secs_f64();
    Outcome { case, level: case.about().level, status, notes, seconds }
}

/// Waits for the child's end; ends it itself if it takes too long, and answers `None`.
fn watch(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().map_err(Error::from)? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            child.wait().map_err(Error::from)?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `get_channels` as the interface spells it.
fn camel(call: &str) -> String {
    let mut words = call.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.push_str(letters.as_str());
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is begun beside `running`, if only `waiting` waits.
    fn beside(running: &[Case], waiting: Case) -> Option<Case> {
        let judged = running.iter().map(|case| (*case, None)).collect();
        let waiting = VecDeque::from([waiting]);
        State { waiting, judged, outcomes: Vec::new(), failed: false }.take()
    }

    #[test]
    fn patterns_go_round_one_at_a_time() {
        assert_eq!(beside(&[Case::PathExact], Case::PathSizes), None);
        assert_eq!(beside(&[Case::Restart], Case::PathSizes), Some(Case::PathSizes));
        assert_eq!(beside(&[Case::PathExact], Case::Restart), Some(Case::Restart));
    }

    #[test]
    fn what_a_rule_found_is_told_although_the_process_ends_without_an_answer() {
        let plan = Plan { cases: vec![Case::Start], ..Plan::all() };
        let command = |_: Case, _: &Path, calls: &Path| {
            std::fs::write(child::found_beside(calls), "saw a; expected b").expect("a file");
            // This very program lists its tests, and ends.
            let mut command = Command::new(std::env::current_exe().expect("a test has a file"));
            command.arg("--list");
            command
        };
        let outcomes = run(&plan, command, |_| {}).expect("a child");
        assert!(matches!(outcomes[0].status, Status::Crashed { .. }), "{outcomes:?}");
        assert_eq!(outcomes[0].notes, ["before that it saw a; expected b"]);
    }

    #[test]
    fn what_measures_time_runs_alone() {
        assert_eq!(beside(&[], Case::Jitter), Some(Case::Jitter));
        assert_eq!(beside(&[Case::Restart], Case::Jitter), None);
        assert_eq!(beside(&[Case::Jitter], Case::Restart), None);
    }
}
