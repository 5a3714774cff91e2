//! Validation errors: the statements of a rejection about the values of its request.

use http::StatusCode;
use serde_json::Value;

/// What a rejection says about the values of its request.
///
/// It is read from the body as the server sent it. The stored body has no secrets, and so can lack the words that decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ValidationDetails {
    /// The response is a 422 with the body of GitHub's validation error.
    pub(super) is_failed: bool,
    /// The resource to create exists.
    pub(super) already_exists: bool,
}

impl ValidationDetails {
    /// Reads the JSON of a rejection. Another status than 409 and 422, or a body that is not an object, says nothing.
    pub(super) fn read(status: StatusCode, body: &Value) -> Self {
        let is_invalid = status == StatusCode::UNPROCESSABLE_ENTITY;
        if !is_invalid && status != StatusCode::CONFLICT {
            return Self::default();
        }
        let (message, errors) = (body.get("message"), body.get("errors"));
        // The description requires the message alone.
        let is_error = message.is_some_and(Value::is_string) || errors.is_some_and(Value::is_array);
        Self {
            is_failed: is_invalid && is_error,
            already_exists: message.is_some_and(says_exists) || errors.is_some_and(names_existing),
        }
    }
}

/// Returns whether one of the `errors` says that the resource exists. They are objects or texts, or a single one of them.
fn names_existing(errors: &Value) -> bool {
    let entries = match errors {
        Value::Array(entries) => entries.as_slice(),
        entry => std::slice::from_ref(entry),
    };
    entries.iter().any(|entry| {
        let code = entry.get("code").and_then(Value::as_str);
        code == Some("already_exists")
            || entry.get("message").is_some_and(says_exists)
            || says_exists(entry)
    })
}

/// Returns whether a text has GitHub's words for a resource that exists.
fn says_exists(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.to_ascii_lowercase().contains("already exists"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &Value) -> (bool, bool) {
        let details = ValidationDetails::read(StatusCode::from_u16(status).unwrap(), body);
        (details.is_failed, details.already_exists)
    }

    #[test]
    fn no_status_but_409_and_422_says_anything() {
        let body = json!({ "message": "Already exists", "errors": [{ "code": "already_exists" }] });
        for status in (200..600).filter(|status| ![409, 422].contains(status)) {
            assert_eq!(read(status, &body), (false, false), "{status}");
        }
        assert_eq!(read(409, &body), (false, true));
        assert_eq!(read(422, &body), (true, true));
    }

    #[test]
    fn any_form_of_the_entries_is_read() {
        for (errors, exists) in [
            (json!([{ "code": "already_exists" }]), true),
            (json!([{ "code": "invalid" }, { "code": "already_exists" }]), true),
            (json!([{ "code": "custom", "message": "Name ALREADY EXISTS here" }]), true),
            (json!(["Name already exists"]), true),
            (json!("Name already exists"), true),
            (json!({ "message": "Name already exists" }), true),
            (json!([{ "code": "custom", "message": "it does not already exist" }]), false),
            (json!([{ "code": "custom", "message": "key is already in use" }]), false),
            (json!([{ "field": "already_exists", "code": "invalid" }]), false),
            (json!([{ "code": ["already_exists"], "message": 7 }, null, 3, []]), false),
            (json!([]), false),
            (json!(null), false),
        ] {
            let body = json!({ "message": "Validation Failed", "errors": errors });
            assert_eq!(read(422, &body), (true, exists), "{body}");
        }
    }

    #[test]
    fn a_body_without_a_message_and_a_list_is_no_validation_error() {
        for body in [
            json!({}),
            json!({ "error": "invalid_request" }),
            json!({ "title": "Unprocessable Content", "status": 422 }),
            json!({ "message": null, "errors": null }),
            json!([{ "message": "Validation Failed" }]),
            json!("Validation Failed"),
            json!(null),
        ] {
            assert_eq!(read(422, &body), (false, false), "{body}");
        }
        assert_eq!(read(422, &json!({ "errors": [] })), (true, false));
    }
}
