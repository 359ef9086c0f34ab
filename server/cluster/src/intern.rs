//! One copy of every string that many rows share: namespaces, nodes, apps, images, reasons.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

/// Hands out shared strings. Those that nobody holds any more are dropped now and then.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    strings: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Interner {
    /// The one copy of `text`.
    pub(crate) fn get(&self, text: &str) -> Arc<str> {
        let mut inner = self.inner.lock();
        if let Some(found) = inner.strings.get(text) {
            return found.clone();
        }
        if inner.strings.len() >= inner.sweep_at {
            inner.strings.retain(|s| Arc::strong_count(s) > 1);
            inner.sweep_at = (inner.strings.len() * 2).max(1024);
        }
        let new: Arc<str> = text.into();
        inner.strings.insert(new.clone());
        new
    }

    /// The one copy of `text`, if there is text.
    pub(crate) fn some(&self, text: Option<&str>) -> Option<Arc<str>> {
        text.filter(|t| !t.is_empty()).map(|t| self.get(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_forgets() {
        let interner = Interner::default();
        let a = interner.get("node-1");
        assert!(Arc::ptr_eq(&a, &interner.get("node-1")));
        for i in 0..5000 {
            drop(interner.get(&format!("gone-{i}")));
        }
        assert!(interner.inner.lock().strings.len() <= 1025);
        assert!(Arc::ptr_eq(&a, &interner.get("node-1")));
    }
}
