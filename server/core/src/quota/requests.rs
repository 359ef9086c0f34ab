//! What becomes of a request: its states, what granting it does to a book, and how what was lent is given back. Pure; the store
//! runs it inside the transaction that writes, as it does [`Book::after`].

use std::cmp::Ordering;

use berth_types::{
    ErrorCode, NamespaceName, Quantity, QuotaKey, Resources,
    quota::{
        QuotaRow,
        request::{LoanStage, QuotaLoan, RequestMove, RequestState, Terms},
    },
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Book, Lack, Limit};
use crate::error::Error;

/// How long before the end of a loan its tenant is warned.
const SOON: SignedDuration = SignedDuration::from_hours(72);
const TOMORROW: SignedDuration = SignedDuration::from_hours(24);

/// The state after a move; what is decided never changes again.
///
/// # Errors
/// `Conflict`, where the request is not in a state for it.
pub fn next(state: RequestState, done: RequestMove) -> Result<RequestState, Error> {
    use RequestMove::{Accept, Approve, Ask, Offer, Refuse, Withdraw};
    use RequestState::{Approved, Offered, Open, Refused, Withdrawn};
    match (state, done) {
        (Open | Offered, Approve) | (Offered, Accept) => Ok(Approved),
        (Open | Offered, Refuse) => Ok(Refused),
        (Open | Offered, Offer) => Ok(Offered),
        (Open | Offered, Withdraw) => Ok(Withdrawn),
        (Open, Accept) => Err(Error::new(ErrorCode::Conflict, "there is no offer to be accepted")),
        (Approved | Refused | Withdrawn, _) | (_, Ask) => {
            Err(Error::new(ErrorCode::Conflict, format!("the request is {state} already: it does not change any more")))
        }
    }
}

/// Somebody else did something to the request since it was read.
#[must_use]
pub fn request_changed() -> Error {
    Error::new(ErrorCode::Conflict, "the request has changed since it was read: read it again")
}

/// What is granted with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granting {
    /// The request.
    pub request: Uuid,
    /// Whose share grows by as much.
    pub namespace: Option<NamespaceName>,
    /// What shall be.
    pub terms: Terms,
    /// The limits by which a rule decided: where they are others by now, it decided about something else.
    pub judged: Option<Resources>,
    /// How the limits stood when it was asked.
    pub stood: Vec<Stood>,
}

/// How a limit stood at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stood {
    /// Of what.
    pub key: QuotaKey,
    /// Apart from loans.
    pub base: Quantity,
    /// With them.
    pub whole: Quantity,
}

impl Stood {
    /// As a request's evidence has it; none of what was not limited.
    #[must_use]
    pub fn of(row: &QuotaRow) -> Option<Self> {
        let whole: Quantity = row.limit.as_deref()?.parse().ok()?;
        let lent = row.lent.as_deref().and_then(|lent| lent.parse().ok()).unwrap_or_default();
        Some(Self { key: row.resource.parse().ok()?, base: whole.minus(lent), whole })
    }
}

impl Granting {
    /// What would go the other way than it was asked to: several may ask for the same, and the limit may be set by hand.
    fn overtaken(&self, book: &Book) -> Vec<Lack> {
        let turned = |(key, asked): (&QuotaKey, Quantity)| {
            let then = self.stood.iter().find(|stood| stood.key == *key)?.base;
            let now = book.base_of(key)?;
            let way = asked.cmp(&then);
            let other = way != Ordering::Equal && asked.cmp(&now) == way.reverse();
            other.then(|| Lack::Overtaken { key: key.clone(), asked, then, now })
        };
        self.terms.resources.iter().filter_map(turned).collect()
    }

    /// Whether what was decided is still about `book`.
    ///
    /// # Errors
    /// `Conflict`.
    pub fn holds(&self, book: &Book) -> Result<(), Error> {
        let same = |(key, limit): (&QuotaKey, Quantity)| book.limit_of(key) == Some(limit);
        match &self.judged {
            Some(judged) if !judged.iter().all(same) => Err(request_changed()),
            _ => Ok(()),
        }
    }
}

impl Book {
    /// The book once something is granted: the limit is other from now on, or a loan begins, and the namespace's share grows.
    /// A limit that changes becomes the tenant's own; it remembers its plan, whose defaults for containers it keeps.
    ///
    /// With an end, what is wanted is the limit as a whole until then: what is lent for less long becomes a part of the new loan,
    /// so that loans can be kept for longer. A decrease with an end is a loan, too: of what the limit loses, until then.
    ///
    /// # Errors
    /// What is lacking, key by key: then nothing changes.
    pub fn granting(&self, granting: &Granting) -> Result<Self, Vec<Lack>> {
        let keys = || granting.terms.resources.keys();
        let Some(limit) = &self.limit else { return Err(keys().cloned().map(Lack::Free).collect()) };
        let free: Vec<Lack> = keys().filter(|key| !limit.resources.has(key)).cloned().map(Lack::Free).collect();
        let out: Vec<Lack> = free.into_iter().chain(granting.overtaken(self)).collect();
        if !out.is_empty() {
            return Err(out);
        }
        let mut base = limit.resources.clone();
        let (mut lent, mut grown) = (Resources::default(), Resources::default());
        let mut after = self.clone();
        let mut namespace = granting.namespace.clone();
        for (key, wanted) in granting.terms.resources.iter() {
            let has = limit.resources.of(key);
            let Some(end) = granting.terms.until else {
                base.set(key.clone(), wanted);
                if wanted > has {
                    grown.set(key.clone(), wanted.minus(has));
                }
                continue;
            };
            let (whole, lasting) = (has.plus(self.lent(key)), has.plus(self.lent_until(key, end)));
            if wanted < has {
                base.set(key.clone(), wanted);
                lent.set(key.clone(), has.minus(wanted));
            } else if wanted > lasting {
                lent.set(key.clone(), wanted.minus(lasting));
                if wanted > whole {
                    grown.set(key.clone(), wanted.minus(whole));
                }
                let grew = after.take_over(key, wanted.minus(lasting), end);
                namespace = namespace.or(grew);
            }
        }
        after.loans.retain(|loan| !loan.resources.is_empty());
        if base != limit.resources {
            let origin = limit.plan.clone().or_else(|| limit.origin.clone());
            after.limit = Some(Limit { plan: None, origin, resources: base, defaults: limit.defaults.clone() });
        }
        if let Some(ends_at) = granting.terms.until.filter(|_| !lent.is_empty()) {
            let request = granting.request;
            after.loans.push(QuotaLoan { request, namespace, resources: lent, ends_at, stage: LoanStage::Running });
            after.loans.sort_by_key(|loan| (loan.ends_at, loan.request));
        }
        // A namespace that is gone by now gets nothing; the tenant has it to share out.
        if let Some(share) = after.shares.iter_mut().find(|s| Some(&s.namespace.name) == granting.namespace.as_ref()) {
            let mut own = share.resources.clone().unwrap_or_default();
            for (key, more) in grown.iter() {
                let sum = own.of(key).checked_plus(more).ok_or_else(|| vec![Lack::Overflow(key.clone())])?;
                own.set(key.clone(), sum);
            }
            if !own.is_empty() {
                share.resources = Some(own);
            }
        }
        let lacks = after.lacks();
        if lacks.is_empty() { Ok(after) } else { Err(lacks) }
    }

    /// Takes up to `amount` of `key` out of the loans that end before `end`; the namespace whose share grew with one of them.
    fn take_over(&mut self, key: &QuotaKey, mut amount: Quantity, end: Timestamp) -> Option<NamespaceName> {
        let mut grew = None;
        for loan in self.loans.iter_mut().filter(|loan| loan.ends_at < end) {
            let part = loan.resources.of(key).min(amount);
            if part > Quantity::ZERO {
                let rest = loan.resources.of(key).minus(part);
                let others = loan.resources.iter().filter(|(other, _)| *other != key);
                let rest = (rest > Quantity::ZERO).then(|| (key.clone(), rest));
                loan.resources = others.map(|(other, n)| (other.clone(), n)).chain(rest).collect();
                amount = amount.minus(part);
                grew = grew.or_else(|| loan.namespace.clone());
            }
        }
        grew
    }

    /// The book once as much as is free of a loan that has ended is given back.
    ///
    /// What the tenant has not shared out is free. Where that is not enough, the share that grew with the loan shrinks to what
    /// is `used` of it, where that is known. The rest stays, and the loan is overdue: nothing ever falls below what is shared
    /// out, nor below use. The loan is gone from the book once all is given back.
    #[must_use]
    pub fn giving_back(&self, request: Uuid, used: &Resources) -> Self {
        let mut after = self.clone();
        let Some(at) = after.loans.iter().position(|loan| loan.request == request) else { return after };
        let loan = self.loans[at].clone();
        let mut left = Resources::default();
        for (key, lent) in loan.resources.iter() {
            // Of what nothing limits any more there is nothing to give back.
            let (Some(limit), Some(shared)) = (self.limit_of(key), self.shared(key)) else { continue };
            let free = if limit > shared { limit.minus(shared) } else { Quantity::ZERO };
            let mut rest = if lent > free { lent.minus(free) } else { Quantity::ZERO };
            let grown = after.shares.iter_mut().find(|share| Some(&share.namespace.name) == loan.namespace.as_ref());
            if let Some(own) = grown.and_then(|share| share.resources.as_mut()) {
                let idle = if used.has(key) && own.of(key) > used.of(key) {
                    own.of(key).minus(used.of(key))
                } else {
                    Quantity::ZERO
                };
                let back = rest.min(idle);
                if back > Quantity::ZERO {
                    own.set(key.clone(), own.of(key).minus(back));
                    rest = rest.minus(back);
                }
            }
            if rest > Quantity::ZERO {
                left.set(key.clone(), rest);
            }
        }
        if left.is_empty() {
            after.loans.remove(at);
        } else {
            after.loans[at].resources = left;
        }
        after
    }
}

/// How near a loan's end is at `now`; all is not given back yet.
#[must_use]
pub fn stage(ends_at: Timestamp, now: Timestamp) -> LoanStage {
    let left = ends_at.duration_since(now);
    if left <= SignedDuration::ZERO {
        LoanStage::Overdue
    } else if left <= TOMORROW {
        LoanStage::Tomorrow
    } else if left <= SOON {
        LoanStage::Soon
    } else {
        LoanStage::Running
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::quota::{
        Change,
        tests::{amounts, book},
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn granting(text: &str, until: Option<&str>, namespace: Option<&str>) -> Granting {
        Granting {
            request: Uuid::from_u128(1),
            namespace: namespace.map(|name| name.parse().unwrap()),
            terms: Terms { resources: amounts(text), until: until.map(at) },
            judged: None,
            stood: Vec::new(),
        }
    }

    /// Limit, loans and shares as text.
    fn told(book: &Book) -> String {
        let text = |resources: &Resources| serde_json::to_string(resources).unwrap().replace('"', "");
        let limit = book.limit.as_ref().map(|limit| text(&limit.resources)).unwrap_or_default();
        let loans: String = book.loans.iter().map(|loan| format!(" +{}", text(&loan.resources))).collect();
        let share = |share: &super::super::Share| {
            let own = share.resources.as_ref().map_or_else(|| "–".to_owned(), text);
            format!(" {}{own}", share.namespace.name)
        };
        format!("{limit}{loans}{}", book.shares.iter().map(share).collect::<String>())
    }

    #[test]
    fn decided_is_decided() {
        use RequestMove::{Accept, Approve, Offer, Refuse, Withdraw};
        use RequestState::{Approved, Offered, Open, Refused, Withdrawn};
        for (state, done, want) in [
            (Open, Approve, Some(Approved)),
            (Open, Refuse, Some(Refused)),
            (Open, Offer, Some(Offered)),
            (Open, Withdraw, Some(Withdrawn)),
            (Open, Accept, None),
            (Offered, Accept, Some(Approved)),
            (Offered, Approve, Some(Approved)),
            (Offered, Offer, Some(Offered)),
            (Offered, Refuse, Some(Refused)),
            (Offered, Withdraw, Some(Withdrawn)),
        ] {
            assert_eq!(next(state, done).ok(), want, "{state} {done}");
        }
        for state in [Approved, Refused, Withdrawn] {
            for done in RequestMove::ALL {
                assert_eq!(next(state, *done).unwrap_err().code(), ErrorCode::Conflict, "{state} {done}");
            }
        }
    }

    #[test]
    fn what_granting_does() {
        let end = Some("2026-12-24T00:00:00Z");
        let two = [("dev", Some("pods=4")), ("prod", None)];
        for (limit, shares, asked, until, namespace, want) in [
            (Some("pods=8"), two, "pods=12", None, None, Ok("{pods:12} dev{pods:4} prod–")),
            (Some("pods=8"), two, "pods=12", None, Some("prod"), Ok("{pods:12} dev{pods:4} prod{pods:4}")),
            (Some("pods=8"), two, "pods=12", None, Some("gone"), Ok("{pods:12} dev{pods:4} prod–")),
            (Some("pods=8"), two, "pods=5", None, Some("dev"), Ok("{pods:5} dev{pods:4} prod–")),
            (Some("pods=8"), two, "pods=3", None, None, Err("quota_shared")),
            (Some("pods=8"), two, "pods=12", end, Some("dev"), Ok("{pods:8} +{pods:4} dev{pods:8} prod–")),
            (Some("pods=8"), two, "pods=3", end, None, Ok("{pods:3} +{pods:5} dev{pods:4} prod–")),
            (Some("pods=8"), two, "pods=8", end, None, Ok("{pods:8} dev{pods:4} prod–")),
            (Some("pods=8"), two, "requests.cpu=8", None, None, Err("request_unlimited")),
            (None, two, "pods=8", None, None, Err("request_unlimited")),
        ] {
            let got = book(limit, &shares).granting(&granting(asked, until, namespace));
            let got = got.as_ref().map(told).map_err(|lacks| lacks[0].error().code);
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{asked} {until:?} {namespace:?}");
        }
    }

    #[test]
    fn what_was_asked_as_more_never_makes_less() {
        let end = Some("2026-12-24T00:00:00Z");
        let stood = |base: i64, lent: i64| {
            let row = QuotaRow {
                resource: "pods".into(),
                limit: Some((base + lent).to_string()),
                lent: (lent > 0).then(|| lent.to_string()),
                shared: "0".into(),
                left: None,
                used: None,
            };
            assert_eq!(Stood::of(&QuotaRow { limit: None, ..row.clone() }), None, "nothing limited it");
            Stood::of(&row).into_iter().collect::<Vec<_>>()
        };
        for (now, asked, until, then, want) in [
            // It was 8, and somebody made it 20.
            ("pods=20", "pods=12", None, stood(8, 0), Some("request_overtaken")),
            ("pods=20", "pods=12", end, stood(8, 0), Some("request_overtaken")),
            ("pods=10", "pods=12", None, stood(8, 0), None),
            ("pods=12", "pods=12", None, stood(8, 0), None),
            // It was asked as less, and is even less by now.
            ("pods=2", "pods=6", None, stood(8, 0), Some("request_overtaken")),
            ("pods=2", "pods=6", end, stood(8, 0), Some("request_overtaken")),
            ("pods=7", "pods=6", None, stood(8, 0), None),
            // Four of eight were lent: ten for good was more, too.
            ("pods=12", "pods=10", None, stood(4, 4), Some("request_overtaken")),
            ("pods=12", "pods=7", end, stood(4, 4), Some("request_overtaken")),
            ("pods=6", "pods=7", end, stood(4, 4), None),
            ("pods=20", "pods=12", None, Vec::new(), None),
        ] {
            let granting = Granting { stood: then, ..granting(asked, until, None) };
            let got = book(Some(now), &[]).granting(&granting).err().map(|lacks| lacks[0].error().code);
            assert_eq!(got.as_deref(), want, "{now} {asked} {until:?} {:?}", granting.stood);
        }
    }

    #[test]
    fn a_loan_is_kept_for_longer() {
        let lent = book(Some("pods=8 services=4"), &[("dev", Some("pods=6")), ("prod", None)]);
        let lent = lent.granting(&granting("pods=12 services=6", Some("2026-12-10T00:00:00Z"), Some("dev"))).unwrap();
        assert_eq!(told(&lent), "{pods:8,services:4} +{pods:4,services:2} dev{pods:10,services:2} prod–");
        let later = |asked: &str, until: &str, namespace: Option<&str>| {
            let mut more = granting(asked, Some(until), namespace);
            more.request = Uuid::from_u128(2);
            lent.granting(&more).unwrap()
        };
        let ends = |book: &Book| -> Vec<String> {
            let end = |loan: &QuotaLoan| {
                format!("{} {:?}", loan.ends_at.strftime("%m-%d"), loan.namespace.as_ref().map(ToString::to_string))
            };
            book.loans.iter().map(end).collect()
        };
        let (soon, late, dev) = ("2026-12-01T00:00:00Z", "2026-12-24T00:00:00Z", "Some(\"dev\")");
        // All of it, a part of it, and more than it.
        let whole = later("pods=12 services=6", late, None);
        assert_eq!(told(&whole), told(&lent), "nothing is more or less than before");
        assert_eq!((ends(&whole), whole.loans[0].request), (vec![format!("12-24 {dev}")], Uuid::from_u128(2)));
        let part = later("pods=10", late, None);
        assert_eq!(told(&part), "{pods:8,services:4} +{pods:2,services:2} +{pods:2} dev{pods:10,services:2} prod–");
        assert_eq!(ends(&part), [format!("12-10 {dev}"), format!("12-24 {dev}")]);
        let more = later("pods=14", late, Some("prod"));
        assert_eq!(told(&more), "{pods:8,services:4} +{services:2} +{pods:6} dev{pods:10,services:2} prod{pods:2}");
        assert_eq!(more.loans[1].namespace.as_ref().map(NamespaceName::as_str), Some("prod"));
        // What is lent for longer than that is not touched.
        assert_eq!(later("pods=12", soon, None), lent);
        assert_eq!(
            told(&later("pods=13", soon, None)),
            "{pods:8,services:4} +{pods:1} +{pods:4,services:2} dev{pods:10,services:2} prod–"
        );
        let overdue =
            Book { loans: vec![QuotaLoan { stage: LoanStage::Overdue, ..lent.loans[0].clone() }], ..lent.clone() };
        let again = Granting { request: Uuid::from_u128(2), ..granting("pods=12", Some(late), None) };
        let kept = overdue.granting(&again).unwrap();
        assert_eq!(
            kept.loans.iter().map(|loan| loan.stage).collect::<Vec<_>>(),
            [LoanStage::Overdue, LoanStage::Running]
        );
    }

    #[test]
    fn own_amounts_remember_their_plan() {
        let mut planned = book(Some("pods=8"), &[]);
        if let Some(limit) = &mut planned.limit {
            limit.plan = Some("small".parse().unwrap());
            limit.defaults.cpu_request = "50m".to_owned();
        }
        let lent = planned.granting(&granting("pods=9", Some("2026-12-24T00:00:00Z"), None)).unwrap();
        assert_eq!(lent.limit, planned.limit, "what is lent leaves the plan as it is");
        let own = planned.granting(&granting("pods=9", None, None)).unwrap().limit.unwrap();
        assert_eq!((own.plan, own.origin.unwrap().as_str()), (None, "small"));
        assert_eq!(own.defaults.cpu_request, "50m");
    }

    #[test]
    fn only_what_is_free_is_given_back() {
        let end = Some("2026-12-24T00:00:00Z");
        for (dev, namespace, used, want) in [
            // Nothing is shared out: all of it is free.
            ("pods=0", None, "", "{pods:8} dev{pods:0}"),
            ("pods=8", None, "", "{pods:8} dev{pods:8}"),
            // Two of the four are shared out.
            ("pods=10", None, "", "{pods:8} +{pods:2} dev{pods:10}"),
            ("pods=12", None, "pods=1", "{pods:8} +{pods:4} dev{pods:12}"),
            // The share that grew shrinks, down to its use.
            ("pods=12", Some("dev"), "pods=1", "{pods:8} dev{pods:8}"),
            ("pods=12", Some("dev"), "pods=11", "{pods:8} +{pods:3} dev{pods:11}"),
            ("pods=12", Some("dev"), "pods=12", "{pods:8} +{pods:4} dev{pods:12}"),
            // Nobody knows what is used.
            ("pods=12", Some("dev"), "", "{pods:8} +{pods:4} dev{pods:12}"),
            // It was lent more than it ever used.
            ("pods=9", Some("dev"), "pods=9", "{pods:8} +{pods:1} dev{pods:9}"),
        ] {
            let before = book(Some("pods=8"), &[("dev", None)]);
            let mut lent = before.granting(&granting("pods=12", end, None)).unwrap();
            lent.loans[0].namespace = namespace.map(|name: &str| name.parse().unwrap());
            lent.shares[0].resources = Some(amounts(dev));
            let after = lent.giving_back(Uuid::from_u128(1), &amounts(used));
            assert_eq!(told(&after), want, "dev {dev}, used {used}, {namespace:?}");
            assert_eq!(after.lacks(), [], "the sum never passes the limit");
            assert_eq!(after.giving_back(Uuid::from_u128(1), &amounts(used)), after, "once more gives nothing more");
        }
        let mut unlimited = book(Some("pods=8"), &[]).granting(&granting("pods=9", end, None)).unwrap();
        unlimited.limit = None;
        assert_eq!(unlimited.giving_back(Uuid::from_u128(1), &amounts("")).loans, []);
    }

    #[test]
    fn what_is_overdue_is_not_shared_out_again() {
        let before = book(Some("pods=8"), &[("dev", Some("pods=6")), ("prod", Some("pods=4"))]);
        let mut lent = Book { limit: book(Some("pods=8"), &[]).limit, ..before };
        let loan =
            book(Some("pods=8"), &[]).granting(&granting("pods=12", Some("2026-12-24T00:00:00Z"), None)).unwrap();
        lent.loans = loan.loans;
        let share = |name: &str, text: &str| Change::Share(name.parse().unwrap(), Some(amounts(text)));
        assert!(lent.after(&share("dev", "pods=8")).is_ok());
        lent.loans[0].stage = LoanStage::Overdue;
        assert!(lent.after(&share("dev", "pods=7")).is_err());
        assert!(lent.after(&share("dev", "pods=5")).is_ok());
        let (from, to) = ("dev".parse().unwrap(), "prod".parse().unwrap());
        assert!(lent.after(&Change::Move { from, to, resources: amounts("pods=1") }).is_ok(), "the sum stays");
    }

    #[test]
    fn a_decrease_with_an_end_is_a_loan_of_what_is_lost() {
        let before = book(Some("pods=8"), &[("dev", Some("pods=6"))]);
        let scheduled = before.granting(&granting("pods=4", Some("2026-12-24T00:00:00Z"), None)).unwrap();
        assert_eq!(scheduled.limit_of(&"pods".parse().unwrap()), Some(Quantity::units(8)), "nothing is less before");
        assert_eq!(told(&scheduled.giving_back(Uuid::from_u128(1), &amounts(""))), "{pods:4} +{pods:2} dev{pods:6}");
    }

    #[test]
    fn a_rule_decides_about_what_it_saw() {
        let before = book(Some("pods=8"), &[]);
        let mut granting = granting("pods=12", None, None);
        granting.judged = Some(amounts("pods=8"));
        assert!(granting.holds(&before).is_ok());
        assert_eq!(granting.holds(&before.granting(&granting).unwrap()).unwrap_err().code(), ErrorCode::Conflict);
    }

    #[test]
    fn stages() {
        let end = at("2026-12-24T00:00:00Z");
        for (now, want) in [
            ("2026-12-20T23:59:59Z", LoanStage::Running),
            ("2026-12-21T00:00:00Z", LoanStage::Soon),
            ("2026-12-22T23:59:59Z", LoanStage::Soon),
            ("2026-12-23T00:00:00Z", LoanStage::Tomorrow),
            ("2026-12-23T23:59:59Z", LoanStage::Tomorrow),
            ("2026-12-24T00:00:00Z", LoanStage::Overdue),
            ("2027-12-24T00:00:00Z", LoanStage::Overdue),
        ] {
            assert_eq!(stage(end, at(now)), want, "{now}");
        }
    }
}
