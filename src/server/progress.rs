//! The stages of a connection, and their consequences.
//!
//! A connection has one request at a time. With pipelining, the next request begins when the whole response is written.
//!
//! | Stage | Deadline | Eviction | Next stage |
//! |---|---|---|---|
//! | `Idle`: no byte of a request | header timeout after the connection was opened, idle timeout after a response | 1st | `Headers` with the first byte |
//! | `Headers`: not complete | header timeout after the connection was opened, or after the first byte of a later request | 2nd, from the first byte on | `Body` when complete |
//! | `Body`: not complete | the service's | 4th, from the last byte on | `Response` with the end, or the service's response |
//! | `Response`: being prepared or written | none | never | `Unread` when the socket takes no more |
//! | `Unread`: the client does not read | write timeout after the socket took no more, until all is written | 3rd, after 5 s | `Response` when all is written |
//! | `Evicted` | at once | | none |
//!
//! When the body of a response has ended and everything is written, the stage is `Idle`; or `Headers`, if bytes have
//! arrived since the request was complete. (Bytes in one packet with the end of a request cannot be distinguished from
//! it: then the stage is `Idle`.)
//!
//! No step back and no single byte moves a deadline. For eviction, see [`EvictionQueue`]: a single byte can delay the
//! third and the fourth.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::ServerLimits;
use super::queue::{EvictionPosition, EvictionQueue, Member, Ticket, Tier};
use super::socket::SocketProbe;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle {
        since: Instant,
        deadline: Option<Instant>,
        is_new: bool,
    },
    Headers {
        first_byte: Instant,
        deadline: Option<Instant>,
    },
    Body {
        last_byte: Instant,
    },
    Response(Writing),
    Unread {
        since: Instant,
        deadline: Option<Instant>,
        writing: Writing,
    },
    /// The connection was closed for another one, or has ended.
    Evicted,
}

/// The state of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Writing {
    /// Whether its body has ended.
    has_ended: bool,
    /// Whether bytes have arrived since the request was complete.
    has_next: bool,
}

/// An event of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    BytesArrived,
    HeadersComplete,
    /// The request is complete, or its response does not depend on the rest of it.
    RequestComplete,
    /// The body of the response has ended, but might not be written yet.
    ResponseEnded,
    /// The socket accepts no more.
    WriteBlocked,
    /// All available data is written.
    Flushed,
}

impl Stage {
    /// Returns the stage of a new connection.
    pub(super) fn opened(now: Instant, limits: &ServerLimits) -> Self {
        Self::Idle { since: now, deadline: now.checked_add(limits.header_timeout), is_new: true }
    }

    /// Returns the stage after an event.
    pub(super) fn after(self, event: Event, now: Instant, limits: &ServerLimits) -> Self {
        let from_now = |timeout: Duration| now.checked_add(timeout);
        match (self, event) {
            (Self::Idle { deadline, is_new, .. }, Event::BytesArrived) => {
                let deadline = if is_new { deadline } else { from_now(limits.header_timeout) };
                Self::Headers { first_byte: now, deadline }
            }
            (Self::Body { .. }, Event::BytesArrived) => Self::Body { last_byte: now },
            // The headers might have arrived together with the previous request.
            (Self::Idle { .. } | Self::Headers { .. }, Event::HeadersComplete) => {
                Self::Body { last_byte: now }
            }
            (Self::Body { .. }, Event::RequestComplete) => Self::Response(Writing::default()),
            (Self::Response(writing), Event::WriteBlocked) => {
                Self::Unread { since: now, deadline: from_now(limits.write_timeout), writing }
            }
            (Self::Response(writing) | Self::Unread { writing, .. }, Event::Flushed) => {
                match writing {
                    Writing { has_ended: false, .. } => Self::Response(writing),
                    Writing { has_next: true, .. } => {
                        Self::Headers { first_byte: now, deadline: from_now(limits.header_timeout) }
                    }
                    Writing { has_next: false, .. } => Self::Idle {
                        since: now,
                        deadline: from_now(limits.idle_timeout),
                        is_new: false,
                    },
                }
            }
            (Self::Response(writing), _) => Self::Response(writing.after(event)),
            (Self::Unread { since, deadline, writing }, _) => {
                Self::Unread { since, deadline, writing: writing.after(event) }
            }
            (stage, _) => stage,
        }
    }

    /// Returns when the connection ends unless the stage changes.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Idle { deadline, .. }
            | Self::Headers { deadline, .. }
            | Self::Unread { deadline, .. } => deadline,
            Self::Body { .. } | Self::Response(_) | Self::Evicted => None,
        }
    }

    /// Returns the connection's position in the queue; `None` if it cannot be evicted.
    pub(super) fn position(self) -> Option<EvictionPosition> {
        let (tier, since) = match self {
            Self::Idle { since, .. } => (Tier::Idle, since),
            Self::Headers { first_byte, .. } => (Tier::Headers, first_byte),
            Self::Unread { since, .. } => (Tier::Unread, since),
            Self::Body { last_byte } => (Tier::Body, last_byte),
            Self::Response(_) | Self::Evicted => return None,
        };
        Some(EvictionPosition { tier, since })
    }
}

impl Writing {
    fn after(self, event: Event) -> Self {
        Self {
            has_ended: self.has_ended || event == Event::ResponseEnded,
            has_next: self.has_next || event == Event::BytesArrived,
        }
    }
}

/// The progress of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    /// Only [`EvictionQueue`] and [`Progress::on`] change it.
    stage: watch::Sender<Stage>,
    probe: SocketProbe,
    limits: ServerLimits,
    queue: Arc<EvictionQueue>,
    /// The position in the queue. The lock is held while an event is processed: another task can read a body.
    ticket: Mutex<Option<Ticket>>,
}

impl Progress {
    /// Processes an event. Returns `false` if the connection was evicted before.
    pub(super) fn on(&self, event: Event) -> bool {
        let mut ticket = self.ticket();
        let before = *self.stage.borrow();
        let after = before.after(event, Instant::now(), &self.limits);
        if before.position() != after.position() {
            if ticket.take().is_some_and(|ticket| !self.queue.leave(ticket)) {
                return false;
            }
            *ticket = after.position().map(|place| self.queue.join(place, self.member()));
        }
        self.stage.send_if_modified(|stage| {
            // It might have been evicted meanwhile.
            let has_changed = *stage != Stage::Evicted && *stage != after;
            if has_changed {
                *stage = after;
            }
            has_changed
        });
        *self.stage.borrow() != Stage::Evicted
    }

    /// Waits until a deadline has passed, or the connection is evicted.
    pub(super) async fn overdue(&self) {
        let mut stage = self.stage.subscribe();
        loop {
            let now = *stage.borrow_and_update();
            if now == Stage::Evicted {
                return;
            }
            // The sender lives as long as this.
            let changed = stage.changed();
            match now.deadline() {
                Some(deadline) => match timeout_at(deadline, changed).await {
                    Ok(_) => {}
                    Err(_) => return,
                },
                None => drop(changed.await),
            }
        }
    }

    /// Waits until the previous response is written.
    pub(super) async fn written(&self) {
        let mut stage = self.stage.subscribe();
        // The sender lives as long as this.
        let _ = stage
            .wait_for(|stage| !matches!(stage, Stage::Response(_) | Stage::Unread { .. }))
            .await;
    }

    fn member(&self) -> Member {
        Member { stage: self.stage.clone(), probe: self.probe.clone() }
    }

    fn ticket(&self) -> MutexGuard<'_, Option<Ticket>> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of an open connection: it leaves the queue when this is dropped.
#[derive(Debug)]
pub(super) struct Connection(Arc<Progress>);

impl Connection {
    /// Creates the progress of a new connection.
    pub(super) fn new(
        queue: &Arc<EvictionQueue>,
        limits: ServerLimits,
        probe: SocketProbe,
    ) -> Self {
        let opened = Stage::opened(Instant::now(), &limits);
        let (stage, queue) = (watch::Sender::new(opened), Arc::clone(queue));
        let progress = Progress { stage, probe, limits, queue, ticket: Mutex::default() };
        *progress.ticket() =
            opened.position().map(|place| progress.queue.join(place, progress.member()));
        Self(Arc::new(progress))
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut ticket = self.0.ticket();
        self.0.stage.send_replace(Stage::Evicted);
        if let Some(ticket) = ticket.take() {
            self.0.queue.leave(ticket);
        }
    }
}

#[cfg(test)]
mod tests;
