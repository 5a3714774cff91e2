//! A small description, and helpers to navigate it.

use serde_json::{Value, json};

/// A document with a bit of everything.
pub(super) fn small() -> Value {
    let thing = json!({
        "type": "object",
        "description": "A thing.",
        "required": ["id", "note", "labels", "state", "owner", "at", "text", "data"],
        "properties": {
            "id": { "type": "integer" },
            "note": { "type": "string", "nullable": true },
            "hint": { "type": "string" },
            "labels": { "type": "array", "items": { "$ref": "#/components/schemas/label" } },
            "state": { "type": "string", "enum": ["open", "closed"] },
            "owner": { "oneOf": [
                { "$ref": "#/components/schemas/user" }, { "$ref": "#/components/schemas/team" }
            ] },
            "parent": { "nullable": true, "allOf": [{ "$ref": "#/components/schemas/thing" }] },
            "at": { "type": "string", "format": "date-time" },
            "text": { "type": "string" },
            "extra": { "type": "object", "additionalProperties": { "type": "string" } },
            "reviewer": { "$ref": "#/components/schemas/nullable-user" },
            "counts": { "type": "object", "additionalProperties": { "type": "integer" } },
            "data": { "nullable": true },
            "lists": { "oneOf": [
                { "type": "array", "items": { "type": "string" } },
                { "type": "array", "items": { "type": "integer" } }
            ] }
        }
    });
    let body = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string", "maxLength": 10 },
            "color": { "type": "string" },
            "size": { "type": "integer" },
            "mode": { "type": "string", "enum": ["fast", "slow"], "default": "fast" },
            "due": { "type": "string", "nullable": true },
            "target": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
            "page": { "type": "string", "format": "uri" },
            "names": { "type": "array", "items": { "type": "string" } },
            "point": { "type": "object", "properties": {
                "x": { "type": "string" }, "y": { "type": "string" } } },
            "options": { "$ref": "#/components/schemas/options" }
        }
    });
    let user = json!({
        "type": "object",
        "required": ["login", "kind"],
        "properties": { "login": { "type": "string" }, "kind": { "type": "string" } }
    });
    let mut nullable_user = user.clone();
    nullable_user["nullable"] = json!(true);
    let github = json!({
        "githubCloudOnly": false, "enabledForGitHubApps": true,
        "category": "things", "subcategory": "things"
    });
    let of = |schema: &str| {
        let schema = format!("#/components/schemas/{schema}");
        json!({ "application/json": { "schema": { "$ref": schema } } })
    };
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Things", "version": "1.0.0", "x-github-plan": "api.github.com" },
        "servers": [{ "url": "https://api.github.com" }],
        "paths": {
            "/things/{thing_id}": {
                "get": {
                    "operationId": "things/get", "tags": ["things"], "summary": "Get a thing",
                    "x-github": github,
                    "parameters": [
                        { "name": "thing_id", "in": "path", "required": true,
                          "schema": { "type": "integer" } },
                        { "name": "sort", "in": "query",
                          "schema": { "type": "string", "enum": ["id", "at"] } },
                        { "$ref": "#/components/parameters/per-page" }
                    ],
                    "responses": {
                        "200": { "description": "A thing", "content": of("thing"),
                                 "headers": { "Link": { "schema": { "type": "string" } } } },
                        "404": { "$ref": "#/components/responses/not_found" }
                    }
                },
                "delete": {
                    "operationId": "things/delete", "tags": ["things"], "x-github": github,
                    "parameters": [
                        { "name": "thing_id", "in": "path", "required": true,
                          "schema": { "type": "integer" } }
                    ],
                    "responses": { "204": { "description": "Gone" } }
                }
            },
            "/pairs/{left}/{right}": { "get": {
                "operationId": "things/get-pair", "tags": ["things"], "x-github": github,
                "parameters": [
                    { "name": "left", "in": "path", "required": true,
                      "schema": { "type": "integer" } },
                    { "name": "right", "in": "path", "required": true,
                      "schema": { "type": "integer" } }
                ],
                "responses": { "302": { "description": "Elsewhere" } }
            } },
            "/things": {
                "post": {
                    "operationId": "things/create", "tags": ["things"], "x-github": github,
                    "requestBody": {
                        "required": true, "content": { "application/json": { "schema": body } }
                    },
                    "responses": { "201": { "description": "It", "content": of("thing") } }
                }
            }
        },
        "x-webhooks": {
            "thing-made": { "post": {
                "operationId": "things/made",
                "x-github": { "supported-webhook-types": ["app", "repository"],
                              "category": "webhooks", "subcategory": "some_thing" },
                "parameters": [{ "name": "X-GitHub-Event", "in": "header",
                                 "schema": { "type": "string" } }],
                "requestBody": { "content": of("thing-made") },
                "responses": { "200": { "description": "Thanks" } }
            } }
        },
        "components": {
            "parameters": {
                "per-page": { "name": "per_page", "in": "query",
                              "schema": { "type": "integer", "default": 30, "maximum": 100 } }
            },
            "responses": {
                "not_found": { "description": "None", "content": of("basic-error") }
            },
            "schemas": {
                "thing": thing,
                "label": { "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string" }, "color": { "type": "string" } } },
                "user": user,
                "nullable-user": nullable_user,
                "team": { "type": "object", "required": ["slug"], "properties": {
                    "slug": { "type": "string" }, "size": { "type": "integer" } } },
                "options": { "type": "object", "required": ["depth"], "properties": {
                    "depth": { "type": "integer" }, "mode": { "type": "string" } } },
                "basic-error": { "type": "object", "properties": {
                    "message": { "type": "string" } } },
                "thing-made": { "type": "object", "required": ["action", "count"], "properties": {
                    "action": { "type": "string", "enum": ["made"] },
                    "count": { "type": "integer" },
                    "issue": { "type": "object", "properties": {} } } }
            }
        }
    })
}

pub(super) fn value<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document.pointer_mut(pointer).unwrap_or_else(|| panic!("there is no {pointer}"))
}

pub(super) fn remove(document: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    let gone = value(document, parent).as_object_mut().unwrap().remove(&key);
    assert!(gone.is_some(), "there is no {pointer}");
}

pub(super) fn push(document: &mut Value, pointer: &str, more: Value) {
    value(document, pointer).as_array_mut().unwrap().push(more);
}

pub(super) fn pop(document: &mut Value, pointer: &str, gone: &Value) {
    value(document, pointer).as_array_mut().unwrap().retain(|other| other != gone);
}

pub(super) const GET: &str = "/paths/~1things~1{thing_id}/get";
pub(super) const CREATE: &str = "/paths/~1things/post";
pub(super) const BODY: &str = "/paths/~1things/post/requestBody/content/application~1json/schema";
pub(super) const THING: &str = "/components/schemas/thing";
pub(super) const MADE: &str = "/components/schemas/thing-made";
pub(super) const HOOK: &str = "/x-webhooks/thing-made/post";

/// The value at a pointer of several parts.
macro_rules! at {
    ($document:expr, $($part:expr),+) => { $crate::faults::small_description::value($document, &[$($part),+].concat()) };
}

pub(super) use at;
