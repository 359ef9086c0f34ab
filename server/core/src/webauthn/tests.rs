//! The standard's own test vectors (Web Authentication level 3, section 16), and a software authenticator whose answers are bent.
#![allow(clippy::unwrap_used)]

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::*;
use crate::testing::Authenticator;

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn text(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(hex(value))
}

fn challenge(value: &Value) -> Challenge {
    hex(&value["challenge"]).try_into().unwrap()
}

#[test]
fn the_standards_own_vectors() {
    let site = Site::of(Some("https://example.org")).unwrap();
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert_eq!(vectors.len(), 12);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let id = text(&vector["credential"]);
        let (made_with, used_with) = (&vector["made"], &vector["used"]);
        let response = json!({
            "clientDataJSON": text(&made_with["clientData"]), "attestationObject": text(&made_with["attestation"]),
        });
        let answer = json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string();
        let made = made(&site, &challenge(made_with), &answer);
        let refused = match name {
            "none-es256-crossOrigin" | "none-es256-topOrigin" => Some(Wrong::Origin),
            "packed-es384" | "packed-ed448" => Some(Wrong::Key),
            _ => None,
        };
        if let Some(refused) = refused {
            assert_eq!(made, Err(refused), "{name}");
            continue;
        }
        let made = made.unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        assert_eq!(made.credential, hex(&vector["credential"]), "{name}");
        let response = |signature: &[u8]| {
            json!({
                "clientDataJSON": text(&used_with["clientData"]),
                "authenticatorData": text(&used_with["authenticatorData"]),
                "signature": URL_SAFE_NO_PAD.encode(signature),
            })
        };
        let check = |signature: &[u8]| {
            let answer = json!({ "rawId": id, "response": response(signature) }).to_string();
            Assertion::read(&answer).unwrap().check(&site, &challenge(used_with), &made.key)
        };
        let mut signature = hex(&used_with["signature"]);
        let used = check(&signature).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        let data = hex(&used_with["authenticatorData"]);
        assert_eq!(used.verified, data[32] & VERIFIED != 0, "{name}");
        let last = signature.len() - 1;
        signature[last] ^= 1;
        assert_eq!(check(&signature), Err(Wrong::Signature), "{name}");
    }
}

#[test]
fn where_there_are_passkeys() {
    use Unavailable::{Http, NoAddress, Number};
    for (url, want) in [
        (Some("https://berth.example.com"), Ok(("berth.example.com", "https://berth.example.com"))),
        (Some("https://Berth.example.com:443/"), Ok(("berth.example.com", "https://berth.example.com"))),
        (Some("https://berth.example.com:8443"), Ok(("berth.example.com", "https://berth.example.com:8443"))),
        (Some("http://localhost:8080"), Ok(("localhost", "http://localhost:8080"))),
        (Some("http://berth.localhost:8080"), Ok(("berth.localhost", "http://berth.localhost:8080"))),
        (Some("http://berth.example.com"), Err(Http)),
        (Some("https://192.0.2.1"), Err(Number)),
        (Some("http://127.0.0.1:8080"), Err(Number)),
        (Some("https://[::1]:8080"), Err(Number)),
        (Some("nonsense"), Err(NoAddress)),
        (None, Err(NoAddress)),
    ] {
        let got = Site::of(url);
        assert_eq!(
            got.as_ref().map(|site| (site.id.as_str(), site.origin.as_str())).map_err(|why| *why),
            want,
            "{url:?}"
        );
    }
}

const SITE: &str = "https://berth.example.com";
const FIRST: Challenge = [1; 32];
const SECOND: Challenge = [2; 32];

fn site() -> Site {
    Site::of(Some(SITE)).unwrap()
}

fn owner() -> Owner<'static> {
    Owner { handle: b"0123456789abcdef", name: "ann", display_name: "Ann", have: &[] }
}

/// An authenticator with a passkey of Ann's.
fn with_passkey() -> (Authenticator, Made) {
    let mut authenticator = Authenticator::new(SITE);
    let answer = authenticator.create(&creation(&site(), &FIRST, &owner()));
    let made = made(&site(), &FIRST, &answer.to_string()).unwrap();
    (authenticator, made)
}

#[test]
fn a_passkey_is_made_and_used() {
    let (mut authenticator, made) = with_passkey();
    for n in 1..=2 {
        let answer = authenticator.get(&request(&site(), &SECOND, std::slice::from_ref(&made.credential)));
        let assertion = Assertion::read(&answer.to_string()).unwrap();
        assert_eq!((&assertion.credential, assertion.user.as_deref()), (&made.credential, Some(owner().handle)));
        let used = assertion.check(&site(), &SECOND, &made.key).unwrap();
        assert_eq!(used, Used { count: made.count + n, verified: true });
    }
    let again = creation(&site(), &FIRST, &Owner { have: &[made.credential], ..owner() });
    assert_eq!(again["excludeCredentials"][0]["type"], "public-key");
}

/// What is wrong with the answer to a request once `bend` has changed the authenticator, and `after` the answer.
fn bent(bend: impl Fn(&mut Authenticator), after: impl Fn(&mut Value)) -> Result<Used, Wrong> {
    let (mut authenticator, made) = with_passkey();
    bend(&mut authenticator);
    let mut answer = authenticator.get(&request(&site(), &SECOND, &[made.credential]));
    after(&mut answer);
    Assertion::read(&answer.to_string())?.check(&site(), &SECOND, &made.key)
}

#[test]
fn answers_that_do_not_hold() {
    let none = |_: &mut Authenticator| {};
    let as_it_is = |_: &mut Value| {};
    assert!(bent(none, as_it_is).is_ok());
    assert!(
        !bent(|a| a.verifies = false, as_it_is).unwrap().verified,
        "said, not refused: who asks knows what they need"
    );
    assert_eq!(bent(|a| a.touched = false, as_it_is), Err(Wrong::Person));
    assert_eq!(bent(|a| a.origin = "https://berth.example.com.evil.example".to_owned(), as_it_is), Err(Wrong::Origin));
    assert_eq!(bent(|a| a.origin = "http://berth.example.com".to_owned(), as_it_is), Err(Wrong::Origin));
    assert_eq!(bent(|a| a.site = Some("evil.example".to_owned()), as_it_is), Err(Wrong::Origin));
    assert_eq!(bent(|a| a.challenge = Some(FIRST.to_vec()), as_it_is), Err(Wrong::Challenge));
    assert_eq!(bent(|a| a.challenge = Some(Vec::new()), as_it_is), Err(Wrong::Challenge));
    assert_eq!(bent(|a| a.kind = Some("webauthn.create"), as_it_is), Err(Wrong::Answer));
    assert_eq!(bent(|a| a.extra_data = vec![0], as_it_is), Err(Wrong::Answer), "what nobody announced");
    assert_eq!(bent(|a| a.backed_up_only = true, as_it_is), Err(Wrong::Answer), "flags that contradict each other");
    assert_eq!(bent(Authenticator::change_key, as_it_is), Err(Wrong::Signature));
    for (field, value, want) in [
        ("signature", json!(URL_SAFE_NO_PAD.encode([0; 64])), Wrong::Signature),
        ("signature", json!(""), Wrong::Signature),
        ("signature", Value::Null, Wrong::Answer),
        ("signature", json!("%%%"), Wrong::Answer),
        ("authenticatorData", json!(""), Wrong::Answer),
        ("authenticatorData", json!(URL_SAFE_NO_PAD.encode([0; 36])), Wrong::Origin),
        ("clientDataJSON", json!(URL_SAFE_NO_PAD.encode("[]")), Wrong::Answer),
        ("userHandle", json!("%"), Wrong::Answer),
    ] {
        assert_eq!(bent(none, |answer| answer["response"][field] = value.clone()), Err(want), "{field} {value}");
    }
    for text in ["", "null", "{}", "{\"rawId\":1}", &"x".repeat(ANSWER_MAX + 1)] {
        assert!(matches!(Assertion::read(text), Err(Wrong::Answer)));
    }
}

#[test]
fn passkeys_that_are_not_made() {
    let made_bent = |bend: &dyn Fn(&mut Authenticator), after: &dyn Fn(&mut Value)| {
        let mut authenticator = Authenticator::new(SITE);
        bend(&mut authenticator);
        let mut answer = authenticator.create(&creation(&site(), &FIRST, &owner()));
        after(&mut answer);
        made(&site(), &FIRST, &answer.to_string())
    };
    let as_it_is = |_: &mut Value| {};
    assert!(made_bent(&|_| {}, &as_it_is).is_ok());
    assert_eq!(made_bent(&|a| a.challenge = Some(SECOND.to_vec()), &as_it_is), Err(Wrong::Challenge));
    assert_eq!(made_bent(&|a| a.origin = "https://evil.example".to_owned(), &as_it_is), Err(Wrong::Origin));
    assert_eq!(made_bent(&|a| a.touched = false, &as_it_is), Err(Wrong::Person));
    assert_eq!(made_bent(&|a| a.kind = Some("webauthn.get"), &as_it_is), Err(Wrong::Answer));
    assert_eq!(made_bent(&|a| a.algorithm = -35, &as_it_is), Err(Wrong::Key));
    let other_id = |answer: &mut Value| answer["rawId"] = json!("AAAA");
    assert_eq!(made_bent(&|_| {}, &other_id), Err(Wrong::Answer), "called otherwise than it is");
    let cut = |answer: &mut Value| {
        let object = bytes(answer["response"]["attestationObject"].as_str().unwrap()).unwrap();
        answer["response"]["attestationObject"] = json!(URL_SAFE_NO_PAD.encode(&object[..object.len() - 1]));
    };
    assert_eq!(made_bent(&|_| {}, &cut), Err(Wrong::Answer));
    let get = |answer: &mut Value| answer["response"]["attestationObject"] = Value::Null;
    assert_eq!(made_bent(&|_| {}, &get), Err(Wrong::Answer));
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = Wrong::ALL.map(Wrong::code).into();
    assert_eq!(codes.len(), Wrong::ALL.len());
}
