//! The completeness of lists, with counts of all kinds.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn organizations_are_read_as_they_were_written(organizations: Vec<u64>) {
        let ids: Vec<String> = organizations.iter().map(u64::to_string).collect();
        let mut headers = HeaderMap::new();
        let value = format!("partial-results; organizations={}", ids.join(","));
        headers.insert("x-github-sso", HeaderValue::try_from(value).unwrap());
        prop_assert_eq!(missing_organizations(&headers), Some(organizations));
    }

    #[test]
    fn any_header_is_read(value: Vec<u8>) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert("x-github-sso", value);
        }
        let _ = missing_organizations(&headers);
    }
}

#[test]
fn organizations_are_bounded() {
    let mut completeness = Completeness::default();
    for start in [0, 900, 1_800] {
        completeness.add(&Page::<u8>::empty_with(Some((start..start + 900).collect())));
    }
    let Some(IncompleteReason::SingleSignOn { organizations }) =
        completeness.incomplete().map(|incomplete| incomplete.reason)
    else {
        panic!("organizations are missing");
    };
    assert_eq!(organizations.len(), MAX_ORGANIZATIONS);
}
