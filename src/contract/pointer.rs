//! Places in JSON: pointers (RFC 6901), and the paths that are shown to people.

/// A property's name as a part of a pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A part of a pointer as the name that it stands for.
pub(crate) fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// A pointer as a JSON path, from `$`.
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
