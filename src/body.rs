//! Bodies that are bytes rather than JSON: what is uploaded, and what is downloaded.

mod download;
mod upload;

pub use download::ByteStream;
pub(crate) use download::{collect, too_large};
pub use upload::Body;
pub(crate) use upload::{BodyTaken, Broken, WrongLength};
