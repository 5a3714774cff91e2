//! The command line options.

use std::path::{Path, PathBuf};

pub const HELP: &str = "\
Replaces the vendored OpenAPI document with another version, and reports the changes.

  scripts/refresh-openapi.sh [VERSION | FILE] [OPTIONS]
  scripts/refresh-openapi.sh --from rest-api-description [REF] [OPTIONS]
  scripts/refresh-openapi.sh --index
  scripts/refresh-openapi.sh --required FOLDER

Where the document comes from:
  (nothing)        the newest @octokit/openapi, by npm
  VERSION          this version of it, such as 23.0.2
  FILE             a file, such as ./api.github.com.json
  --from rest-api-description [REF]
                   GitHub's own repository, by git: its default branch, or a branch,
                   a tag or a commit. OCTOWIRE_REST_API_DESCRIPTION names another URL.

Options:
  --check          compare and report only; replace nothing
  --prune-overlay  remove actions from overlay.yaml that no longer have an effect
  --report DIR     where drift.md, drift.json, next.md and overlay-proposal.yaml go
                   [default: target/drift]
  --root DIR       the folder that has openapi/ [default: this repository]
  --index          rewrite openapi/index.txt and openapi/corrections.json, which
                   follow from the document and the overlay, and nothing else
  --required FOLDER
                   write openapi/not-required.tsv from all versions in FOLDER,
                   VERSION/generated/*.json, and nothing else
  --survey FILE... take other documents through the build's stages, and count
  --help

Exit status:
  0   no change, or none that affects users
  10  notices: something was deprecated
  20  breaking: code that uses the library might have to change
  1   failure, and nothing was replaced
  2   actions of the overlay no longer have an effect, and nothing was replaced
  3   the document could not be fetched, and nothing was replaced
";

/// The action.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Index,
    /// Collect the properties that not all versions in this folder require.
    Required(PathBuf),
    /// Run each of these descriptions through all stages.
    Survey(Vec<PathBuf>),
    Refresh(Source),
}

/// The source of the new description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `@octokit/openapi` of this version, or the newest.
    Npm(Option<String>),
    File(PathBuf),
    /// `github/rest-api-description` at this branch, tag or commit, or its default branch.
    Description(Option<String>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub command: Command,
    pub check: bool,
    pub prune: bool,
    /// The folder that has `openapi/`.
    pub root: PathBuf,
    /// The folder for reports.
    pub report: Option<PathBuf>,
}

impl Options {
    /// The folder of the reports.
    pub fn report(&self) -> PathBuf {
        self.report.clone().unwrap_or_else(|| self.root.join("target/drift"))
    }

    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// The invalid argument, in words.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter().peekable();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let mut options = Self {
            command: Command::Refresh(Source::Npm(None)),
            check: false,
            prune: false,
            root: repository.unwrap_or(Path::new(".")).to_owned(),
            report: None,
        };
        let mut source = None;
        while let Some(argument) = arguments.next() {
            let mut folder = || match arguments.next() {
                Some(folder) => Ok(PathBuf::from(folder)),
                None => Err(format!("{argument} needs a folder")),
            };
            match argument.as_str() {
                "--help" | "-h" => options.command = Command::Help,
                "--index" => options.command = Command::Index,
                "--required" => options.command = Command::Required(folder()?),
                "--survey" => {
                    let files: Vec<PathBuf> = arguments.by_ref().map(PathBuf::from).collect();
                    options.command = Command::Survey(files);
                }
                "--check" => options.check = true,
                "--prune-overlay" => options.prune = true,
                "--report" => options.report = Some(folder()?),
                "--root" => options.root = folder()?,
                "--from" => {
                    if arguments.next().as_deref() != Some("rest-api-description") {
                        return Err("--from accepts only `rest-api-description`".to_owned());
                    }
                    let reference = arguments.next_if(|next| !next.starts_with('-'));
                    given(&mut source, Source::Description(reference))?;
                }
                option if option.starts_with('-') => {
                    return Err(format!("unknown option `{option}`"));
                }
                version if is_version(version) => {
                    given(&mut source, Source::Npm(Some(version.to_owned())))?;
                }
                file if file.contains(['/', '.']) => {
                    given(&mut source, Source::File(PathBuf::from(file)))?;
                }
                other => return Err(format!("`{other}` is neither a version nor a file")),
            }
        }
        if let Some(source) = source {
            match options.command {
                Command::Refresh(_) => options.command = Command::Refresh(source),
                Command::Help => {}
                _ => {
                    return Err("--index, --required and --survey accept no document".to_owned());
                }
            }
        }
        Ok(options)
    }
}

fn given(source: &mut Option<Source>, this: Source) -> Result<(), String> {
    match source.replace(this) {
        None => Ok(()),
        Some(_) => Err("expected one document, got two".to_owned()),
    }
}

/// `23.0.2`, or `24.0.0-beta.1`.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number =
        |number: &&str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(is_number) && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    fn source(line: &str) -> Source {
        match parse(line).unwrap().command {
            Command::Refresh(source) => source,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_description_comes_from_npm_a_file_or_githubs_repository() {
        assert_eq!(source(""), Source::Npm(None));
        assert_eq!(source("--check 22.0.0"), Source::Npm(Some("22.0.0".to_owned())));
        assert_eq!(source("24.0.0-beta.1"), Source::Npm(Some("24.0.0-beta.1".to_owned())));
        assert_eq!(source("./22.0.0"), Source::File("./22.0.0".into()));
        assert_eq!(source("a.json --check"), Source::File("a.json".into()));
        assert_eq!(source("--from rest-api-description --check"), Source::Description(None));
        let main = Source::Description(Some("main".to_owned()));
        assert_eq!(source("--from rest-api-description main"), main);
    }

    #[test]
    fn invalid_arguments_are_rejected_with_a_message() {
        for (line, says) in [
            ("newest", "neither a version nor a file"),
            ("1.0.0 2.0.0", "got two"),
            ("--from npm", "rest-api-description"),
            ("--report", "--report needs a folder"),
            ("--force", "unknown option `--force`"),
            ("--index 1.0.0", "accept no document"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn the_help_names_every_exit_status() {
        for status in ["\n  0 ", "\n  1 ", "\n  2 ", "\n  3 ", "\n  10 ", "\n  20 "] {
            assert!(HELP.contains(status), "{status:?}");
        }
    }
}
