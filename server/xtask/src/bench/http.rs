//! As much of HTTP/1.1 as a load generator needs: one connection, kept open, answers counted as they come over the wire.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// Longer than any answer that would still be a figure.
const PATIENCE: Duration = Duration::from_secs(60);
/// The header that names the server.
const LOOPBACK: &str = "host: 127.0.0.1\r\n";

/// A request, ready to be sent again and again.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A GET as a browser sends it.
    pub fn get(path: &str, cookie: &str) -> Self {
        Self::text("GET", path, &[("accept", "text/html"), ("accept-encoding", "br, gzip"), ("cookie", cookie)], "")
    }

    /// A GET of the REST API, compressed where the server likes.
    pub fn get_json(path: &str, token: &str) -> Self {
        let token = format!("Bearer {token}");
        Self::text("GET", path, &[("accept-encoding", "br, gzip"), ("authorization", &token)], "")
    }

    /// A GET of the cluster, through `kubectl proxy`.
    pub fn of_cluster(path: &str) -> Self {
        Self::text("GET", path, &[], "")
    }

    /// An event stream as a browser opens it.
    pub fn events(path: &str, cookie: &str) -> Self {
        Self::text("GET", path, &[("accept", "text/event-stream"), ("cookie", cookie)], "")
    }

    /// A form as a browser sends it.
    pub fn form(path: &str, cookie: &str, origin: &str, fields: &[(&str, &str)]) -> Self {
        let body = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&");
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie), ("origin", origin)];
        Self::text("POST", path, &headers, &body)
    }

    /// A call of the REST API.
    pub fn json(method: &str, path: &str, token: &str, body: &serde_json::Value) -> Self {
        let token = format!("Bearer {token}");
        Self::text(method, path, &[("content-type", "application/json"), ("authorization", &token)], &body.to_string())
    }

    /// The same, for a server that is known by that name.
    #[must_use]
    pub fn with_host(self, host: &str) -> Self {
        let text = String::from_utf8_lossy(&self.bytes).replacen(LOOPBACK, &format!("host: {host}\r\n"), 1);
        Self { bytes: text.into_bytes() }
    }

    fn text(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("{method} {path} HTTP/1.1\r\n{LOOPBACK}");
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        Self { bytes: format!("{text}\r\n{body}").into_bytes() }
    }
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it was sent: compressed, where it was.
    pub body: Vec<u8>,
}

impl Answer {
    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `name=value` of every cookie that it sets and that has a value.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let set = self.headers.iter().filter(|(key, _)| key == "set-cookie");
        set.filter_map(|(_, value)| value.split(';').next()).filter(|pair| !pair.ends_with('='))
    }

    /// The body as text, unpacked.
    ///
    /// # Errors
    /// It is no UTF-8, or packed in a way that is not known here.
    pub fn text(&self) -> Result<String> {
        let plain = match self.header("content-encoding") {
            None => self.body.clone(),
            Some("br") => {
                let mut plain = Vec::new();
                brotli::Decompressor::new(self.body.as_slice(), 1 << 16).read_to_end(&mut plain)?;
                plain
            }
            Some(other) => bail!("unexpected content-encoding {other}"),
        };
        Ok(String::from_utf8(plain)?)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects on loopback.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(port: u16) -> Result<Self> {
        Self::to(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn to(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no HTTP.
    pub fn send(&mut self, request: &Request) -> Result<Answer> {
        self.stream.get_mut().write_all(&request.bytes)?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut answer = Answer { status: status.with_context(|| format!("not HTTP: {first}"))?, ..Answer::default() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').with_context(|| format!("not a header: {line}"))?;
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            while self.chunk(&mut answer.body)? {}
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse()?;
            self.exact(length, &mut answer.body)?;
        }
        Ok(answer)
    }

    /// Sends it and leaves the answer to [`Self::until`].
    ///
    /// # Errors
    /// The connection broke.
    pub fn begin(&mut self, request: &Request) -> Result<()> {
        Ok(self.stream.get_mut().write_all(&request.bytes)?)
    }

    /// Reads on until a line has all of `words`; false when nothing came for `silence`.
    ///
    /// # Errors
    /// The connection was closed.
    pub fn until(&mut self, words: &[&str], silence: Duration) -> Result<bool> {
        self.stream.get_ref().set_read_timeout(Some(silence))?;
        loop {
            match self.line() {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return Ok(true),
                Ok(_) => {}
                Err(e) if e.downcast_ref::<std::io::Error>().is_some() => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    /// False after the last one.
    fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let line = self.line()?;
        let length = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
            .with_context(|| format!("not a chunk: {line}"))?;
        self.exact(length, body)?;
        self.line()?;
        Ok(length > 0)
    }

    fn exact(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])?;
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

/// For the value of a form's field.
fn encode(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() { out.push(char::from(byte)) } else { out += &format!("%{byte:02X}") }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reads_answers_of_either_kind_on_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: a=b; Path=/\r\nset-cookie: gone=; Max-Age=0\r\n\r\nabc",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n",
                "HTTP/1.1 303 See Other\r\ncontent-length: 0\r\nlocation: /x\r\n\r\n",
            ] {
                while !lines.next().unwrap().unwrap().is_empty() {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut connection = Connection::open(port).unwrap();
        let request = Request::get("/", "");
        let first = connection.send(&request).unwrap();
        assert_eq!((first.status, first.text().unwrap().as_str()), (200, "abc"));
        assert_eq!(first.cookies().collect::<Vec<_>>(), ["a=b"]);
        assert_eq!(connection.send(&request).unwrap().text().unwrap(), "abc");
        let last = connection.send(&request).unwrap();
        assert_eq!((last.status, last.header("location"), last.body.len()), (303, Some("/x"), 0));
        server.join().unwrap();
    }

    #[test]
    fn names_the_server() {
        let request = Request::get("/x", "").with_host("berth.test");
        assert!(String::from_utf8(request.bytes).unwrap().starts_with("GET /x HTTP/1.1\r\nhost: berth.test\r\naccept"));
    }

    #[test]
    fn fields_are_encoded() {
        let request = Request::form("/x", "", "http://h", &[("a", "ö &="), ("b", "1")]);
        assert!(String::from_utf8(request.bytes).unwrap().ends_with("\r\n\r\na=%C3%B6%20%26%3D&b=1"));
    }
}
