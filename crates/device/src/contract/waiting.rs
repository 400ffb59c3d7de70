//! Rules about waiting: polls, deadlines, wakers.

use super::drive::Drive;
use super::{Breach, MakeBench, Verdict, expect};
use crate::stream::Wake;
use barewire_rt::Role;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// On a machine that is not ours alone a wait may come late; a rule about time is tried so often.
const TRIES: u32 = 10;

/// Tries until it holds; the last breach if it never does. On a simulated clock once must do.
fn at_least_once(drive: &mut Drive, mut attempt: impl FnMut(&mut Drive) -> Verdict) -> Verdict {
    let tries = if drive.bench.system.is_simulated() { 1 } else { TRIES };
    let mut verdict = Ok(());
    for _ in 0..tries {
        verdict = attempt(drive);
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

pub(super) fn polls(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    drive.turns(4)?;
    at_least_once(&mut drive, |drive| {
        drive.turn()?;
        let begin = drive.now();
        let wake = drive.stream.wait(0);
        let passed = drive.now() - begin;
        expect(wake == Wake::Idle, || format!("{wake:?} with nothing due"))?;
        expect(passed < drive.period_ns() / 2, || format!("a poll took {passed} ns"))?;
        if drive.bench.system.is_simulated() {
            expect(passed == 0, || format!("a poll let {passed} ns pass"))?;
        }
        // Hardware that moves in steps may need a little longer than a period.
        for _ in 0..4 {
            drive.pass(drive.period_ns());
            if let Wake::Due(_) = drive.stream.wait(0) {
                return Ok(());
            }
        }
        Err(Breach::Broken("a poll does not find what has been due for long".to_owned()))
    })
}

pub(super) fn deadline(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    drive.turns(4)?;
    at_least_once(&mut drive, |drive| {
        drive.turn()?;
        let until = drive.now() + drive.period_ns() / 4;
        let wake = drive.stream.wait(until);
        let now = drive.now();
        expect(wake == Wake::Idle, || format!("{wake:?} a quarter of a period after one"))?;
        expect(now >= until, || format!("idle {} ns before the deadline", until - now))?;
        let late = now - until;
        expect(late < drive.period_ns() / 2, || format!("idle {late} ns after the deadline"))
    })
}

pub(super) fn woken_before(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let waker = drive.stream.waker();
    drive.turns(4)?;
    at_least_once(&mut drive, |drive| {
        drive.turn()?;
        let begin = drive.now();
        waker.wake();
        let wake = drive.stream.wait(begin + drive.period_ns() * 20);
        let passed = drive.now() - begin;
        expect(wake == Wake::Idle, || format!("{wake:?} although it was woken"))?;
        expect(passed < drive.period_ns() / 2, || format!("woken, yet it took {passed} ns"))
    })?;
    // The wake is used up.
    drive.turns(4).map(drop)
}

pub(super) fn woken_during(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let system = drive.bench.system.clone();
    if system.is_simulated() {
        return Err(Breach::NotTried("simulated time does not pass while another thread works"));
    }
    drive.turns(4)?;
    let (waker, done) = (drive.stream.waker(), Arc::new(AtomicBool::new(false)));
    let (its_system, its_done) = (system.clone(), done.clone());
    let nap = drive.period_ns() / 3;
    let body = Box::new(move || {
        while !its_done.load(Ordering::Acquire) {
            super::drive::pass(&*its_system, nap);
            waker.wake();
        }
    });
    let thread = system
        .spawn("waker", Role::Helper, body)
        .map_err(|_| Breach::NotTried("no thread could be started"))?;
    let mut woken = 0;
    for _ in 0..TRIES * 4 {
        let begin = drive.now();
        let wake = drive.stream.wait(begin + drive.period_ns() * 20);
        if wake == Wake::Idle && drive.now() < begin + drive.period_ns() {
            woken += 1;
        }
        drive.read(u64::MAX)?;
        drive.write(u64::MAX)?;
    }
    done.store(true, Ordering::Release);
    thread.join(system.join_deadline_ns(2_000_000_000));
    expect(woken > TRIES / 2, || format!("woken {woken} times in {} waits", TRIES * 4))
}
