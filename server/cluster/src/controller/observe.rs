//! Details of an app that is not well: read on demand, since few apps are.

use std::{collections::HashMap, time::Duration};

use berth_core::Result;
use berth_types::{
    app_status::{AppStatus, CauseCode},
    rows::EventRow,
};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{App, Controller};
use crate::{
    diagnose::Logs,
    error::Target,
    meta,
    rest::{Kind, bounded, get, query},
};

/// Lines that are looked at.
const TAIL: &str = "25";
/// Bytes that are looked at.
const BYTES: &str = "16384";
/// Pods whose logs are looked at.
const PODS: usize = 3;
/// Logs that are remembered.
const REMEMBERED: usize = 500;

/// Lines of containers that ended, by pod uid, container and restart: they never change.
#[derive(Default)]
pub(super) struct LogCache(Mutex<HashMap<(String, String, i32), Vec<String>>>);

/// What diagnosing needs beyond the cache.
#[derive(Default)]
pub(super) struct Details {
    pub(super) replica_sets: Vec<ReplicaSet>,
    pub(super) pods: Vec<Pod>,
    pub(super) events: Vec<EventRow>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

impl Controller {
    /// Pods, ReplicaSets and events of an app.
    pub(super) async fn details(&self, app: &App) -> Result<Details> {
        let selector = format!("{}={}", meta::APP, app.name);
        let target = Target::new("the app", &app.name);
        let path = |kind: Kind| query(&kind.within(&app.namespace), &[("labelSelector", &selector)]);
        let (pods, sets) = (path(Kind::POD), path(Kind::REPLICA_SET));
        let (pods, sets) = tokio::join!(
            self.rest.get::<List<Pod>>(&target, &pods),
            self.rest.get::<List<ReplicaSet>>(&target, &sets),
        );
        let (pods, replica_sets) = (pods?.items, sets?.items);
        let name = |meta: &ObjectMeta| meta.name.clone().unwrap_or_default();
        let about: std::collections::HashSet<String> = pods
            .iter()
            .map(|p| format!("Pod/{}", name(&p.metadata)))
            .chain(replica_sets.iter().map(|r| format!("ReplicaSet/{}", name(&r.metadata))))
            .collect();
        let space = self.cache.events.space(&app.namespace);
        let events = space.rows().filter(|e| about.contains(&*e.row.object)).map(|e| e.row.clone()).collect();
        Ok(Details { replica_sets, pods, events })
    }

    /// The last lines of containers that crash, where the cause is in them. Best effort: without, the cause is less precise.
    pub(super) async fn logs_wanted(&self, app: &App, status: &AppStatus, details: &Details) -> Logs {
        let mut logs = Logs::new();
        let crashing = status
            .cause
            .as_ref()
            .is_some_and(|c| matches!(c.code, CauseCode::CrashLoop | CauseCode::InitFailed | CauseCode::HostNotFound));
        if !crashing {
            return logs;
        }
        for pod in details.pods.iter().filter(|p| p.metadata.deletion_timestamp.is_none()) {
            if logs.len() >= PODS {
                break;
            }
            let (Some(name), Some(uid)) = (&pod.metadata.name, &pod.metadata.uid) else { continue };
            let Some(state) = &pod.status else { continue };
            let statuses =
                state.init_container_statuses.iter().flatten().chain(state.container_statuses.iter().flatten());
            for container in statuses {
                let ended_now = container
                    .state
                    .as_ref()
                    .and_then(|s| s.terminated.as_ref())
                    .filter(|t| t.exit_code != 0 || container.restart_count > 0);
                let ended_before = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
                if ended_now.is_none() && ended_before.is_none() {
                    continue;
                }
                let key =
                    (uid.clone(), container.name.clone(), container.restart_count * 2 + i32::from(ended_now.is_some()));
                let known = self.logs.0.lock().get(&key).cloned();
                let lines = match known {
                    Some(lines) => lines,
                    None => {
                        // In back-off the current container is the one that ended last.
                        let running = container.state.as_ref().is_some_and(|s| s.running.is_some());
                        let Some(lines) = self.last_lines(app, name, &container.name, running).await else { continue };
                        let mut cache = self.logs.0.lock();
                        if cache.len() >= REMEMBERED {
                            cache.clear();
                        }
                        cache.insert(key, lines.clone());
                        lines
                    }
                };
                logs.insert((name.clone(), container.name.clone()), lines);
            }
        }
        logs
    }

    async fn last_lines(&self, app: &App, pod: &str, container: &str, previous: bool) -> Option<Vec<String>> {
        let mut pairs = vec![("container", container), ("tailLines", TAIL), ("limitBytes", BYTES)];
        if previous {
            pairs.push(("previous", "true"));
        }
        let path = query(&(Kind::POD.at(&app.namespace, pod) + "/log"), &pairs);
        let text = bounded(Duration::from_secs(3), self.rest.client.request_text(get(&path).ok()?)).await.ok()?.ok()?;
        Some(text.lines().map(str::to_owned).collect())
    }
}
