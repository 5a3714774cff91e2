//! Operations, parameters and responses.

use octowire_refresh::drift::ChangeKind;
use octowire_refresh::drift::Direction::{Error, Operation, Request, Response};
use octowire_refresh::drift::SemverBump::{Major, Minor, Patch};
use octowire_refresh::drift::Severity::{Breaking, Compatible, Documentation, Notice};
use serde_json::json;

use super::small_description::*;
use super::{NONE, Row};

/// Operations, parameters and responses.
pub(super) const OPERATIONS: &[Row] = &[
    (
        "operation removed",
        |d| remove(d, CREATE),
        &[(ChangeKind::OperationRemoved, Breaking, Major, Operation)],
    ),
    (
        "operation added",
        |d| {
            let mut more = value(d, CREATE).clone();
            more["operationId"] = json!("things/update");
            value(d, "/paths/~1things")["patch"] = more;
        },
        &[(ChangeKind::OperationAdded, Compatible, Minor, Operation)],
    ),
    (
        "operation renamed",
        |d| value(d, CREATE)["operationId"] = json!("things/make"),
        &[(ChangeKind::OperationRenamed, Compatible, Major, Operation)],
    ),
    (
        "path moved",
        |d| {
            let item = value(d, "/paths/~1things").clone();
            remove(d, "/paths/~1things");
            value(d, "/paths")["/v2/things"] = item;
        },
        &[(ChangeKind::PathMoved, Breaking, Patch, Operation)],
    ),
    (
        "method changed",
        |d| {
            let operation = value(d, CREATE).clone();
            remove(d, CREATE);
            value(d, "/paths/~1things")["put"] = operation;
        },
        &[(ChangeKind::MethodChanged, Breaking, Patch, Operation)],
    ),
    (
        "tag changed",
        |d| value(d, CREATE)["tags"] = json!(["stuff"]),
        &[(ChangeKind::TagChanged, Compatible, Major, Operation)],
    ),
    (
        "server of an operation",
        |d| {
            value(d, CREATE)["servers"] = json!([{ "url": "https://uploads.github.com" }]);
        },
        &[(ChangeKind::ServerChanged, Breaking, Patch, Operation)],
    ),
    (
        "ways of signing in",
        |d| value(d, CREATE)["security"] = json!([{ "token": [] }]),
        &[(ChangeKind::SecurityChanged, Breaking, NONE, Operation)],
    ),
    (
        "no Apps any longer",
        |d| at!(d, CREATE, "/x-github")["enabledForGitHubApps"] = json!(false),
        &[(ChangeKind::AppsRejected, Breaking, NONE, Operation)],
    ),
    (
        "cloud only",
        |d| at!(d, CREATE, "/x-github")["githubCloudOnly"] = json!(true),
        &[(ChangeKind::CloudOnlyChanged, Notice, NONE, Operation)],
    ),
    (
        "it notifies",
        |d| at!(d, CREATE, "/x-github")["triggersNotification"] = json!(true),
        &[(ChangeKind::TriggersNotificationChanged, Compatible, Patch, Operation)],
    ),
    (
        "category",
        |d| at!(d, CREATE, "/x-github")["category"] = json!("stuff"),
        &[(ChangeKind::AnnotationChanged, Documentation, NONE, Operation)],
    ),
    (
        "deprecated",
        |d| value(d, CREATE)["deprecated"] = json!(true),
        &[(ChangeKind::Deprecated, Notice, Minor, Operation)],
    ),
    (
        "link to the documentation",
        |d| value(d, CREATE)["externalDocs"] = json!({ "url": "x" }),
        &[(ChangeKind::DocumentationChanged, Documentation, Patch, Operation)],
    ),
    (
        "announcement",
        |d| {
            value(d, CREATE)["x-github-breaking-changes"] =
                json!([{ "changeset": "away", "version": "2026-03-10", "patch": {} }]);
        },
        &[(ChangeKind::BreakingChangeAnnounced, Notice, NONE, Operation)],
    ),
    (
        "optional parameter added",
        |d| {
            let more = json!({ "name": "q", "in": "query", "schema": { "type": "string" } });
            push(d, &[GET, "/parameters"].concat(), more);
        },
        &[(ChangeKind::ParameterAdded, Compatible, Minor, Request)],
    ),
    (
        "required parameter added",
        |d| {
            let more = json!({ "name": "q", "in": "query", "required": true, "schema": {} });
            push(d, &[GET, "/parameters"].concat(), more);
        },
        &[(ChangeKind::RequiredParameterAdded, Breaking, Major, Request)],
    ),
    (
        "parameter of the path item",
        |d| {
            value(d, "/paths/~1things")["parameters"] =
                json!([{ "name": "q", "in": "header", "schema": { "type": "string" } }]);
        },
        &[(ChangeKind::ParameterAdded, Compatible, Minor, Request)],
    ),
    (
        "parameter removed",
        |d| {
            at!(d, GET, "/parameters").as_array_mut().unwrap().remove(1);
        },
        &[(ChangeKind::ParameterRemoved, Breaking, Major, Request)],
    ),
    (
        "parameter became required",
        |d| at!(d, GET, "/parameters/1")["required"] = json!(true),
        &[(ChangeKind::ParameterBecameRequired, Breaking, Major, Request)],
    ),
    (
        "parameter of another type",
        |d| {
            at!(d, GET, "/parameters/0/schema")["type"] = json!("string");
        },
        &[(ChangeKind::TypeChanged, Breaking, Major, Request)],
    ),
    (
        "path parameter renamed",
        |d| {
            let mut item = value(d, "/paths/~1things~1{thing_id}").clone();
            for method in ["get", "delete"] {
                item[method]["parameters"][0]["name"] = json!("id");
            }
            remove(d, "/paths/~1things~1{thing_id}");
            value(d, "/paths")["/things/{id}"] = item;
        },
        &[
            (ChangeKind::ParameterRenamed, Compatible, Major, Request),
            (ChangeKind::ParameterRenamed, Compatible, Major, Request),
        ],
    ),
    (
        "path parameters that trade places",
        |d| {
            let item = value(d, "/paths/~1pairs~1{left}~1{right}").clone();
            remove(d, "/paths/~1pairs~1{left}~1{right}");
            value(d, "/paths")["/pairs/{right}/{left}"] = item;
        },
        &[(ChangeKind::PathMoved, Breaking, Patch, Operation)],
    ),
    (
        "parameter written otherwise",
        |d| at!(d, GET, "/parameters/0")["x-multi-segment"] = json!(true),
        &[(ChangeKind::ParameterEncodingChanged, Breaking, Patch, Request)],
    ),
    (
        "value of a parameter added",
        |d| push(d, &[GET, "/parameters/1/schema/enum"].concat(), json!("x")),
        &[(ChangeKind::EnumValueAdded, Compatible, Minor, Request)],
    ),
    (
        "value of a parameter removed",
        |d| pop(d, &[GET, "/parameters/1/schema/enum"].concat(), &json!("at")),
        &[(ChangeKind::EnumValueRemoved, Breaking, Major, Request)],
    ),
    (
        "default of a shared parameter",
        |d| value(d, "/components/parameters/per-page/schema")["default"] = json!(10),
        &[(ChangeKind::DefaultChanged, Notice, Patch, Request)],
    ),
    (
        "limit of a shared parameter lowered",
        |d| value(d, "/components/parameters/per-page/schema")["maximum"] = json!(50),
        &[(ChangeKind::BoundTightened, Breaking, NONE, Request)],
    ),
    (
        "body removed",
        |d| remove(d, &[CREATE, "/requestBody"].concat()),
        &[(ChangeKind::RequestBodyRemoved, Breaking, Major, Request)],
    ),
    (
        "optional body added",
        |d| value(d, GET)["requestBody"] = json!({ "content": {} }),
        &[(ChangeKind::RequestBodyAdded, Compatible, Minor, Request)],
    ),
    (
        "required body added",
        |d| value(d, GET)["requestBody"] = json!({ "required": true, "content": {} }),
        &[(ChangeKind::RequiredRequestBodyAdded, Breaking, Major, Request)],
    ),
    (
        "body became optional",
        |d| at!(d, CREATE, "/requestBody")["required"] = json!(false),
        &[(ChangeKind::RequestBodyBecameOptional, Compatible, Patch, Request)],
    ),
    (
        "media type of a body",
        |d| at!(d, CREATE, "/requestBody/content")["text/plain"] = json!({}),
        &[(ChangeKind::MediaTypeAdded, Compatible, NONE, Request)],
    ),
    (
        "media type of a response removed",
        |d| {
            at!(d, GET, "/responses/200")["content"] = json!({});
        },
        &[(ChangeKind::MediaTypeRemoved, Breaking, Major, Response)],
    ),
    (
        "media type of a response added",
        |d| {
            value(d, "/paths/~1things~1{thing_id}/delete/responses/204")["content"] =
                json!({ "application/json": {} });
        },
        &[(ChangeKind::MediaTypeAdded, Compatible, Major, Response)],
    ),
    (
        "success with another body",
        |d| at!(d, GET, "/responses")["202"] = json!({ "description": "" }),
        &[(ChangeKind::SuccessStatusAdded, Breaking, Major, Response)],
    ),
    (
        "success with the same body",
        |d| {
            let same = at!(d, GET, "/responses/200").clone();
            at!(d, GET, "/responses")["203"] = same;
        },
        &[(ChangeKind::SuccessStatusAdded, Compatible, NONE, Response)],
    ),
    (
        "one success for another",
        |d| {
            let responses = value(d, "/paths/~1things~1{thing_id}/delete/responses");
            *responses = json!({ "202": { "description": "Gone" } });
        },
        &[
            (ChangeKind::SuccessStatusAdded, Compatible, NONE, Response),
            (ChangeKind::SuccessStatusRemoved, Compatible, NONE, Response),
        ],
    ),
    (
        "redirect in the place of every success",
        |d| {
            at!(d, GET, "/responses")["302"] = json!({ "description": "Elsewhere" });
            remove(d, &[GET, "/responses/200"].concat());
        },
        &[
            (ChangeKind::StatusAdded, Compatible, NONE, Error),
            (ChangeKind::SuccessStatusRemoved, Breaking, Major, Response),
        ],
    ),
    (
        "error in the place of every success",
        |d| {
            let responses = value(d, "/paths/~1things~1{thing_id}/delete/responses");
            *responses = json!({ "410": { "description": "It cannot be done" } });
        },
        &[
            (ChangeKind::StatusAdded, Compatible, NONE, Error),
            (ChangeKind::SuccessStatusRemoved, Breaking, Major, Response),
        ],
    ),
    (
        "only redirect removed",
        |d| remove(d, "/paths/~1pairs~1{left}~1{right}/get/responses/302"),
        &[(ChangeKind::SuccessStatusRemoved, Breaking, Major, Response)],
    ),
    (
        "status of an error removed",
        |d| remove(d, &[GET, "/responses/404"].concat()),
        &[(ChangeKind::StatusRemoved, Compatible, NONE, Error)],
    ),
    (
        "header removed",
        |d| remove(d, &[GET, "/responses/200/headers/Link"].concat()),
        &[(ChangeKind::HeaderRemoved, Notice, NONE, Response)],
    ),
    (
        "property of an error removed",
        |d| remove(d, "/components/schemas/basic-error/properties/message"),
        &[(ChangeKind::PropertyRemoved, Notice, NONE, Error)],
    ),
];
