//! What Go's `encoding/json` says of a text that is no JSON (`scanner.go`).

/// The fault of a text, in Go's words; `None` if it is JSON.
#[must_use]
pub fn fault(bytes: &[u8]) -> Option<String> {
    let mut scanner = Scanner { bytes, at: 0 };
    scanner.document().err()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Step = Result<(), String>;

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// `invalid character 'x' …` at the present place, or the end of the text.
    fn bad<T>(&self, context: &str) -> Result<T, String> {
        let Some(byte) = self.peek() else { return Err("unexpected end of JSON input".to_owned()) };
        let shown = match byte {
            b'\'' => "'\\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            b'\n' => "'\\n'".to_owned(),
            b'\t' => "'\\t'".to_owned(),
            b'\r' => "'\\r'".to_owned(),
            0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
            byte => format!("'{}'", char::from(byte)),
        };
        Err(format!("invalid character {shown} {context}"))
    }

    fn document(&mut self) -> Step {
        self.value()?;
        self.blanks();
        if self.peek().is_some() { self.bad("after top-level value") } else { Ok(()) }
    }

    fn value(&mut self) -> Step {
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.bad("looking for beginning of value"),
        }
    }

    fn literal(&mut self, word: &str) -> Step {
        for wanted in word.bytes() {
            if self.peek() != Some(wanted) {
                return self.bad(&format!("in literal {word} (expecting '{}')", char::from(wanted)));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Step {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                    return self.bad("in \\u hexadecimal character escape");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.bad("in string escape code"),
                    }
                }
                Some(0..=0x1f) | None => return self.bad("in string literal"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn digits(&mut self, context: &str) -> Step {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.bad(context);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Step {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn array(&mut self) -> Step {
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.bad("after array element"),
            }
        }
    }

    fn object(&mut self) -> Step {
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return self.bad("looking for beginning of object key string");
            }
            self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return self.bad("after object key");
            }
            self.at += 1;
            self.value()?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.bad("after object key:value pair"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn faults_are_worded_as_in_go() {
        for (text, expected) in [
            ("{\"a\": [1, 2.5e3, \"\\u00e4\", null]}", None),
            ("", Some("unexpected end of JSON input")),
            ("nojson", Some("invalid character 'o' in literal null (expecting 'u')")),
            ("{a}", Some("invalid character 'a' looking for beginning of object key string")),
            ("{\"a\" 1}", Some("invalid character '1' after object key")),
            ("{\"a\":1 2", Some("invalid character '2' after object key:value pair")),
            ("[1,]", Some("invalid character ']' looking for beginning of value")),
            ("1 x", Some("invalid character 'x' after top-level value")),
            ("{\"a\"", Some("unexpected end of JSON input")),
            ("\"\\q\"", Some("invalid character 'q' in string escape code")),
        ] {
            assert_eq!(fault(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
