//! A fake of GitHub for an App: it generates the App's key, verifies its JWTs, and issues tokens for its two
//! installations.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use octowire::chrono::{DateTime, TimeDelta, Utc};
use octowire::types::{
    AppsListInstallationsResponseItem, AppsListReposAccessibleToInstallationResponse,
    AppsListReposAccessibleToInstallationResponseRepositoriesItem, SimpleUser,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::{Request, receive, respond};

/// The fake, while the program runs.
pub struct GitHub {
    pub base_url: String,
    pub client_id: &'static str,
    /// The App's private key, in the format of its settings page.
    pub private_key: String,
    issued_tokens: Arc<AtomicU32>,
}

impl GitHub {
    pub async fn start() -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let der: Pkcs8V1Der<'_> = pair.as_der()?;
        let key = STANDARD.encode(der.as_ref());
        let public = pair.public_key().as_ref().to_vec();
        let issued_tokens = Arc::new(AtomicU32::new(0));
        tokio::spawn(serve(listener, public, Arc::clone(&issued_tokens)));
        Ok(Self {
            base_url,
            client_id: "Iv23liOfTheStandIn",
            private_key: format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"),
            issued_tokens,
        })
    }

    /// The number of issued tokens.
    pub fn issued_tokens(&self) -> u32 {
        self.issued_tokens.load(Ordering::Relaxed)
    }
}

async fn serve(
    listener: TcpListener,
    public_key: Vec<u8>,
    issued_tokens: Arc<AtomicU32>,
) -> io::Result<()> {
    let mut tokens = HashMap::new();
    loop {
        let (mut socket, _) = listener.accept().await?;
        let Ok(Some(request)) = receive(&mut socket).await else { continue };
        let (status, body) = reply(&request, &public_key, &mut tokens);
        issued_tokens.store(tokens.len().try_into().unwrap_or(u32::MAX), Ordering::Relaxed);
        let headers = format!(
            "content-type: application/json\r\ndate: {}\r\n",
            now().format("%a, %d %b %Y %H:%M:%S GMT")
        );
        let _ = respond(&mut socket, status, &headers, &body.to_string()).await;
    }
}

/// Accounts with an installation.
const ACCOUNTS: [(&str, u64); 2] = [("octo-org", 42), ("monalisa", 43)];

fn reply(
    request: &Request,
    public_key: &[u8],
    tokens: &mut HashMap<String, u64>,
) -> (&'static str, Value) {
    let bearer = request.authorization.strip_prefix("Bearer ").unwrap_or_default();
    let segments: Vec<_> = request.path().trim_matches('/').split('/').collect();
    let is_app = verify(bearer, public_key);
    match segments[..] {
        ["app", "installations"] if is_app => {
            ("200 OK", ACCOUNTS.iter().map(|(login, id)| installation(login, *id)).collect())
        }
        ["orgs" | "users", login, "installation"] if is_app => {
            match ACCOUNTS.iter().find(|(account, _)| *account == login) {
                Some((_, id)) => ("200 OK", json!({ "id": id })),
                None => ("404 Not Found", json!({ "message": "Not Found" })),
            }
        }
        ["app", "installations", id, "access_tokens"] if is_app => {
            let token = format!("ghs_{}_of_the_stand_in", tokens.len() + 1);
            tokens.insert(token.clone(), id.parse().unwrap_or_default());
            let end = now() + TimeDelta::hours(1);
            ("201 Created", json!({ "token": token, "expires_at": end, "permissions": {} }))
        }
        ["installation", "repositories"] if tokens.contains_key(bearer) => {
            let id = tokens[bearer];
            let owner =
                ACCOUNTS.iter().find(|(_, known)| *known == id).map_or("?", |(login, _)| login);
            ("200 OK", repositories(owner))
        }
        _ => ("401 Unauthorized", json!({ "message": "Bad credentials" })),
    }
}

/// An installation with the properties that the program reads; the others have defaults.
fn installation(login: &str, id: u64) -> Value {
    let mut account = SimpleUser::default();
    account.login = login.to_owned();
    let mut installation = AppsListInstallationsResponseItem::default();
    installation.id = id.try_into().unwrap_or_default();
    installation.account = Some(account.into());
    json!(installation)
}

/// The repositories of an account: one.
fn repositories(owner: &str) -> Value {
    let mut repository = AppsListReposAccessibleToInstallationResponseRepositoriesItem::default();
    repository.full_name = format!("{owner}/hello-world");
    let mut accessible = AppsListReposAccessibleToInstallationResponse::default();
    accessible.total_count = 1;
    accessible.repositories = vec![repository];
    json!(accessible)
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Returns whether this is a JWT that the App's key has signed.
fn verify(jwt: &str, public_key: &[u8]) -> bool {
    let Some((content, signature)) = jwt.rsplit_once('.') else { return false };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
    key.verify(content.as_bytes(), &signature).is_ok()
}
