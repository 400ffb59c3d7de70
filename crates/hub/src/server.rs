//! The hub's door: a thread that waits for callers, and one for each of them.

use crate::hub::{Admission, Hub};
use barewire_rt::{Role, System, Thread};
use barewire_share::memory::Handle;
use barewire_share::message::{self, Answer, Ask, Who};
use barewire_share::socket::{Door, Line};
use barewire_types::{Error, ErrorKind, Ns, Result};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Callers at a time: each client has one line, and some only look.
const MOST_LINES: usize = 96;
/// Messages a second of one caller; more is a flood, and the line is cut.
const MOST_A_SECOND: u32 = 500;
/// How often the door looks whether the hub has ended.
const LOOK: Duration = Duration::from_millis(100);
/// How long a caller may take to introduce itself.
const GREETING: Duration = Duration::from_secs(2);
/// A caller may be silent for as long as it likes.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// Serves a hub at an address.
pub struct Server {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    hub: Arc<Hub>,
    system: Arc<dyn System>,
    quit: AtomicBool,
    lines: AtomicUsize,
    open: Mutex<Vec<Arc<Line>>>,
}

impl Server {
    /// Opens the door.
    ///
    /// # Errors
    /// `Busy` if another hub serves there.
    pub fn open(hub: Arc<Hub>, system: Arc<dyn System>, address: &Path) -> Result<Self> {
        let door = Door::open(address)?;
        let shared = Arc::new(Shared {
            hub,
            system: system.clone(),
            quit: AtomicBool::new(false),
            lines: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let its = shared.clone();
        let body = Box::new(move || its.wait(&door));
        let thread = system.spawn("barewire-door", Role::Helper, body)?;
        Ok(Self { shared, thread })
    }

    /// Cuts all lines and closes the door.
    pub fn close(self, patience_ns: Ns) {
        self.shared.quit.store(true, Ordering::Release);
        for line in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line.hang_up();
        }
        self.thread.join(self.shared.system.join_deadline_ns(patience_ns));
    }
}

impl Shared {
    fn wait(self: &Arc<Self>, door: &Door) {
        while !self.quit.load(Ordering::Acquire) && !self.hub.has_ended() {
            let Ok(Some(line)) = door.next(LOOK) else { continue };
            if self.lines.fetch_add(1, Ordering::AcqRel) >= MOST_LINES {
                self.lines.fetch_sub(1, Ordering::AcqRel);
                let full = Error::new(ErrorKind::Busy, "the hub has too many callers");
                let _ = tell(&line, &Answer::refused(&full), &[]);
                continue;
            }
            let line = Arc::new(line);
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            let its = self.clone();
            let body = Box::new(move || {
                its.serve(&line);
                let mut open = its.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.retain(|other| !Arc::ptr_eq(other, &line));
                its.lines.fetch_sub(1, Ordering::AcqRel);
            });
            if self.system.spawn("barewire-line", Role::Helper, body).is_err() {
                self.lines.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// A conversation, until the caller goes or misbehaves.
    fn serve(&self, line: &Line) {
        let mut session = Session { hub: &self.hub, who: None, client: None };
        // Read before the user is looked at: a refusal to one who is still speaking would be lost with the line.
        let greeted = line.receive(message::MOST_ASK_BYTES, GREETING).and_then(|body| {
            line.check_user()?;
            message::hello(&body, env!("CARGO_PKG_VERSION"))
        });
        match greeted {
            Ok(who) => session.who = Some(who),
            Err(error) => {
                // It may have gone already.
                let _ = tell(line, &Answer::refused(&error), &[]);
                return;
            }
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let welcome = Answer::Welcome { protocol: barewire_share::PROTOCOL, version };
        if tell(line, &welcome, &[]).is_err() {
            return;
        }
        let mut flood = Flood::default();
        while let Ok(body) = line.receive(message::MOST_ASK_BYTES, FOR_EVER) {
            if !flood.allows(self.system.now_ns()) {
                let error = Error::new(ErrorKind::Denied, "too many messages");
                let _ = tell(line, &Answer::refused(&error), &[]);
                break;
            }
            let (answer, admission) = session.answer(&body);
            let blocks = admission.as_ref().map(|admission| &admission.blocks);
            let handles: Vec<&Handle> =
                blocks.into_iter().flatten().filter_map(|block| block.handle()).collect();
            if tell(line, &answer, &handles).is_err() {
                break;
            }
        }
    }
}

fn tell(line: &Line, answer: &Answer, handles: &[&Handle]) -> Result<()> {
    line.send(&message::framed(answer)?, handles)
}

/// Counts messages.
#[derive(Default)]
struct Flood {
    second: u64,
    count: u32,
}

impl Flood {
    fn allows(&mut self, now_ns: Ns) -> bool {
        let second = now_ns / 1_000_000_000;
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
        self.count <= MOST_A_SECOND
    }
}

/// One caller.
struct Session<'a> {
    hub: &'a Hub,
    who: Option<Who>,
    client: Option<u32>,
}

impl Session<'_> {
    fn answer(&mut self, body: &[u8]) -> (Answer, Option<Admission>) {
        match message::ask(body).and_then(|ask| self.obey(ask)) {
            Ok((answer, admission)) => (answer, admission),
            Err(error) => (Answer::refused(&error), None),
        }
    }

    fn obey(&mut self, ask: Ask) -> Result<(Answer, Option<Admission>)> {
        let who = self.who.clone().unwrap_or_default();
        let not_in = || Error::new(ErrorKind::WrongState, "this caller was not let in");
        let answer = match ask {
            Ask::Hello { .. } => {
                return Err(Error::new(ErrorKind::WrongState, "one hello is enough"));
            }
            Ask::Describe {} => Answer::Device { device: Box::new(self.hub.describe(&who)?) },
            Ask::Attach { wish } => {
                if self.client.is_some() {
                    return Err(Error::new(ErrorKind::WrongState, "this caller is in already"));
                }
                let admission = self.hub.attach(&who, &wish)?;
                self.client = Some(admission.attached.client);
                let attached = admission.attached.clone();
                return Ok((Answer::Attached { attached }, Some(admission)));
            }
            Ask::Start {} => {
                self.hub.start(self.client.ok_or_else(not_in)?)?;
                Answer::Done {}
            }
            Ask::Stop {} => {
                self.hub.stop(self.client.ok_or_else(not_in)?);
                Answer::Done {}
            }
            Ask::Report {} => Answer::Report { report: Box::new(self.hub.report()) },
            Ask::Tune { client, gain, muted } => {
                self.hub.tune(&client, gain, muted)?;
                Answer::Done {}
            }
            Ask::End { now } => {
                if now {
                    self.hub.close();
                } else {
                    self.hub.end_after_last();
                }
                Answer::Done {}
            }
        };
        Ok((answer, None))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.hub.detach(client);
        }
    }
}
