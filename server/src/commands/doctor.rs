//! `berth doctor`: what Berth needs of its database and cluster, each with its fix. Changes nothing.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use berth_cluster::{Connection, KubeCluster, Replica, trials};
use berth_core::{
    env::SystemClock,
    ports::{
        cluster::{Cluster, Finding, Verdict},
        store::Store,
    },
    services::second_factors::opens,
};
use berth_types::ClusterId;

use crate::{
    audit_key,
    config::{self, Settings},
    mail, seal_key, serve,
};

/// Flags of `berth doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: config::Flags,
    /// Also try the cluster: pods on every node, the network between them, names, Services, policies, volumes, metrics. In a
    /// namespace of its own, which is removed afterwards. Needs the rights of an administrator.
    #[arg(long)]
    deep: bool,
    /// What the trials' pods run: busybox, or an image with its sh, httpd, wget and nslookup.
    #[arg(long, default_value = "busybox:1", requires = "deep")]
    image: String,
}

/// What was found so far; each is said at once, as some take minutes.
#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn add(&mut self, finding: Finding) {
        let word = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Lacking => "warn",
            Verdict::Bad => "FAIL",
        };
        println!("{word}  {:<36} {}", finding.what, finding.found);
        if let Some(fix) = &finding.fix {
            println!("      fix: {fix}");
        }
        self.0.push(finding);
    }

    fn end(&self) -> ExitCode {
        let count = |verdict| self.0.iter().filter(|f| f.verdict == verdict).count();
        let bad = count(Verdict::Bad);
        println!("{} checks, {bad} failed, {} warnings", self.0.len(), count(Verdict::Lacking));
        if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Checks and prints; exit 1 when something is wrong without which Berth does not work.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = config::load(&args.flags)?;
    let mut report = Report::default();
    report.add(database(&settings).await);
    report.add(audit_key_found(&settings));
    let key = seal_key::find(&settings);
    let app = match open_store(&settings).await {
        Some(store) => store.any_authenticator().await.ok().flatten(),
        None => None,
    };
    let opened = app.map(|(user, app)| matches!(&key, Ok(Some(key)) if opens(key, user, &app)));
    report.add(seal_key_found(seal_key::place(&settings), key.map(|key| key.is_some()), opened));
    report.add(mail::found(&settings).await);
    if settings.sim == Some(true) && !settings.data().join("cluster").exists() {
        let found = "embedded; the first start makes it".to_owned();
        report.add(Finding { what: "cluster".to_owned(), verdict: Verdict::Good, found, fix: None });
        return Ok(report.end());
    }
    match serve::connection(&settings).await {
        Ok(link) => {
            let caller = match &settings.kubeconfig {
                Some(path) if settings.sim != Some(true) => Connection::caller(path).await?,
                _ => link.connection.controller.clone(),
            };
            let cluster = KubeCluster::new(ClusterId::local(), link.connection, Arc::new(SystemClock));
            if let Some(installation) = installation(&settings).await {
                cluster.elect(Replica { name: serve::replica(&settings)?, installation });
            }
            if settings.sim != Some(true) {
                report.add(ranges(&settings));
            }
            cluster.look().await.findings.into_iter().for_each(|finding| report.add(finding));
            if args.deep {
                trials::run(caller, &args.image, |finding| report.add(finding), serve::stop_signal()).await?;
            }
        }
        Err(e) => report.add(Finding {
            what: "cluster".to_owned(),
            verdict: Verdict::Bad,
            found: format!("{e:#}"),
            fix: Some("name a kubeconfig with --kubeconfig, or use the embedded cluster with --sim".to_owned()),
        }),
    }
    Ok(report.end())
}

/// The database, where it is there and need not be changed to read it.
async fn open_store(settings: &Settings) -> Option<Arc<dyn Store>> {
    if settings.missing_database().is_some() {
        return None;
    }
    let url = settings.database().ok()?;
    let pending = berth_store::pending(&url, &settings.store_options()).await.ok()?;
    if !pending.is_empty() {
        return None;
    }
    berth_store::connect(&url, &settings.store_options()).await.ok()
}

/// Which Berth this is.
async fn installation(settings: &Settings) -> Option<String> {
    open_store(settings).await?.installation().await.ok()
}

/// What seals the secrets of authenticator apps: whether the file at `place` has a key, and, where somebody has an app, whether it opens
/// what was sealed.
fn seal_key_found(place: Option<PathBuf>, key: anyhow::Result<bool>, opened: Option<bool>) -> Finding {
    let what = "key of second factors".to_owned();
    let finding = |verdict, found, fix: Option<&str>| Finding { what, verdict, found, fix: fix.map(str::to_owned) };
    let back = "put the key back that was here, or remove the second factors of who has an app:                 berth admin remove-second-factors NAME";
    match (place, key, opened) {
        (_, Err(e), _) => {
            let fix = "name a file with 32 bytes in base64: openssl rand -base64 32";
            finding(Verdict::Bad, format!("{e:#}"), Some(fix))
        }
        (None, _, Some(_)) => {
            finding(Verdict::Bad, "none, and somebody has an authenticator app".to_owned(), Some(back))
        }
        (None, _, None) => finding(
            Verdict::Lacking,
            "none: nobody can add an authenticator app".to_owned(),
            Some("give all replicas one key: --second-factor-key-file"),
        ),
        (Some(path), Ok(false), Some(_)) => {
            let found = format!("{} is not there, and somebody has an authenticator app", path.display());
            finding(Verdict::Bad, found, Some(back))
        }
        (Some(path), Ok(false), None) => {
            finding(Verdict::Good, format!("not there yet: the first start makes {}", path.display()), None)
        }
        (Some(path), Ok(true), Some(false)) => {
            let found =
                format!("{} does not open the secrets of authenticator apps: it is another one", path.display());
            finding(Verdict::Bad, found, Some(back))
        }
        (Some(path), Ok(true), _) => finding(Verdict::Good, path.display().to_string(), None),
    }
}

/// What signs checkpoints of the audit log.
fn audit_key_found(settings: &Settings) -> Finding {
    let what = "key of the audit log".to_owned();
    let finding = |verdict, found, fix| Finding { what, verdict, found, fix };
    match (audit_key::place(settings), audit_key::find(settings)) {
        (None, _) => finding(
            Verdict::Lacking,
            "none: that the log was cut off or written anew would not show".to_owned(),
            Some("give all replicas one key: --audit-key-file".to_owned()),
        ),
        (Some(path), Ok(None)) => {
            finding(Verdict::Good, format!("not there yet: the first start makes {}", path.display()), None)
        }
        (_, Ok(Some(key))) => finding(Verdict::Good, key.public().id(), None),
        (_, Err(e)) => finding(
            Verdict::Bad,
            format!("{e:#}"),
            Some("name a file with an Ed25519 key: openssl genpkey -algorithm ed25519".to_owned()),
        ),
    }
}

/// Without the cluster's own ranges an egress list could open them.
fn ranges(settings: &Settings) -> Finding {
    let set = settings.cluster_ranges.as_deref().map(str::trim).filter(|ranges| !ranges.is_empty());
    let fix = "name the ranges of pods, Services and nodes with --cluster-ranges: until then a tenant's egress list may open them, \
               and with them other tenants' pods";
    Finding {
        what: "cluster's own address ranges".to_owned(),
        verdict: if set.is_some() { Verdict::Good } else { Verdict::Lacking },
        found: set.unwrap_or("none named").to_owned(),
        fix: set.is_none().then(|| fix.to_owned()),
    }
}

async fn database(settings: &Settings) -> Finding {
    let what = "database".to_owned();
    if let Some(file) = settings.missing_database() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_nobody_named_are_told() {
        for (named, verdict) in
            [(None, Verdict::Lacking), (Some(" "), Verdict::Lacking), (Some("10.42.0.0/16"), Verdict::Good)]
        {
            let settings = Settings { cluster_ranges: named.map(str::to_owned), ..Settings::default() };
            let found = ranges(&settings);
            assert_eq!((found.verdict, found.fix.is_some()), (verdict, verdict == Verdict::Lacking), "{named:?}");
        }
    }

    #[test]
    fn what_is_said_of_the_key_of_second_factors() {
        use Verdict::{Bad, Good, Lacking};
        let place = || Some(PathBuf::from("/k"));
        for (place, key, opened, verdict, said) in [
            (place(), Ok(true), Some(true), Good, "/k"),
            (place(), Ok(true), None, Good, "/k"),
            (place(), Ok(true), Some(false), Bad, "/k does not open the secrets"),
            (place(), Ok(false), Some(false), Bad, "/k is not there, and somebody has"),
            (place(), Ok(false), None, Good, "the first start makes /k"),
            (place(), Err(anyhow::anyhow!("it holds no 32 bytes")), None, Bad, "it holds no 32 bytes"),
            (None, Ok(false), None, Lacking, "nobody can add an authenticator app"),
            (None, Ok(false), Some(false), Bad, "none, and somebody has"),
        ] {
            let finding = seal_key_found(place, key, opened);
            assert!(finding.verdict == verdict && finding.found.contains(said), "{said}: {}", finding.found);
            assert_eq!(finding.fix.is_some(), verdict != Good, "{said}");
        }
    }
}
