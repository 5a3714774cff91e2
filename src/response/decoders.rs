//! Detection of the layers that reqwest puts around response bodies.
//!
//! Cargo builds reqwest once for a program, with the features that any of its crates enables. With one of `gzip`,
//! `brotli`, `zstd` and `deflate`, each body is in a decoder, even where decompression is switched off. A crate does
//! not see the features of another one. But each of these adds a method to reqwest's builder, and an inherent method
//! takes precedence over a trait method: the trait [`WithoutFeature`] has methods of the same names, which are used if
//! reqwest has none.

use reqwest::ClientBuilder;

fn is_reqwest_method<T: MethodKind>(_: fn(ClientBuilder, bool) -> T) -> bool {
    T::IS_REQWEST
}

/// Returns whether reqwest can decompress gzip.
pub(super) fn decompresses_gzip() -> bool {
    is_reqwest_method(ClientBuilder::gzip)
}

/// Returns whether a layer around each body hides whether an HTTP/2 stream has ended.
pub(super) fn hides_end_of_stream() -> bool {
    decompresses_gzip()
        || is_reqwest_method(ClientBuilder::brotli)
        || is_reqwest_method(ClientBuilder::zstd)
        || is_reqwest_method(ClientBuilder::deflate)
}

/// The return type shows which method was called.
trait MethodKind {
    const IS_REQWEST: bool;
}

impl MethodKind for ClientBuilder {
    const IS_REQWEST: bool = true;
}

/// Returned by the methods of [`WithoutFeature`].
struct Absent;

impl MethodKind for Absent {
    const IS_REQWEST: bool = false;
}

// reqwest's features determine which of these are used. None is ever called.
#[allow(dead_code)]
trait WithoutFeature: Sized {
    fn gzip(self, _: bool) -> Absent {
        Absent
    }

    fn brotli(self, _: bool) -> Absent {
        Absent
    }

    fn zstd(self, _: bool) -> Absent {
        Absent
    }

    fn deflate(self, _: bool) -> Absent {
        Absent
    }
}

impl WithoutFeature for ClientBuilder {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dependency that enables one of the features would have it return `true`.
    #[test]
    fn nothing_hides_the_end_of_a_stream_in_this_build() {
        assert!(!hides_end_of_stream() && !decompresses_gzip());
    }
}
