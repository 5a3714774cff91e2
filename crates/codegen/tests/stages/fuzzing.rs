//! The fuzz target of the overlay, and its corpus.

use serde_json::json;

use octowire_codegen::overlay::{apply, apply_what_matches, parse};

/// An overlay, applied to a small document.
pub fn overlay(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(overlay) = parse(text) else { return };
    let document = || {
        json!({
            "openapi": "3.0.3",
            "paths": { "/a/{b}": { "get": { "operationId": "a/get", "responses": { "200": {} } } } },
            "components": { "schemas": { "a": { "type": "object", "properties": { "b": { "type": "string" } } } } },
        })
    };
    let (mut one, mut other) = (document(), document());
    let all = apply(&mut one, &overlay, "api.github.com");
    let applied = apply_what_matches(&mut other, &overlay, "api.github.com");
    // Nothing that matches is stale.
    if all.is_ok() {
        assert!(applied.is_ok_and(|applied| applied.stale.is_empty()));
        assert_eq!(one, other);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_replayed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/overlay");
        let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(!inputs.is_empty());
        for input in inputs {
            let path = input.unwrap().path();
            println!("{}", path.display());
            super::overlay(&std::fs::read(path).unwrap());
        }
    }
}
