//! Requests that are handed on to a cluster's own API as they came: for `kubectl`.

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Result;

/// A request to a cluster, without anything that says who asks.
#[derive(Debug, Clone)]
pub struct KubeRequest {
    /// `GET`.
    pub method: String,
    /// From the cluster's root, not decoded.
    pub path: String,
    /// Without `?`; empty for none.
    pub query: String,
    /// Those that the cluster shall see.
    pub headers: Vec<(String, String)>,
    /// Whole; empty where it becomes a stream.
    pub body: Bytes,
    /// Its answer may take as long as it likes to begin: a container whose log is followed may be silent for hours.
    pub patient: bool,
}

/// What the cluster answers.
#[derive(Debug)]
pub struct KubeReply {
    /// HTTP status.
    pub status: u16,
    /// As they came.
    pub headers: Vec<(String, String)>,
    /// The answer itself.
    pub body: KubeBody,
}

/// The body of an answer.
pub enum KubeBody {
    /// Bytes until it ends; watches and followed logs do so only when somebody ends them.
    Stream(BoxStream<'static, Result<Bytes>>),
    /// A stream both ways, in the protocol that the headers name.
    Upgraded(Box<dyn Duplex>),
}

impl fmt::Debug for KubeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream(_) => "Stream",
            Self::Upgraded(_) => "Upgraded",
        })
    }
}

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
