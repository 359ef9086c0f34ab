//! What a terminal has printed, as text.

/// Characters that are kept.
const KEPT: usize = 200_000;

/// What has been printed, without colours and cursor moves.
#[derive(Default)]
pub struct Screen {
    pub text: String,
    /// Bytes of a character that has not come whole.
    rest: Vec<u8>,
    /// Where in an escape sequence printing is.
    escape: Escape,
    /// A carriage return came: what follows writes over the line, unless it is a line end.
    back: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Escape {
    #[default]
    No,
    Begun,
    Csi,
    Osc,
}

impl Screen {
    /// Takes what came; the end may be half a character.
    pub fn print(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.rest);
        let (valid, rest) = match std::str::from_utf8(&all) {
            Ok(text) => (text.to_owned(), Vec::new()),
            // Up to three bytes may belong to a character that is still on its way; more are none.
            Err(e) if all.len() - e.valid_up_to() <= 3 && e.error_len().is_none() => {
                let (text, rest) = all.split_at(e.valid_up_to());
                (String::from_utf8_lossy(text).into_owned(), rest.to_vec())
            }
            Err(_) => (String::from_utf8_lossy(&all).into_owned(), Vec::new()),
        };
        self.rest = rest;
        for c in valid.chars() {
            self.put(c);
        }
        if self.text.len() > KEPT {
            let mut cut = self.text.len() - KEPT;
            while !self.text.is_char_boundary(cut) {
                cut += 1;
            }
            self.text.drain(..cut);
        }
    }

    fn put(&mut self, c: char) {
        match (self.escape, c) {
            (Escape::No, '\u{1b}') => self.escape = Escape::Begun,
            (Escape::Begun, '[') => self.escape = Escape::Csi,
            (Escape::Begun, ']') => self.escape = Escape::Osc,
            (Escape::Begun, _) => self.escape = Escape::No,
            (Escape::Csi, '\u{40}'..='\u{7e}') => self.escape = Escape::No,
            (Escape::Osc, '\u{7}') => self.escape = Escape::No,
            (Escape::Osc, '\u{1b}') => self.escape = Escape::Begun,
            (Escape::Csi | Escape::Osc, _) => {}
            (Escape::No, '\r') => self.back = true,
            (Escape::No, '\n') => {
                self.back = false;
                self.text.push('\n');
            }
            (Escape::No, '\u{8}') => {
                if !self.text.ends_with('\n') {
                    self.text.pop();
                }
            }
            (Escape::No, c) if c.is_control() && c != '\t' => {}
            (Escape::No, c) => {
                if std::mem::take(&mut self.back) {
                    let line = self.text.rfind('\n').map_or(0, |at| at + 1);
                    self.text.truncate(line);
                }
                self.text.push(c);
            }
        }
    }
}
