//! Real-time priority from RealtimeKit, which grants it to programs of the person that sits at the machine, within bounds:
//! a highest priority, and a limit on the time that a thread may run without a pause.

use crate::{PATIENCE, uncached};
use barewire_types::{Error, ErrorKind, Result};
use zbus::blocking::connection;

const SERVICE: &str = "org.freedesktop.RealtimeKit1";
const PATH: &str = "/org/freedesktop/RealtimeKit1";

/// Asks for real-time priority for a thread of this process, `priority` at most.
///
/// # Errors
/// `Denied` if there is no RealtimeKit, or it refuses.
pub fn make_realtime(thread: u64, priority: u32) -> Result<()> {
    granted(thread, priority).map_err(|error| {
        let text = format!("RealtimeKit does not grant real-time priority: {error}");
        Error::new(ErrorKind::Denied, text).remedy("see that the service rtkit-daemon runs")
    })
}

fn granted(thread: u64, priority: u32) -> zbus::Result<()> {
    let connection = connection::Builder::system()?.method_timeout(PATIENCE).build()?;
    let proxy = uncached(&connection, SERVICE, PATH, SERVICE)?;
    let most: i32 = proxy.get_property("MaxRealtimePriority")?;
    let limit_us: i64 = proxy.get_property("RTTimeUSecMax")?;
    // It refuses processes without a limit on the time that a thread may take in one go.
    barewire_rt::limit_real_time(u64::try_from(limit_us).unwrap_or(0));
    let priority = priority.min(u32::try_from(most).unwrap_or(0));
    let process = u64::from(std::process::id());
    proxy.call("MakeThreadRealtimeWithPID", &(process, thread, priority))
}
