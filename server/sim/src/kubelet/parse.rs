//! The syntax of the small shell.

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// `$NAME`, `${NAME:-default}`.
    Variable {
        /// Its name.
        name: String,
        /// What stands in for an empty one.
        default: Option<String>,
        /// Inside double quotes.
        quoted: bool,
    },
    /// `$(…)` or backquotes.
    Command {
        /// The script.
        script: String,
        /// Inside double quotes.
        quoted: bool,
    },
    /// `$((…))`
    Arithmetic(String),
}

/// A word before expansion.
pub type Word = Vec<Part>;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// One after the other.
    List(Vec<Node>),
    /// `a && b`
    And(Box<Node>, Box<Node>),
    /// `a || b`
    Or(Box<Node>, Box<Node>),
    /// `! a`
    Not(Box<Node>),
    /// `a | b`
    Pipe(Vec<Node>),
    /// `{ a; }`, `( a )`
    Group(Box<Node>),
    /// `if`, `elif`, `else`
    If(Vec<(Node, Node)>, Option<Box<Node>>),
    /// `while` and `until`
    While {
        /// Looked at before each turn.
        condition: Box<Node>,
        /// A turn.
        body: Box<Node>,
        /// `until` rather than `while`.
        until: bool,
    },
    /// `for x in …`
    For {
        /// The variable.
        name: String,
        /// Its values.
        words: Vec<Word>,
        /// A turn.
        body: Box<Node>,
    },
    /// Assignments, words and redirections.
    Simple {
        /// `A=b`
        assignments: Vec<(String, Word)>,
        /// The command.
        words: Vec<Word>,
        /// `>`, `+` (append), `<`, `2` (errors thrown away).
        redirects: Vec<(char, Word)>,
    },
}

impl Node {
    /// Whether this is `true`, `:` or `false` and so never changes its mind.
    #[must_use]
    pub fn is_always(&self, truth: bool) -> bool {
        match self {
            Self::List(nodes) => matches!(nodes.as_slice(), [only] if only.is_always(truth)),
            Self::Simple { words, .. } => match words.as_slice() {
                [word] => match word.as_slice() {
                    [Part::Text(text)] => {
                        if truth {
                            matches!(text.as_str(), "true" | ":" | "/bin/true")
                        } else {
                            text == "false"
                        }
                    }
                    _ => false,
                },
                [bracket, one, _] => truth && *bracket == [Part::Text("[".into())] && *one == [Part::Text("1".into())],
                _ => false,
            },
            _ => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Word),
    /// An unquoted word that may be a keyword or an assignment.
    Operator(&'static str),
    Redirect(char),
    /// `2>&1` and its like: errors and output are one stream here.
    Merge,
}

/// Reads a script.
///
/// # Errors
/// What was not understood.
pub fn parse(script: &str) -> Result<Node, String> {
    let tokens = tokens(script)?;
    let mut parser = Parser { tokens, at: 0 };
    let node = parser.list(&[])?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(format!("unexpected {}", describe(token))),
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("\"{}\"", literal(word).unwrap_or("word")),
        Token::Operator(text) => format!("\"{}\"", if *text == "\n" { "newline" } else { text }),
        Token::Redirect(_) | Token::Merge => "redirection".to_owned(),
    }
}

fn literal(word: &Word) -> Option<&str> {
    match word.as_slice() {
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn keyword(&self) -> Option<&str> {
        match self.peek()? {
            Token::Word(word) => literal(word),
            _ => None,
        }
    }

    fn take_operator(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Operator(text)) if *text == wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.keyword() == Some(word) {
            self.at += 1;
            return Ok(());
        }
        match self.peek() {
            Some(token) => Err(format!("unexpected {} (expecting \"{word}\")", describe(token))),
            None => Err(format!("unexpected end of file (expecting \"{word}\")")),
        }
    }

    fn list(&mut self, ends: &[&str]) -> Result<Node, String> {
        let mut nodes = Vec::new();
        loop {
            while self.take_operator(";") || self.take_operator("\n") || self.take_operator("&") {}
            match self.peek() {
                None | Some(Token::Operator(")")) => break,
                Some(_) if self.keyword().is_some_and(|word| ends.contains(&word)) => break,
                Some(_) => nodes.push(self.and_or()?),
            }
            match self.peek() {
                Some(Token::Operator(";" | "\n" | "&")) => {}
                _ => break,
            }
        }
        Ok(Node::List(nodes))
    }

    fn and_or(&mut self) -> Result<Node, String> {
        let mut node = self.pipeline()?;
        loop {
            if self.take_operator("&&") {
                while self.take_operator("\n") {}
                node = Node::And(Box::new(node), Box::new(self.pipeline()?));
            } else if self.take_operator("||") {
                while self.take_operator("\n") {}
                node = Node::Or(Box::new(node), Box::new(self.pipeline()?));
            } else {
                return Ok(node);
            }
        }
    }

    fn pipeline(&mut self) -> Result<Node, String> {
        if self.keyword() == Some("!") {
            self.at += 1;
            return Ok(Node::Not(Box::new(self.pipeline()?)));
        }
        let mut nodes = vec![self.command()?];
        while self.take_operator("|") {
            while self.take_operator("\n") {}
            nodes.push(self.command()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Pipe(nodes) })
    }

    fn command(&mut self) -> Result<Node, String> {
        if self.take_operator("(") {
            let node = self.list(&[])?;
            if !self.take_operator(")") {
                return Err("unexpected end of file (expecting \")\")".to_owned());
            }
            return Ok(Node::Group(Box::new(node)));
        }
        match self.keyword() {
            Some("{") => {
                self.at += 1;
                let node = self.list(&["}"])?;
                self.expect("}")?;
                Ok(Node::Group(Box::new(node)))
            }
            Some("if") => {
                self.at += 1;
                let mut branches = Vec::new();
                let mut otherwise = None;
                loop {
                    let condition = self.list(&["then"])?;
                    self.expect("then")?;
                    let body = self.list(&["elif", "else", "fi"])?;
                    branches.push((condition, body));
                    if self.keyword() == Some("elif") {
                        self.at += 1;
                        continue;
                    }
                    if self.keyword() == Some("else") {
                        self.at += 1;
                        otherwise = Some(Box::new(self.list(&["fi"])?));
                    }
                    self.expect("fi")?;
                    return Ok(Node::If(branches, otherwise));
                }
            }
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.at += 1;
                let condition = Box::new(self.list(&["do"])?);
                self.expect("do")?;
                let body = Box::new(self.list(&["done"])?);
                self.expect("done")?;
                Ok(Node::While { condition, body, until })
            }
            Some("for") => {
                self.at += 1;
                let name = self.keyword().ok_or("bad for loop variable")?.to_owned();
                self.at += 1;
                let mut words = Vec::new();
                if self.keyword() == Some("in") {
                    self.at += 1;
                    while let Some(Token::Word(word)) = self.peek() {
                        words.push(word.clone());
                        self.at += 1;
                    }
                }
                while self.take_operator(";") || self.take_operator("\n") {}
                self.expect("do")?;
                let body = Box::new(self.list(&["done"])?);
                self.expect("done")?;
                Ok(Node::For { name, words, body })
            }
            _ => self.simple(),
        }
    }

    fn simple(&mut self) -> Result<Node, String> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match self.peek().cloned() {
                Some(Token::Word(word)) => {
                    self.at += 1;
                    if words.is_empty()
                        && let Some(Part::Text(text)) = word.first()
                        && let Some((name, value)) = text.split_once('=')
                        && is_name(name)
                    {
                        let mut rest = vec![Part::Text(value.to_owned())];
                        rest.extend(word.iter().skip(1).cloned());
                        assignments.push((name.to_owned(), rest));
                    } else {
                        words.push(word);
                    }
                }
                Some(Token::Redirect(kind)) => {
                    self.at += 1;
                    match self.peek().cloned() {
                        Some(Token::Word(word)) => redirects.push((kind, word)),
                        _ => return Err("redirection without a file".to_owned()),
                    }
                    self.at += 1;
                }
                Some(Token::Merge) => self.at += 1,
                other => {
                    if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
                        return Err(other.as_ref().map_or_else(
                            || "unexpected end of file".to_owned(),
                            |token| format!("unexpected {}", describe(token)),
                        ));
                    }
                    return Ok(Node::Simple { assignments, words, redirects });
                }
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn tokens(script: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut lexer = Lexer { chars: script.chars().collect(), at: 0 };
    while let Some(c) = lexer.peek(0) {
        let next = lexer.peek(1);
        let (token, length) = match c {
            '\n' => (Some(Token::Operator("\n")), 1),
            c if c.is_whitespace() => (None, 1),
            '\\' if next == Some('\n') => (None, 2),
            '#' => {
                while lexer.peek(0).is_some_and(|c| c != '\n') {
                    lexer.at += 1;
                }
                (None, 0)
            }
            '&' if next == Some('&') => (Some(Token::Operator("&&")), 2),
            '&' if next == Some('>') => (Some(Token::Redirect('>')), 2),
            '|' if next == Some('|') => (Some(Token::Operator("||")), 2),
            '&' => (Some(Token::Operator("&")), 1),
            '|' => (Some(Token::Operator("|")), 1),
            ';' => (Some(Token::Operator(";")), 1),
            '(' => (Some(Token::Operator("(")), 1),
            ')' => (Some(Token::Operator(")")), 1),
            '1' | '2' if next == Some('>') && lexer.peek(2) == Some('&') => (Some(Token::Merge), 4),
            '2' if next == Some('>') && lexer.peek(2) == Some('>') => (Some(Token::Redirect('2')), 3),
            '2' if next == Some('>') => (Some(Token::Redirect('2')), 2),
            '>' if next == Some('&') => (Some(Token::Merge), 3),
            '>' if next == Some('>') => (Some(Token::Redirect('+')), 2),
            '>' => (Some(Token::Redirect('>')), 1),
            '<' => (Some(Token::Redirect('<')), 1),
            _ => (Some(Token::Word(lexer.word()?)), 0),
        };
        lexer.at += length;
        out.extend(token);
    }
    Ok(out)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn until(&mut self, end: char) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == end {
                return Ok(out);
            }
            out.push(c);
        }
        Err("unterminated quoted string".to_owned())
    }

    fn word(&mut self) -> Result<Word, String> {
        let mut parts: Word = Vec::new();
        let text = |parts: &mut Word, piece: &str| match parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(piece),
            _ => parts.push(Part::Text(piece.to_owned())),
        };
        while let Some(c) = self.peek(0) {
            match c {
                c if c.is_whitespace() || ";&|()<>".contains(c) => break,
                '\'' => {
                    self.at += 1;
                    let inner = self.until('\'')?;
                    text(&mut parts, &inner);
                }
                '"' => {
                    self.at += 1;
                    text(&mut parts, "");
                    loop {
                        match self.peek(0) {
                            None => return Err("unterminated quoted string".to_owned()),
                            Some('"') => break,
                            Some('\\') if matches!(self.peek(1), Some('"' | '\\' | '$' | '`' | '\n')) => {
                                let escaped = self.peek(1).unwrap_or_default();
                                if escaped != '\n' {
                                    text(&mut parts, &escaped.to_string());
                                }
                                self.at += 2;
                            }
                            Some('$' | '`') => {
                                let part = self.dollar(true)?;
                                match part {
                                    Part::Text(piece) => text(&mut parts, &piece),
                                    part => parts.push(part),
                                }
                            }
                            Some(c) => {
                                text(&mut parts, &c.to_string());
                                self.at += 1;
                            }
                        }
                    }
                    self.at += 1;
                }
                '\\' => {
                    if let Some(escaped) = self.peek(1).filter(|c| *c != '\n') {
                        text(&mut parts, &escaped.to_string());
                    }
                    self.at += 2;
                }
                '$' | '`' => match self.dollar(false)? {
                    Part::Text(piece) => text(&mut parts, &piece),
                    part => parts.push(part),
                },
                c => {
                    text(&mut parts, &c.to_string());
                    self.at += 1;
                }
            }
        }
        Ok(parts)
    }

    fn dollar(&mut self, quoted: bool) -> Result<Part, String> {
        if self.peek(0) == Some('`') {
            self.at += 1;
            return Ok(Part::Command { script: self.until('`')?, quoted });
        }
        self.at += 1;
        match self.peek(0) {
            Some('(') if self.peek(1) == Some('(') => {
                self.at += 2;
                let inner = self.balanced(2)?;
                Ok(Part::Arithmetic(inner.trim_end_matches(')').to_owned()))
            }
            Some('(') => {
                self.at += 1;
                Ok(Part::Command { script: self.balanced(1)?, quoted })
            }
            Some('{') => {
                self.at += 1;
                let inner = self.until('}')?;
                let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once('-')) {
                    Some((name, default)) => (name.to_owned(), Some(default.trim_matches('"').to_owned())),
                    None => (inner, None),
                };
                Ok(Part::Variable { name, default, quoted })
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek(0).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                Ok(Part::Variable { name, default: None, quoted })
            }
            Some(c) if "?$#0123456789@*!".contains(c) => {
                self.at += 1;
                Ok(Part::Variable { name: c.to_string(), default: None, quoted })
            }
            _ => Ok(Part::Text("$".to_owned())),
        }
    }

    /// The text up to the bracket that closes `depth` open ones.
    fn balanced(&mut self, mut depth: u32) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(out);
            }
            out.push(c);
        }
        Err("unexpected end of file (expecting \")\")".to_owned())
    }
}
