//! Writes values after the calls that produced them.

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

use super::behind::continue_behind;
use super::guard::{BACKGROUND_TIMEOUT, Guard, Ran};
use crate::clock::after;
use crate::telemetry::meter;

/// Writes values to a store in the background: for each key one after the other, and of the pending values of a key
/// only the last one. The pending writes are bounded. If they exceed the bound, the oldest one is dropped, and values
/// before removals. One value that is larger than the bound is pending beside the others.
///
/// This process knows the pending values: it checks [`pending`](Self::pending) before it reads.
///
/// Each runtime that writes has a task, which writes for all runtimes. So a runtime that is not polled delays only the
/// writes of the keys that its task is writing: for [`abandoned_after`](Inner::abandoned_after).
#[derive(Clone, Debug)]
pub(crate) struct Writer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guard: Arc<Guard>,
    state: Mutex<State>,
    /// Notifies waiting callers that a write or a task has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Arc<str>, Write>,
    /// The keys of the writes that can begin, in the order of their arrival.
    order: VecDeque<Arc<str>>,
    /// The writes in progress; the same key is written again only after that.
    running: HashMap<Arc<str>, Running>,
    /// The bytes of all pending and current writes.
    bytes: usize,
    /// The tasks that write, by their runtimes, and the notification for each that there are more writes.
    drivers: HashMap<Id, Arc<Notify>>,
    /// The number of the last write that began.
    begun: u64,
    /// The number of queued writes.
    queued: u64,
}

/// A write in progress.
#[derive(Debug)]
struct Running {
    write: Write,
    number: u64,
    runtime: Id,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Write {
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
const OVERHEAD: usize = 256;
impl Writer {
    pub(crate) fn new(guard: Arc<Guard>) -> Self {
        Self(Arc::new(Inner { guard, state: Mutex::default(), ended: Notify::new() }))
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
        let write = state.waiting.get(key).or_else(running)?;
        Some(write.value.as_ref().map(|(value, _)| value.clone()))
    }

    /// Waits until the currently pending writes have ended.
    pub(crate) async fn flush(&self) {
        let last = self.0.state().queued;
        loop {
            let mut ended = pin!(self.0.ended.notified());
            // From here on, it receives the notification.
            ended.as_mut().enable();
            let abandoned_at = {
                let mut state = self.0.state();
                state.take_over(Instant::now(), self.0.abandoned_after());
                if state.is_written(last) {
                    return;
                }
                state.abandoned_at(self.0.abandoned_after())
            };
            self.drive();
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
        self.drive();
    }

    /// Starts the task of this runtime that writes, or notifies it of more writes.
    fn drive(&self) {
        // Without a runtime, the next call within one starts the write.
        let Ok(handle) = Handle::try_current() else { return };
        let (runtime, changed) = (handle.id(), Arc::new(Notify::new()));
        match self.0.state().drivers.entry(runtime) {
            Entry::Occupied(driver) => return driver.get().notify_one(),
            Entry::Vacant(free) => drop(free.insert(Arc::clone(&changed))),
        }
        let driver = Driver { inner: Arc::clone(&self.0), runtime, changed, done: false };
        continue_behind(driver.run());
    }
}

impl Inner {
    /// Performs a write, unless another task takes it over.
    async fn perform(&self, key: Arc<str>, write: Write, number: u64) {
        let (name, guard) = (&*key, &*self.guard);
        let mut writing = pin!(async move {
            match write.value {
                Some((value, ttl)) => {
                    guard.run_behind(BACKGROUND_TIMEOUT, |store| store.put(name, value, ttl)).await
                }
                None => guard.run_behind(BACKGROUND_TIMEOUT, |store| store.remove(name)).await,
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
        if ran != Ran::Done(()) {
            meter::store_writes_dropped("failed", 1);
        }
        self.state().end(&key, number);
        self.ended.notify_waiters();
    }

    /// Returns the time after which a write is abandoned. A write takes at most the guard's
    /// [`background_timeout`](Guard::background_timeout). A longer one belongs to a runtime that is not polled, and
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
        self.queued = self.queued.saturating_add(1);
        let queued = self.waiting.get(&key).map_or(self.queued, |before| before.queued);
        let write = Write { value, queued };
        if is_oversize(&write) && self.has_other_oversize(&key) {
            return 1;
        }
        self.bytes = self.bytes.saturating_add(size(&key, &write));
        match self.waiting.insert(Arc::clone(&key), write) {
            Some(before) => self.bytes = self.bytes.saturating_sub(size(&key, &before)),
            None if self.running.contains_key(&key) => {}
            None => self.order.push_back(Arc::clone(&key)),
        }
        let mut dropped = 0;
        while self.waiting.len() > MAX_WRITES || self.bytes > MAX_BYTES {
            let is_value =
                |key: &&Arc<str>| self.waiting.get(*key).is_some_and(|it| it.value.is_some());
            let oldest = self.order.iter().find(is_value);
            // A write that waits for another write of its key is not in the order.
            let oldest = oldest.or_else(|| self.waiting.keys().find(is_value));
            let oldest = oldest.or_else(|| self.order.front()).unwrap_or(&key).clone();
            self.order.retain(|waiting| *waiting != oldest);
            let Some(write) = self.waiting.remove(&oldest) else { break };
            self.bytes = self.bytes.saturating_sub(size(&oldest, &write));
            dropped += 1;
        }
        dropped
    }

    /// Returns whether another key has a pending value that is larger than the bound.
    fn has_other_oversize(&self, key: &Arc<str>) -> bool {
        let running = self.running.iter().map(|(key, running)| (key, &running.write));
        self.waiting.iter().chain(running).any(|(other, write)| other != key && is_oversize(write))
    }

    /// Queues a removal of the key, unless a write is pending anyway.
    fn remove_after(&mut self, key: &Arc<str>) {
        if !self.waiting.contains_key(key) {
            self.queue(Arc::clone(key), None);
        }
    }

    /// Takes the next write, for the task of this runtime.
    fn begin(&mut self, runtime: Id) -> Option<(Arc<str>, Write, u64)> {
        let key = self.order.pop_front()?;
        let write = self.waiting.remove(&key)?;
        self.begun = self.begun.wrapping_add(1);
        let number = self.begun;
        let since = Instant::now();
        self.running
            .insert(Arc::clone(&key), Running { write: write.clone(), number, runtime, since });
        Some((key, write, number))
    }

    /// Returns whether the task that began a write still performs it.
    fn is_running(&self, key: &str, number: u64) -> bool {
        self.running.get(key).is_some_and(|running| running.number == number)
    }

    /// Ends a write: another one of its key can begin.
    fn end(&mut self, key: &Arc<str>, number: u64) {
        if !self.is_running(key, number) {
            return;
        }
        if let Some(running) = self.running.remove(key) {
            self.bytes = self.bytes.saturating_sub(size(key, &running.write));
        }
        if self.waiting.contains_key(key) {
            self.order.push_back(Arc::clone(key));
        }
    }

    /// Returns whether all writes up to this number have ended, or later ones replace them.
    fn is_written(&self, last: u64) -> bool {
        let running = self.running.values().map(|running| &running.write);
        self.waiting.values().chain(running).all(|write| write.queued > last)
    }

    /// Returns when the oldest write in progress counts as abandoned, since its runtime is not polled.
    fn abandoned_at(&self, time: Duration) -> Option<Instant> {
        self.running.values().map(|running| after(running.since, time)).min()
    }

    /// Takes back the writes of runtimes that are not polled.
    fn take_over(&mut self, now: Instant, time: Duration) {
        self.take_back(|running| after(running.since, time) <= now);
    }

    /// Takes back writes that began, unless a later write of the key is pending.
    fn take_back(&mut self, is_meant: impl Fn(&Running) -> bool) {
        for (key, running) in self.running.extract_if(|_, running| is_meant(running)) {
            self.order.push_front(Arc::clone(&key));
            let bytes = size(&key, &running.write);
            match self.waiting.entry(key) {
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
struct Driver {
    inner: Arc<Inner>,
    runtime: Id,
    /// Notifies it of more writes.
    changed: Arc<Notify>,
    /// Whether it has ended normally, so that another task can have replaced it.
    done: bool,
}

impl Driver {
    async fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let changed = Arc::clone(&self.changed);
        let mut running = FuturesUnordered::new();
        loop {
            let abandoned_at = {
                let mut state = inner.state();
                state.take_over(Instant::now(), inner.abandoned_after());
                while running.len() < MAX_CONCURRENT
                    && let Some((key, write, number)) = state.begin(self.runtime)
                {
                    running.push(inner.perform(key, write, number));
                }
                // The pending writes wait for writes of the same keys by other tasks.
                if running.is_empty() && state.waiting.is_empty() {
                    state.drivers.remove(&self.runtime);
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
            let ended = pin!(inner.ended.notified());
            select(written, select(is_abandoned, select(more, ended))).await;
        }
        inner.ended.notify_waiters();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.inner.state();
            state.drivers.remove(&self.runtime);
            state.take_back(|running| running.runtime == self.runtime);
            drop(state);
            self.inner.ended.notify_waiters();
        }
    }
}

/// Returns the size of a write for [`MAX_BYTES`].
fn size(key: &str, write: &Write) -> usize {
    let value = if is_oversize(write) { 0 } else { value_len(write) };
    key.len().saturating_add(value).saturating_add(OVERHEAD)
}

/// Returns whether a value is larger than the bound of all others: at most one of these is pending at a time.
fn is_oversize(write: &Write) -> bool {
    value_len(write) > MAX_BYTES - MAX_WRITES * OVERHEAD
}

fn value_len(write: &Write) -> usize {
    write.value.as_ref().map_or(0, |(value, _)| value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memory, Store, StoreFuture};
    use tokio::time::{Instant, sleep, timeout};

    /// A store that takes 10 ms for each write, and records the writes.
    #[derive(Debug, Default)]
    struct Slow {
        memory: Memory,
        written: Mutex<Vec<(String, Option<Bytes>)>>,
    }

    const TAKES: Duration = Duration::from_millis(10);

    impl Slow {
        async fn write(&self, key: &str, value: Option<Bytes>) {
            sleep(TAKES).await;
            self.written.lock().unwrap().push((key.to_owned(), value));
        }
    }

    impl Store for Arc<Slow> {
        fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
            self.memory.get(key)
        }
        fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
            Box::pin(async move {
                self.write(key, Some(value.clone())).await;
                self.memory.put(key, value, ttl).await
            })
        }
        fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.memory.claim(key, value, ttl)
        }
        fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.memory.renew(key, value, ttl)
        }
        fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
            Box::pin(async move {
                self.write(key, None).await;
                self.memory.remove(key).await
            })
        }
        fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
            self.memory.release(key, value)
        }
        fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
            self.memory.add(key, amount, ttl)
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn slow() -> (Arc<Slow>, Writer) {
        let store = Arc::new(Slow::default());
        let guard = Guard::new(Arc::new(Arc::clone(&store)), crate::store::STORE_TIMEOUT);
        (Arc::clone(&store), Writer::new(Arc::new(guard)))
    }

    #[tokio::test]
    async fn a_memory_has_what_is_written_at_once() {
        let memory = Memory::new();
        let guard = Guard::new(Arc::new(memory.clone()), crate::store::STORE_TIMEOUT);
        let writer = Writer::new(Arc::new(guard));
        writer.put("k".to_owned(), b"v", LONG);
        assert_eq!(writer.pending("k"), None);
        assert_eq!(memory.get("k").await.unwrap(), Some(Bytes::from_static(b"v")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_known_and_the_last_value_of_a_key_is_written_last() {
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
    async fn what_waits_is_bounded_by_number_and_the_oldest_values_go() {
        let (store, writer) = slow();
        writer.put("begun".to_owned(), b"v", LONG);
        writer.remove("removed".to_owned());
        for number in 0..MAX_WRITES + 10 {
            writer.put(number.to_string(), b"v", LONG);
        }
        {
            let state = writer.0.state();
            assert_eq!((state.waiting.len(), state.order.len()), (MAX_WRITES, MAX_WRITES));
            let running = state.running.iter().map(|(key, running)| (key, &running.write));
            let all = state.waiting.iter().chain(running);
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
    async fn what_waits_is_bounded_in_bytes_with_what_is_under_way() {
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
    async fn a_flush_waits_for_what_was_pending_when_it_began() {
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
    struct Connected(Memory);

    impl Store for Connected {
        fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
            self.0.get(key)
        }
        fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
            let (memory, key) = (self.0.clone(), key.to_owned());
            let task = tokio::spawn(async move { memory.put(&key, value, ttl).await });
            Box::pin(async move { task.await.unwrap() })
        }
        fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.0.claim(key, value, ttl)
        }
        fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.0.renew(key, value, ttl)
        }
        fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
            self.0.remove(key)
        }
        fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
            self.0.release(key, value)
        }
        fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
            self.0.add(key, amount, ttl)
        }
    }

    #[test]
    fn an_older_value_that_reaches_the_store_late_does_not_stay() {
        let store = Connected::default();
        let guard = Guard::new(Arc::new(store.clone()), crate::store::STORE_TIMEOUT);
        let writer = Writer::new(Arc::new(guard));
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
    fn what_a_runtime_left_is_written_by_the_next() {
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
