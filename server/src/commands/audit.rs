//! `berth audit`: whether the audit log is what was written, and what proves it. Works on the database alone.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use berth_core::{
    audit::{
        PublicKey,
        chain::hex,
        verify::{Source, verify},
    },
    ports::store::Store,
    services::audit_log::Checkpointed,
};
use berth_types::audit::AuditCheckpoint;
use clap::{Args, Subcommand};

use super::admin;
use crate::{audit_key, config};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the whole log: exit 0 when it is what was written, else 1 and the first thing that does not fit.
    Verify(Verify),
    /// Sign where the log ends now, and print the checkpoint as one line of JSON.
    Checkpoint(Database),
    /// Print the public half of the key that signs checkpoints.
    PublicKey(Database),
}

/// Which database.
#[derive(Debug, Args)]
pub struct Database {
    #[command(flatten)]
    flags: config::Flags,
}

/// Flags of `berth audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Checkpoints that were kept elsewhere, one a line; - for standard input.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The public keys to be trusted, as `berth audit public-key` printed them. Without it the installation's own key,
    /// where it is.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    flags: config::Flags,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(args) => return check(args).await,
        Command::Checkpoint(at) => checkpoint(at).await?,
        Command::PublicKey(at) => {
            let settings = config::load(&at.flags)?;
            look(&settings).await?;
            let key = audit_key::open(&settings)?.context(NO_KEY)?;
            print!("{}", key.public().to_pem());
        }
    }
    Ok(ExitCode::SUCCESS)
}

const NO_KEY: &str = "replicas on Postgres share the key of the audit log: name its file with --audit-key-file";

/// The database as it is: looking neither makes nor changes one, and a mistyped --data gets no key.
async fn look(settings: &config::Settings) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(file) = settings.missing_database() {
        bail!("there is no database {}; name its directory with --data", file.display());
    }
    let options = berth_store::Options { migrate: false, ..settings.store_options() };
    Ok(berth_store::connect(&settings.database()?, &options).await?)
}

async fn check(args: Verify) -> anyhow::Result<ExitCode> {
    let settings = config::load(&args.flags)?;
    let keys = match &args.public_key {
        Some(path) => Some(public_keys(path)?),
        None => audit_key::find(&settings)?.map(|key| vec![key.public().clone()]),
    };
    let outside = args.checkpoints.as_ref().map(read_checkpoints).transpose()?;
    if outside.is_some() && keys.is_none() {
        bail!("checkpoints prove nothing without the key that signed them: name it with --public-key");
    }
    let store = look(&settings).await?;
    let given = outside.as_ref().map_or(0, Vec::len);
    match verify(&*store, outside.unwrap_or_default(), keys.as_deref()).await? {
        Ok(whole) => {
            let signed = if keys.is_some() { "signatures checked" } else { "signatures NOT checked: no public key" };
            println!("whole: {} entries; the last has the hash {}", whole.head.sequence, hex(&whole.head.hash));
            println!(
                "{} checkpoints agree, {given} of them from outside ({signed}); they cover entries up to {}",
                whole.checkpoints, whole.covered
            );
            if given == 0 {
                println!(
                    "note: that the log was cut off or written anew, only checkpoints kept elsewhere can show: --checkpoints FILE"
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(found) => {
            println!("NOT whole, at entry {}: {found}", found.sequence);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn public_keys(path: &PathBuf) -> anyhow::Result<Vec<PublicKey>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    PublicKey::all_from_pem(&text).with_context(|| path.display().to_string())
}

fn read_checkpoints(path: &PathBuf) -> anyhow::Result<Vec<(Source, AuditCheckpoint)>> {
    let text =
        if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let one = serde_json::from_str(line)
            .with_context(|| format!("{}, line {number}: this is no checkpoint", path.display()))?;
        found.push((Source::File(number), one));
    }
    if found.is_empty() {
        bail!("{} holds no checkpoint", path.display());
    }
    Ok(found)
}

async fn checkpoint(at: Database) -> anyhow::Result<()> {
    let settings = config::load(&at.flags)?;
    let services = admin::services(look(&settings).await?, &settings);
    let key = audit_key::open(&settings)?.context(NO_KEY)?;
    match services.checkpoint_audit(&key, true).await? {
        Checkpointed::Made(one) | Checkpointed::NotDue(Some(one)) => println!("{}", serde_json::to_string(&one)?),
        Checkpointed::NotDue(None) => bail!("the audit log has no entry yet"),
        Checkpointed::Broken(found) => bail!("the audit log is not whole, at entry {}: {found}", found.sequence),
    }
    Ok(())
}
