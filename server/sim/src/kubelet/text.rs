//! The filters of the simulated containers: `cut`, `tr`, `sed`, `awk`, `grep`, `sort`, `uniq`, `base64`, `rev`.
//!
//! Each does what busybox' does for what people type at a prompt, and refuses the rest instead of pretending.

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
        "sed" => sed(words),
        "awk" => awk(words),
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

/// Where a command of `sed` applies.
enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

/// What a command of `sed` does.
enum Edit {
    Substitute { pattern: Regex, with: String, which: Option<usize>, print: bool },
    Delete,
    Print,
    Quit,
    Number,
    Transliterate(Vec<char>, Vec<char>),
}

struct Command {
    from: Option<Address>,
    to: Option<Address>,
    inverted: bool,
    edit: Edit,
}

/// Reads up to an unescaped delimiter; the delimiter's own escape is taken away.
fn until(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, delimiter: char) -> Result<String, Refused> {
    let mut out = String::new();
    while let Some(c) = chars.next() {
        if c == delimiter {
            return Ok(out);
        }
        if c == '\\' {
            match chars.next() {
                Some(next) if next == delimiter => out.push(next),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            }
        } else {
            out.push(c);
        }
    }
    Err("sed: unterminated command".to_owned())
}

/// A replacement as the regex crate writes it: `\1` and `&` become groups, `$` is itself.
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("${0}"),
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    let _ = write!(out, "${{{digit}}}");
                }
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

fn sed_script(script: &str, extended: bool) -> Result<Vec<Command>, Refused> {
    let mut out = Vec::new();
    let mut chars = script.chars().peekable();
    let address = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<Address>, Refused> {
        Ok(match chars.peek() {
            Some('$') => {
                chars.next();
                Some(Address::Last)
            }
            Some('/') => {
                chars.next();
                Some(Address::Match(pattern("sed", &until(chars, '/')?, extended, false)?))
            }
            Some(c) if c.is_ascii_digit() => {
                let mut number = 0usize;
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    number = number.saturating_mul(10).saturating_add(digit as usize);
                    chars.next();
                }
                Some(Address::Line(number))
            }
            _ => None,
        })
    };
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ';').is_some() {}
        if chars.peek().is_none() {
            return Ok(out);
        }
        let from = address(&mut chars)?;
        let to = if from.is_some() && chars.next_if_eq(&',').is_some() { address(&mut chars)? } else { None };
        while chars.next_if_eq(&' ').is_some() {}
        let inverted = chars.next_if_eq(&'!').is_some();
        let edit = match chars.next() {
            Some('d') => Edit::Delete,
            Some('p') => Edit::Print,
            Some('q') => Edit::Quit,
            Some('=') => Edit::Number,
            Some('y') => {
                let delimiter = chars.next().ok_or("sed: unterminated command")?;
                let (from, to) = (until(&mut chars, delimiter)?, until(&mut chars, delimiter)?);
                Edit::Transliterate(from.chars().collect(), to.chars().collect())
            }
            Some('s') => {
                let delimiter = chars.next().ok_or("sed: unterminated command")?;
                let (text, with) = (until(&mut chars, delimiter)?, until(&mut chars, delimiter)?);
                let (mut which, mut print, mut fold) = (Some(1), false, false);
                while let Some(flag) = chars.next_if(|c| c.is_ascii_alphanumeric()) {
                    match flag {
                        'g' => which = None,
                        'p' => print = true,
                        'i' | 'I' => fold = true,
                        digit => match digit.to_digit(10) {
                            Some(number @ 1..) => which = Some(number as usize),
                            _ => return Err(format!("sed: bad option in substitution expression: {digit}")),
                        },
                    }
                }
                let pattern = pattern("sed", &text, extended, fold)?;
                Edit::Substitute { pattern, with: replacement(&with), which, print }
            }
            Some(other) => return Err(format!("sed: unsupported command {other}")),
            None => return Err("sed: missing command".to_owned()),
        };
        out.push(Command { from, to, inverted, edit });
    }
}

fn substitute(line: &str, pattern: &Regex, with: &str, which: Option<usize>) -> Option<String> {
    let Some(which) = which else {
        return pattern.is_match(line).then(|| pattern.replace_all(line, with).into_owned());
    };
    let captures = pattern.captures_iter(line).nth(which - 1)?;
    let found = captures.get(0)?;
    let mut out = line[..found.start()].to_owned();
    captures.expand(with, &mut out);
    out.push_str(&line[found.end()..]);
    Some(out)
}

fn sed<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let mut line = line("sed", words, "nEr", "e")?;
    let mut scripts: Vec<&str> = line.values('e').collect();
    if scripts.is_empty() {
        if line.words.is_empty() {
            return Err("sed: missing script".to_owned());
        }
        scripts.push(line.words.remove(0));
    }
    let commands = sed_script(&scripts.join("\n"), line.has('E') || line.has('r'))?;
    let quiet = line.has('n');
    let change = move |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        let mut inside = vec![false; commands.len()];
        let mut out = String::new();
        'lines: for (at, original) in lines.iter().enumerate() {
            let (number, last) = (at + 1, at + 1 == lines.len());
            let mut line = (*original).to_owned();
            let (mut deleted, mut quit) = (false, false);
            for (command, inside) in commands.iter().zip(&mut inside) {
                let hit = |address: &Address| match address {
                    Address::Line(own) => *own == number,
                    Address::Last => last,
                    Address::Match(pattern) => pattern.is_match(&line),
                };
                let chosen = match (&command.from, &command.to) {
                    (None, _) => true,
                    (Some(from), None) => hit(from),
                    (Some(_), Some(to)) if *inside => {
                        *inside = !(hit(to) || matches!(to, Address::Line(own) if *own <= number));
                        true
                    }
                    (Some(from), Some(to)) => {
                        let begins = hit(from);
                        *inside = begins && !matches!(to, Address::Line(own) if *own <= number);
                        begins
                    }
                };
                if chosen == command.inverted {
                    continue;
                }
                match &command.edit {
                    Edit::Delete => {
                        deleted = true;
                        break;
                    }
                    Edit::Print => {
                        let _ = writeln!(out, "{line}");
                    }
                    Edit::Number => {
                        let _ = writeln!(out, "{number}");
                    }
                    Edit::Quit => quit = true,
                    Edit::Transliterate(from, to) => {
                        let one = |c: char| from.iter().position(|own| *own == c).and_then(|at| to.get(at).copied());
                        line = line.chars().map(|c| one(c).unwrap_or(c)).collect();
                    }
                    Edit::Substitute { pattern, with, which, print } => {
                        if let Some(changed) = substitute(&line, pattern, with, *which) {
                            line = changed;
                            if *print {
                                let _ = writeln!(out, "{line}");
                            }
                        }
                    }
                }
                if quit {
                    break;
                }
            }
            if !deleted && !quiet {
                let _ = writeln!(out, "{line}");
            }
            if quit {
                break 'lines;
            }
        }
        plain(out)
    };
    Ok((Box::new(change), line.words))
}

/// A part of what `awk` prints.
enum Item {
    Field(usize),
    LastField,
    Row,
    Fields,
    Text(String),
}

/// When `awk` prints.
enum When {
    Always,
    Match(Regex, bool),
    Compare(Item, &'static str, String),
}

const AWK_REFUSES: &str = "awk: only '[/pattern/ or $N == x or NR > n] { print $1, \"text\" $NF }' is understood here";

fn awk_item(text: &str) -> Result<Item, Refused> {
    Ok(match text {
        "NR" => Item::Row,
        "NF" => Item::Fields,
        "$NF" => Item::LastField,
        text => {
            if let Some(number) = text.strip_prefix('$').and_then(|number| number.parse().ok()) {
                Item::Field(number)
            } else if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Item::Text(inner.replace("\\n", "\n").replace("\\t", "\t"))
            } else if text.parse::<f64>().is_ok() {
                Item::Text(text.to_owned())
            } else {
                return Err(AWK_REFUSES.to_owned());
            }
        }
    })
}

/// Splits at blanks and commas outside quotes; a comma stands for a blank in the output.
fn awk_items(text: &str) -> Result<Vec<Item>, Refused> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            items.push(Item::Text(" ".to_owned()));
            rest = after.trim_start();
            continue;
        }
        let end = if let Some(inner) = rest.strip_prefix('"') {
            inner.find('"').ok_or(AWK_REFUSES)? + 2
        } else {
            let next = rest[1..].find(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '$'));
            next.map_or(rest.len(), |at| at + 1)
        };
        items.push(awk_item(&rest[..end])?);
        rest = rest[end..].trim_start();
    }
    if items.is_empty() {
        items.push(Item::Field(0));
    }
    Ok(items)
}

fn awk_when(text: &str) -> Result<When, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(When::Always);
    }
    let (negated, bare) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    if let Some(inner) = bare.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        return Ok(When::Match(pattern("awk", inner, true, false)?, !negated));
    }
    for operator in ["==", "!=", ">=", "<=", ">", "<"] {
        if let Some((left, right)) = text.split_once(operator) {
            let right = right.trim();
            let quoted = right.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            if quoted.is_none() && right.parse::<f64>().is_err() {
                break;
            }
            return Ok(When::Compare(awk_item(left.trim())?, operator, quoted.unwrap_or(right).to_owned()));
        }
    }
    Err(AWK_REFUSES.to_owned())
}

fn awk<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let mut line = line("awk", words, "", "F")?;
    if line.words.is_empty() {
        return Err("awk: missing program".to_owned());
    }
    let program = line.words.remove(0).trim();
    let (when, action) = match program.split_once('{') {
        None => (program, "print"),
        Some((when, rest)) => (when, rest.strip_suffix('}').ok_or(AWK_REFUSES)?.trim().trim_end_matches(';').trim()),
    };
    let print = action.strip_prefix("print").filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    let (when, items) = (awk_when(when)?, awk_items(print.ok_or(AWK_REFUSES)?)?);
    let separator = line.value('F');
    let change = move |text: &str| {
        let mut out = String::new();
        for (at, line) in text.lines().enumerate() {
            let fields: Vec<&str> = match separator {
                Some(separator) => line.split(separator).collect(),
                None => line.split_whitespace().collect(),
            };
            let value = |item: &Item| -> String {
                match item {
                    Item::Field(0) => line.to_owned(),
                    Item::Field(number) => fields.get(number - 1).copied().unwrap_or_default().to_owned(),
                    Item::LastField => fields.last().copied().unwrap_or_default().to_owned(),
                    Item::Row => (at + 1).to_string(),
                    Item::Fields => fields.len().to_string(),
                    Item::Text(text) => text.clone(),
                }
            };
            let hit = match &when {
                When::Always => true,
                When::Match(pattern, wanted) => pattern.is_match(line) == *wanted,
                When::Compare(item, operator, with) => {
                    let own = value(item);
                    let order = match (own.parse::<f64>(), with.parse::<f64>()) {
                        (Ok(a), Ok(b)) => a.total_cmp(&b),
                        _ => own.as_str().cmp(with),
                    };
                    match *operator {
                        "==" => order.is_eq(),
                        "!=" => order.is_ne(),
                        ">=" => order.is_ge(),
                        "<=" => order.is_le(),
                        ">" => order.is_gt(),
                        _ => order.is_lt(),
                    }
                }
            };
            if hit {
                let _ = writeln!(out, "{}", items.iter().map(value).collect::<String>());
            }
        }
        plain(out)
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
            (&["awk", "BEGIN { x = 1 }"], AWK_REFUSES),
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
