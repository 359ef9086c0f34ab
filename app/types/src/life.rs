//! Where a tenant or a namespace is in its life, when it is not simply in use.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::role::words;

words!(
    /// Why nothing runs and nothing can be changed.
    HaltKind {
        /// The platform put the tenant to rest.
        Suspended = "suspended",
        /// The tenant is being removed: until then it can be taken back.
        TenantLeaving = "tenant-leaving",
        /// The namespace is being removed: until then it can be taken back.
        NamespaceLeaving = "namespace-leaving",
    }
);

/// Who stopped something, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Who: a person's name, or `system:…`.
    pub by: String,
    /// Why, in their words; may be empty where something is removed.
    pub reason: String,
    /// When it is gone for good; absent where it is not removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Nothing runs, and nothing can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Halt {
    /// Why that is.
    pub kind: HaltKind,
    /// Who, when, for which reason.
    #[serde(flatten)]
    pub mark: Mark,
}

impl Halt {
    /// What holds of several: being removed weighs more than being suspended, the tenant more than the namespace.
    #[must_use]
    pub fn of(suspended: Option<Mark>, tenant_leaves: Option<Mark>, namespace_leaves: Option<Mark>) -> Option<Self> {
        [
            (HaltKind::TenantLeaving, tenant_leaves),
            (HaltKind::NamespaceLeaving, namespace_leaves),
            (HaltKind::Suspended, suspended),
        ]
        .into_iter()
        .find_map(|(kind, mark)| mark.map(|mark| Self { kind, mark }))
    }

    /// Whether it is to be removed by now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.kind != HaltKind::Suspended && self.mark.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mark(reason: &str, until: Option<&str>) -> Option<Mark> {
        let at = "2026-11-20T08:00:00Z".parse().unwrap();
        Some(Mark { at, by: "root".into(), reason: reason.into(), until: until.map(|t| t.parse().unwrap()) })
    }

    #[test]
    fn what_weighs_most() {
        for (suspended, tenant, namespace, want) in [
            (None, None, None, None),
            (mark("s", None), None, None, Some(HaltKind::Suspended)),
            (mark("s", None), None, mark("n", None), Some(HaltKind::NamespaceLeaving)),
            (mark("s", None), mark("t", None), mark("n", None), Some(HaltKind::TenantLeaving)),
        ] {
            assert_eq!(Halt::of(suspended, tenant, namespace).map(|halt| halt.kind), want);
        }
    }

    #[test]
    fn when_it_is_due() {
        let until = "2026-11-27T08:00:00Z";
        let (before, at) = ("2026-11-27T07:59:59Z".parse().unwrap(), until.parse().unwrap());
        let leaving = Halt::of(None, mark("t", Some(until)), None).unwrap();
        assert!(!leaving.is_due(before) && leaving.is_due(at));
        assert!(!Halt::of(mark("s", Some(until)), None, None).unwrap().is_due(at), "nothing that rests is removed");
        let json = serde_json::to_value(&leaving).unwrap();
        assert_eq!((&json["kind"], &json["until"]), (&"tenant-leaving".into(), &until.into()));
        assert_eq!(serde_json::from_value::<Halt>(json).unwrap(), leaving);
    }
}
