//! Requests for another quota: asked by a tenant's people from where it failed, decided by a rule or an admin, and loans, which
//! end by themselves.

use berth_types::{
    Action, ClusterId, ErrorCode, FieldError, ListQuery, NamespaceName, Quantity, QuotaKey, Resource, Resources,
    TenantName, UserName,
    quota::{
        Written,
        request::{
            LoanStage, MAX_LOAN_DAYS, MAX_WORDS, QuotaAsk, QuotaEvidence, QuotaLoan, QuotaRequest, RequestMove,
            RequestState, RequestStep, Terms,
        },
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Done, Services,
    identity::new_id,
    quotas::{counted, used_in},
};
use crate::{
    audit::range::moment,
    authz::{Grant, TenantRef},
    ctx::{OpCtx, Person},
    error::{Error, Result},
    ports::cluster::CacheState,
    quota::{
        Book, RESOURCES, refusal,
        requests::{Granting, Stood, next, request_changed, stage},
        rules::{Case, Rule},
    },
    usage::{Hour, Past, summary},
};

/// Requests of a tenant that may wait at once.
const MAX_OPEN: usize = 20;

/// What somebody asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAsk {
    /// On which cluster (the first that Berth knows, when none is named).
    pub cluster: Option<ClusterId>,
    /// Whose share shall grow by as much; empty or absent: nobody's.
    pub namespace: Option<String>,
    /// The limit of each key that shall be otherwise; those that are so already are left out.
    pub resources: Written,
    /// Until when, as a time or a day; empty or absent: for good.
    pub until: Option<String>,
    /// Why.
    pub reason: String,
    /// What was lacking where it failed.
    pub lacking: Written,
}

/// What is done to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Granted as it was asked for.
    Approve,
    /// Turned down.
    Refuse,
    /// Answered with other terms.
    Offer {
        /// The limit of each key.
        resources: Written,
        /// Until when; empty or absent: for good.
        until: Option<String>,
    },
    /// The offer is taken.
    Accept,
    /// Taken back.
    Withdraw,
}

impl Deed {
    fn step(&self) -> RequestMove {
        match self {
            Self::Approve => RequestMove::Approve,
            Self::Refuse => RequestMove::Refuse,
            Self::Offer { .. } => RequestMove::Offer,
            Self::Accept => RequestMove::Accept,
            Self::Withdraw => RequestMove::Withdraw,
        }
    }

    /// Whether it is for who asked; all else is for who may change quotas.
    fn is_own(&self) -> bool {
        matches!(self, Self::Accept | Self::Withdraw)
    }
}

/// A deed with what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub deed: Deed,
    /// What is said; a refusal needs it.
    pub comment: String,
    /// The version that was read; any, when absent.
    pub version: Option<i64>,
}

/// What was said, checked.
fn words(place: &str, text: &str, needed: bool) -> Result<String, FieldError> {
    let text = text.trim();
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if needed && text.is_empty() {
        return Err(FieldError::new(place, "request_words", "say why, in a sentence"));
    }
    if text.chars().count() > MAX_WORDS || text.chars().any(odd) {
        let message = format!("at most {MAX_WORDS} characters, and no control characters");
        return Err(FieldError::new(place, "request_words_long", message).param("max", MAX_WORDS));
    }
    Ok(text.to_owned())
}

/// An end that is neither past nor too far; none where nothing is said.
fn until(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, FieldError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = |error: Error| {
        error.fields().first().cloned().unwrap_or_else(|| FieldError::new("until", "time", "this is no time"))
    };
    let end = moment("until", text).map_err(wrong)?;
    let most = SignedDuration::from_hours(24 * MAX_LOAN_DAYS);
    if end <= now || end.duration_since(now) > most {
        let message = format!("later than now, and within {MAX_LOAN_DAYS} days");
        return Err(FieldError::new("until", "request_until", message).param("max", MAX_LOAN_DAYS));
    }
    Ok(Some(end))
}

/// What would change of what is wanted; keys that nothing limits stay, so that they are refused at their places.
fn differing(book: &Book, wanted: &Resources, until: Option<Timestamp>) -> Resources {
    let same = |key: &QuotaKey, wanted: Quantity| match (book.base_of(key), book.lasting(key, until)) {
        (Some(base), Some(lasting)) => base <= wanted && wanted <= lasting,
        _ => false,
    };
    wanted.iter().filter(|(key, wanted)| !same(key, *wanted)).map(|(key, wanted)| (key.clone(), wanted)).collect()
}

/// The terms, read and held against the book.
fn terms(book: &Book, written: &Written, end: Option<&str>, now: Timestamp) -> Result<Terms, Vec<FieldError>> {
    match (Resources::read(RESOURCES, written), until(end, now)) {
        (Ok(wanted), Ok(until)) => {
            let resources = differing(book, &wanted, until);
            if resources.is_empty() {
                let message = "say which limit shall be another than it is";
                return Err(vec![FieldError::new(RESOURCES, "request_same", message)]);
            }
            Ok(Terms { resources, until })
        }
        (resources, until) => Err(resources.err().into_iter().flatten().chain(until.err()).collect()),
    }
}

/// The limit of a book, for the log.
fn said(book: &Book) -> Value {
    let limit = book.limit.as_ref().map(|limit| json!({ "plan": limit.plan, "resources": limit.resources }));
    let loans: Vec<Value> =
        book.loans.iter().map(|loan| json!({ "resources": loan.resources, "endsAt": loan.ends_at })).collect();
    json!({ "limit": limit, "loans": loans })
}

impl Services {
    /// A tenant's requests, newest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn list_requests(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<QuotaRequest>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Request, Action::Read).await?;
        self.store.list_requests(&grant).await
    }

    /// All tenants' requests, newest first.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn list_all_requests(&self, ctx: &OpCtx) -> Result<Vec<QuotaRequest>> {
        let grant = self.authz.platform(ctx, Resource::Request, Action::Read)?;
        self.store.list_all_requests(&grant).await
    }

    /// How many requests wait for an admin.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn count_open_requests(&self, ctx: &OpCtx) -> Result<u64> {
        let grant = self.authz.platform(ctx, Resource::Request, Action::Read)?;
        self.store.count_open_requests(&grant).await
    }

    /// One of a tenant's requests.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn get_request(&self, ctx: &OpCtx, tenant: &TenantName, id: Uuid) -> Result<QuotaRequest> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Request, Action::Read).await?;
        self.store.find_request(&grant, id).await?.ok_or_else(Error::not_found)
    }

    /// Asks for another quota. What a rule approves is granted at once; all else waits for an admin.
    ///
    /// # Errors
    /// `Invalid` at `cluster`, `namespace`, `until`, `reason` or each key: what nothing limits, what is so already, what is less
    /// than is shared out; at `resources` while too many of the tenant's requests wait; forbidden.
    pub async fn request_quota(&self, ctx: &OpCtx, tenant: &TenantName, new: &NewAsk) -> Result<QuotaRequest> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Request, Action::Create).await?;
            let by = self.authz.person(ctx)?.name.clone();
            let cluster = self.known_cluster(new.cluster.as_ref())?.id().clone();
            let known = self.store.list_books(&grant).await?.into_iter().find(|book| book.cluster == cluster);
            let book = known.unwrap_or_else(|| Book::empty(&grant, &cluster));
            let hours = self.past(&grant, &cluster, ctx.now()).await?;
            let mut ask = self.read_ask(&book, new, by, &hours, ctx.now())?;
            let earlier = self.store.list_requests(&grant).await?;
            if earlier.iter().filter(|request| request.state.is_open()).count() >= MAX_OPEN {
                let message = format!("{MAX_OPEN} requests of this tenant wait already: withdraw one first");
                let many = FieldError::new(RESOURCES, "request_many", message).param("max", MAX_OPEN);
                return Err(Error::field(many));
            }
            let may_share = self.authz.could(ctx, &grant, Resource::Share, Action::Update);
            let past = Past::of(&hours, ctx.now());
            let judged = self.judge(&book, &ask.terms, (&earlier, &past), may_share, ctx.now());
            let id = new_id(ctx.now(), &*self.random)?;
            // Tells the ledger's opinion of it, whoever decides.
            let mut granting = granting(id, &ask, &ask.terms);
            let granted = book.granting(&granting).map_err(|lacks| refusal(&lacks))?;
            self.may_grow(&book, &granted).await?;
            let limits = ask.terms.resources.keys().filter_map(|key| Some((key.clone(), book.limit_of(key)?)));
            granting.judged = Some(limits.collect());
            if let Err(against) = &judged {
                ask.findings.clone_from(against);
            }
            let mut request = open(id, &grant, cluster, ask, ctx.now());
            let changed = match judged {
                Ok(rule) => self.grant_by(rule, &grant, &mut request, &granting).await?,
                Err(_) => self.store.create_request(&grant, &request, None).await?,
            };
            if let Some(changed) = &changed {
                self.follow(&grant, changed).await;
            }
            let change = changed.map(|c| json!({ "before": said(&c.before), "after": said(&c.after) }));
            let detail = json!({ "request": request.id, "cluster": request.cluster, "terms": request.ask.terms,
                "state": request.state, "quota": change });
            Ok(Done::with(request, detail))
        };
        self.audited(ctx, "request.create", tenant.to_string(), Some(tenant), work).await
    }

    /// Makes a request that a rule approves; where what it decided by is otherwise by now, one that waits for an admin.
    async fn grant_by(
        &self,
        rule: Rule,
        grant: &Grant<TenantRef>,
        request: &mut QuotaRequest,
        granting: &Granting,
    ) -> Result<Option<crate::quota::Changed>> {
        let mut approved = request.clone();
        approved.state = RequestState::Approved;
        approved.steps.push(RequestStep {
            at: request.created_at,
            by: rule.name().to_owned(),
            what: RequestMove::Approve,
            comment: String::new(),
            terms: Some(request.ask.terms.clone()),
        });
        match self.store.create_request(grant, &approved, Some(granting)).await {
            Ok(changed) => {
                *request = approved;
                Ok(changed)
            }
            Err(e) if e.code() == ErrorCode::Conflict => {
                let message = "the quota was changed while a rule looked at it";
                request.ask.findings.push(FieldError::new(RESOURCES, "request_moved", message));
                self.store.create_request(grant, request, None).await
            }
            Err(e) => Err(e),
        }
    }

    /// What is asked, checked, with its evidence.
    fn read_ask(&self, book: &Book, new: &NewAsk, by: UserName, hours: &[Hour], now: Timestamp) -> Result<QuotaAsk> {
        let terms = terms(book, &new.resources, new.until.as_deref(), now);
        let reason = words("reason", &new.reason, true);
        let lacking = Resources::read("lacking", &new.lacking);
        let called = new.namespace.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let namespace: Result<Option<NamespaceName>, FieldError> = match called {
            None => Ok(None),
            Some(called) => {
                let found = book.shares.iter().find(|share| share.namespace.name.as_str() == called);
                found.map(|share| Some(share.namespace.name.clone())).ok_or_else(|| {
                    let message = format!("there is no namespace “{called}” on this cluster");
                    FieldError::new("namespace", "namespace_unknown", message).param("value", called)
                })
            }
        };
        match (terms, reason, lacking, namespace) {
            (Ok(terms), Ok(reason), Ok(lacking), Ok(namespace)) => {
                let overview = self.quota_overview(book);
                let known = overview.freshness.state == CacheState::Live;
                let evidence = QuotaEvidence {
                    as_of: overview.freshness.as_of.filter(|_| known),
                    plan: overview.quota.plan,
                    resources: overview.quota.resources,
                    lacking,
                    usage: summary(hours),
                    usage_hours: i64::try_from(hours.len()).unwrap_or_default(),
                };
                Ok(QuotaAsk { by, terms, reason, namespace, evidence, findings: Vec::new() })
            }
            (terms, reason, lacking, namespace) => {
                let all = terms.err().into_iter().flatten().chain(namespace.err());
                Err(Error::invalid(all.chain(reason.err()).chain(lacking.err().into_iter().flatten()).collect()))
            }
        }
    }

    fn judge(
        &self,
        book: &Book,
        terms: &Terms,
        (earlier, past): (&[QuotaRequest], &Past),
        may_share: bool,
        now: Timestamp,
    ) -> Result<Rule, Vec<FieldError>> {
        let live = self.clusters.get(&book.cluster).is_ok_and(|c| c.freshness().state == CacheState::Live);
        let namespaces = || self.quota_overview(book).quota.namespaces;
        let used: Resources = if live { used_in(&namespaces()).into_iter().collect() } else { Resources::default() };
        let of_cluster = earlier.iter().filter(|request| request.cluster == book.cluster);
        let stepped = of_cluster.filter_map(|request| request.steps.last().map(|step| (request, step)));
        let steps: Vec<(QuotaKey, Timestamp)> = stepped
            .filter(|(_, step)| step.by == Rule::Step.name())
            .flat_map(|(request, step)| request.ask.terms.resources.keys().map(|key| (key.clone(), step.at)))
            .collect();
        self.rules.judge(&Case { book, terms, used: &used, past, may_share, steps: &steps, now })
    }

    /// Does something to a request: platform admins approve, refuse and offer; who asked, and who shares the tenant's quota
    /// out, takes an offer or takes the request back. What is decided never changes again.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is decided, or changed since it was read; `Invalid` at `comment`, `until`, or each key that
    /// the ledger does not take; forbidden, also to who asked for it, unless there is no other platform admin.
    pub async fn decide_request(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        id: Uuid,
        decision: &Decision,
    ) -> Result<QuotaRequest> {
        let what = decision.deed.step();
        let work = async {
            let resource = if decision.deed.is_own() { Resource::Request } else { Resource::Quota };
            let grant = self.authz.tenant(ctx, tenant, resource, Action::Update).await?;
            let mut request = self.store.find_request(&grant, id).await?.ok_or_else(Error::not_found)?;
            let person = self.authz.person(ctx)?;
            self.may_decide(ctx, &grant, person, &request, &decision.deed).await?;
            if decision.version.is_some_and(|version| version != request.version) {
                return Err(request_changed());
            }
            let state = next(request.state, what)?;
            let comment = words("comment", &decision.comment, what == RequestMove::Refuse).map_err(Error::field)?;
            let terms = self.terms_of(&grant, &request, &decision.deed, ctx.now()).await?;
            let granting = (state == RequestState::Approved).then_some(terms.as_ref()).flatten();
            let granting = granting.map(|terms| granting_of(&request, terms));
            if let Some(granting) = &granting {
                self.may_grant(&grant, &request.cluster, granting).await?;
            }
            let by = person.name.to_string();
            request.steps.push(RequestStep { at: ctx.now(), by, what, comment, terms });
            (request.state, request.version) = (state, request.version + 1);
            let changed = self.store.step_request(&grant, &request, granting.as_ref(), ctx.now()).await?;
            if let Some(changed) = &changed {
                self.follow(&grant, changed).await;
            }
            let change = changed.map(|c| json!({ "before": said(&c.before), "after": said(&c.after) }));
            let step = request.steps.last();
            let detail = json!({ "by": request.ask.by, "cluster": request.cluster, "step": step, "quota": change });
            Ok(Done::with(request, detail))
        };
        self.audited(ctx, &format!("request.{what}"), format!("{tenant}/{id}"), Some(tenant), work).await
    }

    /// The right to do it to this very request, beside the role's.
    async fn may_decide(
        &self,
        ctx: &OpCtx,
        grant: &Grant<TenantRef>,
        person: &Person,
        request: &QuotaRequest,
        deed: &Deed,
    ) -> Result<()> {
        let own = request.ask.by == person.name;
        let no = |message: &'static str| Err(Error::new(ErrorCode::Forbidden, message));
        if deed.is_own() {
            let may = own || self.authz.could(ctx, grant, Resource::Share, Action::Update);
            return if may {
                Ok(())
            } else {
                no("somebody else asked for this: they decide, or an admin of the tenant")
            };
        }
        if !own {
            return Ok(());
        }
        // Four eyes where there are four: a sole admin would wait for ever, and may set the quota by hand anyway.
        let platform = self.authz.platform(ctx, Resource::User, Action::Read)?;
        let admins = ListQuery { limit: 1, ..ListQuery::default() }.filter("role", "admin").filter("disabled", "false");
        if self.store.list_users(&platform, &admins).await?.total > 1 {
            return no("you asked for this yourself: another platform admin decides");
        }
        Ok(())
    }

    /// The terms that a deed is about.
    async fn terms_of(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        deed: &Deed,
        now: Timestamp,
    ) -> Result<Option<Terms>> {
        let terms = match deed {
            Deed::Refuse | Deed::Withdraw => return Ok(None),
            Deed::Approve => request.ask.terms.clone(),
            Deed::Accept => request.offer().cloned().ok_or_else(request_changed)?,
            Deed::Offer { resources, until } => {
                let books = self.store.list_books(grant).await?;
                let book = books.into_iter().find(|book| book.cluster == request.cluster);
                let book = book.unwrap_or_else(|| Book::empty(grant, &request.cluster));
                let terms = terms(&book, resources, until.as_deref(), now).map_err(Error::invalid)?;
                book.granting(&granting_of(request, &terms)).map_err(|lacks| refusal(&lacks))?;
                terms
            }
        };
        if terms.until.is_some_and(|until| until <= now) {
            let message = "the time until which it was asked for has passed: offer another one, or refuse it";
            return Err(Error::field(FieldError::new("until", "request_past", message)));
        }
        Ok(Some(terms))
    }

    /// Warns of loans that end soon, and takes back what is free of those that have ended; how many changed. For the one process
    /// that leads; two that do it at once do it once.
    ///
    /// # Errors
    /// The store's. A loan that cannot be looked at is looked at again the next time.
    pub async fn keep_loans(&self) -> Result<usize> {
        let ctx = OpCtx::system(self.clock.clone(), "loans");
        let platform = self.authz.platform(&ctx, Resource::Quota, Action::Update)?;
        let mut changed = 0;
        for book in self.store.list_all_books(&platform).await? {
            for loan in &book.loans {
                let now = stage(loan.ends_at, ctx.now());
                // What is free goes back first: overdue is what then is left.
                let taken = match now {
                    LoanStage::Overdue => self.take_back(&ctx, &book, loan).await,
                    _ => Ok(false),
                };
                match taken {
                    Ok(true) => changed += 1,
                    Ok(false) if now > loan.stage => {
                        let noted = self.store.note_loan(&platform, loan.request, now, ctx.now()).await?;
                        changed += usize::from(noted);
                    }
                    Ok(false) => {}
                    // One tenant's trouble keeps nobody else's loans.
                    Err(e) => tracing::warn!(tenant = %book.tenant, error = %e, "a loan could not be taken back"),
                }
            }
        }
        Ok(changed)
    }

    /// Takes back what is free of a loan that has ended; whether anything was.
    async fn take_back(&self, ctx: &OpCtx, book: &Book, loan: &QuotaLoan) -> Result<bool> {
        let used = self.used_of(book, loan);
        let before = &book.loans;
        if book.giving_back(loan.request, &used).loans == *before {
            return Ok(false);
        }
        let grant = Grant::new(book.tenant_ref(), Resource::Quota, Action::Update);
        let work = async {
            let changed = self.store.give_back(&grant, &book.cluster, loan.request, &used, ctx.now()).await?;
            self.follow(&grant, &changed).await;
            let share = |book: &Book| {
                let name = loan.namespace.as_ref()?;
                book.share(name).and_then(|share| share.resources.clone())
            };
            let side = |book: &Book| json!({ "quota": said(book), "share": share(book) });
            let detail = json!({ "before": side(&changed.before), "after": side(&changed.after) });
            Ok(Done::with(true, detail))
        };
        let target = format!("{}/{}", book.tenant, loan.request);
        self.audited(ctx, "loan.return", target, Some(&book.tenant), work).await
    }

    /// What the namespace that a loan went to uses of what it has; nothing where that is not known now.
    fn used_of(&self, book: &Book, loan: &QuotaLoan) -> Resources {
        let share = loan.namespace.as_ref().and_then(|name| book.share(name));
        match (share, self.clusters.get(&book.cluster)) {
            (Some(share), Ok(cluster)) if cluster.freshness().state == CacheState::Live => {
                counted(&*cluster, book, share)
            }
            _ => Resources::default(),
        }
    }
}

fn granting(id: Uuid, ask: &QuotaAsk, terms: &Terms) -> Granting {
    let stood = ask.evidence.resources.iter().filter_map(Stood::of).collect();
    Granting { request: id, namespace: ask.namespace.clone(), terms: terms.clone(), judged: None, stood }
}

fn granting_of(request: &QuotaRequest, terms: &Terms) -> Granting {
    granting(request.id, &request.ask, terms)
}

/// A request that was just made.
fn open(id: Uuid, tenant: &TenantRef, cluster: ClusterId, ask: QuotaAsk, now: Timestamp) -> QuotaRequest {
    let by = ask.by.to_string();
    let made = RequestStep { at: now, by, what: RequestMove::Ask, comment: ask.reason.clone(), terms: None };
    QuotaRequest {
        id,
        tenant: tenant.name.clone(),
        cluster,
        state: RequestState::Open,
        ask,
        steps: vec![made],
        created_at: now,
        version: 1,
    }
}
