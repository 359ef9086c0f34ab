use berth_core::ports::pages::PageRequest;
use leptos::prelude::RenderHtml;

use super::*;
use crate::pages::apps::{
    actions, document,
    editor::{Editor, Face, Sent, view},
    form::{AppForm, Field, blank},
};

fn request(pairs: &[(&str, &str)]) -> PageRequest {
    let form = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    PageRequest { form: Some(form), ..PageRequest::default() }
}

fn new_app() -> Editor {
    let form = AppForm::from_spec(&blank(), 0);
    let outlook = Some(outlook(&serde_json::json!({ "components": [{ "name": "main", "image": "" }] }), None));
    Editor { outlook, ..Editor::of_form(None, "/t/payments/n/staging/apps".to_owned(), &form, blank()) }
}

#[test]
fn a_new_app() {
    insta::assert_snapshot!("editor_new_en", outline(&view(ui(EN), &new_app()).to_html()));
    insta::assert_snapshot!("editor_new_zh", outline(&view(ui(ZH), &new_app()).to_html()));
}

#[test]
fn what_is_wrong_stands_at_its_field_and_keeps_what_was_typed() {
    let sent = Sent::read(
        &request(&[
            ("view", "form"),
            ("name", "Refunds"),
            ("image", "https://nginx"),
            ("memory_request", "1Gb"),
            ("replicas", "many"),
        ]),
        None,
    );
    let errors = sent.spec.clone().unwrap_err();
    let got: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
    assert_eq!(
        got,
        [
            ("name", "name_character"),
            ("replicas", "number"),
            ("image", "image_scheme"),
            ("memory_request", "quantity_unit")
        ]
    );
    let html = view(ui(EN), &Editor::again(&sent, None, "/".to_owned())).to_html();
    for kept in ["value=\"Refunds\"", "value=\"https://nginx\"", "value=\"1Gb\"", "value=\"many\""] {
        assert!(html.contains(kept), "{kept} is lost: {html}");
    }
    assert_eq!(html.matches("aria-invalid=\"true\"").count(), 4, "{html}");
    for meant in ["1Gi", "1G", "nginx"] {
        assert!(html.contains(&format!("=\"{meant}\"")), "{meant} is not offered: {html}");
    }
}

#[test]
fn a_suggestion_is_taken_without_javascript() {
    let sent = Sent::read(
        &request(&[("name", "web"), ("image", "nginx"), ("memory_request", "1Gb"), ("fix", "memory_request=1Gi")]),
        None,
    );
    let again = Editor::again(&sent, None, "/".to_owned());
    assert_eq!(again.form.value("memory_request"), "1Gi");
    assert!(again.form.errors.is_empty());
    assert!(sent.to == "form", "nothing is deployed by taking a suggestion");
}

#[test]
fn from_form_to_yaml_and_back_nothing_is_lost() {
    let base = r#"{"components":[{"name":"main","image":"a","runAsUser":1000,"volumes":[{"name":"v","mountPath":"/v","emptyDir":{}}]}]}"#;
    let typed =
        [("view", "form"), ("base", base), ("name", "web"), ("image", "nginx:1"), ("replicas", "many"), ("to", "yaml")];
    let yaml = Editor::again(&Sent::read(&request(&typed), None), None, "/".to_owned());
    assert_eq!(yaml.face, Face::Yaml);
    assert!(yaml.form.errors.is_empty(), "a change of view complains of nothing");
    let text = yaml.form.value("yaml");
    for part in ["name: web", "nginx:1", "many", "runAsUser: 1000", "mountPath: /v"] {
        assert!(text.contains(part), "{part} is lost in\n{text}");
    }
    let form = Editor::again(
        &Sent::read(&request(&[("view", "yaml"), ("yaml", text), ("to", "form")]), None),
        None,
        "/".to_owned(),
    );
    assert_eq!(form.face, Face::Form);
    assert_eq!(
        (form.form.value("name"), form.form.value("image"), form.form.value("replicas")),
        ("web", "nginx:1", "many")
    );
    assert_eq!(form.base["components"][0]["runAsUser"], 1000);
    assert_eq!(form.base["components"][0]["volumes"][0]["mountPath"], "/v");
}

#[test]
fn yaml_that_cannot_be_read_stays_as_it_was_typed() {
    let sent = Sent::read(&request(&[("view", "yaml"), ("yaml", "a: [1\n"), ("to", "form")]), None);
    let again = Editor::again(&sent, None, "/".to_owned());
    assert_eq!((again.face, again.form.value("yaml")), (Face::Yaml, "a: [1\n"));
    assert_eq!(again.form.errors[0].code, "yaml");
}

#[test]
fn unknown_fields_are_refused_at_their_line() {
    let text = "apiVersion: berth.dev/v1alpha1\nkind: App\nmetadata:\n  name: web\nspec:\n  components:\n  - name: main\n    image: nginx:1\n    replica: 2\n";
    let sent = Sent::read(&request(&[("view", "yaml"), ("yaml", text)]), None);
    let html = view(ui(EN), &Editor::again(&sent, None, "/".to_owned())).to_html();
    assert!(html.contains("Line 9") && html.contains("spec.components[0].replica"), "{html}");
    let known = Sent::read(&request(&[("view", "yaml"), ("yaml", &text.replace("replica:", "replicas:"))]), None);
    assert!(known.spec.is_ok(), "{:?}", known.spec);
}

#[test]
fn an_app_keeps_its_name() {
    let text =
        document::print("other", &serde_json::json!({ "components": [{ "name": "main", "image": "a" }] })).unwrap();
    let sent = Sent::read(&request(&[("view", "yaml"), ("yaml", &text)]), Some("web"));
    let errors = sent.spec.unwrap_err();
    assert_eq!(
        (errors[0].field.as_str(), errors[0].code.as_str(), errors[0].params["line"].as_str()),
        ("metadata.name", "must_be", "4")
    );
}

#[test]
fn a_conflict_shows_what_others_changed() {
    let spec = serde_json::to_value(app(AppPhase::Ready).spec).unwrap();
    let form = AppForm::from_spec(&spec, 0);
    let editor = Editor {
        meanwhile: crate::components::Diff::of("replicas: 3\n", "replicas: 5\n", 2),
        ..Editor::of_form(Some("checkout-api".to_owned()), "/".to_owned(), &form, spec)
    };
    let html = view(ui(EN), &editor).to_html();
    assert!(html.contains("Somebody changed this app meanwhile") && html.contains("+ replicas: 5"), "{html}");
    assert!(html.contains("PASSWORD") && html.contains("Secret db/pw"), "references are shown, not dropped: {html}");
}

#[test]
fn every_field_of_the_form_is_on_the_page() {
    let html = view(ui(EN), &new_app()).to_html();
    for field in Field::ALL {
        assert!(html.contains(&format!("name=\"{}\"", field.name())), "{field:?} cannot be typed");
    }
}

#[test]
fn deleting_asks_for_the_name() {
    let html = actions::delete_view(ui(EN), &head(app(AppPhase::Ready), ALL), &Default::default()).to_html();
    assert!(html.contains("Type checkout-api to confirm") && html.contains("3 pods are stopped"), "{html}");
}
