//! The records of a description: `upstream.toml`, and the version in the overlay. Comments and everything
//! else stay unchanged.

use crate::problem::{Problem, Result};
use crate::source::Published;
use octowire_codegen::load::vendored::sha256;

/// The beginning of a new `upstream.toml`.
const PREFACE: &str = "\
# Where the vendored document comes from. The build verifies the checksum; the
# document and this file are only ever replaced together.
";

/// Today, in UTC, in the format of `upstream.toml`.
pub fn today() -> String {
    chrono::Utc::now().format("%Y-%m-%d").to_string()
}

/// The value of a key of `upstream.toml`.
pub fn value(upstream: &str, key: &str) -> Option<String> {
    upstream.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
        serde_json::from_str(value.trim()).ok()
    })
}

/// `upstream.toml` for a description that was fetched today.
pub fn upstream(before: &str, published: &Published, today: &str) -> String {
    let mut text = if before.is_empty() { PREFACE.to_owned() } else { before.to_owned() };
    let sha256 = sha256(&published.bytes);
    for (key, value) in [
        ("package", published.package.as_str()),
        ("version", &published.version),
        ("file", &published.file),
        ("sha256", &sha256),
        ("retrieved", today),
        ("license", &published.license),
    ] {
        // JSON's strings are TOML's.
        let line = format!("{key} = {}", serde_json::json!(value));
        let is_key = |line: &&str| {
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        match text.lines().find(is_key).map(str::to_owned) {
            Some(old) => text = text.replacen(&old, &line, 1),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// The overlay with the version of the description in its `info`.
pub fn overlay_version(overlay: &str, version: &str) -> Result<String> {
    let mut lines: Vec<String> = overlay.split_inclusive('\n').map(str::to_owned).collect();
    let of_info = lines.iter().position(|line| line.trim_end() == "info:").and_then(|info| {
        let mut after = lines[info + 1..].iter();
        let at = after.position(|line| !line.starts_with(' ') || is_version(line))?;
        is_version(&lines[info + 1 + at]).then_some(info + 1 + at)
    });
    let Some(at) = of_info else {
        let message = "openapi/overlay.yaml has no `version` in its `info`: add one, such as `  \
                       version: \"0\"`";
        return Err(Problem::failed(message));
    };
    let indent: String = lines[at].chars().take_while(|c| *c == ' ').collect();
    lines[at] = format!("{indent}version: {}\n", serde_json::json!(version));
    Ok(lines.concat())
}

fn is_version(line: &str) -> bool {
    line.trim_start().starts_with("version:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlays_version_is_the_only_thing_that_changes() {
        let before = "# Why.\ninfo:\n  title: \"x\"\n  version: \"1\"\nactions:\n- version: 2\n";
        let after = overlay_version(before, "24.0.0").unwrap();
        assert_eq!(after, before.replace("version: \"1\"", "version: \"24.0.0\""));
        let error = overlay_version("info:\n  title: x\nactions:\n  version: 1\n", "2");
        assert!(error.unwrap_err().to_string().contains("overlay.yaml has no `version`"));
    }

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let upstream = "# version = \"0\"\nversions = \"1\"\nversion = \"2\"\n";
        assert_eq!(value(upstream, "version").as_deref(), Some("2"));
        assert_eq!(value(upstream, "sha256"), None);
    }
}
