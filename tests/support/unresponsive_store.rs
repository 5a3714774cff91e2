//! A store that never responds.

use std::collections::BTreeMap;
use std::time::Duration;

use octowire::bytes::Bytes;
use octowire::store::{
    CounterStore, KeyValueStore, QuotaLease, QuotaRequest, QuotaStore, StoreFuture,
};

#[derive(Debug)]
pub struct UnresponsiveStore;

macro_rules! never {
    ($($name:ident($($of:ty),*) -> $result:ty;)+) => {
        $(fn $name<'a>(&'a self, $(_: $of),*) -> StoreFuture<'a, $result> {
            Box::pin(std::future::pending())
        })+
    };
}

impl KeyValueStore for UnresponsiveStore {
    never! {
        get(&'a str) -> Option<Bytes>;
        put(&'a str, Bytes, Duration) -> ();
        put_if_absent(&'a str, Bytes, Duration) -> bool;
        extend_if_equal(&'a str, Bytes, Duration) -> bool;
        remove(&'a str) -> ();
        remove_if_equal(&'a str, Bytes) -> bool;
    }
}

impl CounterStore for UnresponsiveStore {
    never! {
        increment(&'a str, i64, Duration) -> i64;
        increment_counters(&'a str, &'a [(String, u64)], Duration) -> bool;
        counters(&'a str) -> BTreeMap<String, u64>;
    }
}

impl QuotaStore for UnresponsiveStore {
    never! { lease(&'a str, &'a QuotaRequest) -> Option<QuotaLease>; }
}
