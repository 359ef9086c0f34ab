//! How many streams there may be: each holds a connection and does work as long as it lasts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use berth_core::{Error, Result, recheck};
use berth_types::ErrorCode;
use futures::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Silent streams send a comment after so many rechecks (15 s): proxies cut what is silent for long.
pub(crate) const BEAT: u32 = 5;

/// The places that streams take, in all and for each person.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    per_person: usize,
    people: Arc<Counts>,
}

/// Streams of each person. The lock is held for a moment, never across an await.
#[derive(Default)]
struct Counts(Mutex<HashMap<Uuid, usize>>);

impl Counts {
    fn up(&self, person: Uuid, most: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(person).or_insert(0);
        let fits = *count < most;
        if fits {
            *count += 1;
        }
        fits
    }

    fn down(&self, person: Uuid) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&person) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&person);
            }
        }
    }
}

/// A stream's place, free again when dropped.
pub(crate) struct Place {
    person: Uuid,
    people: Arc<Counts>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.people.down(self.person);
    }
}

impl Places {
    pub(crate) fn new(all: usize, per_person: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_person, people: Arc::default() }
    }

    /// A place for a stream of `person`.
    ///
    /// # Errors
    /// `RateLimited` when there is none.
    pub(crate) fn take(&self, person: Uuid) -> Result<Place> {
        let busy = |message: &'static str| Error::new(ErrorCode::RateLimited, message).retry_after(recheck::EVERY);
        let permit = self.all.clone().try_acquire_owned();
        let permit = permit.map_err(|_| busy("too many streams are open on this server; try again later"))?;
        if !self.people.up(person, self.per_person) {
            return Err(busy("you have too many streams open; close one first"));
        }
        Ok(Place { person, people: self.people.clone(), _permit: permit })
    }
}

/// One server-sent event.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Bytes {
    // JSON holds no line breaks, so one `data:` line is enough.
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// A comment, so that the connection is not silent.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b": still here\n\n");

/// A response that goes on.
pub(crate) fn response(kind: &'static str, body: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Body::from_stream(body.map(Ok::<_, std::convert::Infallible>)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // nginx would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let places = Places::new(3, 2);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = places.take(a);
        let second = places.take(a);
        assert!(first.is_ok() && second.is_ok() && places.take(a).is_err(), "two a person");
        let third = places.take(b);
        assert!(third.is_ok() && places.take(b).is_err(), "three in all");
        drop(first);
        assert!(places.take(a).is_ok());
    }
}
