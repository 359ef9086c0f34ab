//! What agent and portal tell each other in the first stream, which the agent opens: JSON, each message after its length.

use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest message.
pub const MAX: usize = 256 * 1024;

/// How the agent's cluster is reached, once there is a way to it. It holds secrets: nothing prints it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// A kubeconfig with all that is needed in it.
    pub kubeconfig: String,
    /// Service accounts whose tokens the account in it may ask for are called so, with `-reader` and the like after it.
    #[serde(default)]
    pub identities: Option<String>,
}

/// From the agent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromAgent {
    /// The first word.
    Hello {
        /// The agent's own version.
        version: String,
        /// The way to its cluster.
        access: Access,
        /// Replicas to which it has a tunnel: one of these says how things are, and takes no second.
        #[serde(default)]
        held: Vec<String>,
    },
    /// The way to its cluster has changed: tokens are renewed.
    Access {
        /// From now on.
        access: Access,
    },
}

/// From the portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromPortal {
    /// It is taken, or it is there already; again whenever something of it changes.
    #[serde(rename_all = "camelCase")]
    Welcome {
        /// Which replica answered.
        replica: String,
        /// How many there are.
        replicas: usize,
    },
    /// It is not, and the tunnel closes.
    #[serde(rename_all = "camelCase")]
    Refused {
        /// Why.
        reason: String,
    },
}

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Says something.
///
/// # Errors
/// The stream's; for a message that is too long.
pub async fn say<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), word: &T) -> io::Result<()> {
    let text = serde_json::to_vec(word)?;
    let length = u32::try_from(text.len()).ok().filter(|_| text.len() <= MAX);
    let length = length.ok_or_else(|| broken(format!("a message of {} bytes: {MAX} at most", text.len())))?;
    stream.write_all(&[&length.to_be_bytes(), text.as_slice()].concat()).await?;
    stream.flush().await
}

/// Hears something; nothing at the end of the stream.
///
/// # Errors
/// The stream's; for what is no such message.
pub async fn hear<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => drop(read?),
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX {
        return Err(broken(format!("a message of {length} bytes: {MAX} at most")));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    // The parser's own words would show what was sent.
    serde_json::from_slice(&text).map(Some).map_err(|_| broken("a message that cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_is_heard() {
        let (mut here, mut there) = tokio::io::duplex(64);
        let words = [
            FromPortal::Welcome { replica: "a".into(), replicas: 2 },
            FromPortal::Refused { reason: "x".repeat(1000) },
        ];
        let said = words.clone();
        tokio::spawn(async move {
            for word in &said {
                say(&mut here, word).await.unwrap();
            }
        });
        for word in words {
            assert_eq!(hear::<FromPortal>(&mut there).await.unwrap(), Some(word));
        }
        assert_eq!(hear::<FromPortal>(&mut there).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused_without_showing_it() {
        for (sent, why) in [
            (&b"\xff\xff\xff\xff"[..], "a message of 4294967295 bytes"),
            (b"\0\0\0\x08\"secret\"", "a message that cannot be read"),
            (b"\0\0\0\x09{}", "early eof"),
        ] {
            let error = hear::<FromAgent>(&mut &*sent).await.err().expect("a refusal").to_string();
            assert!(error.starts_with(why), "{error}");
            assert!(!error.contains("secret"));
        }
        let long = FromPortal::Refused { reason: "x".repeat(MAX) };
        assert!(say(&mut tokio::io::sink(), &long).await.is_err());
    }

    #[test]
    fn a_newer_one_may_say_more() {
        let text = r#"{"type":"hello","version":"9","cpu":4,"access":{"kubeconfig":"k","proxy":true}}"#;
        let FromAgent::Hello { version, access, held } = serde_json::from_str(text).unwrap() else { panic!("a hello") };
        assert_eq!((version.as_str(), access.kubeconfig.as_str(), access.identities), ("9", "k", None));
        assert!(held.is_empty(), "an older one says less");
    }
}
