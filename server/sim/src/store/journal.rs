//! Keeping the store in a folder: an append-only journal, and snapshots that let it start anew.
//!
//! Every record is `length (u32) | CRC-32 (u32) | JSON`, little-endian. A torn or damaged tail of the last journal
//! is cut off: what it held was never confirmed. One thread writes and syncs whatever has gathered since its last
//! turn, so that many writers share one sync.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
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

fn journal_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("journal-{number:08}"))
}

/// Reads a folder into a store and keeps it there from now on. The folder is made when missing; only one process
/// may have it.
///
/// # Errors
/// When the folder cannot be read or written, when another process holds it, or when a snapshot is damaged.
pub fn open(folder: &Path, store: &Store) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
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
            tracing::warn!(path = %path.display(), lost = bytes.len() - good, "cutting off a torn tail");
            OpenOptions::new().write(true).open(&path)?.set_len(good as u64)?;
        }
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
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    revision: u64,
    stopped: bool,
}

/// The journal of a store in a folder. Dropping it writes out what is left.
struct FileJournal {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    durable: signal::Sender<u64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FileJournal {
    fn start(mut writer: Writer) -> io::Result<Self> {
        let queue = Arc::<(Mutex<Queue>, Condvar)>::default();
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
                if let Err(error) = writer.write(&bytes) {
                    // Writes are no longer confirmed: their callers wait, as they would for a hung disk.
                    tracing::error!(%error, "the journal cannot be written");
                    return;
                }
                done.send_replace(revision);
                if writer.size > ROTATE_AT.max(writer.snapshot)
                    && let Err(error) = writer.rotate()
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
    fn append(&self, change: &Change<'_>) {
        let payload = record(change.revision, change.resource, change.key, change.object);
        let mut queue = self.queue.0.lock();
        frame(&mut queue.bytes, &payload);
        queue.revision = change.revision;
        drop(queue);
        self.queue.1.notify_one();
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
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        self.file.sync_data()
    }

    /// Starts a new journal, then writes what the store holds beside it. A crash in between leaves both journals.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = create(&journal_path(&self.folder, self.number + 1))?;
        self.number += 1;
        self.size = 0;
        let Some(store) = self.store.upgrade() else { return Ok(()) };
        let (revision, rows) = store.export();
        drop(store);
        let draft = self.folder.join("snapshot.tmp");
        let mut out = BufWriter::new(File::create(&draft)?);
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
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
        writer.rotate().unwrap();
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
