//! Runs a future on the calling thread.

use std::pin::pin;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::dedicated::{CannotBlock, for_waiting, wait_until_ready};

/// Runs a future on this thread, and returns its output.
///
/// It is for futures whose output is not a [`Result`], such as [`Client::close`](crate::Client::close) and
/// [`Batch::collect`](crate::Batch::collect). For all others there is [`Wait::wait`](crate::blocking::Wait::wait).
///
/// The future need not be [`Send`]. It can use tokio, also to spawn tasks: see the [module](crate::blocking#threads).
///
/// ```no_run
/// # fn example(github: octowire::Client) -> octowire::Result<()> {
/// use octowire::blocking::block_on;
///
/// let is_written = block_on(github.close())?;
/// # let _ = is_written;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the thread cannot wait ([`ErrorKind::Blocking`]): it belongs to a [Tokio
/// runtime](crate::blocking#inside-a-runtime), or the first blocking call of the process cannot start the library's own
/// runtime. The future is dropped without being polled.
pub fn block_on<F: Future>(future: F) -> Result<F::Output> {
    let runtime = for_waiting().map_err(blocking_error)?;
    // Until the future is dropped, which happens after its last poll.
    let _context = runtime.enter();
    let mut future = pin!(future);
    let mut output = None;
    wait_until_ready(&runtime, &mut |context| {
        future.as_mut().poll(context).map(|ready| output = Some(ready))
    });
    // It is always there.
    output.ok_or_else(|| Error::new(ErrorKind::Blocking, "the future ended without an output"))
}

fn blocking_error(reason: CannotBlock) -> Error {
    let (message, advice) = match reason {
        CannotBlock::InRuntime => (
            "a blocking call cannot wait on a thread of a Tokio runtime".into(),
            "await the call; in spawn_blocking, use Handle::current().block_on(…)",
        ),
        CannotBlock::ThreadEnds => (
            "a blocking call cannot wait on a thread that ends".into(),
            "call before the thread-local values are dropped",
        ),
        CannotBlock::NotStarted(error) => (
            format!("cannot start the runtime of blocking calls: {error}"),
            "check the limits of the process for threads and open files",
        ),
    };
    Error::new(ErrorKind::Blocking, message).with_advice(advice)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_reason_names_the_next_step() {
        let text = |reason| blocking_error(reason).to_string();
        assert_eq!(
            text(CannotBlock::InRuntime),
            "a blocking call cannot wait on a thread of a Tokio runtime; await the call; in \
             spawn_blocking, use Handle::current().block_on(…)"
        );
        assert!(text(CannotBlock::ThreadEnds).contains("thread-local"));
        let failed = io::Error::other("too many threads");
        assert_eq!(
            text(CannotBlock::NotStarted(failed)),
            "cannot start the runtime of blocking calls: too many threads; check the limits of the \
             process for threads and open files"
        );
    }

    #[test]
    fn a_future_that_is_not_send_and_borrows_runs_on_the_calling_thread() {
        let (thread, shared) = (std::thread::current().id(), std::rc::Rc::new(7));
        let borrowed = &shared;
        let ran = block_on(async move {
            tokio::task::yield_now().await;
            (std::thread::current().id(), **borrowed)
        });
        assert_eq!(ran.unwrap(), (thread, 7));
    }

    #[test]
    fn a_call_within_a_call_is_an_error() {
        let inner = block_on(async { block_on(async {}) }).unwrap();
        assert_eq!(inner.unwrap_err().kind(), ErrorKind::Blocking);
    }
}
