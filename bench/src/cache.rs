//! The cost of the cache, compared with its savings.

use http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use tokio::runtime::Runtime;

use crate::bodies::{self, Body};
use crate::calls::single_threaded;
use crate::clients::{self, Subject};
use crate::measure::{Summary, calls_in, cpu, cpu_time, rounds};
use crate::server::Server;
use crate::{Result, report};

const SAMPLE: std::time::Duration = std::time::Duration::from_millis(150);

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let runtime = single_threaded()?;
    println!("{}", report::header(&format!("{} rounds", rounds())));
    println!("CPU time of a call, in µs:\n");
    println!(
        "| body | decoding alone | a hit | of decoding | bare, revalidated | revalidated | more | no cache | a miss | octocrab, revalidated |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (body, bytes) in Body::ALL.into_iter().zip(bodies::read()?) {
        let trusting = CacheConfig::default().default_policy(CachePolicy::one_hour());
        let [hits, confirmed, off, misses] = runtime.block_on(async {
            // Without memory, nothing is stored.
            let caches =
                [trusting, CacheConfig::default(), CacheConfig::disabled(), CacheConfig::memory(0)];
            let clients: Result<Vec<_>> =
                caches.into_iter().map(|cache| clients::octowire(server.url(), cache)).collect();
            clients?.try_into().map_err(|_| crate::Error::from("four clients"))
        })?;
        let octocrab = runtime.block_on(async { clients::octocrab_with_cache(server.url()) })?;
        let bare = Bare::connect(&runtime, server.url(), body, &bytes)?;
        expect(&runtime, &hits, body, CacheStatus::Hit)?;
        expect(&runtime, &confirmed, body, CacheStatus::Revalidated)?;
        let calls = calls_in(&runtime, &confirmed, body, SAMPLE)?;
        let mut samples: [Vec<f64>; 7] = Default::default();
        for _ in 0..rounds() {
            samples[0].push(decoding(body, &bytes, calls)?);
            samples[1].push(cpu(&runtime, &hits, body, calls)?);
            samples[2].push(bare.cpu(&runtime, body, calls)?);
            samples[3].push(cpu(&runtime, &confirmed, body, calls)?);
            samples[4].push(cpu(&runtime, &off, body, calls)?);
            samples[5].push(cpu(&runtime, &misses, body, calls)?);
            samples[6].push(cpu(&runtime, &*octocrab, body, calls)?);
        }
        let ratio = Summary::of_ratios(&samples[1], &samples[0]);
        let more: Vec<f64> =
            samples[3].iter().zip(&samples[2]).map(|(ours, bare)| (ours - bare) * 1e6).collect();
        let more = Summary::of(more).median;
        let medians = samples.map(|samples| Summary::of(samples).median * 1e6);
        let [decode, hit, bare, confirmed, off, miss, octocrab] = medians;
        println!(
            "| {} | {decode:.1} | {hit:.1} | {} | {bare:.1} | {confirmed:.1} | {more:.1} \
             | {off:.1} | {miss:.1} | {octocrab:.1} |",
            body.name(),
            ratio.shown(1.0, 2),
        );
    }
    Ok(())
}

/// Calls without measuring: `hit`, `revalidated`, `miss`, `reqwest-revalidated`, or `decode` without a call.
pub fn repeat(client: &str, body: Body, count: u64, url: &str) -> Result<()> {
    let runtime = single_threaded()?;
    let cache = match client {
        "hit" => CacheConfig::default().default_policy(CachePolicy::one_hour()),
        "revalidated" => CacheConfig::default(),
        "miss" => CacheConfig::memory(0),
        "reqwest-revalidated" | "decode" => {
            let bytes =
                Body::ALL.into_iter().zip(bodies::read()?).find(|(known, _)| *known == body);
            let bytes = bytes.ok_or("no such body")?.1;
            if client == "decode" {
                return decoding(body, &bytes, count).map(drop);
            }
            return Bare::connect(&runtime, url, body, &bytes)?
                .cpu(&runtime, body, count)
                .map(drop);
        }
        _ => return Err(format!("there is no client {client}").into()),
    };
    let client = runtime.block_on(async { clients::octowire(url, cache) })?;
    runtime.block_on(client.repeat(body, count))
}

fn expect(
    runtime: &Runtime,
    client: &octowire::Client,
    body: Body,
    status: CacheStatus,
) -> Result<()> {
    runtime.block_on(client.repeat(body, 1))?;
    let call = client.request(http::Method::GET, body.path());
    let response = runtime.block_on(call.send::<serde_json::Value>())?;
    match response.meta().cache_status() == status {
        true => Ok(()),
        false => Err(format!(
            "{}: {:?} instead of {status:?}",
            body.name(),
            response.meta().cache_status()
        )
        .into()),
    }
}

fn decoding(body: Body, bytes: &[u8], times: u64) -> Result<f64> {
    let start = cpu_time();
    for _ in 0..times {
        if clients::decode(body, std::hint::black_box(bytes))? != body.answer() {
            return Err("it is decoded otherwise".into());
        }
    }
    Ok((cpu_time() - start).as_secs_f64() / times as f64)
}

/// A client without a cache: the code stores the `ETag` and the body itself.
struct Bare {
    http: reqwest::Client,
    url: String,
    tag: HeaderValue,
    bytes: Vec<u8>,
}

impl Bare {
    fn connect(runtime: &Runtime, url: &str, body: Body, bytes: &[u8]) -> Result<Self> {
        let http = clients::bare_http()?;
        let url = format!("{url}{}", body.path());
        let response = runtime.block_on(async { http.get(&url).send().await })?;
        let tag = response.headers().get(ETAG).cloned().ok_or("no tag")?;
        Ok(Self { http, url, tag, bytes: bytes.to_vec() })
    }

    fn cpu(&self, runtime: &Runtime, body: Body, calls: u64) -> Result<f64> {
        let start = cpu_time();
        runtime.block_on(async {
            for _ in 0..calls {
                let call = self.http.get(&self.url).header(IF_NONE_MATCH, &self.tag);
                let response = call.send().await?;
                if response.status() != http::StatusCode::NOT_MODIFIED {
                    return Err::<(), crate::Error>("it is not current".into());
                }
                response.bytes().await?;
                clients::decode(body, &self.bytes)?;
            }
            Ok(())
        })?;
        Ok((cpu_time() - start).as_secs_f64() / calls as f64)
    }
}
