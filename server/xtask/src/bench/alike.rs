//! Whether what one may not see can be told from what is not there by how long the refusal takes.
//!
//! Both are asked in turns over one connection, and each pair is compared. Were there no difference, the one that is hidden would be
//! slower in half of the pairs; how far it is from that is the figure.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{
    Parts,
    http::{Connection, Request},
    portal::{Ground, Portal, pin_client},
    report::Figure,
};
use crate::shell::say;

/// Per cent of the pairs that may fall on the wrong side of a half.
const GOAL: f64 = 3.0;

/// Refusals of the hidden and of the absent, compared in `pairs` of each kind.
///
/// # Errors
/// The portal does not come up, or answers something else than a refusal.
pub fn alike(parts: &Parts, pairs: usize, figures: &mut Vec<Figure>) -> Result<()> {
    say("What is hidden, against what is absent");
    let mut portal = Portal::start(parts, &Ground::Embedded(2))?;
    portal.seed(1, 1)?;
    pin_client()?;
    portal.restart(1)?;
    let stranger = portal.stranger()?;
    let token = |path: &str| Request::get_json(path, &stranger.token);
    let page = |path: &str| Request::get(path, &stranger.cookie);
    let app = "/namespaces/main/apps/app-00000";
    let tenant = ("another's tenant, REST", token("/api/v1/tenants/bench"), token("/api/v1/tenants/bench-not"));
    let deep = format!("/api/v1/tenants/bench{app}");
    let nowhere = format!("/api/v1/tenants/bench-not{app}");
    let deep = ("an app in it, REST", token(&deep), token(&nowhere));
    let shown = ("another's tenant, page", page("/t/bench"), page("/t/bench-not"));
    for (what, hidden, absent) in [tenant, deep, shown] {
        compare(&portal, what, (&hidden, &absent), pairs, figures)?;
    }
    portal.welcome(&stranger.name)?;
    let (hidden, absent) = ("/api/v1/tenants/bench/namespaces/main", "/api/v1/tenants/bench/namespaces/mainnot");
    compare(&portal, "a sibling of one's namespace, REST", (&token(hidden), &token(absent)), pairs, figures)?;
    let kubectl = portal.kubectl_token(&stranger.token)?;
    let pods = |namespace: &str| Request::get_json(&format!("/k8s/local/api/v1/namespaces/{namespace}/pods"), &kubectl);
    let name = portal.kube_namespace()?;
    let absent = pods(&format!("{name}-not"));
    compare(&portal, "a sibling of one's namespace, kubectl", (&pods(&name), &absent), pairs, figures)
}

fn compare(
    portal: &Portal,
    what: &str,
    (hidden, absent): (&Request, &Request),
    pairs: usize,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let mut connection = Connection::open(portal.port)?;
    let mut ask = |request: &Request| -> Result<Duration> {
        let begun = Instant::now();
        let status = connection.send(request)?.status;
        let took = begun.elapsed();
        // The second is what a cluster says, and so what kubectl hears.
        if status != 404 && status != 403 {
            bail!("{what}: {status}, which is no refusal");
        }
        Ok(took)
    };
    for _ in 0..50 {
        ask(hidden)?;
        ask(absent)?;
    }
    let mut halves = 0_u32;
    for pair in 0..pairs {
        // Who comes second may find something warm: each does in half of the pairs.
        let (hidden, absent) = if pair % 2 == 0 {
            let hidden = ask(hidden)?;
            (hidden, ask(absent)?)
        } else {
            let absent = ask(absent)?;
            (ask(hidden)?, absent)
        };
        halves += match hidden.cmp(&absent) {
            std::cmp::Ordering::Greater => 2,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Less => 0,
        };
    }
    #[allow(clippy::cast_precision_loss)]
    let off = (f64::from(halves) / 2.0 / pairs.max(1) as f64 - 0.5).abs() * 100.0;
    figures.push(Figure::at_most(&format!("hidden against absent, {what}: pairs off a half"), GOAL, off, "%"));
    Ok(())
}
