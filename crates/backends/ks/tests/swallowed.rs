//! A driver that never gives memory back: it is left to it. Apart from the other faults, since memory is lost on purpose, and
//! on the fake alone, since Wine's driver process would keep the requests for good.

#![cfg(not(windows))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod lab;

use barewire_device::{Loss, Wake};
use barewire_ks::Options;
use barewire_ks_device::Description;
use barewire_rt::System;
use lab::Lab;

#[test]
fn memory_that_is_never_given_back_is_never_freed() {
    let card = Description {
        looped: false,
        streaming: true,
        swallows_packets: true,
        ..Description::default()
    };
    let lab = Lab::new(card);
    let mut stream = lab.open(Options::default(), &lab.request(64));
    stream.start().unwrap();
    while !matches!(stream.wait(lab.system.now_ns() + 100_000_000), Wake::Due(_)) {}
    let begin = lab.system.now_ns();
    stream.stop();
    let passed = lab.system.now_ns() - begin;
    assert!(passed < 5_000_000_000, "a stop that waits {passed} ns");
    assert_eq!(stream.start(), Err(Loss::Stalled), "the driver is not trusted again");
    drop(stream);
    // The fake looks at each page that is freed, and at each ticket that is dropped.
    assert_eq!(lab.hand.faults(), Vec::<String>::new());
}
