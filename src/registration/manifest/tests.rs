//! The JSON of a manifest, and the values that are rejected.

use serde_json::json;

use super::*;
use crate::error::ErrorKind;
use crate::policy::auth::PermissionLevel::{Admin, Read, Write};

const REDIRECT: &str = "https://example.com/redirect";

fn manifest() -> AppManifest {
    AppManifest::new("https://www.example.com")
}

fn to_value(manifest: &AppManifest) -> Value {
    serde_json::from_str(&manifest.to_json(REDIRECT).unwrap()).unwrap()
}

/// <https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest#examples>
#[test]
fn githubs_own_example_has_the_same_json() {
    let manifest = manifest()
        .name("Octoapp")
        .webhook("https://example.com/github/events")
        .callback_url("https://example.com/callback")
        .public(true)
        .permissions([("issues", Write), ("checks", Write)])
        .events(["issues", "issue_comment", "check_suite", "check_run"]);
    let expected = json!({
        "name": "Octoapp",
        "url": "https://www.example.com",
        "hook_attributes": { "url": "https://example.com/github/events" },
        "redirect_url": "https://example.com/redirect",
        "callback_urls": ["https://example.com/callback"],
        "public": true,
        "default_permissions": { "issues": "write", "checks": "write" },
        "default_events": ["check_run", "check_suite", "issue_comment", "issues"],
    });
    assert_eq!(to_value(&manifest), expected);
}

#[test]
fn every_setting_has_the_documented_name() {
    let manifest = manifest()
        .name("Octo \"Bot\" é")
        .description("It </script> watches")
        .webhook("https://example.com/hook")
        .webhook_active(false)
        .setup_url("https://example.com/setup")
        .setup_on_update(true)
        .callback_url("myapp://back")
        .permission("organization_projects", Read)
        .permission("organization_projects", Admin)
        .event("projects_v2_item");
    let expected = json!({
        "name": "Octo \"Bot\" é",
        "description": "It </script> watches",
        "url": "https://www.example.com",
        "hook_attributes": { "url": "https://example.com/hook", "active": false },
        "redirect_url": "https://example.com/redirect",
        "callback_urls": ["myapp://back"],
        "setup_url": "https://example.com/setup",
        "setup_on_update": true,
        "public": false,
        "default_permissions": { "organization_projects": "admin" },
        "default_events": ["projects_v2_item"],
    });
    assert_eq!(to_value(&manifest), expected);
    let manifest = manifest_with_sign_in();
    let expected = json!({
        "url": "https://www.example.com",
        "redirect_url": "https://example.com/redirect",
        "callback_urls": ["https://example.com/back"],
        "request_oauth_on_install": true,
        "public": false,
    });
    assert_eq!(to_value(&manifest), expected);
}

fn manifest_with_sign_in() -> AppManifest {
    manifest().request_oauth_on_install(true).callback_url("https://example.com/back")
}

#[test]
fn a_property_of_a_later_version_is_sent_beside_the_others_and_in_place_of_none() {
    let later = json!({ "a": [1, null] });
    let manifest = manifest().property("later", 1).property("later", later.clone());
    let expected = json!({
        "url": "https://www.example.com",
        "redirect_url": "https://example.com/redirect",
        "public": false,
        "later": later,
    });
    assert_eq!(to_value(&manifest), expected);
    let without = to_value(&manifest.clone().property("later", Value::Null));
    assert_eq!(without["later"], Value::Null);
    assert!(without.as_object().unwrap().contains_key("later"), "it is sent as it is");
    for name in KNOWN_PROPERTIES {
        let error = manifest.clone().property(name, "x").to_json(REDIRECT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

/// Another property could override a known one.
#[test]
fn every_property_that_is_sent_is_a_known_one() {
    let all = manifest()
        .name("Octo Bot")
        .description("It watches")
        .webhook("https://example.com/hook")
        .setup_url("https://example.com/setup")
        .setup_on_update(true)
        .callback_url("https://example.com/back")
        .permission("issues", Read)
        .event("issues");
    let mut sent = BTreeSet::new();
    // A sign-in excludes the setup URL.
    for manifest in [all, manifest_with_sign_in()] {
        let Value::Object(object) = to_value(&manifest) else { panic!("{manifest:?}") };
        sent.extend(object.into_iter().map(|(name, _)| name));
    }
    assert_eq!(sent, BTreeSet::from(KNOWN_PROPERTIES.map(str::to_owned)));
}

/// The parser repairs what GitHub rejects.
#[test]
fn a_url_is_sent_as_it_was_parsed() {
    for (given, sent) in [
        (" https:bot.example.com", "https://bot.example.com"),
        ("https:\\\\bot.example.com\\a b\n", "https://bot.example.com/a%20b"),
        ("HTTPS://B\u{fc}cher.example/", "https://xn--bcher-kva.example/"),
        ("https://bot.example.com", "https://bot.example.com"),
        ("https://bot.example.com?a=/", "https://bot.example.com/?a=/"),
    ] {
        let manifest = AppManifest::new(given)
            .webhook(given)
            .setup_url(given)
            .callback_url(given)
            .callback_url(" myapp:back");
        let json: Value = serde_json::from_str(&manifest.to_json(given).unwrap()).unwrap();
        for place in ["url", "redirect_url", "setup_url"] {
            assert_eq!(json[place], sent, "{place} {given:?}");
        }
        assert_eq!(json["hook_attributes"]["url"], sent, "{given:?}");
        assert_eq!(json["callback_urls"], json!([sent, "myapp:back"]), "{given:?}");
    }
}

/// GitHub rejects `hook_attributes` without a URL.
#[test]
fn an_app_without_a_webhook_has_no_hook_attributes() {
    let expected = json!({
        "url": "https://www.example.com",
        "redirect_url": "https://example.com/redirect",
        "public": false,
    });
    assert_eq!(to_value(&manifest()), expected);
    assert_eq!(to_value(&manifest().webhook_active(false)), expected);
}

#[test]
fn an_invalid_value_is_rejected_by_its_name() {
    let with_callbacks = |count: usize| {
        (0..count).fold(manifest(), |manifest, number| {
            manifest.callback_url(format!("https://example.com/{number}"))
        })
    };
    let hook = || manifest().webhook("https://example.com/hook");
    for (invalid, what) in [
        (AppManifest::new(""), "url"),
        (AppManifest::new("www.example.com"), "url"),
        (AppManifest::new("ftp://example.com"), "url"),
        (manifest().name(""), "name"),
        (manifest().name("x".repeat(MAX_NAME_CHARS + 1)), "name"),
        (manifest().webhook("/hook"), "webhook"),
        (manifest().event("issues"), "events"),
        (manifest().setup_url("example.com/setup"), "setup_url"),
        (manifest().callback_url("callback"), "callback_url"),
        (manifest().callback_url("https://example.com/#a"), "callback_url"),
        (manifest().request_oauth_on_install(true), "there is no callback_url"),
        (manifest_with_sign_in().setup_url("https://example.com/setup"), "setup_url"),
        (with_callbacks(MAX_CALLBACK_URLS + 1), "callback URLs"),
        (manifest().permission("Issues", Read), "permission"),
        (manifest().permission("", Read), "permission"),
        (hook().event("pull-request"), "event"),
        (hook().event("issues "), "event"),
        (manifest().property("a-b", 1), "property"),
        (manifest().property("", 1), "property"),
    ] {
        let error = invalid.to_json(REDIRECT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{what}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    assert!(manifest().to_json("callback").unwrap_err().to_string().contains("redirect_url"));
    for valid in [
        manifest().name("é".repeat(MAX_NAME_CHARS)),
        with_callbacks(MAX_CALLBACK_URLS),
        manifest().permission("issues", Read),
    ] {
        assert!(valid.to_json(REDIRECT).is_ok(), "{valid:?}");
    }
}
