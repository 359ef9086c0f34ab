//! A shell small enough to read and good enough to look around: for `exec`, and to foretell containers
//! whose command is a shell script. POSIX syntax: lists, `&&`, `||`, pipes, `if`, `while`, `for`, `$(…)`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    builtins,
    image::{Environment, duration},
    parse::{Node, Part, Word, parse},
    script::Round,
};

/// Steps after which a script counts as endless.
const BUDGET: u32 = 20_000;

/// What a process can see.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// Names of the exported ones, in order.
    pub exported: Vec<String>,
    /// The working directory.
    pub directory: String,
    /// Files by absolute path.
    pub files: BTreeMap<String, String>,
    /// The host's name.
    pub hostname: String,
    /// The process's user and group.
    pub user: (u32, u32),
    /// Command line of process 1.
    pub main: String,
    /// Now, for `date`.
    pub now: jiff::Timestamp,
    /// Whether time passes only on paper and unknown programs end the telling.
    pub foretelling: bool,
}

impl World {
    /// A world with an environment and nothing else.
    #[must_use]
    pub fn bare(environment: &Environment, hostname: &str) -> Self {
        let mut world = Self { directory: "/".to_owned(), hostname: hostname.to_owned(), ..Self::default() };
        world.export("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        world.export("HOSTNAME", hostname);
        world.export("HOME", "/root");
        for (name, value) in environment {
            world.export(name, value);
        }
        world
    }

    /// Sets an exported variable.
    pub fn export(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
        if !self.exported.iter().any(|own| own == name) {
            self.exported.push(name.to_owned());
        }
    }

    /// An absolute, tidy path.
    #[must_use]
    pub fn resolve(&self, path: &str) -> String {
        let joined = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.directory) };
        let mut parts: Vec<&str> = Vec::new();
        for part in joined.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }

    /// Whether a path is a directory.
    #[must_use]
    pub fn is_directory(&self, path: &str) -> bool {
        path == "/" || self.files.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned a code.
    Code(i32),
    /// It ended the shell.
    Exit(i32),
    /// It never ends.
    Forever,
}

/// Whether a program is a shell.
pub fn names_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"))
}

/// Runs commands.
pub struct Machine {
    /// What they see.
    pub world: World,
    /// Standard output of the innermost capture, or of the whole.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Lines with their time, when foretelling.
    pub printed: Vec<(Duration, String)>,
    /// The endless loop that the telling ends in.
    pub round: Option<Round>,
    /// How long it has taken.
    pub elapsed: Duration,
    /// Code of the last command.
    pub last: i32,
    /// Set when a script ended by becoming a shell (`exec sh`), which goes on with what is typed.
    pub replaced: bool,
    /// Set when a foretold script runs a program of which we know nothing.
    unknown: bool,
    captures: u32,
    budget: u32,
}

impl Machine {
    /// A machine at rest.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self {
            world,
            out: String::new(),
            err: String::new(),
            printed: Vec::new(),
            round: None,
            replaced: false,
            elapsed: Duration::ZERO,
            last: 0,
            unknown: false,
            captures: 0,
            budget: BUDGET,
        }
    }

    /// Runs a command given as words; `None` if, when foretelling, it is unknown.
    pub fn argv(&mut self, words: &[String]) -> Option<Outcome> {
        let outcome = self.command(words, "");
        (!self.unknown).then_some(outcome)
    }

    /// Runs a command given as words, with something on its standard input.
    pub fn argv_with(&mut self, words: &[String], input: &str) -> Outcome {
        let outcome = self.command(words, input);
        if let Outcome::Code(code) | Outcome::Exit(code) = outcome {
            self.last = code;
        }
        outcome
    }

    /// Runs a line of script.
    pub fn line(&mut self, script: &str) -> Outcome {
        match parse(script) {
            Ok(node) => self.run(&node, ""),
            Err(message) => {
                self.complain(&format!("sh: syntax error: {message}"));
                self.last = 2;
                Outcome::Code(2)
            }
        }
    }

    /// Prints a line of an error.
    pub fn complain(&mut self, line: &str) {
        if self.world.foretelling && self.captures == 0 {
            self.printed.push((self.elapsed, line.to_owned()));
        } else {
            self.err.push_str(line);
            self.err.push('\n');
        }
    }

    fn print(&mut self, text: &str) {
        if self.world.foretelling && self.captures == 0 {
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                if !text.is_empty() && self.printed.len() < 10_000 {
                    self.printed.push((self.elapsed, line.to_owned()));
                }
            }
        } else {
            self.out.push_str(text);
        }
    }

    /// Runs `node` with its output kept back.
    fn capture(&mut self, node: &Node, input: &str) -> (Outcome, String) {
        let outer = std::mem::take(&mut self.out);
        self.captures += 1;
        let outcome = self.run(node, input);
        self.captures -= 1;
        (outcome, std::mem::replace(&mut self.out, outer))
    }

    fn run(&mut self, node: &Node, input: &str) -> Outcome {
        if self.unknown {
            return Outcome::Exit(127);
        }
        if self.budget == 0 {
            return Outcome::Forever;
        }
        self.budget -= 1;
        let outcome = match node {
            Node::List(nodes) => {
                for node in nodes {
                    match self.run(node, input) {
                        Outcome::Code(_) => {}
                        other => return other,
                    }
                }
                Outcome::Code(self.last)
            }
            Node::And(first, second) => match self.run(first, input) {
                Outcome::Code(0) => self.run(second, input),
                other => other,
            },
            Node::Or(first, second) => match self.run(first, input) {
                Outcome::Code(0) => Outcome::Code(0),
                Outcome::Code(_) => self.run(second, input),
                other => other,
            },
            Node::Not(node) => match self.run(node, input) {
                Outcome::Code(code) => Outcome::Code(i32::from(code == 0)),
                other => other,
            },
            Node::Pipe(nodes) => self.pipe(nodes, input),
            Node::Group(node) => self.run(node, input),
            Node::If(branches, otherwise) => {
                for (condition, body) in branches {
                    match self.run(condition, input) {
                        Outcome::Code(0) => return self.run(body, input),
                        Outcome::Code(_) => {}
                        other => return other,
                    }
                }
                match otherwise {
                    Some(body) => self.run(body, input),
                    None => Outcome::Code(0),
                }
            }
            Node::While { condition, body, until } => self.repeat(condition, body, *until, input),
            Node::For { name, words, body } => {
                for value in words.iter().flat_map(|word| self.fields(word)).collect::<Vec<_>>() {
                    self.world.variables.insert(name.clone(), value);
                    match self.run(body, input) {
                        Outcome::Code(_) => {}
                        other => return other,
                    }
                }
                Outcome::Code(self.last)
            }
            Node::Simple { assignments, words, redirects } => self.simple(assignments, words, redirects, input),
        };
        if let Outcome::Code(code) = outcome {
            self.last = code;
        }
        outcome
    }

    fn pipe(&mut self, nodes: &[Node], input: &str) -> Outcome {
        let mut input = input.to_owned();
        let Some((last, firsts)) = nodes.split_last() else { return Outcome::Code(0) };
        for node in firsts {
            let (outcome, text) = self.capture(node, &input);
            if outcome == Outcome::Forever {
                return outcome;
            }
            input = text;
        }
        self.run(last, &input)
    }

    fn repeat(&mut self, condition: &Node, body: &Node, until: bool, input: &str) -> Outcome {
        loop {
            let (from, printed) = (self.elapsed, self.printed.len());
            let mut turn = Vec::new();
            match self.run(condition, input) {
                Outcome::Code(code) if (code == 0) != until => {}
                Outcome::Code(_) => return Outcome::Code(0),
                other => return other,
            }
            match self.run(body, input) {
                Outcome::Code(_) => {}
                other => return other,
            }
            // `while true` is told once and then repeats.
            if self.world.foretelling && self.captures == 0 && condition.is_always(!until) {
                turn.extend(self.printed.drain(printed..).map(|(at, line)| (at - from, line)));
                let period = (self.elapsed - from).max(Duration::from_millis(100));
                self.round = Some(Round { from, period, lines: turn });
                return Outcome::Forever;
            }
            if self.budget == 0 {
                return Outcome::Forever;
            }
        }
    }

    fn simple(
        &mut self,
        assignments: &[(String, Word)],
        words: &[Word],
        redirects: &[(char, Word)],
        input: &str,
    ) -> Outcome {
        let values: Vec<(String, String)> =
            assignments.iter().map(|(name, word)| (name.clone(), self.text(word))).collect();
        let words: Vec<String> = words.iter().flat_map(|word| self.fields(word)).collect();
        for (name, value) in values {
            self.world.variables.insert(name, value);
        }
        if words.is_empty() {
            return Outcome::Code(0);
        }
        let mut input = input.to_owned();
        let mut target = None;
        let mut quiet = false;
        for (kind, word) in redirects {
            let path = self.text(word);
            match kind {
                '<' => match self.world.files.get(&self.world.resolve(&path)) {
                    Some(text) => input = text.clone(),
                    None => {
                        self.complain(&format!("sh: can't open {path}: no such file"));
                        return Outcome::Code(1);
                    }
                },
                '2' => quiet = true,
                kind => target = Some((*kind, path)),
            }
        }
        let errors = self.err.len();
        let outcome = if let Some((kind, path)) = target {
            let outer = std::mem::take(&mut self.out);
            self.captures += 1;
            let outcome = self.command(&words, &input);
            self.captures -= 1;
            let text = std::mem::replace(&mut self.out, outer);
            let path = self.world.resolve(&path);
            match path.as_str() {
                "/dev/null" => {}
                "/dev/stdout" | "/dev/stderr" | "/proc/1/fd/1" => self.print(&text),
                _ => {
                    let file = self.world.files.entry(path).or_default();
                    if kind == '>' {
                        file.clear();
                    }
                    file.push_str(&text);
                }
            }
            outcome
        } else {
            self.command(&words, &input)
        };
        if quiet {
            self.err.truncate(errors);
        }
        outcome
    }

    /// Runs one command: the shell's own, then the small programs.
    fn command(&mut self, words: &[String], input: &str) -> Outcome {
        let Some((program, arguments)) = words.split_first() else { return Outcome::Code(0) };
        let known_place = ["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/"];
        let name = known_place.iter().find_map(|place| program.strip_prefix(place)).unwrap_or(program);
        let first = arguments.first().map(String::as_str);
        match name {
            "sh" | "bash" | "ash" | "dash" => {
                // `-c`, also as a part of `-ec` and the like.
                let script = arguments
                    .iter()
                    .position(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'));
                match script.and_then(|at| arguments.get(at + 1)) {
                    Some(script) => match self.line(script) {
                        Outcome::Exit(code) | Outcome::Code(code) => Outcome::Code(code),
                        Outcome::Forever => Outcome::Forever,
                    },
                    None if input.is_empty() => Outcome::Code(0),
                    None => self.line(input),
                }
            }
            "exit" => Outcome::Exit(first.and_then(|code| code.parse::<i32>().ok()).unwrap_or(self.last) & 0xff),
            "command" => match first {
                // `-v` names what would be run; without it, only functions and aliases are passed over, and there are none.
                Some("-v" | "-V") => {
                    let found: Vec<String> = arguments.iter().skip(1).filter_map(|name| builtins::path(name)).collect();
                    let code = if found.len() + 1 == arguments.len() { 0 } else { 127 };
                    self.print(&found.into_iter().map(|path| path + "\n").collect::<String>());
                    Outcome::Code(code)
                }
                Some(_) => self.command(arguments, input),
                None => Outcome::Code(0),
            },
            "exec" if arguments.is_empty() => Outcome::Code(0),
            "exec" if input.is_empty() && matches!(arguments, [shell] if names_shell(shell)) => {
                self.replaced = true;
                Outcome::Exit(0)
            }
            "exec" => match self.command(arguments, input) {
                Outcome::Code(code) => Outcome::Exit(code),
                other => other,
            },
            "sleep" => {
                if matches!(first, Some("infinity" | "inf")) {
                    return Outcome::Forever;
                }
                match first.and_then(duration) {
                    Some(time) => {
                        self.elapsed = self.elapsed.saturating_add(time);
                        Outcome::Code(0)
                    }
                    None => {
                        self.complain("sleep: missing operand");
                        Outcome::Code(1)
                    }
                }
            }
            "cd" => {
                let path = self.world.resolve(first.unwrap_or("/root"));
                if self.world.foretelling || self.world.is_directory(&path) {
                    self.world.directory = path;
                    Outcome::Code(0)
                } else {
                    self.complain(&format!(
                        "sh: cd: can't cd to {}: No such file or directory",
                        first.unwrap_or_default()
                    ));
                    Outcome::Code(2)
                }
            }
            "export" => {
                for word in arguments {
                    let (name, value) = word.split_once('=').map_or_else(
                        || (word.as_str(), self.world.variables.get(word).cloned().unwrap_or_default()),
                        |(name, value)| (name, value.to_owned()),
                    );
                    self.world.export(name, &value);
                }
                Outcome::Code(0)
            }
            "unset" => {
                for word in arguments {
                    self.world.variables.remove(word);
                    self.world.exported.retain(|name| name != word);
                }
                Outcome::Code(0)
            }
            "wait" => Outcome::Forever,
            "trap" | "set" | "umask" | "ulimit" | "alias" | ":" | "true" => Outcome::Code(0),
            "false" => Outcome::Code(1),
            "tail" if arguments.iter().any(|word| matches!(word.as_str(), "-f" | "-F")) => Outcome::Forever,
            "cat" if arguments.is_empty() && self.world.foretelling && input.is_empty() => Outcome::Code(0),
            "env" if !arguments.is_empty() => {
                let split = arguments.iter().position(|word| !word.contains('=')).unwrap_or(arguments.len());
                let (pairs, rest) = arguments.split_at(split);
                for pair in pairs {
                    if let Some((name, value)) = pair.split_once('=') {
                        self.world.export(name, value);
                    }
                }
                if rest.is_empty() { self.command(&["env".to_owned()], input) } else { self.command(rest, input) }
            }
            "timeout" if arguments.len() > 1 => self.command(&arguments[1..], input),
            "time" | "nohup" | "nice" | "tini" | "dumb-init" if !arguments.is_empty() => {
                let skip = usize::from(first == Some("--"));
                self.command(&arguments[skip..], input)
            }
            name => match builtins::run(&mut self.world, name, arguments, input) {
                Some(done) => {
                    if !done.err.is_empty() {
                        self.complain(done.err.trim_end_matches('\n'));
                    }
                    self.print(&done.out);
                    Outcome::Code(done.code)
                }
                None if self.world.foretelling => {
                    self.unknown = true;
                    Outcome::Exit(127)
                }
                None => {
                    self.complain(&format!("sh: {program}: not found"));
                    Outcome::Code(127)
                }
            },
        }
    }

    /// A word expanded, unquoted expansions split into fields.
    fn fields(&mut self, word: &Word) -> Vec<String> {
        let mut fields: Vec<String> = Vec::new();
        let mut open = false;
        for part in word {
            let (text, split) = self.part(part);
            if !split {
                if !open {
                    fields.push(String::new());
                    open = true;
                }
                if let Some(last) = fields.last_mut() {
                    last.push_str(&text);
                }
                continue;
            }
            if text.starts_with(char::is_whitespace) {
                open = false;
            }
            for (index, piece) in text.split_whitespace().enumerate() {
                match fields.last_mut().filter(|_| open && index == 0) {
                    Some(last) => last.push_str(piece),
                    None => fields.push(piece.to_owned()),
                }
                open = true;
            }
            if text.ends_with(char::is_whitespace) {
                open = false;
            }
        }
        fields
    }

    fn text(&mut self, word: &Word) -> String {
        word.iter().map(|part| self.part(part).0).collect()
    }

    /// The text of a part, and whether it splits at blanks.
    fn part(&mut self, part: &Part) -> (String, bool) {
        match part {
            Part::Text(text) => (text.clone(), false),
            Part::Variable { name, default, quoted } => {
                let value = match name.as_str() {
                    "?" => Some(self.last.to_string()),
                    "$" => Some("7".to_owned()),
                    "#" => Some("0".to_owned()),
                    "0" => Some("sh".to_owned()),
                    name => self.world.variables.get(name).cloned(),
                };
                let value = value.filter(|value| default.is_none() || !value.is_empty());
                (value.or_else(|| default.clone()).unwrap_or_default(), !quoted)
            }
            Part::Command { script, quoted } => {
                let text = match parse(script) {
                    Ok(node) => self.capture(&node, "").1,
                    Err(_) => String::new(),
                };
                (text.trim_end_matches('\n').to_owned(), !quoted)
            }
            Part::Arithmetic(expression) => {
                (builtins::arithmetic(expression, &self.world.variables).to_string(), false)
            }
        }
    }
}
