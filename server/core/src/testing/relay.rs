//! Requests that a [`FakeCluster`] was handed on, and what it answers them.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::cluster::FakeCluster;
use crate::{
    authz::Impersonation,
    error::Result,
    ports::relay::{KubeBody, KubeReply, KubeRequest},
};

/// What came, and what is to be answered next.
#[derive(Default)]
pub struct Relays {
    seen: Vec<(Impersonation, KubeRequest)>,
    next: VecDeque<(u16, String)>,
}

impl FakeCluster {
    /// The next request is answered so; without it, with what was sent.
    pub fn answer_next(&self, status: u16, body: &str) {
        self.state.lock().relays.next.push_back((status, body.to_owned()));
    }

    /// What was handed on since this was asked last, and as whom.
    pub fn relayed(&self) -> Vec<(Impersonation, KubeRequest)> {
        std::mem::take(&mut self.state.lock().relays.seen)
    }

    /// Watches stay open and silent after their first bytes.
    pub(super) fn answer_relayed(&self, who: &Impersonation, request: KubeRequest) -> Result<KubeReply> {
        self.up()?;
        let mut state = self.state.lock();
        let (status, body) = match state.relays.next.pop_front() {
            Some((status, body)) => (status, Bytes::from(body)),
            None => (200, request.body.clone()),
        };
        let open = request.query.split('&').any(|pair| matches!(pair, "watch=true" | "follow=true"));
        state.relays.seen.push((who.clone(), request));
        drop(state);
        let first = stream::once(std::future::ready(Ok(body)));
        let body = if open { first.chain(stream::pending()).boxed() } else { first.boxed() };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("content-type", "application/json"),
            header("set-cookie", "a=b"),
            header("warning", "299 - \"old\""),
        ];
        Ok(KubeReply { status, headers, body: KubeBody::Stream(body) })
    }
}
