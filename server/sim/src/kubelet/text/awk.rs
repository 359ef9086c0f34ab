//! `awk`, as far as it is typed at a prompt: one pattern and one `print`.

use std::fmt::Write as _;

use regex::Regex;

use super::{Filter, Refused, line, pattern, plain};

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

/// What it says to a program that is more than it understands.
pub const REFUSES: &str = "awk: only '[/pattern/ or $N == x or NR > n] { print $1, \"text\" $NF }' is understood here";

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
                return Err(REFUSES.to_owned());
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
            inner.find('"').ok_or(REFUSES)? + 2
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
    Err(REFUSES.to_owned())
}

/// Sets `awk` up.
pub fn filter<'a>(words: &[&'a str]) -> Result<Filter<'a>, Refused> {
    let mut line = line("awk", words, "", "F")?;
    if line.words.is_empty() {
        return Err("awk: missing program".to_owned());
    }
    let program = line.words.remove(0).trim();
    let (when, action) = match program.split_once('{') {
        None => (program, "print"),
        Some((when, rest)) => (when, rest.strip_suffix('}').ok_or(REFUSES)?.trim().trim_end_matches(';').trim()),
    };
    let print = action.strip_prefix("print").filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    let (when, items) = (awk_when(when)?, awk_items(print.ok_or(REFUSES)?)?);
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
