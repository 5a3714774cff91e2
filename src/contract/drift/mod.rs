//! Comparison of two versions of GitHub's OpenAPI description, with the effects of each change.
//!
//! [`compare`] reports, for every operation and every webhook, the differences *in meaning* between two
//! descriptions: it follows `$ref`s, merges `allOf`, pairs variants of unions by their content, and treats
//! all notations of `null` alike. A changed component is one change, with all the operations and webhooks
//! that it reaches, for each [`Direction`] in which it is used. Moving a schema between a component and the
//! place of its use is not a change.
//!
//! Each change has two ratings. Its [`Severity`] is the effect on programs that *already* run, built from the
//! old description, once GitHub behaves as the new one says. Its [`SemverBump`] is the effect on the crate's own
//! interface when it is generated again. Both follow from the way in which this crate reads and sends:
//!
//! - **Reading** is tolerant: unknown properties are ignored, enums of strings keep unknown values, unions
//!   fall back to raw JSON, and a list or map that is absent or `null` is empty. All structs and enums are
//!   `#[non_exhaustive]`, so that they can grow;
//! - **Sending** is exact: GitHub rejects a value or property that it no longer accepts, and the lack of one
//!   that it requires;
//! - **limits** (`maxLength`, `pattern` and so on) are not in the Rust types;
//! - only the formats `date-time` and `date` have a Rust type of their own;
//! - **errors** (and redirects) are read in the same way for every operation, and have no types of their own.
//!
//! [`slice()`] extracts the parts of a description that some operations need, to be committed and compared
//! with later versions.
//!
//! # What each kind means
//!
//! Severity and bump, as *severity / bump*, of every [`ChangeKind`]. *Read* concerns responses and webhook
//! deliveries, *sent* concerns requests.
//!
//! Of operations and webhooks as a whole:
//!
//! | Kind | Means |
//! |---|---|
//! | `operation-added`, `webhook-added` | compatible / minor |
//! | `operation-removed`, `webhook-removed` | breaking / major |
//! | `operation-renamed`, `webhook-renamed` | compatible / major: the request is the same, the Rust name is not |
//! | `path-moved`, `method-changed`, `server-changed` | breaking / patch: programs call the old one, the Rust method is the same |
//! | `tag-changed` | compatible / major: the tag is the module and the feature |
//! | `security-changed`, `apps-rejected` | breaking / none |
//! | `apps-allowed` | compatible / none |
//! | `cloud-only-changed` | notice / none |
//! | `triggers-notification-changed` | compatible / patch: calls are paced by it |
//! | `webhook-event-changed` | breaking / major: the event is the type and the feature |
//! | `webhook-type-added` | compatible / none |
//! | `webhook-type-removed` | breaking / none: these hooks get no deliveries of it |
//! | `deprecated` | notice / minor for an operation, which the compiler warns of; notice / patch for anything else |
//! | `undeprecated` | compatible / patch |
//! | `removal-date-changed` | notice / patch |
//! | `breaking-change-announced`, `breaking-change-altered` | notice / none: for a later version of the API |
//! | `breaking-change-withdrawn` | compatible / none |
//! | `annotation-changed` | documentation / none |
//! | `documentation-changed` | documentation / patch |
//!
//! Of parameters, bodies and responses:
//!
//! | Kind | Means |
//! |---|---|
//! | `parameter-added` | compatible / minor |
//! | `required-parameter-added`, `parameter-removed`, `parameter-became-required` | breaking / major |
//! | `parameter-became-optional` | compatible / minor |
//! | `parameter-renamed` | compatible / major: of a path, where only the place counts, but setters have its name |
//! | `parameter-encoding-changed` | breaking / patch |
//! | `request-body-added` | compatible / minor |
//! | `required-request-body-added`, `request-body-removed` | breaking / major |
//! | `request-body-became-required` | breaking / patch |
//! | `request-body-became-optional` | compatible / patch |
//! | `media-type-added` | compatible / major if the Rust type changes (JSON, or the only one), else none |
//! | `media-type-removed` | breaking / major if the Rust type changes, else none; of an error: notice / none |
//! | `success-status-added` | compatible / none if another success has the same body, compatible / major if none had one, else breaking / major |
//! | `success-status-removed` | breaking / major if no success is left, compatible / none if another one has the same body, else compatible / major |
//! | `status-added`, `status-removed` | compatible / none: errors and redirects |
//! | `header-added` | compatible / none |
//! | `header-removed` | notice / none |
//!
//! Parameters of webhooks are the headers of a delivery: compatible / none. A webhook's body is its
//! payload: added, it is compatible / major; removed, breaking / major.
//!
//! Of schemas; those of errors are notice / none for what is removed or of another type, and
//! compatible / none else:
//!
//! | Kind | Sent | Read |
//! |---|---|---|
//! | `property-added` | compatible / minor | compatible / minor |
//! | `required-property-added` | breaking / major | compatible / minor |
//! | `property-removed` | breaking / major | compatible / major: it is read as absent |
//! | `required-property-removed` | breaking / major | breaking / major; compatible / major for lists, maps and what could be `null` |
//! | `property-became-required` | breaking / major | compatible / major; none for lists, maps and what may be `null` |
//! | `property-became-optional` | compatible / major; minor for a property of the body itself, which `new(…)` did not take | breaking / major; compatible / none for lists, maps and what could be `null` |
//! | the last two of a name that no property has | the same / none | compatible / none |
//! | `became-nullable` | compatible / minor for a property of the body itself, else major | breaking / major; compatible / none for lists, maps and what could be absent |
//! | `became-not-nullable` | breaking / major | compatible / major; none for lists, maps and what may be absent |
//! | `type-changed` | breaking / major | breaking / major |
//! | `type-widened` | compatible / major | breaking / major |
//! | `type-narrowed` | breaking / major | compatible / major |
//! | the last two by a union beside properties | the same / none | compatible / none |
//! | `format-changed` to or from a time | breaking / major | breaking / major from a time, compatible / major to one |
//! | `format-changed` else | notice / none; compatible if it takes no less | compatible / none |
//! | `enum-value-added` | compatible / minor | compatible / minor: it was kept as unknown |
//! | `enum-value-removed` | breaking / major | compatible / major: a variant goes |
//! | `enum-introduced` | breaking / major | compatible / major |
//! | `enum-dropped` | compatible / major | compatible / major |
//! | the last four of numbers and booleans | the same / none | compatible / none |
//! | `default-changed` | notice / patch | compatible / none |
//! | `bound-tightened`, `pattern-changed` | breaking / none | compatible / none |
//! | `bound-loosened` | compatible / none | compatible / none |
//! | `additional-properties-forbidden` | breaking / none | compatible / none |
//! | `additional-properties-allowed` | compatible / none | compatible / none |
//! | `variant-added` | compatible / minor | compatible / minor: it was kept as JSON |
//! | `variant-removed` | breaking / major | compatible / major |
//! | `discriminator-changed` | notice / none | compatible / none |
//! | `access-changed` | notice / patch | compatible / none; breaking / none if it is only sent from now on |
//!
//! If all variants are lists, Rust has one list of either, and if all are one plain type, that type. Adding a
//! variant of another type is `type-widened`, and removing it `type-narrowed`.
//!
//! # Limitations
//!
//! Changes of type *names* are not reported: if an inline schema becomes a component, or gets another title,
//! the Rust type can get another name, although nothing changed on the wire. Announced changes
//! (`x-github-breaking-changes`) are compared as they are, and not applied. Parts that nest deeper than 64
//! levels are not compared.

mod change;
mod changes;
mod constraints;
mod describe;
mod differ;
mod document;
mod error;
mod markdown;
pub(crate) mod nesting;
mod notes;
mod object_schema;
mod operation_io;
mod operations;
mod policy;
mod report;
mod schema;
mod shape;
mod slice;
mod variants;

use differ::Differ;
use document::DescriptionTree;
use serde_json::Value;

pub use change::{Change, ChangeKind, ChangeOwner, Direction, SemverBump, Severity};
pub use error::{InvalidDescription, Side, UnknownOperation};
pub use report::{DescriptionVersion, DriftReport, SeverityCounts};
pub use slice::slice;

/// Compares two descriptions, by operation and by webhook.
///
/// # Errors
/// If one of the two is not an OpenAPI 3.0 document or nests more than 127 levels deep, or if the components
/// of the two refer to one another in more than 200,000 pairs.
pub fn compare(old: &Value, new: &Value) -> Result<DriftReport, InvalidDescription> {
    let old = DescriptionTree::new(old)
        .map_err(|wrong| InvalidDescription { side: Side::Old, reason: wrong })?;
    let new = DescriptionTree::new(new)
        .map_err(|wrong| InvalidDescription { side: Side::New, reason: wrong })?;
    let versions = (old.version(), new.version());
    let changes = Differ::new(old, new).run();
    let changes = changes.map_err(|wrong| InvalidDescription { side: Side::New, reason: wrong })?;
    Ok(DriftReport::new(versions.0, versions.1, changes))
}
