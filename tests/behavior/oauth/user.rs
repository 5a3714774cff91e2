//! A user access token is refreshed before it expires, and no token pair is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::{CLIENT_ID, Login, app, get_user};
use crate::support::FrozenClock;
use octowire::auth::{
    AccessToken, AuthFailure, MemoryTokenStore, OAuthApp, TokenPolicy, TokenStore,
    TokenStoreFuture, TokenStoreLock, UserToken,
};
use octowire::{Client, Error, ErrorKind};
use tokio::time::advance;

const HOUR: Duration = Duration::from_secs(3600);

fn ago(time: Duration) -> SystemTime {
    SystemTime::now() - time
}

impl Login {
    /// A pair that is good, from a sign-in.
    fn pair(&self) -> AccessToken {
        let pair = self.state().issue();
        let token = AccessToken::new(pair["access_token"].as_str().unwrap()).unwrap();
        let end = Some(SystemTime::now() + 24 * HOUR);
        token.expires_in(8 * HOUR).with_refresh_token(pair["refresh_token"].as_str().unwrap(), end)
    }

    fn user(&self, token: AccessToken, store: impl TokenStore) -> Client {
        self.user_of(app(), token, store)
    }

    fn user_of(&self, app: OAuthApp, token: AccessToken, store: impl TokenStore) -> Client {
        let policy = TokenPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
        let builder =
            self.server.builder().auth(UserToken::new(app, token).with_identity("octocat"));
        builder.token_policy(policy).token_store(store).build().unwrap()
    }

    /// GitHub refuses the access tokens that are out.
    fn reject_access_tokens(&self) {
        self.state().access_tokens.clear();
    }
}

async fn failure(client: &Client) -> Option<AuthFailure> {
    let error = get_user(client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    error.auth_failure()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_used_once_however_many_wait() {
    let login = Login::start().await;
    let ended = login.pair().with_expires_at(ago(HOUR));
    let client = login.user(ended, MemoryTokenStore::new());
    let calls = (0..100).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { get_user(&client).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap()["login"], "octocat");
    }
    assert_eq!(login.refreshes(), 1);
    assert_eq!(client.identity(), "user:octocat");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_with_one_store_use_a_refresh_token_once() {
    let login = Login::start().await;
    let store = MemoryTokenStore::new();
    let ended = login.pair().with_expires_at(ago(HOUR));
    let clients: Vec<_> = (0..10).map(|_| login.user(ended.clone(), store.clone())).collect();
    let calls =
        clients.into_iter().map(|client| tokio::spawn(async move { get_user(&client).await }));
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(login.refreshes(), 1);
}

#[tokio::test]
async fn a_restart_with_the_same_store_uses_the_latest_token_pair() {
    let login = Login::start().await;
    let store = MemoryTokenStore::new();
    let first = login.pair().with_expires_at(ago(HOUR));
    for _ in 0..3 {
        let client = login.user(first.clone(), store.clone());
        assert!(get_user(&client).await.is_ok());
        login.reject_access_tokens();
        assert!(get_user(&client).await.is_ok());
    }
    // Once because the first had ended, and once for each refusal; each with another token.
    assert_eq!(login.refreshes(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_before_it_ends() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let client = login.user(login.pair(), MemoryTokenStore::new());
    get_user(&client).await.unwrap();
    assert_eq!(login.refreshes(), 0, "the first is good");
    for count in 1..=3 {
        advance(8 * HOUR).await;
        get_user(&client).await.unwrap();
        assert_eq!(login.refreshes(), count);
    }
}

#[tokio::test]
async fn a_token_without_a_refresh_token_is_used_as_it_is() {
    let login = Login::start().await;
    let pair = login.pair();
    let plain = AccessToken::new(pair.expose_secret()).unwrap();
    let client = login.user(plain.clone(), MemoryTokenStore::new());
    assert!(get_user(&client).await.is_ok());
    login.reject_access_tokens();
    assert_eq!(get_user(&client).await.unwrap_err().status().unwrap(), 401);
    assert_eq!(login.forms().len(), 0);

    let ended = login.user(plain.with_expires_at(ago(HOUR)), MemoryTokenStore::new());
    let before = login.server.requests().len();
    assert_eq!(failure(&ended).await, Some(AuthFailure::Expired));
    assert_eq!(login.server.requests().len(), before, "nothing is sent");
}

#[tokio::test]
async fn a_refresh_token_that_has_ended_is_not_sent() {
    let login = Login::start().await;
    let pair = login.pair().with_expires_at(ago(HOUR));
    let pair = pair.with_refresh_token("ghr_hunter2", Some(ago(HOUR)));
    let client = login.user(pair, MemoryTokenStore::new());
    let error = get_user(&client).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::RefreshTokenRejected));
    assert!(error.to_string().contains("sign in again"), "{error}");
    assert!(login.server.requests().is_empty());
}

#[tokio::test]
async fn a_user_that_revoked_the_application_has_to_sign_in_again() {
    let login = Login::start().await;
    let store = MemoryTokenStore::new();
    let client = login.user(login.pair(), store.clone());
    assert!(get_user(&client).await.is_ok());
    login.reject_access_tokens();
    login.state().refresh_tokens.clear();
    assert_eq!(failure(&client).await, Some(AuthFailure::RefreshTokenRejected));
    assert_eq!(login.refreshes(), 1);

    // … and then goes on, although the store still has the dead pair.
    let client = login.user(login.pair(), store.clone());
    assert!(get_user(&client).await.is_ok());
    let after_restart = login.user(login.pair(), store);
    assert!(get_user(&after_restart).await.is_ok());
}

#[tokio::test]
async fn a_device_refreshes_without_a_secret() {
    let login = Login::start().await;
    let ended = login.pair().with_expires_at(ago(HOUR));
    let public = OAuthApp::public_client(CLIENT_ID).unwrap();
    let client = login.user_of(public, ended, MemoryTokenStore::new());
    assert!(get_user(&client).await.is_ok());
    assert!(!login.forms()[0].contains_key("client_secret"));
}

#[tokio::test]
async fn unnamed_users_are_distinct_identities_without_token_parts() {
    let login = Login::start().await;
    let identity = |token| {
        let client = login.server.builder().auth(UserToken::new(app(), token));
        client.build().unwrap().identity().into_owned()
    };
    let (one, other) = (login.pair(), login.pair());
    assert_eq!(identity(one.clone()), identity(one.clone()));
    assert_ne!(identity(one.clone()), identity(other));
    assert!(!identity(one).contains("hunter2"));
}

/// A token store whose writes fail once the disk is full.
#[derive(Clone, Debug, Default)]
struct FullDisk {
    store: MemoryTokenStore,
    full: Arc<AtomicBool>,
}

impl TokenStore for FullDisk {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        self.store.load(key)
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        if self.full.load(Ordering::SeqCst) {
            return Box::pin(async { Err(Error::token_provider("the disk is full", false, None)) });
        }
        self.store.save(key, token)
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        self.store.remove(key)
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        self.store.lock(key)
    }
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_could_not_be_stored_is_used_on() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let store = FullDisk::default();
    let first = login.pair().expires_in(Duration::from_secs(30));
    let client = login.user(first, store.clone());
    get_user(&client).await.unwrap();
    store.full.store(true, Ordering::SeqCst);
    for count in 1..=3 {
        advance(8 * HOUR).await;
        get_user(&client).await.unwrap();
        assert_eq!(login.refreshes(), count, "never with one that was used");
    }
}
