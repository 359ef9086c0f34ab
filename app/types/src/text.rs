//! Text that others wrote (log lines, messages of the cluster), made safe to show.

use std::borrow::Cow;

/// Most characters of one line that are shown; more is cut, with a sign that it was.
pub const MAX_LINE: usize = 4096;

/// `text` without terminal escapes, with other control characters as their pictures (`␀`) and the characters that turn or
/// hide text (bidirectional controls, zero widths) as `\u{202e}`. Tabs stay. At most [`MAX_LINE`] characters.
///
/// What is dropped: ECMA-48 control sequences (`ESC [ … letter`), the strings that OSC, DCS, SOS, PM and APC begin, and other
/// two-character escapes; their 8-bit forms too.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\t' || !(c.is_control() || hides(c));
    if text.len() <= MAX_LINE && text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(MAX_LINE * 2));
    let mut shown = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if shown >= MAX_LINE {
            out.push('…');
            break;
        }
        let introducer = match c {
            '\u{1b}' => match chars.next() {
                Some(next) => next,
                None => break,
            },
            '\u{9b}' => '[',
            '\u{9d}' => ']',
            '\u{90}' => 'P',
            c if harmless(c) => {
                out.push(c);
                shown += 1;
                continue;
            }
            '\r' => continue,
            c if hides(c) => {
                out.extend(c.escape_unicode());
                shown += 1;
                continue;
            }
            c => {
                out.push(picture(c));
                shown += 1;
                continue;
            }
        };
        match introducer {
            '[' => {
                // Parameters and intermediates, then one final byte.
                for c in chars.by_ref() {
                    if ('\u{40}'..='\u{7e}').contains(&c) {
                        break;
                    }
                }
            }
            ']' | 'P' | 'X' | '^' | '_' => {
                // A string that BEL or ST (`ESC \`) ends.
                while let Some(c) = chars.next() {
                    if c == '\u{7}' || c == '\u{9c}' {
                        break;
                    }
                    if c == '\u{1b}' {
                        chars.next_if_eq(&'\\');
                        break;
                    }
                }
            }
            // Intermediates (`ESC ( B`) are followed by one more.
            '\u{20}'..='\u{2f}' => {
                chars.next();
            }
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// Characters that reorder or hide what stands around them.
fn hides(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

fn picture(c: char) -> char {
    match c {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('␦'),
        '\u{7f}' => '␡',
        _ => '␦',
    }
}

/// The scheduler's reason without what only schedulers understand (preemption, new claims), and without a full stop.
#[must_use]
pub fn schedule_reason(message: &str) -> &str {
    let message = message.split_once(" preemption:").map_or(message, |(before, _)| before);
    let message = message.split_once(". no new claims").map_or(message, |(before, _)| before);
    message.trim().trim_end_matches('.')
}

/// `text` if it is the path of a page of ours (with its query), not the address of another site.
#[must_use]
pub fn own_path(text: &str) -> Option<&str> {
    let ours = text.starts_with('/') && !text.starts_with("//") && !text.contains(['\\', '\n', '\r', '\t']);
    (ours && text.len() <= 500).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_what_can_be_seen() {
        for (text, want) in [
            ("plain\ttext — 中文", "plain\ttext — 中文"),
            ("\u{1b}[31;1mERROR\u{1b}[0m gone", "ERROR gone"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}2Jclear", "clear"),
            ("\u{1b}(Bset", "set"),
            ("nul\0bell\u{7}del\u{7f}", "nul␀bell␇del␡"),
            ("line\r", "line"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("cut\u{1b}", "cut"),
            ("cut\u{1b}[31", "cut"),
        ] {
            assert_eq!(printable(text), want, "{text:?}");
        }
    }

    #[test]
    fn is_bounded() {
        let shown = printable(&"x".repeat(MAX_LINE * 3)).into_owned();
        assert_eq!(shown.chars().count(), MAX_LINE + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn scheduling() {
        let message = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found";
        assert_eq!(schedule_reason(message), "0/3 nodes are available: 3 Insufficient cpu");
    }
}
