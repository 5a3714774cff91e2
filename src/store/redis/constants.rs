//! The constants of the scripts, written from those of the Rust code: a script defines none of its own.

use super::super::ledger::bounds::VERSION as LEDGER_VERSION;
use super::super::ledger::recovery::{JOIN_SLOTS_DIVISOR, UNKNOWN_MEMBER_DIVISOR};
use super::super::{counter, counter_table};
use crate::store::quota_bounds::{
    AFTER_RESET, ARRIVAL_TOLERANCE_MS, BUCKETS, LEASE_TTL_MS, LEDGER_TTL, MAX_BUCKETS, MAX_BYTES,
    MAX_CONSECUTIVE_PAUSES, MAX_MEMBERS, MAX_NAMES, MAX_NUMBER, MAX_OWNERS, MAX_PAUSE_MS, MAX_TEXT,
    MAX_WINDOW_MS, MAX_WRITE_INTERVAL_MS, MEMBER_TIMEOUT, MIN_GRANT_DIVISOR, MIN_OUTAGE,
    OFFLINE_DIVISOR, PAUSE_TTL, RETRY_AFTER_MS, SAME_WINDOW, STARVATION_MEMORY,
    UNKNOWN_LIMIT_PROBES,
};

/// The largest amount of a window: the ledger counts it as `u32`.
const MAX_UNITS: u32 = u32::MAX;
/// The maximum number of digits of a number that scripts count exactly.
pub(super) const MAX_DIGITS: usize = MAX_NUMBER.ilog10() as usize + 1;
const LEDGER_TTL_MS: u128 = LEDGER_TTL.as_millis();

/// Returns Lua statements that define a local for each of these constants, with the same name.
macro_rules! locals {
    ($($name:ident),* $(,)?) => {
        [$(format!("local {} = {}\n", stringify!($name), $name)),*].concat()
    };
}

/// Returns the constants of `ledger.lua` and the files before it.
pub(super) fn of_ledger() -> String {
    locals![
        AFTER_RESET,
        ARRIVAL_TOLERANCE_MS,
        BUCKETS,
        JOIN_SLOTS_DIVISOR,
        LEASE_TTL_MS,
        LEDGER_TTL_MS,
        LEDGER_VERSION,
        MAX_BUCKETS,
        MAX_BYTES,
        MAX_CONSECUTIVE_PAUSES,
        MAX_DIGITS,
        MAX_MEMBERS,
        MAX_NAMES,
        MAX_NUMBER,
        MAX_OWNERS,
        MAX_PAUSE_MS,
        MAX_TEXT,
        MAX_UNITS,
        MAX_WINDOW_MS,
        MAX_WRITE_INTERVAL_MS,
        MEMBER_TIMEOUT,
        MIN_GRANT_DIVISOR,
        MIN_OUTAGE,
        OFFLINE_DIVISOR,
        PAUSE_TTL,
        RETRY_AFTER_MS,
        SAME_WINDOW,
        STARVATION_MEMORY,
        UNKNOWN_LIMIT_PROBES,
        UNKNOWN_MEMBER_DIVISOR,
    ]
}

/// Returns the constants of `counter.lua`, `increment_counters.lua` and `counters.lua`.
pub(super) fn of_counters() -> String {
    use counter::MAX_SUM;
    use counter_table::{MAX_NAME, MAX_NAMES};
    const OVERFLOW_NAME: LuaText = LuaText(counter_table::OVERFLOW_NAME);
    locals![MAX_DIGITS, MAX_NAME, MAX_NAMES, MAX_SUM, OVERFLOW_NAME]
}

/// Text as a Lua literal.
struct LuaText(&'static str);

impl std::fmt::Display for LuaText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Lua and Rust escape the characters of names alike.
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words of a script in capital letters, without its comments, texts, and the globals of Redis.
    fn constants(script: &str) -> BTreeSet<String> {
        let code = script.lines().map(|line| line.split("--").next().unwrap_or_default());
        let code: String = code.map(|line| format!("{line}\n")).collect();
        let without_text = code.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
        let words = without_text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_constant = |word: &&str| {
            word.len() > 1
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && !word.contains(|c: char| c.is_ascii_lowercase())
                && !["KEYS", "ARGV", "MAGIC"].contains(word)
        };
        words.filter(is_constant).map(str::to_owned).collect()
    }

    fn defined(locals: &str) -> BTreeSet<String> {
        let names =
            locals.lines().filter_map(|line| line.strip_prefix("local ")?.split(' ').next());
        names.map(str::to_owned).collect()
    }

    #[test]
    fn every_constant_of_a_script_is_that_of_the_rust_code() {
        let ledger = concat!(
            include_str!("ledger_form.lua"),
            include_str!("ledger_state.lua"),
            include_str!("ledger_grants.lua"),
            include_str!("ledger.lua")
        );
        assert_eq!(constants(ledger), defined(&of_ledger()));
        let counters = concat!(
            include_str!("counter.lua"),
            include_str!("increment_counters.lua"),
            include_str!("counters.lua")
        );
        assert_eq!(constants(counters), defined(&of_counters()));
        for script in
            [include_str!("put_if_absent.lua"), include_str!("clock.lua"), include_str!("get.lua")]
        {
            assert!(constants(script).is_empty(), "{script}");
        }
        assert!(of_ledger().contains(&format!("local MAX_NUMBER = {MAX_NUMBER}\n")));
        assert!(of_counters().contains("local OVERFLOW_NAME = \"other\"\n"));
    }

    /// A number in a script that has a name in the Rust code would be a second home of it.
    #[test]
    fn no_script_has_a_large_number() {
        let scripts = [
            include_str!("put_if_absent.lua"),
            include_str!("counter.lua"),
            include_str!("get.lua"),
            include_str!("ledger.lua"),
            include_str!("ledger_form.lua"),
            include_str!("ledger_grants.lua"),
            include_str!("ledger_state.lua"),
            include_str!("counters.lua"),
            include_str!("increment_counters.lua"),
        ];
        for line in scripts.iter().flat_map(|script| script.lines()) {
            let code = line.split("--").next().unwrap_or_default();
            let code: String = code.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
            let numbers = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for number in numbers.filter_map(|word| word.parse::<u64>().ok()) {
                // 48 is the code of the digit zero, and a version has at most 20 digits.
                assert!(number <= 5 || [20, 48].contains(&number), "{line}");
            }
        }
    }
}
