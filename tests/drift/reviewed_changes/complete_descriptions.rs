//! Properties of reports about complete descriptions.

use std::collections::BTreeSet;

use octowire_refresh::drift::{Change, ChangeKind, DriftReport, Severity, compare, slice};
use serde_json::Value;

use super::{V16, V22, V23, document};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Ids with their methods and paths.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let items = document["paths"].as_object().unwrap().iter();
    let operations = items.flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| {
            let id = item[method]["operationId"].as_str()?.to_owned();
            Some((id, format!("{method} {path}")))
        })
    });
    operations.collect()
}

fn webhooks(document: &Value) -> BTreeSet<&String> {
    document["x-webhooks"].as_object().unwrap().keys().collect()
}

#[test]
fn additions_and_removals_are_the_items_of_only_one_description() {
    for (old, new) in [(&V22, &V23), (&V16, &V23), (&V23, &V16)] {
        let (Some(old), Some(new)) = (old.as_ref(), new.as_ref()) else { return };
        let report = compare(old, new).unwrap();
        let of = |kind: ChangeKind| -> BTreeSet<&str> {
            let of = report.changes.iter().filter(|change| change.kind == kind);
            of.map(|change| change.owner.name()).collect()
        };
        let (before, after) = (operations(old), operations(new));
        let ids = |of: &BTreeSet<(String, String)>| -> BTreeSet<String> {
            of.iter().map(|(id, _)| id.clone()).collect()
        };
        let (old_ids, new_ids) = (ids(&before), ids(&after));
        let gone: Vec<_> = before.iter().filter(|(id, _)| !new_ids.contains(id)).collect();
        let more: Vec<_> = after.iter().filter(|(id, _)| !old_ids.contains(id)).collect();
        let renamed = more.iter().filter(|(_, at)| gone.iter().any(|(_, old)| old == at)).count();
        assert_eq!(of(ChangeKind::OperationRenamed).len(), renamed);
        assert_eq!(of(ChangeKind::OperationRemoved).len(), gone.len() - renamed);
        assert_eq!(of(ChangeKind::OperationAdded).len(), more.len() - renamed);
        let (before, after) = (webhooks(old), webhooks(new));
        assert_eq!(of(ChangeKind::WebhookRemoved).len(), before.difference(&after).count());
        assert_eq!(of(ChangeKind::WebhookAdded).len(), after.difference(&before).count());
        println!("{}", report.to_string().lines().next().unwrap_or_default());
    }
}

/// Without those of the documentation, which slices do not have.
fn meant(report: &DriftReport) -> Vec<Change> {
    let changes = report.changes.iter();
    changes.filter(|change| change.severity != Severity::Documentation).cloned().collect()
}

#[test]
fn slices_of_them_differ_as_they_do() {
    for (old, new) in [(&V22, &V23), (&V16, &V23), (&V23, &V22)] {
        let (Some(old), Some(new)) = (old.as_ref(), new.as_ref()) else { return };
        let whole = compare(old, new).unwrap();
        let (before, after) = (operations(old), operations(new));
        let known: BTreeSet<&str> = before.iter().map(|(id, _)| id.as_str()).collect();
        let ids = after.iter().map(|(id, _)| id.as_str()).filter(|id| known.contains(id));
        let hooks = webhooks(old);
        let keys = webhooks(new).into_iter().filter(|key| hooks.contains(key)).map(String::as_str);
        let all: Vec<&str> = ids.chain(keys).collect();
        assert!(all.len() > 1000);
        // All of them at once, and then a few at a time.
        let few = all.iter().enumerate().step_by(97).map(|(at, _)| {
            all.iter().copied().skip(at % 7).step_by(151).chain([all[at]]).collect::<Vec<_>>()
        });
        for ids in std::iter::once(all.clone()).chain(few) {
            let slices = (slice(old, &ids).unwrap(), slice(new, &ids).unwrap());
            let found = compare(&slices.0, &slices.1).unwrap();
            let (found, expected) = (meant(&found), meant(&whole.only(&ids)));
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected);
            }
            assert_eq!(found.len(), expected.len());
        }
    }
}

#[test]
fn every_other_document_is_compared_as_well() {
    let pairs = [
        ("16.0.0", "ghec", "23.0.2"),
        ("22.0.0", "ghec", "23.0.2"),
        ("22.0.0", "ghes-3.19", "23.0.2"),
    ];
    for (old, plan, new) in pairs {
        let (Some(old), Some(new)) = (document(old, plan), document(new, plan)) else { return };
        let report = compare(&old, &new).unwrap();
        assert!(compare(&new, &new).unwrap().is_empty());
        assert!(report.counts.total() > 0);
        assert!(report.to_markdown().chars().count() <= DriftReport::MARKDOWN_LIMIT);
        println!("{}", report.to_string().lines().next().unwrap_or_default());
    }
}
