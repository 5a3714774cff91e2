//! Schemas of the description, and validation of values.
//!
//! OpenAPI 3.0 has its own dialect of JSON Schema, which is converted into [draft
//! 4](https://json-schema.org/draft-04), the closest version. There are two deliberate differences: formats
//! are not checked, since GitHub's own examples violate them, and at least one variant of a `oneOf` has to
//! match instead of exactly one, since GitHub's variants overlap.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};

use super::convert::{Compiler, component};
use super::deviation::DeviationKind;
use super::extent::{Converted, Extent};
use super::nesting::{MAX_NESTING, is_too_deep};
use super::pointer::escaped;
use super::undocumented::undocumented;

/// A schema with its validator, which is compiled on first use.
pub(crate) struct Schema {
    pub(crate) value: Value,
    validator: OnceLock<Option<Box<SchemaValidator>>>,
}

/// The compiled validator.
struct SchemaValidator {
    validator: Validator,
    /// The schema, if it is recursive: the extent of each check has to be computed first.
    recursive: Option<Converted>,
}

/// The component schemas: in the description's form, and in the validator's.
pub(crate) struct Schemas {
    components: Map<String, Value>,
    converted: OnceLock<BTreeMap<String, Converted>>,
    compiler: Compiler,
}

/// The location and the kind of a mismatch between a value and its schema.
pub(crate) struct SchemaViolation {
    pub(crate) kind: DeviationKind,
    /// A JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    pub(super) message: String,
}

/// Maximum number of mismatches that are reported for one value; further ones would repeat the same.
const MAX_VIOLATIONS: usize = 64;

/// Maximum depth of variants within variants.
const MAX_DEPTH: usize = 8;

impl Schema {
    pub(super) fn new(value: Value) -> Self {
        Self { value, validator: OnceLock::new() }
    }

    /// Returns the mismatches of `value`; none if there is no schema.
    pub(crate) fn violations(&self, value: &Value, schemas: &Schemas) -> Vec<SchemaViolation> {
        if is_too_deep(value) {
            let message = format!("nests more than {MAX_NESTING} levels deep");
            let (kind, pointer) = (DeviationKind::OutOfBounds, String::new());
            return vec![SchemaViolation { kind, pointer, message }];
        }
        let Some(validator) = self.validator(value, schemas) else { return Vec::new() };
        let mut misfits = Vec::new();
        for error in validator.iter_errors(value) {
            describe(&error, 0, &mut misfits);
            if misfits.len() >= MAX_VIOLATIONS {
                break;
            }
        }
        misfits
    }

    /// Returns the JSON pointers of properties that no part of the schema names.
    pub(crate) fn undocumented(&self, value: &Value, schemas: &Schemas) -> Vec<String> {
        undocumented(value, &self.value, schemas)
    }

    pub(crate) fn is_valid(&self, value: &Value, schemas: &Schemas) -> bool {
        !is_too_deep(value)
            && self.validator(value, schemas).is_none_or(|validator| validator.is_valid(value))
    }

    /// Returns the validator for this value. Returns none for an absent schema, and for a schema that cannot
    /// be checked, which is recorded: see [`Schemas::unchecked`]. The test
    /// `every_schema_of_the_built_in_document_is_checked` ensures that the built-in document has no such
    /// schema.
    fn validator(&self, value: &Value, schemas: &Schemas) -> Option<&Validator> {
        let checker =
            self.validator.get_or_init(|| schemas.validator_for(&self.value).map(Box::new));
        let checker = checker.as_deref()?;
        if let Some(schema) = &checker.recursive
            && !schema.can_check(value, schemas.converted())
        {
            schemas.compiler.record("a value that is too repetitive or too deep");
            return None;
        }
        Some(&checker.validator)
    }
}

impl Schemas {
    pub(crate) fn new(components: Map<String, Value>) -> Self {
        Self { components, converted: OnceLock::new(), compiler: Compiler::default() }
    }

    /// `#/components/schemas`.
    #[cfg(test)]
    pub(crate) fn components(&self) -> &Map<String, Value> {
        &self.components
    }

    /// Returns the unchecked parts that are known so far.
    pub(super) fn unchecked(&self) -> Vec<String> {
        self.compiler.unchecked()
    }

    /// Follows `$ref`s to the schema itself.
    pub(crate) fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        // The bound handles cyclic references.
        for _ in 0..16 {
            let name = schema["$ref"].as_str().and_then(component);
            match name.and_then(|name| self.components.get(name)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn converted(&self) -> &BTreeMap<String, Converted> {
        self.converted.get_or_init(|| {
            let converted = self.components.iter().map(|(name, schema)| {
                let schema = self.compiler.convert(schema, &self.components);
                (name.clone(), Converted::of(schema))
            });
            converted.collect()
        })
    }

    /// Compiles the validator of a schema, if it can be checked.
    fn validator_for(&self, schema: &Value) -> Option<SchemaValidator> {
        // It accepts any value.
        if schema.is_null() {
            return None;
        }
        let root = Converted::of(self.compiler.convert(schema, &self.components));
        let converted = self.converted();
        let extent = root.extent(converted);
        let why = match extent {
            Extent::Bounded | Extent::Recursive => None,
            Extent::Circular => Some("a schema that refers only to itself"),
            Extent::Excessive => Some("a schema that refers to others too often or too deeply"),
        };
        if let Some(why) = why {
            self.compiler.record(why);
            return None;
        }
        let mut components = Map::new();
        let mut open: Vec<&str> = root.references().collect();
        while let Some(name) = open.pop() {
            if let (false, Some(component)) = (components.contains_key(name), converted.get(name)) {
                components.insert(name.to_owned(), component.schema.clone());
                open.extend(component.references());
            }
        }
        let whole = json!({ "allOf": [root.schema], "components": { "schemas": components } });
        match self.compiler.compile(&whole) {
            Ok(validator) => {
                let recursive = (extent == Extent::Recursive).then_some(root);
                Some(SchemaValidator { validator, recursive })
            }
            Err(_) => {
                self.compiler.record("a schema that is not valid in OpenAPI 3.0");
                None
            }
        }
    }
}

/// Describes a mismatch in the description's terms. Of several variants, reports the mismatches of the
/// nearest ones.
fn describe(error: &ValidationError<'_>, depth: usize, misfits: &mut Vec<SchemaViolation>) {
    let pointer = error.instance_path().to_string();
    let is = preview(error.instance());
    let (kind, message) = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            if let Some(types) = types_of(context) {
                let message = format!("is {is}, expected {}", types.join(" or "));
                return misfits.push(SchemaViolation {
                    kind: DeviationKind::WrongType,
                    pointer,
                    message,
                });
            }
            let nearest = closest_variant(context);
            if let Some(nearest) = nearest.filter(|_| depth < MAX_DEPTH) {
                for error in nearest.iter().take(MAX_VIOLATIONS) {
                    describe(error, depth.saturating_add(1), misfits);
                }
                return;
            }
            (DeviationKind::NoVariant, format!("{is} matches none of {} variants", context.len()))
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let pointer = format!("{pointer}/{}", escaped(name));
            let message = "is required, but missing".to_owned();
            return misfits.push(SchemaViolation {
                kind: DeviationKind::MissingProperty,
                pointer,
                message,
            });
        }
        ValidationErrorKind::Type { kind } => {
            let expected = match kind {
                TypeKind::Single(of) => of.to_string(),
                TypeKind::Multiple(all) => {
                    let all: Vec<String> = all.into_iter().map(|of| of.to_string()).collect();
                    all.join(" or ")
                }
            };
            (DeviationKind::WrongType, format!("is {is}, expected {expected}"))
        }
        ValidationErrorKind::Enum { options } => {
            let is = safe_literal(error.instance()).unwrap_or(is);
            (DeviationKind::UnknownValue, format!("is {is}, expected one of {options}"))
        }
        ValidationErrorKind::Constant { expected_value } => {
            (DeviationKind::UnknownValue, format!("is {is}, expected {expected_value}"))
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names = unexpected.join(", ");
            (DeviationKind::UndocumentedProperty, format!("has {names}, which is not allowed"))
        }
        other => {
            let limit = match other {
                ValidationErrorKind::Maximum { limit }
                | ValidationErrorKind::Minimum { limit }
                | ValidationErrorKind::ExclusiveMaximum { limit }
                | ValidationErrorKind::ExclusiveMinimum { limit } => format!(" {limit}"),
                ValidationErrorKind::MaxItems { limit }
                | ValidationErrorKind::MinItems { limit }
                | ValidationErrorKind::MaxLength { limit }
                | ValidationErrorKind::MinLength { limit } => format!(" {limit}"),
                ValidationErrorKind::Pattern { pattern } => format!(" {pattern}"),
                _ => String::new(),
            };
            let keyword = other.keyword();
            (DeviationKind::OutOfBounds, format!("{is} violates `{keyword}{limit}`"))
        }
    };
    misfits.push(SchemaViolation { kind, pointer, message });
}

/// The types of the variants, if the value has none of them.
fn types_of(variants: &[Vec<ValidationError<'_>>]) -> Option<Vec<String>> {
    let mut types: Vec<String> = Vec::new();
    let least = variants.iter().flatten().map(depth).min()?;
    for errors in variants {
        let error = errors.iter().find(|error| depth(error) == least)?;
        let ValidationErrorKind::Type { kind } = error.kind() else { return None };
        match kind {
            TypeKind::Single(of) => types.push(of.to_string()),
            TypeKind::Multiple(all) => types.extend(all.into_iter().map(|of| of.to_string())),
        }
    }
    types.sort_unstable();
    types.dedup();
    Some(types)
}

fn depth(error: &ValidationError<'_>) -> usize {
    error.instance_path().to_string().matches('/').count()
}

/// The variant that fits best: with the deepest mismatches, then the fewest. A variant of a completely
/// different type, such as `null`, is a candidate only if there is no other.
fn closest_variant<'a, 'b>(
    variants: &'a [Vec<ValidationError<'b>>],
) -> Option<&'a Vec<ValidationError<'b>>> {
    let shallow = |errors: &[ValidationError<'_>]| {
        errors
            .iter()
            .any(|error| matches!(error.kind(), ValidationErrorKind::Type { .. }))
            .then(|| errors.iter().map(depth).min())
            .flatten()
    };
    let least = variants.iter().flatten().map(depth).min()?;
    let mut candidates: Vec<_> = variants
        .iter()
        .filter(|errors| !errors.is_empty() && shallow(errors) != Some(least))
        .collect();
    if candidates.len() > 1 {
        candidates.sort_by_key(|errors| errors.len());
    }
    // Of several variants, the intended one is unknown, unless one is clearly nearer.
    match candidates.as_slice() {
        [] => None,
        [only] => Some(only),
        [first, second, ..] if first.len() < second.len() => Some(first),
        _ => None,
    }
}

/// Names the type of a value, not its content.
fn preview(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// A value in place of one of a few allowed values, if it cannot be a secret: secrets have digits, or are
/// longer.
fn safe_literal(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ');
    (text.len() <= 32 && text.bytes().all(letter)).then(|| format!("{text:?}"))
}
