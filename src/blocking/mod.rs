//! Blocking calls, for scripts and other programs without asynchronous code.
//!
//! There is no second client: a program makes the same calls with the same [`Client`](crate::Client), and *waits* where
//! asynchronous code would await. [`Wait`] adds one method for this, `wait`:
//!
//! | in asynchronous code | in blocking code |
//! |---|---|
//! | `call.send().await?` | `call.send().wait()?` |
//! | `while let Some(item) = list.try_next().await?` | `for item in list.wait()`: an iterator, [`Iter`] |
//! | a body: [`ByteStream`] | `body.wait()`: a [`Read`](std::io::Read) and [`BufRead`](std::io::BufRead), [`Reader`] |
//! | `call.send().save_to(path, limit).await?` | `call.send().save_to(path, limit).wait()?` |
//! | `github.close().await`, and other outputs than a `Result` | [`block_on`]`(github.close())?` |
//!
//! ```no_run
//! # #[cfg(all(feature = "issues", feature = "repos"))]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use octowire::Client;
//! use octowire::blocking::Wait;
//!
//! let github = Client::from_env()?;
//! let rust = github.repo("rust-lang", "rust");
//! let repo = rust.repos().get().send().wait()?;
//! for issue in rust.issues().list_for_repo().stream().wait() {
//!     let issue = issue?;
//!     println!("#{} {}", issue.number, issue.title);
//! }
//! let archive = rust.repos().download_zipball_archive().ref_(repo.default_branch.as_str());
//! archive.send().save_to("rust.zip", 1 << 30).wait()?; // at most 1 GiB
//! # Ok(())
//! # }
//! ```
//!
//! Rate limits, retries, the cache and tokens work as in asynchronous code, and so does a client that both use. Several
//! threads can call at the same time.
//!
//! # Threads
//! The first blocking call of the process starts a Tokio runtime with one thread, `octowire-blocking`, which lives until
//! the process ends. That thread drives timers, connections and background work: refreshes of tokens, quota leases,
//! writes to a store. So these make progress while no thread waits for a call. The calling thread polls its own call,
//! and decodes the response.
//!
//! A child process of `fork` does not have that thread, so that a blocking call there waits forever if its parent has made
//! one. Fork before the first blocking call.
//!
//! # Inside a runtime
//! A thread of a Tokio runtime must not block, since other tasks depend on it. There, every function of this module
//! returns an error of the kind [`ErrorKind::Blocking`](crate::ErrorKind::Blocking), whatever the flavor of the runtime;
//! nothing panics. This includes the threads of
//! [`spawn_blocking`](https://docs.rs/tokio/latest/tokio/task/fn.spawn_blocking.html) and `block_in_place`, and those
//! that have entered a runtime with `Handle::enter`. They can block, but tokio does not tell them apart, and they have a
//! runtime: `Handle::current().block_on(call.send())` runs the call there.
//!
//! All values of this module can be dropped anywhere, inside a runtime too.
//!
//! # The end of a program
//! As in asynchronous code, [`Client::close`](crate::Client::close) writes pending data if a
//! [store](crate::ClientBuilder::store) is configured: `block_on(github.close())?`. Without it, the drop of the last
//! handle writes what it can within half a second each for usage and invalidations.

mod executor;
mod iter;
mod reader;

pub use executor::block_on;
pub use iter::Iter;
pub use reader::Reader;

use crate::client::pagination::{Items, Pages};
use crate::error::Result;
use crate::response::{ByteStream, Response};

/// A value of asynchronous code that a thread can wait for.
///
/// It is implemented for every future of a [`Result`], such as [`ResponseFuture`](crate::ResponseFuture); for the lists
/// [`Items`] and [`Pages`]; and for a body: a [`ByteStream`], or a [`Response`] with one. See the [module](self) for
/// examples.
pub trait Wait {
    /// The result of a future, an [`Iter`] over a list, or a [`Reader`] of a body.
    type Output;

    /// Waits for a future, and returns its result; or converts a list or body to its blocking form, without a wait.
    ///
    /// There is no timeout beside those of the [call](crate::Request::timeout) and of the
    /// [client](crate::ClientBuilder::call_timeout).
    ///
    /// # Errors
    /// A future returns its own error, or that of [`block_on()`] if the thread cannot wait.
    fn wait(self) -> Self::Output;
}

impl<F, T> Wait for F
where
    F: Future<Output = Result<T>>,
{
    type Output = Result<T>;

    fn wait(self) -> Result<T> {
        block_on(self)?
    }
}

impl<I> Wait for Items<I> {
    type Output = Iter<Self>;

    fn wait(self) -> Iter<Self> {
        Iter::new(self)
    }
}

impl<T> Wait for Pages<T> {
    type Output = Iter<Self>;

    fn wait(self) -> Iter<Self> {
        Iter::new(self)
    }
}

impl Wait for ByteStream {
    type Output = Reader;

    fn wait(self) -> Reader {
        Reader::new(self)
    }
}

impl Wait for Response<ByteStream> {
    type Output = Reader;

    fn wait(self) -> Reader {
        Reader::new(self.into_inner())
    }
}
