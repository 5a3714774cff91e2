//! The behavior of the library, with a module for each area.

#[cfg(all(feature = "dashboard", feature = "github-app", feature = "webhooks"))]
#[path = "support/browser.rs"]
mod browser;
#[cfg(feature = "redis")]
#[path = "support/delaying_proxy.rs"]
mod delaying_proxy;
#[cfg(feature = "webhooks")]
#[path = "../src/store/forward.rs"]
mod forward;
#[cfg(all(feature = "dashboard", feature = "github-app", feature = "webhooks"))]
#[path = "support/intercepting_store.rs"]
mod intercepting_store;
#[path = "support/measured_process.rs"]
mod measured_process;
#[path = "support/sources.rs"]
mod sources;
mod support;
#[path = "support/threaded_server.rs"]
mod threaded_server;
#[path = "support/unresponsive_store.rs"]
mod unresponsive_store;

#[cfg(feature = "redis")]
#[path = "support/redis_servers.rs"]
mod redis_servers;

#[global_allocator]
static ALLOCATOR: measured_process::Counting = measured_process::Counting;

mod behavior {
    mod advice;
    #[cfg(feature = "app-registration")]
    mod app_registration;
    mod arithmetic;
    mod attacks;
    #[cfg(feature = "github-app")]
    mod auth;
    mod batch;
    mod blocking;
    mod bodies;
    mod cache;
    mod circuit_breaker;
    mod client;
    mod content;
    mod contract;
    #[cfg(all(feature = "dashboard", feature = "github-app", feature = "webhooks"))]
    mod dashboard;
    mod downloads;
    #[cfg(all(feature = "encrypted-token-store", feature = "github-app", feature = "redis"))]
    mod encrypted_token_store;
    mod entity_handles;
    #[cfg(feature = "github-app")]
    mod environments;
    mod error_predicates;
    mod errors;
    mod example_commands;
    #[cfg(feature = "redis")]
    mod fleet;
    mod graphql;
    mod health;
    mod hostile;
    mod interceptors;
    mod layers;
    mod memory;
    mod migration;
    mod mock_github;
    mod oauth;
    mod pagination;
    #[cfg(all(unix, feature = "encrypted-token-store", feature = "webhooks-journal"))]
    mod private_files;
    mod rate_limits;
    mod redirects;
    mod requests;
    mod responses;
    mod retries;
    #[cfg(feature = "redis")]
    mod store_waits;
    mod streams;

    #[cfg(all(feature = "encrypted-token-store", feature = "github-app"))]
    mod encrypted_file_token_store;
    #[cfg(all(
        feature = "encrypted-token-store",
        feature = "github-app",
        feature = "redis",
        feature = "webhooks"
    ))]
    mod stored_versions;
    #[cfg(feature = "redis")]
    mod unreadable_store_values;
    mod uploads;
    mod usage;
    mod values;
    #[cfg(feature = "webhooks")]
    mod webhooks;
}
