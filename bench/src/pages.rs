//! The time of a list of many pages, by the number of pages that are fetched ahead.

use std::time::{Duration, Instant};

use octowire::cache::CacheConfig;

use crate::bodies::OWNER;
use crate::calls::multi_threaded;
use crate::lists;
use crate::measure::{self, Summary};
use crate::server::Server;
use crate::{Result, clients, report};

const PAGES: u64 = 100;
const DELAY: Duration = Duration::from_millis(50);
/// The pages that are fetched ahead: none first, which the others are compared with.
const AHEAD: [usize; 3] = [0, 4, 10];
/// Small pages, whose time is the delay, and full ones, which also have to be decoded.
const PER_PAGE: [u64; 2] = [10, 100];
/// A round takes 14 seconds.
const MAX_ROUNDS: usize = 3;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let runtime = multi_threaded()?;
    let rounds = measure::rounds().min(MAX_ROUNDS);
    println!("{}", report::header(&format!("{rounds} rounds")));
    println!("{PAGES} pages, each served after {} ms:\n", DELAY.as_millis());
    println!("| items on a page | pages ahead | s | of sequential |\n|--:|--:|--:|--:|");
    for per_page in PER_PAGE {
        let mut samples: [Vec<f64>; AHEAD.len()] = Default::default();
        for round in 0..rounds {
            eprintln!("pages of {per_page}: round {} of {rounds}", round + 1);
            for (samples, ahead) in samples.iter_mut().zip(AHEAD) {
                samples.push(runtime.block_on(read(server.url(), per_page, ahead))?);
            }
        }
        for (ahead, of) in AHEAD.into_iter().zip(&samples) {
            let time = Summary::of(of.clone());
            let ratio = Summary::of_ratios(of, &samples[0]);
            println!("| {per_page} | {ahead} | {} | {:.3} |", time.shown(1.0, 2), ratio.median);
        }
    }
    Ok(())
}

/// The seconds of a whole list, read by a new client.
async fn read(url: &str, per_page: u64, ahead: usize) -> Result<f64> {
    let client = clients::octowire(url, CacheConfig::disabled())?;
    let list = client.issues().list_comments_for_repo().owner(OWNER);
    let list = list.repo(lists::repository(PAGES, DELAY)).per_page(per_page as i64);
    let start = Instant::now();
    let mut comments = list.with(|request| request.prefetch(ahead)).stream();
    let mut sum = 0;
    while let Some(comment) = comments.try_next().await? {
        sum += comment.id.unsigned_abs();
    }
    let seconds = start.elapsed().as_secs_f64();
    let items = PAGES * per_page;
    match sum == items * (items + 1) / 2 {
        true => Ok(seconds),
        false => Err(format!("the list is incomplete: the sum of its ids is {sum}").into()),
    }
}
