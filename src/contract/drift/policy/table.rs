//! Comparison of the documentation's table with the ratings.

use super::super::change::{ChangeKind, Direction};
use super::{ChangeFacts, judge};

/// The rating of a kind and direction in the documentation, if the cell is plain: `breaking / major`, with an
/// optional addition after a colon or a semicolon.
struct Row {
    kind: ChangeKind,
    direction: Direction,
    cell: String,
}

/// The rows whose first cell contains only names of kinds.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<&str> = line.trim_end_matches('|').split('|').map(str::trim).collect();
        let Some((first, cells)) = cells.split_first() else { continue };
        let kinds: Option<Vec<ChangeKind>> = first
            .split(", ")
            .map(|name| {
                let name = name.strip_prefix('`')?.strip_suffix('`')?;
                ChangeKind::ALL.iter().copied().find(|kind| kind.as_str() == name)
            })
            .collect();
        for kind in kinds.unwrap_or_default() {
            let directions = match cells.len() {
                1 => vec![direction(kind)],
                _ => vec![Direction::Request, Direction::Response],
            };
            for (direction, cell) in directions.into_iter().zip(cells) {
                let cell = cell.split([':', ';']).next().unwrap_or_default().trim().to_owned();
                rows.push(Row { kind, direction, cell });
            }
        }
    }
    rows
}

/// The directions of a kind that has one cell.
fn direction(kind: ChangeKind) -> Direction {
    let name = kind.as_str();
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if starts(&["webhook-"]) {
        Direction::Webhook
    } else if starts(&["header-", "success-status-"]) {
        Direction::Response
    } else if starts(&["status-"]) {
        Direction::Error
    } else if starts(&["parameter-", "required-", "request-body-", "media-type-"]) {
        Direction::Request
    } else {
        Direction::Operation
    }
}

/// `breaking / major`, without an addition.
fn is_plain(cell: &str) -> bool {
    let words = cell.split_once(" / ");
    words.is_some_and(|(severity, bump)| {
        ["documentation", "compatible", "notice", "breaking"].contains(&severity)
            && ["none", "patch", "minor", "major"].contains(&bump)
    })
}

#[test]
fn the_table_matches_the_policy() {
    let rows = rows(include_str!("../mod.rs"));
    // The first rating is of a text, whose values are an enum in Rust.
    let facts = ChangeFacts { retyped: true, ..ChangeFacts::default() };
    let plain: Vec<&Row> = rows.iter().filter(|row| is_plain(&row.cell)).collect();
    for Row { kind, direction, cell } in &plain {
        let (severity, bump, _) = judge(*kind, *direction, facts);
        assert_eq!(format!("{severity} / {bump}"), *cell, "{kind} of a {direction}");
    }
    // Kinds that the table rates with a condition.
    let mut others: Vec<&str> = ChangeKind::ALL
        .iter()
        .filter(|kind| !plain.iter().any(|row| row.kind == **kind))
        .map(|kind| kind.as_str())
        .collect();
    others.sort_unstable();
    assert_eq!(
        others,
        [
            "deprecated",
            "format-changed",
            "media-type-added",
            "media-type-removed",
            "success-status-added",
            "success-status-removed",
        ]
    );
}
