//! The audit log as a file: NDJSON for programs, CSV for spreadsheets.

use berth_types::people::AuditEntry;

/// A form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as the API shows an entry.
    Ndjson,
    /// RFC 4180, UTF-8, with a heading.
    Csv,
}

const HEADING: &str = "id,at,actor,via,action,target,tenant,outcome,reason,detail,requestId,network,hash\r\n";

impl Format {
    /// All of them; the first when nothing is said.
    pub const ALL: &'static [Self] = &[Self::Ndjson, Self::Csv];

    /// What it is called, in URLs and as the end of a file's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// The one called `text`.
    #[must_use]
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.as_str() == text)
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// Its `Content-Disposition`: to be saved, not shown.
    #[must_use]
    pub fn disposition(self) -> &'static str {
        match self {
            Self::Ndjson => "attachment; filename=\"berth-audit.ndjson\"",
            Self::Csv => "attachment; filename=\"berth-audit.csv\"",
        }
    }

    /// What stands before the first entry.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Ndjson => "",
            Self::Csv => HEADING,
        }
    }

    /// The lines of these entries.
    ///
    /// # Errors
    /// An entry that cannot be written, which does not happen.
    pub fn lines(self, entries: &[AuditEntry]) -> serde_json::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(entries.len() * 384);
        for entry in entries {
            match self {
                Self::Ndjson => {
                    serde_json::to_writer(&mut out, entry)?;
                    out.push(b'\n');
                }
                Self::Csv => row(&mut out, entry),
            }
        }
        Ok(out)
    }
}

fn row(out: &mut Vec<u8>, e: &AuditEntry) {
    let tenant = e.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    let detail = e.detail.as_ref().map(ToString::to_string).unwrap_or_default();
    let (id, at) = (e.id.to_string(), e.at.to_string());
    let cells = [
        id.as_str(),
        &at,
        &e.actor,
        &e.via,
        &e.action,
        &e.target,
        &tenant,
        &e.outcome,
        e.reason.as_deref().unwrap_or_default(),
        &detail,
        &e.request_id,
        &e.network,
        &e.hash,
    ];
    for (n, text) in cells.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        cell(out, text);
    }
    out.extend_from_slice(b"\r\n");
}

/// A cell. What a spreadsheet would take for a formula gets an apostrophe before it, which makes it text: people choose
/// the names that they fail to sign in with (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn cell(out: &mut Vec<u8>, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if !formula && !text.contains(['"', ',', ';', '\r', '\n', '\t']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(target: &str) -> AuditEntry {
        AuditEntry {
            id: 7,
            at: "2026-11-21T14:02:11.5Z".parse().unwrap(),
            actor: "ann".to_owned(),
            via: "session".to_owned(),
            action: "app.scale".to_owned(),
            target: target.to_owned(),
            tenant: Some("shop".parse().unwrap()),
            outcome: "failed".to_owned(),
            reason: None,
            detail: Some(serde_json::json!({ "a": [1, "x"] })),
            request_id: "r".to_owned(),
            network: "::1".to_owned(),
            hash: "00".to_owned(),
        }
    }

    fn cell_of(text: &str) -> String {
        let mut out = Vec::new();
        cell(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_text() {
        for (text, want) in [
            ("shop/dev/web", "shop/dev/web"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("＝1", "\"'＝1\""),
            ("a=1", "a=1"),
        ] {
            assert_eq!(cell_of(text), want, "{text:?}");
        }
    }

    #[test]
    fn files() {
        let csv = Format::Csv.lines(&[entry("shop/dev/web"), entry("=1")]).unwrap();
        let csv = format!("{}{}", Format::Csv.heading(), String::from_utf8(csv).unwrap());
        let lines: Vec<&str> = csv.split("\r\n").collect();
        assert_eq!(
            lines[1],
            r#"7,2026-11-21T14:02:11.5Z,ann,session,app.scale,shop/dev/web,shop,failed,,"{""a"":[1,""x""]}",r,::1,00"#
        );
        assert_eq!((lines.len(), lines[3]), (4, ""));
        assert_eq!(lines[0].split(',').count(), 13);
        let ndjson = Format::Ndjson.lines(&[entry("a"), entry("b")]).unwrap();
        let read: Vec<AuditEntry> =
            String::from_utf8(ndjson).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, [entry("a"), entry("b")]);
    }
}
