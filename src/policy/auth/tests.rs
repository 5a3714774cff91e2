//! Regression tests of providers, the token manager and token stores together.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use tokio::time::{advance, timeout};

use super::token_manager::CachedToken;
use super::*;
use crate::client::Client;
use crate::error::{Error, Result};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A signer whose signature is its number.
#[derive(Debug)]
struct Signer(u8);

impl AppSigner for Signer {
    fn sign<'a>(&'a self, _: &'a [u8]) -> SignatureFuture<'a> {
        Box::pin(async move { Ok(vec![self.0; 4]) })
    }
}

fn token_manager_with(source: impl TokenProvider) -> Arc<TokenManager> {
    TokenManager::new(Arc::new(source), Arc::default(), None)
}

fn client() -> Client {
    Client::builder().build().unwrap()
}

/// A service has these for each installation. The bounds leave a little for further fields.
#[test]
fn the_parts_of_an_installation_stay_small() {
    let token_manager = size_of::<TokenManager>();
    let (cached, provider) = (size_of::<CachedToken>(), size_of::<AppInstallation>());
    println!("token manager: {token_manager}, cached token: {cached}, provider: {provider}");
    assert!(token_manager <= 192, "{token_manager}");
    assert!(cached <= 224, "{cached}");
    assert!(provider <= 112, "{provider}");
}

/// A call to a GitHub that knows this key only; whether it succeeds in the end.
async fn call(token_manager: &Arc<TokenManager>, known_key: u8) -> bool {
    let client = client();
    for times in 0..8 {
        let cached = token_manager.token(&client).await.unwrap();
        let signature = cached.token().expose_secret().rsplit('.').next().unwrap().to_owned();
        if URL_SAFE_NO_PAD.decode(signature).unwrap()[0] == known_key {
            return true;
        }
        if refused(token_manager, &cached, times, "A JSON web token could not be decoded").is_none()
        {
            return false;
        }
    }
    false
}

fn refused(
    token_manager: &TokenManager,
    cached: &CachedToken,
    times: u32,
    message: &str,
) -> Option<Duration> {
    token_manager.on_rejected(cached, times, &Rejection::new(message, &HeaderMap::new()))
}

#[tokio::test(start_paused = true)]
async fn an_app_uses_the_private_key_that_github_accepts() {
    let app = App::with_signer("Iv23liABC", Signer(1)).unwrap().with_previous_signer(Signer(2));
    let token_manager = token_manager_with(app);
    assert!(call(&token_manager, 2).await, "the new key is not known yet");
    advance(600 * SECOND).await;
    assert!(call(&token_manager, 1).await, "the old one was deleted within the hour");
    advance(600 * SECOND).await;
    for _ in 0..10 {
        assert!(!call(&token_manager, 3).await, "neither is good");
    }
    advance(61 * SECOND).await;
    assert!(call(&token_manager, 2).await, "and then one is again");
}

#[tokio::test]
async fn policies_take_any_value() {
    let app = App::with_signer("Iv23liABC", Signer(1)).unwrap();
    let policy = TokenPolicy::default()
        .max_cached_installations(usize::MAX)
        .backoff(Duration::MAX, Duration::MAX);
    let client = Client::builder().auth(app).token_policy(policy).build().unwrap();
    assert!(client.installation(42).is_ok());
}

#[tokio::test]
async fn the_installation_of_a_client_has_one_token_manager() {
    let app = App::with_signer("Iv23liABC", Signer(1)).unwrap();
    let client = Client::builder().auth(app.installation(42)).build().unwrap();
    let same = client.installation(42).unwrap();
    let token_manager =
        |client: &Client| Arc::clone(client.handle().identity.token_manager().unwrap());
    assert!(Arc::ptr_eq(&token_manager(&client), &token_manager(&same)));
    assert!(!Arc::ptr_eq(
        &token_manager(&client),
        &token_manager(&client.installation(43).unwrap())
    ));
}

#[test]
fn an_invalid_app_id_is_rejected_and_redacted() {
    for id in ["-----BEGIN RSA PRIVATE KEY-----\nhunter2", "ghr_hunter2", "ghp_hunter2", "a b", ""]
    {
        let error = App::with_signer(id, Signer(1)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

/// Fetches tokens as the test says.
#[derive(Debug, Default)]
struct Source {
    issued: Arc<AtomicUsize>,
    lifetime: Option<Duration>,
    panics: bool,
    hangs: Arc<AtomicBool>,
    settles: Duration,
    share: bool,
    created_at: Option<SystemTime>,
    /// Calls GitHub by the client as it is.
    recursive: bool,
}

impl TokenProvider for Source {
    fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(async move {
            let count = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(!self.panics, "a source that panics");
            if self.hangs.swap(false, Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.recursive {
                let client = Client::from_token_request(&request).unwrap();
                return client.access_token().await.map(Option::unwrap);
            }
            let token = AccessToken::new(format!("token-{count}"))?;
            Ok(match self.lifetime {
                Some(lifetime) => token.expires_in(lifetime),
                None => token,
            })
        })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("test")
    }

    fn propagation_delay(&self) -> Duration {
        self.settles
    }

    fn persistence(&self) -> Persistence {
        if self.share { Persistence::BestEffort } else { Persistence::None }
    }

    fn credential_created_at(&self) -> Option<SystemTime> {
        self.created_at
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_provider_is_called_no_more_often_than_a_failing_one() {
    let source = Source { panics: true, ..Source::default() };
    let issued = Arc::clone(&source.issued);
    let token_manager = token_manager_with(source);
    for _ in 0..20 {
        assert!(token_manager.token(&client()).await.is_err());
    }
    assert_eq!(issued.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_provider_times_out_and_is_called_again() {
    let hangs = Arc::new(AtomicBool::new(true));
    let token_manager = token_manager_with(Source { hangs, ..Source::default() });
    let error = timeout(HOUR, token_manager.token(&client())).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("timed out after 300s"), "{error}");
    advance(60 * SECOND).await;
    assert!(token_manager.token(&client()).await.is_ok());
}

#[test]
fn a_token_request_whose_runtime_is_not_polled_is_replaced_at_once() {
    let token_manager =
        token_manager_with(Source { hangs: Arc::new(AtomicBool::new(true)), ..Source::default() });
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let (parked, other) = (runtime(), runtime());
    let given_up =
        parked.block_on(async { timeout(SECOND, token_manager.token(&client())).await.is_err() });
    assert!(given_up);
    other.block_on(async {
        assert!(timeout(SECOND, token_manager.token(&client())).await.unwrap().is_ok());
    });
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_waits_for_its_own_token_gets_an_error() {
    let source = Source { recursive: true, ..Source::default() };
    let client = Client::builder().auth(source).build().unwrap();
    let error = timeout(SECOND, client.access_token()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("waits for its own token"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn short_lived_tokens_are_shared_as_well() {
    let issued = Arc::new(AtomicUsize::new(0));
    let store = MemoryTokenStore::new();
    for _ in 0..10 {
        let issued = Arc::clone(&issued);
        let source =
            Source { issued, share: true, lifetime: Some(60 * SECOND), ..Source::default() };
        let store = Some(Arc::new(store.clone()) as Arc<dyn TokenStore>);
        let token_manager = TokenManager::new(Arc::new(source), Arc::default(), store);
        token_manager.token(&client()).await.unwrap();
    }
    assert_eq!(issued.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_of_several_servers_stores_their_tokens_separately() {
    let issued = Arc::new(AtomicUsize::new(0));
    let store = MemoryTokenStore::new();
    for path in ["a", "b", "a/"] {
        let source = Source { issued: Arc::clone(&issued), share: true, ..Source::default() };
        let client = Client::builder()
            .base_url(format!("https://gw.example/{path}"))
            .auth(source)
            .token_store(store.clone())
            .build()
            .unwrap();
        client.access_token().await.unwrap();
    }
    assert_eq!(issued.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_token_that_never_ends_is_looked_at_again_and_again() {
    let created_at = SystemTime::now().checked_sub(80 * 24 * HOUR);
    let source = Source { created_at, ..Source::default() };
    let issued = Arc::clone(&source.issued);
    let token_manager = token_manager_with(source);
    for _ in 0..10 {
        token_manager.token(&client()).await.unwrap();
        advance(24 * HOUR).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert!(issued.load(Ordering::SeqCst) >= 5, "{issued:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_for_apps_is_not_waited_for_with_an_installations_token() {
    let token_manager = token_manager_with(Source { settles: 10 * SECOND, ..Source::default() });
    let cached = token_manager.token(&client()).await.unwrap();
    let message = "A JSON web token could not be decoded";
    // No pause: at most another token at once.
    assert!(refused(&token_manager, &cached, 0, message).unwrap_or_default().is_zero());
    let cached = token_manager.token(&client()).await.unwrap();
    assert_eq!(refused(&token_manager, &cached, 1, message), None);
    // Nor if the message has a secret in these words.
    let headers = HeaderMap::new();
    let hidden = Rejection { message: "A [hidden]", ..Rejection::new(message, &headers) };
    assert_eq!(token_manager.on_rejected(&cached, 1, &hidden), None);
}

#[tokio::test(start_paused = true)]
async fn a_removed_token_is_fetched_again() {
    let app = OAuthApp::public_client("Iv23liABC").unwrap();
    let store = MemoryTokenStore::new();
    let sign_in = |token: &str| {
        let token = AccessToken::new(token).unwrap();
        let user = UserToken::new(app.clone(), token).with_identity("octocat");
        Client::builder().auth(user).token_store(store.clone()).build().unwrap()
    };
    let current = async |client: &Client| -> Result<String> {
        Ok(client.access_token().await?.unwrap().expose_secret().to_owned())
    };
    let before = sign_in("gho_reads_gists");
    assert_eq!(current(&before).await.unwrap(), "gho_reads_gists");
    before.invalidate_token().await.unwrap();
    let after = sign_in("gho_writes_repos");
    assert_eq!(current(&after).await.unwrap(), "gho_writes_repos");
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_is_not_called_before_its_retry_after() {
    #[derive(Debug)]
    struct Busy(AtomicUsize);

    impl TokenProvider for Busy {
        fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
            Box::pin(async {
                self.0.fetch_add(1, Ordering::SeqCst);
                let error = Error::token_provider("busy", true, None);
                Err(error.with_retry_after(600 * SECOND))
            })
        }

        fn identity(&self) -> Cow<'_, str> {
            Cow::Borrowed("busy")
        }
    }

    let source = Arc::new(Busy(AtomicUsize::new(0)));
    let token_manager = TokenManager::new(source.clone(), Arc::default(), None);
    for _ in 0..50 {
        assert!(token_manager.token(&client()).await.is_err());
        advance(10 * SECOND).await;
    }
    assert_eq!(source.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_source_may_be_chosen_at_run_time_or_shared() {
    let boxed: Box<dyn TokenProvider> = Box::new(Source::default());
    let shared: Arc<dyn TokenProvider> = Arc::new(Source::default());
    for builder in [Client::builder().auth(boxed), Client::builder().auth(shared)] {
        assert_eq!(builder.build().unwrap().identity(), "test");
    }
}
