//! The connection, which is replaced when it is lost.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::sync::Mutex as AsyncMutex;

use super::server::Server;
use crate::runtime::PerRuntime;

#[derive(Clone)]
pub(super) enum ActiveConnection {
    /// The connection manager reconnects itself.
    Single(ConnectionManager),
    /// The cluster connection reconnects itself.
    Cluster(Box<ClusterConnection>),
    /// The master that a Sentinel named: when the connection is lost, another server can be the master.
    Master(Box<MultiplexedConnection>),
}

pub(super) struct RedisConnection {
    server: Server,
    /// The scripts that a new connection loads, so that their first use takes one round trip.
    scripts: fn() -> Vec<ScriptInvocation<'static>>,
    /// A connection is driven by a task of the runtime on which it was made.
    by_runtime: PerRuntime<Arc<RuntimeConnection>>,
}

/// The connection of one runtime.
#[derive(Default)]
struct RuntimeConnection {
    current: Mutex<Option<ActiveConnection>>,
    /// The lock of the task that connects.
    connecting: AsyncMutex<()>,
}

/// Returns whether the connection was lost, so that the next command uses another one.
pub(super) fn is_disconnected(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_io_error() && !error.is_timeout()
}

impl RedisConnection {
    pub(super) fn new(
        server: Server,
        scripts: fn() -> Vec<ScriptInvocation<'static>>,
    ) -> Arc<Self> {
        Arc::new(Self { server, scripts, by_runtime: PerRuntime::default() })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.server, Server::Cluster(_))
    }

    pub(super) async fn query<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
    ) -> RedisResult<T> {
        let response = match self.connection().await? {
            ActiveConnection::Single(mut connection) => command.query_async(&mut connection).await,
            ActiveConnection::Cluster(mut connection) => {
                command.query_async(&mut *connection).await
            }
            ActiveConnection::Master(mut connection) => command.query_async(&mut *connection).await,
        };
        self.drop_if_lost(&response);
        response
    }

    pub(super) async fn invoke<T: FromRedisValue>(
        self: &Arc<Self>,
        script: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let response = match self.connection().await? {
            ActiveConnection::Single(mut connection) => invoke(script, &mut connection).await,
            ActiveConnection::Cluster(mut connection) => invoke(script, &mut *connection).await,
            ActiveConnection::Master(mut connection) => invoke(script, &mut *connection).await,
        };
        self.drop_if_lost(&response);
        response
    }

    /// Returns the connection, or a new one. A separate task connects, since the caller might not have the time.
    async fn connection(self: &Arc<Self>) -> RedisResult<ActiveConnection> {
        let own = self.for_runtime();
        if let Some(connection) = own.current() {
            return Ok(connection);
        }
        let shared = Arc::clone(self);
        let connecting = tokio::spawn(async move {
            let _alone = own.connecting.lock().await;
            if let Some(connection) = own.current() {
                return Ok(connection);
            }
            let connection = shared.server.connect().await?;
            let scripts = (shared.scripts)();
            // A script that was not loaded here is loaded when it is used.
            join_all(scripts.iter().map(|script| load(script, connection.clone()))).await;
            own.set(Some(connection.clone()));
            Ok(connection)
        });
        connecting.await.unwrap_or_else(|_| {
            Err(RedisError::from((redis::ErrorKind::Io, "the runtime is shutting down")))
        })
    }

    /// Drops the connection to a master that is unreachable, or is no longer the master.
    fn drop_if_lost<T>(&self, response: &RedisResult<T>) {
        let Err(error) = response else { return };
        let gone = is_disconnected(error) || error.is_timeout() || error.code() == Some("READONLY");
        if gone && matches!(self.server, Server::Sentinel(_)) {
            self.for_runtime().set(None);
        }
    }

    /// Returns the connection of the caller's runtime.
    fn for_runtime(&self) -> Arc<RuntimeConnection> {
        self.by_runtime.get_or_make(|_, _| Arc::default())
    }
}

impl RuntimeConnection {
    fn current(&self) -> Option<ActiveConnection> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, connection: Option<ActiveConnection>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}

async fn invoke<T: FromRedisValue>(
    script: &ScriptInvocation<'_>,
    connection: &mut (impl ConnectionLike + Send),
) -> RedisResult<T> {
    script.invoke_async(connection).await
}

async fn load(script: &ScriptInvocation<'_>, connection: ActiveConnection) {
    let _ = match connection {
        ActiveConnection::Single(mut connection) => script.load_async(&mut connection).await,
        ActiveConnection::Cluster(mut connection) => script.load_async(&mut *connection).await,
        ActiveConnection::Master(mut connection) => script.load_async(&mut *connection).await,
    };
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.server.name())
    }
}
