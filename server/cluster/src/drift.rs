//! What differs while a namespace is kept, and whether Berth or somebody else changed.
//!
//! The namespace bears a digest of everything that Berth wanted when it was last kept whole. While Berth still wants the same,
//! whatever differs is drift; else it may be what Berth is about to change itself.

use berth_core::ports::{cluster::Kept, drifts::Drifted};
use berth_types::drift::DriftKind;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::rest::Kind;

/// What was wanted and found.
#[derive(Default)]
pub(crate) struct Notes {
    wanted: Sha256,
    found: Vec<Drifted>,
    changed: bool,
}

impl Notes {
    /// An object that shall be so.
    pub(crate) fn wants(&mut self, object: &Value) {
        self.wanted.update(object.to_string());
        self.wanted.update(b"\n");
    }

    /// An object that had to be written: `have` is how it was.
    pub(crate) fn wrote(&mut self, kind: Kind, name: &str, have: Option<&Value>) {
        let how = if have.is_some() { DriftKind::Changed } else { DriftKind::Missing };
        self.note(kind, name, how, have);
    }

    /// An object that had to go.
    pub(crate) fn removed(&mut self, kind: Kind, name: &str, have: &Value) {
        self.note(kind, name, DriftKind::Surplus, Some(have));
    }

    /// A change that says nothing of anybody.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    fn note(&mut self, kind: Kind, name: &str, how: DriftKind, have: Option<&Value>) {
        self.changed = true;
        self.found.push(Drifted { object: format!("{} {name}", kind.kind), kind: how, by: have.and_then(hand) });
    }

    /// Of all that was wanted, in the order in which it was.
    pub(crate) fn digest(&self) -> String {
        self.wanted.clone().finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// `before`: the digest that the namespace bore.
    pub(crate) fn kept(self, before: Option<&str>) -> Kept {
        let same = before == Some(self.digest().as_str());
        Kept { changed: self.changed, drift: if same { self.found } else { Vec::new() } }
    }
}

/// Who last had a hand in an object, Berth aside: the name under which the cluster noted the change. Controllers that write a
/// status change nothing that was asked for.
fn hand(have: &Value) -> Option<String> {
    let entries = have["metadata"]["managedFields"].as_array()?;
    let others = entries.iter().filter_map(|entry| {
        let manager = entry["manager"].as_str().filter(|name| !name.starts_with("berth"))?;
        let at: Timestamp = entry["time"].as_str()?.parse().ok()?;
        entry["subresource"].as_str().is_none_or(str::is_empty).then_some((at, manager))
    });
    others.max().map(|(_, manager)| manager.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whose_hand_it_was() {
        let entry = |manager: &str, time: &str, subresource: &str| json!({ "manager": manager, "time": time, "subresource": subresource });
        let of = |entries: Vec<Value>| hand(&json!({ "metadata": { "managedFields": entries } }));
        let ours = entry("berth-controller", "2026-01-03T00:00:00Z", "");
        let edit = entry("kubectl-edit", "2026-01-02T00:00:00Z", "");
        let older = entry("helm", "2026-01-01T00:00:00Z", "");
        let status = entry("kube-controller-manager", "2026-01-04T00:00:00Z", "status");
        assert_eq!(of(vec![ours.clone(), older, edit, status]).as_deref(), Some("kubectl-edit"));
        assert_eq!(of(vec![ours]), None);
        assert_eq!(hand(&json!({})), None);
    }

    #[test]
    fn drift_is_what_differs_from_what_was_kept_before() {
        let notes = |object: &str, differs: bool| {
            let mut notes = Notes::default();
            notes.wants(&json!(object));
            if differs {
                notes.wrote(Kind::QUOTA, "berth", None);
            }
            notes
        };
        let before = notes("a", false).digest();
        assert_eq!(notes("a", false).kept(Some(&before)), Kept::default());
        let drift = notes("a", true).kept(Some(&before));
        assert_eq!((drift.changed, drift.drift.len(), drift.drift[0].kind), (true, 1, DriftKind::Missing));
        for (object, before) in [("b", Some(before.as_str())), ("a", None)] {
            let own = notes(object, true).kept(before);
            assert_eq!(own, Kept { changed: true, drift: Vec::new() }, "{object} {before:?}");
        }
    }
}
