//! What containers print, and shells in them, of a [`FakeCluster`].

use std::sync::Arc;

use berth_types::{
    ErrorCode,
    rows::{LogLine, PodRow},
};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{broadcast, mpsc};

use super::cluster::FakeCluster;
use crate::{
    authz::{Grant, NamespaceRef},
    error::{Error, Result},
    ports::cluster::{ExecInput, ExecOutput, ExecSession, LogQuery},
};

impl FakeCluster {
    pub(super) fn read_logs(
        &self,
        namespace: &Grant<NamespaceRef>,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.up()?;
        let (place, query) = (namespace.kube_name.clone(), query.clone());
        let state = self.state.lock();
        let pods: Vec<&PodRow> = state
            .pods
            .values()
            .filter(|p| *p.kube_namespace == *place && query.app == p.app.as_deref().map(Into::into))
            .collect();
        if let Some(pod) = &query.pod
            && !state.pods.contains_key(&(place.to_string(), pod.clone()))
        {
            return Err(Error::not_found());
        }
        if query.previous {
            let message = "previous terminated container \"main\" not found";
            return Ok(stream::once(async move { Err(Error::new(ErrorCode::ClusterRefused, message)) }).boxed());
        }
        let names: Vec<Arc<str>> = pods.iter().map(|p| p.name.clone()).collect();
        let mine = move |line: &LogLine| {
            query.pod.as_deref().is_none_or(|pod| *line.pod == *pod)
                && query.container.as_deref().is_none_or(|container| *line.container == *container)
                && (query.app.is_none() || names.contains(&line.pod))
        };
        let mut old: Vec<LogLine> =
            state.logs.iter().filter(|(at, line)| **at == *place && mine(line)).map(|(_, line)| line.clone()).collect();
        if let Some(tail) = query.tail {
            old.drain(..old.len().saturating_sub(usize::try_from(tail).unwrap_or_default()));
        }
        let old = stream::iter(old.into_iter().map(Ok));
        if !query.follow {
            return Ok(old.boxed());
        }
        let lines = stream::unfold(self.lines.subscribe(), |mut lines| async {
            loop {
                match lines.recv().await {
                    Ok(line) => return Some((line, lines)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let new =
            lines.filter_map(move |(at, line)| std::future::ready((at == place && mine(&line)).then_some(Ok(line))));
        Ok(old.chain(new).boxed())
    }

    /// Echoes what is typed, after saying what it runs.
    pub(super) fn open_terminal(
        &self,
        namespace: &Grant<NamespaceRef>,
        pod: &str,
        command: &[String],
    ) -> Result<ExecSession> {
        self.up()?;
        if !self.state.lock().pods.contains_key(&(namespace.kube_name.to_string(), pod.to_owned())) {
            return Err(Error::not_found());
        }
        let (input, typed) = mpsc::channel(16);
        let hello = ExecOutput::Stdout(Bytes::from(format!("$ {}\n", command.join(" "))));
        let echo = stream::unfold(typed, |mut typed: mpsc::Receiver<ExecInput>| async {
            loop {
                match typed.recv().await? {
                    ExecInput::Stdin(bytes) => return Some((ExecOutput::Stdout(bytes), typed)),
                    ExecInput::Resize(..) => {}
                }
            }
        });
        let end = stream::once(async { ExecOutput::Exit(Some(0), None) });
        let output = stream::once(async { hello }).chain(echo).chain(end).boxed();
        Ok(ExecSession { input, output })
    }
}
