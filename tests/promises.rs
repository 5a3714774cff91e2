//! What the library promises, a module for each promise.

#[path = "support/gone.rs"]
mod gone;
mod support;

#[cfg(feature = "redis")]
#[path = "support/redis_servers.rs"]
mod redis_servers;

mod promises {
    #[cfg(feature = "app-auth")]
    mod auth;
    mod batch;
    mod bodies;
    mod cache;
    mod circuit;
    mod client;
    mod contract;
    #[cfg(feature = "app-auth")]
    mod environments;
    mod errors;
    #[cfg(feature = "redis")]
    mod fleet;
    mod graphql;
    mod limits;
    mod mock_github;
    mod oauth;
    mod pages;
    mod redirects;
    mod retries;
    mod shadow;
    #[cfg(all(feature = "token-store", feature = "app-auth", feature = "redis"))]
    mod shared_tokens;

    #[cfg(all(feature = "token-store", feature = "app-auth"))]
    mod token_file;
    mod usage;
    #[cfg(feature = "webhooks-core")]
    mod webhooks;
}
