//! External text with secrets, control characters and any length.

use super::*;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

#[test]
fn plain_text_is_borrowed() {
    for plain in ["", "Not Found", "naïve café ✓ 日本", "a\\nb"] {
        assert!(matches!(text(plain, 400), Cow::Borrowed(same) if same == plain), "{plain}");
    }
}

#[test]
fn characters_that_could_forge_a_log_line_are_escaped() {
    for (given, shown) in [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\0\u{1b}[31m\u{7f}\u{85}", r"\u{0}\u{1b}[31m\u{7f}\u{85}"),
        ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
        ("\u{202e}drawkcab\u{2066}\u{200f}\u{61c}", r"\u{202e}drawkcab\u{2066}\u{200f}\u{61c}"),
        ("a\u{200b}b\u{feff}\u{ad}\u{2060}", r"a\u{200b}b\u{feff}\u{ad}\u{2060}"),
        ("\u{e0041}\u{fe0f}\u{180e}\u{3164}", r"\u{e0041}\u{fe0f}\u{180e}\u{3164}"),
    ] {
        assert_eq!(text(given, 400), shown);
        assert_eq!(bytes(given.as_bytes(), 400), shown);
        assert_eq!(display(&given, 400), shown);
    }
    assert_eq!(prose("a\r\n\tb\u{1b}", 400), r"a   b\u{1b}");
    assert_eq!(bytes(b"caf\xe9", 400), "caf\u{fffd}");
}

#[test]
fn long_text_is_cut_between_characters_and_escapes() {
    for (given, max_chars, shown) in [
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("äöüß", 4, "äöüß"),
        ("äöüßä", 4, "äöü…"),
        ("a\nbc", 5, r"a\nbc"),
        ("a\nbcd", 5, r"a\nb…"),
        ("ab\u{202e}", 8, "ab…"),
        ("abc", 0, ""),
    ] {
        assert_eq!(text(given, max_chars), shown);
        assert_eq!(display(&given, max_chars), shown);
    }
    let long = "x".repeat(8 << 20);
    assert_eq!(text(&long, 100).chars().count(), 100);
    assert_eq!(display(&long, 100).len(), "x".len() * 99 + "…".len());
}

#[test]
fn tokens_of_known_formats_are_hidden() {
    for (given, shown) in [
        ("Bearer ghs_hunter2hunter2hunter2", "Bearer [hidden]"),
        ("token=ghp_a1B2a1B2a1B2a1B2 failed", "token=[hidden] failed"),
        (r#"{"t":"github_pat_11A_x0123456789abc"}"#, r#"{"t":"[hidden]"}"#),
        ("ghs_1234_eyJhbGciOi.eyJpc3MiOi.c2ln-_", "[hidden]"),
        ("jwt eyJhbGciOi.eyJpc3MiOi.c2ln-_, x", "jwt [hidden], x"),
        ("ghz_x a_b ghp_ eyJ.x x.eyJ", "ghz_x a_b ghp_ eyJ.x x.eyJ"),
    ] {
        assert_eq!(text(given, 400), shown);
    }
    // Also if the line ends within it.
    let long = format!("{} github_pat_hunter2hunter2hunter2", "x".repeat(390));
    assert!(!text(&long, 400).contains("git"), "{}", text(&long, 400));
}

const SECRET: &str = r#"s3cr3t of/"sanitize"+tests"#;

#[test]
fn known_secrets_are_hidden_in_every_form() {
    remember(SECRET.as_bytes());
    let json = serde_json::to_string(SECRET).unwrap();
    let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let lower = form.replace("%2F", "%2f");
    let url = percent_encoding::utf8_percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC);
    let url = url.to_string();
    let twice = form.replace('%', "%25");
    let html = SECRET.replace('"', "&quot;").replace('/', "&#x2F;");
    let debug = format!("{:?}", format!("{SECRET:?}"));
    let unicode: String =
        SECRET.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect();
    for form in [
        SECRET,
        &json,
        &json.replace('/', "\\/"),
        &form,
        &lower,
        &url,
        &twice,
        &html,
        &debug,
        &unicode,
    ] {
        for (before, after) in [("", ""), ("a%4", "%"), ("Ünï\n", "\u{202e}é")] {
            let given = format!("{before}{form}{after}");
            let shown = text(&given, 400);
            assert!(shown.contains(HIDDEN) && !shown.contains("s3cr3t"), "{given}: {shown}");
            assert!(!shown.contains("tests") && has_secret(given.as_bytes()), "{given}: {shown}");
            let clean = body(given.as_bytes(), usize::MAX);
            assert!(!has_secret(&clean), "{given}: {clean:?}");
            assert!(clean.starts_with(before.as_bytes()) && clean.ends_with(after.as_bytes()));
        }
    }
    for user in ["", "u:", "me:", "you:"] {
        for after in ["", "\n", "ab"] {
            let pair = format!("{user}{SECRET}{after}");
            for encoded in [
                STANDARD.encode(&pair),
                STANDARD_NO_PAD.encode(&pair),
                URL_SAFE_NO_PAD.encode(&pair),
                STANDARD.encode(&pair).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
            ] {
                let shown = text(&format!("Basic {encoded}, x"), 400).into_owned();
                assert!(shown.starts_with("Basic [hidden]"), "{encoded}: {shown}");
                assert!(shown.ends_with(", x") && shown.len() <= 20, "{encoded}: {shown}");
            }
        }
    }
}

#[test]
fn a_secret_is_hidden_before_the_text_is_cut() {
    let secret = "c1ose-to-the-cut-".repeat(50);
    remember(secret.as_bytes());
    for before in 0..120 {
        for form in [secret.clone(), secret.replace('-', "%2D"), secret.replace('-', "\\u002d")] {
            let given = format!("{}{form} and more", "x".repeat(before));
            for shown in [text(&given, 100).into_owned(), display(&given, 100)] {
                assert!(!shown.contains("c1") && shown.chars().count() <= 100, "{before}: {shown}");
            }
        }
    }
}

#[test]
fn long_secrets_are_hidden_whole_and_in_long_texts() {
    let secret: String = (0..900).map(|number| format!("{number:04}-")).collect();
    remember(secret.as_bytes());
    let mut given = "y".repeat(65_530);
    given.push_str(&secret);
    given.push_str(&"z".repeat(70_000));
    let clean = body(given.as_bytes(), usize::MAX);
    assert_eq!(clean.len(), 65_530 + HIDDEN.len() + 70_000);
}

#[test]
fn short_secrets_are_not_known() {
    remember(b"1234567");
    assert_eq!(text("1234567", 400), "1234567");
    remember(b"l2345678");
    assert_eq!(text("l2345678", 400), HIDDEN);
}

#[test]
fn secrets_are_found_between_others() {
    remember(b"left-s3cr3t!");
    remember(b"s3cr3t!-right");
    assert_eq!(text("left-s3cr3t!-right.", 400), "[hidden].");
    let clean = body(b"left-s3cr3t!s3cr3t!-right", usize::MAX);
    assert_eq!(clean, HIDDEN);
}

proptest! {
    #[test]
    fn any_text_makes_a_bounded_line(given in ".{0,200}|[\\x00-\\x{ff}\u{2020}-\u{2070}]{0,60}", max in 0..100_usize) {
        remember(b"1n any text");
        for given in [given.clone(), format!("{given}1n any text{given}")] {
            let shown = text(&given, max);
            prop_assert!(shown.chars().count() <= max, "{shown}");
            prop_assert!(!shown.contains(characters::is_hazard), "{shown}");
            prop_assert!(!shown.contains("1n any text"), "{shown}");
            let twice = text(&shown, max).into_owned();
            prop_assert_eq!(&twice, &shown);
        }
    }

    #[test]
    fn any_bytes_make_a_bounded_line(given in prop::collection::vec(any::<u8>(), 0..300), max in 0..100_usize) {
        let shown = bytes(&given, max);
        prop_assert!(shown.chars().count() <= max && !shown.contains(characters::is_hazard));
    }

    /// Decoded positions map back to the original ones.
    #[test]
    fn encoded_secrets_are_redacted_completely(
        secret in "[ -~]{12,40}",
        ways in prop::collection::vec(0..5_u8, 40),
        around in "[a-z ]{0,10}",
    ) {
        remember(secret.as_bytes());
        let encoded: String = secret.chars().zip(ways).map(|(character, way)| match way {
            0 => format!("%{:02X}", u32::from(character)),
            1 => format!("\\u{:04x}", u32::from(character)),
            2 => format!("&#{};", u32::from(character)),
            _ if matches!(character, '%' | '\\' | '&') => format!("%{:02x}", u32::from(character)),
            _ => character.to_string(),
        }).collect();
        let clean = body(format!("{around}<{encoded}>{around}").as_bytes(), usize::MAX);
        prop_assert_eq!(clean, format!("{around}<{HIDDEN}>{around}"));
    }
}

/// Words as names of code and sentences have them, with some that contain or are prefixes of tokens.
const WORDS: [&str; 15] = [
    "highs",
    "lengths",
    "weights",
    "strengths",
    "high",
    "highp",
    "ghost",
    "mygithub",
    "pat",
    "solver",
    "precision",
    "through",
    "configuration",
    "Authorization",
    "v2",
];

proptest! {
    #[test]
    fn ordinary_words_and_names_stay_as_they_are(
        words in prop::collection::vec(
            (
                prop::sample::select(&WORDS[..]),
                prop::sample::select(&["_", " ", ".", "-", "_a_", ": "][..]),
            ),
            0..12,
        ),
    ) {
        let given: String = words.iter().flat_map(|(word, between)| [*word, *between]).collect();
        prop_assert_eq!(text(&given, 1_000), given.as_str());
    }

    /// A body of JSON stays JSON wherever a secret is in it, and has it no more.
    #[test]
    fn json_stays_json(
        secret in prop_oneof!["[1-9][0-9]{9,14}", "[ -~]{8,20}", "[a-z]{6}\"[:,]\"[a-z]{6}"],
        before in prop_oneof![Just("x".to_owned()), "[ -~é]{0,8}"],
        after in "[ -~é]{0,8}",
        place in 0..5,
    ) {
        remember(secret.as_bytes());
        let text = format!("{before}{secret}{after}");
        let given = match place {
            0 => serde_json::json!({ "message": text, "n": 1 }),
            1 => serde_json::json!({ (text): [null, true] }),
            2 => serde_json::json!([[text], { "id": secret.parse::<u64>().unwrap_or(1) }]),
            3 => serde_json::json!({ "id": secret.parse::<f64>().unwrap_or(1.5) }),
            _ => serde_json::json!(text),
        };
        let given = given.to_string();
        let clean = body(given.as_bytes(), usize::MAX);
        prop_assert!(serde_json::from_slice::<Value>(&clean).is_ok(), "{given}: {clean:?}");
        prop_assert!(!has_secret(&clean), "{given}: {clean:?}");
    }
}

#[test]
fn names_of_code_are_no_tokens() {
    for given in [
        "highs_solver_configuration_of_the_model",
        "lengths_of_all_words_in_the_text",
        "mygithub_pat_configuration_name",
        "ghs_short ghp_precision gho_x",
        "highp_precision_modifier_of_the_shader",
    ] {
        assert_eq!(text(given, 400), given);
    }
    for (given, shown) in [
        ("_ghs_0123456789abcdef", "_[hidden]"),
        ("=ghp_0123456789abcde", "=ghp_0123456789abcde"),
        ("é ghr_0123456789abcdef.", "é [hidden]"),
    ] {
        assert_eq!(text(given, 400), shown);
    }
}

#[test]
fn a_body_is_kept_up_to_a_bound_and_without_a_secret_across_it() {
    let secret = "acr0ss-the-b0und-".repeat(20);
    remember(secret.as_bytes());
    for before in 60..120 {
        let given = format!("{}{secret}{}", "x".repeat(before), "y".repeat(10_000));
        let kept = body(given.as_bytes(), 100);
        assert!(!kept.windows(3).any(|part| part == b"acr"), "{before}: {kept:?}");
        assert!(
            kept.len() <= 100 + HIDDEN.len() && kept.starts_with(b"xxxx"),
            "{before}: {kept:?}"
        );
    }
    assert_eq!(body(b"0123456789", 4), "0123");
}

#[test]
fn a_body_that_broke_off_ends_before_its_last_run() {
    for (given, left) in [
        ("", ""),
        ("token", ""),
        ("no such token: s3cr", "no such token: "),
        (r#"{"message":"s3cr"#, r#"{"message":""#),
        ("a=1&code=s3cr", "a=1&"),
        ("a, b;s3cr", "a, b;"),
        ("whole ", "whole "),
    ] {
        assert_eq!(without_last_run(Bytes::from(given)), left, "{given}");
    }
    let long = format!("start {}", "s".repeat(2 * LOOKAHEAD_BYTES));
    assert_eq!(without_last_run(Bytes::from(long)).len(), "start ".len() + LOOKAHEAD_BYTES);
}

/// It equals a number of the body, and a part of an escape.
#[test]
fn redacting_a_secret_leaves_valid_json() {
    remember(b"86753098675");
    remember(b"nine l1ves");
    for (given, clean) in [
        (r#"{"id":86753098675,"m":"x"}"#, r#"{"id":"[hidden]","m":"x"}"#),
        (r#"{"id":867530986751}"#, r#"{"id":"[hidden]"}"#),
        (r#"{"86753098675":"a 86753098675"}"#, r#"{"[hidden]":"a [hidden]"}"#),
        (r#"["a\\nine l1ves"]"#, r#"["a\\[hidden]"]"#),
        (r#"["a\nine l1ves"]"#, r#"["a[hidden]"]"#),
    ] {
        assert_eq!(body(given.as_bytes(), usize::MAX), clean, "{given}");
    }
}
