//! URLs are those that the setters of `Url` build from the same parts: path first, then the query.

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::api::OPERATIONS;
use crate::api::operation::{MissingBody, OperationParameter, ParameterLocation};
use crate::endpoints::same_origin;

/// URLs, built in separate steps by setters.
mod model {
    use super::*;

    pub(super) fn of_operation(
        base: &Url,
        operation: &Operation,
        values: &[Option<String>],
        query: &[(String, String)],
    ) -> Result<Url> {
        let mut path = base_path(base);
        expand_template(&mut path, operation, values)?;
        let mut url = with_path(base, &path);
        add_query(&mut url, query);
        Ok(url)
    }

    pub(super) fn of_text(
        endpoints: &Endpoints,
        text: &str,
        query: &[(String, String)],
    ) -> Result<Url> {
        if text.contains('#') {
            return Err(invalid("the path contains `#`").with_advice("percent-encode it as %23"));
        }
        let (after, given) = match text.split_once('?') {
            Some((after, given)) => (after, Some(given)),
            None => (text, None),
        };
        let mut path = base_path(endpoints.api());
        if !after.starts_with('/') {
            path.push('/');
        }
        path.push_str(after);
        let mut url = with_path(endpoints.api(), &path);
        url.set_query(given);
        if !endpoints.contains(&url) {
            return Err(invalid("the path escapes the API base URL with `..`"));
        }
        add_query(&mut url, query);
        Ok(url)
    }

    pub(super) fn of_segments(base: &Url, segments: &[&str]) -> Result<Url> {
        let mut path = base_path(base);
        for segment in segments {
            if matches!(*segment, "" | "." | "..") {
                return Err(invalid("a path segment is empty, `.` or `..`"));
            }
            path.push('/');
            path.extend(utf8_percent_encode(segment, ENCODED));
        }
        Ok(with_path(base, &path))
    }

    fn expand_template(
        text: &mut String,
        operation: &Operation,
        values: &[Option<String>],
    ) -> Result<()> {
        let mut rest = operation.path;
        for (index, value) in values.iter().enumerate() {
            let Some((before, after)) = rest.split_once('{') else {
                break;
            };
            let parameter = operation
                .path_parameter(index)
                .ok_or_else(|| invalid("the operation does not describe its path"))?;
            let value = value.as_ref().ok_or_else(|| missing_parameter(parameter))?;
            text.push_str(before);
            push_value(text, parameter, value)?;
            rest = after.split_once('}').map_or("", |(_, rest)| rest);
        }
        text.push_str(rest);
        Ok(())
    }

    fn push_value(text: &mut String, parameter: &OperationParameter, value: &str) -> Result<()> {
        let segments: Vec<&str> = match parameter.allows_slash {
            true => value.split('/').collect(),
            false => vec![value],
        };
        let root = parameter.allows_slash && value.is_empty();
        if !root && segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            let segment = if parameter.allows_slash {
                "it has an empty, `.` or `..` segment"
            } else {
                "it is empty, `.` or `..`"
            };
            return Err(invalid(format!(
                "invalid path parameter {:?}: {segment}, which would change the path",
                parameter.name
            )));
        }
        let encode = |segment: &&str| utf8_percent_encode(segment, ENCODED).to_string();
        text.push_str(&segments.iter().map(encode).collect::<Vec<_>>().join("/"));
        Ok(())
    }

    fn base_path(base: &Url) -> String {
        base.path().trim_end_matches('/').to_owned()
    }

    fn with_path(base: &Url, path: &str) -> Url {
        let mut url = base.clone();
        url.set_path(path);
        url
    }

    fn add_query(url: &mut Url, parameters: &[(String, String)]) {
        if parameters.is_empty() {
            return;
        }
        let mut query = url.query().unwrap_or_default().to_owned();
        for (name, value) in parameters {
            if !query.is_empty() {
                query.push('&');
            }
            query.extend(utf8_percent_encode(name, ENCODED));
            query.push('=');
            query.extend(utf8_percent_encode(value, ENCODED));
        }
        url.set_query(Some(&query));
    }
}

/// Base URLs: GitHub's, an Enterprise Server's, those of gateways, and some that only look like others.
const BASES: [&str; 12] = [
    "https://api.github.com",
    "https://api.octocorp.ghe.com/",
    "https://ghe.example/api/v3",
    "https://ghe.example/api/v3//",
    "http://127.0.0.1:8080",
    "http://[::1]:8080/github/api/v3/",
    "https://gateway.internal:8443/a%20b/%C3%BC",
    "https://xn--bcher-kva.example/bücher",
    "https://gateway.internal//twice",
    "https://gateway.internal/a;b=c/{d}",
    "https://gateway.internal/%2e%2e/x",
    "https://gateway.internal/a/../b",
];

/// Pieces of templates: of GitHub's form, and of forms that its description could have.
const PIECES: [&str; 16] = [
    "/repos/", "/", "{a}", "{b}", "{c}", "...", ":", "@", "-", "//", "?x=", "#", "\\", "..", " ",
    "{",
];

const NAMES: [&str; 7] = ["owner", "repo", "path", "ref", "number", "sixth", "seventh"];

/// Text with the characters that a URL gives a meaning to.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "",
        "a",
        "Z9",
        "-",
        "_",
        "~",
        ".",
        "..",
        "/",
        "//",
        "%",
        "%2e",
        "%2E%2e",
        "%2F",
        "?",
        "#",
        "&",
        "=",
        "+",
        " ",
        "\t",
        "\n",
        "\r",
        "\0",
        "\u{7f}",
        "\\",
        ":",
        "@",
        ";",
        "|",
        "^",
        "`",
        "{",
        "}",
        "<",
        ">",
        "\"",
        "'",
        "[",
        "]",
        "ü",
        "名",
        "\u{202e}",
        "\u{feff}",
        "😀",
        "https:",
        "https://evil.example",
    ]);
    let pieces = prop::collection::vec(special, 0..6).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 2 => "[a-zA-Z0-9_.-]{1,12}", 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Option<PathValue>> {
    prop_oneof![
        6 => text().prop_map(|text| Some(PathValue::Text(text))),
        2 => any::<i64>().prop_map(|number| Some(PathValue::Integer(number))),
        1 => Just(None),
    ]
}

fn query() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((text(), text()), 0..4)
}

fn base() -> impl Strategy<Value = Endpoints> {
    prop::sample::select(BASES.to_vec()).prop_map(|base| Endpoints::new(base, None).unwrap())
}

/// An operation with this template, and some of its parameters. It is leaked, as operations are static.
fn operation(path: String, server: Option<&'static str>, slashes: &[bool]) -> &'static Operation {
    let parameters: Vec<_> = NAMES
        .into_iter()
        .zip(slashes)
        .map(|(name, allows_slash)| OperationParameter {
            name,
            setter: name,
            location: ParameterLocation::Path,
            required: true,
            allows_slash: *allows_slash,
        })
        .collect();
    Box::leak(Box::new(Operation {
        id: "x/y",
        tag: "x",
        method: Method::GET,
        path: path.leak(),
        server,
        accept: "application/vnd.github+json",
        parameters: parameters.leak(),
        missing_body: MissingBody::Send,
        rate_limit: "core",
        creates_content: false,
        statuses: &[200],
        documentation_url: "",
        deprecated: false,
    }))
}

/// Returns a URL with all of its parts, or the error.
fn shown(url: Result<Url>) -> std::result::Result<String, String> {
    let url = url.map_err(|error| error.to_string())?;
    // `Debug` shows each part, which comparisons of `Url` do not see.
    Ok(format!("{url} {url:?} {:?}", url.port()))
}

fn with_query(mut draft: RequestDraft, query: &[(String, String)]) -> RequestDraft {
    draft.query = query.iter().map(|(name, value)| (name.clone().into(), value.clone())).collect();
    draft
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_url_of_an_operation_is_that_of_the_setters(
        endpoints in base(),
        server in prop::sample::select(vec![None, Some("https://uploads.github.com"), Some("{protocol}://{hostname}")]),
        rest in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..9),
        values in prop::collection::vec(value(), 9),
        slashes in prop::collection::vec(any::<bool>(), 5..8),
        query in query(),
    ) {
        let operation = operation(format!("/{}", rest.concat()), server, &slashes);
        let mut draft = with_query(RequestDraft::for_operation(operation), &query);
        let Target::Template(places) = &mut draft.target else { panic!("no template") };
        let mut texts = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let Some(place) = places.get_mut(index) else { break };
            texts.push(value.as_ref().map(PathValue::to_text));
            *place = value;
        }
        let expected =
            model::of_operation(endpoints.for_operation(server), operation, &texts, &query);
        prop_assert_eq!(shown(draft.url(&endpoints).map(RequestUrl::into_url)), shown(expected));
    }

    #[test]
    fn the_url_of_a_path_is_that_of_the_setters(
        endpoints in base(),
        text in prop_oneof![text(), (text(), text()).prop_map(|(path, query)| format!("/{path}?{query}"))],
        query in query(),
    ) {
        prop_assume!(!is_absolute(&text));
        let draft = with_query(RequestDraft::raw(Method::GET, text.clone()), &query);
        let expected = model::of_text(&endpoints, &text, &query);
        prop_assert_eq!(shown(draft.url(&endpoints).map(RequestUrl::into_url)), shown(expected));
    }

    #[test]
    fn the_url_of_segments_is_that_of_the_setters(
        endpoints in base(),
        segments in prop::collection::vec(text(), 0..5),
    ) {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let expected = model::of_segments(endpoints.api(), &segments);
        prop_assert_eq!(shown(join_segments(endpoints.api_base(), &segments)), shown(expected));
    }
}

/// The cache uses them before the URL is parsed.
#[test]
fn the_path_and_the_query_of_each_operation_are_those_of_its_url() {
    const VALUES: [&str; 5] = ["hello-world", "%2e", ".a~", "ü ?#/'x", "a|b"];
    let query = [("q".to_owned(), "a b&'ü".to_owned()), ("page".to_owned(), "2".to_owned())];
    for base in BASES {
        let endpoints = Endpoints::new(base, None).unwrap();
        for (number, operation) in OPERATIONS.iter().enumerate() {
            let query = &query[..number % 3];
            let mut draft = with_query(RequestDraft::for_operation(operation), query);
            let Target::Template(places) = &mut draft.target else { panic!("no template") };
            let mut index = 0;
            while let Some(place) = places.get_mut(index) {
                let value = VALUES[(number + index) % VALUES.len()];
                *place = Some(PathValue::Text(value.to_owned()));
                index += 1;
            }
            let url = draft.url(&endpoints).unwrap();
            let parsed = url.get();
            let id = operation.id;
            assert_eq!(url.path_and_query(), (parsed.path(), parsed.query()), "{id}");
            assert!(same_origin(url.server(), parsed), "{id}");
            assert_eq!(*parsed, draft.url(&endpoints).unwrap().into_url(), "{id}");
        }
    }
}

/// The capacity of a URL's text is that of the copied base, unless the text grew beyond it.
#[test]
fn a_url_is_written_without_a_reallocation() {
    for base in ["https://api.github.com", "https://ghe.example/api/v3", "http://[::1]:8080/a/b/"] {
        let endpoints = Endpoints::new(base, None).unwrap();
        let path = "/repos/{owner}/{repo}/contents/{path}".to_owned();
        let mut draft = RequestDraft::for_operation(operation(path, None, &[false, false, true]));
        draft.set_path_integer(0, 42);
        draft.set_path::<String>(1, "hello-world");
        draft.set_path::<String>(2, "a b/ü");
        draft.query("per_page".into(), "100".to_owned());
        let text = String::from(draft.url(&endpoints).unwrap().into_url());
        let expected = "/repos/42/hello-world/contents/a%20b/%C3%BC?per_page=100";
        assert_eq!(text, format!("{}{expected}", base.trim_end_matches('/')));
        let copied = endpoints.api_base().with_path("", None);
        assert_eq!(text.capacity(), String::from(copied).capacity(), "{text}");
    }
}
