//! Details of an app that is not well: read on demand, since few apps are.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use berth_core::Result;
use berth_types::{
    ErrorCode,
    app_status::{AppStatus, CauseCode},
    rows::EventRow,
};
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde::Deserialize;

use super::{App, Controller};
use crate::{
    diagnose::{Logs, is_suspect},
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
/// Pods that are asked for by name; for more, one list costs the server less.
const ONE_BY_ONE: usize = 32;
/// Pods that are asked for at a time.
const AT_ONCE: usize = 4;
/// Logs that are remembered.
const REMEMBERED: usize = 500;

/// Lines of containers that ended, by pod uid, container and restart: they never change.
#[derive(Default)]
pub(super) struct LogCache(Mutex<HashMap<(String, String, i32), Vec<String>>>);

/// What diagnosing needs beyond the cache.
#[derive(Default)]
pub(super) struct Details {
    pub(super) pods: Vec<Pod>,
    pub(super) events: Vec<EventRow>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

impl Controller {
    /// The pods of an app that may tell why it is not well, and its events.
    ///
    /// Asked by name: the server answers a list by a selector only after a look at every pod of the namespace.
    pub(super) async fn details(&self, app: &App, now: Timestamp) -> Result<Details> {
        let suspects: Vec<String> = {
            let space = self.cache.pods.space(&app.namespace);
            let pods = space.get().into_iter().flat_map(|space| space.of_app(&app.name));
            pods.filter(|(_, pod)| is_suspect(&pod.row.0, now)).map(|(name, _)| name.to_string()).collect()
        };
        let pods = if suspects.len() > ONE_BY_ONE {
            let selector = format!("{}={}", meta::APP, app.name);
            let path = query(&Kind::POD.within(&app.namespace), &[("labelSelector", &selector)]);
            self.rest.get::<List<Pod>>(&Target::new("the app", &app.name), &path).await?.items
        } else {
            let mut pods = Vec::new();
            for names in suspects.chunks(AT_ONCE) {
                let found = try_join_all(names.iter().map(|name| self.pod(app, name))).await?;
                pods.extend(found.into_iter().flatten());
            }
            pods
        };
        let about: HashSet<String> =
            pods.iter().filter_map(|p| Some(format!("Pod/{}", p.metadata.name.as_deref()?))).collect();
        let space = self.cache.events.space(&app.namespace);
        let events = space.rows().filter(|e| about.contains(&*e.row.object)).map(|e| e.row.clone()).collect();
        Ok(Details { pods, events })
    }

    async fn pod(&self, app: &App, name: &str) -> Result<Option<Pod>> {
        match self.rest.get(&Target::new("the app", &app.name), &Kind::POD.at(&app.namespace, name)).await {
            Ok(pod) => Ok(Some(pod)),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(e),
        }
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
