//! The content of files in responses: base64 with line breaks, or text.
//!
//! The build finds the records that contain a file by their properties: the texts `content` and `encoding`. They are
//! those of the [contents](https://docs.github.com/en/rest/repos/contents#get-repository-content) of a repository, of
//! [blobs](https://docs.github.com/en/rest/git/blobs#get-a-blob), licenses and gists.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};

/// The content of a file, as a response contains it.
pub(crate) struct FileContent<'a> {
    pub(crate) content: Option<&'a str>,
    /// `base64`, `utf-8`, or `none` if the file is too large for a JSON response.
    pub(crate) encoding: Option<&'a str>,
    /// The size of the file in bytes.
    pub(crate) size: Option<i64>,
    /// Whether GitHub states that `content` is the beginning of the file only.
    pub(crate) is_truncated: bool,
}

/// The next step if a response does not contain the content of a file.
const ABSENT_ADVICE: &str =
    "read the file with .into_request().raw().send_stream(), or from its raw_url if it has one";

impl FileContent<'_> {
    /// Returns the bytes of the file.
    ///
    /// # Errors
    /// If the response does not contain them, or contains them in an unknown encoding.
    pub(crate) fn bytes(&self) -> Result<Bytes> {
        self.decoded().map(Bytes::from)
    }

    /// Returns the text of the file.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and if the file is not UTF-8.
    pub(crate) fn text(&self) -> Result<String> {
        String::from_utf8(self.decoded()?).map_err(|error| {
            Error::new(ErrorKind::Decode, "the content of the file is not UTF-8 text")
                .with_advice("read it with bytes()")
                .with_source(error.utf8_error())
        })
    }

    fn decoded(&self) -> Result<Vec<u8>> {
        let Some(content) = self.content.filter(|_| !self.is_truncated) else {
            return Err(self.absent(match self.is_truncated {
                true => "GitHub truncated the content of the file",
                false => "the response does not contain the content of the file",
            }));
        };
        match self.encoding {
            Some("base64") => from_base64(content).map_err(|error| {
                Error::new(ErrorKind::Decode, "the content of the file is not valid base64")
                    .with_advice("the field `content` has it as GitHub sent it")
                    .with_source(error)
            }),
            Some("utf-8") | None => Ok(content.as_bytes().to_vec()),
            Some("none") => Err(self.absent(
                "GitHub did not send the content of the file, as of all files of more than 1 MB",
            )),
            Some(other) => {
                let message = format!("the content of the file has the unknown encoding {other:?}");
                Err(Error::new(ErrorKind::Decode, message)
                    .with_advice("the field `content` has it as GitHub sent it"))
            }
        }
    }

    /// Returns the error of a response without the content, or without its end.
    fn absent(&self, reason: &str) -> Error {
        let message = match self.size {
            Some(size) => format!("{reason} ({size} bytes)"),
            None => reason.to_owned(),
        };
        Error::new(ErrorKind::Decode, message).with_advice(ABSENT_ADVICE)
    }
}

/// Decodes base64 ([RFC 4648, section 4](https://www.rfc-editor.org/rfc/rfc4648#section-4)) with line breaks at any
/// places.
fn from_base64(content: &str) -> Result<Vec<u8>, DecodeError> {
    let symbols: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(symbols)
}

/// Returns the error of a response that is another variant than a file.
pub(crate) fn not_a_file(variant: &str) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("the response is not a file, but the variant `{variant}`"),
    )
    .with_advice(
        "match the response: the path can be that of a directory, a symlink or a submodule",
    )
}

/// Adds the methods that decode the content of a file to a record in responses.
macro_rules! file_content {
    ($name:ident, $file:ident => $content:expr) => {
        impl $name {
            /// Returns the bytes of the file, decoded from [`content`](Self::content). Line breaks in base64 are
            /// ignored.
            ///
            /// # Errors
            /// Of the kind [`Decode`](crate::ErrorKind::Decode), if the response does not contain the whole content, or
            /// in an unknown encoding. GitHub does not send the content of a file of more than 1 MB in JSON: read it
            /// with [`Request::raw`](crate::Request::raw) and
            /// [`Request::send_stream`](crate::Request::send_stream).
            #[inline]
            pub fn bytes(&self) -> $crate::error::Result<::bytes::Bytes> {
                let $file = self;
                $content.bytes()
            }

            /// Returns the text of the file, decoded from [`content`](Self::content). Line breaks in base64 are
            /// ignored.
            ///
            /// # Errors
            /// As for [`bytes`](Self::bytes), and if the file is not UTF-8.
            #[inline]
            pub fn text(&self) -> $crate::error::Result<::std::string::String> {
                let $file = self;
                $content.text()
            }
        }
    };
}

/// Adds the method that returns the file to a union in responses, one of whose variants contains a file.
macro_rules! file_variant {
    ($name:ident { $file:ident($of:ty) $($other:ident)* }) => {
        impl $name {
            /// Returns the file, if the response is one.
            ///
            /// # Errors
            /// Of the kind [`Decode`](crate::ErrorKind::Decode), if it is another variant, such as a directory.
            #[inline]
            pub fn file(&self) -> $crate::error::Result<&$of> {
                match self {
                    Self::$file(file) => Ok(file),
                    $(Self::$other(_) => Err($crate::codec::not_a_file(stringify!($other))),)*
                    Self::Other(_) => Err($crate::codec::not_a_file("Other")),
                }
            }
        }
    };
}

pub(crate) use {file_content, file_variant};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base64(content: &str) -> FileContent<'_> {
        FileContent {
            content: Some(content),
            encoding: Some("base64"),
            size: Some(7),
            is_truncated: false,
        }
    }

    proptest! {
        /// GitHub breaks lines after 60 symbols; other servers and proxies elsewhere, and with `\r\n`.
        #[test]
        fn base64_decodes_to_the_same_bytes_wherever_its_lines_break(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            breaks in prop::collection::vec((any::<prop::sample::Index>(), "\n|\r\n| |\t"), 0..12),
        ) {
            let mut content = STANDARD.encode(&bytes);
            for (place, text) in breaks {
                let place = place.index(content.len() + 1);
                content.insert_str(place, &text);
            }
            prop_assert_eq!(&base64(&content).bytes().unwrap()[..], &bytes[..]);
        }

        #[test]
        fn text_is_returned_as_it_is(text in "\\PC{0,60}") {
            let encoded = STANDARD.encode(&text);
            prop_assert_eq!(&base64(&encoded).text().unwrap(), &text);
            for encoding in [None, Some("utf-8")] {
                let file = FileContent { encoding, ..base64(&text) };
                prop_assert_eq!(&file.text().unwrap(), &text);
            }
        }

        #[test]
        fn any_content_is_decoded_or_an_error(content in "\\PC{0,40}") {
            if let Err(error) = base64(&content).bytes() {
                prop_assert_eq!(error.kind(), ErrorKind::Decode);
            }
        }
    }

    #[test]
    fn an_empty_file_is_empty() {
        assert!(base64("").bytes().unwrap().is_empty());
        assert_eq!(base64("\n").text().unwrap(), "");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_no_text() {
        let content = STANDARD.encode([0xff, 0xfe]);
        let error = base64(&content).text().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains("not UTF-8 text; read it with bytes()"), "{error}");
        assert_eq!(&base64(&content).bytes().unwrap()[..], [0xff, 0xfe]);
    }

    #[test]
    fn absent_content_is_an_error_that_names_the_next_step() {
        for (file, reason) in [
            (
                FileContent { encoding: Some("none"), ..base64("") },
                "files of more than 1 MB (7 bytes)",
            ),
            (FileContent { is_truncated: true, ..base64("YQ==") }, "truncated"),
            (FileContent { content: None, size: None, ..base64("") }, "does not contain"),
        ] {
            let error = file.bytes().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            let shown = error.to_string();
            assert!(shown.contains(reason) && shown.contains(".raw().send_stream()"), "{shown}");
        }
    }

    #[test]
    fn content_in_an_unknown_encoding_is_an_error_that_names_it() {
        let file = FileContent { encoding: Some("rot13"), ..base64("YQ==") };
        let error = file.text().unwrap_err().to_string();
        assert!(error.contains("unknown encoding \"rot13\""), "{error}");
        let error = base64("Y!==").bytes().unwrap_err().to_string();
        assert!(error.contains("not valid base64"), "{error}");
    }
}
