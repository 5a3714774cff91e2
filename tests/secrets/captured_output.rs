//! All output that a program could log.

use std::error::Error as _;
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use octowire::Error;
use tracing_subscriber::fmt::format::FmtSpan;

/// The log of this process at level TRACE, of all crates.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The one log of the process: what tracing caches of a callsite must not depend on which test
    /// is first.
    pub fn of_everything() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_span_events(FmtSpan::FULL)
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            log
        });
        log.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Values and errors as they print.
#[derive(Default)]
pub struct Shown(pub String);

impl Shown {
    pub fn value(&mut self, value: &impl Debug) {
        self.0.push_str(&format!("{value:?} {value:#?}\n"));
    }

    /// The error with all its sources.
    pub fn error(&mut self, error: &Error) {
        self.0.push_str(&format!("{error} {error:?} {error:#?}\n"));
        let mut source = error.source();
        while let Some(error) = source {
            self.0.push_str(&format!("{error} {error:?}\n"));
            source = error.source();
        }
    }

    /// The same, with the parts that a program can read from an error caused by a credential.
    pub fn error_of_a_credential(&mut self, error: &Error) {
        self.error(error);
        self.0.push_str(&format!("{:?} {:?}\n", error.body(), error.api()));
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<Error>() {
                self.0.push_str(&format!("{:?} {:?}\n", error.body(), error.api()));
            }
            source = error.source();
        }
    }
}
