//! A small vendored description, and new versions of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{collections::BTreeMap, fs};

use octowire_codegen::load::vendored::sha256;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::files;

/// The exit status, and all that was said.
#[derive(Debug)]
pub struct CommandOutput {
    pub status: i32,
    pub text: String,
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let text = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        Self { status: output.status.code().unwrap_or(-1), text }
    }
}

/// A folder that has `openapi/` with a small document of version 1.0.0.
pub struct Small {
    folder: TempDir,
}

const OVERLAY: &str = "\
# Ours.
overlay: 1.0.0
info:
  title: Small
  version: \"1.0.0\"
actions:

  # thing
  - target: $.components.schemas.thing.required[?@ == 'name']
    description: Missing in answers.
    remove: true
";

const UPSTREAM: &str = "\
# Where it comes from.
package = \"@octokit/openapi\"
version = \"1.0.0\"
file = \"generated/api.github.com.json\"
sha256 = \"SHA256\"
retrieved = \"2020-01-01\"
license = \"MIT\"
";

impl Small {
    pub fn new() -> Self {
        let small = Self { folder: tempfile::tempdir().unwrap() };
        let bytes = text(&document("1.0.0"));
        small.write("openapi/api.github.com.json", &bytes);
        let upstream = UPSTREAM.replace("SHA256", &sha256(bytes.as_bytes()));
        small.write("openapi/upstream.toml", &upstream);
        small.write("openapi/overlay.yaml", OVERLAY);
        small.write("openapi/LICENSE", "Old licence");
        small.write("openapi/not-required.tsv", "# None yet.\n");
        assert_eq!(small.run(&["--index"]).status, 0);
        small
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Puts a package there, unpacked; gives the path of its document.
    pub fn publish(&self, document: &Value) -> String {
        let version = document["info"]["version"].as_str().unwrap();
        let manifest = json!({ "name": "@octokit/openapi", "version": version, "license": "MIT" });
        self.write("package/package.json", &manifest.to_string());
        self.write("package/LICENSE", "New licence");
        self.publish_as("api.github.com", document)
    }

    /// Puts another edition beside it.
    pub fn publish_as(&self, name: &str, document: &Value) -> String {
        let name = format!("package/generated/{name}.json");
        self.write(&name, &text(document));
        self.path(&name).to_string_lossy().into_owned()
    }

    /// The files that a refresh replaces.
    pub fn openapi(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.path("openapi"))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octowire-refresh"));
        command.arg("--root").arg(self.root()).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a refresh that must fail and change nothing.
    #[track_caller]
    pub fn fails(&self, mut command: Command, status: i32) -> String {
        let before = self.openapi();
        let said = CommandOutput::from(command.output().unwrap());
        assert_eq!(said.status, status, "{}", said.text);
        assert!(before == self.openapi(), "files were changed: {}", said.text);
        assert!(!self.path(".refresh-openapi").exists(), "something was left: {}", said.text);
        said.text
    }
}

/// As it is published.
pub fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

/// Two operations, of which one answers a thing whose required name the examples lack.
pub fn document(version: &str) -> Value {
    let thing = json!({ "$ref": "#/components/schemas/thing" });
    let content = json!({ "application/json": { "schema": thing, "example": { "id": 1 } } });
    let operation = |id: &str, response: &Value| {
        json!({
            "operationId": id, "tags": ["things"], "summary": "Of things",
            "parameters": [
                { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } },
            ],
            "responses": { "200": { "description": "Done", "content": response } },
        })
    };
    json!({
        "openapi": "3.0.3",
        "info": { "version": version, "title": "Small", "x-github-plan": "api.github.com" },
        "servers": [{ "url": "https://api.github.com" }],
        "paths": { "/things/{id}": {
            "get": operation("things/get", &content),
            "delete": operation("things/delete", &content),
        } },
        "components": { "schemas": { "thing": {
            "type": "object",
            "required": ["id", "name"],
            "properties": { "id": { "type": "integer" }, "name": { "type": "string" } },
        } } },
    })
}
