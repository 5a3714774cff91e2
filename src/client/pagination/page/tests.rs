//! The decoding of one page, and of its items one by one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_page_is_taken_apart_around_its_list() {
    let body = Bytes::from_static(br#" {"a":[1], "items" : [ {"x":"]"} ,2], "b":{"items":[3]}} "#);
    let (rest, items) = split_items(&body, Some("items")).unwrap();
    let rest: Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(rest, json!({ "a": [1], "items": [], "b": { "items": [3] } }));
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    assert_eq!(items, [r#"{"x":"]"}"#, "2"]);
    for body in ["", "[]", "{}", "{\"items\":null}", "{\"items\":{}}", "{\"items\":[1]", "\u{0}"] {
        let body = Bytes::from_static(body.as_bytes());
        assert!(split_items(&body, Some("items")).is_none(), "{body:?}");
    }
}

#[test]
fn counts_are_read_from_a_page_that_is_an_object() {
    let read = |page: &str| {
        let counts = PageCounts::of(page.as_bytes())?;
        Some((counts.listed, counts.total, counts.incomplete_results))
    };
    for (page, expected) in [
        ("[1]", None),
        ("", None),
        ("{", None),
        ("null", None),
        ("{}", Some((None, None, false))),
        (r#"{"total_count":3,"x":[1,[2,3]]}"#, Some((Some(2), Some(3), false))),
        (r#"{"x":[],"total_count":3,"incomplete_results":true}"#, Some((Some(0), Some(3), true))),
        (r#"{"total_count":3,"x":[],"y":[]}"#, Some((None, None, false))),
        (r#"{"total_count":3,"x":[],"items":[1]}"#, Some((Some(1), Some(3), false))),
        (r#"{"total_count":-3,"x":[]}"#, Some((Some(0), None, false))),
        (r#"{"total_count":"3","x":[]}"#, Some((Some(0), None, false))),
        (r#"{"total_count":3}"#, Some((None, None, false))),
        (r#"{"incomplete_results":"true","x":[]}"#, Some((Some(0), None, false))),
    ] {
        assert_eq!(read(page), expected, "{page}");
    }
}

#[test]
fn the_content_of_a_page_is_classified_by_its_json() {
    let hasher = RandomState::new();
    let content = |page: &str| page_content(page.as_bytes(), &hasher);
    for empty in ["", " ", "[]", " [ \n] ", r#"{"total_count":9,"items":[]}"#, r#"{"x":[]}"#] {
        assert_eq!(content(empty), PageContent::Empty, "{empty}");
    }
    for page in ["[1]", "[[]]", "{}", "null", "[", r#"{"x":[],"y":[]}"#, r#"{"x":[1]}"#] {
        assert!(matches!(content(page), PageContent::Items(_)), "{page}");
        assert_eq!(content(page), content(page), "{page}");
    }
    assert_ne!(content("[1]"), content("[2]"));
}

proptest! {
    #[test]
    fn an_integer_is_a_count_unless_it_is_negative(count: i64) {
        prop_assert_eq!(count.total(), u64::try_from(count).ok());
    }

    #[test]
    fn a_number_is_a_count_if_it_is_whole_and_not_negative(count: f64) {
        let expected = count.is_finite() && count >= 0.0 && count.fract() == 0.0;
        prop_assert_eq!(count.total().is_some(), expected);
    }

    #[test]
    fn a_count_survives_as_a_number(count in 0_u32..) {
        prop_assert_eq!(f64::from(count).total(), Some(u64::from(count)));
        prop_assert_eq!(Some(f64::from(count)).total(), Some(u64::from(count)));
    }

    #[test]
    fn any_page_is_taken_apart_and_put_together_again(
        before: Vec<u8>, items: Vec<Vec<u8>>, after: Vec<u8>
    ) {
        let page = json!({ "a": before, "items": items, "z": after });
        let body = Bytes::from(page.to_string());
        let (rest, found) = split_items(&body, Some("items")).unwrap();
        let mut rest: Value = serde_json::from_slice(&rest).unwrap();
        prop_assert_eq!(&rest["items"], &json!([]));
        let found: Vec<Value> =
            found.iter().map(|item| serde_json::from_str(item.get()).unwrap()).collect();
        rest["items"] = found.into();
        prop_assert_eq!(rest, page);
    }

    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>) {
        let body = Bytes::from(body);
        let _ = split_items(&body, Some("items"));
        let _ = split_items(&body, None);
        let _ = PageCounts::of(&body);
    }
}
