//! Methods of test stores that delegate to another store.

/// Implements these methods of a store.
///
/// With `forward!(field => get, put)`, the store in the field performs them. With `forward!(around() => get, put)`, the
/// method `around` gets the key, and a function that performs the operation with a store.
///
/// `StoreFuture` has to be in scope, and for `lease` also `QuotaRequest` and `QuotaLease`.
macro_rules! forward {
    (@get $to:tt) => { forward! { @method $to get() -> Option<::bytes::Bytes> } };
    (@put $to:tt) => {
        forward! { @method $to put(value: ::bytes::Bytes, ttl: ::std::time::Duration) -> () }
    };
    (@put_if_absent $to:tt) => {
        forward! { @method $to put_if_absent(value: ::bytes::Bytes, ttl: ::std::time::Duration) -> bool }
    };
    (@extend_if_equal $to:tt) => {
        forward! { @method $to extend_if_equal(value: ::bytes::Bytes, ttl: ::std::time::Duration) -> bool }
    };
    (@remove $to:tt) => { forward! { @method $to remove() -> () } };
    (@remove_if_equal $to:tt) => {
        forward! { @method $to remove_if_equal(value: ::bytes::Bytes) -> bool }
    };
    (@increment $to:tt) => {
        forward! { @method $to increment(amount: i64, ttl: ::std::time::Duration) -> i64 }
    };
    (@try_consume $to:tt) => {
        forward! {
            @method $to
            try_consume(deferred: i64, limit: i64, ttl: ::std::time::Duration) -> (i64, bool)
        }
    };
    (@increment_counters $to:tt) => {
        forward! {
            @method $to
            increment_counters(amounts: &'a [(String, u64)], ttl: ::std::time::Duration) -> bool
        }
    };
    (@counters $to:tt) => {
        forward! { @method $to counters() -> ::std::collections::BTreeMap<String, u64> }
    };
    (@lease $to:tt) => {
        forward! { @method $to lease(request: &'a QuotaRequest) -> Option<QuotaLease> }
    };
    (@method (.$field:tt) $name:ident($($arg:ident: $of:ty),*) -> $result:ty) => {
        fn $name<'a>(&'a self, key: &'a str, $($arg: $of),*) -> StoreFuture<'a, $result> {
            self.$field.$name(key, $($arg),*)
        }
    };
    (@method ($around:ident) $name:ident($($arg:ident: $of:ty),*) -> $result:ty) => {
        fn $name<'a>(&'a self, key: &'a str, $($arg: $of),*) -> StoreFuture<'a, $result> {
            self.$around(key, move |store| store.$name(key, $($arg),*))
        }
    };
    ($around:ident() => $($name:ident),+) => { $(forward! { @$name ($around) })+ };
    ($field:tt => $($name:ident),+) => { $(forward! { @$name (.$field) })+ };
}

pub(crate) use forward;
