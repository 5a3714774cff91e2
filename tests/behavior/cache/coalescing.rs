//! Which failures of a read the calls receive that have joined it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use octowire::{
    Client, ErrorKind, Interceptor, InterceptorFuture, OutgoingRequest, Request, RetryPolicy,
};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::responder::{Outcome, Responder, respond, settle};
use super::{HOUR, SECOND};

/// How the first call fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Status(u16, &'static [(&'static str, &'static str)]),
    NoConnection,
    NoResponse,
    TooLarge,
    InterceptorError,
    InterceptorPanic,
}

impl Failure {
    /// Returns the outcome of the request.
    async fn outcome(self) -> Outcome {
        match self {
            Self::Status(status, headers) => respond(status, headers, "{}"),
            Self::NoConnection => Err("no route"),
            Self::NoResponse => std::future::pending().await,
            Self::TooLarge => respond(200, &[], "x".repeat(2_000)),
            Self::InterceptorError | Self::InterceptorPanic => Err("not sent"),
        }
    }
}

/// Fails once, when the test permits it.
#[derive(Clone, Debug)]
struct Fault {
    failure: Failure,
    permit: Arc<Semaphore>,
    attempts: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Interceptor for Fault {
    fn before_attempt<'a>(&'a self, _: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let is_first = self.attempts.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move {
            match self.failure {
                Failure::InterceptorError if is_first => {
                    self.permit.acquire().await?.forget();
                    Err("not this call".into())
                }
                Failure::InterceptorPanic if is_first => {
                    self.permit.acquire().await?.forget();
                    panic!("the interceptor panics")
                }
                _ => Ok(()),
            }
        })
    }
}

impl Fault {
    fn new(failure: Failure) -> Self {
        let permit = Arc::new(Semaphore::new(0));
        Self { failure, permit, attempts: Arc::default(), sent: Arc::default() }
    }

    fn client(&self, retry: RetryPolicy) -> Client {
        let fault = self.clone();
        let transport = Responder::new(move |_| {
            let fault = fault.clone();
            let is_first = fault.sent.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if is_first {
                    match fault.failure {
                        Failure::InterceptorError | Failure::InterceptorPanic => {}
                        failure => {
                            fault.permit.acquire().await.unwrap().forget();
                            return failure.outcome().await;
                        }
                    }
                }
                // Calls can join this read.
                sleep(SECOND / 100).await;
                respond(200, &[], "{}")
            }
        });
        let client = Client::builder().token("t0ken-of-a-user").transport(transport);
        let client = client.interceptor(self.clone()).retry(retry).max_body_bytes(1_000);
        client.build().unwrap()
    }
}

struct Case {
    failure: Failure,
    retry: RetryPolicy,
    /// The timeouts of the first call and of those that join it.
    timeouts: (Option<Duration>, Option<Duration>),
    /// The first call's error; `None` if it panics.
    kind: Option<ErrorKind>,
    is_shared: bool,
}

const NO_TIMEOUT: (Option<Duration>, Option<Duration>) = (None, None);

#[tokio::test(start_paused = true)]
async fn a_failure_that_depends_on_the_first_call_is_not_shared() {
    let case = |failure, kind, is_shared| Case {
        failure,
        retry: RetryPolicy::disabled(),
        timeouts: NO_TIMEOUT,
        kind,
        is_shared,
    };
    let with_timeouts = |case: Case, leader: Duration, follower: Option<Duration>| Case {
        retry: RetryPolicy::default(),
        timeouts: (Some(leader), follower),
        ..case
    };
    const LATER: &[(&str, &str)] = &[("retry-after", "10")];
    let (api, transport) = (Some(ErrorKind::Api), Some(ErrorKind::Transport));
    let unavailable = || case(Failure::Status(503, LATER), api, true);
    let limited = || case(Failure::Status(429, LATER), api, true);
    let hanging = || case(Failure::NoResponse, Some(ErrorKind::Timeout), false);
    let own = |case: Case| Case { is_shared: false, ..case };
    for case in [
        case(Failure::Status(401, &[]), api, true),
        case(Failure::Status(403, &[]), api, true),
        case(Failure::Status(404, &[]), api, true),
        case(Failure::Status(422, &[]), api, true),
        case(Failure::Status(500, &[]), api, true),
        case(Failure::Status(501, &[]), api, true),
        unavailable(),
        case(Failure::Status(302, &[("location", "/x")]), Some(ErrorKind::Redirect), true),
        case(Failure::NoConnection, transport, true),
        case(Failure::TooLarge, Some(ErrorKind::BodyTooLarge), true),
        // The application's code, for this call.
        case(Failure::InterceptorError, Some(ErrorKind::Interceptor), false),
        case(Failure::InterceptorPanic, None, false),
        // The deadline of the first call, also if it shows in another error.
        with_timeouts(hanging(), SECOND, None),
        with_timeouts(hanging(), SECOND, Some(HOUR)),
        own(with_timeouts(unavailable(), 5 * SECOND, None)),
        own(with_timeouts(unavailable(), 5 * SECOND, Some(HOUR))),
        own(with_timeouts(limited(), 5 * SECOND, None)),
        own(with_timeouts(limited(), 5 * SECOND, Some(HOUR))),
        // The others have no more time.
        with_timeouts(unavailable(), 5 * SECOND, Some(6 * SECOND)),
        with_timeouts(limited(), 5 * SECOND, Some(6 * SECOND)),
    ] {
        let Case { failure, retry, timeouts, kind, is_shared } = case;
        let name = format!("{failure:?} {timeouts:?}");
        let fault = Fault::new(failure);
        let client = fault.client(retry);
        let call = |timeout: Option<Duration>| -> Request {
            let call = client.request(Method::GET, "/x");
            timeout.into_iter().fold(call, Request::timeout)
        };
        let leader = tokio::spawn(call(timeouts.0).send::<Value>());
        settle().await;
        let followers: Vec<_> =
            (0..5).map(|_| tokio::spawn(call(timeouts.1).send::<Value>())).collect();
        settle().await;
        assert!(fault.attempts.load(Ordering::Relaxed) == 1, "{name}");
        fault.permit.add_permits(1);
        match (leader.await, kind) {
            (Ok(result), Some(kind)) => assert_eq!(result.unwrap_err().kind(), kind, "{name}"),
            (Err(error), None) => assert!(error.is_panic(), "{name}"),
            (ended, _) => panic!("{name}: {ended:?}"),
        }
        for follower in followers {
            let ended = timeout(HOUR, follower).await;
            let result = ended.unwrap_or_else(|_| panic!("{name}: a call hangs")).unwrap();
            match is_shared {
                true => assert_eq!(Some(result.unwrap_err().kind()), kind, "{name}"),
                false => drop(result.unwrap_or_else(|error| panic!("{name}: {error}"))),
            }
        }
        // One of the others sends the read for all of them.
        let attempts = if is_shared { 1 } else { 2 };
        assert_eq!(fault.attempts.load(Ordering::Relaxed), attempts, "{name}");
    }
}
