//! Sums to which clients add, in the form that stores keep: decimal text, and within bounds.

/// The largest sum, and, negated, the smallest: up to it, numbers in Redis scripts are exact. No budget has a larger
/// limit.
pub(super) const MAX_SUM: i64 = 1 << 53;

/// Parses a sum; `None` if [`increment`] or [`try_consume`] cannot have written it.
pub(super) fn read(held: &[u8]) -> Option<i64> {
    let sum = std::str::from_utf8(held).ok()?.parse::<i64>().ok()?;
    let canonical = sum.to_string().as_bytes() == held;
    (canonical && (-MAX_SUM..=MAX_SUM).contains(&sum)).then_some(sum)
}

pub(super) fn increment(sum: i64, amount: i64) -> i64 {
    sum.saturating_add(amount).clamp(-MAX_SUM, MAX_SUM)
}

/// Adds the owed amount, and one more unless the sum would exceed `most`. A sum below zero has lost earlier spending:
/// it permits no spending.
pub(super) fn try_consume(sum: i64, owed: i64, most: i64) -> (i64, bool) {
    let sum = increment(sum.max(0), owed);
    let goes = sum < most;
    (increment(sum, i64::from(goes)), goes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_values_written_by_the_counter_are_read() {
        for (text, sum) in [("0", 0), ("17", 17), ("-3", -3), ("9007199254740992", MAX_SUM)] {
            assert_eq!(read(text.as_bytes()), Some(sum));
        }
        let garbage = [
            "",
            " 1",
            "1 ",
            "+1",
            "007",
            "-0",
            "1.0",
            "1e3",
            "NaN",
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
            "99999999999999999999",
            "one",
        ];
        for text in garbage {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(read(&[0xff, 0x31]), None);
    }

    proptest! {
        /// Whatever is added, the sum can be read again, and no spending exceeds the limit.
        #[test]
        fn sums_stay_within_bounds(
            sum in -MAX_SUM..=MAX_SUM,
            amount in any::<i64>(),
            most in any::<i64>(),
        ) {
            for sum in [increment(sum, amount), try_consume(sum, amount, most).0] {
                prop_assert_eq!(read(sum.to_string().as_bytes()), Some(sum));
            }
            let (after, goes) = try_consume(sum, amount, most);
            prop_assert!(!goes || after <= most);
        }
    }
}
