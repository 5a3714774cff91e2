//! A response's status as static text.

use http::StatusCode;

/// Returns a status as text; a status that HTTP does not define is `other`.
pub(crate) fn status_text(status: StatusCode) -> &'static str {
    // The text borrows from the status: these are the static values that HTTP has names for.
    macro_rules! texts {
        ($($code:literal)+) => {
            match status.as_u16() {
                $($code => stringify!($code),)+
                _ => "other",
            }
        };
    }
    texts!(
        200 201 202 203 204 205 206 207 208 226 300 301 302 303 304 305 307 308 400 401 402 403 404
        405 406 407 408 409 410 411 412 413 414 415 416 417 418 421 422 423 424 425 426 428 429 431
        451 500 501 502 503 504 505 506 507 508 510 511
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_reported_as_its_number() {
        for code in 100..1000 {
            let status = StatusCode::from_u16(code).unwrap();
            let named = status.canonical_reason().is_some() && code >= 200;
            assert_eq!(status_text(status) == status.as_str(), named, "{code}");
        }
    }
}
