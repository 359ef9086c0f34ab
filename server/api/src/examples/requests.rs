//! A request for another quota, and the loan that came of it.

use berth_types::quota::request::{
    LoanStage, QuotaAsk, QuotaEvidence, QuotaLoan, QuotaRequest, RequestMove, RequestState, RequestStep, Terms,
};

use super::{amounts, at, id, named, quota_row, usage::summary};

pub(super) fn loan() -> Option<QuotaLoan> {
    Some(QuotaLoan {
        request: id(6),
        namespace: named("prod"),
        resources: amounts(&[("requests.cpu", "1")]),
        ends_at: at(60_000),
        stage: LoanStage::Soon,
    })
}

pub(super) fn quota_request() -> Option<QuotaRequest> {
    let terms = Terms { resources: amounts(&[("requests.cpu", "6")]), until: Some(at(60_000)) };
    let step = |minutes, by: &str, what, comment: &str, terms: Option<Terms>| {
        let (by, comment) = (by.to_owned(), comment.to_owned());
        RequestStep { at: at(minutes), by, what, comment, terms }
    };
    let reason = "The sale begins on Friday";
    let ask = QuotaAsk {
        by: named("alice")?,
        terms: terms.clone(),
        reason: reason.to_owned(),
        namespace: named("prod"),
        evidence: QuotaEvidence {
            as_of: Some(at(-61)),
            plan: named("small"),
            resources: vec![quota_row()],
            lacking: amounts(&[("requests.cpu", "1500m")]),
            usage: vec![summary()],
            usage_hours: 720,
        },
        findings: Vec::new(),
    };
    Some(QuotaRequest {
        id: id(6),
        tenant: named("shop")?,
        cluster: named("local")?,
        state: RequestState::Approved,
        ask,
        steps: vec![
            step(-60, "alice", RequestMove::Ask, reason, None),
            step(-50, "bob", RequestMove::Approve, "Until the sale ends", Some(terms)),
        ],
        created_at: at(-60),
        version: 2,
    })
}
