//! The rows of one kind, by namespace and name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::{RwLock, RwLockReadGuard};
use serde::de::DeserializeOwned;

use super::{query::Column, tally::Tally};
use crate::intern::Interner;

/// A row as it comes from the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Entry<R> {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    /// `metadata.resourceVersion`, which the API promises to be a growing number (KEP-5504).
    pub(crate) version: u64,
    pub(crate) row: R,
}

/// What the cache keeps of a kind.
pub(crate) trait Record: Sized + PartialEq + Send + Sync + 'static {
    /// As much of the object as is read.
    type Wire: DeserializeOwned + Send;
    /// Rows that are kept a namespace at most; the oldest by [`Self::age`] go first.
    const MOST: Option<usize> = None;
    /// Whether rows are found by app.
    const BY_APP: bool = false;
    /// The columns whose values are counted, if any.
    const COUNTED: &'static [Column<Self>] = &[];

    /// Makes the row; `None` for an object without what every object has.
    fn decode(wire: Self::Wire, strings: &Interner) -> Option<Entry<Self>>;
    /// The app that it belongs to.
    fn app(&self) -> Option<&Arc<str>>;
    /// Takes over what only the row before it knows.
    fn inherit(&mut self, _version: u64, _former: Option<&Self>) {}
    /// For [`Self::MOST`]: larger is younger.
    fn age(&self) -> i64 {
        0
    }
}

/// A row with its version.
#[derive(Debug)]
pub(crate) struct Stored<R> {
    pub(crate) version: u64,
    pub(crate) row: R,
}

/// The rows of a namespace.
#[derive(Debug)]
pub(crate) struct Space<R> {
    /// Boxed: rows that come in the order of their names leave the tree's nodes half empty.
    rows: BTreeMap<Arc<str>, Box<Stored<R>>>,
    by_app: BTreeSet<(Arc<str>, Arc<str>)>,
    tally: Tally,
}

impl<R: Record> Space<R> {
    fn new() -> Self {
        Self { rows: BTreeMap::new(), by_app: BTreeSet::new(), tally: Tally::default() }
    }

    /// All, by name.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.values().map(|stored| &stored.row)
    }

    /// The one called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Stored<R>> {
        self.rows.get(name).map(|stored| &**stored)
    }

    /// Those of an app, by name.
    pub(crate) fn of_app(&self, app: &str) -> impl Iterator<Item = (&Arc<str>, &Stored<R>)> {
        let app: Arc<str> = app.into();
        let from = (app.clone(), Arc::from(""));
        self.by_app
            .range(from..)
            .take_while(move |(of, _)| *of == app)
            .filter_map(|(_, name)| self.rows.get_key_value(name).map(|(name, stored)| (name, &**stored)))
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn insert(&mut self, name: Arc<str>, version: u64, row: R) {
        let app = row.app().cloned();
        self.tally.add(R::COUNTED, &row);
        let former = self.rows.insert(name.clone(), Box::new(Stored { version, row }));
        if let Some(former) = &former {
            self.tally.remove(R::COUNTED, &former.row);
        }
        if R::BY_APP {
            let before = former.as_ref().and_then(|f| f.row.app());
            if before != app.as_ref() {
                if let Some(before) = before {
                    self.by_app.remove(&(before.clone(), name.clone()));
                }
                if let Some(app) = app {
                    self.by_app.insert((app, name));
                }
            }
        }
        if let Some(most) = R::MOST
            && self.rows.len() > most + most / 4
        {
            let mut ages: Vec<i64> = self.rows.values().map(|s| s.row.age()).collect();
            let (_, oldest, _) = ages.select_nth_unstable(self.rows.len() - most);
            let oldest = *oldest;
            let tally = &mut self.tally;
            self.rows.retain(|_, s| {
                let stays = s.row.age() >= oldest;
                if !stays {
                    tally.remove(R::COUNTED, &s.row);
                }
                stays
            });
            let rows = &self.rows;
            self.by_app.retain(|(_, name)| rows.contains_key(name));
        }
    }

    fn remove(&mut self, name: &str) -> Option<Box<Stored<R>>> {
        let (name, former) = self.rows.remove_entry(name)?;
        self.tally.remove(R::COUNTED, &former.row);
        if let Some(app) = former.row.app().filter(|_| R::BY_APP) {
            self.by_app.remove(&(app.clone(), name));
        }
        Some(former)
    }
}

/// Namespace and app of a row that changed.
pub(crate) type Changed = (Arc<str>, Option<Arc<str>>);

#[derive(Debug)]
struct Inner<R> {
    spaces: HashMap<Arc<str>, Space<R>>,
    /// The newest version that the watch has told of.
    seen: u64,
}

/// All rows of a kind in a cluster.
#[derive(Debug)]
pub(crate) struct Store<R> {
    inner: RwLock<Inner<R>>,
}

impl<R> Default for Store<R> {
    fn default() -> Self {
        Self { inner: RwLock::new(Inner { spaces: HashMap::new(), seen: 0 }) }
    }
}

/// A namespace's rows, locked against changes while it is read.
pub(crate) struct SpaceRef<'a, R>(RwLockReadGuard<'a, Inner<R>>, Arc<str>);

impl<R: Record> SpaceRef<'_, R> {
    /// The rows, if the namespace has any.
    pub(crate) fn get(&self) -> Option<&Space<R>> {
        self.0.spaces.get(&self.1)
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.get().map_or(0, Space::len)
    }

    /// What the rows have in common.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.get().map(|space| &space.tally)
    }

    /// All rows, by name.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &R> {
        self.get().into_iter().flat_map(Space::rows)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.get().into_iter().flat_map(|space| space.rows.keys())
    }
}

impl<R: Record> Store<R> {
    /// The rows of a namespace.
    pub(crate) fn space(&self, namespace: &Arc<str>) -> SpaceRef<'_, R> {
        SpaceRef(self.inner.read(), namespace.clone())
    }

    /// Something about one row.
    pub(crate) fn with<T>(&self, namespace: &str, name: &str, read: impl FnOnce(&Stored<R>) -> T) -> Option<T> {
        self.inner.read().spaces.get(namespace)?.get(name).map(read)
    }

    /// Changes one row in place: anything but the app of rows that are found by it.
    pub(crate) fn edit(&self, namespace: &str, name: &str, edit: impl FnOnce(&mut R)) {
        let mut inner = self.inner.write();
        let Some(space) = inner.spaces.get_mut(namespace) else { return };
        if let Some(stored) = space.rows.get_mut(name) {
            space.tally.remove(R::COUNTED, &stored.row);
            edit(&mut stored.row);
            space.tally.add(R::COUNTED, &stored.row);
        }
    }

    /// Looks at every row, with its namespace.
    pub(crate) fn each(&self, mut look: impl FnMut(&str, &R)) {
        for (namespace, space) in &self.inner.read().spaces {
            space.rows().for_each(|row| look(namespace, row));
        }
    }

    /// How many rows there are in all.
    pub(crate) fn len(&self) -> usize {
        self.inner.read().spaces.values().map(Space::len).sum()
    }

    /// Every namespace and name.
    pub(crate) fn names(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let inner = self.inner.read();
        let all = inner.spaces.iter();
        all.flat_map(|(namespace, space)| space.rows.keys().map(|name| (namespace.clone(), name.clone()))).collect()
    }

    /// Drops everything; the next list begins anew.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.write();
        inner.spaces = HashMap::new();
        inner.seen = 0;
    }

    /// Takes in what the watch tells; what changed for those who look.
    pub(crate) fn apply(&self, entry: Entry<R>) -> Option<Changed> {
        let mut inner = self.inner.write();
        inner.seen = inner.seen.max(entry.version);
        put(&mut inner, entry)
    }

    /// Takes in what a write of our own answered, at once; the watch will tell the same later, or has told more already.
    pub(crate) fn put_own(&self, entry: Entry<R>) -> Option<Changed> {
        let mut inner = self.inner.write();
        let known = inner.spaces.get(&entry.namespace).is_some_and(|space| space.rows.contains_key(&entry.name));
        if !known && entry.version <= inner.seen {
            return None; // deleted since
        }
        put(&mut inner, entry)
    }

    /// Takes out what the watch says is gone.
    pub(crate) fn remove(&self, entry: &Entry<R>) -> Option<Changed> {
        let mut inner = self.inner.write();
        inner.seen = inner.seen.max(entry.version);
        let space = inner.spaces.get_mut(&entry.namespace)?;
        if space.get(&entry.name)?.version > entry.version {
            return None; // made anew since
        }
        let former = space.remove(&entry.name)?;
        if space.rows.is_empty() {
            inner.spaces.remove(&entry.namespace);
        }
        Some((entry.namespace.clone(), former.row.app().cloned()))
    }

    /// Notes how far the watch has come.
    pub(crate) fn seen(&self, version: u64) {
        let mut inner = self.inner.write();
        inner.seen = inner.seen.max(version);
    }

    /// Puts a whole list in the place of all rows, in one step: no reader sees a half of it. Writes of our own that are newer
    /// than the list stay, unless the cluster's history went back (restored from a backup).
    pub(crate) fn replace(&self, entries: Vec<Entry<R>>, version: u64) -> HashSet<Changed> {
        let mut changed: HashSet<Changed> = HashSet::new();
        let mut fresh: HashMap<Arc<str>, Space<R>> = HashMap::new();
        let mut inner = self.inner.write();
        let went_back = version < inner.seen;
        for mut entry in entries {
            let former = inner.spaces.get_mut(&entry.namespace).and_then(|space| space.remove(&entry.name));
            let space = fresh.entry(entry.namespace.clone()).or_insert_with(Space::new);
            match former {
                Some(former) if former.version > entry.version && !went_back => {
                    space.insert(entry.name, former.version, former.row);
                }
                former => {
                    entry.row.inherit(entry.version, former.as_ref().filter(|_| !went_back).map(|f| &f.row));
                    if former.as_ref().is_none_or(|f| f.row != entry.row) {
                        changed.insert((entry.namespace, entry.row.app().cloned()));
                    }
                    space.insert(entry.name, entry.version, entry.row);
                }
            }
        }
        for (namespace, space) in std::mem::take(&mut inner.spaces) {
            for (name, stored) in space.rows {
                if stored.version > version && !went_back {
                    let space = fresh.entry(namespace.clone()).or_insert_with(Space::new);
                    space.insert(name, stored.version, stored.row);
                } else {
                    changed.insert((namespace.clone(), stored.row.app().cloned()));
                }
            }
        }
        inner.spaces = fresh;
        inner.seen = version;
        changed
    }
}

/// Leaves the youngest of a list that is still coming in, as many a namespace as are kept at all: of fifty thousand events
/// all but some would only be held to be dropped. Dear, so to be called seldom.
pub(crate) fn trim<R: Record>(entries: &mut Vec<Entry<R>>) {
    let Some(most) = R::MOST else { return };
    let mut ages: HashMap<Arc<str>, Vec<i64>> = HashMap::new();
    for entry in entries.iter() {
        ages.entry(entry.namespace.clone()).or_default().push(entry.row.age());
    }
    ages.retain(|_, ages| ages.len() > most);
    let oldest: HashMap<Arc<str>, i64> = ages
        .into_iter()
        .map(|(namespace, mut ages)| {
            let at = ages.len() - most;
            (namespace, *ages.select_nth_unstable(at).1)
        })
        .collect();
    entries.retain(|e| oldest.get(&e.namespace).is_none_or(|oldest| e.row.age() >= *oldest));
}

fn put<R: Record>(inner: &mut Inner<R>, mut entry: Entry<R>) -> Option<Changed> {
    let space = inner.spaces.entry(entry.namespace.clone()).or_insert_with(Space::new);
    let former = space.get(&entry.name);
    if former.is_some_and(|f| f.version >= entry.version && entry.version > 0) {
        return None;
    }
    entry.row.inherit(entry.version, former.map(|f| &f.row));
    let same = former.is_some_and(|f| f.row == entry.row);
    let app = entry.row.app().cloned();
    space.insert(entry.name, entry.version, entry.row);
    (!same).then_some((entry.namespace, app))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Note(i64, Option<Arc<str>>);

    impl Record for Note {
        type Wire = ();
        const MOST: Option<usize> = Some(8);
        const BY_APP: bool = true;
        fn decode((): (), _: &Interner) -> Option<Entry<Self>> {
            None
        }
        fn app(&self) -> Option<&Arc<str>> {
            self.1.as_ref()
        }
        fn age(&self) -> i64 {
            self.0
        }
    }

    fn entry(name: &str, version: u64, value: i64) -> Entry<Note> {
        Entry { namespace: "n".into(), name: name.into(), version, row: Note(value, Some("a".into())) }
    }

    fn values(store: &Store<Note>) -> Vec<i64> {
        store.space(&"n".into()).rows().map(|n| n.0).collect()
    }

    #[test]
    fn never_older_over_newer() {
        let store = Store::default();
        assert!(store.put_own(entry("x", 10, 1)).is_some());
        assert!(store.apply(entry("x", 9, 0)).is_none());
        assert!(store.apply(entry("x", 10, 1)).is_none());
        assert!(store.remove(&entry("x", 9, 0)).is_none());
        assert_eq!(values(&store), [1]);
        assert!(store.apply(entry("x", 11, 1)).is_none(), "nothing to see");
        assert!(store.remove(&entry("x", 12, 1)).is_some());
        assert!(store.put_own(entry("x", 10, 1)).is_none(), "a late answer brings nothing back");
        assert!(values(&store).is_empty());
    }

    #[test]
    fn relist_keeps_our_newer_writes() {
        let store = Store::default();
        store.apply(entry("gone", 5, 1));
        store.apply(entry("old", 6, 1));
        store.put_own(entry("ours", 30, 1));
        let changed = store.replace(vec![entry("old", 6, 1), entry("new", 19, 1)], 20);
        assert_eq!(changed.len(), 1, "one app of one namespace");
        let space = store.space(&"n".into());
        let names: Vec<&str> = space.get().expect("rows").rows.keys().map(|name| &**name).collect();
        assert_eq!(names, ["new", "old", "ours"]);
        let of_app = space.get().expect("rows").of_app("a").count();
        assert_eq!(of_app, 3);
    }

    #[test]
    fn relist_after_the_history_went_back() {
        let store = Store::default();
        store.apply(entry("x", 100, 1));
        store.apply(entry("y", 101, 1));
        store.replace(vec![entry("x", 7, 2)], 8);
        assert_eq!(values(&store), [2]);
    }

    #[test]
    fn a_list_is_bounded_while_it_comes() {
        let mut list: Vec<_> = (0..100_u32).map(|i| entry(&format!("e{i}"), 1, i64::from(i * 37 % 100))).collect();
        list.push(Entry { namespace: "other".into(), ..entry("alone", 1, -1) });
        trim(&mut list);
        let mut ages: Vec<i64> = list.iter().map(|e| e.row.age()).collect();
        ages.sort_unstable();
        assert_eq!(ages, [-1, 92, 93, 94, 95, 96, 97, 98, 99]);
    }

    #[test]
    fn bounded() {
        let store = Store::default();
        for i in 0..100_u32 {
            store.apply(entry(&format!("e{i:03}"), u64::from(i) + 1, i64::from(i)));
        }
        let left = values(&store);
        assert!(left.len() <= 10 && left.contains(&99), "{left:?}");
    }
}
