//! Keeping the store in a folder: an append-only journal, and snapshots that let it start anew.
//!
//! Every record is `length (u32) | CRC-32 (u32) | JSON`, little-endian. A torn tail of the last journal is cut off: what it
//! held was never confirmed. Damage that whole records follow is refused. One thread writes and syncs whatever has gathered since its last
//! turn, so that many writers share one sync. The room that a record needs is reserved on the disk before the store takes the change, so that a
//! full disk refuses writes instead of letting memory run ahead of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use flate2::Crc;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch as signal;

use super::{Change, GroupResource, Journal, Object, Store, WeakStore};

/// A journal of this size is replaced by a snapshot, if it is also larger than the snapshot before: what is written
/// stays in proportion to what changes.
const ROTATE_AT: u64 = 64 * 1024 * 1024;
/// How far the revision jumps at a restart, past any that a watch may have seen and no disk has.
const RESTART_GAP: u64 = 1000;
/// Between two tries of a journal that cannot be written.
const RETRY: Duration = Duration::from_secs(1);
/// How much room is reserved at a time.
const CHUNK: u64 = 1024 * 1024;
/// What removals may use when all else is refused: on a full disk one must be able to clean up.
const MARGIN: u64 = 64 * 1024;
/// No record is longer.
const MAX_RECORD: u32 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    revision: u64,
    #[serde(borrow)]
    group: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    resource: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    key: std::borrow::Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    object: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    /// Revision that the snapshot shows.
    revision: u64,
    /// The first journal that goes on from it.
    journal: u64,
}

/// Bytes before the payload of a record.
const FRAME: u64 = 8;

fn frame(out: &mut Vec<u8>, payload: &[u8]) {
    let mut crc = Crc::new();
    crc.update(payload);
    out.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(crc.sum().to_le_bytes());
    out.extend(payload);
}

fn record(revision: u64, resource: &GroupResource, key: &str, object: Option<&Object>) -> Vec<u8> {
    let raw = object.and_then(|object| serde_json::from_slice::<&RawValue>(object.bytes()).ok());
    let record = Record {
        revision,
        group: resource.group.as_ref().into(),
        resource: resource.resource.as_ref().into(),
        key: key.into(),
        object: raw,
    };
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The records of a file up to the first damaged one, and where that is.
fn frames(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    while let (Some(length), Some(sum)) = (word(at), word(at + 4)) {
        if length > MAX_RECORD {
            break;
        }
        let Some(payload) = bytes.get(at + 8..at + 8 + length as usize) else { break };
        let mut crc = Crc::new();
        crc.update(payload);
        if crc.sum() != sum {
            break;
        }
        out.push(payload);
        at += 8 + length as usize;
    }
    (out, at)
}

/// Whether a whole record stands behind the damage at `at`: then it is no torn tail, and what was confirmed is lost.
fn goes_on(bytes: &[u8], at: usize) -> bool {
    const BEGIN: &[u8] = b"{\"revision\":";
    let rest = bytes.get(at + 1..).unwrap_or_default();
    let begins = rest.windows(BEGIN.len()).enumerate().filter(|(_, window)| *window == BEGIN);
    begins.filter_map(|(offset, _)| (at + 1 + offset).checked_sub(8)).any(|start| {
        let Some(length) = bytes.get(start..start + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes) else {
            return false;
        };
        start > at && bytes.get(start..start + 8 + length as usize).is_some_and(|frame| frames(frame).1 == frame.len())
    })
}

fn journal_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("journal-{number:08}"))
}

/// Reads a folder into a store and keeps it there from now on. The folder is made when missing; only one process
/// may have it.
///
/// # Errors
/// When the folder cannot be read or written, when another process holds it, or when a snapshot is damaged.
pub fn open(folder: &Path, store: &Store) -> io::Result<()> {
    // Secrets are in it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"))?;
    lock.try_lock().map_err(|_| io::Error::other("another process is using this folder"))?;

    let (mut revision, first) = load_snapshot(folder, store)?;
    let mut numbers: Vec<u64> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("journal-")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    for stale in numbers.iter().filter(|number| **number < first) {
        fs::remove_file(journal_path(folder, *stale))?;
    }
    numbers.retain(|number| *number >= first);
    let base = revision;
    for number in &numbers {
        let path = journal_path(folder, *number);
        let bytes = fs::read(&path)?;
        let (records, good) = frames(&bytes);
        if good < bytes.len() {
            if goes_on(&bytes, good) {
                let message = format!("{} is damaged at byte {good}, and whole records follow", path.display());
                return Err(io::Error::other(message));
            }
            tracing::warn!(path = %path.display(), lost = bytes.len() - good, "cutting off a torn tail");
        }
        // Also gives back what was reserved behind the end.
        OpenOptions::new().write(true).open(&path)?.set_len(good as u64)?;
        for payload in records {
            let Ok(record) = serde_json::from_slice::<Record<'_>>(payload) else { continue };
            revision = revision.max(record.revision);
            if record.revision > base {
                replay(store, &record);
            }
        }
    }
    store.load(if numbers.is_empty() && revision == 0 { 1 } else { revision + RESTART_GAP }, []);
    let number = numbers.last().map_or(first, |last| last + 1);
    let file = create(&journal_path(folder, number))?;
    let snapshot = fs::metadata(folder.join("snapshot")).map_or(0, |found| found.len());
    let writer =
        Writer { folder: folder.to_owned(), file, number, size: 0, snapshot, store: store.downgrade(), _lock: lock };
    store.attach(Arc::new(FileJournal::start(writer)?));
    Ok(())
}

fn replay(store: &Store, record: &Record<'_>) {
    let resource = GroupResource::owned(record.group.as_ref(), record.resource.as_ref());
    match record.object {
        Some(raw) => {
            let object = Object::from_bytes(Bytes::copy_from_slice(raw.get().as_bytes()), record.revision);
            store.load(0, [(resource, record.key.to_string(), object)]);
        }
        None => store.unload(&resource, &record.key),
    }
}

/// The revision of the snapshot and the number of the first journal after it.
fn load_snapshot(folder: &Path, store: &Store) -> io::Result<(u64, u64)> {
    let path = folder.join("snapshot");
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 1)),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::other(format!("{} is damaged", path.display()));
    let (records, good) = frames(&bytes);
    if good != bytes.len() {
        return Err(damaged());
    }
    let (header, rows) = records.split_first().ok_or_else(damaged)?;
    let header: Header = serde_json::from_slice(header).map_err(|_| damaged())?;
    for payload in rows {
        let row: Record<'_> = serde_json::from_slice(payload).map_err(|_| damaged())?;
        replay(store, &row);
    }
    Ok((header.revision, header.journal))
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

struct Queue {
    bytes: Vec<u8>,
    revision: u64,
    stopped: bool,
    room: Room,
}

/// What is reserved of the disk for a journal.
struct Room {
    file: File,
    /// Where the journal will end once all that was taken is written.
    end: u64,
    /// Up to where the file has its blocks.
    reserved: u64,
}

impl Room {
    /// Room in a new journal for `taken` bytes that are on their way.
    fn new(file: &File, taken: u64) -> io::Result<Self> {
        let mut room = Self { file: file.try_clone()?, end: 0, reserved: 0 };
        match room.take(taken, 0) {
            true => Ok(room),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// Takes room for `length` bytes if so much and `margin` more can be had.
    fn take(&mut self, length: u64, margin: u64) -> bool {
        let fits = self.holds(length + margin);
        if fits {
            self.end += length;
        }
        fits
    }

    fn holds(&mut self, length: u64) -> bool {
        let wanted = self.end + length;
        if wanted > self.reserved {
            let mut to = wanted + CHUNK;
            let mut outcome = self.reserve(to);
            if outcome.is_err() {
                to = wanted;
                outcome = self.reserve(to);
            }
            self.reserved = match outcome {
                Ok(()) => to,
                Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT | rustix::io::Errno::FBIG) => return false,
                // This file system cannot reserve: the writer waits for room then.
                Err(_) => u64::MAX,
            };
        }
        true
    }

    fn reserve(&self, to: u64) -> rustix::io::Result<()> {
        rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, to)
    }
}

/// The journal of a store in a folder. Dropping it writes out what is left.
struct FileJournal {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    durable: signal::Sender<u64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FileJournal {
    fn start(mut writer: Writer) -> io::Result<Self> {
        let room = Room::new(&writer.file, 0)?;
        let queue = Queue { bytes: Vec::new(), revision: 0, stopped: false, room };
        let queue = Arc::new((Mutex::new(queue), Condvar::new()));
        let durable = signal::Sender::new(0);
        let (inbox, done) = (queue.clone(), durable.clone());
        let thread = thread::Builder::new().name("sim-journal".into()).spawn(move || {
            loop {
                let (bytes, revision) = {
                    let mut queue = inbox.0.lock();
                    while queue.bytes.is_empty() && !queue.stopped {
                        inbox.1.wait(&mut queue);
                    }
                    if queue.bytes.is_empty() {
                        return;
                    }
                    (std::mem::take(&mut queue.bytes), queue.revision)
                };
                let mut failed = false;
                while let Err(error) = writer.write(&bytes) {
                    // Nothing is confirmed meanwhile: callers wait, as they would for a hung disk.
                    if !std::mem::replace(&mut failed, true) {
                        tracing::error!(%error, "the journal cannot be written; trying again until it can");
                    }
                    let mut queue = inbox.0.lock();
                    if queue.stopped {
                        return;
                    }
                    inbox.1.wait_for(&mut queue, RETRY);
                }
                if failed {
                    tracing::info!("the journal can be written again");
                }
                done.send_replace(revision);
                if writer.size > ROTATE_AT.max(writer.snapshot)
                    && let Err(error) = writer.rotate(|file| {
                        let mut queue = inbox.0.lock();
                        queue.room = Room::new(file, queue.bytes.len() as u64)?;
                        Ok(())
                    })
                {
                    tracing::error!(%error, "no snapshot could be made");
                }
            }
        })?;
        Ok(Self { queue, durable, thread: Some(thread) })
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.queue.0.lock().stopped = true;
        self.queue.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Journal for FileJournal {
    fn append(&self, change: &Change<'_>) -> bool {
        let payload = record(change.revision, change.resource, change.key, change.object);
        let mut queue = self.queue.0.lock();
        let margin = if change.object.is_some() { MARGIN } else { 0 };
        if !queue.room.take(payload.len() as u64 + FRAME, margin) {
            return false;
        }
        frame(&mut queue.bytes, &payload);
        queue.revision = change.revision;
        drop(queue);
        self.queue.1.notify_one();
        true
    }

    fn has_room(&self) -> bool {
        self.queue.0.lock().room.holds(2 * MARGIN)
    }

    fn durable(&self) -> signal::Receiver<u64> {
        self.durable.subscribe()
    }

    fn pending(&self) -> u64 {
        self.queue.0.lock().revision
    }
}

struct Writer {
    folder: PathBuf,
    file: File,
    number: u64,
    size: u64,
    /// Size of the latest snapshot.
    snapshot: u64,
    /// Weak: the store owns its journal.
    store: WeakStore,
    _lock: File,
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A half of it may stand there from the last try.
        if self.file.metadata()?.len() != self.size {
            self.file.set_len(self.size)?;
        }
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Starts a new journal, then writes what the store holds beside it. A crash in between leaves both journals.
    fn rotate(&mut self, reserve: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let path = journal_path(&self.folder, self.number + 1);
        let file = create(&path)?;
        if let Err(error) = reserve(&file) {
            fs::remove_file(path)?;
            return Err(error);
        }
        self.file = file;
        self.number += 1;
        self.size = 0;
        let Some(store) = self.store.upgrade() else { return Ok(()) };
        let (revision, rows) = store.export();
        drop(store);
        let draft = self.folder.join("snapshot.tmp");
        let written = self.snapshot_to(&draft, revision, rows);
        if written.is_err() {
            // On a full disk every byte counts.
            let _ = fs::remove_file(&draft);
        }
        written?;
        fs::rename(&draft, self.folder.join("snapshot"))?;
        File::open(&self.folder)?.sync_all()?;
        for number in (1..self.number).rev() {
            let path = journal_path(&self.folder, number);
            if !path.exists() {
                break;
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn snapshot_to(
        &mut self,
        draft: &Path,
        revision: u64,
        rows: Vec<(GroupResource, String, super::ObjectRef)>,
    ) -> io::Result<()> {
        let mut out =
            BufWriter::new(OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(draft)?);
        let mut buffer = Vec::new();
        let header = Header { revision, journal: self.number };
        frame(&mut buffer, &serde_json::to_vec(&header)?);
        for (resource, key, object) in rows {
            frame(&mut buffer, &record(object.revision(), &resource, &key, Some(&object)));
            out.write_all(&buffer)?;
            buffer.clear();
        }
        out.write_all(&buffer)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        self.snapshot = file.metadata()?.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    const PODS: GroupResource = GroupResource::new("", "pods");

    #[tokio::test]
    async fn a_restart_finds_what_was_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let revision = {
            let store = Store::new();
            open(folder.path(), &store).unwrap();
            store.create(&PODS, "ns", "a", json!({"metadata": {"name": "a"}})).unwrap();
            store.create(&PODS, "ns", "b", json!({"metadata": {"name": "b"}})).unwrap();
            store.remove(&PODS, "ns", "a", None).unwrap();
            store.durable(store.revision()).await;
            assert!(open(folder.path(), &Store::new()).is_err(), "one process at a time");
            store.detach();
            store.revision()
        };
        // A torn tail: half a record.
        let journal = journal_path(folder.path(), 1);
        let mut bytes = fs::read(&journal).unwrap();
        bytes.extend([9, 0, 0, 0, 1, 2]);
        fs::write(&journal, bytes).unwrap();
        let store = Store::new();
        open(folder.path(), &store).unwrap();
        assert!(store.get(&PODS, "ns", "a").is_none());
        assert_eq!(store.get(&PODS, "ns", "b").unwrap()["metadata"]["resourceVersion"], "3");
        assert!(store.revision() > revision);
        assert!(store.watch(&PODS, revision).is_err(), "history does not survive");
    }

    #[tokio::test]
    async fn damage_in_the_middle_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        {
            let store = Store::new();
            open(folder.path(), &store).unwrap();
            for name in ["a", "b", "c"] {
                store.create(&PODS, "ns", name, json!({"metadata": {"name": name}})).unwrap();
            }
            store.durable(store.revision()).await;
            store.detach();
        }
        let journal = journal_path(folder.path(), 1);
        let whole = fs::read(&journal).unwrap();
        assert_eq!(fs::metadata(&journal).unwrap().permissions().mode() & 0o777, 0o600, "secrets are in it");
        // In the head and in the body of the first record, then in the last one.
        for (at, refused) in [(0, true), (5, true), (30, true), (whole.len() - 3, false)] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&journal, &bytes).unwrap();
            let store = Store::new();
            assert_eq!(open(folder.path(), &store).is_err(), refused, "{at}");
            store.detach();
        }
    }

    #[tokio::test]
    async fn a_snapshot_replaces_journals() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new();
        store.create(&PODS, "ns", "a", json!({"metadata": {"name": "a"}})).unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        let file = create(&journal_path(folder.path(), 1)).unwrap();
        let mut writer = Writer {
            folder: folder.path().to_owned(),
            file,
            number: 1,
            size: 0,
            snapshot: 0,
            store: store.downgrade(),
            _lock: lock,
        };
        writer.rotate(|_| Ok(())).unwrap();
        assert!(!journal_path(folder.path(), 1).exists());
        drop(writer);
        let again = Store::new();
        open(folder.path(), &again).unwrap();
        assert_eq!(again.get(&PODS, "ns", "a").unwrap()["metadata"]["name"], "a");
        let snapshot = folder.path().join("snapshot");
        let mut bytes = fs::read(&snapshot).unwrap();
        again.detach();
        bytes[20] ^= 1;
        fs::write(&snapshot, bytes).unwrap();
        assert!(open(folder.path(), &Store::new()).is_err(), "a damaged snapshot is refused, not half read");
    }
}
