//! The router, compared with the rules of path templating.

use proptest::prelude::*;

use super::*;

/// Templates with the names of the parameters that may contain `/`.
const TEMPLATES: &[&str] = &[
    "/",
    "/a",
    "/a/b",
    "/a/{x}",
    "/{x}/b",
    "/{x}/{y}",
    "/a/{x}/b/{y}",
    "/m/{multi}",
    "/m/{multi}/b",
    "/m/{multi}/b/{x}",
    "/m/{multi}/b/{multi}",
    "/m/{multi}/b/{multi}/a",
    "/m/a/b",
    "/{x}/m/{multi}",
    "/m/{x}...{y}",
    "/m/{x}...{y}/a",
    "/{x}-{y}/m/{multi}/{z}",
];

fn router() -> Router {
    let mut router = Router::default();
    for (index, template) in TEMPLATES.iter().enumerate() {
        router.add_template(index, template, "GET", |name| name == "multi").unwrap();
    }
    router
}

impl Node {
    fn children(&self) -> impl Iterator<Item = &Self> {
        let boxed = [&self.parameter, &self.multi_segment].into_iter().flatten().map(AsRef::as_ref);
        let patterns = self.patterns.iter().map(|(_, node)| node);
        self.literals.values().chain(patterns).chain(boxed)
    }

    fn count(&self) -> usize {
        1 + self.children().map(Self::count).sum::<usize>()
    }
}

/// A naive implementation of the matching rules: the candidates in order, with their values.
fn naive<'r>(
    node: &'r Node,
    segments: &[String],
    values: &[String],
) -> Option<(&'r Leaf, Vec<String>)> {
    let with = |more: Vec<String>| [values.to_vec(), more].concat();
    let root_of_files = || {
        let leaf = node.multi_segment.as_ref()?.leaves.get("GET")?;
        Some((leaf, with(vec![String::new()])))
    };
    let Some((segment, rest)) = segments.split_first() else {
        return match node.leaves.get("GET") {
            Some(leaf) => Some((leaf, values.to_vec())),
            None => root_of_files(),
        };
    };
    let literal = node.literals.get(segment).and_then(|node| naive(node, rest, values));
    if literal.is_some() {
        return literal;
    }
    let found = node
        .patterns
        .iter()
        .find_map(|(pattern, node)| naive(node, rest, &with(pattern.captures(segment)?)));
    if found.is_some() {
        return found;
    }
    if segment.is_empty() {
        return if rest.is_empty() { root_of_files() } else { None };
    }
    let parameter = node.parameter.as_ref();
    let found = parameter.and_then(|node| naive(node, rest, &with(vec![segment.clone()])));
    if found.is_some() {
        return found;
    }
    let node = node.multi_segment.as_ref()?;
    (1..=segments.len()).find_map(|length| {
        let (value, rest) = segments.split_at(length);
        naive(node, rest, &with(vec![value.join("/")]))
    })
}

proptest! {
    #[test]
    fn the_router_matches_the_path_templating_rules(
        segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "m", "", "c", "a...b", "a-b", "%2F"]), 0..9),
    ) {
        let (router, path) = (router(), format!("/{}", segments.join("/")));
        let found = router.find("GET", &path).map(|target| (target.index, target.parameters));
        let decoded: Vec<String> = super::segments(&path).map(|of| of.replace("%2F", "/")).collect();
        let expected = naive(&router.root, &decoded, &[]).map(|(leaf, values)| {
            (leaf.index, leaf.names.iter().cloned().zip(values).collect())
        });
        prop_assert_eq!(found, expected);
    }
}

/// The cost of a search: a constant number of steps for each segment of the path.
#[test]
fn a_search_takes_steps_in_proportion_to_the_path() {
    let router = router();
    let nodes = router.root.count();
    for start in ["", "/m", "/m/a", "/a-b/m/x", "/m/a/b"] {
        for segment in ["/", "/a", "/b", "/m", "/b/a", "/a/b", "/a...b", "//a", "/%2F", "/c/b/c"] {
            let room = (MAX_PATH_BYTES - start.len()) / segment.len();
            for end in ["", "/", "/x/x"] {
                let path = format!("{start}{}{end}", segment.repeat(room - end.len()));
                let count = segments(&path).count();
                let (_, steps) = router.search("GET", &path);
                assert!(
                    steps <= 2 * nodes * (count + 2),
                    "{start}{segment}…{end}: {steps} of {count}"
                );
            }
        }
    }
}

#[test]
fn a_path_that_is_too_long_is_none() {
    let (router, rest) = (router(), "/a".repeat(MAX_PATH_BYTES / 2));
    let longest = &format!("/m{rest}")[..MAX_PATH_BYTES];
    assert_eq!(router.search("GET", longest).0.map(|target| target.index), Some(7));
    assert!(router.search("GET", &format!("{longest}a")).0.is_none());
}

#[test]
fn a_template_of_too_many_segments_is_rejected() {
    let mut router = Router::default();
    let mut add = |count: usize| router.add_template(0, &"/a".repeat(count), "GET", |_| false);
    assert!(add(MAX_TEMPLATE_SEGMENTS).is_ok());
    let error = add(100_000).unwrap_err();
    assert!(error.contains("more than 64 segments") && error.len() < 200, "{error}");
}
