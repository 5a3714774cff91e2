//! What the library promises, a module for each promise.

#[path = "support/stand_in/mod.rs"]
mod stand_in;
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
    #[cfg(feature = "app-auth")]
    mod environments;
    mod errors;
    #[cfg(feature = "redis")]
    mod fleet;
    mod graphql;
    mod limits;
    mod oauth;
    mod pages;
    mod redirects;
    mod retries;
    #[cfg(all(feature = "token-store", feature = "app-auth", feature = "redis"))]
    mod shared_tokens;
    mod the_stand_in;
    #[cfg(all(feature = "token-store", feature = "app-auth"))]
    mod token_file;
    #[cfg(feature = "webhooks-core")]
    mod webhooks;
}
