//! Stage `generate`: progenitor and typify turn the description into endpoint bindings and types, as tokens.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use openapiv3::OpenAPI;
use proc_macro2::TokenStream;
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle, TagStyle, TypeImpl};
use serde_json::Value;

use crate::document::{self, METHODS};
use crate::error::{Error, Result};
use crate::select;

const STAGE: &str = "generate";

/// The generator's name for the replacement of [`crate::normalize::ID_OR_NAME`].
pub const ID_OR_NAME_TYPE: &str = "crate::IdOrName";

/// Runs progenitor on the document.
pub fn generate(document: &Value) -> Result<TokenStream> {
    let error = match run(document) {
        Ok(tokens) => return Ok(tokens),
        Err(error) => error,
    };
    // Progenitor rarely names the location of a failure: find the first operation that it rejects on its own.
    for located in document::operations(document) {
        let mut alone = document.clone();
        if let Some(paths) = alone.get_mut("paths").and_then(Value::as_object_mut) {
            paths.retain(|path, _| path == located.path);
            for item in paths.values_mut().filter_map(Value::as_object_mut) {
                item.retain(|key, _| !METHODS.contains(&key.as_str()) || key == located.method);
            }
        }
        if select::drop_unreachable(&mut alone).is_ok()
            && let Err(message) = run(&alone)
        {
            return Err(Error::new(STAGE, located.pointer(), message));
        }
    }
    Err(Error::new(STAGE, "", error))
}

fn run(document: &Value) -> std::result::Result<TokenStream, String> {
    let document: OpenAPI = serde_json::from_value(document.clone())
        .map_err(|e| format!("`openapiv3` cannot read the document: {e}"))?;
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Positional)
        .with_tag(TagStyle::Merged)
        .with_hooks(HooksMode::Expected)
        .with_replacement(
            "OctowireIdOrName",
            ID_OR_NAME_TYPE,
            [TypeImpl::Display, TypeImpl::FromStr].into_iter(),
        );
    let result = silently(|| {
        Generator::new(&settings).generate_tokens(&document).map_err(|e| e.to_string())
    });
    result.unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("progenitor panicked: {}", message.unwrap_or("no panic message")))
    })
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function that can panic on unsupported input. Its message becomes the error, without a backtrace on
/// the user's screen. Panics of other threads are shown as usual.
fn silently<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !SILENT.get() {
                others(panic);
            }
        }));
    });
    SILENT.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    SILENT.set(false);
    result
}
