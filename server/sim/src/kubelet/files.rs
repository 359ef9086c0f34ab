//! What processes change in a container's files, and the bytes in them.

use std::collections::BTreeMap;

/// Files that differ from those the container began with; `None` is a file that was removed.
pub type Changes = BTreeMap<String, Option<String>>;

/// The most that a container's changed files may hold together.
pub const ROOM: usize = 64 * 1024 * 1024;

/// Where bytes that are no UTF-8 stand in a text: the last private plane, so that a shell made for text carries them.
const ESCAPE: u32 = 0x0010_FD00;

fn is_escape(c: char) -> bool {
    (ESCAPE + 0x80..=ESCAPE + 0xff).contains(&u32::from(c))
}

/// Bytes as a text from which [`bytes`] makes them again.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let escape = |out: &mut String, bytes: &[u8]| {
        out.extend(bytes.iter().filter_map(|byte| char::from_u32(ESCAPE + u32::from(*byte))));
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Such a letter in the text itself goes byte by byte, or it would come out as one.
            if is_escape(c) {
                escape(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(c);
            }
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

/// The bytes of a text made by [`text()`]; any other text as it is.
#[must_use]
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u8::try_from(u32::from(c).wrapping_sub(ESCAPE)) {
            Ok(byte) if is_escape(c) => out.push(byte),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// Makes the changes of earlier processes.
pub fn lay_over(files: &mut BTreeMap<String, String>, changes: &Changes) {
    for (path, change) in changes {
        match change {
            Some(text) => files.insert(path.clone(), text.clone()),
            None => files.remove(path),
        };
    }
}

/// Adds what a process changed between `before` and `after`. Nothing is added when it would not fit.
pub fn note(changes: &mut Changes, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    let mut all = changes.clone();
    for (path, text) in after {
        if before.get(path) != Some(text) {
            all.insert(path.clone(), Some(text.clone()));
        }
    }
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        all.insert(path.clone(), None);
    }
    let size: usize = all.iter().map(|(path, text)| path.len() + text.as_ref().map_or(0, String::len)).sum();
    if size <= ROOM {
        *changes = all;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        let letter = "ä\u{10FDFF}z".as_bytes();
        for sample in [&all[..], b"plain", letter, &[0xff, b'a', 0xc3], &[letter, &[0x80]].concat()] {
            assert_eq!(bytes(&text(sample)), sample);
        }
        assert_eq!(text(b"plain"), "plain");
    }
}
