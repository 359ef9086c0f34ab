//! A volume follows its pod, where it can.

use std::time::Duration;

use berth_core::{
    Result,
    ports::cluster::{Finding, Verdict},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{Ground, PATIENCE, found, objects};
use crate::{
    check::{DEFAULT_STORAGE_CLASS, default_class},
    error::Target,
    rest::Kind,
};

const WHAT: &str = "a volume follows its pod";
const CLAIM: &str = "data";
/// How long a claim may look for a volume where no class makes one: one that an operator made is there, or not.
const BY_HAND: Duration = Duration::from_secs(10);

/// Writes on one node and reads on another.
pub(super) async fn follows(ground: &Ground, nodes: &[String]) -> Result<Finding> {
    let Some(here) = nodes.first() else { return Ok(found(WHAT, Verdict::Lacking, "no node takes pods", "")) };
    ground.make(Kind::CLAIM, &objects::claim(CLAIM)).await?;
    let write = "echo kept > /data/word; exec sleep 3600";
    let read = "grep -q kept /data/word && exec sleep 3600";
    let patience = if makes_volumes(ground).await { PATIENCE } else { BY_HAND };
    if let Err(why) = starts(ground, "writer", write, here, patience).await? {
        let fix = "make a StorageClass the default, and look at its provisioner's log; apps with volumes do not start";
        return Ok(found(WHAT, Verdict::Lacking, format!("it is not made: {why}"), fix));
    }
    ground.remove(Kind::POD, "writer").await?;
    let Some(there) = nodes.get(1) else {
        return Ok(match starts(ground, "reader", read, here, PATIENCE).await? {
            Ok(()) => found(WHAT, Verdict::Good, "there is one node: a new pod found what the old one wrote", ""),
            Err(why) => lost(&why),
        });
    };
    Ok(match starts(ground, "reader", read, there, PATIENCE).await? {
        Ok(()) => found(WHAT, Verdict::Good, format!("written on {here}, read on {there}"), ""),
        Err(_) => match starts(ground, "reader-here", read, here, PATIENCE).await? {
            Ok(()) => found(
                WHAT,
                Verdict::Lacking,
                format!("it stays on its node: written on {here}, read there, not on {there}"),
                "use a class with a network behind it for what must go on when a node is away",
            ),
            Err(why) => lost(&why),
        },
    })
}

fn lost(why: &str) -> Finding {
    found(WHAT, Verdict::Bad, format!("what was written is not found again: {why}"), "look at the class's provisioner")
}

/// Whether a class makes volumes for claims that name none; also where that cannot be asked.
async fn makes_volumes(ground: &Ground) -> bool {
    let classes = ground.rest.get::<Value>(&Target::new("the storage classes", ""), &Kind::STORAGE_CLASS.all()).await;
    let classes = classes.ok().and_then(|list| list["items"].as_array().cloned());
    classes.is_none_or(|classes| default_class(&classes, DEFAULT_STORAGE_CLASS).is_some())
}

async fn starts(
    ground: &Ground,
    name: &str,
    script: &str,
    node: &str,
    patience: Duration,
) -> Result<std::result::Result<(), String>> {
    ground.make(Kind::POD, &objects::pod(name, "volume", &ground.image, script, Some(node), Some(CLAIM))).await?;
    Ok(ground.until_ready(name, Instant::now() + patience).await?.map(drop))
}
