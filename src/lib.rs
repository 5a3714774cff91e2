//! GitHub's whole REST API, for integrations in production.
