//! Where Redis is, and how the client connects to it.

use std::time::Duration;

#[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
use redis::TlsCertificates;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsMode};
use tokio::sync::Mutex;

use super::connection::ActiveConnection;
use crate::sanitize;

#[derive(Clone, Debug)]
pub(super) enum ServerKind {
    Single,
    Cluster,
    /// With the name of the master.
    Sentinel(String),
}

pub(super) enum Server {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Box<Mutex<SentinelClient>>),
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than a call waits for the store: a late response is read, and dropped.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

type Login = Option<(Option<String>, String)>;

/// The TLS settings beyond the URLs.
#[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
type Certificates = Option<TlsCertificates>;
#[cfg(not(any(feature = "rustls", feature = "rustls-no-provider")))]
type Certificates = Option<std::convert::Infallible>;

/// Returns the nodes that the URLs name.
pub(super) fn nodes(urls: &[String]) -> RedisResult<Vec<ConnectionInfo>> {
    let node = |url: &String| {
        let node = url.as_str().into_connection_info()?;
        if let Some(password) = node.redis_settings().password() {
            sanitize::pin(password.as_bytes());
        }
        Ok(node.set_tcp_settings(tcp()))
    };
    urls.iter().map(node).collect()
}

/// Sends concurrent requests at once: by default a second request waits until the server acknowledges the first one,
/// which it does with the response.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl Server {
    #[cfg_attr(
        not(any(feature = "rustls", feature = "rustls-no-provider")),
        allow(unused_variables, clippy::needless_pass_by_value)
    )]
    pub(super) fn new(
        mut nodes: Vec<ConnectionInfo>,
        kind: ServerKind,
        login: Login,
        certificates: Certificates,
    ) -> RedisResult<Self> {
        match kind {
            ServerKind::Single => {
                let node = nodes.swap_remove(0);
                let node = with_login(node, login);
                #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
                if let Some(certificates) = certificates {
                    return Ok(Self::Single(Box::new(Client::build_with_tls(node, certificates)?)));
                }
                Ok(Self::Single(Box::new(Client::open(node)?)))
            }
            ServerKind::Cluster => {
                let nodes = nodes.into_iter().map(|node| with_login(node, login.clone()));
                let builder = ClusterClient::builder(nodes)
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    .tcp_settings(tcp())
                    .retries(3);
                #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
                let builder = match certificates {
                    Some(certificates) => builder.certs(certificates),
                    None => builder,
                };
                Ok(Self::Cluster(Box::new(builder.build()?)))
            }
            ServerKind::Sentinel(master) => sentinel(nodes, master, login, certificates),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Single(_) => "single",
            Self::Cluster(_) => "cluster",
            Self::Sentinel(_) => "sentinel",
        }
    }

    pub(super) async fn connect(&self) -> RedisResult<ActiveConnection> {
        match self {
            Self::Single(client) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(RESPONSE_TIMEOUT))
                    // The next command decides when to connect again.
                    .set_number_of_retries(0);
                let connection = ConnectionManager::new_with_config(Client::clone(client), config);
                Ok(ActiveConnection::Single(connection.await?))
            }
            Self::Cluster(client) => {
                Ok(ActiveConnection::Cluster(Box::new(client.get_async_connection().await?)))
            }
            Self::Sentinel(client) => {
                let connecting = async { client.lock().await.get_async_connection().await };
                match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                    Ok(connection) => Ok(ActiveConnection::Master(Box::new(connection?))),
                    Err(_) => Err(redis::RedisError::from((
                        redis::ErrorKind::Io,
                        "no Sentinel responded in time",
                    ))),
                }
            }
        }
    }
}

fn with_login(node: ConnectionInfo, login: Login) -> ConnectionInfo {
    let Some((user, password)) = login else { return node };
    let mut settings = node.redis_settings().clone().set_password(password);
    if let Some(user) = user {
        settings = settings.set_username(user);
    }
    node.set_redis_settings(settings)
}

#[cfg_attr(
    not(any(feature = "rustls", feature = "rustls-no-provider")),
    allow(unused_variables, clippy::needless_pass_by_value)
)]
fn sentinel(
    nodes: Vec<ConnectionInfo>,
    master: String,
    login: Login,
    certificates: Certificates,
) -> RedisResult<Server> {
    let first = nodes[0].clone();
    let addresses: Vec<ConnectionAddr> = nodes.iter().map(|node| node.addr().clone()).collect();
    let tls = matches!(first.addr(), ConnectionAddr::TcpTls { .. });
    let kind = SentinelServerType::Master;
    let mut builder = SentinelClientBuilder::new(addresses, master, kind)?;
    if let Some(user) = first.redis_settings().username() {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = first.redis_settings().password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        builder = builder.set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder = builder.set_client_to_redis_tcp_settings(tcp());
    builder = builder.set_client_to_redis_db(first.redis_settings().db());
    if let Some((user, password)) = login {
        if let Some(user) = user {
            builder = builder.set_client_to_redis_username(user);
        }
        builder = builder.set_client_to_redis_password(password);
    }
    Ok(Server::Sentinel(Box::new(Mutex::new(builder.build()?))))
}
