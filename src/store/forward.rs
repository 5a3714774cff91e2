//! Methods of test stores that delegate to another store.

/// All required methods of values except `get`, delegated to the store in the first field.
macro_rules! forward_all_but_get {
    () => {
        fn put<'a>(
            &'a self,
            key: &'a str,
            value: ::bytes::Bytes,
            ttl: ::std::time::Duration,
        ) -> $crate::store::StoreFuture<'a, ()> {
            self.0.put(key, value, ttl)
        }
        fn put_if_absent<'a>(
            &'a self,
            key: &'a str,
            value: ::bytes::Bytes,
            ttl: ::std::time::Duration,
        ) -> $crate::store::StoreFuture<'a, bool> {
            self.0.put_if_absent(key, value, ttl)
        }
        fn extend_if_equal<'a>(
            &'a self,
            key: &'a str,
            value: ::bytes::Bytes,
            ttl: ::std::time::Duration,
        ) -> $crate::store::StoreFuture<'a, bool> {
            self.0.extend_if_equal(key, value, ttl)
        }
        fn remove<'a>(&'a self, key: &'a str) -> $crate::store::StoreFuture<'a, ()> {
            self.0.remove(key)
        }
        fn remove_if_equal<'a>(
            &'a self,
            key: &'a str,
            value: ::bytes::Bytes,
        ) -> $crate::store::StoreFuture<'a, bool> {
            self.0.remove_if_equal(key, value)
        }
    };
}

/// The required method of counters, delegated to the store in the first field.
macro_rules! forward_increment {
    () => {
        fn increment<'a>(
            &'a self,
            key: &'a str,
            amount: i64,
            ttl: ::std::time::Duration,
        ) -> $crate::store::StoreFuture<'a, i64> {
            self.0.increment(key, amount, ttl)
        }
    };
}

pub(crate) use forward_all_but_get;
pub(crate) use forward_increment;
