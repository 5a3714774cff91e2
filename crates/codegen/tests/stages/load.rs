//! Stage 1: the description has the recorded checksum.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{assert_contains, document, fails, ok, openapi};
use octowire_codegen::load::vendored::load_vendored;
use octowire_codegen::load::{check, load};

/// A document and its `upstream.toml` in a folder.
struct Vendored {
    folder: TempDir,
}

impl Vendored {
    fn new(text: &str) -> Self {
        let vendored = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::write(vendored.document(), text).expect("the document");
        let digest = Sha256::digest(text.as_bytes());
        vendored.claim(&digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        vendored
    }

    fn claim(&self, sha256: &str) {
        let text = format!(
            "package = \"p\"\nversion = \"1\"\nfile = \"f\"\nsha256 = \"{sha256}\"\n\
             retrieved = \"2026-01-01\"\nlicense = \"MIT\"\n"
        );
        fs::write(self.upstream(), text).expect("upstream.toml");
    }

    fn document(&self) -> PathBuf {
        self.folder.path().join("document.json")
    }

    fn upstream(&self) -> PathBuf {
        self.folder.path().join("upstream.toml")
    }

    fn verify(&self) -> octowire_codegen::Result<Value> {
        load_vendored(&self.document(), &self.upstream())
    }
}

fn small() -> Value {
    document(json!({ "/meta": {} }), json!({}))
}

#[test]
fn a_description_that_matches_its_checksum_is_read() {
    let vendored = Vendored::new(&small().to_string());
    assert_eq!(ok(vendored.verify()), small());
}

#[test]
fn the_vendored_document_matches_its_checksum() {
    let folder = openapi();
    ok(load_vendored(&folder.join("api.github.com.json"), &folder.join("upstream.toml")));
}

#[test]
fn a_wrong_checksum_names_both_checksums_and_advice() {
    let vendored = Vendored::new(&small().to_string());
    vendored.claim(&"0".repeat(64));
    let message = fails(vendored.verify(), "load", "");
    assert_contains(&message, &"0".repeat(64));
    let actual = Sha256::digest(small().to_string().as_bytes());
    assert_contains(&message, &format!("{:02x}{:02x}", actual[0], actual[1]));
    assert_contains(&message, "overlay.yaml");
    assert_contains(&message, "refresh both together");
}

#[test]
fn the_checksum_covers_the_bytes_and_not_the_json() {
    let vendored = Vendored::new(&small().to_string());
    fs::write(vendored.document(), format!("{}\n", small())).expect("the document");
    assert_contains(fails(vendored.verify(), "load", ""), "SHA-256");
}

#[test]
fn a_missing_document_is_named() {
    let vendored = Vendored::new(&small().to_string());
    fs::remove_file(vendored.document()).expect("it was there");
    assert_contains(fails(vendored.verify(), "load", ""), "document.json");
    assert_contains(fails(load(&vendored.document()), "load", ""), "document.json");
}

#[test]
fn a_missing_upstream_toml_is_named() {
    let vendored = Vendored::new(&small().to_string());
    fs::remove_file(vendored.upstream()).expect("it was there");
    assert_contains(fails(vendored.verify(), "load", ""), "upstream.toml");
}

#[test]
fn an_upstream_toml_that_cannot_be_read_is_named() {
    let vendored = Vendored::new(&small().to_string());
    for text in ["sha256 = ", "sha256 = \"00\"", "[package]\nname = \"x\""] {
        fs::write(vendored.upstream(), text).expect("upstream.toml");
        assert_contains(fails(vendored.verify(), "load", ""), "upstream.toml");
    }
    fs::write(vendored.upstream(), [0xFF, 0xFE]).expect("upstream.toml");
    assert_contains(fails(vendored.verify(), "load", ""), "not UTF-8");
}

#[test]
fn a_folder_is_no_document() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_contains(fails(load(folder.path()), "load", ""), "cannot read");
}

#[test]
fn input_that_is_not_json_is_rejected() {
    for text in ["", "openapi: 3.0.3", "{\"openapi\": \"3.0.3\"", "\u{0}"] {
        let vendored = Vendored::new(text);
        assert_contains(fails(vendored.verify(), "load", ""), "is not JSON");
        assert_contains(fails(load(&vendored.document()), "load", ""), "is not JSON");
    }
}

#[test]
fn json_that_nests_without_end_is_rejected() {
    let vendored = Vendored::new(&"[".repeat(100_000));
    assert_contains(fails(vendored.verify(), "load", ""), "is not JSON");
}

#[test]
fn json_that_is_no_openapi_is_rejected() {
    for value in [json!(null), json!([]), json!("3.0.3"), json!({}), json!({ "openapi": 3 })] {
        assert_contains(fails(check(&value), "load", "/openapi"), "not an OpenAPI document");
    }
}

#[test]
fn swagger_2_is_rejected() {
    let value = json!({ "swagger": "2.0", "info": {}, "paths": { "/meta": {} } });
    assert_contains(fails(check(&value), "load", "/openapi"), "not an OpenAPI document");
}

#[test]
fn openapi_3_1_is_rejected_and_3_0_recommended() {
    let mut value = small();
    value["openapi"] = json!("3.1.0");
    let message = fails(check(&value), "load", "/openapi");
    assert_contains(&message, "OpenAPI version 3.1.0");
    assert_contains(&message, "without `-3.1`");
}

#[test]
fn every_patch_of_openapi_3_0_is_read() {
    for version in ["3.0.0", "3.0.3", "3.0.4"] {
        let mut value = small();
        value["openapi"] = json!(version);
        ok(check(&value));
    }
}

#[test]
fn a_description_without_operations_is_rejected() {
    for paths in [json!({}), json!([]), json!(null), json!("/meta")] {
        let mut value = small();
        value["paths"] = paths;
        assert_contains(fails(check(&value), "load", "/paths"), "no `paths`");
    }
    let mut value = small();
    value.as_object_mut().expect("an object").shift_remove("paths");
    fails(check(&value), "load", "/paths");
}

#[test]
fn an_error_reads_as_one_sentence_with_stage_and_place() {
    let error = check(&json!({ "openapi": "3.0.3" })).expect_err("no paths");
    assert_contains(&error, "stage `load`, at /paths: the document has no `paths`");
    let error = load(&PathBuf::from("absent.json")).expect_err("no file");
    assert_contains(&error, "stage `load`, at the whole document: cannot read absent.json");
}
