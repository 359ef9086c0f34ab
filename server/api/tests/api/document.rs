//! The OpenAPI document is current, whole, and about what is there.

use serde_json::Value;

use crate::fixture::Site;

pub fn document() -> Value {
    serde_json::from_str(&berth_api::to_json(&berth_api::openapi()).unwrap()).unwrap()
}

/// Path, method, operation.
pub fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| (path.clone(), method.clone(), operation.clone()))
        })
        .collect()
}

#[test]
fn the_committed_document_is_current() {
    let made = berth_api::to_json(&berth_api::openapi()).unwrap();
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap_or_default();
    if made != committed {
        let place = concat!(env!("CARGO_TARGET_TMPDIR"), "/openapi.json");
        std::fs::write(place, &made).unwrap();
        panic!("server/api/openapi.json is not what the code makes ({place} is): run `cargo xtask regenerate`");
    }
}

#[test]
fn schemas_have_names_of_their_own() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for collection in ["BTreeMap", "HashMap", "Vec", "String", "Object"] {
        assert!(!schemas.contains_key(collection), "{collection}: say with `value_type` what it holds");
    }
}

#[test]
fn every_operation_is_documented_to_the_end() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let what = format!("{method} {path}");
        for key in ["summary", "description", "operationId"] {
            assert!(operation[key].as_str().is_some_and(|text| !text.is_empty()), "{what} has no {key}");
        }
        assert!(ids.insert(operation["operationId"].to_string()), "{what}: the id is used twice");
        let tag = &operation["tags"][0];
        assert!(document["tags"].as_array().unwrap().iter().any(|known| known["name"] == *tag), "{what}: tag {tag}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            for key in ["description", "example", "schema"] {
                assert!(!parameter[key].is_null(), "{what}: parameter {} has no {key}", parameter["name"]);
            }
        }
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(!content["example"].is_null(), "{what}: no example of {kind}");
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{what} never succeeds");
        for status in ["401", "404", "500"] {
            assert!(responses.contains_key(status), "{what} says nothing of {status}");
        }
        for (status, response) in responses {
            let shared = response["$ref"].as_str().and_then(|place| document.pointer(place.strip_prefix('#')?));
            let response = shared.unwrap_or(response);
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{what} {status}");
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                assert!(!content["example"].is_null(), "{what} {status}: no example of {kind}");
            }
            if status.starts_with(['4', '5']) {
                assert!(!response["content"]["application/problem+json"].is_null(), "{what} {status} is no problem");
            }
        }
    }
}

#[test]
fn references_lead_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(place) = object.get("$ref").and_then(Value::as_str) {
                    let pointer = place.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{place} leads nowhere");
                }
                object.values().for_each(|value| walk(value, document));
            }
            Value::Array(array) => array.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

#[tokio::test]
async fn document_and_page_are_public_and_strict() {
    let site = Site::new().await;
    let served = site.ask("", "GET", "/api/v1/openapi.json").send().await;
    assert_eq!((served.status.as_u16(), served.json()), (200, document()));
    let page = site.ask("", "GET", "/api/docs").send().await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.text().contains("curl -sS"));
    assert_eq!(site.ask("", "GET", "/api/docs/docs.css").send().await.status, 200);
}
