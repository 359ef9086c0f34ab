//! A volume follows its pod, where it can.

use berth_core::{
    Result,
    ports::cluster::{Finding, Verdict},
};
use tokio::time::Instant;

use super::{Ground, PATIENCE, found, objects};
use crate::rest::Kind;

const WHAT: &str = "a volume follows its pod";
const CLAIM: &str = "data";

/// Writes on one node and reads on another.
pub(super) async fn follows(ground: &Ground, nodes: &[String]) -> Result<Finding> {
    let Some(here) = nodes.first() else { return Ok(found(WHAT, Verdict::Lacking, "no node takes pods", "")) };
    ground.make(Kind::CLAIM, &objects::claim(CLAIM)).await?;
    let write = "echo kept > /data/word; exec sleep 3600";
    let read = "grep -q kept /data/word && exec sleep 3600";
    if let Err(why) = starts(ground, "writer", write, here).await? {
        let fix = "make a StorageClass the default, and look at its provisioner's log; apps with volumes do not start";
        return Ok(found(WHAT, Verdict::Lacking, format!("it is not made: {why}"), fix));
    }
    ground.remove(Kind::POD, "writer").await?;
    let Some(there) = nodes.get(1) else {
        return Ok(match starts(ground, "reader", read, here).await? {
            Ok(()) => found(WHAT, Verdict::Good, "there is one node: a new pod found what the old one wrote", ""),
            Err(why) => lost(&why),
        });
    };
    Ok(match starts(ground, "reader", read, there).await? {
        Ok(()) => found(WHAT, Verdict::Good, format!("written on {here}, read on {there}"), ""),
        Err(_) => match starts(ground, "reader-here", read, here).await? {
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

async fn starts(ground: &Ground, name: &str, script: &str, node: &str) -> Result<std::result::Result<(), String>> {
    ground.make(Kind::POD, &objects::pod(name, "volume", &ground.image, script, Some(node), Some(CLAIM))).await?;
    Ok(ground.until_ready(name, Instant::now() + PATIENCE).await?.map(drop))
}
