//! Faults of Redis during the soak.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::random::Random;
use super::redis_servers::RedisServer;

/// Time between two faults.
const MAX_PAUSE_MILLIS: u64 = 4_000;
/// Time between a loss of data and the start of a process. A process that is the first to ask a store
/// that has just lost its data cannot know of others, which report within eight seconds.
pub const APART: Duration = Duration::from_secs(10);
/// The faults that lose data: a kill, a flush, and nonsense in place of a value.
const LOSSES: [u64; 4] = [0, 1, 8, 9];
/// No fault at the end, so that delayed work can finish.
const CALM: Duration = Duration::from_secs(5);

/// A thread that disturbs a Redis, and keeps it running until [`finish`](Self::finish).
pub struct StoreFaults {
    stop: Sender<()>,
    thread: JoinHandle<u32>,
}

impl StoreFaults {
    /// Disturbs the server until shortly before `length` has passed.
    ///
    /// Data is not lost within [`APART`] of `started`, which the loss is noted in.
    pub fn start(
        mut redis: RedisServer,
        length: Duration,
        mut random: Random,
        started: Arc<Mutex<Instant>>,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let mut faults = 0;
            while began.elapsed() + CALM < length {
                thread::sleep(Duration::from_millis(random.below(MAX_PAUSE_MILLIS)));
                disturb(&mut redis, &mut random, &started);
                faults += 1;
            }
            // The clients' last calls need it still.
            let _ = stopped.recv();
            faults
        });
        Self { stop, thread }
    }

    /// Ends the server, and returns the number of faults.
    pub fn finish(self) -> u32 {
        drop(self.stop);
        self.thread.join().expect("the faults do not fail")
    }
}

/// Waits until the last start of a process or loss of data is long enough ago, and notes a new one.
pub fn apart(last: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    thread::sleep(APART.saturating_sub(last.elapsed()));
    *last = Instant::now();
    last
}

fn disturb(redis: &mut RedisServer, random: &mut Random, started: &Mutex<Instant>) {
    let pause = Duration::from_millis(random.below(1_500));
    let kind = random.below(10);
    // Held until the data is lost, so that no process starts meanwhile.
    let _loss = LOSSES.contains(&kind).then(|| apart(started));
    match kind {
        0 => {
            redis.kill();
            thread::sleep(pause);
            redis.restart();
        }
        1 => drop(redis.ask(&["FLUSHALL"])),
        2 | 3 => {
            redis.hang();
            thread::sleep(pause);
            redis.resume();
        }
        // Each answer is late, but not every one is too late.
        4 | 5 => {
            drop(redis.ask(&["CLIENT", "PAUSE", &(pause.as_millis() / 20).to_string(), "ALL"]))
        }
        6 => drop(redis.ask(&["CLIENT", "KILL", "TYPE", "normal"])),
        7 => drop(redis.ask(&["SCRIPT", "FLUSH"])),
        kind => {
            // Another program writes nonsense.
            let key = redis.ask(&["RANDOMKEY"]);
            if kind == 8 {
                redis.ask(&["SET", &key, "nonsense", "EX", "60"]);
            } else {
                redis.ask(&["DEL", &key]);
                redis.ask(&["HSET", &key, "field", "1e300"]);
                redis.ask(&["EXPIRE", &key, "60"]);
            }
        }
    }
}
