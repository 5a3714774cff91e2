//! A store that never responds.

use std::collections::BTreeMap;
use std::time::Duration;

use octowire::bytes::Bytes;
use octowire::store::{Lease, LeaseRequest, Store, StoreFuture};

#[derive(Debug)]
pub struct Gone;

macro_rules! never {
    ($($name:ident($($of:ty),*) -> $result:ty;)+) => {
        impl Store for Gone {
            $(fn $name<'a>(&'a self, $(_: $of),*) -> StoreFuture<'a, $result> {
                Box::pin(std::future::pending())
            })+
        }
    };
}

never! {
    get(&'a str) -> Option<Bytes>;
    put(&'a str, Bytes, Duration) -> ();
    claim(&'a str, Bytes, Duration) -> bool;
    renew(&'a str, Bytes, Duration) -> bool;
    remove(&'a str) -> ();
    release(&'a str, Bytes) -> bool;
    add(&'a str, i64, Duration) -> i64;
    lease(&'a str, &'a LeaseRequest) -> Option<Lease>;
    tally(&'a str, &'a [(String, u64)], Duration) -> bool;
    tallied(&'a str) -> BTreeMap<String, u64>;
}
