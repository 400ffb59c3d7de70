//! The words between hub and client in every order of loads and stores that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p barewire-share --test loom --release`
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test may stop the world")]

use barewire_share::Cycle;
use barewire_share::layout::{GateWords, HeadWords, PageWords};
use barewire_share::slot::turn;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use loom::thread;

fn cycle(number: u32) -> Cycle {
    Cycle {
        number,
        position_frames: u64::from(number) << 33 | 5,
        at_ns: u64::from(number) << 34 | 6,
        answer_by_ns: u64::from(number) << 35 | 7,
        rate_hz: 48_000 + number,
        block_frames: 64 + number,
    }
}

#[test]
fn a_page_is_read_whole_or_not_at_all() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let page = Arc::new(PageWords::zeroed());
        page.publish(&cycle(1));
        let its = page.clone();
        let writer = thread::spawn(move || {
            its.publish(&cycle(2));
            its.publish(&cycle(3));
        });
        if let Some(read) = page.read() {
            assert_eq!(read, cycle(read.number));
        }
        writer.join().unwrap();
        assert_eq!(page.read(), Some(cycle(3)));
    });
}

#[test]
fn samples_are_there_when_a_turn_is_begun_and_when_it_is_answered() {
    loom::model(|| {
        let head = Arc::new(HeadWords::zeroed());
        let samples = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let (its, its_samples) = (head.clone(), samples.clone());
        let client = thread::spawn(move || {
            if its.begun() == turn(1, 0) {
                assert_eq!(its_samples[0].load(Relaxed), 11, "the inputs of the turn");
                its_samples[1].store(22, Relaxed);
                its.answer(turn(1, 0), 0);
            }
        });
        samples[0].store(11, Relaxed);
        head.begin(turn(1, 0));
        if head.answered() == turn(1, 0) {
            assert_eq!(samples[1].load(Relaxed), 22, "the outputs of the turn");
        }
        client.join().unwrap();
    });
}

#[test]
fn the_hub_never_sleeps_through_an_answer() {
    loom::model(|| {
        let head = Arc::new(HeadWords::zeroed());
        let its = head.clone();
        let client = thread::spawn(move || its.answer(turn(1, 1), 0));
        // The hub sleeps if it has not seen the answer; then the client must have seen that it is to wake the hub.
        let sleeps = head.wait_for() != turn(1, 1);
        let wakes = client.join().unwrap();
        assert!(!sleeps || wakes, "asleep, and nobody wakes it");
    });
}

#[test]
fn of_all_answers_exactly_one_opens_the_gate() {
    loom::model(|| {
        let gate = Arc::new(GateWords::zeroed());
        gate.open(7, 2);
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let its = gate.clone();
                thread::spawn(move || its.count_down(7))
            })
            .collect();
        // An answer that comes a cycle too late counts for nothing.
        assert!(!gate.count_down(6));
        let opened = clients.into_iter().map(|client| client.join().unwrap());
        assert_eq!(opened.filter(|&opened| opened).count(), 1);
        assert_eq!(gate.missing(), None);
    });
}

#[test]
fn what_is_told_is_read_whole_or_not_at_all() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let head = Arc::new(HeadWords::zeroed());
        let its = head.clone();
        let teller = thread::spawn(move || {
            its.tell([1; 6]);
            its.tell([2; 6]);
        });
        if let Some(told) = head.told() {
            assert!(told.iter().all(|&word| word == told[0]), "{told:?}");
        }
        teller.join().unwrap();
        assert_eq!(head.told(), Some([2; 6]));
    });
}
