//! How grave a printed line is: the same guess on the server and in the browser.

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Details.
    Debug,
    /// Anything else.
    Info,
    /// A warning.
    Warn,
    /// An error.
    Error,
}

impl Level {
    /// CSS class.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Debug => "d",
            Self::Info => "",
            Self::Warn => "w",
            Self::Error => "e",
        }
    }

    /// `debug`, `info`, `warn`, `error`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// The level that a line names among its first words: `ERROR`, `[warn]`, `level=error`, `"level":"warn"`.
#[must_use]
pub fn of(line: &str) -> Level {
    let words = line.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).take(12);
    for word in words {
        let is = |names: &[&str]| names.iter().any(|n| word.eq_ignore_ascii_case(n));
        // Short forms only in capitals: “err” and “warn” in a sentence say nothing.
        if is(&["error", "fatal", "panic", "critical", "emerg", "exception"]) || word == "ERR" {
            return Level::Error;
        }
        if is(&["warning"]) || matches!(word, "WARN" | "WRN" | "warn") {
            return Level::Warn;
        }
        if is(&["debug", "trace"]) || word == "DBG" {
            return Level::Debug;
        }
        if is(&["info", "notice"]) || word == "INF" {
            return Level::Info;
        }
    }
    Level::Info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        for (line, want) in [
            ("2026-11-21T14:02:03Z ERROR cannot connect", Level::Error),
            ("{\"level\":\"warn\",\"msg\":\"slow\"}", Level::Warn),
            ("level=debug error=nil", Level::Debug),
            ("INFO no error found", Level::Info),
            ("FATAL dial tcp", Level::Error),
            ("listening on 8080", Level::Info),
            ("", Level::Info),
        ] {
            assert_eq!(of(line), want, "{line}");
        }
    }
}
