//! Connections to Postgres that are lent and given back.
//!
//! Not sqlx's pool: that talks to the server whenever a connection is given back, without a limit, and keeps its place
//! meanwhile (<https://github.com/transact-rs/sqlx/issues/4349>). A server that hangs would take one place after the other, for ever.
//! Here a connection is given back only when it is known to be whole: one whose statement was not waited for, or broke off,
//! is closed, and nobody waits for that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgDatabaseError, PgSeverity},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A connection that rested for longer is tried before it is used; asking each time would double the round trips.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// How long that may take. Of several that rest, one that does not answer speaks for all.
const TRIAL: Duration = Duration::from_millis(500);
/// How long undoing a transaction may take that was given up, and closing a connection in peace.
const FAREWELL: Duration = Duration::from_secs(2);
/// A connection is not used for longer: the server keeps memory for each, and a name may lead elsewhere by now.
const LIFETIME: Duration = Duration::from_mins(30);

/// The connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    connect: PgConnectOptions,
    /// What every connection is told first.
    settings: String,
    /// How long a place, and then a connection, is waited for.
    patience: Duration,
    places: Arc<Semaphore>,
    /// The last that was given back is lent first, so that few are in use.
    resting: Mutex<Vec<Resting>>,
}

struct Resting {
    connection: PgConnection,
    born: Instant,
    /// Until when it is used without being tried first.
    trusted: Instant,
}

/// A connection that is lent; given back when dropped, if it is whole.
pub(crate) struct Lent {
    connection: Option<PgConnection>,
    born: Instant,
    /// Nothing is under way, and the server has not said that it ends it.
    whole: bool,
    /// A transaction is open.
    pub(crate) open: bool,
    pool: Pool,
    /// `None` once it is on its way back.
    place: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(crate) fn new(connect: PgConnectOptions, settings: String, count: u32, patience: Duration) -> Self {
        let count = usize::try_from(count.max(1)).unwrap_or(1);
        let (places, resting) = (Arc::new(Semaphore::new(count)), Mutex::default());
        Self(Arc::new(Inner { connect, settings, patience, places, resting }))
    }

    /// A connection that answered not long ago, or a new one.
    pub(crate) async fn lend(&self) -> sqlx::Result<Lent> {
        let place = tokio::time::timeout(self.0.patience, self.0.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let (connection, born) = match self.rested().await {
            Some(rested) => rested,
            None => (self.connect().await?, Instant::now()),
        };
        Ok(Lent {
            connection: Some(connection),
            born,
            whole: true,
            open: false,
            pool: self.clone(),
            place: Some(place),
        })
    }

    async fn rested(&self) -> Option<(PgConnection, Instant)> {
        loop {
            let Resting { mut connection, born, trusted } = self.resting().pop()?;
            if Instant::now() < trusted {
                return Some((connection, born));
            }
            match tokio::time::timeout(TRIAL, connection.ping()).await {
                Ok(Ok(())) => return Some((connection, born)),
                // This one was closed; another may not be.
                Ok(Err(_)) => {}
                // The server, or the way to it, is not what it was. Trying them all would take too long.
                Err(_) => self.resting().clear(),
            }
        }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let made = async {
            let mut connection = self.0.connect.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(self.0.settings.clone())).execute(&mut connection).await?;
            Ok(connection)
        };
        let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(self.0.patience, made).await.map_err(late).flatten()
    }

    /// Held for a moment, never across an await.
    fn resting(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.0.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, connection: PgConnection, born: Instant) {
        if born.elapsed() < LIFETIME && !self.0.places.is_closed() {
            self.resting().push(Resting { connection, born, trusted: Instant::now() + TRUSTED_FOR });
        }
    }

    /// One was broken: the others may be, too.
    fn distrust(&self) {
        let now = Instant::now();
        for resting in self.resting().iter_mut() {
            resting.trusted = now;
        }
    }

    /// Lends nothing more, and ends what rests.
    pub(crate) async fn close(self) {
        self.0.places.close();
        let resting = std::mem::take(&mut *self.resting());
        let farewell = async {
            for Resting { connection, .. } in resting {
                let _ = connection.close().await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

impl Lent {
    /// The connection, to ask it something; what it says goes through [`Self::heard`]. Whoever does not wait for that has broken it.
    pub(crate) fn ask(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.whole = false;
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Notes whether it can go on after what came back.
    pub(crate) fn heard<T>(&mut self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        self.whole = match &answer {
            Ok(_) => true,
            Err(sqlx::Error::Database(cause)) => {
                let severity = cause.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
                severity.is_some_and(|severity| !matches!(severity, PgSeverity::Panic | PgSeverity::Fatal))
            }
            Err(_) => false,
        };
        answer
    }

    /// A statement without values.
    pub(crate) async fn say(&mut self, text: &'static str) -> sqlx::Result<()> {
        let said = sqlx::raw_sql(text).execute(self.ask()?).await;
        self.heard(said).map(drop)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take().filter(|_| self.whole) else { return self.pool.distrust() };
        let (pool, born) = (self.pool.clone(), self.born);
        if !self.open {
            return pool.rest(connection, born);
        }
        // Its locks go when it is undone, or when the server sees that the connection has gone.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let place = self.place.take();
        runtime.spawn(async move {
            let mut connection = connection;
            let undo = sqlx::raw_sql("ROLLBACK").execute(&mut connection);
            if let Ok(Ok(_)) = tokio::time::timeout(FAREWELL, undo).await {
                pool.rest(connection, born);
            }
            drop(place);
        });
    }
}
