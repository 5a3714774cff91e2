//! What the library promises, a module for each promise.

#[path = "support/stand_in/mod.rs"]
mod stand_in;
mod support;

mod promises {
    mod client;
    mod errors;
    mod graphql;
    mod oauth;
    mod pages;
    mod redirects;
    mod the_stand_in;
}
