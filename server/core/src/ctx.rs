//! Who asks, and in which request.

use std::{fmt, sync::Arc};

use berth_types::{PlatformRole, UserName, people::TokenScope};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{env::Clock, error::Result, view_as::ViewAs};

/// What the outermost layer knows of a request; every entry point finds it in the request's extensions.
#[derive(Debug, Clone)]
pub struct RequestMeta {
    /// Finds the request in the log.
    pub request_id: Arc<str>,
    /// Network address of the client.
    pub network: Arc<str>,
}

/// How a person came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A browser session.
    Session(Uuid),
    /// An API token, with its visible prefix.
    Token(Uuid, Arc<str>),
    /// The command line, on the machine itself.
    Cli,
    /// A browser session in which somebody else looks at the portal as this person has it: nothing can be changed so.
    View(Arc<ViewAs>),
    /// Not at all: Berth goes on with what they began, with the rights that they have now.
    Begun,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(_) => f.write_str("session"),
            Self::Token(_, prefix) => write!(f, "token:{prefix}"),
            Self::Cli => f.write_str("cli"),
            Self::View(_) => f.write_str("view"),
            Self::Begun => f.write_str("begun"),
        }
    }
}

/// A person who proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their account.
    pub id: Uuid,
    /// What they sign in as.
    pub name: UserName,
    /// What others see.
    pub display_name: Arc<str>,
    /// Role on the platform.
    pub platform_role: Option<PlatformRole>,
    /// How they came in.
    pub via: Via,
    /// What the token allows; all of it for a session.
    pub scope: TokenScope,
    /// Nothing but changing the password is allowed before that is done.
    pub must_change_password: bool,
    /// Nothing but adding a second factor is allowed before that is done.
    pub needs_second_factor: bool,
}

impl Person {
    /// The browser session in which they ask, if it is one.
    #[must_use]
    pub fn session(&self) -> Option<Uuid> {
        match self.via {
            Via::Session(id) => Some(id),
            _ => None,
        }
    }

    /// Who looks at the portal as this person has it, where it is not they themselves who ask.
    #[must_use]
    pub fn viewed_by(&self) -> Option<&ViewAs> {
        match &self.via {
            Via::View(view) => Some(view),
            _ => None,
        }
    }

    /// The person, if they ask themselves: for what is nobody else's business, such as what opens their account.
    ///
    /// # Errors
    /// `Viewing` while somebody looks as they do.
    pub fn themselves(&self) -> Result<&Self> {
        self.viewed_by().map_or(Ok(self), |view| Err(view.refused()))
    }

    /// Whether all that their roles give is open to them: nothing must be done first.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.must_change_password && !self.needs_second_factor
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Nobody we know.
    Anonymous,
    /// A person.
    Person(Arc<Person>),
    /// A part of Berth itself, such as a reconciler.
    System(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Person(p) => write!(f, "{}", p.name),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// The context of one operation: first argument of every service function.
#[derive(Clone)]
pub struct OpCtx {
    /// Who asks.
    pub actor: Actor,
    /// Finds the request in the log.
    pub request_id: Arc<str>,
    /// Network address of the client.
    pub network: Arc<str>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl OpCtx {
    /// Nobody's context, for a request that has not been authenticated yet.
    #[must_use]
    pub fn anonymous(clock: Arc<dyn Clock>, request_id: impl Into<Arc<str>>, network: impl Into<Arc<str>>) -> Self {
        Self { actor: Actor::Anonymous, request_id: request_id.into(), network: network.into(), clock }
    }

    /// A context of Berth's own.
    #[must_use]
    pub fn system(clock: Arc<dyn Clock>, part: &'static str) -> Self {
        Self { actor: Actor::System(part), request_id: format!("system-{part}").into(), network: "".into(), clock }
    }

    /// The same request, asked by `actor`.
    #[must_use]
    pub fn with_actor(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The person who asks, if it is one.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match &self.actor {
            Actor::Person(person) => Some(person),
            _ => None,
        }
    }
}

impl fmt::Debug for OpCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpCtx")
            .field("actor", &self.actor)
            .field("request_id", &self.request_id)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}
