//! Line diffs of two texts, with a little context around each change.

use similar::{ChangeTag, TextDiff};

/// One line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    /// In both.
    Same(String),
    /// Only in the old text.
    Removed(String),
    /// Only in the new text.
    Added(String),
    /// So many lines that are in both are not shown.
    Skipped(usize),
}

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// What turns `old` into `new`; empty when they are the same.
#[must_use]
pub fn lines(old: &str, new: &str) -> Vec<DiffLine> {
    if old == new {
        return Vec::new();
    }
    let diff = TextDiff::from_lines(old, new);
    let mut out = Vec::new();
    let mut shown = 0;
    for group in diff.grouped_ops(CONTEXT) {
        if let Some(first) = group.first() {
            let start = first.old_range().start;
            if start > shown {
                out.push(DiffLine::Skipped(start - shown));
            }
        }
        for op in &group {
            shown = op.old_range().end;
            for change in diff.iter_changes(op) {
                let line = change.value().trim_end_matches(['\n', '\r']).to_owned();
                out.push(match change.tag() {
                    ChangeTag::Equal => DiffLine::Same(line),
                    ChangeTag::Delete => DiffLine::Removed(line),
                    ChangeTag::Insert => DiffLine::Added(line),
                });
            }
        }
    }
    let total = old.lines().count();
    if total > shown {
        out.push(DiffLine::Skipped(total - shown));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[DiffLine]) -> String {
        let line = |line: &DiffLine| match line {
            DiffLine::Same(t) => format!(" {t}"),
            DiffLine::Removed(t) => format!("-{t}"),
            DiffLine::Added(t) => format!("+{t}"),
            DiffLine::Skipped(n) => format!("@{n}"),
        };
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn shows_changes_with_context() {
        assert_eq!(text(&lines("a\n", "a\n")), "");
        assert_eq!(text(&lines("a\nb\n", "a\nc\n")), " a\n-b\n+c");
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("10\n", "ten\n");
        assert_eq!(text(&lines(&old, &new)), "@6\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n@7");
    }
}
