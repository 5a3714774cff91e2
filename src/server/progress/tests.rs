//! The stages and the queue, over random events, beside a plain model.

use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::advance;

use super::super::queue::{Eviction, MIN_UNREAD, MIN_WAIT};
use super::super::socket::SocketProbe;
use super::super::tests::LIMITS;
use super::*;

const EVENTS: [Event; 6] = [
    Event::BytesArrived,
    Event::HeadersComplete,
    Event::RequestComplete,
    Event::ResponseEnded,
    Event::WriteBlocked,
    Event::Flushed,
];

/// The next step: of one connection, or of all.
#[derive(Clone, Copy, Debug)]
enum Step {
    Event(usize, Event),
    Reopen(usize),
    Wait(Duration),
    /// For a new connection that has waited for so long.
    Evict(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let of = 0..CONNECTIONS;
    prop_oneof![
        12 => (of.clone(), prop::sample::select(&EVENTS[..])).prop_map(|(at, event)| Step::Event(at, event)),
        1 => of.prop_map(Step::Reopen),
        3 => prop_oneof![0..400_u64, 1_000..6_000_u64].prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        2 => (0..400_u64).prop_map(|ms| Step::Evict(Duration::from_millis(ms))),
    ]
}

const CONNECTIONS: usize = 5;

/// The model of a connection, by its events alone: for the tiers 0 to 3, the start of its stay; and when the
/// client has to be done.
#[derive(Clone, Copy, Debug)]
struct Model {
    phase: Phase,
    since: Instant,
    deadline: Option<Instant>,
    is_used: bool,
    has_ended: bool,
    has_next: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Idle,
    Headers,
    Unread,
    Body,
    Response,
    Evicted,
}

impl Model {
    fn opened() -> Self {
        Self {
            phase: Phase::Idle,
            since: Instant::now(),
            deadline: Some(Instant::now() + LIMITS.header_timeout),
            is_used: false,
            has_ended: false,
            has_next: false,
        }
    }

    fn enter(&mut self, phase: Phase, timeout: Option<Duration>) {
        self.phase = phase;
        self.since = Instant::now();
        self.deadline = timeout.map(|timeout| self.since + timeout);
    }

    fn on(&mut self, event: Event) {
        use Phase::{Body, Headers, Idle, Response, Unread};
        match (event, self.phase) {
            (Event::BytesArrived, Idle) => {
                let of_first = self.deadline.filter(|_| !self.is_used);
                self.enter(Headers, Some(LIMITS.header_timeout));
                self.deadline = of_first.or(self.deadline);
            }
            (Event::BytesArrived, Body) => self.since = Instant::now(),
            (Event::BytesArrived, Response | Unread) => self.has_next = true,
            (Event::HeadersComplete, Idle | Headers) => self.enter(Body, None),
            (Event::RequestComplete, Body) => {
                self.enter(Response, None);
                (self.is_used, self.has_ended, self.has_next) = (true, false, false);
            }
            (Event::ResponseEnded, Response | Unread) => self.has_ended = true,
            (Event::WriteBlocked, Response) => self.enter(Unread, Some(LIMITS.write_timeout)),
            (Event::Flushed, Response | Unread) if !self.has_ended => self.enter(Response, None),
            (Event::Flushed, Response | Unread) if self.has_next => {
                self.enter(Headers, Some(LIMITS.header_timeout));
            }
            (Event::Flushed, Response | Unread) => self.enter(Idle, Some(LIMITS.idle_timeout)),
            _ => {}
        }
    }

    /// Returns the instant from which it can be evicted, or `None` if it cannot.
    fn evictable_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Response | Phase::Evicted => None,
            Phase::Unread => Some(self.since + MIN_UNREAD),
            Phase::Idle | Phase::Headers | Phase::Body => Some(self.since + MIN_WAIT),
        }
    }
}

fn phase(stage: Stage) -> Phase {
    match stage {
        Stage::Idle { .. } => Phase::Idle,
        Stage::Headers { .. } => Phase::Headers,
        Stage::Body { .. } => Phase::Body,
        Stage::Response(_) => Phase::Response,
        Stage::Unread { .. } => Phase::Unread,
        Stage::Evicted => Phase::Evicted,
    }
}

/// The connection that is evicted next, and when, for a new one that has waited since then.
fn expected(models: &[Model], waiting_since: Instant) -> Option<(usize, Instant)> {
    let now = Instant::now();
    let spare_until = waiting_since + MIN_WAIT;
    let is_spared = |model: &Model| {
        let is_lower = |other: &&Model| (other.phase as usize) < model.phase as usize;
        let mut lower = models.iter().filter(is_lower).filter_map(Model::evictable_at);
        let is_transfer = matches!(model.phase, Phase::Unread | Phase::Body);
        is_transfer && spare_until > now && lower.next().is_some()
    };
    let waiting = models.iter().enumerate().filter_map(|(at, model)| {
        let mut evictable = model.evictable_at()?;
        if is_spared(model) {
            evictable = evictable.max(spare_until);
        }
        Some((evictable.max(now), model.phase as usize, model.since, at))
    });
    // Those that can be evicted now come first, and among them the lowest tier.
    waiting.min_by_key(|(at, tier, since, _)| (*at, *tier, *since)).map(|(at, _, _, of)| (of, at))
}

/// The result of the queue, and the expectation of the model.
fn next_of(
    queue: &EvictionQueue,
    models: &[Model],
    waiting_since: Instant,
) -> (Eviction, Option<(usize, Instant)>) {
    let expected = expected(models, waiting_since);
    (queue.evict(waiting_since), expected)
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let queue = Arc::new(EvictionQueue::default());
    let mut connections: Vec<_> =
        (0..CONNECTIONS).map(|_| Connection::new(&queue, LIMITS, SocketProbe::default())).collect();
    let mut models = vec![Model::opened(); CONNECTIONS];
    for step in steps {
        match step {
            Step::Event(at, event) => {
                let before = *connections[at].progress().stage.borrow();
                models[at].on(event);
                let is_open = connections[at].progress().on(event);
                prop_assert_eq!(is_open, models[at].phase != Phase::Evicted);
                let after = *connections[at].progress().stage.borrow();
                if phase(before) == phase(after) {
                    prop_assert_eq!(before.deadline(), after.deadline(), "it gains time");
                }
            }
            Step::Reopen(at) => {
                connections[at] = Connection::new(&queue, LIMITS, SocketProbe::default());
                models[at] = Model::opened();
            }
            Step::Wait(time) => advance(time).await,
            Step::Evict(waited) => match next_of(&queue, &models, Instant::now() - waited) {
                (Eviction::Impossible, None) => {}
                (Eviction::At(at), Some((_, expected))) if at > Instant::now() => {
                    prop_assert_eq!(at, expected);
                }
                (Eviction::Done, Some((of, at))) if at <= Instant::now() => {
                    // Of equal ones, any.
                    let gone = (0..CONNECTIONS).find(|at| {
                        let is_gone = *connections[*at].progress().stage.borrow() == Stage::Evicted;
                        is_gone && models[*at].phase != Phase::Evicted
                    });
                    let gone = gone.expect("none is gone");
                    prop_assert_eq!(models[gone].phase, models[of].phase, "the tier");
                    prop_assert_eq!(models[gone].since, models[of].since, "its longest");
                    models[gone].phase = Phase::Evicted;
                    models[gone].deadline = None;
                }
                other => prop_assert!(false, "{other:?}"),
            },
        }
        for (connection, model) in connections.iter().zip(&models) {
            let stage = *connection.progress().stage.borrow();
            prop_assert_eq!(phase(stage), model.phase);
            prop_assert_eq!(stage.deadline(), model.deadline);
            prop_assert_eq!(
                stage.position().map(|place| (place.tier as usize, place.since)),
                model.evictable_at().map(|_| (model.phase as usize, model.since))
            );
        }
    }
    drop(connections);
    prop_assert_eq!(queue.evict(Instant::now()), Eviction::Impossible, "all have left the queue");
    Ok(())
}

proptest! {
    #[test]
    fn every_sequence_of_events_agrees_with_the_model(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(steps))?;
    }
}
