//! The background writer of values, after the calls that produced them.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::select;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::background::run_in_background;
use super::resilient::{BACKGROUND_TIMEOUT, ResilientStore, StoreResult};
use crate::meter;
use crate::time::clock::saturating_after;

/// Writes values to a store in the background: for each key one after the other, and of the pending values of a key
/// only the last one. The pending writes are bounded. If they exceed the bound, the oldest one is dropped, and values
/// before removals. One value that is larger than the bound is pending beside the others.
///
/// This process knows the pending values: it checks [`pending`](Self::pending) before it reads.
///
/// Each runtime that writes has a task, which writes for all runtimes. So a runtime that is not polled delays only the
/// writes of the keys that its task is writing: for [`abandoned_after`](Inner::abandoned_after).
#[derive(Clone, Debug)]
pub(crate) struct BackgroundWriter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guard: Arc<ResilientStore>,
    state: Mutex<State>,
    /// Notifies waiting callers that a write or a task has ended.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<Arc<str>, PendingWrite>,
    /// The keys of the writes that can begin, in the order of their arrival.
    order: VecDeque<Arc<str>>,
    /// The writes in progress; the same key is written again only after that.
    running: HashMap<Arc<str>, RunningWrite>,
    /// The bytes of all pending and current writes.
    bytes: usize,
    /// The tasks that write, by their runtimes, and the notification for each that there are more writes.
    writer_tasks: HashMap<Id, Arc<Notify>>,
    /// The number of the last write that began.
    started: u64,
    /// The number of queued writes.
    queued_count: u64,
}

/// A write in progress.
#[derive(Debug)]
struct RunningWrite {
    write: PendingWrite,
    number: u64,
    runtime: Id,
    started_at: Instant,
}

#[derive(Clone, Debug)]
struct PendingWrite {
    /// The new value of the key, and its TTL; `None` if the value is to be removed.
    value: Option<(Bytes, Duration)>,
    /// Its number among the queued writes, or that of the first one that it replaces.
    queued: u64,
}

/// The maximum number of pending writes.
pub(crate) const MAX_WRITES: usize = 1_024;
/// The maximum bytes of pending and current writes, except for one that is itself larger.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The maximum number of concurrent writes.
const MAX_CONCURRENT: usize = 32;
/// The approximate size of a write beside its key and value, in bytes.
const WRITE_OVERHEAD: usize = 256;

impl BackgroundWriter {
    pub(crate) fn new(store: Arc<ResilientStore>) -> Self {
        Self(Arc::new(Inner { guard: store, state: Mutex::default(), progress: Notify::new() }))
    }

    /// Sets the value of a key, with this TTL.
    pub(crate) fn put(&self, key: String, value: &[u8], ttl: Duration) {
        // A part of a larger buffer would keep the whole buffer.
        self.write(key.into(), Some((Bytes::copy_from_slice(value), ttl)));
    }

    /// Removes the value of a key.
    pub(crate) fn remove(&self, key: String) {
        self.write(key.into(), None);
    }

    /// Returns the pending value of a key; the inner value is `None` for a removal. Returns `None` if no write is
    /// pending.
    pub(crate) fn pending(&self, key: &str) -> Option<Option<Bytes>> {
        let state = self.0.state();
        let running = || state.running.get(key).map(|running| &running.write);
        let write = state.pending.get(key).or_else(running)?;
        Some(write.value.as_ref().map(|(value, _)| value.clone()))
    }

    /// Waits until the currently pending writes have ended.
    pub(crate) async fn flush(&self) {
        let last = self.0.state().queued_count;
        loop {
            let mut ended = pin!(self.0.progress.notified());
            // From here on, it receives the notification.
            ended.as_mut().enable();
            let abandoned_at = {
                let mut state = self.0.state();
                state.reclaim(Instant::now(), self.0.abandoned_after());
                if state.is_flushed(last) {
                    return;
                }
                state.abandoned_at(self.0.abandoned_after())
            };
            self.ensure_task();
            match abandoned_at {
                Some(at) => drop(timeout_at(at, ended).await),
                None => ended.await,
            }
        }
    }

    fn write(&self, key: Arc<str>, value: Option<(Bytes, Duration)>) {
        let dropped = self.0.state().queue(key, value);
        if dropped > 0 {
            debug!(dropped, "store writes dropped: too many pending");
            meter::store_writes_dropped("full", dropped);
        }
        self.ensure_task();
    }

    /// Starts the task of this runtime that writes, or notifies it of more writes.
    fn ensure_task(&self) {
        // Without a runtime, the next call within one starts the write.
        let Ok(handle) = Handle::try_current() else { return };
        let (runtime, changed) = (handle.id(), Arc::new(Notify::new()));
        match self.0.state().writer_tasks.entry(runtime) {
            Entry::Occupied(driver) => return driver.get().notify_one(),
            Entry::Vacant(free) => drop(free.insert(Arc::clone(&changed))),
        }
        let driver = WriterTask { inner: Arc::clone(&self.0), runtime, wake: changed, done: false };
        run_in_background(driver.run());
    }
}

impl Inner {
    /// Performs a write, unless another task takes it over.
    async fn perform(&self, key: Arc<str>, write: PendingWrite, number: u64) {
        let (name, guard) = (&*key, &*self.guard);
        let mut writing = pin!(async move {
            match write.value {
                Some((value, ttl)) => {
                    guard
                        .run_in_background(BACKGROUND_TIMEOUT, |store| store.put(name, value, ttl))
                        .await
                }
                None => {
                    guard.run_in_background(BACKGROUND_TIMEOUT, |store| store.remove(name)).await
                }
            }
        });
        // After a task of another runtime has written the key, an older value must not follow.
        let ran = poll_fn(|context| match self.state().is_running(&key, number) {
            true => writing.as_mut().poll(context).map(Some),
            false => Poll::Ready(None),
        });
        let Some(ran) = ran.await else {
            // A write that began can still reach the store, and replace a later value.
            self.state().remove_after(&key);
            return;
        };
        if ran != StoreResult::Done(()) {
            meter::store_writes_dropped("failed", 1);
        }
        self.state().finish(&key, number);
        self.progress.notify_waiters();
    }

    /// Returns the time after which a write is abandoned. A write takes at most the guard's
    /// [`background_timeout`](ResilientStore::background_timeout). A longer one belongs to a runtime that is not polled, and
    /// another runtime performs it.
    fn abandoned_after(&self) -> Duration {
        self.guard.background_timeout().saturating_mul(2)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds a write. Returns the number of dropped writes, which can include this one.
    fn queue(&mut self, key: Arc<str>, value: Option<(Bytes, Duration)>) -> u64 {
        self.queued_count = self.queued_count.saturating_add(1);
        let queued = self.pending.get(&key).map_or(self.queued_count, |before| before.queued);
        let write = PendingWrite { value, queued };
        if is_oversize(&write) && self.has_other_oversize(&key) {
            return 1;
        }
        self.bytes = self.bytes.saturating_add(size(&key, &write));
        match self.pending.insert(Arc::clone(&key), write) {
            Some(before) => self.bytes = self.bytes.saturating_sub(size(&key, &before)),
            None if self.running.contains_key(&key) => {}
            None => self.order.push_back(Arc::clone(&key)),
        }
        let mut dropped = 0;
        while self.pending.len() > MAX_WRITES || self.bytes > MAX_BYTES {
            let is_value =
                |key: &&Arc<str>| self.pending.get(*key).is_some_and(|it| it.value.is_some());
            let oldest = self.order.iter().find(is_value);
            // A write that waits for another write of its key is not in the order.
            let oldest = oldest.or_else(|| self.pending.keys().find(is_value));
            let oldest = oldest.or_else(|| self.order.front()).unwrap_or(&key).clone();
            self.order.retain(|waiting| *waiting != oldest);
            let Some(write) = self.pending.remove(&oldest) else { break };
            self.bytes = self.bytes.saturating_sub(size(&oldest, &write));
            dropped += 1;
        }
        dropped
    }

    /// Returns whether another key has a pending value that is larger than the bound.
    fn has_other_oversize(&self, key: &Arc<str>) -> bool {
        let running = self.running.iter().map(|(key, running)| (key, &running.write));
        self.pending.iter().chain(running).any(|(other, write)| other != key && is_oversize(write))
    }

    /// Queues a removal of the key, unless a write is pending anyway.
    fn remove_after(&mut self, key: &Arc<str>) {
        if !self.pending.contains_key(key) {
            self.queue(Arc::clone(key), None);
        }
    }

    /// Takes the next write, for the task of this runtime.
    fn start_next(&mut self, runtime: Id) -> Option<(Arc<str>, PendingWrite, u64)> {
        let key = self.order.pop_front()?;
        let write = self.pending.remove(&key)?;
        self.started = self.started.wrapping_add(1);
        let number = self.started;
        let since = Instant::now();
        self.running.insert(
            Arc::clone(&key),
            RunningWrite { write: write.clone(), number, runtime, started_at: since },
        );
        Some((key, write, number))
    }

    /// Returns whether the task that began a write still performs it.
    fn is_running(&self, key: &str, number: u64) -> bool {
        self.running.get(key).is_some_and(|running| running.number == number)
    }

    /// Ends a write: another one of its key can begin.
    fn finish(&mut self, key: &Arc<str>, number: u64) {
        if !self.is_running(key, number) {
            return;
        }
        if let Some(running) = self.running.remove(key) {
            self.bytes = self.bytes.saturating_sub(size(key, &running.write));
        }
        if self.pending.contains_key(key) {
            self.order.push_back(Arc::clone(key));
        }
    }

    /// Returns whether all writes up to this number have ended, or later ones replace them.
    fn is_flushed(&self, last: u64) -> bool {
        let running = self.running.values().map(|running| &running.write);
        self.pending.values().chain(running).all(|write| write.queued > last)
    }

    /// Returns when the oldest write in progress counts as abandoned, since its runtime is not polled.
    fn abandoned_at(&self, time: Duration) -> Option<Instant> {
        self.running.values().map(|running| saturating_after(running.started_at, time)).min()
    }

    /// Takes back the writes of runtimes that are not polled.
    fn reclaim(&mut self, now: Instant, time: Duration) {
        self.requeue(|running| saturating_after(running.started_at, time) <= now);
    }

    /// Takes back writes that began, unless a later write of the key is pending.
    fn requeue(&mut self, is_meant: impl Fn(&RunningWrite) -> bool) {
        for (key, running) in self.running.extract_if(|_, running| is_meant(running)) {
            self.order.push_front(Arc::clone(&key));
            let bytes = size(&key, &running.write);
            match self.pending.entry(key) {
                Entry::Occupied(mut newer) => {
                    self.bytes = self.bytes.saturating_sub(bytes);
                    let newer = newer.get_mut();
                    newer.queued = newer.queued.min(running.write.queued);
                }
                Entry::Vacant(free) => drop(free.insert(running.write)),
            }
        }
    }
}

/// The task of one runtime that writes. If the runtime shuts down, the next write starts another task.
struct WriterTask {
    inner: Arc<Inner>,
    runtime: Id,
    /// Notifies it of more writes.
    wake: Arc<Notify>,
    /// Whether it has ended normally, so that another task can have replaced it.
    done: bool,
}

impl WriterTask {
    async fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let changed = Arc::clone(&self.wake);
        let mut running = FuturesUnordered::new();
        loop {
            let abandoned_at = {
                let mut state = inner.state();
                state.reclaim(Instant::now(), inner.abandoned_after());
                while running.len() < MAX_CONCURRENT
                    && let Some((key, write, number)) = state.start_next(self.runtime)
                {
                    running.push(inner.perform(key, write, number));
                }
                // The pending writes wait for writes of the same keys by other tasks.
                if running.is_empty() && state.pending.is_empty() {
                    state.writer_tasks.remove(&self.runtime);
                    self.done = true;
                    break;
                }
                state.abandoned_at(inner.abandoned_after())
            };
            let written = async {
                match running.next().await {
                    Some(()) => {}
                    None => pending().await,
                }
            };
            let is_abandoned = async {
                match abandoned_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            let (written, is_abandoned) = (pin!(written), pin!(is_abandoned));
            // A pending write of this task can wait for a write of another task.
            let more = pin!(changed.notified());
            let ended = pin!(inner.progress.notified());
            select(written, select(is_abandoned, select(more, ended))).await;
        }
        inner.progress.notify_waiters();
    }
}

impl Drop for WriterTask {
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.inner.state();
            state.writer_tasks.remove(&self.runtime);
            state.requeue(|running| running.runtime == self.runtime);
            drop(state);
            self.inner.progress.notify_waiters();
        }
    }
}

/// Returns the size of a write for [`MAX_BYTES`].
fn size(key: &str, write: &PendingWrite) -> usize {
    let value = if is_oversize(write) { 0 } else { value_len(write) };
    key.len().saturating_add(value).saturating_add(WRITE_OVERHEAD)
}

/// Returns whether a value is larger than the bound of all others: at most one of these is pending at a time.
fn is_oversize(write: &PendingWrite) -> bool {
    value_len(write) > MAX_BYTES - MAX_WRITES * WRITE_OVERHEAD
}

fn value_len(write: &PendingWrite) -> usize {
    write.value.as_ref().map_or(0, |(value, _)| value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        CounterStore, KeyValueStore, MemoryStore, QuotaStore, StoreFuture, forward,
    };
    use tokio::time::{Instant, sleep, timeout};

    /// A store that takes 10 ms for each write, and records the writes.
    #[derive(Debug, Default)]
    struct Slow {
        memory: MemoryStore,
        written: Mutex<Vec<(String, Option<Bytes>)>>,
    }

    const TAKES: Duration = Duration::from_millis(10);

    impl Slow {
        async fn write(&self, key: &str, value: Option<Bytes>) {
            sleep(TAKES).await;
            self.written.lock().unwrap().push((key.to_owned(), value));
        }
    }

    impl KeyValueStore for Arc<Slow> {
        fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
            Box::pin(async move {
                self.write(key, Some(value.clone())).await;
                self.memory.put(key, value, ttl).await
            })
        }
        fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
            Box::pin(async move {
                self.write(key, None).await;
                self.memory.remove(key).await
            })
        }
        forward!(memory => get, put_if_absent, extend_if_equal, remove_if_equal);
    }

    impl CounterStore for Arc<Slow> {
        forward!(memory => increment);
    }

    impl QuotaStore for Arc<Slow> {}

    const LONG: Duration = Duration::from_secs(60);

    fn slow() -> (Arc<Slow>, BackgroundWriter) {
        let store = Arc::new(Slow::default());
        let guard = ResilientStore::new(Arc::new(Arc::clone(&store)), crate::store::STORE_TIMEOUT);
        (Arc::clone(&store), BackgroundWriter::new(Arc::new(guard)))
    }

    #[tokio::test]
    async fn a_memory_store_is_written_at_once() {
        let memory = MemoryStore::new();
        let store = ResilientStore::new(Arc::new(memory.clone()), crate::store::STORE_TIMEOUT);
        let writer = BackgroundWriter::new(Arc::new(store));
        writer.put("k".to_owned(), b"v", LONG);
        assert_eq!(writer.pending("k"), None);
        assert_eq!(memory.get("k").await.unwrap(), Some(Bytes::from_static(b"v")));
    }

    #[tokio::test(start_paused = true)]
    async fn pending_values_are_visible_and_the_last_value_of_a_key_wins() {
        let (store, writer) = slow();
        for value in ["1", "2", "3"] {
            writer.put("k".to_owned(), value.as_bytes(), LONG);
            assert_eq!(writer.pending("k"), Some(Some(Bytes::from_static(value.as_bytes()))));
        }
        writer.put("other".to_owned(), b"o", LONG);
        writer.remove("other".to_owned());
        assert_eq!(writer.pending("other"), Some(None));
        let start = Instant::now();
        writer.flush().await;
        // The first write, and then the last: the values between are not written.
        assert_eq!(start.elapsed(), 2 * TAKES);
        assert_eq!((writer.pending("k"), writer.pending("other")), (None, None));
        let written = store.written.lock().unwrap();
        let of = |key: &str| -> Vec<_> {
            let of = written.iter().filter(|(written, _)| written == key);
            of.map(|(_, value)| value.clone()).collect()
        };
        let some = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(of("k"), [some("1"), some("3")]);
        assert_eq!(of("other"), [None]);
    }

    #[tokio::test(start_paused = true)]
    async fn pending_writes_are_bounded_by_count_and_drop_the_oldest() {
        let (store, writer) = slow();
        writer.put("begun".to_owned(), b"v", LONG);
        writer.remove("removed".to_owned());
        for number in 0..MAX_WRITES + 10 {
            writer.put(number.to_string(), b"v", LONG);
        }
        {
            let state = writer.0.state();
            assert_eq!((state.pending.len(), state.order.len()), (MAX_WRITES, MAX_WRITES));
            let running = state.running.iter().map(|(key, running)| (key, &running.write));
            let all = state.pending.iter().chain(running);
            assert_eq!(state.bytes, all.map(|(key, write)| size(key, write)).sum::<usize>());
        }
        let start = Instant::now();
        writer.flush().await;
        let rounds = u32::try_from((MAX_WRITES + 1).div_ceil(MAX_CONCURRENT)).unwrap();
        assert!(start.elapsed() <= (rounds + 1) * TAKES, "{:?}", start.elapsed());
        let written = store.written.lock().unwrap();
        assert_eq!(written.len(), 1 + MAX_WRITES);
        let has = |key: &str| written.iter().any(|(written, _)| written == key);
        assert!(has("begun") && has("removed") && has("11"));
        assert!((0..11).all(|number| !has(&number.to_string())), "the oldest values are gone");
        assert_eq!(writer.0.state().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn pending_and_running_writes_are_bounded_in_bytes() {
        let (store, writer) = slow();
        let value = vec![0; MAX_BYTES / 4];
        for number in 0..10 {
            writer.put(format!("{number}"), &value, LONG);
            assert!(writer.0.state().bytes <= MAX_BYTES);
        }
        writer.remove("removed".to_owned());
        writer.flush().await;
        let written = store.written.lock().unwrap();
        assert_eq!(written.iter().filter(|(_, value)| value.is_some()).count(), 3);
        assert!(written.iter().any(|(key, _)| key == "removed"));
        assert_eq!(writer.0.state().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_waits_for_the_writes_pending_at_its_start() {
        let (store, writer) = slow();
        writer.put("k".to_owned(), b"1", LONG);
        writer.put("k".to_owned(), b"2", LONG);
        let busy = writer.clone();
        let more = tokio::spawn(async move {
            for number in 0.. {
                busy.put(number.to_string(), b"v", LONG);
                busy.put("k".to_owned(), number.to_string().as_bytes(), LONG);
                sleep(TAKES / 10).await;
            }
        });
        timeout(3 * TAKES, writer.flush()).await.unwrap();
        let written = store.written.lock().unwrap().iter().filter(|(key, _)| key == "k").count();
        assert_eq!(written, 2, "the first value, and the second one or a later one");
        more.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn one_value_that_is_larger_than_the_bound_is_written_beside_the_others() {
        let (store, writer) = slow();
        writer.put("begun".to_owned(), b"v", LONG);
        writer.put("other".to_owned(), b"v", LONG);
        let large = vec![0; 2 * MAX_BYTES];
        writer.put("large".to_owned(), &large, LONG);
        writer.put("too much".to_owned(), &large, LONG);
        writer.flush().await;
        let written = store.written.lock().unwrap();
        let keys: Vec<_> = written.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["begun", "other", "large"]);
        assert_eq!(writer.0.state().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removal_is_not_dropped_for_a_value_of_a_key_that_is_being_written() {
        let (store, writer) = slow();
        let half = vec![0; MAX_BYTES / 2];
        writer.put("k".to_owned(), &half, LONG);
        writer.remove("removed".to_owned());
        // With the current write of the same key, it exceeds the bound.
        writer.put("k".to_owned(), &half, LONG);
        writer.flush().await;
        let written = store.written.lock().unwrap();
        assert!(written.iter().any(|(key, _)| key == "removed"));
        assert_eq!(written.iter().filter(|(key, _)| key == "k").count(), 1);
    }

    /// A store whose writes are performed by a task of the caller's runtime, as those of a connection are.
    #[derive(Clone, Debug, Default)]
    struct Connected(MemoryStore);

    impl KeyValueStore for Connected {
        fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
            let (memory, key) = (self.0.clone(), key.to_owned());
            let task = tokio::spawn(async move { memory.put(&key, value, ttl).await });
            Box::pin(async move { task.await.unwrap() })
        }
        forward!(0 => get, put_if_absent, extend_if_equal, remove, remove_if_equal);
    }

    impl CounterStore for Connected {
        forward!(0 => increment);
    }

    impl QuotaStore for Connected {}

    #[test]
    fn an_older_value_that_reaches_the_store_late_does_not_stay() {
        let store = Connected::default();
        let guard = ResilientStore::new(Arc::new(store.clone()), crate::store::STORE_TIMEOUT);
        let writer = BackgroundWriter::new(Arc::new(guard));
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().build().unwrap()
        };
        let (still, other) = (runtime(), runtime());
        still.block_on(async { writer.put("k".to_owned(), b"1", LONG) });
        other.block_on(async {
            writer.put("k".to_owned(), b"2", LONG);
            writer.flush().await;
        });
        let value = || other.block_on(store.get("k")).unwrap();
        assert_eq!(value(), Some(Bytes::from_static(b"2")));
        // The runtime that was not polled sends its write.
        still.block_on(async { sleep(5 * TAKES).await });
        other.block_on(writer.flush());
        assert_eq!((value(), writer.0.state().bytes), (None, 0));
    }

    #[test]
    fn writes_of_an_ended_runtime_are_taken_over() {
        let (store, writer) = slow();
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().build().unwrap()
        };
        let first = runtime();
        first.block_on(async { writer.put("k".to_owned(), b"v", LONG) });
        drop(first);
        assert_eq!(writer.pending("k"), Some(Some(Bytes::from_static(b"v"))));
        runtime().block_on(writer.flush());
        assert_eq!(store.written.lock().unwrap().len(), 1);
        assert_eq!(writer.pending("k"), None);
    }

    #[test]
    fn a_runtime_that_is_not_polled_delays_no_writes_of_another() {
        let (store, writer) = slow();
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().build().unwrap()
        };
        let (still, other) = (runtime(), runtime());
        still.block_on(async { writer.put("k".to_owned(), b"1", LONG) });
        assert_eq!(writer.0.state().running.len(), 1, "its task has begun");
        let written = |key: &str| {
            let written = store.written.lock().unwrap();
            written.iter().filter(|(written, _)| written == key).count()
        };
        let start = Instant::now();
        other.block_on(async {
            writer.put("other".to_owned(), b"o", LONG);
            while written("other") == 0 {
                sleep(TAKES).await;
            }
        });
        let abandoned_after = writer.0.abandoned_after();
        assert!(start.elapsed() < abandoned_after / 2, "{:?}", start.elapsed());
        // The same key waits until it is certain that no other task writes it, and no longer.
        other.block_on(async {
            writer.put("k".to_owned(), b"2", LONG);
            writer.flush().await;
        });
        assert!(start.elapsed() < 2 * abandoned_after, "{:?}", start.elapsed());
        assert_eq!(writer.0.state().bytes, 0);
        // The task that ends late leaves no older value, which it can have sent before it ended.
        still.block_on(async { sleep(5 * TAKES).await });
        other.block_on(writer.flush());
        let value = other.block_on(store.memory.get("k")).unwrap();
        assert_eq!((value, writer.pending("k"), writer.0.state().bytes), (None, None, 0));
    }
}
