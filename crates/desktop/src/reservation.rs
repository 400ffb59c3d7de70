//! Sound cards that sound servers hold, borrowed by the protocol `org.freedesktop.ReserveDevice1`: who has the card owns a
//! name on the session bus, lets go when it is asked with a higher priority, and takes the card again when the name is
//! free. PulseAudio, PipeWire (`WirePlumber`) and JACK keep to it.

use crate::{PATIENCE, uncached};
use barewire_types::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};
use zbus::blocking::{Connection, connection};
use zbus::fdo::RequestNameFlags;

const INTERFACE: &str = "org.freedesktop.ReserveDevice1";
const FOLDER: &str = "/org/freedesktop/ReserveDevice1";
/// Above sound servers (PulseAudio 0, `WirePlumber` −20), below JACK, which asks with the highest there is.
const PRIORITY: i32 = 1000;
const OWN_NAME: &str = "Barewire";

/// A card that is ours. Dropped, it is everybody's again: whoever had it before takes it back.
#[derive(Debug)]
pub struct Reservation {
    connection: Connection,
    name: String,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // With the connection the name would go as well, but later.
        let _ = self.connection.release_name(self.name.as_str());
    }
}

/// What others can ask of us while we have a card.
struct Holder {
    device: String,
}

#[zbus::interface(name = "org.freedesktop.ReserveDevice1")]
impl Holder {
    /// A program plays or records: it is not interrupted.
    fn request_release(&self, _priority: i32) -> bool {
        false
    }

    #[zbus(property)]
    fn priority(&self) -> i32 {
        PRIORITY
    }

    #[zbus(property)]
    fn application_name(&self) -> &'static str {
        OWN_NAME
    }

    #[zbus(property)]
    fn application_device_name(&self) -> &str {
        &self.device
    }
}

/// Asks whoever has the card to let it go, and takes it. `None` where there is no session bus.
///
/// # Errors
/// `Busy` if the holder does not let go; the sentence names it.
pub fn reserve(card: u32) -> Result<Option<Reservation>> {
    let device = format!("Audio{card}");
    let (name, path) = (format!("{INTERFACE}.{device}"), format!("{FOLDER}/{device}"));
    let holder = Holder { device: format!("hw:{card}") };
    let Ok(connection) = connect(&path, holder) else { return Ok(None) };
    if !take(&connection, &name, false)? {
        ask(&connection, &name, &path, card)?;
        let end = Instant::now() + PATIENCE;
        // It said yes; some give the name away after their answer.
        while !take(&connection, &name, true)? {
            if Instant::now() > end {
                return Err(refused(&connection, &name, &path, card));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(Some(Reservation { connection, name }))
}

fn connect(path: &str, holder: Holder) -> zbus::Result<Connection> {
    connection::Builder::session()?.method_timeout(PATIENCE).serve_at(path, holder)?.build()
}

/// Whether the name is ours now; `replaces` a holder that has said yes.
fn take(connection: &Connection, name: &str, replaces: bool) -> Result<bool> {
    let mut flags = RequestNameFlags::DoNotQueue.into();
    if replaces {
        flags |= RequestNameFlags::ReplaceExisting;
    }
    match connection.request_name_with_flags(name, flags) {
        Ok(_) => Ok(true),
        Err(zbus::Error::NameTaken) => Ok(false),
        Err(error) => {
            let text = format!("the session bus does not give out the name {name}: {error}");
            Err(Error::new(ErrorKind::Malfunction, text).remedy("log in anew"))
        }
    }
}

/// Asks the holder to let go.
fn ask(connection: &Connection, name: &str, path: &str, card: u32) -> Result<()> {
    let answer = uncached(connection, name, path, INTERFACE)
        .and_then(|proxy| proxy.call::<_, _, bool>("RequestRelease", &(PRIORITY,)));
    match answer {
        Ok(true) => Ok(()),
        _ => Err(refused(connection, name, path, card)),
    }
}

fn refused(connection: &Connection, name: &str, path: &str, card: u32) -> Error {
    let named = uncached(connection, name, path, INTERFACE)
        .and_then(|proxy| proxy.get_property::<String>("ApplicationName"));
    let who = named.unwrap_or_else(|_| "another program".to_owned());
    let text = format!("sound card {card} is reserved by {who}, which does not let it go");
    Error::new(ErrorKind::Busy, text).remedy(format!("end {who}, or play through it"))
}
