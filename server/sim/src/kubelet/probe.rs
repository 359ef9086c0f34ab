//! Probes: their rhythm, thresholds and words (`pkg/kubelet/prober`, `pkg/probe`).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{container::later, image::Behaviour};
use crate::controllers::fields::Fields;

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Holds back the others until the process is up.
    Startup,
    /// Restarts what hangs.
    Liveness,
    /// Decides about traffic.
    Readiness,
}

impl ProbeKind {
    /// All of them, in the order in which they matter.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    const fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    const fn field(self) -> &'static str {
        match self {
            Self::Startup => "/startupProbe",
            Self::Liveness => "/livenessProbe",
            Self::Readiness => "/readinessProbe",
        }
    }
}

/// What a probe has established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough results yet.
    Unknown,
    /// `successThreshold` reached.
    Passing,
    /// `failureThreshold` reached.
    Failing,
}

/// One probe of a running container.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which.
    pub kind: ProbeKind,
    next: Timestamp,
    period: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    successes: u32,
    failures: u32,
    verdict: Verdict,
}

impl Probe {
    /// The container's probe of a kind, if it has one.
    #[must_use]
    pub fn new(kind: ProbeKind, container: &Value, since: Timestamp) -> Option<Self> {
        let spec = container.at(kind.field());
        if !spec.is_object() {
            return None;
        }
        let seconds =
            |field: &str, default: i64| Duration::from_secs(spec.int(field).unwrap_or(default).unsigned_abs());
        let count = |field: &str, default: i64| u32::try_from(spec.int(field).unwrap_or(default)).unwrap_or(1).max(1);
        Some(Self {
            kind,
            next: later(since, seconds("/initialDelaySeconds", 0)),
            period: seconds("/periodSeconds", 10).max(Duration::from_secs(1)),
            success_threshold: count("/successThreshold", 1),
            failure_threshold: count("/failureThreshold", 3),
            successes: 0,
            failures: 0,
            verdict: Verdict::Unknown,
        })
    }

    /// Probes as often as the clock asks for; what is established then. Failures add their message to `told`.
    pub fn run(
        &mut self,
        behaviour: &Behaviour,
        since: Timestamp,
        now: Timestamp,
        container: &Value,
        ip: &str,
        told: &mut Vec<String>,
    ) -> Verdict {
        // Whoever was asleep does not catch up on every missed probe.
        let mut budget = 64;
        while self.next <= now && budget > 0 {
            budget -= 1;
            let elapsed = Duration::try_from(self.next.duration_since(since)).unwrap_or_default();
            match health(self.kind, behaviour, elapsed) {
                Health::Good => {
                    self.successes += 1;
                    self.failures = 0;
                    if self.successes >= self.success_threshold {
                        self.verdict = Verdict::Passing;
                    }
                }
                sick => {
                    self.failures += 1;
                    self.successes = 0;
                    told.push(format!(
                        "{} probe failed: {}",
                        self.kind.word(),
                        complaint(container.at(self.kind.field()), sick, container, ip)
                    ));
                    if self.failures >= self.failure_threshold {
                        self.verdict = Verdict::Failing;
                    }
                }
            }
            self.next = later(self.next, self.period);
        }
        if self.next <= now {
            self.next = later(now, self.period);
        }
        self.verdict
    }

    /// When probing can next change anything. A steady, healthy process is not probed: it would only cost time.
    #[must_use]
    pub fn due(&self, behaviour: &Behaviour, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let settled = self.verdict == Verdict::Passing && self.failures == 0;
        if !settled {
            return Some(self.next);
        }
        if behaviour.flaky && self.kind == ProbeKind::Readiness {
            return Some(self.next);
        }
        let hangs = later(since, behaviour.hangs_after?);
        // The first probe after it hangs.
        let mut at = self.next;
        if hangs > at {
            let gap = Duration::try_from(hangs.duration_since(at)).unwrap_or_default();
            let periods = u32::try_from(gap.as_millis() / self.period.as_millis().max(1)).unwrap_or(u32::MAX);
            at = later(at, self.period.saturating_mul(periods));
        }
        Some(at.max(now))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    NotListening,
    Unavailable,
    Silent,
}

fn health(kind: ProbeKind, behaviour: &Behaviour, elapsed: Duration) -> Health {
    if behaviour.hangs_after.is_some_and(|after| elapsed >= after) {
        return Health::Silent;
    }
    if elapsed < behaviour.serves_after {
        return Health::NotListening;
    }
    if kind == ProbeKind::Readiness && (behaviour.never_ready || behaviour.flaky && elapsed.as_secs() / 30 % 2 == 1) {
        return Health::Unavailable;
    }
    Health::Good
}

fn port(spec: &Value, container: &Value) -> i64 {
    match spec {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(name) => container
            .items("/ports")
            .iter()
            .find(|port| port.text("/name") == name)
            .and_then(|port| port.int("/containerPort"))
            .or_else(|| name.parse().ok())
            .unwrap_or_default(),
        _ => 0,
    }
}

fn complaint(probe: &Value, health: Health, container: &Value, ip: &str) -> String {
    if probe.at("/httpGet").is_object() {
        let get = probe.at("/httpGet");
        let host = if get.text("/host").is_empty() { ip } else { get.text("/host") };
        let port = port(get.at("/port"), container);
        let scheme =
            if get.text("/scheme").is_empty() { "http".to_owned() } else { get.text("/scheme").to_lowercase() };
        let path = if get.text("/path").is_empty() { "/" } else { get.text("/path") };
        return match health {
            Health::Unavailable => "HTTP probe failed with statuscode: 503".to_owned(),
            Health::Silent => format!(
                "Get \"{scheme}://{host}:{port}{path}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            ),
            _ => format!("Get \"{scheme}://{host}:{port}{path}\": dial tcp {host}:{port}: connect: connection refused"),
        };
    }
    if probe.at("/tcpSocket").is_object() {
        let port = port(probe.at("/tcpSocket/port"), container);
        return match health {
            Health::Silent => format!("dial tcp {ip}:{port}: i/o timeout"),
            _ => format!("dial tcp {ip}:{port}: connect: connection refused"),
        };
    }
    if probe.at("/grpc").is_object() {
        let port = probe.int("/grpc/port").unwrap_or_default();
        return match health {
            Health::Unavailable => "service unhealthy (responded with \"NOT_SERVING\")".to_owned(),
            _ => format!("timeout: failed to connect service \"{ip}:{port}\" within 1s: context deadline exceeded"),
        };
    }
    match health {
        Health::Silent => {
            let command = probe.items("/exec/command").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
            format!("command timed out: \"{command}\" timed out after 1s")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::kubelet::image::behaviour;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Verdicts and messages at each of `times`.
    fn course(image: &str, container: Value, kind: ProbeKind, times: &[i64]) -> Vec<(Verdict, usize)> {
        let mut container = container;
        container["image"] = json!(image);
        let behaviour = behaviour(&container, &Vec::new(), "u", 0);
        let mut probe = Probe::new(kind, &container, at(0)).unwrap();
        times
            .iter()
            .map(|time| {
                let mut told = Vec::new();
                let verdict = probe.run(&behaviour, at(0), at(*time), &container, "10.0.0.1", &mut told);
                (verdict, told.len())
            })
            .collect()
    }

    #[test]
    fn thresholds() {
        let readiness = json!({"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 5, "periodSeconds": 5}});
        assert_eq!(
            course("web", readiness.clone(), ProbeKind::Readiness, &[0, 5]),
            [(Verdict::Unknown, 0), (Verdict::Passing, 0)]
        );
        assert_eq!(
            course("x/never-ready", readiness, ProbeKind::Readiness, &[5, 10, 15, 20]),
            [(Verdict::Unknown, 1), (Verdict::Unknown, 1), (Verdict::Failing, 1), (Verdict::Failing, 1)]
        );
        let liveness =
            json!({"livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 2}});
        assert_eq!(
            course("x/hang-after:25s", liveness, ProbeKind::Liveness, &[20, 30, 40]),
            [(Verdict::Passing, 0), (Verdict::Passing, 1), (Verdict::Failing, 1)]
        );
    }

    #[test]
    fn complaints() {
        let container = json!({"ports": [{"name": "web", "containerPort": 8080}]});
        let http = json!({"httpGet": {"path": "/ready", "port": "web"}});
        assert_eq!(
            complaint(&http, Health::NotListening, &container, "10.0.0.1"),
            "Get \"http://10.0.0.1:8080/ready\": dial tcp 10.0.0.1:8080: connect: connection refused"
        );
        assert_eq!(
            complaint(&http, Health::Unavailable, &container, "10.0.0.1"),
            "HTTP probe failed with statuscode: 503"
        );
    }
}
