//! `scripts/refresh-openapi.sh` runs this.

use std::io::stdout;
use std::process::ExitCode;

use octowire_refresh::options::{Command, HELP, Options};
use octowire_refresh::problem::{Problem, Result};
use octowire_refresh::{refresh, survey};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(status) => ExitCode::from(status),
        Err(problem) => {
            eprintln!("nothing was replaced: {problem}");
            ExitCode::from(match problem {
                Problem::Failed(_) => 1,
                Problem::Stale(_) => 2,
                Problem::Unfetched(_) => 3,
            })
        }
    }
}

fn run(options: &Options) -> Result<u8> {
    let out = &mut stdout().lock();
    match &options.command {
        Command::Help => {
            print!("{HELP}");
            Ok(0)
        }
        Command::Index => refresh::write_derived(options).map(|()| 0),
        Command::Required(folder) => refresh::write_required(options, folder).map(|()| 0),
        Command::Survey(files) => {
            survey::run(&options.root, files, out).map(|failed| u8::from(failed > 0))
        }
        Command::Refresh(source) => refresh::run(options, source, out),
    }
}
