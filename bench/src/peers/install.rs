//! The clients in other languages, installed by the package managers of those languages, and only once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder;
use crate::{Result, process};

const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");
const PACKAGE: &str = include_str!("../../peers/package.json");
const PYTHON_PROGRAM: &str = include_str!("../../peers/peer.py");
const NODE_PROGRAM: &str = include_str!("../../peers/peer.mjs");

/// An environment of Python with the clients.
#[derive(Clone, Default)]
pub struct Python(PathBuf);

impl Python {
    pub fn install() -> Result<Self> {
        let folder = folder()?.join("python");
        let requirements = folder.join("requirements.txt");
        if !is_current(&requirements, REQUIREMENTS) {
            eprintln!("installing clients for Python into {}", folder.display());
            create(&folder)?;
            process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
            let wanted = folder.join("wanted.txt");
            std::fs::write(&wanted, REQUIREMENTS)?;
            process::run(Command::new(folder.join("bin/python")).args(pip).arg(&wanted))?;
            std::fs::rename(&wanted, &requirements)?;
        }
        std::fs::write(folder.join("peer.py"), PYTHON_PROGRAM)?;
        Ok(Self(folder))
    }

    pub fn version(package: &str) -> String {
        let line = REQUIREMENTS.lines().find_map(|line| {
            let (name, version) = line.split_once("==")?;
            name.eq_ignore_ascii_case(package).then_some(version)
        });
        line.unwrap_or("?").to_owned()
    }

    pub fn command(&self, client: &str) -> Command {
        let mut command = Command::new(self.0.join("bin/python"));
        command.arg(self.0.join("peer.py")).arg(client);
        command
    }
}

/// A folder with the packages of Node.js.
#[derive(Clone, Default)]
pub struct Node(PathBuf);

impl Node {
    pub fn install() -> Result<Self> {
        let folder = folder()?.join("node");
        let installed = folder.join("installed.json");
        if !is_current(&installed, PACKAGE) {
            eprintln!("installing octokit.js into {}", folder.display());
            create(&folder)?;
            std::fs::write(folder.join("package.json"), PACKAGE)?;
            let npm = [
                "install",
                "--loglevel=error",
                "--engine-strict",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
            ];
            process::run(Command::new("npm").args(npm).arg(&folder))?;
            std::fs::write(&installed, PACKAGE)?;
        }
        // Modules are resolved from the program's folder.
        std::fs::write(folder.join("peer.mjs"), NODE_PROGRAM)?;
        Ok(Self(folder))
    }

    pub fn version() -> String {
        let package: serde_json::Value = serde_json::from_str(PACKAGE).unwrap_or_default();
        package["dependencies"]["octokit"].as_str().unwrap_or("?").to_owned()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(self.0.join("peer.mjs"));
        command
    }
}

/// Whether this version of the packages is installed.
fn is_current(record: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(record).is_ok_and(|installed| installed == wanted)
}

/// Creates the folder anew, without what another version left.
fn create(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_are_installed() {
        for version in [Python::version("githubkit"), Python::version("PyGithub"), Node::version()]
        {
            assert!(version.split('.').count() == 3, "{version}");
            assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
        }
        assert_eq!(Python::version("another"), "?");
    }
}
