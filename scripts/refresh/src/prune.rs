//! Removes actions from `overlay.yaml`, or restricts them to the editions that need them. Every other byte
//! stays, including comments: so this edits the text, and then parses it to check the result.

use crate::problem::{Problem, Result, StaleActionReport, StaleResolution};
use octowire_codegen::overlay::{self, Overlay};

const EXPECTED_IN: &str = "x-octowire-expected-in:";

/// The overlay's text without the stale actions, except those that need a decision.
pub fn prune(text: &str, overlay: &Overlay, stale: &[StaleActionReport]) -> Result<String> {
    if stale.is_empty() {
        return Ok(text.to_owned());
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let spans = spans(&lines);
    if spans.len() != overlay.actions.len() {
        return Err(unlike());
    }
    let fate =
        |index| stale.iter().find(|stale| stale.action.index == index).map(|stale| &stale.fate);
    let mut pruned = String::new();
    let mut next = 0;
    for (index, (from, to)) in spans.into_iter().enumerate() {
        pruned.extend(lines[next..from].iter().copied());
        match fate(index) {
            Some(StaleResolution::Delete) => {}
            Some(StaleResolution::Narrow(versions)) => {
                pruned.push_str(&narrowed(&lines[from..to], versions));
            }
            _ => pruned.extend(lines[from..to].iter().copied()),
        }
        next = to;
    }
    pruned.extend(lines[next..].iter().copied());
    let expected = overlay.actions.iter().enumerate().filter_map(|(index, action)| {
        let mut action = action.clone();
        match fate(index) {
            Some(StaleResolution::Delete) => return None,
            Some(StaleResolution::Narrow(versions)) => action.expected_in = Some(versions.clone()),
            _ => {}
        }
        Some(action)
    });
    // An empty list would be `null` in YAML.
    if expected.clone().next().is_none() {
        pruned = pruned.replacen("\nactions:\n", "\nactions: []\n", 1);
    }
    match overlay::parse(&pruned) {
        Ok(now) if now.actions.iter().cloned().eq(expected) => Ok(pruned),
        _ => Err(unlike()),
    }
}

fn unlike() -> Problem {
    Problem::failed(
        "unexpected layout of openapi/overlay.yaml: --prune-overlay needs `actions:`, and below it \
         a `- ` for each action; remove the actions by hand",
    )
}

/// The lines of each action, without the comments before it.
fn spans(lines: &[&str]) -> Vec<(usize, usize)> {
    let after = lines.iter().position(|line| line.trim_end() == "actions:").map_or(0, |at| at + 1);
    let Some(first) = lines[after..].iter().find(|line| line.trim_start().starts_with("- ")) else {
        return Vec::new();
    };
    let dash = &first[..=first.len() - first.trim_start().len()];
    let within = &dash.replace('-', " ");
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (at, line) in lines.iter().enumerate().skip(after) {
        if line.starts_with(dash) {
            spans.push((at, at + 1));
        } else if line.starts_with(within)
            && let Some((_, to)) = spans.last_mut()
        {
            // Blank lines within an action belong to the action.
            *to = at + 1;
        }
    }
    spans
}

/// An action that names its editions.
fn narrowed(lines: &[&str], versions: &[String]) -> String {
    let indent = lines[0].find('-').unwrap_or_default() + 2;
    let names = format!("{:indent$}{EXPECTED_IN} [{}]\n", "", versions.join(", "));
    let is_own = |line: &str| {
        line.len() - line.trim_start().len() == indent && line.trim_start().starts_with(EXPECTED_IN)
    };
    let mut narrowed: String = lines.iter().copied().filter(|line| !is_own(line)).collect();
    if !narrowed.ends_with('\n') {
        narrowed.push('\n');
    }
    narrowed + &names
}

#[cfg(test)]
mod tests {
    use super::*;
    use octowire_codegen::overlay::StaleAction;

    const TEXT: &str = "\
# Head.
overlay: 1.0.0
info:
  title: x
actions:

  # One.

  # a
  - target: \"$.a\\
      .b\"
    description: >-
      Why,

      really.
    update:
      oneOf:
      - type: integer
      # within
      - type: string

  # b
  - target: $.b
    description: Why.
    remove: true
    x-octowire-expected-in: [api.github.com, ghec]
  - target: $.c
    description: Why.
    remove: true
# Tail.
";

    fn fated(actions: Vec<(usize, StaleResolution)>) -> String {
        let stale: Vec<StaleActionReport> = actions
            .into_iter()
            .map(|(index, fate)| StaleActionReport {
                action: StaleAction {
                    index,
                    target: String::new(),
                    about: String::new(),
                    message: String::new(),
                    dangling: fate == StaleResolution::Dangling,
                },
                fate,
            })
            .collect();
        prune(TEXT, &overlay::parse(TEXT).unwrap(), &stale).unwrap()
    }

    fn pruned(actions: &[(usize, &[&str])]) -> String {
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
        let fate = |of: &[&str]| {
            if of.is_empty() { StaleResolution::Delete } else { StaleResolution::Narrow(names(of)) }
        };
        fated(actions.iter().map(|(index, of)| (*index, fate(of))).collect())
    }

    #[test]
    fn manual_decisions_are_preserved() {
        assert_eq!(
            fated(vec![(0, StaleResolution::Dangling), (1, StaleResolution::Unknown)]),
            TEXT
        );
    }

    #[test]
    fn actions_that_are_not_stale_stay_byte_for_byte() {
        assert_eq!(pruned(&[]), TEXT);
        let without = |from: &str, to: &str| {
            let (head, rest) = TEXT.split_once(from).unwrap();
            format!("{head}{}", &rest[rest.find(to).unwrap()..])
        };
        assert_eq!(pruned(&[(0, &[])]), without("  - target: \"$.a", "\n  # b"));
        assert_eq!(pruned(&[(1, &[])]), without("  - target: $.b", "  - target: $.c"));
        assert_eq!(pruned(&[(2, &[])]), without("  - target: $.c", "# Tail"));
    }

    #[test]
    fn an_action_that_others_need_is_narrowed_to_them() {
        let expected = TEXT.replace("[api.github.com, ghec]", "[ghec]");
        assert_eq!(pruned(&[(1, &["ghec"])]), expected);
        let added = "    remove: true\n    x-octowire-expected-in: [ghec, ghes-3.19]\n# Tail.\n";
        assert!(pruned(&[(2, &["ghec", "ghes-3.19"])]).ends_with(added));
    }

    #[test]
    fn all_actions_can_be_pruned() {
        let pruned = pruned(&[(0, &[]), (1, &[]), (2, &[])]);
        assert!(overlay::parse(&pruned).unwrap().actions.is_empty());
    }
}
