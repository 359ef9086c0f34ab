//! The ledger: what a tenant may have on a cluster, what its namespaces have of it, and which changes are admitted. Pure; the
//! store runs it inside the transaction that writes, so that the sum can never pass the limit.

use berth_types::{
    ClusterId, ErrorCode, FieldError, NamespaceName, PlanName, Quantity, QuotaKey, Resource, Resources, TenantName,
    people::Namespace,
    quota::{
        ContainerDefaults, field,
        request::{LoanStage, QuotaLoan},
    },
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, NamespaceRef, TenantRef},
    error::Error,
};

pub mod requests;
pub mod rules;
#[cfg(test)]
mod tests;

/// Where amounts stand in what is sent.
pub const RESOURCES: &str = "resources";

/// What a tenant may have on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The plan that says so; none: amounts of its own.
    pub plan: Option<PlanName>,
    /// The plan from which amounts of its own were made.
    pub origin: Option<PlanName>,
    /// How much of each key; what it does not name is not limited.
    pub resources: Resources,
    /// What containers get that do not say themselves.
    pub defaults: ContainerDefaults,
}

/// What a namespace has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The namespace.
    pub namespace: Namespace,
    /// Its share; none: it was given nothing.
    pub resources: Option<Resources>,
}

/// A tenant on a cluster: its limit, and each of its namespaces there with its share, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The tenant.
    pub tenant: TenantName,
    /// Its row.
    pub tenant_id: Uuid,
    /// What people call it.
    pub display_name: String,
    /// The cluster.
    pub cluster: ClusterId,
    /// None: unlimited. Loans come on top of it.
    pub limit: Option<Limit>,
    /// What is lent and not given back yet, by when it ends.
    pub loans: Vec<QuotaLoan>,
    /// By name.
    pub shares: Vec<Share>,
}

/// What shall be otherwise in a [`Book`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The tenant's limit.
    Limit(Option<Limit>),
    /// What a namespace has; none: nothing was given to it.
    Share(NamespaceName, Option<Resources>),
    /// So much of one namespace's share becomes another's.
    Move {
        /// Whose share shrinks.
        from: NamespaceName,
        /// Whose share grows.
        to: NamespaceName,
        /// How much.
        resources: Resources,
    },
}

/// A book before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Before.
    pub before: Book,
    /// After.
    pub after: Book,
}

/// Why a change is not admitted: one reason a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// There is no such namespace on this cluster.
    Absent(NamespaceName),
    /// A share asks for more than is left.
    Left {
        /// Of what.
        key: QuotaKey,
        /// How much the namespace would have.
        asked: Quantity,
        /// How much it could have.
        left: Quantity,
        /// What the tenant may have.
        limit: Quantity,
        /// What the other namespaces have.
        others: Vec<(NamespaceName, Quantity)>,
    },
    /// A limit is less than what is shared out.
    Shared {
        /// Of what.
        key: QuotaKey,
        /// The limit.
        limit: Quantity,
        /// What the namespaces have.
        shares: Vec<(NamespaceName, Quantity)>,
    },
    /// A namespace has not so much to give.
    Gives {
        /// Of what.
        key: QuotaKey,
        /// Whose share.
        namespace: NamespaceName,
        /// How much it has.
        has: Quantity,
        /// How much it shall give.
        asked: Quantity,
    },
    /// A namespace is not limited in this: nothing can be taken from it or added to it.
    Unlimited {
        /// Of what.
        key: QuotaKey,
        /// Which.
        namespace: NamespaceName,
    },
    /// Nothing limits the tenant in this: its limit can become neither more nor less.
    Free(QuotaKey),
    /// What was asked as more would make less by now, or the other way round: the limit was changed since.
    Overtaken {
        /// Of what.
        key: QuotaKey,
        /// What was asked for.
        asked: Quantity,
        /// What it was of then.
        then: Quantity,
        /// What there is now.
        now: Quantity,
    },
    /// The sum cannot be counted.
    Overflow(QuotaKey),
}

impl Lack {
    /// At its key, in words.
    #[must_use]
    pub fn error(&self) -> FieldError {
        let list = |key: &QuotaKey, shares: &[(NamespaceName, Quantity)]| {
            let said: Vec<String> = shares.iter().map(|(name, has)| format!("{name} {}", key.write(*has))).collect();
            if said.is_empty() { "–".to_owned() } else { said.join(", ") }
        };
        let at = |key: &QuotaKey| field(RESOURCES, key.as_str());
        match self {
            Self::Absent(namespace) => {
                let message = format!("there is no namespace “{namespace}” on this cluster");
                FieldError::new("namespace", "namespace_unknown", message).param("value", namespace)
            }
            Self::Left { key, asked, left, limit, others } => {
                let (asked, left, limit) = (key.write(*asked), key.write(*left), key.write(*limit));
                let others = list(key, others);
                let message = format!(
                    "{asked} is more than there is: of the tenant's {limit}, other namespaces have {others}; {left} is left"
                );
                let said = FieldError::new(at(key), "quota_left", message).param("value", asked).param("left", &left);
                said.param("limit", limit).param("others", others).suggest(left)
            }
            Self::Shared { key, limit, shares } => {
                let sum = shares.iter().fold(Quantity::ZERO, |sum, (_, has)| sum.plus(*has));
                let (limit, sum, shares) = (key.write(*limit), key.write(sum), list(key, shares));
                let message =
                    format!("{limit} is less than the namespaces have: {sum} ({shares}). Lower their shares first");
                let said = FieldError::new(at(key), "quota_shared", message).param("limit", limit);
                said.param("sum", sum).param("shares", shares)
            }
            Self::Gives { key, namespace, has, asked } => {
                let (has, asked) = (key.write(*has), key.write(*asked));
                let message = format!("{namespace} has {has}: it cannot give {asked}");
                let said = FieldError::new(at(key), "quota_gives", message).param("value", asked);
                said.param("namespace", namespace).param("has", has)
            }
            Self::Unlimited { key, namespace } => {
                let message = format!("{namespace} is not limited in {key}: there is nothing to move");
                FieldError::new(at(key), "quota_unlimited", message).param("namespace", namespace).param("key", key)
            }
            Self::Free(key) => {
                let message = format!("nothing limits the tenant in {key}: there is nothing to ask for");
                FieldError::new(at(key), "request_unlimited", message).param("key", key)
            }
            Self::Overtaken { key, asked, then, now } => {
                let (asked, then, now) = (key.write(*asked), key.write(*then), key.write(*now));
                let message = format!(
                    "it was asked to go from {then} to {asked}, and it is {now} by now: that would go the other way. Offer other \
                     terms, or refuse it"
                );
                let said = FieldError::new(at(key), "request_overtaken", message).param("value", asked);
                said.param("then", then).param("limit", now)
            }
            Self::Overflow(key) => FieldError::new(at(key), "quantity_range", "the sum is too large"),
        }
    }
}

/// The refusal of a change: `NotFound` where a namespace is absent, else `Invalid` at each key.
#[must_use]
pub fn refusal(lacks: &[Lack]) -> Error {
    if lacks.iter().any(|lack| matches!(lack, Lack::Absent(_))) {
        return Error::not_found();
    }
    Error::invalid(lacks.iter().map(Lack::error).collect())
}

/// A plan that no tenant can be given.
#[must_use]
pub fn plan_unknown(plan: &str) -> Error {
    let message = format!("there is no plan “{plan}”");
    Error::field(FieldError::new("plan", "plan_unknown", message).param("value", plan))
}

/// Why a plan that is in use stays.
#[must_use]
pub fn plan_used(tenants: &[String]) -> Error {
    let tenants = tenants.join(", ");
    let message = format!("tenants have this plan: {tenants}. Give them another one first");
    Error::field(FieldError::new("plan", "plan_used", message).param("tenants", tenants))
}

/// Why a plan cannot be changed so: what each tenant that has it would lack.
#[must_use]
pub fn plan_refusal(lacks: &[(TenantName, Lack)]) -> Error {
    Error::invalid(lacks.iter().map(|(tenant, lack)| of_tenant(tenant, lack.error())).collect())
}

/// An error of one of the tenants that have a plan: `quota_shared` is `plan_shared` then.
#[must_use]
pub fn of_tenant(tenant: &TenantName, error: FieldError) -> FieldError {
    let code = error.code.replacen("quota_", "plan_", 1);
    FieldError { message: format!("{tenant}: {}", error.message), code, ..error }.param("tenant", tenant)
}

/// The plan was changed by somebody else meanwhile.
#[must_use]
pub fn plan_changed() -> Error {
    Error::new(ErrorCode::Conflict, "the plan has changed since it was read: read it again")
}

impl Book {
    /// A tenant without limit and namespaces.
    #[must_use]
    pub fn empty(tenant: &TenantRef, cluster: &ClusterId) -> Self {
        Self {
            tenant: tenant.name.clone(),
            tenant_id: tenant.id,
            display_name: tenant.display_name.to_string(),
            cluster: cluster.clone(),
            limit: None,
            loans: Vec::new(),
            shares: Vec::new(),
        }
    }

    /// The share of a namespace.
    #[must_use]
    pub fn share(&self, namespace: &NamespaceName) -> Option<&Share> {
        self.shares.iter().find(|share| share.namespace.name == *namespace)
    }

    /// What the cluster enforces in a namespace: its share, and nothing of each key that the tenant's limit names besides.
    /// `None`: nothing is limited.
    #[must_use]
    pub fn enforced(&self, share: &Share) -> Option<Resources> {
        let own = share.resources.as_ref();
        let limit = self.limit.as_ref().map(|limit| &limit.resources);
        let all: Resources = limit
            .into_iter()
            .flat_map(Resources::keys)
            .chain(own.into_iter().flat_map(Resources::keys))
            .map(|key| (key.clone(), own.map(|own| own.of(key)).unwrap_or_default()))
            .collect();
        (!all.is_empty()).then_some(all)
    }

    /// What there is to tell of a loan that has ended once what is free of it is given back, which comes `after` this: that all
    /// of it is, or, once, that it is not.
    #[must_use]
    pub fn told(&self, after: &Self, request: Uuid) -> Option<LoanStage> {
        let loan = |book: &Self| book.loans.iter().find(|loan| loan.request == request).map(|loan| loan.stage);
        match (loan(self)?, loan(after)) {
            (_, None) => Some(LoanStage::Ended),
            (stage, Some(_)) => (stage < LoanStage::Overdue).then_some(LoanStage::Overdue),
        }
    }

    /// What containers get in its namespaces that do not say themselves.
    #[must_use]
    pub fn defaults(&self) -> ContainerDefaults {
        self.limit.as_ref().map(|limit| limit.defaults.clone()).unwrap_or_default()
    }

    /// What the tenant may have of `key`, loans included; `None`: as much as it likes.
    #[must_use]
    pub fn limit_of(&self, key: &QuotaKey) -> Option<Quantity> {
        self.base_of(key).map(|base| base.plus(self.lent(key)))
    }

    /// What the tenant may have of `key` apart from loans.
    #[must_use]
    pub fn base_of(&self, key: &QuotaKey) -> Option<Quantity> {
        self.limit.as_ref().filter(|limit| limit.resources.has(key)).map(|limit| limit.resources.of(key))
    }

    /// How much of `key` is lent.
    #[must_use]
    pub fn lent(&self, key: &QuotaKey) -> Quantity {
        self.loans.iter().fold(Quantity::ZERO, |sum, loan| sum.plus(loan.resources.of(key)))
    }

    /// How much of `key` is lent until `end` at least.
    #[must_use]
    pub fn lent_until(&self, key: &QuotaKey, end: Timestamp) -> Quantity {
        let lasting = self.loans.iter().filter(|loan| loan.ends_at >= end);
        lasting.fold(Quantity::ZERO, |sum, loan| sum.plus(loan.resources.of(key)))
    }

    /// What the tenant may have of `key` for good, or until `end`; `None`: as much as it likes.
    #[must_use]
    pub fn lasting(&self, key: &QuotaKey, end: Option<Timestamp>) -> Option<Quantity> {
        let lent = end.map(|end| self.lent_until(key, end)).unwrap_or_default();
        self.base_of(key).map(|base| base.plus(lent))
    }

    /// How much of `key` was lent until a time that has passed.
    fn overdue(&self, key: &QuotaKey) -> Quantity {
        let overdue = self.loans.iter().filter(|loan| loan.stage == LoanStage::Overdue);
        overdue.fold(Quantity::ZERO, |sum, loan| sum.plus(loan.resources.of(key)))
    }

    /// What its namespaces have of `key` together; `None` when that cannot be counted.
    #[must_use]
    pub fn shared(&self, key: &QuotaKey) -> Option<Quantity> {
        let has = |share: &Share| share.resources.as_ref().map(|own| own.of(key)).unwrap_or_default();
        self.shares.iter().try_fold(Quantity::ZERO, |sum, share| sum.checked_plus(has(share)))
    }

    /// What each namespace has of `key` that has any.
    fn holders(&self, key: &QuotaKey) -> Vec<(NamespaceName, Quantity)> {
        let has = |share: &Share| share.resources.as_ref().map(|own| own.of(key)).unwrap_or_default();
        let all = self.shares.iter().map(|share| (share.namespace.name.clone(), has(share)));
        all.filter(|(_, has)| *has > Quantity::ZERO).collect()
    }

    /// All keys that its limit or a share names, the most important first.
    #[must_use]
    pub fn keys(&self) -> Vec<QuotaKey> {
        let limit = self.limit.iter().flat_map(|limit| limit.resources.keys());
        let shares = self.shares.iter().filter_map(|share| share.resources.as_ref()).flat_map(Resources::keys);
        let all: std::collections::BTreeSet<&QuotaKey> = limit.chain(shares).collect();
        all.into_iter().cloned().collect()
    }

    /// Whether the sum of the shares passes the limit anywhere.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        let Some(limit) = &self.limit else { return Vec::new() };
        let lack = |(key, base): (&QuotaKey, Quantity)| match (self.shared(key), base.plus(self.lent(key))) {
            (None, _) => Some(Lack::Overflow(key.clone())),
            (Some(sum), limit) if sum > limit => {
                Some(Lack::Shared { key: key.clone(), limit, shares: self.holders(key) })
            }
            (Some(_), _) => None,
        };
        limit.resources.iter().filter_map(lack).collect()
    }

    /// The book after a change.
    ///
    /// # Errors
    /// What is lacking, key by key: then nothing changes.
    pub fn after(&self, change: &Change) -> Result<Self, Vec<Lack>> {
        let mut after = self.clone();
        match change {
            Change::Limit(limit) => {
                after.limit.clone_from(limit);
                let lacks = after.lacks();
                return if lacks.is_empty() { Ok(after) } else { Err(lacks) };
            }
            Change::Share(namespace, resources) => after.share_mut(namespace)?.resources.clone_from(resources),
            Change::Move { from, to, resources } => after.transfer(from, to, resources)?,
        }
        let touched: Vec<&NamespaceName> = match change {
            Change::Limit(_) => Vec::new(),
            Change::Share(namespace, _) => vec![namespace],
            Change::Move { to, .. } => vec![to],
        };
        let lacks: Vec<Lack> = touched.into_iter().flat_map(|namespace| self.exceeding(&after, namespace)).collect();
        if lacks.is_empty() { Ok(after) } else { Err(lacks) }
    }

    /// What `namespace` asks for in `after` beyond what is left. What does not grow is never refused.
    fn exceeding(&self, after: &Self, namespace: &NamespaceName) -> Vec<Lack> {
        let asked = |book: &Self, key: &QuotaKey| {
            let own = book.share(namespace).and_then(|share| share.resources.as_ref());
            own.map(|own| own.of(key)).unwrap_or_default()
        };
        let mut lacks = Vec::new();
        for key in
            after.share(namespace).and_then(|share| share.resources.as_ref()).into_iter().flat_map(Resources::keys)
        {
            let Some(sum) = after.shared(key) else {
                lacks.push(Lack::Overflow(key.clone()));
                continue;
            };
            let Some(mut limit) = after.limit_of(key) else { continue };
            if self.shared(key).is_some_and(|before| sum > before) {
                // What becomes free of an overdue loan is given back, not shared out again.
                limit = limit.minus(after.overdue(key));
            }
            let wants = asked(after, key);
            if sum > limit && wants > asked(self, key) {
                let others = sum.minus(wants);
                let left = if others > limit { Quantity::ZERO } else { limit.minus(others) };
                let holders = after.holders(key).into_iter().filter(|(name, _)| name != namespace).collect();
                lacks.push(Lack::Left { key: key.clone(), asked: wants, left, limit, others: holders });
            }
        }
        lacks
    }

    fn share_mut(&mut self, namespace: &NamespaceName) -> Result<&mut Share, Vec<Lack>> {
        let found = self.shares.iter_mut().find(|share| share.namespace.name == *namespace);
        found.ok_or_else(|| vec![Lack::Absent(namespace.clone())])
    }

    fn transfer(&mut self, from: &NamespaceName, to: &NamespaceName, amounts: &Resources) -> Result<(), Vec<Lack>> {
        let mut lacks = Vec::new();
        // What the cluster enforces is what a namespace has: of what is limited nowhere there is nothing to take.
        let held = |book: &Self, name: &NamespaceName| {
            let share = book.share(name).ok_or_else(|| vec![Lack::Absent(name.clone())])?;
            Ok::<_, Vec<Lack>>(book.enforced(share).unwrap_or_default())
        };
        let (mut giver, mut taker) = (held(self, from)?, held(self, to)?);
        for (key, amount) in amounts.iter() {
            for (name, has) in [(from, &giver), (to, &taker)] {
                if !has.has(key) {
                    lacks.push(Lack::Unlimited { key: key.clone(), namespace: name.clone() });
                }
            }
            let (has, asked) = (giver.of(key), amount);
            if giver.has(key) && has < asked {
                lacks.push(Lack::Gives { key: key.clone(), namespace: from.clone(), has, asked });
            }
            match taker.of(key).checked_plus(amount) {
                Some(sum) => taker.set(key.clone(), sum),
                None => lacks.push(Lack::Overflow(key.clone())),
            }
            giver.set(key.clone(), has.minus(asked));
        }
        if !lacks.is_empty() {
            return Err(lacks);
        }
        if from != to {
            self.share_mut(from)?.resources = Some(giver);
            self.share_mut(to)?.resources = Some(taker);
        }
        Ok(())
    }

    /// Whose it is, in nobody's eyes.
    pub(crate) fn tenant_ref(&self) -> TenantRef {
        TenantRef {
            id: self.tenant_id,
            name: self.tenant.clone(),
            display_name: self.display_name.as_str().into(),
            role: None,
            rights: crate::authz::Rights::NONE,
            halt: None,
        }
    }

    /// A namespace of it, for looking at what it uses.
    pub(crate) fn namespace(&self, share: &Share) -> Grant<NamespaceRef> {
        let namespace = NamespaceRef {
            tenant: self.tenant_ref(),
            id: share.namespace.id,
            name: share.namespace.name.clone(),
            cluster: share.namespace.cluster.clone(),
            kube_name: share.namespace.kube_name.as_str().into(),
            given: None,
            rights: crate::authz::Rights::NONE,
            protected: false,
            halt: share.namespace.halt.clone(),
        };
        Grant::new(namespace, Resource::Share, berth_types::Action::Read)
    }
}

/// A key that a change lowers in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered<'a> {
    /// Where.
    pub share: &'a Share,
    /// Of what.
    pub key: QuotaKey,
    /// To what.
    pub to: Quantity,
}

impl Changed {
    /// What the cluster will enforce less of than before, or at all for the first time.
    #[must_use]
    pub fn lowered(&self) -> Vec<Lowered<'_>> {
        let mut all = Vec::new();
        for share in &self.after.shares {
            let before = self.before.share(&share.namespace.name).and_then(|share| self.before.enforced(share));
            let after = self.after.enforced(share).unwrap_or_default();
            for (key, to) in after.iter() {
                let had = before.as_ref().filter(|before| before.has(key)).map(|before| before.of(key));
                if had.is_none_or(|had| to < had) {
                    all.push(Lowered { share, key: key.clone(), to });
                }
            }
        }
        all
    }
}
