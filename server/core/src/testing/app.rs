//! One app of the fake cluster.

use std::sync::Arc;

use berth_types::{
    AppPhase, AppSpec, AppStatus, ErrorCode,
    app_status::ComponentStatus,
    headroom::LimitDefaults,
    rows::{AppRow, AppView, RevisionRow},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::AppObject,
};

/// An app as the fake cluster keeps it.
pub(super) struct App {
    pub(super) object: Value,
    pub(super) revisions: Vec<RevisionRow>,
    pub(super) changed_at: Timestamp,
}

impl App {
    pub(super) fn view(&self) -> AppView {
        let meta = &self.object["metadata"];
        let text = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
        AppView {
            name: text("name"),
            kube_namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            generation: meta["generation"].as_i64().unwrap_or_default(),
            created_at: text("creationTimestamp").parse().unwrap(),
            deleting_since: text("deletionTimestamp").parse().ok(),
            spec: serde_json::from_value(self.object["spec"].clone()).unwrap(),
            status: serde_json::from_value(self.object["status"].clone()).unwrap(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn found(&self) -> AppObject {
        AppObject { view: self.view(), object: Arc::new(self.object.clone()) }
    }

    pub(super) fn row(&self) -> AppRow {
        let view = self.view();
        let wanted = |status: &ComponentStatus| if view.spec.suspended { 0 } else { status.desired };
        AppRow {
            name: view.name.into(),
            kube_namespace: view.kube_namespace.into(),
            phase: view.status.phase,
            cause: view.status.cause.as_ref().map(|c| c.message.as_str().into()),
            cause_code: view.status.cause.as_ref().map(|c| c.code),
            cause_params: view.status.cause.as_ref().map(|c| c.params.clone()).unwrap_or_default(),
            image: view.spec.components.first().map(|c| c.image.as_str()).unwrap_or_default().into(),
            components: view.spec.components.len(),
            ready: view.status.components.iter().map(|c| c.ready).sum(),
            desired: view.status.components.iter().map(wanted).sum(),
            revision: view.status.revision,
            created_at: view.created_at,
            changed_at: self.changed_at,
            deleting: view.deleting_since.is_some(),
        }
    }

    /// A new revision when the spec (but for its scale) is another one.
    pub(super) fn revise(&mut self, by: &OpCtx) {
        let view = self.view();
        let newest = self.revisions.last().map(|r| r.number).unwrap_or_default();
        if self.revisions.last().is_none_or(|last| template(&last.spec) != template(&view.spec)) {
            for old in &mut self.revisions {
                old.current = false;
            }
            self.revisions.push(RevisionRow {
                number: newest + 1,
                created_at: by.now(),
                by: Some(by.actor.to_string()),
                images: view.spec.components.iter().map(|c| c.image.clone()).collect(),
                current: true,
                spec: view.spec.clone(),
            });
            let status = first_status(&view.spec, newest + 1, view.generation);
            self.object["status"] = serde_json::to_value(status).unwrap();
            self.changed_at = by.now();
        }
    }
}

/// A status as a controller would write it before it has looked.
pub(super) fn first_status(spec: &AppSpec, revision: i64, generation: i64) -> AppStatus {
    let components: Vec<ComponentStatus> = spec
        .components
        .iter()
        .map(|c| ComponentStatus {
            name: c.name.clone(),
            phase: if spec.suspended { AppPhase::Suspended } else { AppPhase::Progressing },
            desired: if spec.suspended { 0 } else { c.wanted() },
            image: c.image.clone(),
            ..ComponentStatus::default()
        })
        .collect();
    AppStatus {
        observed_generation: generation,
        phase: if spec.suspended { AppPhase::Suspended } else { AppPhase::Progressing },
        revision,
        components,
        ..AppStatus::default()
    }
}

fn template(spec: &AppSpec) -> AppSpec {
    let mut spec = spec.clone();
    spec.suspended = false;
    for component in &mut spec.components {
        component.replicas = None;
    }
    spec
}

pub(super) fn unchanged(app: &App, resource_version: Option<&str>) -> Result<()> {
    let now = app.object["metadata"]["resourceVersion"].as_str();
    match resource_version {
        Some(version) if now != Some(version) => {
            Err(Error::new(ErrorCode::Conflict, "the app has changed since it was read: read it again"))
        }
        _ => Ok(()),
    }
}

/// What a namespace gives containers that say nothing.
pub(super) fn limit_range() -> LimitDefaults {
    let of = |pairs: [(&str, &str); 2]| pairs.map(|(name, amount)| (name.to_owned(), amount.parse().unwrap())).into();
    LimitDefaults {
        requests: of([("cpu", "100m"), ("memory", "128Mi")]),
        limits: of([("cpu", "1"), ("memory", "512Mi")]),
    }
}
