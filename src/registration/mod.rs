//! Registration of a GitHub App from a manifest: settings in code, and a click in a browser.
//!
//! GitHub has no API that creates an App. Its [manifest
//! flow](https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest) has a form
//! instead: a browser posts an [`AppManifest`] to GitHub, a person confirms it, and GitHub redirects the browser to the
//! program with a code, which is exchanged for the App's credentials.
//!
//! ```no_run
//! use octowire::Client;
//! use octowire::auth::{EncryptedFileTokenStore, EncryptionKey, PermissionLevel};
//! use octowire::registration::{AppManifest, AppRegistration};
//!
//! # async fn example() -> octowire::Result<()> {
//! let manifest = AppManifest::new("https://bot.example.com")
//!     .name("Octo Bot")
//!     .webhook("https://bot.example.com/webhooks")
//!     .permission("issues", PermissionLevel::Write)
//!     .permission("metadata", PermissionLevel::Read)
//!     .event("issues");
//!
//! // A missing key or an unreadable store shows before GitHub creates an App.
//! let key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
//! let store = EncryptedFileTokenStore::open("/var/lib/bot/credentials", key)?;
//!
//! // The client needs no token. Its base URL decides which GitHub server gets the App.
//! let github = Client::builder().build()?;
//! let registration = AppRegistration::new(&github, manifest).organization("octo-org").start().await?;
//! println!("Open {} in a browser on this machine", registration.url());
//! let registered = registration.finish().await?;
//! registered.save(&store, "production").await?;
//! # Ok(())
//! # }
//! ```
//!
//! From then on, [`RegisteredApp::load`](crate::auth::RegisteredApp::load) returns the App of the environment, in this
//! program or another one. Installing the App on an account is a separate step:
//! [`RegisteredApp::install_url`](crate::auth::RegisteredApp::install_url).
//!
//! # The loopback server
//!
//! The form has to be posted by the person's browser. So the program serves a page with the form on 127.0.0.1, at a port
//! that the system chooses, and receives GitHub's redirect there. The server accepts the redirect while
//! [`finish`](PendingRegistration::finish) is polled.
//!
//! - A request needs the `Host` of the server, so that no other name that resolves to this machine is accepted.
//! - The page has a random path. Only the program that prints the URL discloses it.
//! - The page loads nothing and runs no script: its Content-Security-Policy allows a form to GitHub and its own style.
//! - The `state` in the form has 256 random bits, is compared in constant time, and is valid once. A callback with
//!   another one is rejected, and the server waits for the right one.
//! - At most 16 connections are served at a time.
//!
//! A person can confirm the App on GitHub's page after the timeout. A program of another user that has opened the port by
//! then would receive the code, and with it the credentials. Therefore the server keeps the port for an hour after the
//! timeout, in a task of the runtime, and responds with 410. It cannot keep the port once the process or the runtime ends, or
//! if the future of `finish` is dropped. On a machine with other users, set a long [timeout](AppRegistration::timeout), and
//! close GitHub's page before the program ends without an App.
//!
//! On a remote machine, forward the port, as in `ssh -L PORT:127.0.0.1:PORT HOST`, and open the URL locally.
//!
//! A web application can serve the form and the callback itself, with [`AppManifest::to_json`] and
//! [`RegisteredApp::from_code`](crate::auth::RegisteredApp::from_code).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod flow;
mod loopback;
mod manifest;
mod page;

pub use flow::{AppRegistration, PendingRegistration};
pub use manifest::AppManifest;
