//! The quota that a fleet shares: leases of the store, and the client that asks for them.

pub(crate) mod lease_client;
pub(crate) mod lease_state;
