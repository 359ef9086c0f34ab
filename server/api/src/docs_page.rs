//! `/api/docs`: the OpenAPI document as a page, and `/api/v1/openapi.json`. Rendered here, once; no script, nothing from
//! elsewhere. Both are public: they say what can be asked, not what there is.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;

use crate::{Api, document::to_json, openapi};

const CSP: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const CSS: &str = include_str!("docs_page.css");

static JSON: LazyLock<String> = LazyLock::new(|| to_json(&openapi()).unwrap_or_default());
static HTML: LazyLock<String> = LazyLock::new(|| page(&serde_json::from_str(&JSON).unwrap_or_default()));

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/openapi.json", get(|| async { document("application/json", &JSON) }))
        .route("/api/docs", get(|| async { document("text/html; charset=utf-8", &HTML) }))
        .route("/api/docs/docs.css", get(|| async { document("text/css; charset=utf-8", CSS) }))
}

fn document(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, text).into_response()
}

/// Makes text safe in HTML, between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The little Markdown that the descriptions use: paragraphs, `code`, **strong**.
fn markdown(text: &str) -> String {
    let mut out = String::new();
    for paragraph in text.split("\n\n").filter(|p| !p.trim().is_empty()) {
        out.push_str("<p>");
        out.push_str(&inline(paragraph));
        out.push_str("</p>");
    }
    out
}

fn inline(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
        } else {
            for (at, part) in part.split("**").enumerate() {
                if at % 2 == 1 {
                    let _ = write!(out, "<strong>{}</strong>", escape(part));
                } else {
                    out.push_str(&escape(part));
                }
            }
        }
    }
    out
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// All operations in the order of the document: path, method, operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            item.as_object()
                .into_iter()
                .flatten()
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

fn page(document: &Value) -> String {
    let operations = operations(document);
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    let mut nav = String::new();
    let mut main = String::new();
    for tag in &tags {
        let name = text(tag, "name");
        let _ = write!(nav, "<li><a href=\"#{0}\">{0}</a><ul>", escape(name));
        let _ = write!(
            main,
            "<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{0}</h2><p>{1}</p>",
            escape(name),
            inline(text(tag, "description"))
        );
        for (path, method, operation) in operations.iter().filter(|(_, _, o)| o["tags"][0] == name) {
            let id = escape(text(operation, "operationId"));
            let _ = write!(
                nav,
                "<li><a href=\"#{id}\"><span class=\"method {method}\">{method}</span> {}</a></li>",
                escape(text(operation, "summary"))
            );
            write_operation(&mut main, document, path, method, operation);
        }
        nav.push_str("</ul></li>");
        main.push_str("</section>");
    }
    let mut schemas = String::new();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(
            schemas,
            "<details id=\"schema-{0}\"><summary><h3>{0}</h3></summary>{1}{2}</details>",
            escape(name),
            markdown(text(schema, "description")),
            fields(schema)
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Berth API</title>\
         <link rel=\"stylesheet\" href=\"/api/docs/docs.css\"></head><body>\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\
         <header><a href=\"/\" class=\"brand\">Berth</a> <span>REST API {version}</span>\
         <a href=\"/api/v1/openapi.json\">openapi.json</a></header>\
         <div class=\"columns\"><nav aria-label=\"Operations\"><ul>{nav}<li><a href=\"#schemas\">Schemas</a></li></ul></nav>\
         <main id=\"content\"><h1>Berth API</h1>{intro}{main}\
         <section aria-labelledby=\"schemas\"><h2 id=\"schemas\">Schemas</h2>{schemas}</section></main></div></body></html>",
        version = escape(text(&document["info"], "version")),
        intro = markdown(text(&document["info"], "description")),
    )
}

fn write_operation(out: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let id = escape(text(operation, "operationId"));
    let _ = write!(
        out,
        "<article><h3 id=\"{id}\">{}</h3><p class=\"path\"><span class=\"method {method}\">{method}</span> <code>{}</code></p>{}",
        escape(text(operation, "summary")),
        escape(path),
        markdown(text(operation, "description")),
    );
    let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        out.push_str(
            "<div class=\"scroll\" tabindex=\"0\"><table><caption>Parameters</caption><thead><tr><th scope=\"col\">Name</th>\
             <th scope=\"col\">In</th><th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead><tbody>",
        );
        for one in parameters {
            let _ = write!(
                out,
                "<tr><th scope=\"row\"><code>{}</code>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(text(one, "name")),
                if one["required"] == true { " <em>required</em>" } else { "" },
                escape(text(one, "in")),
                kind(&one["schema"]),
                inline(text(one, "description")),
            );
        }
        out.push_str("</tbody></table></div>");
    }
    if let Some((_, content)) = operation["requestBody"]["content"].as_object().and_then(|c| c.iter().next()) {
        let kinds: Vec<&str> = operation["requestBody"]["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(kind, _)| kind.as_str())
            .collect();
        let _ = write!(
            out,
            "<h4>Body</h4><p>{} as <code>{}</code></p>",
            kind(&content["schema"]),
            kinds.iter().map(|k| escape(k)).collect::<Vec<_>>().join("</code>, <code>")
        );
    }
    let _ = write!(
        out,
        "<h4>Example</h4><pre tabindex=\"0\"><code>{}</code></pre>",
        escape(&curl(path, method, operation))
    );
    out.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table><caption>Answers</caption><thead><tr><th scope=\"col\">Status</th>\
         <th scope=\"col\">Body</th><th scope=\"col\">Meaning</th></tr></thead><tbody>",
    );
    let mut example = None;
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let shared = response["$ref"].as_str().and_then(|place| document.pointer(place.trim_start_matches('#')));
        let response = shared.unwrap_or(response);
        let bodies: Vec<String> = response["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(media, content)| match content["schema"]["$ref"].as_str() {
                Some(_) => kind(&content["schema"]),
                None => format!("<code>{}</code>", escape(media)),
            })
            .collect();
        if status.starts_with('2') {
            example = response["content"]["application/json"].get("example");
        }
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escape(status),
            bodies.join(", "),
            inline(text(response, "description"))
        );
    }
    out.push_str("</tbody></table></div>");
    if let Some(example) = example {
        let pretty = serde_json::to_string_pretty(example).unwrap_or_default();
        let _ = write!(
            out,
            "<details><summary>Example answer</summary><pre tabindex=\"0\"><code>{}</code></pre></details>",
            escape(&pretty)
        );
    }
    out.push_str("</article>");
}

/// A schema in a few words, with links to what it names.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[key].as_array() {
            let kinds: Vec<String> = choices.iter().map(kind).collect();
            return kinds.join(if key == "allOf" { " and " } else { " or " });
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let words: Vec<String> = values
            .iter()
            .map(|v| format!("<code>{}</code>", escape(&v.as_str().map_or_else(|| v.to_string(), str::to_owned))))
            .collect();
        return words.join(" ");
    }
    match &schema["type"] {
        Value::String(one) if one == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(one) => escape(one),
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(escape).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

/// The fields of an object, or the words of an enumeration.
fn fields(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        return format!("<p>{}</p>", kind(schema));
    };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut out = String::from(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Type</th>\
         <th scope=\"col\">Meaning</th></tr></thead><tbody>",
    );
    for (name, property) in properties {
        let _ = write!(
            out,
            "<tr><th scope=\"row\"><code>{}</code>{}</th><td>{}</td><td>{}</td></tr>",
            escape(name),
            if required.contains(&name.as_str()) { " <em>required</em>" } else { "" },
            kind(property),
            inline(text(property, "description"))
        );
    }
    out.push_str("</tbody></table></div>");
    out
}

/// The request as a curl command.
fn curl(path: &str, method: &str, operation: &Value) -> String {
    let parameters = || operation["parameters"].as_array().into_iter().flatten();
    let mut url = path.to_owned();
    for one in parameters().filter(|one| one["in"] == "path") {
        url = url.replace(&format!("{{{}}}", text(one, "name")), &shell_word(&one["example"]));
    }
    let mut command = String::from("curl -sS --fail-with-body");
    if method != "get" {
        let _ = write!(command, " -X {}", method.to_uppercase());
    }
    let needed = parameters().filter(|one| one["in"] == "query" && one["required"] == true);
    for (at, one) in needed.enumerate() {
        let value = crate::query::encode(&shell_word(&one["example"]));
        let _ = write!(url, "{}{}={value}", if at == 0 { '?' } else { '&' }, text(one, "name"));
    }
    let _ = write!(command, " \"$BERTH_URL{url}\" \\\n  -H \"Authorization: Bearer $BERTH_TOKEN\"");
    if method == "post" {
        command.push_str(" \\\n  -H \"Idempotency-Key: $(uuidgen)\"");
    }
    if parameters().any(|one| one["name"] == "If-Match") {
        command.push_str(" \\\n  -H 'If-Match: \"4711\"'");
    }
    let body = operation["requestBody"]["content"].as_object().and_then(|content| {
        let json = |(kind, _): &(&String, &Value)| kind.ends_with("json");
        content.iter().find(json).map(|(kind, content)| (kind, &content["example"]))
    });
    if let Some((kind, example)) = body
        && example.as_object().is_some_and(|example| !example.is_empty())
    {
        // Single quotes keep JSON as it is; it holds none itself.
        let _ = write!(command, " \\\n  -H \"Content-Type: {kind}\" \\\n  -d '{example}'");
    }
    command
}

fn shell_word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(inline("a **b** `<c>` & \"d\""), "a <strong>b</strong> <code>&lt;c&gt;</code> &amp; &quot;d&quot;");
    }

    #[test]
    fn every_operation_is_on_the_page_and_links_lead_somewhere() {
        let document: Value = serde_json::from_str(&JSON).unwrap_or_default();
        let operations = operations(&document);
        assert!(operations.len() > 30, "{}", operations.len());
        for (path, method, operation) in operations {
            let id = text(operation, "operationId");
            assert!(HTML.contains(&format!("<h3 id=\"{id}\">")), "{method} {path} is missing");
        }
        for link in HTML.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(HTML.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
        }
        assert!(!HTML.contains("<script") && !HTML.contains("style=\""), "the policy would refuse it");
    }
}
