//! Bodies of bytes rather than JSON: uploads and downloads.

mod download;
mod gzip;
mod layers;
mod response_body;
mod upload;

pub use download::ByteStream;
pub(crate) use download::{BodyCollector, too_large};
pub(crate) use response_body::{ResponseBody, accepted_encoding};
pub use upload::Body;
pub(crate) use upload::{BodyConsumed, LengthMismatch, UploadErrorSlot};
