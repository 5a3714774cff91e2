//! Whether the caller or a task polls a call, and how the call ends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::poll_immediate;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing_subscriber::Registry;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A call and its handle.
fn call<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> (DetachableCall<T>, DetachHandle) {
    let mut handle = None;
    let call = DetachableCall::new(None, |own| {
        handle = Some(own);
        Box::pin(future)
    });
    (call, handle.unwrap())
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_detached_is_polled_by_its_caller_alone() {
    let (call, _handle) = call(async {
        sleep(SECOND).await;
        7
    });
    let watched = poll_fn({
        let mut call = Box::pin(call);
        move |context| {
            assert_eq!(tasks(), 0, "nothing is spawned");
            call.as_mut().poll(context)
        }
    });
    assert_eq!(watched.await, 7);
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_ends_without_its_caller_which_gets_the_outcome() {
    let (ended, has_ended) = oneshot::channel();
    let (mut call, handle) = call(async {
        sleep(SECOND).await;
        let _ = ended.send(());
        7
    });
    assert!(poll_immediate(&mut call).await.is_none());
    handle.detach();
    timeout(2 * SECOND, has_ended).await.expect("its task polls it").unwrap();
    assert_eq!(call.await, 7);
    handle.detach();
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_is_woken_by_the_task() {
    let (call, handle) = call(async {
        sleep(SECOND).await;
        7
    });
    let caller = tokio::spawn(call);
    tokio::task::yield_now().await;
    handle.detach();
    assert_eq!(timeout(2 * SECOND, caller).await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_detached_while_it_is_polled_is_spawned_after_that_poll() {
    let (ended, has_ended) = oneshot::channel();
    let mut call = DetachableCall::new(None, |own| {
        Box::pin(async move {
            own.detach();
            assert_eq!(tasks(), 0);
            sleep(SECOND).await;
            let _ = ended.send(());
        })
    });
    assert!(poll_immediate(&mut call).await.is_none());
    assert_eq!(tasks(), 1);
    timeout(2 * SECOND, has_ended).await.unwrap().unwrap();
    call.await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_caller_drops_the_call_at_once_and_ends_its_task() {
    let dropped = Arc::new(AtomicUsize::new(0));
    for detached in [false, true] {
        let held = Dropped(Arc::clone(&dropped));
        let (mut call, handle) = call(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(poll_immediate(&mut call).await.is_none());
        if detached {
            handle.detach();
            sleep(SECOND).await;
        }
        let before = dropped.load(Ordering::SeqCst);
        drop(call);
        assert_eq!(dropped.load(Ordering::SeqCst), before + 1);
        sleep(SECOND).await;
        assert_eq!(tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_the_caller_and_the_resources_of_the_call_are_released() {
    let dropped = Arc::new(AtomicUsize::new(0));
    for detached in [false, true] {
        let held = Dropped(Arc::clone(&dropped));
        let (mut call, handle) = call(async move {
            let _held = held;
            sleep(SECOND).await;
            if true {
                panic!("as it may");
            }
        });
        assert!(poll_immediate(&mut call).await.is_none());
        if detached {
            handle.detach();
            sleep(2 * SECOND).await;
            assert_eq!(dropped.load(Ordering::SeqCst), 2, "before the caller asks");
        }
        let caller = tokio::spawn(call).await.unwrap_err().into_panic();
        assert_eq!(caller.downcast_ref::<&str>(), Some(&"as it may"));
        assert_eq!(dropped.load(Ordering::SeqCst), 1 + usize::from(detached));
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_call_whose_task_lost_its_runtime_is_polled_by_its_caller_again() {
    let (first, second) = (runtime(), runtime());
    let gate = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&gate);
    let (mut call, handle) = first.block_on(async {
        call(poll_fn(move |_| match opened.load(Ordering::SeqCst) {
            true => Poll::Ready(7),
            false => Poll::Pending,
        }))
    });
    first.block_on(async { assert!(poll_immediate(&mut call).await.is_none()) });
    handle.detach();
    drop(first);
    gate.store(true, Ordering::SeqCst);
    assert_eq!(second.block_on(async { timeout(SECOND, call).await.unwrap() }), 7);
}

#[test]
fn a_call_on_a_runtime_that_is_gone_stays_with_its_caller() {
    let (first, second) = (runtime(), runtime());
    let (mut call, handle) = first.block_on(async { call(async { 7 }) });
    drop(first);
    handle.detach();
    assert_eq!(second.block_on(poll_immediate(&mut call)), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_keeps_its_span_and_its_subscriber() {
    let subscriber = Dispatch::new(Registry::default());
    let (mut call, handle) = dispatcher::with_default(&subscriber, || {
        tracing::info_span!("github").in_scope(|| {
            call(async {
                sleep(SECOND).await;
                let subscribed = dispatcher::get_default(|now| now.is::<Registry>());
                (subscribed, Span::current().metadata().map(tracing::Metadata::name))
            })
        })
    });
    assert!(poll_immediate(&mut call).await.is_none());
    handle.detach();
    assert_eq!(call.await, (true, Some("github")));
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nothing_polled_it_does_not_count() {
    let extension = DeadlineExtension::default();
    let mut handle = None;
    let mut call = DetachableCall::new(Some(extension.clone()), |own| {
        handle = Some(own);
        Box::pin(async move {
            let limit =
                crate::time::deadline::Deadline::new(Instant::now(), SECOND, Some(&extension));
            crate::time::deadline::with_deadline([&limit, &limit], sleep(SECOND / 2)).await.is_ok()
        })
    });
    assert!(poll_immediate(&mut call).await.is_none());
    tokio::time::advance(60 * SECOND).await;
    handle.unwrap().detach();
    assert!(call.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_is_detached_and_dropped_on_other_threads_is_dropped_once() {
    let dropped = Arc::new(AtomicUsize::new(0));
    for round in 0..2_000_usize {
        let held = Dropped(Arc::clone(&dropped));
        let (call, handle) = call(async move {
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            drop(held);
            round
        });
        let caller = tokio::spawn(call);
        let detaching = tokio::spawn(async move { handle.detach() });
        if round % 3 == 0 {
            caller.abort();
            let _ = caller.await;
        } else {
            assert_eq!(caller.await.unwrap(), round);
        }
        detaching.await.unwrap();
    }
    timeout(10 * SECOND, async {
        while dropped.load(Ordering::SeqCst) < 2_000 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("each future is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_destructor_reaches_the_caller() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on drop");
        }
    }
    let held = Panics;
    let mut polls = 0;
    // It is dropped with the future, after its end.
    let (mut call, handle) = call(poll_fn(move |context| {
        let _held = &held;
        polls += 1;
        context.waker().wake_by_ref();
        if polls > 1 { Poll::Ready(7) } else { Poll::Pending }
    }));
    assert!(poll_immediate(&mut call).await.is_none());
    handle.detach();
    let caller = timeout(SECOND, tokio::spawn(call)).await.expect("it is told");
    let panic = caller.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on drop"));
}
