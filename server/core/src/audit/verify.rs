//! Whether the log is what was written: walks the chain from its beginning, page by page, and says what the first thing is
//! that does not fit.
//!
//! The chain shows whatever was done to entries in its middle. That its end was cut off together with the row that tells
//! where it ends, or that all of it was written anew, only checkpoints show that were kept where nobody who can write the
//! database reaches them.

use std::fmt;

use berth_types::audit::AuditCheckpoint;

use super::{
    chain::{Head, Record},
    checkpoint,
    key::PublicKey,
};
use crate::{
    error::Result,
    ports::store::{Digest, Slice, Store},
};

/// Entries read at a time.
const PAGE: i64 = 500;
/// Checkpoints read at a time.
const CHECKPOINTS: usize = 500;

/// What was done to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An entry is not what it was.
    Changed,
    /// Entries in the middle or at the beginning are missing.
    Removed,
    /// An entry stands there that was not written as one.
    Inserted,
    /// Entries have changed places.
    Reordered,
    /// The last entries are missing.
    CutOff,
    /// The row that tells where the chain ends is not what it was.
    Head,
    /// A checkpoint proves nothing: its signature is wrong, or it is another installation's.
    Checkpoint,
    /// The log is another one than the one that was signed.
    Rewritten,
}

impl Kind {
    /// As programs read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::CutOff => "cut-off",
            Self::Head => "head",
            Self::Checkpoint => "checkpoint",
            Self::Rewritten => "rewritten",
        }
    }
}

/// The first thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.as_str())]
pub struct Break {
    /// What was done.
    pub kind: Kind,
    /// The number of the entry where it shows.
    pub sequence: i64,
    /// A sentence for people.
    pub message: String,
}

impl Break {
    /// The checkpoint of the entry `sequence`, the newest in the database, proves nothing.
    pub(crate) fn of_checkpoint(sequence: i64, fault: &checkpoint::Fault) -> Self {
        broken(Kind::Checkpoint, sequence, format!("the newest checkpoint of the database proves nothing: {fault}"))
    }
}

fn broken(kind: Kind, sequence: i64, message: impl Into<String>) -> Break {
    Break { kind, sequence, message: message.into() }
}

/// Where a checkpoint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the database itself, at this place.
    Database(i64),
    /// In a file kept elsewhere, on this line.
    File(usize),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(place) => write!(f, "checkpoint {place} of the database"),
            Self::File(line) => write!(f, "the checkpoint on line {line}"),
        }
    }
}

/// A checkpoint whose signature is right, or was not asked about.
#[derive(Debug)]
struct Expected {
    sequence: i64,
    hash: Digest,
    source: Source,
}

/// How far the log was found to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its last entry.
    pub head: Head,
    /// How many checkpoints agree with it.
    pub checkpoints: usize,
    /// The last entry that a checkpoint covers.
    pub covered: i64,
}

/// Walks a chain.
struct Walk {
    last: Head,
    /// By number, those to come last.
    expected: Vec<Expected>,
    met: usize,
    covered: i64,
}

impl Walk {
    /// From the beginning, to meet these checkpoints.
    fn new(
        installation: &str,
        checkpoints: &[(Source, AuditCheckpoint)],
        keys: Option<&[PublicKey]>,
    ) -> Result<Self, Break> {
        let mut expected = Vec::with_capacity(checkpoints.len());
        for (source, one) in checkpoints {
            let hash = checkpoint::check(one, installation, keys)
                .map_err(|fault| broken(Kind::Checkpoint, one.sequence, format!("{source} proves nothing: {fault}")))?;
            expected.push(Expected { sequence: one.sequence, hash, source: *source });
        }
        expected.sort_by_key(|one| std::cmp::Reverse(one.sequence));
        let mut walk = Self { last: Head::genesis(installation), expected, met: 0, covered: 0 };
        walk.meet()?;
        Ok(walk)
    }

    /// Compares the checkpoints of the entry just passed.
    fn meet(&mut self) -> Result<(), Break> {
        while let Some(one) = self.expected.pop_if(|one| one.sequence <= self.last.sequence) {
            if one.sequence != self.last.sequence || one.hash != self.last.hash {
                let message = format!(
                    "{} was signed when entry {} had another hash: the log was written anew",
                    one.source, one.sequence
                );
                return Err(broken(Kind::Rewritten, one.sequence, message));
            }
            self.met += 1;
            self.covered = one.sequence;
        }
        Ok(())
    }

    /// Passes the entries after the last one, of which `slice` holds up to `count`. Whether the chain ended.
    fn pass(&mut self, slice: &Slice, count: i64) -> Result<Option<Whole>, Break> {
        let last = slice.last.unwrap_or(0);
        let Some(head) = &slice.head else {
            return Err(broken(Kind::Head, last, "the row that tells where the log ends is missing"));
        };
        if let Some(first) = slice.first.filter(|first| *first < 1) {
            return Err(broken(Kind::Inserted, first, format!("an entry has the number {first}; they begin with 1")));
        }
        let mut records = slice.records.iter().peekable();
        for sequence in self.last.sequence + 1..=self.last.sequence + count {
            match records.next_if(|record| record.sequence == sequence) {
                Some(_) if sequence > head.sequence => {
                    let message = format!(
                        "entry {sequence} was written after the end, which is entry {}; or the row that tells so was set back",
                        head.sequence
                    );
                    return Err(broken(Kind::Inserted, sequence, message));
                }
                Some(record) => {
                    let hash = record.hash_after(&self.last.hash);
                    if record.hash != hash {
                        return Err(self.explain(&slice.records));
                    }
                    self.last = Head { sequence, hash };
                    self.meet()?;
                }
                None if sequence > head.sequence && last < sequence => return self.end(head).map(Some),
                None if sequence > head.sequence => {
                    let message = format!("entry {last} was written after the end, which is entry {}", head.sequence);
                    return Err(broken(Kind::Inserted, last, message));
                }
                None if last < sequence => {
                    let message = format!("the log ends with entry {}, but had {}", self.last.sequence, head.sequence);
                    return Err(broken(Kind::CutOff, sequence, message));
                }
                None => return Err(self.explain(&slice.records)),
            }
        }
        Ok(None)
    }

    /// What happened to the entry after the last one, which is missing or does not fit. Entries near it help to tell.
    fn explain(&self, near: &[Record]) -> Break {
        let sequence = self.last.sequence + 1;
        let here = near.iter().find(|record| record.sequence == sequence);
        let fits = |record: &&Record| {
            record.sequence != sequence && record.hash_as(&self.last.hash, sequence)[..] == record.hash[..]
        };
        let Some(moved) = near.iter().find(fits) else {
            return match here {
                Some(_) => broken(Kind::Changed, sequence, format!("entry {sequence} is not what was written")),
                None => {
                    let next = near.iter().map(|record| record.sequence).find(|number| *number > sequence);
                    let gap = match next.map(|next| next - 1) {
                        Some(to) if to > sequence => format!("entries {sequence} to {to} are missing"),
                        Some(_) => format!("entry {sequence} is missing"),
                        None => format!("entries from {sequence} on are missing"),
                    };
                    broken(Kind::Removed, sequence, gap)
                }
            };
        };
        let elsewhere = format!("what was written as entry {sequence} is now entry {}", moved.sequence);
        let genuine = |here: &Record| {
            let after = |other: &Record| other.hash.as_slice().try_into().ok();
            near.iter()
                .filter_map(after)
                .any(|previous: Digest| here.hash_as(&previous, moved.sequence)[..] == here.hash[..])
        };
        match here {
            Some(here) if !genuine(here) => {
                broken(Kind::Inserted, sequence, format!("entry {sequence} was never written; {elsewhere}"))
            }
            _ => broken(Kind::Reordered, sequence, elsewhere),
        }
    }

    /// All entries are passed.
    fn end(&mut self, head: &Head) -> Result<Whole, Break> {
        if head.sequence < self.last.sequence {
            let message = format!("the log ends with entry {}, but had {}", head.sequence, self.last.sequence);
            return Err(broken(Kind::CutOff, head.sequence + 1, message));
        }
        if self.last.hash != head.hash {
            let message = "the row that tells where the log ends has another hash than the last entry";
            return Err(broken(Kind::Head, head.sequence, message));
        }
        if let Some(ahead) = self.expected.first() {
            let message = format!(
                "{} was signed when the log had {} entries; now it ends with entry {}",
                ahead.source, ahead.sequence, self.last.sequence
            );
            return Err(broken(Kind::CutOff, self.last.sequence + 1, message));
        }
        Ok(Whole { head: self.last.clone(), checkpoints: self.met, covered: self.covered })
    }
}

/// Verifies the log in `store` against its own checkpoints and those kept elsewhere (`outside`). Without `keys`, no
/// signature is looked at. Entries that are appended meanwhile are verified too.
///
/// # Errors
/// The store's. That the log is not whole is no error.
pub async fn verify(
    store: &dyn Store,
    outside: Vec<(Source, AuditCheckpoint)>,
    keys: Option<&[PublicKey]>,
) -> Result<Result<Whole, Break>> {
    let installation = store.installation().await?;
    let mut checkpoints = outside;
    let mut place = 0;
    loop {
        let page = store.checkpoints_after(place, CHECKPOINTS).await?;
        let Some((last, _)) = page.last() else { break };
        place = *last;
        checkpoints.extend(page.into_iter().map(|(place, one)| (Source::Database(place), one)));
    }
    let walk = match Walk::new(&installation, &checkpoints, keys) {
        Ok(walk) => walk,
        Err(found) => return Ok(Err(found)),
    };
    drop(checkpoints);
    to_the_end(store, walk).await
}

/// Verifies what follows `start`, which is known to be right.
///
/// # Errors
/// The store's. That the log is not whole is no error.
pub async fn verify_after(store: &dyn Store, start: Head) -> Result<Result<Whole, Break>> {
    let covered = start.sequence;
    to_the_end(store, Walk { last: start, expected: Vec::new(), met: 0, covered }).await
}

async fn to_the_end(store: &dyn Store, mut walk: Walk) -> Result<Result<Whole, Break>> {
    loop {
        let slice = store.audit_slice(walk.last.sequence, PAGE).await?;
        match walk.pass(&slice, PAGE) {
            Ok(None) => {}
            Ok(Some(whole)) => return Ok(Ok(whole)),
            Err(found) => return Ok(Err(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ports::store::NewAudit, testing::audit_key};

    const INSTALLATION: &str = "x";

    fn entry(number: i64) -> NewAudit {
        NewAudit {
            id: uuid::Uuid::nil(),
            at: jiff::Timestamp::from_second(1_800_000_000 + number).unwrap(),
            actor: "ann".to_owned(),
            via: "session".to_owned(),
            action: "app.scale".to_owned(),
            target: format!("shop/dev/n{number}"),
            tenant: None,
            outcome: "done",
            reason: None,
            detail: None,
            request_id: String::new(),
            network: String::new(),
        }
    }

    /// A log of `length` entries.
    #[derive(Clone)]
    struct Log {
        records: Vec<Record>,
        head: Option<Head>,
    }

    impl Log {
        fn of(length: i64) -> Self {
            let mut head = Head::genesis(INSTALLATION);
            let mut records = Vec::new();
            for number in 1..=length {
                let record = Record::after(&head, &entry(number));
                head = Head { sequence: number, hash: record.hash.clone().try_into().unwrap() };
                records.push(record);
            }
            Self { records, head: Some(head) }
        }

        fn slice(&self, after: i64, count: i64) -> Slice {
            let mut records = self.records.clone();
            records.sort_by_key(|r| r.sequence);
            Slice {
                head: self.head.clone(),
                first: records.first().map(|r| r.sequence),
                last: records.last().map(|r| r.sequence),
                records: records.into_iter().filter(|r| r.sequence > after && r.sequence <= after + count).collect(),
            }
        }

        fn verify(
            &self,
            checkpoints: &[(Source, AuditCheckpoint)],
            keys: Option<&[PublicKey]>,
            page: i64,
        ) -> Result<Whole, Break> {
            let mut walk = Walk::new(INSTALLATION, checkpoints, keys)?;
            loop {
                if let Some(whole) = walk.pass(&self.slice(walk.last.sequence, page), page)? {
                    return Ok(whole);
                }
            }
        }

        fn tampered(&self, how: impl Fn(&mut Self)) -> Self {
            let mut other = self.clone();
            how(&mut other);
            other
        }
    }

    fn found(log: &Log, page: i64) -> (Kind, i64) {
        let found = log.verify(&[], None, page).unwrap_err();
        (found.kind, found.sequence)
    }

    #[test]
    fn an_untouched_log_is_whole_whatever_the_page() {
        for length in [0, 1, 9, 10, 11, 30] {
            let log = Log::of(length);
            for page in [1, 10, 500] {
                let whole = log.verify(&[], None, page).unwrap();
                assert_eq!((whole.head, whole.covered), (log.head.clone().unwrap(), 0), "{length} by {page}");
            }
        }
    }

    #[test]
    fn what_is_done_to_entries_is_named() {
        let log = Log::of(12);
        let renumber = |log: &mut Log, from: i64, by: i64| {
            log.records.iter_mut().filter(|r| r.sequence >= from).for_each(|r| r.sequence += by);
        };
        let cases: Vec<(&str, Log, Kind, i64)> = vec![
            ("edited", log.tampered(|l| l.records[4].actor = "bob".to_owned()), Kind::Changed, 5),
            ("hash edited", log.tampered(|l| l.records[4].hash[0] ^= 1), Kind::Changed, 5),
            ("hash cut", log.tampered(|l| l.records[4].hash.truncate(31)), Kind::Changed, 5),
            ("first deleted", log.tampered(|l| drop(l.records.remove(0))), Kind::Removed, 1),
            ("middle deleted", log.tampered(|l| drop(l.records.drain(4..7))), Kind::Removed, 5),
            (
                "middle deleted, gap closed",
                log.tampered(|l| {
                    l.records.remove(4);
                    renumber(l, 6, -1);
                }),
                Kind::Changed,
                5,
            ),
            ("last deleted", log.tampered(|l| drop(l.records.pop())), Kind::CutOff, 12),
            ("all deleted", log.tampered(|l| l.records.clear()), Kind::CutOff, 1),
            (
                "neighbours swapped",
                log.tampered(|l| {
                    l.records[4].sequence = 6;
                    l.records[5].sequence = 5;
                }),
                Kind::Reordered,
                5,
            ),
            (
                "distant ones swapped",
                log.tampered(|l| {
                    l.records[4].sequence = 9;
                    l.records[8].sequence = 5;
                }),
                Kind::Reordered,
                5,
            ),
            ("one moved to the end", log.tampered(|l| l.records[4].sequence = 13), Kind::Reordered, 5),
            (
                "inserted",
                log.tampered(|l| {
                    renumber(l, 5, 1);
                    l.records.push(Record { sequence: 5, ..l.records[7].clone() });
                }),
                Kind::Inserted,
                5,
            ),
            (
                "inserted before the first",
                log.tampered(|l| l.records.push(Record { sequence: 0, ..l.records[0].clone() })),
                Kind::Inserted,
                0,
            ),
            (
                "appended without the head",
                log.tampered(|l| l.records.push(Record::after(&l.head.clone().unwrap(), &entry(13)))),
                Kind::Inserted,
                13,
            ),
            (
                "appended far away",
                log.tampered(|l| l.records.push(Record { sequence: 40, ..l.records[0].clone() })),
                Kind::Inserted,
                40,
            ),
            ("head removed", log.tampered(|l| l.head = None), Kind::Head, 12),
            ("head edited", log.tampered(|l| l.head.as_mut().unwrap().hash[0] ^= 1), Kind::Head, 12),
            ("head ahead", log.tampered(|l| l.head.as_mut().unwrap().sequence = 14), Kind::CutOff, 13),
            ("head behind", log.tampered(|l| l.head.as_mut().unwrap().sequence = 11), Kind::Inserted, 12),
        ];
        for (what, log, kind, sequence) in cases {
            assert_eq!(found(&log, 500), (kind, sequence), "{what}");
            // Small pages show less of what is near, but never less than that something is wrong.
            for page in [1, 3] {
                assert!(log.verify(&[], None, page).is_err(), "{what} by {page}");
            }
        }
    }

    #[test]
    fn only_checkpoints_show_a_tail_cut_off_with_its_head_and_a_log_written_anew() {
        let log = Log::of(12);
        let key = audit_key();
        let keys = [key.public().clone()];
        let at = jiff::Timestamp::UNIX_EPOCH;
        let sign = |log: &Log| checkpoint::sign(&key, INSTALLATION, log.head.as_ref().unwrap(), at);
        let kept = [(Source::File(2), sign(&log)), (Source::File(1), sign(&Log::of(7)))];
        let whole = log.verify(&kept, Some(&keys), 5).unwrap();
        assert_eq!((whole.checkpoints, whole.covered), (2, 12));
        let longer = Log::of(13).verify(&kept, Some(&keys), 5).unwrap();
        assert_eq!((longer.checkpoints, longer.covered, longer.head.sequence), (2, 12, 13));

        let cut = Log::of(11);
        assert!(cut.verify(&[], None, 5).is_ok(), "nothing in it tells");
        let found = cut.verify(&kept, Some(&keys), 5).unwrap_err();
        assert_eq!((found.kind, found.sequence), (Kind::CutOff, 12));
        assert!(found.message.contains("line 2"), "{found}");

        let mut head = Head::genesis(INSTALLATION);
        let mut anew = Log { records: Vec::new(), head: None };
        for number in 1..=12 {
            let record = Record::after(&head, &NewAudit { actor: "bob".to_owned(), ..entry(number) });
            head = Head { sequence: number, hash: record.hash.clone().try_into().unwrap() };
            anew.records.push(record);
        }
        anew.head = Some(head);
        assert!(anew.verify(&[], None, 5).is_ok(), "nothing in it tells");
        let found = anew.verify(&kept, Some(&keys), 5).unwrap_err();
        assert_eq!((found.kind, found.sequence), (Kind::Rewritten, 7));

        let forged =
            [(Source::Database(1), checkpoint::sign(&audit_key(), INSTALLATION, &anew.head.clone().unwrap(), at))];
        assert!(anew.verify(&forged, None, 5).is_ok(), "without the key nobody can tell");
        assert_eq!(anew.verify(&forged, Some(&keys), 5).unwrap_err().kind, Kind::Checkpoint);
    }

    #[test]
    fn another_installation_s_log_does_not_pass() {
        let mut head = Head::genesis("y");
        let record = Record::after(&head, &entry(1));
        head = Head { sequence: 1, hash: record.hash.clone().try_into().unwrap() };
        let log = Log { records: vec![record], head: Some(head) };
        assert_eq!(found(&log, 500), (Kind::Changed, 1));
    }
}
