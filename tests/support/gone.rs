//! A store that never responds.

use std::collections::BTreeMap;
use std::time::Duration;

use octowire::bytes::Bytes;
use octowire::store::{QuotaLease, QuotaRequest, Store, StoreFuture};

#[derive(Debug)]
pub struct UnresponsiveStore;

macro_rules! never {
    ($($name:ident($($of:ty),*) -> $result:ty;)+) => {
        impl Store for UnresponsiveStore {
            $(fn $name<'a>(&'a self, $(_: $of),*) -> StoreFuture<'a, $result> {
                Box::pin(std::future::pending())
            })+
        }
    };
}

never! {
    get(&'a str) -> Option<Bytes>;
    put(&'a str, Bytes, Duration) -> ();
    put_if_absent(&'a str, Bytes, Duration) -> bool;
    extend_if_equal(&'a str, Bytes, Duration) -> bool;
    remove(&'a str) -> ();
    remove_if_equal(&'a str, Bytes) -> bool;
    increment(&'a str, i64, Duration) -> i64;
    lease(&'a str, &'a QuotaRequest) -> Option<QuotaLease>;
    increment_counters(&'a str, &'a [(String, u64)], Duration) -> bool;
    counters(&'a str) -> BTreeMap<String, u64>;
}
