//! One send over the HTTP client: redirects and the clients of each runtime.

pub(crate) mod http_clients;
pub(crate) mod redirect;
