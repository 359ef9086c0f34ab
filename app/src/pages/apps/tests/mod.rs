#![allow(clippy::unwrap_used)]
//! What the pages show for the states that matter.

use berth_core::{
    ports::{
        cluster::{CacheState, Freshness},
        pages::Language,
    },
    services::preflight::{Policy, Preflight},
};
use berth_types::{
    AppPhase, CauseCode, ListQuery, Page,
    app_status::{Cause, ComponentStatus, Evidence, EvidenceKind},
    headroom::{Headroom, LimitDefaults, Load},
    rows::{AppRow, AppView, EventRow, PodPhase, PodRow, RevisionRow, UsageRow},
};
use jiff::Timestamp;
use serde_json::json;

use super::{May, Spot, head::Head, headroom::Outlook};
use crate::{components::ListUrl, ui::Ui};

mod editors;
mod flows;
mod headrooms;
mod hostile;
mod lists;
mod overviews;

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

fn ui(lang: Language) -> Ui {
    Ui { lang, now: at("14:02:11") }
}

const EN: Language = Language::En;
const ZH: Language = Language::ZhCn;

const ALL: May = May { create: true, update: true, delete: true, delete_pods: true, exec: true, logs: true };

fn spot() -> Spot {
    Spot { tenant: "payments".parse().unwrap(), namespace: "staging".parse().unwrap() }
}

fn list_url(path: &str, pairs: &[(&str, &str)]) -> ListUrl {
    ListUrl::new(path, pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

/// HTML one can read: pictures and markers left out, a line for each element that begins.
fn outline(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find("<svg") {
        text.push_str(&rest[..start]);
        rest = rest[start..].split_once("</svg>").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let mut out = String::new();
    let mut depth = 0_usize;
    for piece in text.split('<').filter(|piece| !piece.is_empty()) {
        if piece.starts_with('!') {
            // A marker between two texts.
            let after = piece.split_once('>').map_or("", |(_, after)| after).trim();
            if !after.is_empty() {
                out.push_str(&format!("{}{after}\n", "  ".repeat(depth)));
            }
            continue;
        }
        let void = ["input", "br", "meta", "link"].iter().any(|name| piece.starts_with(name));
        if let Some(end) = piece.strip_prefix('/') {
            depth = depth.saturating_sub(1);
            let after = end.split_once('>').map_or("", |(_, after)| after).trim();
            if !after.is_empty() {
                out.push_str(&format!("{}{after}\n", "  ".repeat(depth)));
            }
            continue;
        }
        out.push_str(&format!("{}{}\n", "  ".repeat(depth), format!("<{piece}").trim_end()));
        depth += usize::from(!void);
    }
    out
}

fn app_row(name: &str, phase: AppPhase, ready: i32, desired: i32) -> AppRow {
    AppRow {
        name: name.into(),
        kube_namespace: "payments-staging".into(),
        phase,
        cause: None,
        cause_code: None,
        cause_params: std::collections::BTreeMap::new(),
        image: format!("registry.example.com/{name}:2.14.0").into(),
        components: 1,
        ready,
        desired,
        revision: 3,
        created_at: at("09:00:00"),
        changed_at: at("14:00:07"),
        deleting: false,
    }
}

fn usage() -> Vec<UsageRow> {
    let row = |resource: &str, used: &str, limit: &str| UsageRow {
        resource: resource.to_owned(),
        used: used.to_owned(),
        limit: Some(limit.to_owned()),
    };
    vec![row("requests.cpu", "5100m", "8"), row("requests.memory", "11Gi", "16Gi"), row("pods", "37", "40")]
}

fn params(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// What each cause names, as its documentation says.
fn cause_params(code: CauseCode) -> std::collections::BTreeMap<String, String> {
    params(match code {
        CauseCode::ImagePull => &[("image", "shop/web:1.5"), ("reason", "not found")],
        CauseCode::CrashLoop => &[("exitCode", "1"), ("restarts", "5"), ("lastLine", "FATAL no such host")],
        CauseCode::OutOfMemory => &[("limit", "128Mi")],
        CauseCode::NotReady | CauseCode::ProbeRestarts => &[("probe", "GET :8080/healthz"), ("answer", "503")],
        CauseCode::Unschedulable => &[("reason", "3 nodes: too little cpu")],
        CauseCode::QuotaExceeded => {
            &[("quota", "team"), ("resource", "requests.cpu"), ("requested", "500m"), ("used", "8"), ("limited", "8")]
        }
        CauseCode::ConfigMissing => &[("object", "Secret/db")],
        CauseCode::Volume => &[("volume", "data"), ("reason", "claim web-data is not bound")],
        CauseCode::InitFailed => &[("container", "migrate"), ("exitCode", "2"), ("lastLine", "no table")],
        CauseCode::HostNotFound => &[("host", "db-payments"), ("lastLine", "lookup db-payments: no such host")],
        CauseCode::PodRefused => &[("reason", "runAsNonRoot is needed")],
        CauseCode::ObjectRefused => &[("object", "Ingress/web"), ("reason", "the host is taken")],
        CauseCode::Stuck => &[("seconds", "600")],
    })
}

fn app(phase: AppPhase) -> AppView {
    let spec = json!({ "components": [{
        "name": "main",
        "image": "registry.example.com/checkout:4f2a91c",
        "replicas": 3,
        "ports": [{ "port": 8080 }],
        "env": [{ "name": "DB_HOST", "value": "db-payments" }, { "name": "PASSWORD", "secret": { "name": "db", "key": "pw" } }],
        "resources": { "requests": { "cpu": "300m", "memory": "256Mi" }, "limits": { "memory": "256Mi" } },
        "expose": { "type": "Ingress", "host": "checkout.example.com" },
    }] });
    let ready = if phase == AppPhase::Ready { 3 } else { 0 };
    let mut app = AppView {
        name: "checkout-api".to_owned(),
        kube_namespace: "payments-staging".to_owned(),
        uid: "u".to_owned(),
        resource_version: "7".to_owned(),
        generation: 3,
        created_at: at("09:00:00"),
        deleting_since: None,
        spec: serde_json::from_value(spec).unwrap(),
        status: berth_types::AppStatus {
            observed_generation: 3,
            phase,
            revision: 18,
            since: Some(at("14:01:40")),
            components: vec![ComponentStatus {
                name: "main".to_owned(),
                phase,
                desired: 3,
                updated: 3,
                ready,
                total: 3,
                image: "registry.example.com/checkout:4f2a91c".to_owned(),
            }],
            addresses: vec!["https://checkout.example.com/".to_owned(), "checkout-api.payments-staging:80".to_owned()],
            ..Default::default()
        },
        warnings: Vec::new(),
    };
    if phase == AppPhase::Suspended {
        app.spec.suspended = true;
        app.status.components[0].desired = 0;
    }
    app
}

fn with_cause(code: CauseCode) -> AppView {
    let mut app = app(AppPhase::Degraded);
    app.status.cause = Some(Cause {
        code,
        message: "something is wrong".to_owned(),
        component: "main".to_owned(),
        params: cause_params(code),
        evidence: vec![
            Evidence {
                kind: EvidenceKind::Log,
                text: "\u{1b}[31mFATAL\u{1b}[0m dial tcp: lookup db-payments: no such host".to_owned(),
                object: Some("Pod/checkout-api-7c9f-x2kqp".to_owned()),
                count: Some(3),
            },
            Evidence { kind: EvidenceKind::State, text: "exit code 1".to_owned(), object: None, count: None },
        ],
        since: Some(at("14:00:07")),
    });
    app
}

fn head(app: AppView, may: May) -> Head {
    Head { spot: spot(), app, may, closed: None }
}

fn revisions(app: &AppView) -> Vec<RevisionRow> {
    let row = |number: i64, host: &str, current: bool| {
        let mut spec = app.spec.clone();
        spec.components[0].env[0].value = Some(host.to_owned());
        RevisionRow {
            number,
            created_at: at(if current { "14:00:07" } else { "10:00:00" }),
            by: Some("alice".to_owned()),
            images: vec![spec.components[0].image.clone()],
            current,
            spec,
        }
    };
    vec![row(18, "db-payments", true), row(17, "db-payments-rw", false)]
}

fn pod(name: &str, phase: PodPhase, reason: &str) -> PodRow {
    PodRow {
        name: name.into(),
        kube_namespace: "payments-staging".into(),
        app: Some("checkout-api".into()),
        component: Some("main".into()),
        phase,
        reason: reason.into(),
        message: None,
        ready: 0,
        containers: 1,
        restarts: 5,
        last_exit_code: Some(1),
        last_exit_at: Some(at("14:02:03")),
        node: Some("node-b".into()),
        ip: None,
        revision: Some(18),
        created_at: at("14:00:08"),
    }
}

fn event(reason: &str, message: &str) -> EventRow {
    EventRow {
        kind: "Warning".into(),
        reason: reason.into(),
        message: message.into(),
        object: "Pod/checkout-api-7c9f-x2kqp".into(),
        app: Some("checkout-api".into()),
        count: 4,
        first_at: at("14:00:10"),
        last_at: at("14:01:50"),
    }
}

fn page<T>(items: Vec<T>, total: usize) -> Page<T> {
    Page { total, ..Page::whole(items) }
}

fn query(text: &[(&str, &str)]) -> ListQuery {
    let mut query = ListQuery { limit: 100, sort: ListQuery::parse_sort("phase,name"), ..ListQuery::default() };
    for (key, value) in text {
        if *key == "q" {
            query.q = (*value).to_owned();
        } else {
            query = query.filter(key, *value);
        }
    }
    query
}

/// What the panel shows of an app with `spec` in place of `before`, in a namespace whose containers get 100m and 128Mi.
fn outlook(spec: &serde_json::Value, before: Option<&serde_json::Value>) -> Outlook {
    let amounts = |pairs: [(&str, &str); 2]| pairs.map(|(k, v)| (k.to_owned(), v.parse().unwrap())).into();
    let defaults =
        LimitDefaults { requests: amounts([("cpu", "100m"), ("memory", "128Mi")]), ..LimitDefaults::default() };
    let read = |spec: &serde_json::Value| serde_json::from_value::<berth_types::AppSpec>(spec.clone()).unwrap();
    let (spec, before) = (read(spec), before.map(read));
    let was = before.as_ref().map(|before| Load::of(before, &defaults));
    let footprint = Load::of(&spec, &defaults).footprint(was.as_ref());
    let now = was.map(|was| was.footprint(None).rest).unwrap_or_default();
    let keys = usage().into_iter().map(|row| {
        let limit = row.limit.unwrap().parse().unwrap();
        Headroom::new(&row.resource, limit, row.used.parse().unwrap(), &now, &footprint)
    });
    Outlook::Found(
        Box::new(Preflight {
            suspended: spec.suspended,
            headroom: keys.collect(),
            resumed: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            policy: Policy::Unasked,
            freshness: Freshness { state: CacheState::Live, as_of: Some(at("14:02:11")), idle_since: None },
        }),
        None,
    )
}
