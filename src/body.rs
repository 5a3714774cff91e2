//! Bodies of bytes rather than JSON: uploads and downloads.

pub use crate::request::body::Body;
pub(crate) use crate::request::body::{BodyConsumed, UploadErrorSlot};
pub(crate) use crate::response::body::{ResponseBody, accepted_encoding};
pub use crate::response::byte_stream::ByteStream;
pub(crate) use crate::response::byte_stream::{BodyCollector, too_large};
