//! A registration, from the form to the App's credentials.

use std::fmt;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::debug;
use tracing::instrument::WithSubscriber;
use url::Url;

use super::loopback::{CALLBACK_PATH, Loopback, LoopbackService, ReceivedCode, SERVER_LIMITS};
use super::manifest::AppManifest;
use crate::client::Client;
use crate::endpoints::origin_of;
use crate::error::auth::AuthFailure;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::auth::{RegisteredApp, random_secret};
use crate::request::invalid;
use crate::{sanitize, server};

/// A registration of an App that can be started: see the [module](super).
#[derive(Clone, Debug)]
#[must_use = "nothing begins before `start`"]
pub struct AppRegistration {
    client: Client,
    manifest: AppManifest,
    organization: Option<String>,
    timeout: Duration,
}

/// The default time for the person.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// GitHub's maximum duration of the whole flow. For as long, the port is kept after the timeout.
const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// The time in which the browser receives the last page. A browser can have opened further connections, for which the
/// server would wait longer.
const LAST_PAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// More than GitHub accepts as a login.
const MAX_LOGIN_CHARS: usize = 100;

impl AppRegistration {
    /// Creates a registration at the GitHub server of this client, which needs no token.
    pub fn new(client: &Client, manifest: AppManifest) -> Self {
        Self { client: client.clone(), manifest, organization: None, timeout: DEFAULT_TIMEOUT }
    }

    /// Sets the organization that will own the App. The person has to be one of its owners, or a manager of its Apps. By
    /// default, the person's own account owns it.
    pub fn organization(mut self, login: impl Into<String>) -> Self {
        self.organization = Some(login.into());
        self
    }

    /// Sets how long [`finish`](PendingRegistration::finish) waits for the person; 10 minutes by default. It waits at
    /// most an hour, after which GitHub ends the flow. A confirmation after the timeout creates an App whose credentials are
    /// lost, and on a machine with other users it is not safe once the process has ended: see the [loopback
    /// server](super#the-loopback-server).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Opens the port of the loopback server. Nothing is sent to GitHub before a person uses the page.
    ///
    /// # Errors
    /// If the manifest or the organization is invalid ([`ErrorKind::InvalidRequest`]), if no port can be opened
    /// ([`ErrorKind::Configuration`]), or if the system returns no random numbers.
    pub async fn start(self) -> Result<PendingRegistration> {
        let mut action = registration_url(self.client.web_url(), self.organization.as_deref())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_server)?;
        let host = listener.local_addr().map_err(no_server)?.to_string();
        let manifest = self.manifest.to_json(&format!("http://{host}{CALLBACK_PATH}"))?;
        let (state, page_path) = (random_secret()?, random_secret()?);
        for secret in [&state, &page_path] {
            sanitize::remember(secret.expose_secret().as_bytes());
        }
        action.query_pairs_mut().append_pair("state", state.expose_secret());
        let url = Url::parse(&format!("http://{host}/{}", page_path.expose_secret()))
            .map_err(no_server)?;
        let (loopback, received) = Loopback::new(host, page_path, state, &action, &manifest);
        let (client, timeout) = (self.client, self.timeout);
        Ok(PendingRegistration { client, timeout, url, listener, loopback, received })
    }
}

/// A registration in progress, between the page with the form and GitHub's callback.
///
/// It is valid for one App. If it is dropped, its port is closed, and nothing is received.
#[must_use = "the page is served while `finish` is polled"]
pub struct PendingRegistration {
    client: Client,
    timeout: Duration,
    url: Url,
    listener: TcpListener,
    loopback: Arc<Loopback>,
    received: oneshot::Receiver<ReceivedCode>,
}

impl PendingRegistration {
    /// Returns the URL of the page with the form, on this machine. Print it, or open it in the person's browser.
    ///
    /// It is for this person only: any other program that has it can register an App in place of this one.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Serves the page, waits for GitHub's callback, and exchanges its code for the App's credentials. It returns once the
    /// browser has the last page, or 2 s after the exchange.
    ///
    /// GitHub issues the credentials once: [save](RegisteredApp::save) them, and try again if that fails. If the future is
    /// dropped after the person has registered the App, they are lost. After the timeout, a task of the current runtime
    /// keeps the port for an hour, and rejects each request. Each registration that times out keeps its own port and
    /// its own task for so long: do not repeat it in a loop. The task belongs to no [`tracing`] span.
    ///
    /// # Errors
    /// If there was no callback in time ([`Error::is_timeout`]), such as after the person closed the page; if there were
    /// only callbacks with a code and another `state` ([`AuthFailure::StateMismatch`]); or if the exchange fails, as for
    /// [`RegisteredApp::from_code`]. If it fails before GitHub has used the code, the error is
    /// [`AuthFailure::CredentialsLost`] as well, and the code is still in the address of the browser's last page.
    ///
    /// GitHub's page itself reports a name that is taken.
    pub async fn finish(self) -> Result<RegisteredApp> {
        let Self { client, timeout, listener, loopback, received, .. } = self;
        let (running, stopped) = oneshot::channel::<()>();
        let service = LoopbackService(Arc::clone(&loopback));
        let shutdown = async move {
            // It is only dropped.
            let _ = stopped.await;
        };
        let server = server::serve(listener, move |_| service.clone(), SERVER_LIMITS, shutdown);
        let mut server = Box::pin(server);
        let received = {
            let received = pin!(tokio::time::timeout(timeout, received));
            match select(server.as_mut(), received).await {
                Either::Right((Ok(Ok(received)), _)) => Some(received),
                // The sender is dropped only after it was used, and the server does not end by itself.
                Either::Right((Ok(Err(_)) | Err(_), _)) | Either::Left(_) => None,
            }
        };
        let Some(received) = received else {
            let error = timed_out(timeout, loopback.mismatches());
            // Another program must not receive the code of a late confirmation. The server rejects it. The task has no
            // span: that of the caller would be open until the task ends.
            if let Ok(runtime) = Handle::try_current() {
                let keep_port = async move {
                    let _ = tokio::time::timeout(MAX_TIMEOUT, server).await;
                    drop(running);
                };
                runtime.spawn(keep_port.with_current_subscriber());
            }
            return Err(error);
        };
        let outcome = pin!(async {
            let outcome = exchange(&client, received).await;
            drop(running);
            outcome
        });
        match select(server, outcome).await {
            Either::Right((outcome, server)) => {
                let _ = tokio::time::timeout(LAST_PAGE_TIMEOUT, server).await;
                outcome
            }
            // The server ends only after the outcome is known.
            Either::Left(((), outcome)) => outcome.await,
        }
    }
}

async fn exchange(client: &Client, received: ReceivedCode) -> Result<RegisteredApp> {
    debug!("App registration callback received");
    let outcome = RegisteredApp::from_code(client, received.code.clone()).await;
    received.report(outcome.as_ref().ok());
    outcome.map_err(|error| match error.auth_failure() {
        Some(AuthFailure::CodeRejected | AuthFailure::CredentialsLost) => error,
        _ => not_exchanged(error),
    })
}

/// Returns the error for a code that GitHub has not used.
fn not_exchanged(error: Error) -> Error {
    AuthFailure::CredentialsLost
        .error(
            "the App is registered, but its code was not exchanged for its credentials",
            "within an hour, pass the code in the address of the browser's last page to \
             RegisteredApp::from_code; or generate the private key and secrets on the App's settings \
             page, and save them with RegisteredApp::new; or delete the App and register again",
        )
        .with_source(error)
}

/// Returns the URL to which the form is posted.
fn registration_url(web_url: &Url, organization: Option<&str>) -> Result<Url> {
    let mut url = web_url.clone();
    // An http URL always has a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        if let Some(login) = organization {
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if !(1..=MAX_LOGIN_CHARS).contains(&login.len()) || !login.bytes().all(is_valid) {
                return Err(invalid("invalid login of the organization that is to own the App"));
            }
            segments.extend(["organizations", login]);
        }
        segments.extend(["settings", "apps", "new"]);
    }
    Ok(url)
}

fn no_server(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Configuration, "the server for the App registration cannot be started")
        .with_advice("check that the process can listen on 127.0.0.1")
        .with_source(error)
}

fn timed_out(timeout: Duration, mismatches: usize) -> Error {
    let what = format!("App registration timed out after {timeout:?}");
    if mismatches > 0 {
        return AuthFailure::StateMismatch.error(
            format!("{what}; callbacks with another state: {mismatches}"),
            "start again, and finish the registration in the browser that opened its page; a callback \
             that you did not cause might be an attack",
        );
    }
    Error::new(ErrorKind::Timeout, what).with_retryable(false).with_advice(
        "start again; if GitHub's page has created the App already, delete it there, since its \
         credentials were not received",
    )
}

impl fmt::Debug for PendingRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path of the URL is for one person.
        f.debug_struct("PendingRegistration")
            .field("at", &origin_of(&self.url))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_posted_to_the_web_pages_of_the_clients_server() {
        for (base, organization, expected) in [
            ("https://api.github.com", None, "https://github.com/settings/apps/new"),
            (
                "https://api.github.com",
                Some("octo-org"),
                "https://github.com/organizations/octo-org/settings/apps/new",
            ),
            (
                "https://api.octocorp.ghe.com",
                Some("octo_org"),
                "https://octocorp.ghe.com/organizations/octo_org/settings/apps/new",
            ),
            (
                "https://ghes.example.com:8443/api/v3",
                None,
                "https://ghes.example.com:8443/settings/apps/new",
            ),
        ] {
            let client = Client::builder().base_url(base).build().unwrap();
            let url = registration_url(client.web_url(), organization).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn the_login_of_an_organization_is_one_segment() {
        let web = "https://github.com".parse().unwrap();
        let long = "x".repeat(MAX_LOGIN_CHARS + 1);
        for login in ["", ".", "..", "a/b", "a%2fb", "a b", "a?b", "\u{e9}", &long] {
            let error = registration_url(&web, Some(login)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{login}");
        }
        assert!(registration_url(&web, Some(&long[1..])).is_ok());
    }

    #[test]
    fn a_registration_waits_for_an_hour_at_most() {
        let client = Client::builder().build().unwrap();
        let registration =
            || AppRegistration::new(&client, AppManifest::new("https://www.example.com"));
        assert_eq!(registration().timeout, Duration::from_secs(600));
        assert_eq!(registration().timeout(MAX_TIMEOUT * 2).timeout, MAX_TIMEOUT);
        assert_eq!(registration().timeout(Duration::ZERO).timeout, Duration::ZERO);
    }
}
