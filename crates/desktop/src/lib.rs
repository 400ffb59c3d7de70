//! What the desktop's services grant over D-Bus: a sound card that others let go (`reservation`, on the session bus), and
//! real-time priority where the limits refuse it (`realtime`, on the system bus).
//!
//! Every call blocks for as long as another program takes to answer, three seconds at most: the keeper and control threads
//! call it, never the device thread. Where there is no bus nothing is granted and nothing fails.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod realtime;
mod reservation;

pub use realtime::make_realtime;
pub use reservation::{Reservation, reserve};

use std::time::Duration;
use zbus::blocking::{Connection, Proxy, proxy};
use zbus::proxy::CacheProperties;

/// How long a program may take to answer: PipeWire gives others three seconds as well.
const PATIENCE: Duration = Duration::from_secs(3);

/// An object of another program's, whose properties are asked for one by one: PipeWire's holder knows no other way.
fn uncached<'a>(
    connection: &Connection,
    name: &'a str,
    path: &'a str,
    interface: &'a str,
) -> zbus::Result<Proxy<'a>> {
    let builder = proxy::Builder::new(connection).destination(name)?.path(path)?;
    builder.interface(interface)?.cache_properties(CacheProperties::No).build()
}
