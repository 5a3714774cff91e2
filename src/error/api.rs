//! GitHub's description of a rejected call, decoded tolerantly from any body.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::advice::advice;
use super::class::FailureClass;
use super::failure_reason::FailureDetails;
use super::text::{self, Markup, Purpose};
use super::validation::ValidationDetails;
use super::{Error, ErrorKind, OneLine, OperationName};
use crate::headers::request_id::request_id;
use crate::sanitize;

/// Maximum length of the name of a resource, a field or a code, in characters.
const MAX_NAME_CHARS: usize = 200;
/// Maximum length of a documentation URL, in characters.
const MAX_URL_CHARS: usize = 2_048;

/// An error response of GitHub, as its [troubleshooting
/// page](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api) describes it.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ApiError {
    /// The status of the response.
    #[cfg_attr(test, schemars(skip))]
    pub status: StatusCode,
    #[cfg_attr(test, schemars(default))]
    /// GitHub's message on one line of at most 8,192 characters, without secrets. If the body has no
    /// `message`, the best text that it has: an OAuth or problem description, the entries of `errors`, plain
    /// text, or the title of a page. Empty if there is none.
    pub message: String,
    #[cfg_attr(test, schemars(default))]
    /// The details, if GitHub sends them, as it does for 422: the first 100 entries. If the entries exceed 64
    /// KiB of JSON in total, the further ones have only the message; [`Error::body`] has all.
    pub errors: Vec<ApiErrorDetail>,
    /// The documentation page that GitHub names, truncated to 2,048 characters.
    pub documentation_url: Option<String>,
    /// GitHub's request id, which its support asks for.
    #[cfg_attr(test, schemars(skip))]
    pub request_id: Option<String>,
}

/// One entry of [`ApiError::errors`].
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ApiErrorDetail {
    /// The type of the invalid object, such as `Issue`; truncated to 200 characters, as are the next two.
    pub resource: Option<String>,
    /// The invalid field, such as `title`.
    pub field: Option<String>,
    /// The kind of the error: `missing`, `missing_field`, `invalid`, `already_exists`, `unprocessable` or
    /// `custom`.
    pub code: Option<String>,
    /// The error in words.
    pub message: Option<String>,
    /// The entry as GitHub sent it, except for secrets of this process. It can be a plain string, which
    /// `message` then holds.
    #[cfg_attr(test, schemars(skip))]
    pub value: Value,
}

impl Error {
    /// Returns the error for a response whose status is not a success. `body` determines the classification,
    /// and is not kept. The error stores `shown`, which is the same body or its received part, without
    /// secrets.
    pub(crate) fn from_response(
        operation: &OperationName,
        status: StatusCode,
        headers: HeaderMap,
        body: &[u8],
        shown: &[u8],
    ) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let is_markup = json.is_none() && !body.is_empty();
        let markup = Markup::of(&headers, body).filter(|_| is_markup);
        let broke_off = shown.len() < body.len();
        let body = if broke_off { text::whole_characters(body) } else { body };
        let read = |body, json, purpose| ApiError::read(status, &headers, body, json, purpose);
        let broken = match &json {
            Some(_) => None,
            None => text::members_of_broken_json(body, Purpose::Classify),
        };
        let received = json.as_ref().or(broken.as_ref());
        let rejection = FailureDetails::read(&read(body, received, Purpose::Classify).message);
        let validation =
            received.map(|received| ValidationDetails::read(status, received)).unwrap_or_default();
        // JSON that can be parsed is complete, even if the body broke off.
        let shown = if json.is_some() { body } else { shown };
        let api = read(shown, json.as_ref(), Purpose::Display);
        let rate_limited = is_rate_limited(status, rejection, &headers);
        let message = summarize(&api, markup, body);
        let advice = advice(&api, rejection, &headers, rate_limited);
        Error::new(ErrorKind::Api, message)
            .with_failure_details(rejection)
            .with_validation(validation)
            .with_operation(operation)
            .with_advice(advice)
            .with_retryable(FailureClass::of_status(status, rate_limited).is_transient())
            .with_rate_limited(rate_limited)
            .with_response(status, headers)
            .with_api(api)
            .with_body(shown)
    }
}

impl ApiError {
    /// Reads the body; `json` is set if it is JSON that was parsed before.
    fn read(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        json: Option<&Value>,
        purpose: Purpose,
    ) -> Self {
        let broken = match json {
            Some(_) => None,
            None => text::members_of_broken_json(body, purpose),
        };
        let json = json.or(broken.as_ref());
        let value = json.unwrap_or(&Value::Null);
        let errors = match value.get("errors").or_else(|| value.get("error")) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(errors)) => read_details(errors, purpose),
            Some(error) => read_details(std::slice::from_ref(error), purpose),
        };
        Self {
            status,
            message: match json {
                Some(value) => text::json_message(value, &errors, purpose),
                None => text::non_json_message(headers, body, purpose),
            },
            errors,
            documentation_url: string(value, "documentation_url", MAX_URL_CHARS, purpose)
                .filter(|url| !url.is_empty()),
            request_id: request_id(headers).map(str::to_owned),
        }
    }
}

impl ApiErrorDetail {
    fn read(value: &Value, purpose: Purpose) -> Self {
        let message = value.get("message").unwrap_or(value).as_str();
        Self {
            resource: string(value, "resource", MAX_NAME_CHARS, purpose),
            field: string(value, "field", MAX_NAME_CHARS, purpose),
            code: string(value, "code", MAX_NAME_CHARS, purpose),
            message: message.map(|message| purpose.prose(message)),
            value: Value::Null,
        }
    }

    /// Returns the entry in a few words: `title: missing_field`.
    pub(super) fn summary(&self) -> String {
        let what = match (&self.message, &self.code) {
            (Some(message), _) if !message.is_empty() => message.clone(),
            (_, Some(code)) => code.clone(),
            _ => sanitize::display(&self.value, MAX_URL_CHARS),
        };
        match &self.field {
            Some(field) => format!("{field}: {what}"),
            None => what,
        }
    }
}

/// Maximum number of details; GitHub sends a few.
const MAX_DETAILS: usize = 100;
/// Maximum size of their JSON, in bytes: in memory, `[[],[],…]` takes ten times its length.
const MAX_DETAILS_JSON: usize = 64 * 1024;

fn read_details(errors: &[Value], purpose: Purpose) -> Vec<ApiErrorDetail> {
    let mut left = MAX_DETAILS_JSON;
    let details = errors.iter().take(MAX_DETAILS).map(|error| {
        let mut detail = ApiErrorDetail::read(error, purpose);
        match left.checked_sub(json_length(error)) {
            Some(rest) => {
                left = rest;
                detail.value = error.clone();
                if purpose == Purpose::Display {
                    sanitize::json(&mut detail.value);
                }
                detail
            }
            // The message is truncated.
            None => ApiErrorDetail { message: detail.message, ..ApiErrorDetail::default() },
        }
    });
    details.collect()
}

fn json_length(value: &Value) -> usize {
    /// Counts the written bytes.
    struct Length(usize);
    impl std::io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    // Any JSON can be written.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

/// Returns the beginning of the line: the failure.
fn summarize(api: &ApiError, markup: Option<Markup>, body: &[u8]) -> String {
    let mut line = format!("GitHub returned {}", api.status);
    let said = !api.message.is_empty();
    match markup {
        Some(markup) => line.push_str(&format!(" with {} instead of JSON", markup.name())),
        None if said => {}
        // A 304 never has a body.
        None if body.is_empty() && api.status == StatusCode::NOT_MODIFIED => {}
        None if body.is_empty() => line.push_str(" with an empty body"),
        None => line.push_str(" with a body that contains no message"),
    }
    if said {
        line.push_str(&format!(": \"{}\"", OneLine(&api.message)));
    }
    let details: Vec<_> = api.errors.iter().map(ApiErrorDetail::summary).collect();
    let details = Purpose::Display.prose(&details.join(", "));
    // The details can be the only information, and already be part of the message.
    if !api.errors.is_empty() && details != api.message {
        line.push_str(&format!(" [{}]", OneLine(&details)));
    }
    line
}

/// GitHub signals its limits in several ways:
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>.
fn is_rate_limited(status: StatusCode, rejection: FailureDetails, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => rejection.is_rate_limit(headers),
        _ => false,
    }
}

fn string(value: &Value, name: &str, max_chars: usize, purpose: Purpose) -> Option<String> {
    value.get(name)?.as_str().map(|text| purpose.line(text, max_chars))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::strategy::Strategy;

    use super::*;

    fn error(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Error::from_response(
            &OperationName::Borrowed("issues/get"),
            StatusCode::from_u16(status).unwrap(),
            map,
            body.as_bytes(),
            body.as_bytes(),
        )
    }

    #[test]
    fn details_are_read_whether_objects_strings_or_a_single_string() {
        for (errors, expected) in [
            (
                r#"[{"resource":"Issue","field":"title","code":"missing_field"}]"#,
                "[title: missing_field]",
            ),
            (r#"["Bad thing", "Worse thing"]"#, "[Bad thing, Worse thing]"),
            (r#""Only thing""#, "[Only thing]"),
            (r#"[{"index":3}]"#, r#"[{"index":3}]"#),
        ] {
            let body = format!(r#"{{"message":"Validation Failed","errors":{errors}}}"#);
            let line = error(422, &[], &body).to_string();
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn details_are_bounded_in_number_and_size() {
        let details = |errors: Vec<Value>| {
            let body = serde_json::json!({ "errors": errors }).to_string();
            error(422, &[], &body).api().unwrap().errors.clone()
        };
        assert_eq!(details(vec!["x".into(); 2 * MAX_DETAILS]).len(), MAX_DETAILS);
        let entry = |length: usize| {
            let text = "x".repeat(length);
            serde_json::json!({ "resource": text, "field": text, "code": text, "message": "no" })
        };
        let all = details(vec![entry(10), entry(MAX_DETAILS_JSON), entry(10)]);
        let codes: Vec<_> = all.iter().map(|detail| detail.code.as_deref()).collect();
        assert_eq!(codes, [Some("xxxxxxxxxx"), None, Some("xxxxxxxxxx")]);
        assert!(all.iter().all(|detail| detail.message.as_deref() == Some("no")));
        let large = &all[1];
        assert!(large.resource.is_none() && large.field.is_none() && large.value.is_null());
        let kept = details(vec![Value::Array(vec![Value::Array(Vec::new()); 1_000]); 100]);
        let json: usize = kept.iter().map(|detail| json_length(&detail.value)).sum();
        assert!(json <= MAX_DETAILS_JSON + 100 * "null".len(), "{json}");
    }

    #[test]
    fn rate_limits_are_distinguished_from_missing_permissions() {
        let limited = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert!(error(403, &[], limited).is_rate_limited());
        assert!(error(403, &[("retry-after", "60")], "{}").is_rate_limited());
        assert!(error(403, &[("x-ratelimit-remaining", "0")], "{}").is_rate_limited());
        assert!(error(429, &[], "").is_rate_limited());
        let forbidden = r#"{"message":"Resource not accessible by integration"}"#;
        let forbidden = error(403, &[("x-ratelimit-remaining", "12")], forbidden);
        assert!(!forbidden.is_rate_limited());
        assert!(!forbidden.is_retryable());
    }

    /// GitHub's rejections for reasons other than a limit, from its API, its documentation, its SDKs and
    /// recorded traffic.
    const OTHER_REASONS: [&str; 32] = [
        "Resource not accessible by integration",
        "Resource not accessible by personal access token",
        "Resource not accessible by fine-grained personal access token",
        "Must have admin rights to Repository.",
        "Must have push access to repository",
        "Must have push access to view collaborator permission.",
        "You must be an organization owner or have the permission to do this.",
        "You do not have permission to create webhooks on this repository.",
        "You need to be an admin of the organization.",
        "Not authorized to perform this action",
        "This resource is inaccessible to this token",
        "Resource protected by organization SAML enforcement. You must grant your Personal Access \
         token access to this organization.",
        "Although you appear to have the correct authorization credentials, the `octo` \
         organization has an IP allow list enabled, and your IP address is not permitted to \
         access this resource.",
        "This installation has been suspended",
        "Sorry. Your account was suspended.",
        "Repository was archived so is read-only.",
        "Repository access blocked",
        "User is blocked",
        "You have been blocked by this user.",
        "Maximum number of login attempts exceeded. Please try again later.",
        "Repository access has a billing issue",
        "Upgrade to GitHub Pro or make this repository public to enable this feature.",
        "Although you appear to have the correct authorization credentials, the `octo` \
         organization has enabled OAuth App access restrictions, meaning that data access to \
         third-parties is limited.",
        "`octo` forbids access via a personal access token (classic).",
        "The 'octo' organization forbids access via a fine-grained personal access tokens if the \
         token's lifetime is greater than 366 days.",
        "At least one email address must be verified to do that.",
        "Must specify two-factor authentication OTP code.",
        "Request forbidden by administrative rules. Please make sure your request has a \
         User-Agent header.",
        "Advanced Security must be enabled for this repository to use code scanning.",
        "Dependabot alerts are disabled for this repository.",
        "Requires authentication",
        "Only organization owners are permitted; read access is not enough",
    ];

    const LIMIT_HEADERS: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-ratelimit-remaining", "0")],
        &[("retry-after", "60")],
        &[("x-ratelimit-remaining", "0"), ("retry-after", "60")],
    ];

    fn said(message: &str) -> String {
        serde_json::json!({ "message": message }).to_string()
    }

    #[test]
    fn a_message_that_names_another_reason_is_no_rate_limit_whatever_the_headers() {
        for message in OTHER_REASONS {
            for headers in LIMIT_HEADERS {
                let error = error(403, headers, &said(message));
                assert!(!error.is_rate_limited(), "{message} {headers:?}");
                assert!(!error.is_retryable(), "{message}");
                assert!(!error.to_string().contains("rate limit exceeded: "), "{error}");
            }
        }
    }

    #[test]
    fn a_message_that_names_a_limit_is_one_whatever_the_headers() {
        for message in [
            "API rate limit exceeded for user ID 1.",
            "API rate limit exceeded for installation ID 2. If you reach out to GitHub Support for \
             help, please include the request ID 1.",
            "API rate limit exceeded for 1.2.3.4. (But here's the good news: Authenticated requests \
             get a higher rate limit. Check out the documentation for more details.)",
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try \
             again.",
            "You have exceeded a secondary rate limit and have been temporarily blocked from \
             content creation. Please retry your request again later.",
            "You have triggered an abuse detection mechanism. Please wait a few minutes before you \
             try again.",
            "was submitted too quickly",
            "Too many requests",
        ] {
            for headers in LIMIT_HEADERS {
                let error = error(403, headers, &said(message));
                assert!(error.is_rate_limited() && error.is_retryable(), "{message} {headers:?}");
                assert!(error.to_string().contains("rate limit exceeded: "), "{error}");
            }
        }
    }

    /// The same words in a unique notation.
    fn written_alone(message: &str) -> String {
        let cases = message.chars().enumerate();
        cases.map(|(at, it)| if at % 2 == 0 { it.to_ascii_uppercase() } else { it }).collect()
    }

    #[test]
    fn a_secret_that_is_the_message_changes_no_decision() {
        let limits = [
            "API rate limit exceeded for user ID 1.",
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            "You have triggered an abuse detection mechanism.",
        ];
        let advice = |error: &Error| error.0.advice.clone();
        for message in OTHER_REASONS.into_iter().chain(limits) {
            let alone = written_alone(message);
            sanitize::remember(alone.as_bytes());
            for (status, headers) in
                [401, 403, 410, 429].into_iter().flat_map(|it| LIMIT_HEADERS.map(|all| (it, all)))
            {
                let plain = error(status, headers, &said(message));
                for body in [
                    said(&alone),
                    format!("{{\"errors\":[{{\"message\":\"{alone}\"}}]}}"),
                    alone.clone(),
                ] {
                    let hidden = error(status, headers, &body);
                    assert!(!format!("{hidden}{:?}", hidden.api()).contains(&alone), "{hidden}");
                    assert_eq!(hidden.is_rate_limited(), plain.is_rate_limited(), "{body}");
                    assert_eq!(hidden.is_retryable(), plain.is_retryable(), "{body}");
                    assert_eq!(advice(&hidden), advice(&plain), "{status} {headers:?} {body}");
                    assert_eq!(hidden.failure_details(), FailureDetails::read(&alone), "{body}");
                }
            }
        }
    }

    #[test]
    fn a_secret_that_is_the_message_does_not_hide_that_the_resource_exists() {
        let alone = written_alone("a key of this name already exists");
        sanitize::remember(alone.as_bytes());
        for body in [said(&alone), format!("{{\"errors\":[{{\"message\":\"{alone}\"}}]}}")] {
            let hidden = error(422, &[], &body);
            assert!(hidden.is_validation_failed() && hidden.already_exists(), "{body}");
            assert!(!format!("{hidden}{:?}", hidden.api()).contains(&alone), "{hidden}");
        }
    }

    #[test]
    fn a_validation_error_that_broke_off_is_classified_by_its_received_part() {
        let start = r#"{"message":"Validation Failed","errors":[{"code":"already_exists"}]"#;
        for rest in ["", r#","documentation_url":"https://do"#] {
            let broken = error(422, &[], &[start, rest].concat());
            assert!(broken.is_validation_failed() && broken.already_exists(), "{rest}");
        }
        let early = error(422, &[], &start[..start.len() - 20]);
        assert!(early.is_validation_failed() && !early.already_exists());
    }

    #[test]
    fn a_secret_that_is_a_number_leaves_json() {
        sanitize::remember(b"90817263544");
        let body = r#"{"message":"You have exceeded a secondary rate limit","id":90817263544,
            "errors":[{"code":"custom","id":90817263544},90817263544]}"#;
        let error = error(403, &[], body);
        let api = error.api().unwrap();
        assert_eq!(api.message, "You have exceeded a secondary rate limit");
        assert!(error.is_rate_limited() && error.failure_details().is_secondary);
        assert_eq!(api.errors[0].value["id"], sanitize::HIDDEN);
        assert_eq!(api.errors[1].value, sanitize::HIDDEN);
        let kept: Value = serde_json::from_slice(error.body().unwrap()).unwrap();
        assert_eq!(kept["id"], sanitize::HIDDEN);
        assert!(!format!("{error:?} {api:?} {:?}", error.body()).contains("90817263544"));
    }

    #[test]
    fn a_truncated_message_is_classified_and_stored_without_its_last_character() {
        let label = OperationName::Borrowed("issues/get");
        let broken = |body: &str, shown: &str| {
            let (status, headers) = (StatusCode::FORBIDDEN, HeaderMap::new());
            Error::from_response(&label, status, headers, body.as_bytes(), shown.as_bytes())
        };
        let error = broken(
            "You have exceeded a secondary rate limit",
            "You have exceeded a secondary rate ",
        );
        assert!(error.is_rate_limited() && error.failure_details().is_secondary);
        assert_eq!(error.api().unwrap().message, "You have exceeded a secondary rate");
        assert_eq!(error.body().unwrap(), "You have exceeded a secondary rate ");
        let json = r#"{"message":"no"}"#;
        assert_eq!(broken(json, "").body().unwrap(), json);
    }

    /// If a body breaks off after its message, it gives the same message as the complete body.
    #[test]
    fn json_that_broke_off_keeps_the_message_that_was_whole() {
        let message = "You have exceeded a secondary rate limit. Ünd mehr";
        let whole = serde_json::json!({
            "documentation_url": "https://docs.github.com/x",
            "message": message,
            "errors": [{ "resource": "Issue", "code": "invälid" }, "é"],
            "status": "403",
        });
        let order = ["documentation_url", "message", "errors", "status"];
        let members = order.map(|name| format!("\"{name}\": {}", whole[name]));
        let body = format!(" {{{}}}", members.join(", "));
        let end = body.find("mehr\"").unwrap() + "mehr\"".len();
        let decided = body.find("rate limit").unwrap() + "rate limit".len();
        let cut = |at: usize| {
            let body = &body.as_bytes()[..at];
            let shown = sanitize::without_last_run(body.to_vec().into());
            let (status, headers) = (StatusCode::FORBIDDEN, HeaderMap::new());
            Error::from_response(
                &OperationName::Borrowed("issues/get"),
                status,
                headers,
                body,
                &shown,
            )
        };
        for at in 0..body.len() {
            let error = cut(at);
            assert_eq!(error.is_rate_limited(), at >= decided, "{at}: {error}");
            let api = error.api().unwrap();
            // The stored part ends with the last separator.
            let ended = body.as_bytes()[..at].iter().rposition(|byte| b"\"`,;& ".contains(byte));
            let expected = if ended.is_some_and(|ended| ended + 1 >= end) { message } else { "" };
            assert_eq!(api.message, expected, "{at}");
        }
        assert_eq!(cut(body.len()).api().unwrap().errors.len(), 2);
    }

    #[test]
    fn text_that_broke_off_within_a_character_keeps_its_message() {
        let body = "Schreibzugriff verweigert: secondary rate limit fü".as_bytes();
        let within = body.len() - 1;
        assert!(std::str::from_utf8(&body[..within]).is_err());
        let error = |body: &[u8], shown: &[u8]| {
            let (status, headers) = (StatusCode::FORBIDDEN, HeaderMap::new());
            Error::from_response(
                &OperationName::Borrowed("issues/get"),
                status,
                headers,
                body,
                shown,
            )
        };
        let shown = sanitize::without_last_run(body[..within].to_vec().into());
        let cut = error(&body[..within], &shown);
        assert!(cut.is_rate_limited(), "{cut}");
        assert_eq!(cut.api().unwrap().message, "Schreibzugriff verweigert: secondary rate limit");
        // For a complete body, the bytes are in another encoding.
        assert_eq!(error(&body[..within], &body[..within]).api().unwrap().message, "");
    }

    #[test]
    fn a_long_body_is_kept_up_to_a_mebibyte() {
        let error = error(500, &[], &"long ".repeat(1 << 20));
        assert_eq!(error.body().unwrap().len(), 1 << 20);
    }

    #[test]
    fn headers_decide_for_a_message_that_names_no_reason() {
        let bodies = [
            String::new(),
            "{}".to_owned(),
            said(""),
            said("Forbidden"),
            said("Quota of this endpoint used up"),
            said("You are not allowed more than this limit"),
            "<html><title>Sorry</title></html>".to_owned(),
        ];
        for body in &bodies {
            for headers in LIMIT_HEADERS {
                let error = error(403, headers, body);
                assert_eq!(error.is_rate_limited(), !headers.is_empty(), "{body} {headers:?}");
            }
            assert!(!error(403, &[("x-ratelimit-remaining", "1")], body).is_rate_limited());
        }
        // A page says so by its title.
        let page = "<html><title>Rate limit &middot; GitHub</title></html>";
        assert!(error(403, &[], page).is_rate_limited());
    }

    #[test]
    fn no_status_but_403_and_429_is_a_rate_limit() {
        let messages = OTHER_REASONS.into_iter().chain(["", "API rate limit exceeded"]);
        for message in messages {
            for headers in LIMIT_HEADERS {
                for status in [400, 401, 404, 409, 410, 422, 451, 500, 503] {
                    let error = error(status, headers, &said(message));
                    assert!(!error.is_rate_limited(), "{status} {message} {headers:?}");
                }
                assert!(error(429, headers, &said(message)).is_rate_limited());
            }
        }
    }

    #[test]
    fn the_best_text_of_any_body_is_the_message() {
        for (body, expected) in [
            (r#"{"message":"Not Found"}"#, "Not Found"),
            (r#"{"message":"", "error":"Not Found"}"#, "Not Found"),
            (r#"{"error":"Not Found"}"#, "Not Found"),
            (r#"{"error":{"message":"No such job","code":7}}"#, "No such job"),
            (r#"{"error":{"error":{"message":"deep"}}}"#, "deep"),
            (
                r#"{"error":"bad_verification_code","error_description":"The code is incorrect"}"#,
                "The code is incorrect",
            ),
            (r#"{"error_description":"Wrong grant"}"#, "Wrong grant"),
            (r#"{"errors":["Name is taken"]}"#, "Name is taken"),
            (r#"{"errors":["One","Two"]}"#, "One, Two"),
            (r#"{"errors":"Only thing"}"#, "Only thing"),
            (r#"{"errors":[{"field":"title","code":"missing_field"}]}"#, "title: missing_field"),
            (r#"{"errors":[{"message":"Wrong"}]}"#, "Wrong"),
            (r#"{"type":"about:blank","title":"Bad Gateway","status":502}"#, "Bad Gateway"),
            (r#"{"title":"Bad Gateway","detail":"No backend"}"#, "No backend"),
            (r#""Server Error""#, "Server Error"),
            ("Bad credentials", "Bad credentials"),
            ("Not Found\r\n", "Not Found"),
            ("upstream connect error or\n\tdisconnect", "upstream connect error or disconnect"),
            ("<html><head><title>502 Bad\n Gateway</title></head></html>", "502 Bad Gateway"),
            ("<!DOCTYPE html><TITLE id=a>Unicorn! &middot; GitHub</TITLE>", "Unicorn! · GitHub"),
            ("<html><body><h1>Whoa <b>there</b>!</h1></body></html>", "Whoa there!"),
            (
                "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The key &quot;a&quot; \
                 does not exist.</Message></Error>",
                "The key \"a\" does not exist.",
            ),
            ("<?xml version=\"1.0\"?><Error><Code>Denied</Code></Error>", "Denied"),
            ("", ""),
            ("{}", ""),
            ("null", ""),
            ("[1]", ""),
            (r#"{"message":"broken of"#, ""),
            (r#"{"errors":[{"index":3}]}"#, ""),
            ("<html></html>", ""),
            ("\0\u{1}", ""),
            (
                "no such user for Bearer ghs_hunter2hunter2hunter2",
                "no such user for Bearer [hidden]",
            ),
            ("<title>token=ghp_hunter2hunter2hunter2 failed</title>", "token=[hidden] failed"),
            (
                r#"{"message":"rejected header: token ghp_hunter2hunter2hunter2"}"#,
                "rejected header: token [hidden]",
            ),
            (
                r#"{"errors":["Bearer github_pat_hunter2hunter2hunter2 is wrong"]}"#,
                "Bearer [hidden] is wrong",
            ),
            (
                r#"{"errors":[{"field":"ghs_hunter2hunter2hunter2","code":"invalid"}]}"#,
                "[hidden]: invalid",
            ),
        ] {
            let error = error(404, &[], body);
            assert_eq!(error.api().unwrap().message, expected, "{body}");
            let line = error.to_string();
            assert!(
                line.contains(expected) && line.matches("Name is taken").count() <= 1,
                "{line}"
            );
        }
        let long = error(500, &[], &"long ".repeat(100_000));
        assert!(long.api().unwrap().message.chars().count() <= 401);
        let latin = text::non_json_message(&HeaderMap::new(), b"caf\xe9", Purpose::Display);
        assert_eq!(latin, "");
    }

    #[test]
    fn json_is_called_no_page_whatever_its_headers_say() {
        for kind in ["text/html", "application/xml"] {
            let line = error(404, &[("content-type", kind)], &said("Not Found")).to_string();
            assert!(line.contains("404 Not Found: \"Not Found\""), "{line}");
            let line = error(404, &[("content-type", kind)], "").to_string();
            assert!(line.contains("an empty body"), "{line}");
        }
        let xml = error(404, &[("content-type", "application/xml")], "<Error/>").to_string();
        assert!(xml.contains("with an XML document instead of JSON"), "{xml}");
        let html = error(404, &[("content-type", "text/html")], "Sorry").to_string();
        assert!(html.contains("with an HTML page instead of JSON"), "{html}");
    }

    #[test]
    fn no_text_of_an_error_shows_a_token_and_all_are_bounded() {
        let body = r#"{"message":"no ghp_hunter2hunter2hunter2","documentation_url":"https://a/?t=gho_hunter2hunter2hunter2",
            "errors":[{"message":"nor ghs_hunter2hunter2hunter2"},{"index":"ghu_hunter2hunter2hunter2"},{"code":"ghr_hunter2hunter2hunter2"}]}"#;
        let error = self::error(422, &[], body);
        let api = error.api().unwrap();
        assert_eq!(api.errors[0].message.as_deref(), Some("nor [hidden]"));
        assert!(!format!("{error} {}", api.message).contains("hunter2"), "{error}");
        let long = self::error(422, &[], &said(&"long ".repeat(100_000)));
        assert!(long.api().unwrap().message.chars().count() <= 8_193);
    }

    /// Maximum size of `{:?}` of an error with its sources, in characters.
    const MAX_DEBUG_CHARS: usize = 16_384;

    fn assert_one_line(error: &Error) {
        let mut lines = vec![error.to_string()];
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            lines.push(error.to_string());
            source = error.source();
        }
        assert!(lines.iter().all(|line| line.chars().count() <= 4_096), "{lines:?}");
        lines.push(format!("{error:?}"));
        let hazard = |it: char| it.is_control() || "\u{202e}\u{2028}\u{2066}\u{200b}".contains(it);
        for line in &lines {
            assert!(line.chars().count() <= MAX_DEBUG_CHARS && !line.contains(hazard), "{line:?}");
        }
        assert!(error.json_path().is_none_or(|path| !path.contains(hazard) && path.len() < 4_096));
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "it does not decode")]
    struct Strict {
        id: u64,
    }

    fn undecodable(headers: HeaderMap, body: &[u8]) -> Option<Error> {
        let raw = crate::response::RawResponse {
            operation: OperationName::Borrowed("issues/get"),
            status: StatusCode::OK,
            headers: std::sync::Arc::new(headers).into(),
            url: "https://api.github.com/a".parse().unwrap(),
            body: crate::response::RawBody::Bytes(Bytes::copy_from_slice(body)),
            cache_status: crate::policy::cache::CacheStatus::Bypass,
            age: None,
            from_external_host: false,
        };
        raw.json::<Vec<std::collections::BTreeMap<String, Strict>>>().err()
    }

    #[test]
    fn a_key_of_a_body_neither_forges_a_line_nor_fills_a_message() {
        for key in ["x\ny FORGED\u{202e}\u{1b}[0m".to_owned(), "k".repeat(8 << 20)] {
            let inner = serde_json::json!([{ (key.clone()): { (key): 1 } }]).to_string();
            let error = undecodable(HeaderMap::new(), inner.as_bytes()).unwrap();
            assert!(error.to_string().contains("unknown field `"), "{error}");
            assert_one_line(&error);
            assert!(error.json_path().unwrap().starts_with("$[0]"), "{:?}", error.json_path());
        }
    }

    proptest::proptest! {
        /// For any bytes, errors are lines of bounded length without control characters.
        #[test]
        fn any_bytes_make_one_line(
            body in proptest::prop_oneof![
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
                "([{}\\[\\]\":,\\\\n]|\u{202e}|\u{2028}|\u{1b}|message|errors|ghp_a1|é){0,80}".prop_map(String::into_bytes),
                "\\[\\{\"[a-z\u{1b}\u{202e}\u{200b}\\\\n]{0,40}\":\\{\"[a-z\u{2028}\u{7f}]{0,40}\":1".prop_map(String::into_bytes),
            ],
            value in proptest::collection::vec(0x20_u8..=0xff, 0..400),
            name in proptest::sample::select(vec![
                "x-github-request-id", "x-github-sso", "x-accepted-github-permissions", "content-type",
                "x-ratelimit-resource", "retry-after", "etag",
            ]),
            status in proptest::sample::select(vec![401_u16, 403, 404, 422, 429, 500]),
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                headers.insert(name, value);
            }
            let status = StatusCode::from_u16(status).unwrap();
            let label = OperationName::Borrowed("issues/get");
            assert_one_line(&Error::from_response(&label, status, headers.clone(), &body, &body));
            if let Some(error) = undecodable(headers, &body) {
                assert_one_line(&error);
            }
        }

        /// For any body, the error is one line of bounded length.
        #[test]
        fn any_body_makes_one_line(body in "(<[a-z!?/]{0,7}>|title|[{}\"':a-zé\n\u{1b}]){0,60}") {
            let line = error(403, &[], &body).to_string();
            proptest::prop_assert!(!line.contains('\n') && line.chars().count() < 1_200, "{}", line);
        }
    }

    #[test]
    fn single_sign_on_names_the_page_on_which_to_authorize() {
        const URL: &str = "https://github.com/orgs/octo/sso?authorization_request=AZSCK";
        let rejection = said("Resource protected by organization SAML enforcement.");
        let sso = |value: &str| error(403, &[("x-github-sso", value)], &rejection);
        let long =
            format!("https://github.com/orgs/octo/sso?authorization_request={}", "a".repeat(900));
        for (value, url, shown) in [
            (format!("required; url={URL}"), Some(URL), true),
            (format!("Required;url=\"{URL}\""), Some(URL), true),
            (format!("required; url={long}"), Some(long.as_str()), false),
            ("required; url=javascript:alert(1)".to_owned(), None, false),
            (format!("required; url={URL}{}", "a".repeat(2_048)), None, false),
            ("required".to_owned(), None, false),
            // A part of it is a secret.
            (format!("required; url={URL}{}", sanitize::HIDDEN), None, false),
            (format!("required; url=https://{}/orgs/octo/sso", sanitize::HIDDEN), None, false),
            ("partial-results; organizations=1,2".to_owned(), None, false),
        ] {
            let error = sso(&value);
            assert_eq!(error.sso_url(), url, "{value}");
            let line = error.to_string();
            assert_eq!(line.contains(URL), shown, "{line}");
            assert!(line.contains("requires single sign-on"), "{line}");
            assert!(line.chars().count() < 900, "{line}");
        }
        assert_eq!(error(403, &[], "{}").sso_url(), None);
    }

    #[test]
    fn advice_fits_the_reason_that_the_message_names() {
        for (status, message, expected) in [
            (403, OTHER_REASONS[12], "IP allow list"),
            (403, "This installation has been suspended", "unsuspend"),
            (403, "Sorry. Your account was suspended", "Support"),
            (403, "Repository was archived so is read-only.", "unarchive"),
            (403, "Repository access blocked", "blocked access"),
            (403, "Resource not accessible by integration", "lacks a permission"),
            (403, "Forbidden", "lacks a permission"),
            (403, "`octo` forbids access via a personal access token (classic).", "policy"),
            (403, "Dependabot alerts are disabled for this repository.", "enable it"),
            (401, "A JSON web token could not be decoded", "as_app"),
            (401, "'Issued at' claim ('iat') must be an Integer", "clock"),
            (401, "Requires authentication", "no token"),
            (401, "Bad credentials", "wrong, expired or revoked"),
            (404, "Not Found", "also returns 404"),
            (410, "Issues are disabled for this repo", "switched off"),
            (451, "Repository unavailable due to DMCA takedown.", "blocked access"),
            (451, "", "blocked access"),
        ] {
            let line = error(status, &[], &said(message)).to_string();
            assert!(line.contains(expected), "{line}");
            let is_permission = line.contains("lacks a permission");
            assert_eq!(is_permission, expected == "lacks a permission", "{line}");
        }
    }

    #[test]
    fn errors_are_read_as_they_are_documented() {
        crate::testing::type_coverage::assert_reads_component::<ApiError>("validation-error");
        crate::testing::type_coverage::assert_reads_component::<Plain>("basic-error");
    }

    /// An error without entries.
    #[derive(schemars::JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Plain {
        message: Option<String>,
        documentation_url: Option<String>,
    }
}
