//! The router from a request to its operation.
//!
//! A tree over the segments of the path templates. If several templates match, the more literal one wins,
//! segment by segment: `releases/latest` before `releases/{release_id}`.
//!
//! The number of steps of a search is proportional to the nodes of the tree times the segments of the path: a
//! failed branch is not searched again.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ptr;

use percent_encoding::percent_decode_str;

use super::operation::OperationSpec;

/// Maximum length of a path, in bytes. The longest of GitHub's contain the path of a file, which has at most
/// 4,096 bytes; percent-encoding can triple each.
pub(crate) const MAX_PATH_BYTES: usize = 16 * 1024;

/// Maximum number of segments of a template, which bounds the depth of a search. GitHub's have 12.
pub(super) const MAX_TEMPLATE_SEGMENTS: usize = 64;

#[derive(Default)]
pub(super) struct Router {
    root: Node,
}

/// The operation that was found, and the values of its parameters in the path.
pub(super) struct Target {
    pub(super) index: usize,
    pub(super) parameters: Vec<(String, String)>,
    /// The parameters that have an id instead of a name.
    pub(super) by_id: &'static [&'static str],
}

#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    /// A segment with more than one parameter, such as `{base}...{head}`.
    patterns: Vec<(Pattern, Node)>,
    parameter: Option<Box<Node>>,
    /// A parameter whose value can contain `/`.
    multi_segment: Option<Box<Node>>,
    leaves: HashMap<String, Leaf>,
}

struct Leaf {
    index: usize,
    /// Names of the parameters, in the order of the template.
    names: Vec<String>,
}

impl Router {
    /// Adds an operation.
    ///
    /// # Errors
    /// If its template has too many segments.
    pub(super) fn add(&mut self, index: usize, operation: &OperationSpec) -> Result<(), String> {
        let is_multi_segment = |name: &str| operation.allows_slash(name);
        self.add_template(index, operation.path(), operation.method().as_str(), is_multi_segment)
    }

    fn add_template(
        &mut self,
        index: usize,
        template: &str,
        method: &str,
        is_multi_segment: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        if segments(template).count() > MAX_TEMPLATE_SEGMENTS {
            let start: String = template.chars().take(100).collect();
            return Err(format!(
                "the path {start}… has more than {MAX_TEMPLATE_SEGMENTS} segments"
            ));
        }
        let mut names = Vec::new();
        let mut node = &mut self.root;
        for segment in segments(template) {
            let pattern = Pattern::of(segment);
            node = match pattern.names.as_slice() {
                [] => node.literals.entry(segment.to_owned()).or_default(),
                [name] if pattern.is_whole_segment() => {
                    if is_multi_segment(name) {
                        node.multi_segment.get_or_insert_default()
                    } else {
                        node.parameter.get_or_insert_default()
                    }
                }
                _ => {
                    let known =
                        node.patterns.iter().position(|(known, _)| pattern.is_equivalent(known));
                    let at = known.unwrap_or_else(|| {
                        node.patterns.push((pattern.clone(), Node::default()));
                        node.patterns.len().saturating_sub(1)
                    });
                    &mut node.patterns[at].1
                }
            };
            names.extend(pattern.names);
        }
        node.leaves.insert(method.to_owned(), Leaf { index, names });
        Ok(())
    }

    /// `path` is as it was sent: still percent-encoded, so that `%2F` does not end a segment. A path longer
    /// than [`MAX_PATH_BYTES`] matches no operation.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<Target> {
        self.search(method, path).0
    }

    /// Also returns the number of steps of the search.
    fn search(&self, method: &str, path: &str) -> (Option<Target>, usize) {
        if path.len() > MAX_PATH_BYTES {
            return (None, 0);
        }
        // GitHub supports HEAD wherever it supports GET; the HTTP server leaves the body out.
        let method = if method == "HEAD" { "GET" } else { method };
        let segments: Vec<Cow<'_, str>> =
            segments(path).map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect();
        let mut search = Search {
            method,
            segments: &segments,
            values: Vec::new(),
            failed: HashSet::new(),
            fails_from: HashMap::new(),
            steps: 0,
        };
        let target = search.below(&self.root, 0).map(|leaf| Target {
            index: leaf.index,
            parameters: leaf.names.iter().cloned().zip(search.values).collect(),
            by_id: &[],
        });
        (target, search.steps)
    }
}

/// One search for a path.
struct Search<'s> {
    method: &'s str,
    segments: &'s [Cow<'s, str>],
    /// The values of the parameters on the way to the current node.
    values: Vec<String>,
    /// Nodes below which no leaf matches the segments from this one on. The result does not depend on the
    /// values that led to the node.
    failed: HashSet<(*const Node, usize)>,
    /// Nodes behind a parameter with `/` in its value, with the first segment from which the search below
    /// them fails, independent of the number of segments in the value.
    fails_from: HashMap<*const Node, usize>,
    /// The number of visited nodes.
    steps: usize,
}

impl<'s> Search<'s> {
    /// Returns the leaf for the segments from `at` on, below this node, and appends the values of its
    /// parameters to `values`.
    fn below<'r>(&mut self, node: &'r Node, at: usize) -> Option<&'r Leaf> {
        self.steps = self.steps.saturating_add(1);
        if self.failed.contains(&(ptr::from_ref(node), at)) {
            return None;
        }
        let leaf = self.match_segments(node, at);
        if leaf.is_none() {
            self.failed.insert((ptr::from_ref(node), at));
        }
        leaf
    }

    fn match_segments<'r>(&mut self, node: &'r Node, at: usize) -> Option<&'r Leaf> {
        let all = self.segments;
        let Some(segment) = all.get(at) else {
            return node.leaves.get(self.method).or_else(|| self.root_of_files(node));
        };
        let next = at.saturating_add(1);
        if let Some(literal) = node.literals.get(&**segment)
            && let Some(leaf) = self.below(literal, next)
        {
            return Some(leaf);
        }
        for (pattern, below) in &node.patterns {
            if let Some(captured) = pattern.captures(segment)
                && let Some(leaf) = self.below_with(below, next, captured)
            {
                return Some(leaf);
            }
        }
        if segment.is_empty() {
            return if next == all.len() { self.root_of_files(node) } else { None };
        }
        if let Some(parameter) = &node.parameter
            && let Some(leaf) = self.below_with(parameter, next, vec![segment.to_string()])
        {
            return Some(leaf);
        }
        self.multi_segment(node.multi_segment.as_deref()?, at)
    }

    /// The shortest value first, so that `branches/a/b/protection` is the protection of `a/b` and not a
    /// branch with that name.
    fn multi_segment<'r>(&mut self, node: &'r Node, at: usize) -> Option<&'r Leaf> {
        let first = at.saturating_add(1);
        let known = self.fails_from.get(&ptr::from_ref(node)).copied();
        let ends = known.unwrap_or_else(|| self.segments.len().saturating_add(1));
        let place = self.values.len();
        for end in first..ends {
            // The value is built once its length is known.
            self.values.push(String::new());
            if let Some(leaf) = self.below(node, end) {
                let value = self.segments.get(at..end).unwrap_or_default().join("/");
                if let Some(known) = self.values.get_mut(place) {
                    *known = value;
                }
                return Some(leaf);
            }
            self.values.truncate(place);
        }
        self.fails_from.insert(ptr::from_ref(node), first.min(ends));
        None
    }

    /// The root of a repository's files, whose path is empty: `contents` and `contents/`.
    fn root_of_files<'r>(&mut self, node: &'r Node) -> Option<&'r Leaf> {
        let leaf = node.multi_segment.as_ref()?.leaves.get(self.method)?;
        self.values.push(String::new());
        Some(leaf)
    }

    /// Like `below`, but restores `captured` if nothing matches.
    fn below_with<'r>(
        &mut self,
        node: &'r Node,
        at: usize,
        captured: Vec<String>,
    ) -> Option<&'r Leaf> {
        let before = self.values.len();
        self.values.extend(captured);
        let leaf = self.below(node, at);
        if leaf.is_none() {
            self.values.truncate(before);
        }
        leaf
    }
}

/// A segment of a template: literals around parameters.
#[derive(Clone)]
struct Pattern {
    /// One more than `names`: before, between and after the parameters.
    literals: Vec<String>,
    names: Vec<String>,
}

impl Pattern {
    fn of(segment: &str) -> Self {
        let mut pattern = Self { literals: Vec::new(), names: Vec::new() };
        let mut rest = segment;
        while let Some((literal, opened)) = rest.split_once('{')
            && let Some((name, after)) = opened.split_once('}')
        {
            pattern.literals.push(literal.to_owned());
            pattern.names.push(name.to_owned());
            rest = after;
        }
        pattern.literals.push(rest.to_owned());
        pattern
    }

    fn is_whole_segment(&self) -> bool {
        self.names.len() == 1 && self.literals.iter().all(String::is_empty)
    }

    /// Returns whether both are the same except for the names of their parameters.
    fn is_equivalent(&self, other: &Self) -> bool {
        self.literals == other.literals
    }

    fn captures(&self, segment: &str) -> Option<Vec<String>> {
        let (first, between) = self.literals.split_first()?;
        let mut rest = segment.strip_prefix(first.as_str())?;
        let mut captured = Vec::new();
        for literal in between {
            let (value, after) = match literal.as_str() {
                "" => (rest, ""),
                literal => rest.split_once(literal)?,
            };
            if value.is_empty() {
                return None;
            }
            captured.push(value.to_owned());
            rest = after;
        }
        rest.is_empty().then_some(captured)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
#[path = "router/tests.rs"]
mod tests;
