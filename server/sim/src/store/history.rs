//! What the store remembers of the past, and how it packs what nobody looks at.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::watch as signal;

use super::{Event, Expired, Inner, key_of};

/// How many of the latest events hold their objects as trees, which take several times the room of their text.
pub(super) const WARM: usize = 2048;
/// After how many writes the rows that readers have unpacked since are packed again.
pub(super) const SWEEP: u64 = 4096;
/// Every so many sweeps take in the events, too: only somebody who lags behind unpacks those.
const SWEEP_EVENTS: u64 = 4;

/// The latest events of a resource, or of all.
pub(super) struct History {
    pub events: VecDeque<Arc<Event>>,
    /// Events at or before this revision are forgotten.
    pub floor: u64,
    pub latest: signal::Sender<u64>,
}

impl Default for History {
    fn default() -> Self {
        Self { events: VecDeque::new(), floor: 0, latest: signal::Sender::new(0) }
    }
}

impl History {
    /// Adds an event; the oldest goes when there are `limit`.
    pub fn push(&mut self, event: Arc<Event>, limit: usize) {
        let revision = event.revision;
        if self.events.len() >= limit
            && let Some(old) = self.events.pop_front()
        {
            self.floor = old.revision;
        }
        self.events.push_back(event);
        self.latest.send_replace(revision);
    }

    /// Events after `revision`.
    pub fn since(&self, revision: u64) -> Result<Vec<Arc<Event>>, Expired> {
        if revision < self.floor {
            return Err(Expired { requested: revision, oldest: self.floor });
        }
        let start = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(start..).cloned().collect())
    }
}

impl Inner {
    /// Lets go of the trees of the event that has just ceased to be warm, and of the row that it made if that has not
    /// changed since. They are read again when somebody looks into them, and let go of again some writes later.
    pub(super) fn cool(&mut self) {
        let Some(end) = self.all.events.len().checked_sub(WARM) else { return };
        self.cool_at(end);
        if self.revision < self.swept + SWEEP {
            return;
        }
        self.swept = self.revision;
        if (self.revision / SWEEP).is_multiple_of(SWEEP_EVENTS) {
            for at in 0..end {
                self.cool_at(at);
            }
        }
        let old = self.all.events.get(end).map_or(0, |event| event.revision);
        for row in self.tables.values_mut().flat_map(|table| table.rows.values_mut()) {
            if row.revision() < old && row.is_warm() {
                *row = row.cold();
            }
        }
    }

    fn cool_at(&mut self, at: usize) {
        let warm = |event: &&Arc<Event>| {
            event.object.is_warm() || event.previous.as_ref().is_some_and(|previous| previous.is_warm())
        };
        let Some(event) = self.all.events.get(at).filter(warm).cloned() else { return };
        let cold = Arc::new(Event {
            object: event.object.cold(),
            previous: event.previous.as_ref().map(|previous| previous.cold()),
            revision: event.revision,
            kind: event.kind,
            resource: event.resource.clone(),
            namespace: event.namespace.clone(),
            name: event.name.clone(),
        });
        if let Some(table) = self.tables.get_mut(&event.resource) {
            if let Some(row) = table.rows.get_mut(&key_of(&event.namespace, &event.name))
                && Arc::ptr_eq(row, &event.object)
            {
                *row = cold.object.clone();
            }
            let own = &mut table.history.events;
            if let Ok(place) = own.binary_search_by_key(&event.revision, |own| own.revision) {
                own[place] = cold.clone();
            }
        }
        self.all.events[at] = cold;
    }
}
