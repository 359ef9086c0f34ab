//! The filters of the simulated containers: `cut`, `tr`, `sed`, `awk`, `grep`, `sort`, `uniq`, `base64`, `rev`.
//!
//! Each does what busybox' does for what people type at a prompt, and refuses the rest instead of pretending.

mod awk;
mod sed;

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::{Regex, RegexBuilder};

/// What a filter made of its input.
pub struct Filtered {
    /// Standard output.
    pub out: String,
    /// Exit code.
    pub code: i32,
}

/// Why a filter does nothing: its message, without a newline.
pub type Refused = String;

/// A filter's command line: its options with their values, and its other words.
struct Line<'a> {
    flags: Vec<(char, &'a str)>,
    words: Vec<&'a str>,
}

/// Reads a command line as getopt does; `valued` are the options that take a value.
fn line<'a>(name: &str, words: &[&'a str], known: &str, valued: &str) -> Result<Line<'a>, Refused> {
    let mut out = Line { flags: Vec::new(), words: Vec::new() };
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        if word == "--" {
            out.words.extend(words);
            break;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            out.words.push(word);
            continue;
        };
        for (at, letter) in letters.char_indices() {
            if valued.contains(letter) {
                let rest = &letters[at + letter.len_utf8()..];
                let value = if rest.is_empty() {
                    words.next().ok_or_else(|| format!("{name}: option requires an argument -- '{letter}'"))?
                } else {
                    rest
                };
                out.flags.push((letter, value));
                break;
            }
            if !known.contains(letter) {
                return Err(format!("{name}: unrecognized option: {letter}"));
            }
            out.flags.push((letter, ""));
        }
    }
    Ok(out)
}

impl<'a> Line<'a> {
    fn has(&self, letter: char) -> bool {
        self.flags.iter().any(|(own, _)| *own == letter)
    }

    fn value(&self, letter: char) -> Option<&'a str> {
        self.flags.iter().rev().find(|(own, _)| *own == letter).map(|(_, value)| *value)
    }

    fn values(&self, letter: char) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(own, _)| *own == letter).map(|(_, value)| *value)
    }
}

/// A filter set up from its command line, and the files that it reads.
pub type Filter<'a> = (Box<dyn Fn(&str) -> Filtered + 'a>, Vec<&'a str>);

/// Sets up the filter of that name; `None` if there is none.
pub fn filter<'a>(name: &str, words: &[&'a str]) -> Option<Result<Filter<'a>, Refused>> {
    Some(match name {
        "cut" => cut(words),
        "tr" => tr(words),
        "sed" => sed::filter(words),
        "awk" => awk::filter(words),
        "grep" | "egrep" | "fgrep" => grep(name, words),
        "sort" => sort(words),
        "uniq" => uniq(words),
        "base64" => base64_filter(words),
        "rev" => Ok((Box::new(|text| by_line(text, |line| Some(line.chars().rev().collect()))), words.to_vec())),
        _ => return None,
    })
}

fn plain(out: String) -> Filtered {
    Filtered { out, code: 0 }
}

fn by_line(text: &str, change: impl Fn(&str) -> Option<String>) -> Filtered {
    plain(text.lines().filter_map(change).fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{line}");
        out
    }))
}

/// `1,3-5,7-`: whether a position, from 1, is in the list.
fn ranges(name: &str, list: &str) -> Result<Vec<(usize, usize)>, Refused> {
    let bad = || format!("{name}: invalid range {list}");
    list.split(',')
        .map(|piece| {
            let number = |text: &str, otherwise: usize| match text {
                "" => Ok(otherwise),
                text => text.parse().map_err(|_| bad()),
            };
            let (from, to) = match piece.split_once('-') {
                Some(("", "")) => return Err(bad()),
                Some((from, to)) => (number(from, 1)?, number(to, usize::MAX)?),
                None => (number(piece, 0)?, number(piece, 0)?),
            };
            if from == 0 || to < from { Err(bad()) } else { Ok((from, to)) }
        })
        .collect()
}

fn cut<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let line = line("cut", words, "s", "dfcb")?;
    let within = |list: &[(usize, usize)], at: usize| list.iter().any(|(from, to)| (*from..=*to).contains(&at));
    if let Some(list) = line.value('c').or_else(|| line.value('b')) {
        let list = ranges("cut", list)?;
        let change = move |text: &str| {
            by_line(text, |line| {
                Some(line.chars().enumerate().filter(|(at, _)| within(&list, at + 1)).map(|(_, c)| c).collect())
            })
        };
        return Ok((Box::new(change), line.words));
    }
    let Some(list) = line.value('f') else {
        return Err("cut: expected a list of bytes, characters, or fields".to_owned());
    };
    let list = ranges("cut", list)?;
    let (delimiter, only_cut) = (line.value('d').unwrap_or("\t"), line.has('s'));
    let change = move |text: &str| {
        by_line(text, |line| {
            if !line.contains(delimiter) {
                return (!only_cut).then(|| line.to_owned());
            }
            let kept: Vec<&str> = line
                .split(delimiter)
                .enumerate()
                .filter(|(at, _)| within(&list, at + 1))
                .map(|(_, field)| field)
                .collect();
            Some(kept.join(delimiter))
        })
    };
    Ok((Box::new(change), line.words))
}

/// `a-z`, `[:upper:]`, `\n` spelled out.
fn characters(set: &str) -> Vec<char> {
    for (class, from) in [
        ("[:upper:]", "A-Z"),
        ("[:lower:]", "a-z"),
        ("[:digit:]", "0-9"),
        ("[:alpha:]", "A-Za-z"),
        ("[:alnum:]", "A-Za-z0-9"),
        ("[:space:]", " \t\n\r"),
        ("[:blank:]", " \t"),
        ("[:punct:]", "!-/:-@"),
    ] {
        if let Some((before, after)) = set.split_once(class) {
            return [characters(before), characters(from), characters(after)].concat();
        }
    }
    let mut out = Vec::new();
    let mut rest = set.chars().peekable();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        };
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(end)) if end >= c => {
                out.extend(c..=end);
                rest = ahead;
            }
            _ => out.push(c),
        }
    }
    out
}

fn tr<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let line = line("tr", words, "cCds", "")?;
    let (delete, squeeze, complement) = (line.has('d'), line.has('s'), line.has('c') || line.has('C'));
    let (from, to) = match line.words.as_slice() {
        [from] if delete || squeeze => (characters(from), Vec::new()),
        [from, to] => (characters(from), characters(to)),
        _ => return Err("tr: missing operand".to_owned()),
    };
    let change = move |text: &str| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let at = from.iter().position(|own| *own == c);
            let chosen = at.is_some() != complement;
            if chosen && delete {
                continue;
            }
            let c = match to.last() {
                Some(last) if chosen && !delete => *at.and_then(|at| to.get(at)).unwrap_or(last),
                _ => c,
            };
            if squeeze && out.ends_with(c) && if to.is_empty() { chosen } else { to.contains(&c) } {
                continue;
            }
            out.push(c);
        }
        plain(out)
    };
    Ok((Box::new(change), Vec::new()))
}

fn base64_filter<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let line = line("base64", words, "d", "w")?;
    let decode = line.has('d');
    let width: usize = line.value('w').and_then(|width| width.parse().ok()).unwrap_or(76);
    let change = move |text: &str| {
        if decode {
            let packed: String = text.split_whitespace().collect();
            return match STANDARD.decode(packed) {
                Ok(bytes) => plain(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => Filtered { out: String::new(), code: 1 },
            };
        }
        let packed = STANDARD.encode(text);
        if width == 0 {
            return plain(packed);
        }
        let lines = packed.as_bytes().chunks(width).map(|chunk| format!("{}\n", String::from_utf8_lossy(chunk)));
        plain(lines.collect())
    };
    Ok((Box::new(change), line.words))
}

/// A POSIX pattern as Rust's regex crate writes it. In basic ones the special meaning of `(){}+?|` needs a backslash.
fn pattern(name: &str, text: &str, extended: bool, ignore_case: bool) -> Result<Regex, Refused> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.extend(chars.next());
                }
                if chars.peek() == Some(&']') {
                    out.push_str("\\]");
                    chars.next();
                }
            }
            '[' if chars.peek() == Some(&':') => {
                // A class within a class: copied to its end.
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '\\' if in_class => out.push_str("\\\\"),
            '\\' => match chars.next() {
                Some(c @ ('(' | ')' | '{' | '}' | '+' | '?' | '|')) if !extended => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '+' | '?' | '|' if !extended && !in_class => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    RegexBuilder::new(&out)
        .case_insensitive(ignore_case)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| format!("{name}: bad regex '{text}'"))
}

fn grep<'a>(name: &str, words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let mut line = line("grep", words, "ivqEFonchHlsrwx", "eABCm")?;
    let mut patterns: Vec<&str> = line.values('e').collect();
    if patterns.is_empty() {
        if line.words.is_empty() {
            return Err("grep: missing pattern".to_owned());
        }
        patterns.push(line.words.remove(0));
    }
    let extended = line.has('E') || name == "egrep";
    let fixed = line.has('F') || name == "fgrep";
    let patterns = patterns
        .into_iter()
        .flat_map(str::lines)
        .map(|text| {
            let mut text = if fixed { regex::escape(text) } else { text.to_owned() };
            if line.has('w') || line.has('x') {
                let (before, after) = if line.has('x') { ("^", "$") } else { ("\\b", "\\b") };
                text = format!("{before}{text}{after}");
            }
            pattern("grep", &text, extended || fixed, line.has('i'))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let most: usize = line.value('m').and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    let (invert, quiet, parts, numbers, count) =
        (line.has('v'), line.has('q'), line.has('o'), line.has('n'), line.has('c'));
    let change = move |text: &str| {
        let mut out = String::new();
        let mut hits = 0;
        for (at, line) in text.lines().enumerate() {
            if hits >= most || patterns.iter().any(|pattern| pattern.is_match(line)) == invert {
                continue;
            }
            hits += 1;
            let number = if numbers { format!("{}:", at + 1) } else { String::new() };
            if parts {
                for found in patterns.iter().flat_map(|pattern| pattern.find_iter(line)) {
                    let _ = writeln!(out, "{number}{}", found.as_str());
                }
            } else {
                let _ = writeln!(out, "{number}{line}");
            }
        }
        if count {
            out = format!("{hits}\n");
        }
        if quiet {
            out.clear();
        }
        Filtered { out, code: i32::from(hits == 0) }
    };
    Ok((Box::new(change), line.words))
}

/// The number that a line begins with.
fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || *at == 0 && *c == '-'))
        .map_or(text.len(), |(at, _)| at);
    text[..end].parse().unwrap_or(0.0)
}

fn sort<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let line = line("sort", words, "nrufb", "kt")?;
    let (mut numeric, mut reverse) = (line.has('n'), line.has('r'));
    let mut key = None;
    if let Some(text) = line.value('k') {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: usize = text[..digits].parse().map_err(|_| format!("sort: bad -k '{text}'"))?;
        numeric |= text.contains('n');
        reverse |= text.contains('r');
        key = Some(number.saturating_sub(1));
    }
    let (delimiter, unique, fold) = (line.value('t'), line.has('u'), line.has('f'));
    let change = move |text: &str| {
        let field = |line: &str| -> String {
            let chosen = match (key, delimiter) {
                (None, _) => line,
                (Some(key), Some(delimiter)) => line.split(delimiter).nth(key).unwrap_or_default(),
                (Some(key), None) => line.split_whitespace().nth(key).unwrap_or_default(),
            };
            if fold { chosen.to_uppercase() } else { chosen.to_owned() }
        };
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by(|a, b| {
            let (x, y) = (field(a), field(b));
            let order = if numeric { leading_number(&x).total_cmp(&leading_number(&y)) } else { x.cmp(&y) };
            let order = order.then_with(|| if unique { std::cmp::Ordering::Equal } else { a.cmp(b) });
            if reverse { order.reverse() } else { order }
        });
        if unique {
            lines.dedup_by(|a, b| field(a) == field(b));
        }
        by_line(&lines.join("\n"), |line| Some(line.to_owned()))
    };
    Ok((Box::new(change), line.words))
}

fn uniq<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let line = line("uniq", words, "cdu", "")?;
    let (count, repeated, single) = (line.has('c'), line.has('d'), line.has('u'));
    let change = move |text: &str| {
        let mut groups: Vec<(usize, &str)> = Vec::new();
        for line in text.lines() {
            match groups.last_mut().filter(|(_, own)| *own == line) {
                Some((times, _)) => *times += 1,
                None => groups.push((1, line)),
            }
        }
        groups.retain(|(times, _)| !(repeated && *times == 1) && !(single && *times > 1));
        let shown =
            groups.iter().map(|(times, line)| if count { format!("{times:>7} {line}\n") } else { format!("{line}\n") });
        plain(shown.collect())
    };
    Ok((Box::new(change), line.words))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn filters_do_what_busybox_does() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/app:/bin/sh\n";
        for (command, input, expected) in [
            (&["cut", "-d:", "-f1,6-"][..], passwd, "root:/root:/bin/sh\napp:/app:/bin/sh\n"),
            (&["cut", "-d", ":", "-f", "3"], passwd, "0\n1000\n"),
            (&["cut", "-c2-3"], "hello\n", "el\n"),
            (&["tr", "a-z", "A-Z"], "hello\n", "HELLO\n"),
            (&["tr", "[:lower:]", "[:upper:]"], "a-z\n", "A-Z\n"),
            (&["tr", "-d", "\\n"], "a\nb\n", "ab"),
            (&["tr", "-s", " "], "a   b\n", "a b\n"),
            (&["tr", ":", "\\n"], "a:b", "a\nb"),
            (&["base64"], "hello\n", "aGVsbG8K\n"),
            (&["base64", "-d"], "aGVsbG8K\n", "hello\n"),
            (&["rev"], "abc\n", "cba\n"),
            (&["sed", "s/l/L/"], "hello\n", "heLlo\n"),
            (&["sed", "s/l/L/g;s|/|_|"], "hel/lo\n", "heL_Lo\n"),
            (&["sed", "-n", "2p"], "a\nb\nc\n", "b\n"),
            (&["sed", "-n", "/b/,$p"], "a\nb\nc\n", "b\nc\n"),
            (&["sed", "2,3d"], "a\nb\nc\nd\n", "a\nd\n"),
            (&["sed", "/^#/d"], "# x\ny\n", "y\n"),
            (&["sed", "-E", "s/([a-z]+)=(.*)/\\2 is \\1/"], "colour=blue\n", "blue is colour\n"),
            (&["sed", "s/\\(a\\)(/\\1[/"], "a(\n", "a[\n"),
            (&["sed", "s/.*/[&]/"], "x\n", "[x]\n"),
            (&["awk", "{print $2}"], "a b c\n", "b\n"),
            (&["awk", "-F:", "{print $1 \"=\" $NF}"], passwd, "root=/bin/sh\napp=/bin/sh\n"),
            (&["awk", "/b/{print NR, $0}"], "a\nb\n", "2 b\n"),
            (&["awk", "NR>1"], "a\nb\n", "b\n"),
            (&["awk", "-F:", "$3 >= 1000 {print $1}"], passwd, "app\n"),
            (&["grep", "-v", "^r"], passwd, "app:x:1000:1000:app:/app:/bin/sh\n"),
            (&["grep", "-c", "sh"], passwd, "2\n"),
            (&["grep", "-oE", "[0-9]{4}"], passwd, "1000\n1000\n"),
            (&["grep", "-in", "B"], "a\nb\n", "2:b\n"),
            (&["sort", "-rn"], "2\n10\n1\n", "10\n2\n1\n"),
            (&["sort", "-t:", "-k2n"], "a:2\nb:1\n", "b:1\na:2\n"),
            (&["sort", "-u"], "b\na\nb\n", "a\nb\n"),
            (&["uniq", "-c"], "a\na\nb\n", "      2 a\n      1 b\n"),
        ] {
            let (run, files) =
                filter(command[0], &command[1..]).unwrap().map_err(|why| panic!("{command:?}: {why}")).unwrap();
            assert_eq!(run(input).out, expected, "{command:?}");
            assert!(files.is_empty(), "{command:?}: {files:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (command, expected) in [
            (&["sed", "w file"][..], "sed: unsupported command w"),
            (&["awk", "BEGIN { x = 1 }"], awk::REFUSES),
            (&["cut", "-f", "0"], "cut: invalid range 0"),
            (&["grep", "-Z", "x"], "grep: unrecognized option: Z"),
            (&["grep", "["], "grep: bad regex '['"),
            (&["tr", "a"], "tr: missing operand"),
        ] {
            let Some(Err(why)) = filter(command[0], &command[1..]) else { panic!("{command:?} was accepted") };
            assert_eq!(why, expected, "{command:?}");
        }
        assert!(filter("perl", &[]).is_none());
    }
}
