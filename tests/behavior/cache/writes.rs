//! A write invalidates the stored responses that it can have changed, whatever happens after the request was sent.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use http::Method;
use octowire::auth::{AccessToken, TokenFuture, TokenProvider, TokenRequest};
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use octowire::rate_limit::{LimitAction, RateLimitPolicy, SecondaryLimits};
use octowire::usage::{Budget, Period, UsageConfig};
use octowire::{
    CircuitBreaker, Client, ErrorKind, Interceptor, InterceptorFuture, OutgoingRequest, RetryPolicy,
};
use serde_json::Value;

use super::responder::{Outcome, Responder, respond};

const FRESH: (&str, &str) = ("cache-control", "max-age=86400");

/// The outcome of the first attempt of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    /// It is rejected like the second one of the others.
    NotSent,
    NoResponse,
    Disconnect,
    Status(u16),
}

/// The reason why the client does not send the second attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rejection {
    RateLimit,
    Circuit,
    Budget,
    Token,
    Interceptor,
}

/// Provides tokens, and rejects attempts, as the test sets it.
#[derive(Clone, Debug, Default)]
struct Switch {
    no_token: Arc<AtomicBool>,
    rejects: Arc<AtomicBool>,
}

impl TokenProvider for Switch {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        let token = match self.no_token.load(Ordering::Relaxed) {
            true => "not\na token",
            false => "t0ken-of-the-test",
        };
        Box::pin(async move { AccessToken::new(token) })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("test")
    }
}

impl Interceptor for Switch {
    fn before_attempt<'a>(&'a self, _: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let rejects = self.rejects.load(Ordering::Relaxed);
        Box::pin(async move { if rejects { Err("rejected".into()) } else { Ok(()) } })
    }
}

/// A client, and a server that can cause the rejection of its next attempt.
#[derive(Clone)]
struct Setup {
    first: First,
    rejection: Rejection,
    switch: Switch,
    writes: Arc<AtomicUsize>,
    client: Arc<OnceLock<Client>>,
}

impl Setup {
    fn new(first: First, rejection: Rejection) -> Self {
        let setup = Self {
            first,
            rejection,
            switch: Switch::default(),
            writes: Arc::default(),
            client: Arc::default(),
        };
        let server = setup.clone();
        let transport = Responder::new(move |request| {
            let server = server.clone();
            async move { server.respond(request.method().clone(), request.url().path()).await }
        });
        let mut limits = RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled());
        if rejection == Rejection::RateLimit {
            limits = limits.on_limit(LimitAction::FailFast);
        }
        let mut client = Client::builder()
            .transport(transport)
            .auth(setup.switch.clone())
            .interceptor(setup.switch.clone())
            .rate_limits(limits)
            .attempt_timeout(Duration::from_secs(2))
            .retry(RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO))
            .cache(CacheConfig::default().default_policy(CachePolicy::respect_server()));
        match rejection {
            Rejection::Circuit => {
                client = client.circuit_breaker(CircuitBreaker::default().min_samples(1));
            }
            Rejection::Budget => {
                // The read of the test, the first attempt of the write, and the read that exhausts the budget.
                let requests = if first == First::NotSent { 2 } else { 3 };
                let budget = Budget::new("hour", Period::Hour).hard_limit(requests);
                client = client.usage(UsageConfig::new().budget(budget));
            }
            _ => {}
        }
        assert!(setup.client.set(client.build().unwrap()).is_ok());
        setup
    }

    fn client(&self) -> &Client {
        self.client.get().unwrap()
    }

    /// Causes the rejection of the next attempt.
    async fn reject_next(&self) {
        let read = |path| {
            let read = self.client().request(Method::GET, path).retry(RetryPolicy::disabled());
            read.send::<Value>()
        };
        match self.rejection {
            Rejection::RateLimit => drop(read("/last").await.unwrap()),
            Rejection::Circuit => drop(read("/failing").await.unwrap_err()),
            Rejection::Budget => drop(read("/other").await.unwrap()),
            Rejection::Token => {
                self.switch.no_token.store(true, Ordering::Relaxed);
                self.client().invalidate_token().await.unwrap();
            }
            Rejection::Interceptor => self.switch.rejects.store(true, Ordering::Relaxed),
        }
    }

    async fn respond(&self, method: Method, path: &str) -> Outcome {
        if method == Method::GET {
            let reset = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3600;
            let exhausted = [
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", &reset.to_string()),
                ("x-ratelimit-resource", "core"),
            ];
            return match path {
                "/last" => respond(200, &exhausted, "{}"),
                "/failing" => respond(502, &[], "{}"),
                _ => respond(200, &[FRESH], "{}"),
            };
        }
        if self.writes.fetch_add(1, Ordering::Relaxed) > 0 {
            return respond(200, &[], "{}");
        }
        self.reject_next().await;
        match self.first {
            First::NotSent => respond(200, &[], "{}"),
            First::NoResponse => std::future::pending().await,
            First::Disconnect => Err("connection reset"),
            First::Status(status) => respond(status, &[], "{}"),
        }
    }
}

/// Returns how the stored response is served without a request.
async fn stored(client: &Client, path: &str) -> CacheStatus {
    let read = client.request(Method::GET, path).cache(CachePolicy::only_if_cached());
    read.send::<Value>().await.unwrap().meta().cache_status()
}

#[tokio::test(start_paused = true)]
async fn a_write_invalidates_if_any_attempt_can_have_had_an_effect() {
    const FIRST: [(First, bool); 11] = [
        (First::NotSent, false),
        (First::NoResponse, true),
        (First::Disconnect, true),
        (First::Status(500), true),
        (First::Status(502), true),
        (First::Status(503), true),
        (First::Status(504), true),
        (First::Status(401), false),
        (First::Status(408), false),
        (First::Status(425), false),
        (First::Status(429), false),
    ];
    const REJECTIONS: [(Rejection, ErrorKind); 5] = [
        (Rejection::RateLimit, ErrorKind::RateLimit),
        (Rejection::Circuit, ErrorKind::CircuitOpen),
        (Rejection::Budget, ErrorKind::BudgetExhausted),
        (Rejection::Token, ErrorKind::Authentication),
        (Rejection::Interceptor, ErrorKind::Interceptor),
    ];
    for (first, has_effect) in FIRST {
        for (rejection, kind) in REJECTIONS {
            let setup = Setup::new(first, rejection);
            let client = setup.client();
            client.request(Method::GET, "/x").send::<Value>().await.unwrap();
            assert_eq!(stored(client, "/x").await, CacheStatus::Hit);
            if first == First::NotSent {
                setup.reject_next().await;
            }
            let error = client.request(Method::PUT, "/x").send_empty().await.unwrap_err();
            // GitHub's own rejection by a rate limit takes precedence.
            let expected = match (first, rejection) {
                (First::Status(429), Rejection::RateLimit | Rejection::Circuit) => ErrorKind::Api,
                _ => kind,
            };
            assert_eq!(error.kind(), expected, "{first:?}, {rejection:?}: {error}");
            let sent = usize::from(first != First::NotSent);
            assert_eq!(setup.writes.load(Ordering::Relaxed), sent, "{first:?}, {rejection:?}");
            let expected = if has_effect { CacheStatus::Stale } else { CacheStatus::Hit };
            assert_eq!(stored(client, "/x").await, expected, "{first:?}, {rejection:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_github_performed_invalidates_whatever_its_redirect_leads_to() {
    const SEE_OTHER: u16 = 303;
    for (status, location, target, has_effect) in [
        (SEE_OTHER, "/result", 200, true),
        (SEE_OTHER, "/result", 404, true),
        (SEE_OTHER, "/result", 403, true),
        (SEE_OTHER, "/result", 422, true),
        (SEE_OTHER, "/result", 500, true),
        (SEE_OTHER, "http://api.github.com/result", 200, true),
        (SEE_OTHER, "https://octo:cat@api.github.com/result", 200, true),
        (SEE_OTHER, "https://other.example/result", 404, true),
        // GitHub has not performed these.
        (307, "/result", 404, false),
        (307, "https://other.example/result", 200, false),
        (308, "http://api.github.com/result", 200, false),
    ] {
        let transport = Responder::new(move |request| async move {
            match request.url().path() {
                "/result" => respond(target, &[], "{}"),
                _ if request.method() == Method::GET => respond(200, &[FRESH], "{}"),
                _ => respond(status, &[("location", location)], "{}"),
            }
        });
        let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
        let client = Client::builder().transport(transport).cache(cache);
        let client = client.retry(RetryPolicy::disabled()).build().unwrap();
        client.request(Method::GET, "/x").send::<Value>().await.unwrap();
        let _ = client.request(Method::POST, "/x").send_empty().await;
        let expected = if has_effect { CacheStatus::Stale } else { CacheStatus::Hit };
        assert_eq!(stored(&client, "/x").await, expected, "{status} {location} {target}");
    }
}
