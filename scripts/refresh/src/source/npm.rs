//! `@octokit/openapi`, fetched with the installed npm: its configuration of registries and proxies applies,
//! and it checks the download against the registry's checksum.

use std::process::Command;
use std::{fs, path::Path};

use serde_json::Value;

use super::{Published, VERSION, read, run, text};
use crate::problem::{Problem, Result};

const PACKAGE: &str = "@octokit/openapi";

/// The folder of the descriptions within the package.
const FOLDER: &str = "generated";

/// The newest published version.
pub fn newest() -> Result<String> {
    let doing = format!("ask for the newest {PACKAGE}");
    let said = run(npm().args(["view", PACKAGE, "dist-tags.latest"]), &doing)
        .map_err(Problem::unfetched)?;
    let version = String::from_utf8_lossy(&said).trim().to_owned();
    if version.is_empty() {
        return Err(Problem::failed(format!("npm has no {PACKAGE}; see `npm config list`")));
    }
    Ok(version)
}

pub fn fetch(version: Option<&str>, work: &Path) -> Result<Published> {
    let version = version.map_or_else(newest, |version| Ok(version.to_owned()))?;
    let package = format!("{PACKAGE}@{version}");
    let doing = format!("fetch {package}");
    run(npm().args(["pack", "--pack-destination"]).arg(work).arg(&package), &doing)
        .map_err(Problem::unfetched)?;
    let files = fs::read_dir(work).map_err(|e| Problem::at(work, "read", &e))?;
    let archive = files
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|path| path.extension().is_some_and(|of| of == "tgz"))
        .ok_or_else(|| {
            Problem::failed(format!("npm reported success, but {package} is missing"))
        })?;
    // Without references, each description is six times as long.
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(work).args(["--exclude", "*.deref.json", "-xzf"]).arg(&archive);
    run(&mut tar, &format!("unpack {package} (download it again)"))?;
    let folder = work.join("package");
    let published = unpacked(&folder, &folder.join(FOLDER).join(format!("{VERSION}.json")))?;
    if published.version == version {
        return Ok(published);
    }
    let message = format!("requested {package}, but npm returned {}", published.version);
    Err(Problem::failed(message))
}

/// A description of an unpacked package.
pub fn unpacked(folder: &Path, path: &Path) -> Result<Published> {
    let manifest = folder.join("package.json");
    let bytes = fs::read(&manifest).map_err(|e| Problem::at(&manifest, "read", &e))?;
    let manifest: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Problem::failed(format!("{}: {e}", manifest.display())))?;
    let (bytes, document) = read(path)?;
    Ok(Published {
        package: text(&manifest["name"], PACKAGE),
        version: text(&manifest["version"], "unknown"),
        file: path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned(),
        license: text(&manifest["license"], "unknown"),
        license_text: fs::read(folder.join("LICENSE")).ok(),
        bytes,
        document,
        others: Some(others(path)?),
    })
}

/// The descriptions beside this one.
fn others(document: &Path) -> Result<Vec<std::path::PathBuf>> {
    let Some(folder) = document.parent() else { return Ok(Vec::new()) };
    let files = fs::read_dir(folder).map_err(|e| Problem::at(folder, "read", &e))?;
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path != document && name.ends_with(".json") && !name.ends_with(".deref.json")
    });
    paths.sort();
    Ok(paths)
}

fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.args(["--loglevel=error", "--update-notifier=false"]);
    npm
}
