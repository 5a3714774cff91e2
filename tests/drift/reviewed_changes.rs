//! Changes found between published versions of the description, compared with a manual reading of
//! them: every assertion here was looked up in the descriptions.
//!
//! `OCTOWIRE_VERSIONS` names a folder that has `@octokit/openapi` once for each version, such as
//! `23.0.2/generated/api.github.com.json`. Without it, these tests are skipped.

#[path = "reviewed_changes/complete_descriptions.rs"]
mod complete_descriptions;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use octowire_refresh::drift::{
    Change, ChangeKind, ChangeOwner, DriftReport, SemverBump, Severity, compare,
};
use serde_json::Value;

pub(crate) const PLAN: &str = "api.github.com";

/// Where a document of a version is; `None` if there are none, and the test is skipped.
pub(crate) fn file(version: &str, plan: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("OCTOWIRE_VERSIONS") else {
        println!("skipped: OCTOWIRE_VERSIONS is not set");
        return None;
    };
    Some(PathBuf::from(folder).join(version).join(format!("generated/{plan}.json")))
}

pub(crate) fn document(version: &str, plan: &str) -> Option<Value> {
    let file = file(version, plan)?;
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Some(serde_json::from_slice(&bytes).unwrap())
}

static V16: LazyLock<Option<Value>> = LazyLock::new(|| document("16.0.0", PLAN));
static V22: LazyLock<Option<Value>> = LazyLock::new(|| document("22.0.0", PLAN));
static V23: LazyLock<Option<Value>> = LazyLock::new(|| document("23.0.2", PLAN));

fn report(old: &Option<Value>, new: &Option<Value>) -> Option<DriftReport> {
    Some(compare(old.as_ref()?, new.as_ref()?).unwrap())
}

/// The change of this kind in this place: the gravest, if it is one for several directions.
#[track_caller]
fn one<'a>(report: &'a DriftReport, kind: ChangeKind, place: &str, path: &str) -> &'a Change {
    let found: Vec<&Change> = report
        .changes
        .iter()
        .filter(|of| of.kind == kind && of.owner.to_string() == place && of.path == path)
        .collect();
    let directions: BTreeSet<_> = found.iter().map(|change| change.direction).collect();
    if found.is_empty() || found.len() != directions.len() {
        let nearby: Vec<String> = report
            .changes
            .iter()
            .filter(|change| change.owner.to_string() == place)
            .map(ToString::to_string)
            .collect();
        panic!("{} of {kind} at {place} {path}:\n{}", found.len(), nearby.join("\n"))
    }
    found[0]
}

#[test]
fn from_22_to_23() {
    let Some(report) = report(&V22, &V23) else { return };
    let is = |kind, place: &str, path: &str, severity, bump| {
        let change = one(&report, kind, place, path);
        assert_eq!((change.severity, change.bump), (severity, bump), "{change}");
        change.clone()
    };
    use SemverBump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    // 22: `$ref: simple-user`. 23: `$ref: nullable-simple-user`. It is required.
    let user = is(
        ChangeKind::BecameNullable,
        "component pull-request-review-comment",
        "user",
        Breaking,
        Major,
    );
    assert!(user.operations.contains(&"pulls/get-review-comment".to_owned()));
    // 22: a property, optional. 23: none. Apps' permissions are read and, for two operations, sent.
    let gone = "component app-permissions";
    let both: Vec<&Change> = report
        .changes
        .iter()
        .filter(|of| of.owner.to_string() == gone && of.kind == ChangeKind::PropertyRemoved)
        .collect();
    assert_eq!(both.len(), 3, "{both:#?}");
    assert!(both.iter().all(|change| change.path == "team_discussions"));
    let severities: Vec<Severity> = both.iter().map(|change| change.severity).collect();
    assert_eq!(severities, [Breaking, Compatible, Compatible]);
    assert_eq!(both[0].operations, ["apps/create-installation-access-token", "apps/scope-token"]);
    // 22: 204. 23: 204, or 200 with a body; who calls as before reads no body.
    is(
        ChangeKind::SuccessStatusAdded,
        "operation actions/create-workflow-dispatch",
        "response 200",
        Compatible,
        Major,
    );
    // 22: `application/json+sarif`. 23: `application/sarif+json`.
    let place = "operation code-scanning/get-analysis";
    is(ChangeKind::MediaTypeRemoved, place, "response 200 application/json+sarif", Breaking, None);
    is(ChangeKind::MediaTypeAdded, place, "response 200 application/sarif+json", Compatible, Major);
    // 22: maxLength 40, `^[0-9a-fA-F]+$`. 23: 64, `^([0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?)$`.
    let place = "component code-scanning-analysis-commit-sha";
    is(ChangeKind::PatternChanged, place, "", Breaking, None);
    let length = one(&report, ChangeKind::BoundLoosened, place, "");
    assert_eq!(length.message, "`maxLength`: `40` became `64`");
    // 22: no `required`. 23: `required: [selected_repository_ids]`.
    is(
        ChangeKind::PropertyBecameRequired,
        "operation code-security/detach-configuration",
        "body application/json › selected_repository_ids",
        Breaking,
        Major,
    );
    // 22: /organizations/{org}/dependabot/repository-access. 23: /orgs/{org}/….
    let moved = is(
        ChangeKind::PathMoved,
        "operation dependabot/repository-access-for-org",
        "",
        Breaking,
        Patch,
    );
    assert_eq!(moved.pointer, "/paths/~1orgs~1{org}~1dependabot~1repository-access/get");
    // 22: repository, organization, app. 23: repository, organization.
    is(ChangeKind::WebhookTypeRemoved, "webhook package-published", "", Breaking, None);
    // 22: strings. 23: strings, or objects with `login`, `rationale` and `suggest`.
    is(
        ChangeKind::TypeWidened,
        "operation issues/update",
        "body application/json › assignees[]",
        Compatible,
        Major,
    );
    // 22: nothing. 23: deprecationDate 2026-05-22, removalDate 2026-08-28.
    let classrooms =
        is(ChangeKind::Deprecated, "operation classroom/list-classrooms", "", Notice, Minor);
    assert_eq!(classrooms.removal_date.as_deref(), Some("2026-08-28"));
    // 22: a property, optional. 23: none.
    is(
        ChangeKind::PropertyRemoved,
        "component rate-limit-overview",
        "resources › code_scanning_upload",
        Compatible,
        Major,
    );
    // 22: none. 23: maxLength 128.
    is(
        ChangeKind::BoundTightened,
        "operation orgs/create-artifact-deployment-record",
        "body application/json › cluster",
        Breaking,
        None,
    );
    // 22: an enum of the two. 23: a union of two enums of one: the same.
    assert!(!report.changes.iter().any(|of| of.path.ends_with("budget_type")
        && of.owner == ChangeOwner::Component("budget".to_owned())));
    // 22: 200. 23: 207 as well, with another body.
    is(
        ChangeKind::SuccessStatusAdded,
        "operation orgs/set-cluster-deployment-records",
        "response 207",
        Breaking,
        Major,
    );
    // 22: nothing. 23: `change_delete_installation_success_status` for 2026-03-10.
    is(ChangeKind::BreakingChangeAnnounced, "operation apps/delete-installation", "", Notice, None);
}

#[test]
fn from_23_back_to_22() {
    let Some(report) = report(&V23, &V22) else { return };
    one(&report, ChangeKind::BecameNotNullable, "component pull-request-review-comment", "user");
    one(
        &report,
        ChangeKind::SuccessStatusRemoved,
        "operation actions/create-workflow-dispatch",
        "response 200",
    );
    one(
        &report,
        ChangeKind::MediaTypeAdded,
        "operation code-scanning/get-analysis",
        "response 200 application/json+sarif",
    );
    one(&report, ChangeKind::BoundTightened, "component code-scanning-analysis-commit-sha", "");
    let place = "operation code-security/detach-configuration";
    one(
        &report,
        ChangeKind::PropertyBecameOptional,
        place,
        "body application/json › selected_repository_ids",
    );
    one(&report, ChangeKind::PathMoved, "operation dependabot/repository-access-for-org", "");
    one(&report, ChangeKind::WebhookTypeAdded, "webhook package-published", "");
    one(
        &report,
        ChangeKind::TypeNarrowed,
        "operation issues/update",
        "body application/json › assignees[]",
    );
    one(&report, ChangeKind::Undeprecated, "operation classroom/list-classrooms", "");
    one(
        &report,
        ChangeKind::PropertyAdded,
        "component rate-limit-overview",
        "resources › code_scanning_upload",
    );
    one(&report, ChangeKind::BreakingChangeWithdrawn, "operation apps/delete-installation", "");
}

#[test]
fn from_16_to_23() {
    let Some(report) = report(&V16, &V23) else { return };
    let is = |kind, place: &str, path: &str, severity, bump| {
        let change = one(&report, kind, place, path);
        assert_eq!((change.severity, change.bump), (severity, bump), "{change}");
        change.clone()
    };
    use SemverBump::{Major, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    // 16: `assigments`. 23: `assignments`, with the same path.
    let renamed = is(
        ChangeKind::OperationRenamed,
        "operation classroom/list-accepted-assignments-for-an-assignment",
        "",
        Compatible,
        Major,
    );
    assert!(renamed.message.contains("classroom/list-accepted-assigments-for-an-assignment"));
    // 16: no `required`. 23: `required: [encrypted_value, key_id]`.
    let place = "operation actions/create-or-update-repo-secret";
    is(
        ChangeKind::PropertyBecameRequired,
        place,
        "body application/json › key_id",
        Breaking,
        Major,
    );
    // 16: page, first and last. 23: none of them.
    let place = "operation dependabot/list-alerts-for-repo";
    for name in ["query first", "query last", "query page"] {
        is(ChangeKind::ParameterRemoved, place, name, Breaking, Major);
    }
    // 16: `type: integer`. 23: `type: string`.
    is(
        ChangeKind::TypeChanged,
        "component parameters/repository-name-in-query",
        "query repository_name",
        Breaking,
        Major,
    );
    // 16: nullable-simple-user. 23: nullable, one of simple-user and empty-object.
    let author = is(ChangeKind::TypeWidened, "component commit", "author", Breaking, Major);
    assert_eq!(author.message, "`simple-user` became one of `simple-user`, `empty-object`");
    // 16: per-page, of 30. 23: public-events-per-page, of 15.
    let page = is(
        ChangeKind::DefaultChanged,
        "operation activity/list-public-events",
        "query per_page",
        Notice,
        Patch,
    );
    assert_eq!(page.message, "the default `30` became `15`");
    // 16: one of simple-user, team and organization. 23: nullable-simple-user.
    is(ChangeKind::TypeNarrowed, "component copilot-seat-details", "assignee", Compatible, Major);
    // 16: a string, nullable. 23: `$ref: team`'s parent, an object.
    is(
        ChangeKind::TypeChanged,
        "component branch-restriction-policy",
        "teams[] › parent",
        Breaking,
        Major,
    );
    // 16: optional. 23: required. It is a union of one variant in 16.
    let place = "operation repos/remove-app-access-restrictions";
    is(ChangeKind::RequestBodyBecameRequired, place, "body", Breaking, Patch);
    let others = report.changes.iter().filter(|of| of.owner.to_string() == place);
    assert_eq!(others.filter(|of| of.severity != Severity::Documentation).count(), 1);
    // 16: it is there. 23: it is not.
    is(ChangeKind::WebhookRemoved, "webhook secret-scanning-alert-revoked", "", Breaking, Major);
    // 16: /orgs/{org}/projects, classic. 23: /orgs/{org}/projectsV2.
    is(ChangeKind::PathMoved, "operation projects/list-for-org", "", Breaking, Patch);
    // 16: `minItems` of the elements, which are texts. 23: `minItems: 1` of the list.
    is(
        ChangeKind::BoundTightened,
        "operation users/add-email-for-authenticated-user",
        "body application/json › emails",
        Breaking,
        None,
    );
    // 16: required. 23: not in `required`.
    is(
        ChangeKind::PropertyBecameOptional,
        "component issue",
        "author_association",
        Breaking,
        Major,
    );
}

#[test]
fn from_23_back_to_16() {
    let Some(report) = report(&V23, &V16) else { return };
    one(
        &report,
        ChangeKind::OperationRenamed,
        "operation classroom/list-accepted-assigments-for-an-assignment",
        "",
    );
    let place = "operation actions/create-or-update-repo-secret";
    one(&report, ChangeKind::PropertyBecameOptional, place, "body application/json › key_id");
    one(
        &report,
        ChangeKind::ParameterAdded,
        "operation dependabot/list-alerts-for-repo",
        "query first",
    );
    one(
        &report,
        ChangeKind::TypeChanged,
        "component parameters/repository-name-in-query",
        "query repository_name",
    );
    one(&report, ChangeKind::TypeNarrowed, "component commit", "author");
    one(
        &report,
        ChangeKind::DefaultChanged,
        "operation activity/list-public-events",
        "query per_page",
    );
    one(&report, ChangeKind::TypeWidened, "component copilot-seat-details", "assignee");
    one(
        &report,
        ChangeKind::RequestBodyBecameOptional,
        "operation repos/remove-app-access-restrictions",
        "body",
    );
    one(&report, ChangeKind::WebhookAdded, "webhook secret-scanning-alert-revoked", "");
    one(
        &report,
        ChangeKind::BoundLoosened,
        "operation users/add-email-for-authenticated-user",
        "body application/json › emails",
    );
    let issue: Vec<_> = report
        .changes
        .iter()
        .filter(|of| {
            of.path == "author_association" && of.kind == ChangeKind::PropertyBecameRequired
        })
        .filter(|of| of.owner.to_string() == "component issue")
        .collect();
    assert!(!issue.is_empty());
}
