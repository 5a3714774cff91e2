//! Guarantees of the token manager, with a scripted provider and paused time.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderMap;
use tokio::time::{advance, sleep};

use super::*;
use crate::client::Client;
use crate::policy::auth::provider::TokenFuture;
use crate::policy::auth::token_store::MemoryTokenStore;

#[cfg(feature = "encrypted-token-store")]
mod stored;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Fetches `token-1`, `token-2`, …, each valid for an hour, after a second of work.
#[derive(Debug, Default)]
struct Source {
    fetches: AtomicUsize,
    /// The failures of the next attempts: `true` if retryable.
    failures: Mutex<VecDeque<bool>>,
    persistence: Option<Persistence>,
    propagation_delay: Duration,
    rejection_action: Option<RejectionAction>,
    lifetime: Option<Duration>,
    panics: bool,
    created_at: Option<SystemTime>,
}

impl TokenProvider for Source {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(async {
            sleep(SECOND).await;
            assert!(!self.panics, "a source that panics");
            let count = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(retryable) = self.failures.lock().unwrap().pop_front() {
                return Err(Error::token_provider(format!("failure {count}"), retryable, None));
            }
            let token = AccessToken::new(format!("token-{count}"))?;
            Ok(token.expires_in(self.lifetime.unwrap_or(HOUR)))
        })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("test")
    }

    fn on_rejected(&self, _: &Rejection<'_>) -> RejectionAction {
        self.rejection_action.unwrap_or(RejectionAction::Refresh)
    }

    fn propagation_delay(&self) -> Duration {
        self.propagation_delay
    }

    fn persistence(&self) -> Persistence {
        self.persistence.unwrap_or(Persistence::None)
    }

    fn credential_created_at(&self) -> Option<SystemTime> {
        self.created_at
    }
}

struct Fixture {
    token_manager: Arc<TokenManager>,
    source: Arc<Source>,
    client: Client,
}

impl Fixture {
    fn new(source: Source) -> Self {
        Self::with(source, TokenPolicy::default().refresh_jitter(Duration::ZERO), None)
    }

    fn with(source: Source, policy: TokenPolicy, store: Option<Arc<dyn TokenStore>>) -> Self {
        let source = Arc::new(source);
        let token_manager = TokenManager::new(source.clone(), Arc::new(policy), store);
        Self { token_manager, source, client: Client::builder().build().unwrap() }
    }

    async fn cached_token(&self) -> Arc<CachedToken> {
        self.token_manager.token(&self.client).await.unwrap()
    }

    async fn token(&self) -> String {
        self.cached_token().await.token().expose_secret().to_owned()
    }

    async fn error(&self) -> Error {
        self.token_manager.token(&self.client).await.unwrap_err()
    }

    fn fetch_count(&self) -> usize {
        self.source.fetches.load(Ordering::Relaxed)
    }

    fn refused(&self, cached: &CachedToken, times: u32) -> Option<Duration> {
        let headers = HeaderMap::new();
        let rejection = Rejection::new("Bad credentials", &headers);
        self.token_manager.on_rejected(cached, times, &rejection)
    }
}

/// Lets the tasks that are ready run.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_waiting_calls_fetch_one_token() {
    let fixture = Fixture::new(Source::default());
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let (token_manager, client) =
                (Arc::clone(&fixture.token_manager), fixture.client.clone());
            tokio::spawn(async move { token_manager.token(&client).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().token().expose_secret(), "token-1");
    }
    assert_eq!(fixture.fetch_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_does_not_affect_other_waiting_calls() {
    let fixture = Fixture::new(Source::default());
    let first =
        tokio::time::timeout(SECOND / 2, fixture.token_manager.token(&fixture.client)).await;
    assert!(first.is_err());
    assert_eq!(fixture.token().await, "token-1");
    assert_eq!(fixture.fetch_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_before_it_expires_and_no_call_waits() {
    let fixture = Fixture::new(Source::default());
    assert_eq!(fixture.token().await, "token-1");
    advance(HOUR - 61 * SECOND).await;
    assert_eq!(fixture.token().await, "token-1");
    settle().await;
    assert_eq!(fixture.fetch_count(), 1, "not within the margin yet");
    advance(2 * SECOND).await;
    let before = Instant::now();
    assert_eq!(fixture.token().await, "token-1");
    assert_eq!(before.elapsed(), Duration::ZERO, "the old one is served meanwhile");
    sleep(2 * SECOND).await;
    assert_eq!(fixture.token().await, "token-2");
    assert_eq!(fixture.fetch_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn jitter_renews_earlier_and_never_later() {
    for _ in 0..50 {
        let policy = TokenPolicy::default().refresh_jitter(30 * SECOND);
        let fixture = Fixture::with(Source::default(), policy, None);
        fixture.token().await;
        advance(HOUR - 92 * SECOND).await;
        fixture.token().await;
        sleep(SECOND).await;
        assert_eq!(fixture.fetch_count(), 1);
        advance(32 * SECOND).await;
        fixture.token().await;
        sleep(2 * SECOND).await;
        assert_eq!(fixture.fetch_count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_used_for_half_its_life_at_least() {
    let fixture = Fixture::new(Source { lifetime: Some(10 * SECOND), ..Source::default() });
    fixture.token().await;
    advance(4 * SECOND).await;
    fixture.token().await;
    settle().await;
    assert_eq!(fixture.fetch_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_valid_token_is_used_while_its_refresh_fails() {
    let fixture = Fixture::new(Source::default());
    fixture.token().await;
    fixture.source.failures.lock().unwrap().extend([false; 100]);
    advance(HOUR - 50 * SECOND).await;
    for _ in 0..40 {
        assert_eq!(fixture.token().await, "token-1");
        sleep(SECOND).await;
    }
    let attempts = fixture.fetch_count() - 1;
    assert!((3..=6).contains(&attempts), "backed off: {attempts} attempts in 40 s");
    sleep(20 * SECOND).await;
    assert!(fixture.error().await.to_string().contains("failure"), "it has ended");
    fixture.source.failures.lock().unwrap().clear();
    sleep(75 * SECOND).await;
    assert!(fixture.token().await.starts_with("token-"), "and recovers by itself");
}

#[tokio::test(start_paused = true)]
async fn a_transient_refresh_failure_is_retried_before_any_call_fails() {
    let fixture = Fixture::new(Source::default());
    fixture.source.failures.lock().unwrap().extend([true, true]);
    assert_eq!(fixture.token().await, "token-3");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_every_waiter_gets_the_same_error() {
    let fixture = Fixture::new(Source::default());
    fixture.source.failures.lock().unwrap().extend([true; 100]);
    let (one, other) = tokio::join!(fixture.error(), fixture.error());
    assert_eq!(one.to_string(), other.to_string());
    assert!(one.to_string().contains("failure 3"), "{one}");
    assert_eq!(one.auth_failure(), Some(AuthFailure::Other));
    // Within the backoff, the provider is not called again.
    assert_eq!(fixture.error().await.to_string(), one.to_string());
    assert_eq!(fixture.fetch_count(), 3);
    sleep(2 * SECOND).await;
    assert!(fixture.error().await.to_string().contains("failure 6"));
}

/// The attempts, the waits and the time for all of them: which of them binds, and that the error is the
/// provider's in each case.
#[tokio::test(start_paused = true)]
async fn each_bound_on_refresh_attempts_is_enforced() {
    for (attempts, first, longest, made, at_most) in [
        // The attempts, within seconds.
        (3, 1, 60, 3, 10),
        // The longest wait: without it, these attempts would take more than eight minutes.
        (8, 1, 4, 8, 60),
        // The bound of five minutes: the next wait is longer than the remaining time.
        (3, 600, 600, 1, 2),
        (20, 30, 3_600, 4, 300),
    ] {
        let delays = (first * SECOND, longest * SECOND);
        let policy = TokenPolicy::default().max_attempts(attempts).backoff(delays.0, delays.1);
        let fixture = Fixture::with(Source::default(), policy.refresh_jitter(Duration::ZERO), None);
        fixture.source.failures.lock().unwrap().extend([true; 100]);
        let began = Instant::now();
        let error = fixture.error().await;
        assert!(error.to_string().contains(&format!("failure {made}")), "{made}: {error}");
        assert_eq!(fixture.fetch_count(), made);
        assert!(began.elapsed() <= at_most * SECOND, "{made}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_does_not_pass_is_tried_once() {
    let fixture = Fixture::new(Source::default());
    fixture.source.failures.lock().unwrap().push_back(false);
    assert!(fixture.error().await.to_string().contains("failure 1"));
    assert_eq!(fixture.fetch_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_an_error() {
    let fixture = Fixture::new(Source { panics: true, ..Source::default() });
    assert!(fixture.error().await.to_string().contains("stopped before it returned a token"));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_provider_is_not_called_for_every_call_while_a_token_is_valid() {
    let fixture = Fixture::new(Source { panics: true, ..Source::default() });
    fixture.token_manager.set_initial(AccessToken::new("first").unwrap().expires_in(100 * SECOND));
    advance(60 * SECOND).await;
    for _ in 0..20 {
        assert_eq!(fixture.token().await, "first");
        sleep(SECOND).await;
    }
    let state = fixture.token_manager.state();
    assert!((2..=5).contains(&state.failures), "{} refreshes in 20 s", state.failures);
}

#[test]
fn a_refresh_lost_with_its_runtime_is_started_again() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let fixture = runtime().block_on(async {
        let fixture = Fixture::new(Source::default());
        assert!(tokio::time::timeout(SECOND / 2, fixture.cached_token()).await.is_err());
        fixture
    });
    assert_eq!(runtime().block_on(fixture.token()), "token-1");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_replaced_once_for_all_rejected_calls() {
    let fixture = Fixture::new(Source::default());
    let (one, other) = tokio::join!(fixture.cached_token(), fixture.cached_token());
    assert_eq!(fixture.refused(&one, 0), Some(Duration::ZERO));
    assert_eq!(fixture.token().await, "token-2");
    assert_eq!(fixture.refused(&other, 0), Some(Duration::ZERO), "it was replaced already");
    assert_eq!(fixture.token().await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_never_accepted_is_not_hammered() {
    let fixture = Fixture::new(Source::default());
    assert!(fixture.refused(&*fixture.cached_token().await, 0).is_some());
    assert_eq!(fixture.refused(&*fixture.cached_token().await, 1), None);
    advance(DISCARD_INTERVAL).await;
    assert!(fixture.refused(&*fixture.cached_token().await, 0).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_provider_whose_reaction_is_fail_is_not_called_after_a_rejection() {
    let fixture =
        Fixture::new(Source { rejection_action: Some(RejectionAction::Fail), ..Source::default() });
    assert_eq!(fixture.refused(&*fixture.cached_token().await, 0), None);
    assert_eq!(fixture.token().await, "token-1");
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_retried_during_its_propagation_delay() {
    let fixture = Fixture::new(Source { propagation_delay: 8 * SECOND, ..Source::default() });
    let cached = fixture.cached_token().await;
    let mut waited = Vec::new();
    for times in 0..8 {
        let delay = fixture.refused(&cached, times).unwrap();
        if delay == Duration::ZERO {
            break;
        }
        waited.push(delay.as_millis());
        advance(delay).await;
        assert_eq!(fixture.token().await, "token-1", "the same one is sent again");
    }
    assert_eq!(waited, [500, 1000, 2000, 4000]);
    assert_eq!(fixture.token().await, "token-2", "then another");
}

#[tokio::test(start_paused = true)]
async fn clients_with_a_shared_store_fetch_one_token() {
    let store = MemoryTokenStore::new();
    let fixture = |_| {
        let source = Source { persistence: Some(Persistence::BestEffort), ..Source::default() };
        let store: Arc<dyn TokenStore> = Arc::new(store.clone());
        Fixture::with(source, TokenPolicy::default(), Some(store))
    };
    let fixtures: Vec<_> = (0..20).map(fixture).collect();
    let tokens = futures_util::future::join_all(fixtures.iter().map(Fixture::token)).await;
    assert!(tokens.iter().all(|token| token == "token-1"));
    assert_eq!(fixtures.iter().map(Fixture::fetch_count).sum::<usize>(), 1);
}

/// A store whose lock another holder never gives back.
#[derive(Debug, Default)]
struct Locked(MemoryTokenStore);

impl TokenStore for Locked {
    fn load<'a>(&'a self, key: &'a str) -> super::super::TokenStoreFuture<'a, Option<AccessToken>> {
        self.0.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        token: &'a AccessToken,
    ) -> super::super::TokenStoreFuture<'a, ()> {
        self.0.save(key, token)
    }

    fn remove<'a>(&'a self, key: &'a str) -> super::super::TokenStoreFuture<'a, ()> {
        self.0.remove(key)
    }

    fn lock<'a>(
        &'a self,
        _: &'a str,
    ) -> super::super::TokenStoreFuture<'a, super::super::TokenStoreLock> {
        Box::pin(std::future::pending())
    }
}

/// The wait for the lock, of a refresh that replaces one that stalled, and of any other.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_replaces_a_stalled_one_waits_for_the_lock_for_a_second() {
    for (keep, stored, outcome) in [
        (Persistence::BestEffort, None, Some((2 * SECOND, "token-1"))),
        (Persistence::BestEffort, Some("stored"), Some((SECOND, "stored"))),
        (Persistence::Required, Some("stored"), None),
    ] {
        let store = Locked::default();
        if let Some(stored) = stored {
            let token = AccessToken::new(stored).unwrap().expires_in(HOUR);
            store.save("test at https://api.github.com", &token).await.unwrap();
        }
        let source = Source { persistence: Some(keep), ..Source::default() };
        let fixture = Fixture::with(source, TokenPolicy::default(), Some(Arc::new(store)));
        let first = tokio::time::timeout(SECOND, fixture.cached_token()).await;
        assert!(first.is_err(), "the lock is waited for");
        let number = fixture.token_manager.state().refresh.as_ref().unwrap().number;
        fixture.token_manager.abandon_refresh(number);
        let start = Instant::now();
        let token = tokio::time::timeout(60 * SECOND, fixture.token()).await.ok();
        let found = token.as_deref().map(|token| (start.elapsed(), token));
        assert_eq!(found, outcome, "{keep:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_not_taken_from_the_store_again() {
    let store: Arc<dyn TokenStore> = Arc::new(MemoryTokenStore::new());
    let source = Source { persistence: Some(Persistence::BestEffort), ..Source::default() };
    let fixture = Fixture::with(source, TokenPolicy::default(), Some(Arc::clone(&store)));
    let cached = fixture.cached_token().await;
    fixture.refused(&cached, 0);
    assert_eq!(fixture.token().await, "token-2");
    let stored = store.load("test at https://api.github.com").await.unwrap().unwrap();
    assert_eq!(stored.expose_secret(), "token-2");
}

/// A store that is broken.
#[derive(Debug)]
struct UnreadableStore;

impl TokenStore for UnreadableStore {
    fn load<'a>(&'a self, _: &'a str) -> super::super::TokenStoreFuture<'a, Option<AccessToken>> {
        Box::pin(async { Err(AuthFailure::StoreTampered.error("broken", "")) })
    }

    fn save<'a>(
        &'a self,
        _: &'a str,
        _: &'a AccessToken,
    ) -> super::super::TokenStoreFuture<'a, ()> {
        panic!("an unreadable store must not be written")
    }

    fn remove<'a>(&'a self, _: &'a str) -> super::super::TokenStoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn lock<'a>(
        &'a self,
        _: &'a str,
    ) -> super::super::TokenStoreFuture<'a, super::super::TokenStoreLock> {
        Box::pin(async { Ok(super::super::TokenStoreLock::new(())) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_token_store_fails_only_providers_that_require_it() {
    let fixture = |keep| {
        let source = Source { persistence: Some(keep), ..Source::default() };
        Fixture::with(source, TokenPolicy::default(), Some(Arc::new(UnreadableStore)))
    };
    assert_eq!(fixture(Persistence::BestEffort).token().await, "token-1");
    let must = fixture(Persistence::Required);
    assert_eq!(must.error().await.auth_failure(), Some(AuthFailure::StoreTampered));
    assert_eq!(must.fetch_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_change_is_read_again_without_a_wait() {
    let fixture = Fixture::new(Source::default());
    fixture.token_manager.set_initial(AccessToken::new("first").unwrap().recheck_after(5 * SECOND));
    assert_eq!(fixture.token().await, "first");
    advance(6 * SECOND).await;
    assert_eq!(fixture.token().await, "first");
    sleep(2 * SECOND).await;
    assert_eq!(fixture.token().await, "token-1");
}

/// The log of this thread while the test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_credential_is_warned_about_once_a_day() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (age, warnings) in [(91 * DAY, [1, 1, 2]), (89 * DAY, [0, 0, 0])] {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let created_at = SystemTime::now().checked_sub(age);
        let fixture = Fixture::new(Source { created_at, ..Source::default() });
        for (pause, expected) in [Duration::ZERO, HOUR, DAY].into_iter().zip(warnings) {
            advance(pause).await;
            fixture.cached_token().await;
            assert_eq!(log.count("credential exceeds max_age"), expected, "{age:?} {pause:?}");
        }
        assert_eq!(
            fixture.token_manager.credential_age().unwrap().as_secs() / 60,
            age.as_secs() / 60
        );
    }
}
