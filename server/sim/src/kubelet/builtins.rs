//! The small programs of the simulated containers: `ls`, `cat`, `env`, `ps`, ….

use std::{collections::BTreeMap, fmt::Write as _};

use super::{shell::World, text};

/// What a program printed and returned.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code.
    pub code: i32,
}

fn said(out: impl Into<String>) -> Done {
    Done { out: out.into(), ..Done::default() }
}

fn failed(err: impl Into<String>, code: i32) -> Done {
    let mut err = err.into();
    err.push('\n');
    Done { err, code, ..Done::default() }
}

/// Names that [`run`] knows, for [`path`].
const KNOWN: &[&str] = &[
    "[", "awk", "base64", "basename", "cat", "chmod", "chown", "cut", "date", "df", "dirname", "echo", "egrep", "env",
    "expr", "free", "grep", "head", "hostname", "id", "kill", "ls", "mkdir", "nslookup", "printenv", "printf", "ps",
    "pwd", "rev", "rm", "sed", "seq", "sleep", "sort", "sync", "tail", "tar", "test", "top", "touch", "tr", "uname",
    "uniq", "uptime", "wc", "which", "whoami", "ash", "bash", "dash", "sh",
];

/// Where a program is; `None` if there is none of that name.
pub fn path(name: &str) -> Option<String> {
    KNOWN.contains(&name).then(|| format!("/bin/{name}"))
}

/// Runs a program; `None` if there is none of that name.
pub fn run(world: &mut World, name: &str, arguments: &[String], input: &str) -> Option<Done> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Some(match name {
        "echo" => echo(&words),
        "printf" => said(printf(&words)),
        "pwd" => said(format!("{}\n", world.directory)),
        "hostname" => said(format!("{}\n", world.hostname)),
        "whoami" => said(if world.user.0 == 0 { "root\n" } else { "app\n" }),
        "id" => id(world, &words),
        "uname" => said(match words.first() {
            Some(&"-a") => format!("Linux {} 6.8.0-berth #1 SMP x86_64 GNU/Linux\n", world.hostname),
            Some(&"-r") => "6.8.0-berth\n".to_owned(),
            Some(&"-m") => "x86_64\n".to_owned(),
            _ => "Linux\n".to_owned(),
        }),
        "env" | "printenv" => match words.first() {
            Some(wanted) => match world.variables.get(*wanted) {
                Some(value) => said(format!("{value}\n")),
                None => Done { code: 1, ..Done::default() },
            },
            None => said(
                world
                    .exported
                    .iter()
                    .filter_map(|name| Some(format!("{name}={}\n", world.variables.get(name)?)))
                    .collect::<String>(),
            ),
        },
        "ls" => ls(world, &words),
        "cat" => over_files(world, &words, input, "cat", str::to_owned),
        "head" | "tail" => {
            let (count, files) = line_count(&words);
            let keep = move |text: &str| {
                let lines: Vec<&str> = text.lines().collect();
                let kept = if name == "head" {
                    &lines[..count.min(lines.len())]
                } else {
                    &lines[lines.len().saturating_sub(count)..]
                };
                kept.iter().fold(String::new(), |mut out, line| {
                    let _ = writeln!(out, "{line}");
                    out
                })
            };
            over_files(world, &files, input, name, keep)
        }
        "wc" => {
            let files: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
            let lines_only = words.contains(&"-l");
            over_files(world, &files, input, "wc", move |text| {
                let (lines, words) = (text.matches('\n').count(), text.split_whitespace().count());
                if lines_only { format!("{lines}\n") } else { format!("{lines:>7} {words:>7} {:>7}\n", text.len()) }
            })
        }
        "seq" => {
            let numbers: Vec<i64> = words.iter().filter_map(|word| word.parse().ok()).collect();
            let (from, to) = match numbers.as_slice() {
                [to] => (1, *to),
                [from, to, ..] => (*from, *to),
                [] => return Some(failed("seq: missing operand", 1)),
            };
            said((from..=to.min(from + 10_000)).map(|number| format!("{number}\n")).collect::<String>())
        }
        "date" => said(match words.first() {
            Some(format) if format.starts_with('+') => {
                format!(
                    "{}\n",
                    jiff::fmt::strtime::format(&format[1..], &world.now.to_zoned(jiff::tz::TimeZone::UTC))
                        .unwrap_or_default()
                )
            }
            _ => format!("{}\n", world.now.strftime("%a %b %e %H:%M:%S UTC %Y")),
        }),
        "test" => Done { code: i32::from(!test(world, &words)), ..Done::default() },
        "[" => Done { code: i32::from(!test(world, words.strip_suffix(&["]"]).unwrap_or(&words))), ..Done::default() },
        "expr" => {
            let value = arithmetic(&words.join(" "), &world.variables);
            Done { out: format!("{value}\n"), code: i32::from(value == 0), ..Done::default() }
        }
        "touch" => {
            for word in words.iter().filter(|word| !word.starts_with('-')) {
                let path = world.resolve(word);
                world.files.entry(path).or_default();
            }
            Done::default()
        }
        "rm" => {
            for word in words.iter().filter(|word| !word.starts_with('-')) {
                let path = world.resolve(word);
                let below = format!("{path}/");
                world.files.retain(|file, _| *file != path && !file.starts_with(&below));
            }
            Done::default()
        }
        "mkdir" => {
            for word in words.iter().filter(|word| !word.starts_with('-')) {
                let path = format!("{}/.keep", world.resolve(word));
                world.files.entry(path).or_default();
            }
            Done::default()
        }
        "tar" => super::tar::run(world, &words, input),
        "chmod" | "chown" | "kill" | "sync" => Done::default(),
        "ps" | "top" => said(format!(
            "PID   USER     TIME  COMMAND\n    1 {user:<8} 0:00 {}\n    7 {user:<8} 0:00 sh\n   13 {user:<8} 0:00 {name}\n",
            world.main,
            user = if world.user.0 == 0 { "root" } else { "app" }
        )),
        "df" => said(
            "Filesystem           1K-blocks      Used Available Use% Mounted on\noverlay               61255492  18376644  39734808  32% /\ntmpfs                    65536         0     65536   0% /dev\ntmpfs                  4096000        12   4095988   0% /run/secrets/kubernetes.io/serviceaccount\n",
        ),
        "free" => said(
            "              total        used        free      shared  buff/cache   available\nMem:        8192000     1843200     4915200        1024     1433600     6144000\nSwap:             0           0           0\n",
        ),
        "uptime" => {
            said(format!("{} up 12 days,  3:04,  load average: 0.08, 0.05, 0.01\n", world.now.strftime("%H:%M:%S")))
        }
        "which" => {
            let found: Vec<String> = words.iter().filter_map(|word| path(word)).map(|path| path + "\n").collect();
            Done { code: i32::from(found.len() < words.len()), out: found.concat(), ..Done::default() }
        }
        "basename" => said(format!("{}\n", words.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default())),
        "dirname" => said(format!(
            "{}\n",
            words.first().and_then(|path| path.rsplit_once('/')).map_or(".", |(parent, _)| if parent.is_empty() {
                "/"
            } else {
                parent
            })
        )),
        "nslookup" => match words.first() {
            Some(name) if world.files.get("/etc/hosts").is_some_and(|hosts| hosts.contains(name)) => {
                said(format!("Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:\t{name}\n"))
            }
            Some(name) => failed(format!("** server can't find {name}: NXDOMAIN"), 1),
            None => failed("nslookup: missing operand", 1),
        },
        name => return text::filter(name, &words).map(|made| filtered(world, made, input, name)),
    })
}

/// Runs a filter over its files or its input.
fn filtered(world: &World, made: Result<text::Filter<'_>, text::Refused>, input: &str, name: &str) -> Done {
    let (run, files) = match made {
        Ok(made) => made,
        Err(why) => return failed(why, if name == "grep" { 2 } else { 1 }),
    };
    let code = std::cell::Cell::new(0);
    let mut done = over_files(world, &files, input, name, |text| {
        let result = run(text);
        code.set(code.get().max(result.code));
        result.out
    });
    if done.code == 0 {
        done.code = code.get();
    }
    done
}

fn echo(words: &[&str]) -> Done {
    let (mut newline, mut escapes, mut rest) = (true, false, words);
    while let Some((first, more)) = rest.split_first() {
        match *first {
            "-n" => newline = false,
            "-e" => escapes = true,
            "-ne" | "-en" => (newline, escapes) = (false, true),
            _ => break,
        }
        rest = more;
    }
    let mut text = rest.join(" ");
    if escapes {
        text = unescape(&text);
    }
    if newline {
        text.push('\n');
    }
    said(text)
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
}

fn printf(words: &[&str]) -> String {
    let Some((format, mut values)) = words.split_first() else { return String::new() };
    let format = unescape(format);
    let mut out = String::new();
    loop {
        let before = values.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some('s' | 'd' | 'i') => {
                    if let Some((first, rest)) = values.split_first() {
                        out.push_str(first);
                        values = rest;
                    }
                }
                Some(other) => {
                    out.push('%');
                    out.push(other);
                }
                None => out.push('%'),
            }
        }
        if values.is_empty() || values.len() == before {
            return out;
        }
    }
}

fn id(world: &World, words: &[&str]) -> Done {
    let (user, group) = world.user;
    said(match words.first() {
        Some(&"-u") => format!("{user}\n"),
        Some(&"-g") => format!("{group}\n"),
        _ if user == 0 => "uid=0(root) gid=0(root) groups=0(root)\n".to_owned(),
        _ => format!("uid={user} gid={group} groups={group}\n"),
    })
}

fn ls(world: &World, words: &[&str]) -> Done {
    let long = words.iter().any(|word| word.starts_with('-') && word.contains('l'));
    let all = words.iter().any(|word| word.starts_with('-') && word.contains('a'));
    let paths: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let paths = if paths.is_empty() { vec!["."] } else { paths };
    let mut done = Done::default();
    for path in &paths {
        let absolute = world.resolve(path);
        let mut entries: BTreeMap<String, bool> = BTreeMap::new();
        if world.files.contains_key(&absolute) {
            entries.insert((*path).to_owned(), false);
        } else if world.is_directory(&absolute) {
            let prefix = if absolute == "/" { "/".to_owned() } else { format!("{absolute}/") };
            for rest in world.files.keys().filter_map(|file| file.strip_prefix(&prefix)) {
                match rest.split_once('/') {
                    Some((directory, _)) => entries.insert(directory.to_owned(), true),
                    None => entries.insert(rest.to_owned(), false),
                };
            }
        } else {
            let _ = writeln!(done.err, "ls: {path}: No such file or directory");
            done.code = 1;
            continue;
        }
        if paths.len() > 1 {
            let _ = writeln!(done.out, "{path}:");
        }
        for (name, directory) in entries.iter().filter(|(name, _)| all || !name.starts_with('.')) {
            if long {
                let size = world.files.get(&world.resolve(&format!("{absolute}/{name}"))).map_or(4096, String::len);
                let mode = if *directory { "drwxr-xr-x" } else { "-rw-r--r--" };
                let _ = writeln!(
                    done.out,
                    "{mode}    1 root     root     {size:>8} {} {name}",
                    world.now.strftime("%b %e %H:%M")
                );
            } else {
                let _ = writeln!(done.out, "{name}");
            }
        }
    }
    done
}

fn line_count<'a>(words: &[&'a str]) -> (usize, Vec<&'a str>) {
    let (mut count, mut files) = (10, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "-n" {
            count = words.next().and_then(|number| number.parse().ok()).unwrap_or(count);
        } else if let Some(number) = word.strip_prefix('-') {
            count = number.trim_start_matches('n').parse().unwrap_or(count);
        } else {
            files.push(*word);
        }
    }
    (count, files)
}

fn over_files(world: &World, files: &[&str], input: &str, name: &str, change: impl Fn(&str) -> String) -> Done {
    if files.is_empty() {
        return said(change(input));
    }
    let mut done = Done::default();
    for file in files {
        let path = world.resolve(file);
        match world.files.get(&path) {
            Some(text) => done.out.push_str(&change(text)),
            None => {
                let why = if world.is_directory(&path) { "Is a directory" } else { "No such file or directory" };
                let _ = writeln!(done.err, "{name}: can't open '{file}': {why}");
                done.code = 1;
            }
        }
    }
    done
}

fn test(world: &World, words: &[&str]) -> bool {
    match words {
        ["!", rest @ ..] => !test(world, rest),
        ["-z", text] => text.is_empty(),
        ["-n", text] => !text.is_empty(),
        ["-f", path] => world.files.contains_key(&world.resolve(path)),
        ["-d", path] => world.is_directory(&world.resolve(path)),
        ["-e" | "-r" | "-s", path] => {
            let path = world.resolve(path);
            world.files.contains_key(&path) || world.is_directory(&path)
        }
        [text] => !text.is_empty(),
        [left, operator, right] => {
            let numbers = (left.parse::<i64>().unwrap_or_default(), right.parse::<i64>().unwrap_or_default());
            match *operator {
                "=" | "==" => left == right,
                "!=" => left != right,
                "-eq" => numbers.0 == numbers.1,
                "-ne" => numbers.0 != numbers.1,
                "-lt" => numbers.0 < numbers.1,
                "-le" => numbers.0 <= numbers.1,
                "-gt" => numbers.0 > numbers.1,
                "-ge" => numbers.0 >= numbers.1,
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whole-number arithmetic, left to right: `+ - * / %`, names read as variables.
#[must_use]
pub fn arithmetic(expression: &str, variables: &BTreeMap<String, String>) -> i64 {
    let mut spaced = String::new();
    for c in expression.chars() {
        if "+-*/%".contains(c) {
            spaced.push(' ');
            spaced.push(c);
            spaced.push(' ');
        } else {
            spaced.push(c);
        }
    }
    let (mut sum, mut term, mut operator) = (0i64, 0i64, '+');
    for word in spaced.split_whitespace() {
        if let Some(c) = word.chars().next().filter(|c| "+-*/%".contains(*c)) {
            operator = c;
            continue;
        }
        let name = word.trim_start_matches('$');
        let value = name.parse().ok().or_else(|| variables.get(name)?.parse().ok()).unwrap_or(0);
        match operator {
            '+' => (sum, term) = (sum + term, value),
            '-' => (sum, term) = (sum + term, -value),
            '*' => term = term.wrapping_mul(value),
            '/' => term = term.checked_div(value).unwrap_or_default(),
            _ => term = term.checked_rem(value).unwrap_or_default(),
        }
    }
    sum + term
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_binds_as_usual() {
        let variables = BTreeMap::from([("i".to_owned(), "4".to_owned())]);
        for (text, value) in [("1+2*3", 7), ("i+1", 5), ("$i * 2 - 1", 7), ("10/3", 3), ("10%3", 1), ("1/0", 0)] {
            assert_eq!(arithmetic(text, &variables), value, "{text}");
        }
    }
}
