//! Which jobs come in: what a trust must say, and whether a token's claims are what it says. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_types::{
    FieldError,
    ci::{Condition, RobotTrust},
};
use serde_json::Value;

/// Most conditions of a trust.
pub const CONDITIONS_MAX: usize = 10;
/// How long a token of a job lives when nothing is said, and at most, in minutes.
pub const MINUTES: (i64, i64) = (15, 60);
/// No token of a job is longer; GitHub's have some 2 KiB.
pub const TOKEN_MAX: usize = 16 * 1024;

/// Claims that say which project a job is of. Their values have parts, and whoever may make up the first part of one may make up all.
const PATHS: &[&str] = &["repository", "project_path", "namespace_path", "job_workflow_ref", "workflow_ref"];
/// Claims that say the same in one word or number.
const WORDS: &[&str] = &["repository_id", "repository_owner", "repository_owner_id", "project_id", "namespace_id"];

/// How many whole parts stand at the beginning of `prefix`: `repo:acme/we` has two.
fn parts(prefix: &str) -> usize {
    let mut rest = prefix;
    let mut whole = 0;
    while let Some((part, after)) = rest.split_once([':', '/']) {
        if part.is_empty() {
            break;
        }
        (whole, rest) = (whole + 1, after);
    }
    whole
}

/// Whether a condition keeps the jobs of strangers out: a CI system signs tokens for everybody who uses it.
#[must_use]
pub fn narrows(condition: &Condition) -> bool {
    let prefix = condition.value.strip_suffix('*');
    match condition.claim.as_str() {
        // `repo:acme*` would take `repo:acme-of-somebody-else/x`, too.
        "sub" => prefix.is_none_or(|prefix| parts(prefix) >= 2),
        claim if PATHS.contains(&claim) => prefix.is_none_or(|prefix| parts(prefix) >= 1),
        claim if WORDS.contains(&claim) => prefix.is_none(),
        _ => false,
    }
}

/// All that is wrong with what a trust shall say.
#[must_use]
pub fn check(audience: &str, conditions: &[Condition], minutes: i64) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let visible = |text: &str, max| !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control);
    if !visible(audience, 300) || audience.contains(char::is_whitespace) {
        let message = "what the job's token is made for (aud), such as the portal's address; 1 to 300 characters";
        wrong.push(FieldError::new("audience", "ci_audience", message));
    }
    for (i, condition) in conditions.iter().enumerate() {
        let claim = &condition.claim;
        let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '*';
        if claim.is_empty() || claim.len() > 100 || !claim.chars().all(fits) {
            let message = "the name of a claim, such as sub or repository";
            wrong.push(FieldError::new(format!("conditions[{i}].claim"), "ci_claim", message));
        }
        let body = condition.value.strip_suffix('*').unwrap_or(&condition.value);
        if !visible(body, 300) || body.contains('*') {
            let message = "1 to 300 characters, with * at the end only, and never alone";
            wrong.push(FieldError::new(format!("conditions[{i}].value"), "ci_value", message));
        }
    }
    if conditions.len() > CONDITIONS_MAX {
        let message = format!("at most {CONDITIONS_MAX}");
        wrong.push(FieldError::new("conditions", "list_long", message).param("max", CONDITIONS_MAX));
    } else if !conditions.iter().any(narrows) {
        let message = "any job of this CI system would be taken, of strangers, too: add the claim sub (where it ends with *, with two \
                       whole parts before, such as repo:acme/*), or one that names the project, such as repository or project_path";
        wrong.push(FieldError::new("conditions", "ci_wide", message));
    }
    if !(1..=MINUTES.1).contains(&minutes) {
        let message = format!("1 to {} minutes", MINUTES.1);
        wrong.push(FieldError::new("minutes", "number_range", message).param("min", 1).param("max", MINUTES.1));
    }
    wrong
}

fn holds(condition: &Condition, claims: &Value) -> bool {
    let said = match &claims[&condition.claim] {
        Value::String(text) => text.clone(),
        value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
        _ => return false,
    };
    match condition.value.strip_suffix('*') {
        Some(prefix) => said.starts_with(prefix),
        None => said == condition.value,
    }
}

/// Whether a token with these claims was made for `audience`, and for nobody else.
fn is_for(audience: &str, claims: &Value) -> bool {
    match &claims["aud"] {
        Value::String(one) => one == audience,
        Value::Array(all) => matches!(all.as_slice(), [one] if one == audience),
        _ => false,
    }
}

/// Why no trust takes a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Its token was made for somebody else.
    Audience,
    /// A condition does not hold.
    Claims,
}

/// The first of `trusts` that takes a job with these claims.
///
/// # Errors
/// What came closest.
pub fn choose<'t>(trusts: &'t [RobotTrust], claims: &Value) -> Result<&'t RobotTrust, Mismatch> {
    let mut mismatch = Mismatch::Audience;
    for trust in trusts.iter().filter(|trust| is_for(&trust.audience, claims)) {
        // A trust without conditions takes nobody, however it came to be.
        if !trust.conditions.is_empty() && trust.conditions.iter().all(|condition| holds(condition, claims)) {
            return Ok(trust);
        }
        mismatch = Mismatch::Claims;
    }
    Err(mismatch)
}

/// Who a token says that signed it. Nothing of it is true before it was checked.
#[must_use]
pub fn said_issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_MAX {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

/// Text of a claim for the audit log.
#[must_use]
pub fn shown(claims: &Value, claim: &str) -> Option<String> {
    claims[claim].as_str().map(|text| text.chars().filter(|c| !c.is_control()).take(300).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn condition(text: &str) -> Condition {
        let (claim, value) = text.split_once('=').unwrap();
        Condition { claim: claim.to_owned(), value: value.to_owned() }
    }

    fn trust(audience: &str, conditions: &[&str]) -> RobotTrust {
        RobotTrust {
            id: uuid::Uuid::nil(),
            issuer: "github".parse().unwrap(),
            issuer_url: "https://ci.example.com".to_owned(),
            audience: audience.to_owned(),
            conditions: conditions.iter().map(|text| condition(text)).collect(),
            minutes: 15,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_trust_must_keep_strangers_out() {
        for (text, want) in [
            ("sub=repo:acme/web:ref:refs/heads/main", true),
            ("sub=repo:acme/web:*", true),
            ("sub=repo:acme/*", true),
            ("sub=project_path:group/*", true),
            ("sub=organization:acme:pipeline*", true),
            ("sub=repo:acme*", false),
            ("sub=repo:*", false),
            ("sub=:/*", false),
            ("sub=::acme*", false),
            ("sub=r*", false),
            ("repository=acme/web", true),
            ("repository=acme/*", true),
            ("repository=acme*", false),
            ("repository=/*", false),
            ("project_path=group/web", true),
            ("repository_owner=acme", true),
            ("repository_owner=acme*", false),
            ("project_id=42", true),
            ("project_id=4*", false),
            ("ref=refs/heads/main", false),
            ("event_name=push", false),
            ("iss=https://ci.example.com", false),
        ] {
            assert_eq!(narrows(&condition(text)), want, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_once() {
        for (audience, conditions, minutes, want) in [
            ("https://berth.example.com", &["sub=repo:acme/web:*"][..], 15, &[][..]),
            ("https://berth.example.com", &["ref=main", "repository=acme/web"], 60, &[]),
            ("", &[], 0, &["audience", "conditions", "minutes"]),
            ("a b", &["ref=main"], 61, &["audience", "conditions", "minutes"]),
            ("a", &["sub=*"], 1, &["conditions[0].value", "conditions"]),
            ("a", &["sub=repo:*/web:*", "=x"], 1, &["conditions[0].value", "conditions[1].claim"]),
            ("a", &["sub=", "re po=x"], 1, &["conditions[0].value", "conditions[1].claim"]),
        ] {
            let conditions: Vec<Condition> = conditions.iter().map(|text| condition(text)).collect();
            let wrong = check(audience, &conditions, minutes);
            let fields: Vec<&str> = wrong.iter().map(|e| e.field.as_str()).collect();
            assert_eq!(fields, want, "{audience} {conditions:?} {minutes}");
        }
        let many: Vec<Condition> = (0..11).map(|_| condition("sub=x")).collect();
        assert_eq!(check("a", &many, 15)[0].code, "list_long");
    }

    #[test]
    fn which_job_comes_in() {
        let claims = json!({
            "aud": "berth", "sub": "repo:acme/web:ref:refs/heads/main", "repository": "acme/web", "run_attempt": 2,
            "protected": true, "list": ["a"],
        });
        for (conditions, want) in [
            (&["sub=repo:acme/web:ref:refs/heads/main"][..], Ok(())),
            (&["sub=repo:acme/web:*"], Ok(())),
            (&["sub=repo:acme/web:*", "repository=acme/web"], Ok(())),
            (&["sub=repo:acme/*", "run_attempt=2", "protected=true"], Ok(())),
            (&["sub=repo:acme/web"], Err(Mismatch::Claims)),
            (&["sub=repo:acme/web2:*"], Err(Mismatch::Claims)),
            (&["sub=REPO:acme/web:*"], Err(Mismatch::Claims)),
            (&["sub=repo:acme/*", "ref=main"], Err(Mismatch::Claims)),
            (&["list=a"], Err(Mismatch::Claims)),
            (&[], Err(Mismatch::Claims)),
        ] {
            assert_eq!(choose(&[trust("berth", conditions)], &claims).map(drop), want, "{conditions:?}");
        }
        let sub = &["sub=repo:acme/web:*"];
        for (audience, want) in [
            (json!("berth"), Ok(())),
            (json!(["berth"]), Ok(())),
            (json!(["berth", "other"]), Err(Mismatch::Audience)),
            (json!([]), Err(Mismatch::Audience)),
            (json!("BERTH"), Err(Mismatch::Audience)),
            (Value::Null, Err(Mismatch::Audience)),
        ] {
            let mut claims = claims.clone();
            claims["aud"] = audience.clone();
            assert_eq!(choose(&[trust("berth", sub)], &claims).map(drop), want, "{audience}");
        }
        let several = [trust("other", sub), trust("berth", &["sub=x"]), trust("berth", sub)];
        assert_eq!(choose(&several, &claims), Ok(&several[2]));
    }

    #[test]
    fn who_signed_it_is_only_said() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.", part(json!({})), part(json!({ "iss": "https://ci.example.com" })));
        assert_eq!(said_issuer(&token).as_deref(), Some("https://ci.example.com"));
        for wrong in ["", "a", "a.b.c", &format!("a.{}.c", part(json!({ "iss": 7 }))), &"a.".repeat(TOKEN_MAX)] {
            assert_eq!(said_issuer(wrong), None, "{}", wrong.len());
        }
    }
}
