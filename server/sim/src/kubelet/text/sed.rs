//! `sed`: the commands `s`, `p`, `d`, `q`, `=` and `y`, with addresses and ranges.

use std::fmt::Write as _;

use regex::Regex;

use super::{Filter, Refused, line, pattern, plain};

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

/// Sets `sed` up.
pub fn filter<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
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
