//! What somebody may not see answers as what is not there, to the byte: status, headers, body; whatever is asked of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Case, Need, Who, cases, platform, uri};
use crate::{
    document::{document, operations},
    fixture::Site,
};

/// Longer than the names of what there is, and in none of them.
const ABSENT: &str = "absentee";

/// Status, headers and body, without what differs from request to request, and with `name` for the one that was asked for.
async fn answer(
    site: &Site,
    (method, path): (&str, &str),
    token: &str,
    case: &Case,
    name: &str,
) -> (u16, Vec<String>, Value) {
    let mut ask = site.ask("", method, path).header("authorization", &format!("Bearer {token}"));
    if let Some(body) = &case.body {
        ask = ask.json(body);
    }
    if case.if_match {
        ask = ask.header("if-match", "*");
    }
    let answer = ask.send().await;
    let own = ["x-request-id", "content-length", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("requestId");
    }
    let text = body.to_string().replace(&format!("/{name}"), "/NAME");
    (answer.status.as_u16(), headers, serde_json::from_str(&text).unwrap())
}

/// Asks everything under `place` (`{tenant}`, `{namespace}`) as `who`, of the one that there is and of one that there is not.
async fn compare(who: Who, place: &str, there: &str, needs: impl Fn(Need) -> bool) -> usize {
    let site = platform().await;
    let token = who.token(&site).await.unwrap();
    let cases: BTreeMap<&str, Case> = cases().into_iter().map(|case| (case.id, case)).collect();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (path, method, operation) in operations(&document()) {
        let case = &cases[operation["operationId"].as_str().unwrap()];
        if !path.contains(place) || !needs(case.need) {
            continue;
        }
        let method = method.to_uppercase();
        let (hidden, absent) = (uri(&path), uri(&path.replace(place, ABSENT)));
        let hidden = answer(&site, (&method, &hidden), &token, case, there).await;
        let absent = answer(&site, (&method, &absent), &token, case, ABSENT).await;
        asked += 1;
        if hidden != absent || hidden.0 != 404 {
            wrong.push(format!("{method} {path}: {hidden:?} instead of {absent:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    asked
}

#[tokio::test]
async fn another_tenant_is_as_if_it_were_not_there() {
    let asked =
        compare(Who::Outsider, "{tenant}", "shop", |need| matches!(need, Need::Tenant(..) | Need::Namespace(..))).await;
    assert!(asked > 60, "{asked}");
}

#[tokio::test]
async fn a_sibling_is_as_if_it_were_not_there() {
    let asked = compare(Who::Neighbour, "{namespace}", "prod", |need| matches!(need, Need::Namespace(..))).await;
    assert!(asked > 25, "{asked}");
}
