//! The way to a server, which can be lost: connections stay, and nothing comes through any more.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};

/// A way to a Postgres server over this machine. What was connected when it was lost stays so for ever, as after a server's move to
/// another machine; what connects once it is found again comes through.
#[derive(Debug, Clone)]
pub struct Way(Arc<State>);

#[derive(Debug)]
struct State {
    to: (String, u16),
    /// Odd: lost. A connection carries as long as it is what it was when the connection was made.
    times: AtomicU64,
    /// Text after which it is lost, once the server has it.
    last_words: Mutex<Option<&'static [u8]>>,
}

impl Way {
    /// A way to the server of `url`, and the URL by it.
    ///
    /// # Errors
    /// No URL; no free port.
    pub fn to(url: &str) -> io::Result<(Self, String)> {
        let server: PgConnectOptions = url.parse().map_err(io::Error::other)?;
        let to = (server.get_host().to_owned(), server.get_port());
        let way = Self(Arc::new(State { to, times: AtomicU64::new(0), last_words: Mutex::default() }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let by = server.host("127.0.0.1").port(listener.local_addr()?.port()).to_url_lossy();
        let state = way.0.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = state.clone();
                thread::spawn(move || state.connected(&client));
            }
        });
        Ok((way, by.to_string()))
    }

    /// Loses it.
    pub fn lose(&self) {
        if !self.is_lost() {
            self.0.times.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Loses it as soon as the server was told `last`: it hears that, and nobody hears its answer.
    pub fn lose_after(&self, last: &'static str) {
        *self.0.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(last.as_bytes());
    }

    /// Whether it is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.times.load(Ordering::SeqCst) % 2 == 1
    }

    /// Finds it again, for new connections.
    pub fn find(&self) {
        if self.is_lost() {
            self.0.times.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl State {
    fn connected(self: &Arc<Self>, client: &TcpStream) {
        let time = self.times.load(Ordering::SeqCst);
        let Ok(server) = TcpStream::connect((self.to.0.as_str(), self.to.1)) else { return };
        let (Ok(asks), Ok(answers)) = (client.try_clone(), server.try_clone()) else { return };
        thread::scope(|scope| {
            scope.spawn(|| self.carry(asks, &server, time, true));
            self.carry(answers, client, time, false);
        });
    }

    /// Carries until one of both ends it; once the way is lost, not even that comes through.
    fn carry(&self, mut from: TcpStream, mut to: &TcpStream, time: u64, asks: bool) {
        let mut buffer = [0; 16 * 1024];
        let lives = || time.is_multiple_of(2) && self.times.load(Ordering::SeqCst) == time;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if !lives() {
                continue;
            }
            if asks && self.are_last(&buffer[..count]) {
                self.times.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if lives() {
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    fn are_last(&self, said: &[u8]) -> bool {
        let mut last = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let found = last.is_some_and(|words| said.windows(words.len()).any(|part| part == words));
        if found {
            *last = None;
        }
        found
    }
}
