//! A portal as its users have it: a process of its own, asked over TCP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

pub const BERTH: &str = env!("CARGO_BIN_EXE_berth");

/// Dropping it is `kill -9`.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Server {
    _process: Process,
    pub address: String,
}

impl Server {
    /// Starts `berth` so that it listens on a free port.
    pub fn start<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(BERTH);
        command.args(arguments).args(["--listen", "127.0.0.1:0", "--log", "error"]).stdout(Stdio::piped());
        // Settings of the test's own: Berth would take them for its.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"BERTH_")) {
            command.env_remove(name);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let address = first.split("http://").nth(1).map(str::to_owned);
        // Read to the end, so that it never blocks on what nobody reads.
        std::thread::spawn(move || for _ in lines {});
        Self { _process: Process(child), address: address.expect(&first) }
    }

    /// Status and answer, head and all.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: berth\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        // Whole, as clients send it.
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    /// Status and page, as a browser with this cookie gets it.
    #[allow(dead_code, reason = "not every test looks at pages")]
    pub fn get(&self, path: &str, cookie: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: berth\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), answer)
    }

    /// Sends a form that must be answered by a redirect; the session cookie that it sets.
    fn form(&self, path: &str, cookie: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: berth\r\nconnection: close\r\ncookie: {cookie}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 303"), "{path}: {answer}");
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: berth-plain="));
        set.and_then(|value| value.split(';').next()).map(|value| format!("berth-plain={value}")).unwrap_or_default()
    }

    /// Chooses a password for the account `name`; `made` is what making it printed, which ends with a one-time password. Signed in
    /// by the cookie that it answers.
    pub fn choose_password(&self, name: &str, made: &str) -> String {
        let password = made.trim().rsplit(' ').next().unwrap();
        let cookie = self.form("/sign-in", "", &format!("name={name}&password={password}"));
        let new = format!("current={password}&new=correct+horse+battery&again=correct+horse+battery");
        match self.form("/password", &cookie, &new) {
            kept if kept.is_empty() => cookie,
            new => new,
        }
    }
}

/// How many people, how many times: `1000x100` in the variable of that name.
#[allow(dead_code, reason = "not every test has a scale")]
pub fn scale(variable: &str, otherwise: &str) -> (usize, usize) {
    let wanted = std::env::var(variable).ok();
    let parts = wanted.as_deref().unwrap_or(otherwise).split_once('x');
    let parts = parts.and_then(|(people, rounds)| Some((people.parse().ok()?, rounds.parse().ok()?)));
    parts.unwrap_or_else(|| panic!("{variable} is {otherwise}, say"))
}

/// What `berth admin …` prints.
pub fn admin(arguments: &[&str], database: &[&str]) -> String {
    let out = Command::new(BERTH).arg("admin").args(arguments).args(database).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
