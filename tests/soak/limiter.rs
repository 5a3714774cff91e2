//! GitHub's limits for one token, enforced strictly.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub concurrent: u32,
    pub points_per_minute: u32,
    pub content_per_minute: usize,
}

/// The requests of one token.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    pub in_flight: u32,
    pub max_in_flight: u32,
    points: VecDeque<(Instant, u32)>,
    sum: u32,
    content: VecDeque<Instant>,
    pub requests: u64,
    /// The first requests that exceeded a limit.
    pub exceeded: Vec<String>,
}

const MINUTE: Duration = Duration::from_secs(60);
const MAX_REPORTED: usize = 10;

impl Limiter {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            in_flight: 0,
            max_in_flight: 0,
            points: VecDeque::new(),
            sum: 0,
            content: VecDeque::new(),
            requests: 0,
            exceeded: Vec::new(),
        }
    }

    /// Counts a request that arrives.
    pub fn arrive(&mut self, is_write: bool) {
        let now = Instant::now();
        let cost = if is_write { 5 } else { 1 };
        self.requests += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        while let Some((_, cost)) = self.points.front().filter(|(then, _)| now - *then >= MINUTE) {
            self.sum -= cost;
            self.points.pop_front();
        }
        while self.content.front().is_some_and(|then| now - *then >= MINUTE) {
            self.content.pop_front();
        }
        self.points.push_back((now, cost));
        self.sum += cost;
        if is_write {
            self.content.push_back(now);
        }
        let Limits { concurrent, points_per_minute, content_per_minute } = self.limits;
        let (running, points, content) = (self.in_flight, self.sum, self.content.len());
        let is_exceeded =
            running > concurrent || points > points_per_minute || content > content_per_minute;
        if is_exceeded && self.exceeded.len() < MAX_REPORTED {
            self.exceeded.push(format!(
                "{running} of {concurrent} at once, {points} of {points_per_minute} points, \
                 {content} of {content_per_minute} content-creating"
            ));
        }
    }

    pub fn leave(&mut self) {
        self.in_flight -= 1;
    }
}
