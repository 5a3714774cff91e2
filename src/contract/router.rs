//! Finds the operation that a request is for.
//!
//! A tree over the segments of the path templates. Where several templates fit, the more literal
//! one wins, segment by segment: `releases/latest` before `releases/{release_id}`.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::operation::DocumentedOperation;

#[derive(Default)]
pub(super) struct Router {
    root: Node,
}

/// The operation that was found, and what the path says for its parameters.
pub(super) struct Target {
    pub(super) index: usize,
    pub(super) parameters: Vec<(String, String)>,
    /// The parameters that have an id instead of a name.
    pub(super) by_id: &'static [&'static str],
}

#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    /// Segments that are more than one parameter, such as `{base}...{head}`.
    patterns: Vec<(Pattern, Node)>,
    parameter: Option<Box<Node>>,
    /// A parameter whose value may contain `/`.
    multi_segment: Option<Box<Node>>,
    leaves: HashMap<String, Leaf>,
}

struct Leaf {
    index: usize,
    /// Names of the parameters, in the order of the template.
    names: Vec<String>,
}

impl Router {
    pub(super) fn add(&mut self, index: usize, operation: &DocumentedOperation) {
        let mut names = Vec::new();
        let mut node = &mut self.root;
        for segment in segments(operation.path()) {
            let pattern = Pattern::of(segment);
            node = match pattern.names.as_slice() {
                [] => node.literals.entry(segment.to_owned()).or_default(),
                [name] if pattern.is_whole_segment() => {
                    if operation.is_multi_segment(name) {
                        node.multi_segment.get_or_insert_default()
                    } else {
                        node.parameter.get_or_insert_default()
                    }
                }
                _ => {
                    node.patterns.push((pattern.clone(), Node::default()));
                    let last = node.patterns.len() - 1;
                    &mut node.patterns[last].1
                }
            };
            names.extend(pattern.names);
        }
        node.leaves.insert(operation.method().to_string(), Leaf { index, names });
    }

    /// `path` is as it was sent: still percent-encoded, so that `%2F` does not end a segment.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<Target> {
        // GitHub answers HEAD wherever it answers GET; the HTTP server leaves the body out.
        let method = if method == "HEAD" { "GET" } else { method };
        let segments: Vec<String> = segments(path)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let mut values = Vec::new();
        let leaf = self.root.find(method, &segments, &mut values)?;
        Some(Target {
            index: leaf.index,
            parameters: leaf.names.iter().cloned().zip(values).collect(),
            by_id: &[],
        })
    }
}

impl Node {
    /// The leaf for `segments` below this node; `values` grows by what its parameters stand for.
    fn find(&self, method: &str, segments: &[String], values: &mut Vec<String>) -> Option<&Leaf> {
        let Some((segment, rest)) = segments.split_first() else {
            return self.leaves.get(method).or_else(|| self.root_of_files(method, values));
        };
        if let Some(node) = self.literals.get(segment)
            && let Some(leaf) = node.find(method, rest, values)
        {
            return Some(leaf);
        }
        for (pattern, node) in &self.patterns {
            if let Some(captured) = pattern.captures(segment)
                && let Some(leaf) = node.find_with(method, rest, values, captured)
            {
                return Some(leaf);
            }
        }
        if segment.is_empty() {
            return if rest.is_empty() { self.root_of_files(method, values) } else { None };
        }
        if let Some(node) = &self.parameter
            && let Some(leaf) = node.find_with(method, rest, values, vec![segment.clone()])
        {
            return Some(leaf);
        }
        // The shortest value first, so that `branches/a/b/protection` is the protection of `a/b`
        // and not a branch of that name.
        let node = self.multi_segment.as_ref()?;
        (1..=segments.len()).find_map(|length| {
            let (value, rest) = segments.split_at(length);
            node.find_with(method, rest, values, vec![value.join("/")])
        })
    }

    /// The root of a repository's files, whose path is empty: `contents` and `contents/`.
    fn root_of_files(&self, method: &str, values: &mut Vec<String>) -> Option<&Leaf> {
        let leaf = self.multi_segment.as_ref()?.leaves.get(method)?;
        values.push(String::new());
        Some(leaf)
    }

    /// As `find`, with `captured` taken back when nothing fits.
    fn find_with(
        &self,
        method: &str,
        segments: &[String],
        values: &mut Vec<String>,
        captured: Vec<String>,
    ) -> Option<&Leaf> {
        let before = values.len();
        values.extend(captured);
        let leaf = self.find(method, segments, values);
        if leaf.is_none() {
            values.truncate(before);
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
