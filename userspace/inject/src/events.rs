//! Reading what the programs report.

use std::{
    net::{IpAddr, Ipv6Addr},
    os::fd::AsFd,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use fissure_abi::{Action, Direction, InjectionEvent};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::InjectError;

/// The programs wake a reader only when much has come together, so that a hit stays cheap; in between it looks by itself.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Names of the attached hosts, by number.
pub(crate) type HostNames = Arc<RwLock<Vec<Arc<str>>>>;

/// A packet that was hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The host in whose path it happened: the name given to [`Injector::attach`](crate::Injector::attach).
    pub host: Arc<str>,
    /// What the kernel reported.
    pub event: InjectionEvent,
}

impl Injection {
    /// Where the packet came from.
    #[must_use]
    pub fn src_addr(&self) -> IpAddr {
        Ipv6Addr::from(self.event.src.bytes()).to_canonical()
    }

    /// Where it was going.
    #[must_use]
    pub fn dst_addr(&self) -> IpAddr {
        Ipv6Addr::from(self.event.dst.bytes()).to_canonical()
    }

    /// Its direction within its connection.
    #[must_use]
    pub fn direction(&self) -> Direction {
        Direction::from_u8(self.event.direction)
    }

    /// What was done to it.
    #[must_use]
    pub fn action(&self) -> Action {
        Action::from_u32(self.event.action)
    }
}

/// The one reader of a loaded set of programs. It may outlive its [`Injector`](crate::Injector), to read what is left.
pub struct EventReader {
    ring: RingBuf<MapData>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    names: HostNames,
}

impl std::fmt::Debug for EventReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReader").finish_non_exhaustive()
    }
}

impl EventReader {
    pub(crate) fn new(
        ring: RingBuf<MapData>,
        logger: Option<EbpfLogger<&'static dyn log::Log>>,
        names: HostNames,
    ) -> Self {
        Self { ring, logger, names }
    }

    /// Appends what has been reported to `injections`, waiting up to `timeout` for the first of it. Gives how many there
    /// were; 0 after the time has passed. Also hands the programs' diagnostics to [`log`].
    ///
    /// # Errors
    ///
    /// [`InjectError::System`] if waiting fails.
    pub fn read(&mut self, timeout: Duration, injections: &mut Vec<Injection>) -> Result<usize, InjectError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(logger) = &mut self.logger {
                logger.flush();
            }
            let count = self.drain(injections);
            let left = deadline.saturating_duration_since(Instant::now());
            if count > 0 || left.is_zero() {
                return Ok(count);
            }
            self.wait(left.min(LOOK_EVERY))?;
        }
    }

    /// Appends what is there.
    fn drain(&mut self, injections: &mut Vec<Injection>) -> usize {
        let names = match self.names.read() {
            Ok(names) => names,
            Err(poisoned) => poisoned.into_inner(),
        };
        let unknown: Arc<str> = Arc::from("?");
        let before = injections.len();
        while let Some(item) = self.ring.next() {
            let Some(event) = event_from(&item) else { continue };
            let host = names.get(event.host as usize).unwrap_or(&unknown);
            injections.push(Injection { host: Arc::clone(host), event });
        }
        injections.len() - before
    }

    /// Throws away what is there, and gives how much it was; for measurements.
    #[doc(hidden)]
    pub fn discard(&mut self) -> usize {
        let mut count = 0;
        while self.ring.next().is_some() {
            count += 1;
        }
        count
    }

    fn wait(&self, at_most: Duration) -> Result<(), InjectError> {
        let millis = u16::try_from(at_most.as_millis()).unwrap_or(u16::MAX).max(1);
        let mut fds = [PollFd::new(self.ring.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(InjectError::System { what: "wait for events", source: errno.into() }),
        }
    }
}

/// The event in a record of the ring.
fn event_from(record: &[u8]) -> Option<InjectionEvent> {
    if record.len() < size_of::<InjectionEvent>() {
        return None;
    }
    // SAFETY: the record is long enough, and every pattern of bits is an event: it has integers and bytes only.
    Some(unsafe { record.as_ptr().cast::<InjectionEvent>().read_unaligned() })
}
