//! `berth doctor`: what Berth needs of its database and cluster, each with its fix. Changes nothing.

use std::{process::ExitCode, sync::Arc};

use berth_cluster::{KubeCluster, Replica};
use berth_core::{
    env::SystemClock,
    ports::cluster::{Cluster, Finding, Verdict},
};
use berth_types::ClusterId;

use crate::{config::Settings, serve};

/// Checks and prints; exit 1 when something is wrong without which Berth does not work.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let mut findings = vec![database(&settings).await];
    if settings.sim == Some(true) && !settings.data().join("cluster").exists() {
        let found = "embedded; the first start makes it".to_owned();
        findings.push(Finding { what: "cluster".to_owned(), verdict: Verdict::Good, found, fix: None });
        return Ok(print(&findings));
    }
    match serve::connection(&settings).await {
        Ok(link) => {
            let cluster = KubeCluster::new(ClusterId::local(), link.connection, Arc::new(SystemClock));
            if let Some(installation) = installation(&settings).await {
                cluster.elect(Replica { name: serve::replica(&settings)?, installation });
            }
            findings.extend(cluster.check().await);
        }
        Err(e) => findings.push(Finding {
            what: "cluster".to_owned(),
            verdict: Verdict::Bad,
            found: format!("{e:#}"),
            fix: Some("name a kubeconfig with --kubeconfig, or use the embedded cluster with --sim".to_owned()),
        }),
    }
    Ok(print(&findings))
}

fn print(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        let word = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Lacking => "warn",
            Verdict::Bad => "FAIL",
        };
        println!("{word}  {:<32} {}", finding.what, finding.found);
        if let Some(fix) = &finding.fix {
            println!("      fix: {fix}");
        }
    }
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let bad = count(Verdict::Bad);
    println!("{} checks, {bad} failed, {} warnings", findings.len(), count(Verdict::Lacking));
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which Berth this is, where its database is there and need not be changed to know it.
async fn installation(settings: &Settings) -> Option<String> {
    if settings.database.is_none() && !settings.database_file().exists() {
        return None;
    }
    let url = settings.database().ok()?;
    let pending = berth_store::pending(&url, &settings.store_options()).await.ok()?;
    if !pending.is_empty() {
        return None;
    }
    berth_store::connect(&url, &settings.store_options()).await.ok()?.installation().await.ok()
}

async fn database(settings: &Settings) -> Finding {
    let what = "database".to_owned();
    let file = settings.database_file();
    if settings.database.is_none() && !file.exists() {
        let found = format!("not there yet: the first start makes {}", file.display());
        return Finding { what, verdict: Verdict::Good, found, fix: None };
    }
    let checked = async {
        let url = settings.database()?;
        Ok::<_, anyhow::Error>(berth_store::pending(&url, &settings.store_options()).await?)
    };
    match checked.await {
        Ok(steps) if steps.is_empty() => Finding {
            what,
            verdict: Verdict::Good,
            found: format!("answers, version {}", berth_store::latest()),
            fix: None,
        },
        Ok(steps) => Finding {
            what,
            verdict: Verdict::Good,
            found: format!("answers; {} migrations are applied at the next start, or by `berth migrate`", steps.len()),
            fix: None,
        },
        Err(e) => Finding {
            what,
            verdict: Verdict::Bad,
            found: format!("{e:#}"),
            fix: Some("check --database and that the server is reachable".to_owned()),
        },
    }
}
