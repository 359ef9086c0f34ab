//! Following the changes of a resource.

use std::{collections::VecDeque, sync::Arc};

use futures::Stream;
use tokio::sync::watch as signal;

use super::{GroupResource, ObjectRef, Store};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The object is new.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone.
    Deleted,
}

/// One change.
#[derive(Debug)]
pub struct Event {
    /// Revision of the change.
    pub revision: u64,
    /// What happened.
    pub kind: EventKind,
    /// To which resource.
    pub resource: GroupResource,
    /// In which namespace; "" for cluster-wide resources.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The object after the change; for a removal its last state, stamped with the removal's revision.
    pub object: ObjectRef,
    /// The object before the change.
    pub previous: Option<ObjectRef>,
}

/// The history does not reach back so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// What was asked for.
    pub requested: u64,
    /// The oldest revision from which a watch may start.
    pub oldest: u64,
}

/// A position in the history. Holds no queue: a slow reader costs nothing and at worst sees [`Expired`].
pub struct Watch {
    store: Store,
    resource: Option<GroupResource>,
    position: u64,
    signal: signal::Receiver<u64>,
    pending: VecDeque<Arc<Event>>,
}

impl Watch {
    pub(super) fn new(
        store: Store,
        resource: Option<GroupResource>,
        from: u64,
        mut signal: signal::Receiver<u64>,
    ) -> Self {
        signal.mark_changed();
        Self { store, resource, position: from, signal, pending: VecDeque::new() }
    }

    /// The revision up to which everything has been handed out.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// All events that have come since the last call; waits for the first. Cancel-safe.
    ///
    /// # Errors
    /// [`Expired`] when the reader fell behind the history.
    pub async fn next_batch(&mut self) -> Result<Vec<Arc<Event>>, Expired> {
        loop {
            let pending: Vec<_> = self.pending.drain(..).collect();
            if !pending.is_empty() {
                return Ok(pending);
            }
            self.signal.borrow_and_update();
            // The store's revision is read together with the events, so the position may move to it:
            // a quiet watch does not age.
            let (revision, events) = self.store.events_since(self.resource.as_ref(), self.position)?;
            self.position = self.position.max(revision);
            if !events.is_empty() {
                return Ok(events);
            }
            if self.signal.changed().await.is_err() {
                // The sender lives in the store, which this watch holds.
                return std::future::pending().await;
            }
        }
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// [`Expired`] when the reader fell behind the history.
    pub async fn next(&mut self) -> Result<Arc<Event>, Expired> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            self.pending = self.next_batch().await?.into();
        }
    }

    /// The events as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Arc<Event>, Expired>> + Send {
        futures::stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            match watch.next().await {
                Ok(event) => Some((Ok(event), Some(watch))),
                Err(expired) => Some((Err(expired), None)),
            }
        })
    }
}
