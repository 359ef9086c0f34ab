//! Agents: clusters that Berth cannot reach call in. An agent is registered with its cluster, gets a token that opens nothing but its
//! tunnel, and is taken as long as it has that token and calls from that cluster.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_types::{
    ClusterId, ErrorCode,
    cluster::{ClusterAgent, ClusterState, ClusterView, NewAgent},
    role::{Action, Resource},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::watch;

use super::{
    Done, Services,
    clusters::{Kept, probe, wanted},
    identity::{digest, new_secret},
    people::name,
};
use crate::{
    agent_manifest,
    authz::{Grant, PlatformRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::{
        agents::{AgentRow, AgentToken, Call, Caller, Met, Told, Tunnel, met_already, unmet},
        clusters::{ClusterRow, Registered, registered_already},
        relay::Duplex,
        store::Digest,
    },
    recheck,
};

/// What agents' tokens begin with.
pub const AGENT_PREFIX: &str = "berth_agent_";
/// How often a replica says that it serves.
pub const BEAT: Duration = Duration::from_secs(4);
/// One that said nothing for so long serves no more.
const LIVES: SignedDuration = SignedDuration::from_secs(15);
/// How long who calls may take to say who it is, and its cluster to answer.
const HEAR: Duration = Duration::from_secs(15);
/// How long who has too many tunnels shall wait.
const TOO_MANY: Duration = Duration::from_secs(20);
/// Longest that is waited for who is sent away to hear it.
const FAREWELL: Duration = Duration::from_secs(3);
/// An agent that was away for so long is written down when it is back.
const LONG: SignedDuration = SignedDuration::from_mins(10);
/// Tunnels of one cluster at a replica, those that are not taken yet with them: each agent needs one, and another where the first died
/// without a word.
const MOST: usize = 8;
/// Most characters of what an agent says of itself.
const MAX_SAID: usize = 60;
/// Most characters of why it was sent away: its API server may have said them.
const MAX_WHY: usize = 400;

/// An agent that proved by its token whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its cluster.
    pub cluster: ClusterId,
    digest: Digest,
}

/// An agent whose token was just made.
pub struct MadeAgent {
    /// The cluster to which it shall lead.
    pub cluster: ClusterView,
    /// The token, never shown again.
    pub token: SecretString,
}

/// What is known of agents, and of the replicas that they call.
pub(super) struct Agents {
    rows: Vec<AgentRow>,
    tunnels: Vec<Tunnel>,
    replicas: usize,
}

impl Agents {
    /// The agent of a cluster, where one leads to it.
    pub(super) fn of(&self, id: &ClusterId) -> Option<ClusterAgent> {
        let row = self.rows.iter().find(|row| row.cluster == *id)?;
        let tunnels: Vec<&Tunnel> = self.tunnels.iter().filter(|tunnel| tunnel.cluster == *id).collect();
        Some(ClusterAgent {
            token: row.prefix.clone(),
            made_by: row.by.clone(),
            made_at: row.at,
            version: row.caller.as_ref().map(|caller| caller.version.clone()),
            address: row.caller.as_ref().map(|caller| caller.address.clone()).filter(|address| !address.is_empty()),
            since: tunnels.iter().map(|tunnel| tunnel.since).min(),
            seen_at: row.seen_at,
            tunnels: tunnels.len(),
            replicas: self.replicas,
            refused: row.refused.as_ref().map(|(why, _)| why.clone()),
            refused_at: row.refused.as_ref().map(|(_, at)| *at),
        })
    }
}

/// How a call stands to what is known of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody called before: which cluster it is gets fixed.
    First,
    /// It was away for long.
    Back,
    /// It was here just now.
    Again,
}

fn standing(known: &str, found: &str, id: &ClusterId, seen: Option<Timestamp>, now: Timestamp) -> Result<Standing> {
    if known == unmet(id) {
        return Ok(Standing::First);
    }
    if known != found {
        let message = "it calls from another cluster than the one that was registered: register that by itself";
        return Err(Error::new(ErrorCode::Conflict, message));
    }
    Ok(match seen {
        Some(seen) if now.duration_since(seen) < LONG => Standing::Again,
        _ => Standing::Back,
    })
}

/// Whether it is written into the audit log that one is sent away: who is comes again and again. That a cluster does not answer is said
/// once, in whatever words it fails; who calls from another one, for each reason.
fn is_news(known: Option<&str>, error: &Error) -> bool {
    let stranger = matches!(error.code(), ErrorCode::Conflict | ErrorCode::AlreadyExists);
    known.is_none_or(|known| stranger && known != said(error.message(), MAX_WHY))
}

/// What an agent, or who is behind it, says: fit to be kept and shown.
fn said(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// A call whose cluster has room for it here, as long as this lives.
pub struct Admitted {
    agent: Agent,
    kept: Arc<Kept>,
    number: u64,
}

impl Admitted {
    /// From now on there is a tunnel.
    fn taken(&self, at: Timestamp) {
        if let Some((_, since)) = self.kept.calls.lock().get_mut(&self.number) {
            *since = Some(at);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.kept.calls.lock().remove(&self.number);
    }
}

impl Services {
    /// What is known of all agents; asks for replicas only where there are agents.
    pub(super) async fn agents(&self, grant: &Grant<PlatformRef>) -> Result<Agents> {
        let rows = self.store.list_agents(grant).await?;
        if rows.is_empty() {
            return Ok(Agents { rows, tunnels: Vec::new(), replicas: 0 });
        }
        let since = self.living();
        Ok(Agents {
            rows,
            tunnels: self.store.list_tunnels(grant, since).await?,
            replicas: self.store.list_replicas(grant, since).await?.len(),
        })
    }

    fn living(&self) -> Timestamp {
        self.clock.now().checked_sub(LIVES).unwrap_or(Timestamp::MIN)
    }

    fn agent_token(&self, ctx: &OpCtx) -> Result<(AgentToken, SecretString)> {
        let secret = format!("{AGENT_PREFIX}{}", new_secret(&*self.random)?);
        let prefix = secret.chars().take(AGENT_PREFIX.len() + 6).collect();
        let token = AgentToken { digest: digest(&secret), prefix, by: ctx.actor.to_string(), at: ctx.now() };
        Ok((token, secret.into()))
    }

    /// The same, whose agents run this image.
    #[must_use]
    pub fn with_agent_image(self, image: String) -> Self {
        Self { agent_image: image.into(), ..self }
    }

    /// All that a cluster is given for its agent, which shall call the portal at `server`.
    ///
    /// # Errors
    /// None but bugs.
    pub fn agent_manifest(&self, server: &str, token: &SecretString) -> Result<String> {
        agent_manifest::yaml(&agent_manifest::Wanted { server, image: &self.agent_image, token })
    }

    /// Registers a cluster that an agent leads to; the token comes back once. Which cluster it is, its agent's first call says.
    ///
    /// # Errors
    /// `Invalid` at `name`, `label`, `labels`; `AlreadyExists` where the name is taken; forbidden.
    pub async fn register_agent(&self, ctx: &OpCtx, new: &NewAgent) -> Result<MadeAgent> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Create)?;
            let mut errors = Vec::new();
            let named = name::<ClusterId>("name", &new.name, ClusterId::MAX);
            errors.extend(named.as_ref().err().into_iter().flat_map(|e| e.fields().to_vec()));
            let wanted = wanted(&new.label, &new.labels, &mut errors);
            let (Ok(id), true) = (named, errors.is_empty()) else { return Err(Error::invalid(errors)) };
            if self.store.list_clusters(&grant).await?.iter().any(|row| row.id == id) {
                return Err(registered_already(true));
            }
            let (token, secret) = self.agent_token(ctx)?;
            let registered = Registered {
                server: String::new(),
                identity: unmet(&id),
                // Of no other that had the name before.
                generation: ctx.now().as_microsecond(),
                by: ctx.actor.to_string(),
                at: ctx.now(),
            };
            let detail = json!({ "agent": token.prefix, "label": wanted.label, "labels": wanted.labels });
            let row = ClusterRow {
                id: id.clone(),
                label: wanted.label,
                labels: wanted.labels,
                state: ClusterState::Open,
                registered: Some(registered),
                probe: None,
                version: 1,
            };
            self.store.create_agent(&grant, &row, &token).await?;
            self.sync_clusters().await?;
            let cluster = self.cluster_view(&grant, &id).await?;
            Ok(Done::with(MadeAgent { cluster, token: secret }, detail))
        };
        let target = new.name.chars().take(60).collect::<String>();
        self.audited(ctx, "cluster.register", target, None, work).await
    }

    /// Gives a cluster's agent another token; what has the old one is let go of within 5 s.
    ///
    /// # Errors
    /// `NotFound`, also where no agent leads to the cluster; forbidden.
    pub async fn renew_agent(&self, ctx: &OpCtx, id: &ClusterId) -> Result<MadeAgent> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Update)?;
            let (token, secret) = self.agent_token(ctx)?;
            self.store.set_agent_token(&grant, id, Some(&token)).await?;
            let cluster = self.cluster_view(&grant, id).await?;
            Ok(Done::with(MadeAgent { cluster, token: secret }, json!({ "agent": token.prefix })))
        };
        self.audited(ctx, "cluster.agent.renew", id.to_string(), None, work).await
    }

    /// Revokes the token of a cluster's agent: it is let go of within 5 s, and the cluster is away until its agent has another.
    ///
    /// # Errors
    /// As [`Self::renew_agent`].
    pub async fn revoke_agent(&self, ctx: &OpCtx, id: &ClusterId) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Update)?;
            self.store.set_agent_token(&grant, id, None).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "cluster.agent.revoke", id.to_string(), None, work).await
    }

    /// Whose token this is: an agent's, or nobody's.
    ///
    /// # Errors
    /// The store's.
    pub async fn authenticate_agent(&self, token: &str) -> Result<Option<Agent>> {
        if !token.starts_with(AGENT_PREFIX) {
            return Ok(None);
        }
        let digest = digest(token);
        Ok(self.store.find_agent(&digest).await?.map(|cluster| Agent { cluster, digest }))
    }

    /// Gives an agent's call one of the places that its cluster has here, before anything is heard of it.
    ///
    /// # Errors
    /// `RateLimited` where it has them all.
    pub fn admit_agent(&self, agent: Agent) -> Result<Admitted> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut calls = self.kept.calls.lock();
        if calls.values().filter(|(cluster, _)| *cluster == agent.cluster).count() >= MOST {
            let message = format!("this cluster's agents have {MOST} tunnels here already");
            return Err(Error::new(ErrorCode::RateLimited, message).retry_after(TOO_MANY));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        calls.insert(number, (agent.cluster.clone(), None));
        Ok(Admitted { agent, kept: self.kept.clone(), number })
    }

    /// Takes an agent's call and serves it until one of both ends it, or its token is not good any more. `ctx` says from where it came.
    ///
    /// # Errors
    /// Why it was not taken; whoever called has been told.
    pub async fn serve_agent(&self, ctx: &OpCtx, admitted: Admitted, call: Box<dyn Duplex>) -> Result<()> {
        let agent = &admitted.agent;
        let ctx = OpCtx { actor: crate::ctx::Actor::System("agent"), ..ctx.clone() };
        let away = |error: &Error| {
            tracing::warn!(cluster = %agent.cluster, network = &*ctx.network, %error, "an agent was sent away");
        };
        let late = |_| Error::new(ErrorCode::Timeout, "it did not say in time who it is");
        let heard = tokio::time::timeout(HEAR, self.kept.registrar.hear(call)).await.map_err(late);
        let call = match heard.flatten() {
            Ok(call) => call,
            Err(e) => {
                away(&e);
                if e.code() == ErrorCode::Invalid {
                    self.refuses(agent, &e).await?;
                }
                return Err(e);
            }
        };
        let told = self.told().await?;
        if call.held().contains(&told.replica) {
            // The call went to whichever replica it liked: the tunnel that is here goes on, and the agent calls again.
            let _ = tokio::time::timeout(FAREWELL, call.spare(told)).await;
            return Ok(());
        }
        let met = match self.meet(&ctx, agent, &*call).await {
            Ok(met) => met,
            Err(e) => {
                away(&e);
                let _ = tokio::time::timeout(FAREWELL, call.refuse(e.message())).await;
                return Err(e);
            }
        };
        let (tell, told) = watch::channel(told);
        admitted.taken(self.clock.now());
        self.beat_replica().await?;
        tracing::info!(cluster = %agent.cluster, network = &*ctx.network, "an agent is there");
        tokio::select! {
            () = call.serve(&met, told) => {}
            () = self.agent_gone(agent, &tell) => {}
        }
        tracing::info!(cluster = %agent.cluster, network = &*ctx.network, "an agent is gone");
        drop(admitted);
        self.beat_replica().await
    }

    /// What agents are told.
    async fn told(&self) -> Result<Told> {
        let live = self.store.list_replicas(&self.about_clusters()?, self.living()).await?;
        Ok(Told { replica: self.kept.registrar.replica(), replicas: live.len().max(1) })
    }

    /// Keeps why an agent was sent away.
    async fn refuses(&self, agent: &Agent, error: &Error) -> Result<()> {
        let why = said(error.message(), MAX_WHY);
        self.store.note_refusal(&self.about_clusters()?, &agent.cluster, &why, self.clock.now()).await
    }

    /// Returns when an agent's token is not good any more, or nobody can say; tells it of other replicas meanwhile.
    async fn agent_gone(&self, agent: &Agent, tell: &watch::Sender<Told>) {
        loop {
            let asked = async {
                let known = self.store.find_agent(&agent.digest).await?;
                let told = self.told().await?;
                Ok::<_, Error>((known.as_ref() == Some(&agent.cluster)).then_some(told))
            };
            let Ok(Some(now)) = recheck::in_time(&*self.clock, asked).await else { return };
            tell.send_if_modified(|told| {
                let other = *told != now;
                *told = now;
                other
            });
            self.clock.sleep(recheck::EVERY).await;
        }
    }

    /// Looks whether the call comes from the cluster that it should: which one that is.
    async fn meet(&self, ctx: &OpCtx, agent: &Agent, call: &dyn Call) -> Result<Met> {
        let grant = self.about_clusters()?;
        let id = &agent.cluster;
        let row = self.cluster_row(&grant, id).await?.registered.ok_or_else(Error::not_found)?;
        let found = self.store.list_agents(&grant).await?.into_iter().find(|row| row.cluster == *id);
        let known = found.ok_or_else(Error::not_found)?;
        let who = Caller { version: said(call.version(), MAX_SAID), address: ctx.network.to_string() };
        let asked = async {
            let late = |_| Error::new(ErrorCode::Timeout, "its API server did not answer it in time");
            let identity = tokio::time::timeout(HEAR, call.identity()).await.map_err(late)?;
            // What it says goes into the audit log, which keeps it for ever.
            let identity = identity.map_err(|e| Error::new(e.code(), said(e.message(), MAX_WHY)).caused_by(e))?;
            let standing = standing(&row.identity, &identity, id, known.seen_at, ctx.now())?;
            if standing == Standing::First {
                self.is_new(&grant, &identity).await?;
            }
            Ok::<_, Error>((identity, standing))
        };
        let detail = json!({ "version": who.version, "agent": known.prefix });
        let (identity, standing) = match asked.await {
            Ok(found) => found,
            Err(e) => {
                let news = is_news(known.refused.as_ref().map(|(why, _)| why.as_str()), &e);
                self.refuses(agent, &e).await?;
                if !news {
                    return Err(e);
                }
                let refused = async { Err::<Done<Met>, _>(e) };
                return self.audited(ctx, "cluster.connect", id.to_string(), None, refused).await;
            }
        };
        let take = async {
            if standing == Standing::First {
                self.store.meet_cluster(&grant, id, &identity, call.server()).await?;
                let looked = tokio::time::timeout(HEAR, call.look()).await;
                if let Ok(looked) = looked {
                    self.store.note_probe(&grant, id, &probe(looked, ctx.now())).await?;
                }
            }
            self.store.note_call(&grant, id, &who, ctx.now()).await?;
            Ok(Done::with(Met { id: id.clone(), generation: row.generation, identity }, detail))
        };
        match standing {
            Standing::Again => take.await.map(|done| done.value),
            Standing::First | Standing::Back => self.audited(ctx, "cluster.connect", id.to_string(), None, take).await,
        }
    }

    /// Refuses a cluster that is there already, the configured one as well.
    async fn is_new(&self, grant: &Grant<PlatformRef>, identity: &str) -> Result<()> {
        for row in self.store.list_clusters(grant).await? {
            let known = match &row.registered {
                Some(registered) => registered.identity.clone(),
                None => self.clusters.get(&row.id)?.identity().await?,
            };
            if known == identity {
                return Err(met_already());
            }
        }
        Ok(())
    }

    /// Says that this replica serves, and which agents it took.
    ///
    /// # Errors
    /// The store's.
    pub async fn beat_replica(&self) -> Result<()> {
        // What was read first is written first: else an older answer could stand in the place of a newer one.
        let _one = self.kept.beating.lock().await;
        let name = self.kept.registrar.replica();
        let mut tunnels: BTreeMap<ClusterId, Timestamp> = BTreeMap::new();
        for (cluster, since) in self.kept.calls.lock().values() {
            let Some(since) = *since else { continue };
            let first = tunnels.entry(cluster.clone()).or_insert(since);
            *first = (*first).min(since);
        }
        let tunnels: Vec<_> = tunnels.into_iter().collect();
        self.store.note_replica(&self.about_clusters()?, &name, self.clock.now(), &tunnels).await
    }

    /// Says that this replica serves no more: agents need not look for it.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_replica(&self) -> Result<()> {
        self.store.remove_replica(&self.about_clusters()?, &self.kept.registrar.replica()).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_calls_is_the_first_or_the_same() {
        let id: ClusterId = "moon".parse().unwrap();
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let ago = |minutes| Some(now - SignedDuration::from_mins(minutes));
        for (known, seen, want) in [
            ("agent:moon", None, Some(Standing::First)),
            // Another row's stand-in is no cluster's identity.
            ("agent:sun", None, None),
            ("uid-1", ago(1), Some(Standing::Again)),
            ("uid-1", ago(10), Some(Standing::Back)),
            ("uid-1", None, Some(Standing::Back)),
            ("uid-2", ago(1), None),
        ] {
            let got = standing(known, "uid-1", &id, seen, now);
            assert_eq!(got.as_ref().ok(), want.as_ref(), "{known} {seen:?}");
        }
    }

    #[test]
    fn what_happens_again_and_again_is_written_down_once() {
        let (away, other) = (ErrorCode::ClusterUnavailable, ErrorCode::Conflict);
        for (known, code, message, want) in [
            (None, away, "refused", true),
            (None, other, "another cluster", true),
            (Some("refused"), away, "refused", false),
            // An API server that fails now so, now so, would fill the log.
            (Some("refused"), away, "reset", false),
            (Some("another cluster"), other, "another cluster", false),
            (Some("refused"), other, "another cluster", true),
        ] {
            assert_eq!(is_news(known, &Error::new(code, message)), want, "{known:?} {message}");
        }
    }

    #[test]
    fn what_an_agent_says_of_itself_is_short_and_plain() {
        assert_eq!(said("0.1.0", 60), "0.1.0");
        assert_eq!(said("\u{1b}[31m1\n", 60), "[31m1");
        assert_eq!(said(&"x".repeat(99), 60).len(), 60);
    }
}
