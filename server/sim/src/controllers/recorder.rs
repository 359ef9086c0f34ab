//! Events about objects, with client-go's habits: the same event again is counted, and many similar ones
//! become one (`k8s.io/client-go/tools/record/events_cache.go`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::fields::Fields;
use crate::{
    clock::{format_micro_time, format_time},
    cluster::Cluster,
    registry::builtin::gr,
};

/// How many events are remembered for counting (client-go's cache size).
const REMEMBERED: usize = 4096;
/// Different messages of one reason after which they are combined, within [`COMBINE_WINDOW`].
const COMBINE_AFTER: usize = 10;
const COMBINE_WINDOW: Duration = Duration::from_secs(600);
/// Repetitions of events of one object and source before they are dropped, refilled one in [`SPAM_REFILL`].
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL: f64 = 300.0;

/// What somebody has to say about an object.
pub struct Note<'a> {
    /// `Normal` or `Warning`.
    pub kind: &'a str,
    /// CamelCase.
    pub reason: &'a str,
    /// For people.
    pub message: &'a str,
    /// e.g. `kubelet`.
    pub component: &'a str,
    /// The node, for kubelets.
    pub host: &'a str,
    /// e.g. `spec.containers{main}`.
    pub field_path: &'a str,
}

/// Writes events.
pub struct Recorder {
    cluster: Cluster,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Identity of an event to its name, in order of first use.
    names: HashMap<String, String>,
    order: VecDeque<String>,
    similar: HashMap<String, (Timestamp, HashSet<String>)>,
    /// Tokens left and when they were counted, by object and source.
    spam: HashMap<String, (f64, Timestamp)>,
    sequence: u64,
}

impl Recorder {
    /// A recorder that remembers nothing yet.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.component("kube-controller-manager"), state: Mutex::default() }
    }

    /// Records an event of a controller.
    pub fn event(&self, about: &Value, kind: &str, reason: &str, message: &str, component: &str) {
        self.note(about, &Note { kind, reason, message, component, host: "", field_path: "" });
    }

    /// Records an event. Failing to do so is nobody's error.
    pub fn note(&self, about: &Value, note: &Note<'_>) {
        let now = self.cluster.clock.now();
        let mut state = self.state.lock();
        let source = format!("{}/{}/{}/{}", note.component, note.host, about.uid(), note.field_path);
        let class = format!("{source}/{}/{}", note.kind, note.reason);
        let (message, identity) = state.combine(&class, note.message, now);
        if !state.admit(&source, now) {
            return;
        }
        let namespace = match about.namespace() {
            "" => "default",
            namespace => namespace,
        };
        let writer = self.cluster.component(match note.component {
            "kubelet" => "kubelet",
            "default-scheduler" => "kube-scheduler",
            _ => "kube-controller-manager",
        });
        if let Some(name) = state.names.get(&identity) {
            let count =
                writer.find(&gr::EVENTS, namespace, name).and_then(|event| event.int("/count")).map(|count| count + 1);
            let change = json!({"count": count, "lastTimestamp": format_time(now), "message": message});
            if count.is_some() && writer.patch(&gr::EVENTS, namespace, name, &change).is_ok() {
                return;
            }
        }
        state.sequence += 1;
        let name = format!("{}.{:x}", about.name(), now.as_nanosecond() + i128::from(state.sequence));
        let mut involved = json!({
            "kind": about["kind"],
            "namespace": about.namespace(),
            "name": about.name(),
            "uid": about.uid(),
            "apiVersion": about["apiVersion"],
            "resourceVersion": about["metadata"]["resourceVersion"],
        });
        if about.namespace().is_empty() {
            super::fields::unset(&mut involved, &["namespace"]);
        }
        if !note.field_path.is_empty() {
            involved["fieldPath"] = json!(note.field_path);
        }
        let mut source = json!({"component": note.component});
        if !note.host.is_empty() {
            source["host"] = json!(note.host);
        }
        let outcome = writer.create(
            &gr::EVENTS,
            namespace,
            json!({
                "metadata": {"name": name},
                "involvedObject": involved,
                "reason": note.reason,
                "message": message,
                "source": source,
                "firstTimestamp": format_time(now),
                "lastTimestamp": format_time(now),
                "count": 1,
                "type": note.kind,
                "eventTime": null,
                "reportingComponent": note.component,
                "reportingInstance": note.host,
            }),
        );
        match outcome {
            Ok(_) => state.remember(identity, name),
            Err(status) => tracing::debug!(%status, reason = note.reason, "event not recorded"),
        }
    }

    /// Records an event of the scheduler, which uses the newer `events.k8s.io` form.
    pub fn scheduler_event(&self, about: &Value, kind: &str, reason: &str, action: &str, message: &str) {
        let now = self.cluster.clock.now();
        let mut state = self.state.lock();
        let identity = format!("scheduler/{}/{reason}/{message}", about.uid());
        let writer = self.cluster.component("kube-scheduler");
        if let Some(name) = state.names.get(&identity)
            && let Some(event) = writer.find(&gr::EVENTS, about.namespace(), name)
        {
            let count = event.int("/series/count").unwrap_or(1) + 1;
            let change = json!({"series": {"count": count, "lastObservedTime": format_micro_time(now)}});
            if writer.patch(&gr::EVENTS, about.namespace(), name, &change).is_ok() {
                return;
            }
        }
        state.sequence += 1;
        let name = format!("{}.{:x}", about.name(), now.as_nanosecond() + i128::from(state.sequence));
        let outcome = writer.create(
            &gr::EVENTS,
            about.namespace(),
            json!({
                "metadata": {"name": name},
                "involvedObject": {
                    "kind": about["kind"], "namespace": about.namespace(), "name": about.name(), "uid": about.uid(),
                    "apiVersion": about["apiVersion"], "resourceVersion": about["metadata"]["resourceVersion"],
                },
                "reason": reason,
                "message": message,
                "source": {},
                "firstTimestamp": null,
                "lastTimestamp": null,
                "type": kind,
                "eventTime": format_micro_time(now),
                "action": action,
                "reportingComponent": "default-scheduler",
                "reportingInstance": "default-scheduler-berth-sim",
            }),
        );
        match outcome {
            Ok(_) => state.remember(identity, name),
            Err(status) => tracing::debug!(%status, reason, "event not recorded"),
        }
    }
}

impl State {
    /// The message to write and the event's identity for counting.
    fn combine(&mut self, class: &str, message: &str, now: Timestamp) -> (String, String) {
        let (last, seen) = self.similar.entry(class.to_owned()).or_insert_with(|| (now, HashSet::new()));
        if now.duration_since(*last) > jiff::SignedDuration::try_from(COMBINE_WINDOW).unwrap_or_default() {
            seen.clear();
        }
        *last = now;
        seen.insert(message.to_owned());
        let result = if seen.len() >= COMBINE_AFTER {
            (format!("(combined from similar events): {message}"), format!("{class}/combined"))
        } else {
            (message.to_owned(), format!("{class}/{message}"))
        };
        if self.similar.len() > REMEMBERED {
            self.similar.clear();
        }
        result
    }

    /// Whether the object's token bucket lets another event through.
    fn admit(&mut self, source: &str, now: Timestamp) -> bool {
        if self.spam.len() > REMEMBERED {
            self.spam.clear();
        }
        let (tokens, at) = self.spam.entry(source.to_owned()).or_insert((SPAM_BURST, now));
        *tokens = (*tokens + now.duration_since(*at).as_secs_f64() / SPAM_REFILL).min(SPAM_BURST);
        *at = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }

    fn remember(&mut self, identity: String, name: String) {
        if self.names.insert(identity.clone(), name).is_none() {
            self.order.push_back(identity);
        }
        while self.order.len() > REMEMBERED {
            if let Some(old) = self.order.pop_front() {
                self.names.remove(&old);
            }
        }
    }
}
