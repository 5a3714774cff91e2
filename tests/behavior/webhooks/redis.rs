//! Receivers of a fleet that shares a real Redis.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::StatusCode;
use octowire::webhooks::{Deduplicator, WebhookReceiver};

use super::{HandledDeliveries, builder, deliver, settled};
use crate::redis_servers::RedisServer;

async fn receiver(redis: &RedisServer, handled: &HandledDeliveries) -> WebhookReceiver {
    let store = crate::support::connected(&redis.url()).await;
    handled.start(builder().deduplicator(Deduplicator::new(store)))
}

#[tokio::test]
async fn one_process_of_a_fleet_handles_a_delivery_and_all_recognize_duplicates() {
    let (redis, handled) = (RedisServer::start(), HandledDeliveries::default());
    let mut fleet = Vec::new();
    for _ in 0..3 {
        fleet.push(receiver(&redis, &handled).await);
    }
    // Each of fifty to all three, at once.
    let ids: Vec<String> = (0..150).map(|number| format!("d-{}", number / 3)).collect();
    let calls = ids.iter().zip(fleet.iter().cycle()).map(|(id, to)| deliver(to, id));
    let responses = futures_util::future::join_all(calls).await;
    for receiver in &fleet {
        settled(receiver).await;
    }
    let accepted = responses.iter().filter(|status| **status == StatusCode::ACCEPTED).count();
    let unique: BTreeSet<String> = handled.ids().into_iter().collect();
    assert_eq!((accepted, handled.ids().len(), unique.len()), (50, 50, 50));
    // A process that begins later knows as well.
    let late = receiver(&redis, &handled).await;
    assert_eq!(deliver(&late, "d-7").await, StatusCode::OK);
    // They are remembered for three days.
    let ttl: u64 = redis.ask(&["PTTL", "octowire:delivery:d-7"]).parse().unwrap_or_default();
    let keys = redis.ask(&["KEYS", "*"]);
    assert!(ttl > 2 * 24 * 3600 * 1000, "{ttl} of {keys:.300}");
}

#[tokio::test]
async fn deliveries_are_acknowledged_only_while_redis_is_available() {
    let (mut redis, handled) = (RedisServer::start(), HandledDeliveries::default());
    let receiver = receiver(&redis, &handled).await;
    assert_eq!(deliver(&receiver, "before").await, StatusCode::ACCEPTED);
    settled(&receiver).await;
    redis.kill();
    assert_eq!(deliver(&receiver, "meanwhile").await, StatusCode::SERVICE_UNAVAILABLE);
    redis.restart();
    let restarted = Instant::now();
    while deliver(&receiver, "meanwhile").await != StatusCode::ACCEPTED {
        assert!(restarted.elapsed() < Duration::from_secs(30), "it does not find Redis again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    settled(&receiver).await;
    assert_eq!(handled.ids(), ["before", "meanwhile"]);
}
