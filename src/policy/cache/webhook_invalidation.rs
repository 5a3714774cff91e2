//! The stored responses that a webhook event invalidates.

use serde_json::Value;
use url::Url;

use super::invalidation_log::Selector;
use crate::endpoints::id_path;

/// Returns the paths that an event concerns; `None` if the event names no path of this GitHub.
///
/// Payloads carry the resources that they are about, each with the URL at which the API has it.
pub(crate) fn selector_for_event(event: &str, payload: &Value, api: &Url) -> Option<Selector> {
    let path = |value: &Value| path_below(value.get("url")?.as_str()?, api);
    let (mut at, mut below) = (Vec::new(), Vec::new());
    let ids = IdPath::all(payload);
    for (name, value) in payload.as_object()? {
        // The repository of a push has the URL of its web page, not of the API.
        let path = match name.as_str() {
            "repository" => value.get("full_name").and_then(Value::as_str).and_then(named_resource),
            _ => path(value),
        };
        let Some(path) = path else { continue };
        match name.as_str() {
            // The user that caused the event has not changed.
            "sender" | "installation" => {}
            // All contents of a repository follow from its commits.
            "repository" if affects_whole_repository(event) => below.push(path),
            "repository" | "organization" | "enterprise" => at.push(path),
            _ => {
                let list = path.rsplit_once('/').map(|(list, _)| list.to_owned());
                at.extend(list.filter(|list| !list.is_empty()));
                below.push(path);
            }
        }
    }
    // Entries of the same resources can be stored under the ids of their repository or organization.
    let by_id = |paths: &[String]| {
        let found = paths.iter().flat_map(|path| ids.iter().filter_map(move |id| id.of(path)));
        found.collect::<Vec<_>>()
    };
    at.extend(by_id(&at));
    below.extend(by_id(&below));
    // The comment of an issue is in a list below the issue, and changes the issue's count.
    (!at.is_empty() || !below.is_empty()).then_some(Selector::Paths { below, at })
}

/// A path by name, and the same path by id.
struct IdPath {
    name: String,
    id: String,
}

impl IdPath {
    /// Returns the repository and the organization that a payload names.
    fn all(payload: &Value) -> Vec<Self> {
        let of = |what: &str| {
            let value = payload.get(what)?;
            Some((value, value.get("id")?.as_u64()?))
        };
        let repository = of("repository").and_then(|(repository, id)| {
            let name = named_resource(repository.get("full_name")?.as_str()?)?;
            Some(Self { name, id: id_path::repository_path_by_id(id) })
        });
        let organization = of("organization").and_then(|(organization, id)| {
            let login = organization.get("login")?.as_str()?.to_ascii_lowercase();
            Some(Self { name: format!("/orgs/{login}"), id: id_path::organization_path_by_id(id) })
        });
        repository.into_iter().chain(organization).collect()
    }

    /// Returns the path by id of the same resource, if it belongs to one of them.
    fn of(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(&*self.name)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", self.id))
    }
}

fn named_resource(repository: &str) -> Option<String> {
    let (owner, name) = repository.split_once('/')?;
    let whole = !owner.is_empty() && !name.is_empty() && !name.contains('/');
    whole.then(|| format!("/repos/{repository}").to_ascii_lowercase())
}

fn affects_whole_repository(event: &str) -> bool {
    matches!(event, "push" | "create" | "delete" | "repository" | "release" | "public" | "member")
}

/// Returns the path below the API's base URL, in lower case; `None` for another server's URL.
fn path_below(url: &str, api: &Url) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if url.origin() != api.origin() {
        return None;
    }
    let path = url.path().strip_prefix(api.path().trim_end_matches('/'))?;
    Some(path.trim_end_matches('/').to_ascii_lowercase()).filter(|path| path.len() > 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_issue_changes_itself_and_its_lists() {
        let api: Url = "https://api.github.com/".parse().unwrap();
        let payload = json!({
            "action": "edited",
            "issue": { "url": "https://api.github.com/repos/O/r/issues/7" },
            "repository": { "full_name": "O/r", "url": "https://api.github.com/repos/O/r" },
            "sender": { "url": "https://api.github.com/users/me" },
            "changes": { "url": "https://other.example/x" },
        });
        assert_eq!(
            selector_for_event("issues", &payload, &api),
            Some(Selector::Paths {
                below: vec!["/repos/o/r/issues/7".to_owned()],
                at: vec!["/repos/o/r/issues".to_owned(), "/repos/o/r".to_owned()],
            })
        );
        let push = json!({ "repository": { "full_name": "O/r", "url": "https://github.com/O/r" } });
        let all = Selector::Paths { below: vec!["/repos/o/r".to_owned()], at: vec![] };
        assert_eq!(selector_for_event("push", &push, &api), Some(all));
        assert_eq!(selector_for_event("ping", &json!({ "zen": "x" }), &api), None);
    }

    #[test]
    fn entries_by_repository_id_are_invalidated_as_well() {
        let api: Url = "https://api.github.com/".parse().unwrap();
        let payload = json!({
            "issue": { "url": "https://api.github.com/repos/O/r/issues/7" },
            "repository": { "id": 5, "full_name": "O/r" },
            "organization": { "id": 6, "login": "O", "url": "https://api.github.com/orgs/O" },
        });
        let Some(Selector::Paths { below, at }) = selector_for_event("issues", &payload, &api)
        else {
            panic!()
        };
        assert_eq!(below, ["/repos/o/r/issues/7", "/repositories/5/issues/7"]);
        for path in ["/repositories/5/issues", "/repositories/5", "/organizations/6"] {
            assert!(at.contains(&path.to_owned()), "{path} in {at:?}");
        }
    }

    #[test]
    fn an_enterprise_server_has_its_own_address() {
        let api: Url = "https://ghe.example/api/v3/".parse().unwrap();
        let payload =
            json!({ "issue": { "url": "https://ghe.example/api/v3/repos/o/r/issues/7" } });
        let Some(Selector::Paths { below, .. }) = selector_for_event("issues", &payload, &api)
        else {
            panic!()
        };
        assert_eq!(below, ["/repos/o/r/issues/7"]);
        let payload = json!({ "issue": { "url": "https://api.github.com/repos/o/r/issues/7" } });
        assert_eq!(selector_for_event("issues", &payload, &api), None);
    }
}
