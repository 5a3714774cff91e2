//! What the conformance suites of the library's traits have in common: checks of one sentence of a contract each, the
//! function that runs them, and the deviations that it returns.

use std::fmt;
use std::pin::Pin;

#[cfg(test)]
pub(crate) mod faults;

/// All deviations of an implementation from its contract: of [`store_conformance`](crate::testing::store_conformance)
/// and [`token_store_conformance`](crate::testing::token_store_conformance).
#[derive(Clone, Debug)]
pub struct ContractDeviations {
    /// The kind of implementation, such as `token store`.
    subject: &'static str,
    found: Vec<ContractDeviation>,
}

/// One deviation of an implementation from its contract.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ContractDeviation {
    /// The sentence of the contract that the implementation does not keep.
    pub contract: &'static str,
    /// The operation, its result, and the expected one.
    pub message: String,
}

impl ContractDeviations {
    /// Returns the deviations, at most one for each sentence of the contract.
    #[must_use]
    pub fn as_slice(&self) -> &[ContractDeviation] {
        &self.found
    }
}

impl fmt::Display for ContractDeviations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} deviates from its contract:", self.subject)?;
        for ContractDeviation { contract, message } in &self.found {
            write!(f, "\n- {contract}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ContractDeviations {}

/// The result of a check: the deviation, if there is one.
pub(crate) type CheckResult = Result<(), String>;

/// A check of a trait's implementation, `T` being the trait object.
pub(crate) struct Check<T: ?Sized> {
    pub(crate) contract: &'static str,
    pub(crate) run: for<'a> fn(&'a T) -> Pin<Box<dyn Future<Output = CheckResult> + Send + 'a>>,
}

/// Returns the checks of contracts by asynchronous functions.
macro_rules! checks {
    ($($contract:literal: $run:ident,)+) => {
        &[$($crate::util::conformance::Check {
            contract: $contract,
            run: |implementation| ::std::boxed::Box::pin($run(implementation)),
        },)+]
    };
}

/// Returns a deviation unless two values are equal.
macro_rules! expect_eq {
    ($actual:expr, $expected:expr, $($context:tt)+) => {{
        match (&$actual, &$expected) {
            (actual, expected) if actual == expected => {}
            (actual, expected) => {
                let context = format!($($context)+);
                return Err(format!("{context}: got {actual:?}, expected {expected:?}"));
            }
        }
    }};
}

pub(crate) use {checks, expect_eq};

/// Runs each check with an implementation of its own, one after the other.
///
/// # Errors
/// All deviations, if there are any.
pub(crate) async fn run_checks<S, T: ?Sized + 'static>(
    subject: &'static str,
    checks: &'static [&'static [Check<T>]],
    as_trait: fn(&S) -> &T,
    mut new_implementation: impl AsyncFnMut() -> S,
) -> Result<(), ContractDeviations> {
    let mut found = Vec::new();
    for check in checks.iter().copied().flatten() {
        let implementation = new_implementation().await;
        if let Err(message) = (check.run)(as_trait(&implementation)).await {
            found.push(ContractDeviation { contract: check.contract, message });
        }
    }
    if found.is_empty() { Ok(()) } else { Err(ContractDeviations { subject, found }) }
}
