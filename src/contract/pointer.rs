//! Locations in JSON: pointers (RFC 6901), and JSON paths for messages.

/// Encodes a property's name as a segment of a pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Decodes a segment of a pointer.
pub(crate) fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// Converts a pointer into a JSON path, from `$`.
pub(super) fn json_path(pointer: &str) -> String {
    let mut path = "$".to_owned();
    for part in pointer.split('/').skip(1) {
        let part = unescaped(part);
        match part.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) => path.push_str(&step(&part)),
        }
    }
    path
}

/// A step of a JSON path to a property.
fn step(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !name.is_empty() && name.bytes().all(plain) {
        true => format!(".{name}"),
        false => format!("[{name:?}]"),
    }
}
