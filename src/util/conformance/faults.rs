//! Tests of a suite by a table of faulty implementations: each fault is found by its check, and each check finds a fault.

use std::fmt::Debug;

use super::{Check, ContractDeviations};

/// Defines the enum `Fault`, with `None`, and `FAULTS`: one fault for each line, and the contract that it breaks.
macro_rules! faults {
    ($($fault:ident: $contract:literal,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Fault {
            None,
            $($fault,)+
        }

        const FAULTS: &[(Fault, &str)] = &[$((Fault::$fault, $contract),)+];
    };
}

pub(crate) use faults;

/// Asserts that the suite finds each fault by the check of the contract that it breaks, and reports that contract.
pub(crate) async fn assert_each_fault_is_found<F: Copy + Debug>(
    faults: &[(F, &str)],
    suite: impl AsyncFn(F) -> Result<(), ContractDeviations>,
) {
    let mut missed = Vec::new();
    for (fault, contract) in faults {
        let found = suite(*fault).await.err();
        let is_found = found.as_ref().is_some_and(|found| {
            let is_listed = found.as_slice().iter().any(|it| it.contract == *contract);
            is_listed && found.to_string().contains(contract)
        });
        if !is_found {
            missed.push((fault, contract, found));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Asserts that each check has a fault, since a check that no fault fails would check nothing, and each fault a check.
pub(crate) fn assert_each_check_has_a_fault<F: Debug, T: ?Sized>(
    faults: &[(F, &str)],
    checks: &[&[Check<T>]],
) {
    let contracts: Vec<_> = checks.iter().copied().flatten().map(|check| check.contract).collect();
    for contract in &contracts {
        let is_tested = faults.iter().any(|(_, broken)| broken == contract);
        assert!(is_tested, "no fault breaks: {contract}");
    }
    for (fault, contract) in faults {
        assert!(contracts.contains(contract), "{fault:?}: {contract}");
    }
}
