//! Having a conversation with a cluster.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures::StreamExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    model::{Conversation, Step},
    normal::{self, Names},
    recording::Answers,
};

/// The longest that a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(100);

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Target {
    pub client: Client,
    pub kubeconfig: PathBuf,
    /// kubectl of the recorded version, if there is one.
    pub kubectl: Option<PathBuf>,
    /// A folder for files and caches.
    pub folder: PathBuf,
    /// Between two looks at something that is waited for.
    pub pause: Duration,
}

/// Where a conversation takes place.
#[derive(Clone)]
pub struct Place {
    pub namespace: String,
    pub id: String,
    /// Values captured so far, and `ns` and `id`.
    pub words: BTreeMap<String, String>,
}

impl Place {
    pub fn new(id: &str) -> Self {
        let namespace = format!("p-{id}");
        let words = [("ns", namespace.as_str()), ("id", id)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self { namespace, id: id.to_owned(), words: words.into() }
    }

    fn fill(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value))
    }

    fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.fill(text)),
            Value::Array(list) => list.iter().map(|item| self.fill_value(item)).collect(),
            Value::Object(map) => {
                map.iter().map(|(key, item)| (self.fill(key), self.fill_value(item))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    fn names(&self) -> Names<'_> {
        Names { namespace: &self.namespace, id: &self.id }
    }
}

/// An answer: its code, its body, its warnings.
struct Answer {
    code: u16,
    body: Value,
    warnings: Vec<String>,
}

impl Target {
    /// Makes a conversation's namespace, with what controllers put into every one.
    pub async fn open(&self, place: &Place) {
        let ns = &place.namespace;
        let body = json!({"metadata": {"name": ns}});
        let request = request(Method::POST, "/api/v1/namespaces", body.to_string());
        let made = self.send(request).await;
        assert_eq!(made.code, 201, "{}", made.body);
        for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
            let path = format!("/api/v1/namespaces/{ns}/{path}");
            self.until(&path, |answer| answer.code == 200).await.unwrap_or_else(|_| panic!("no {path}"));
        }
    }

    /// Ends it without waiting.
    pub async fn close(&self, place: &Place) {
        let path = format!("/api/v1/namespaces/{}", place.namespace);
        self.send(request(Method::DELETE, &path, String::new())).await;
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.client.send(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        let warnings = parts.headers.get_all("warning").iter();
        let warnings = warnings.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        Answer { code: parts.status.as_u16(), body, warnings }
    }

    /// Reads a path until `good`; the last answer, as an error if it never was.
    async fn until(&self, path: &str, good: impl Fn(&Answer) -> bool) -> Result<Answer, Answer> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.send(request(Method::GET, path, String::new())).await;
            if good(&answer) {
                return Ok(answer);
            }
            if tokio::time::Instant::now() > patience {
                return Err(answer);
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// Has the conversation; what was answered, normalised.
    pub async fn talk(&self, conversation: &Conversation, place: &mut Place) -> Answers {
        let folder = self.folder.join(&place.id);
        if conversation.needs_kubectl() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in &conversation.files {
                std::fs::write(folder.join(name), place.fill(text)).unwrap();
            }
        }
        let mut answers = Vec::new();
        for step in &conversation.steps {
            let answer = self.step(step, place, &folder).await;
            let broken = answer.get("broken").is_some();
            if !step.quiet || broken {
                answers.push(answer);
            }
            if broken {
                break;
            }
        }
        let _ = std::fs::remove_dir_all(folder);
        answers
    }

    async fn step(&self, step: &Step, place: &mut Place, folder: &Path) -> Value {
        if let Some(arguments) = &step.kubectl {
            return self.kubectl(&place.fill(arguments), step, place, folder).await;
        }
        if let Some(path) = &step.wait {
            let path = place.fill(path);
            let wanted: BTreeMap<_, _> =
                step.until.iter().map(|(pointer, value)| (pointer.clone(), place.fill_value(value))).collect();
            let good = |answer: &Answer| wanted.iter().all(|(pointer, value)| holds(answer, pointer, value));
            return match self.until(&path, good).await {
                Ok(answer) => {
                    if let Err(broken) = capture(step, place, &answer.body) {
                        return broken;
                    }
                    json!({"waited": shown(&answer.body, step, place, &step.only)})
                }
                Err(last) => json!({"broken": "waited in vain", "last": normal::value(&last.body, &place.names())}),
            };
        }
        if let Some(path) = &step.watch {
            return self.watch(&place.fill(path), step, place).await;
        }
        if let Some(name) = &step.events {
            return self.events(&place.fill(name), step, place).await;
        }
        let given = [
            (Method::GET, &step.get),
            (Method::POST, &step.post),
            (Method::PUT, &step.put),
            (Method::PATCH, &step.patch),
            (Method::DELETE, &step.delete),
        ];
        let (method, path) = given.iter().find_map(|(method, path)| path.as_ref().map(|path| (method, path))).unwrap();
        let answer = self.send(self.request(method.clone(), path, step, place)).await;
        if let Err(broken) = capture(step, place, &answer.body) {
            return broken;
        }
        if step.quiet && answer.code >= 300 {
            return json!({"broken": "a step that only prepares failed", "body": normal::value(&answer.body, &place.names())});
        }
        let everything = [String::new()];
        let only = if step.only.is_empty() { &everything[..] } else { &step.only[..] };
        let mut out = json!({"code": answer.code, "body": shown(&answer.body, step, place, only)});
        if !answer.warnings.is_empty() {
            out["warnings"] = normal::value(&json!(answer.warnings), &place.names());
        }
        out
    }

    fn request(&self, method: Method, path: &str, step: &Step, place: &Place) -> Request<Body> {
        let body = match &step.text {
            Some(text) => place.fill(text),
            None if step.body.is_null() => String::new(),
            None => place.fill_value(&step.body).to_string(),
        };
        let mut request = request(method, &place.fill(path), body);
        let headers = request.headers_mut();
        let media = match step.media.as_deref() {
            Some("json") => "application/json-patch+json",
            Some("merge") => "application/merge-patch+json",
            Some("strategic") => "application/strategic-merge-patch+json",
            Some("apply") => "application/apply-patch+yaml",
            Some(other) => other,
            None => "application/json",
        };
        headers.insert("content-type", media.parse().unwrap());
        if let Some(accept) = &step.accept {
            headers.insert("accept", accept.parse().unwrap());
        }
        if let Some(user) = &step.user {
            headers.insert("impersonate-user", place.fill(user).parse().unwrap());
        }
        for group in &step.groups {
            headers.append("impersonate-group", place.fill(group).parse().unwrap());
        }
        request
    }

    async fn watch(&self, path: &str, step: &Step, place: &mut Place) -> Value {
        let request = self.request(Method::GET, path, step, place);
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let mut stream = response.into_body().into_data_stream();
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        let read = async {
            while events.len() < step.take {
                let Some(Ok(chunk)) = stream.next().await else { break };
                bytes.extend_from_slice(&chunk);
                while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = bytes.drain(..=end).collect();
                    events.push(serde_json::from_slice::<Value>(&line).unwrap());
                }
            }
        };
        if tokio::time::timeout(PATIENCE, read).await.is_err() {
            return json!({"broken": "too few events came", "events": normal::value(&json!(events), &place.names())});
        }
        if !bytes.is_empty()
            && let Ok(value) = serde_json::from_slice(&bytes)
        {
            events.push(value);
        }
        events.truncate(step.take);
        let everything = [String::new()];
        let only = if step.only.is_empty() { &everything[..] } else { &step.only[..] };
        let events: Vec<Value> = events.iter().map(|event| shown(event, step, place, only)).collect();
        json!({"code": code, "events": events})
    }

    /// Events about an object: a set of what they say, in order of their words.
    async fn events(&self, name: &str, step: &Step, place: &mut Place) -> Value {
        let path = format!("/api/v1/namespaces/{}/events", place.namespace);
        let told = |answer: &Answer| -> Vec<Value> {
            let items = answer.body["items"].as_array().cloned().unwrap_or_default();
            items
                .into_iter()
                .filter(|event| event["involvedObject"]["name"].as_str().is_some_and(|own| own.starts_with(name)))
                .collect()
        };
        let good = |answer: &Answer| {
            let told = told(answer);
            step.reasons.iter().all(|reason| told.iter().any(|event| event["reason"] == reason.as_str()))
        };
        match self.until(&path, good).await {
            Ok(answer) => {
                let mut lines: Vec<String> = told(&answer)
                    .iter()
                    .filter(|event| step.reasons.iter().any(|reason| event["reason"] == reason.as_str()))
                    .map(|event| {
                        let part = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                        let line = format!(
                            "{} {} {} {}{}: {}",
                            part("/source/component"),
                            part("/type"),
                            part("/reason"),
                            part("/involvedObject/kind"),
                            part("/involvedObject/fieldPath"),
                            part("/message")
                        );
                        normal::printed(&line, &place.names())
                    })
                    .collect();
                lines.sort();
                lines.dedup();
                json!({"told": lines})
            }
            Err(last) => {
                let reasons: Vec<&Value> =
                    last.body["items"].as_array().into_iter().flatten().map(|event| &event["reason"]).collect();
                json!({"broken": "waited for events in vain", "reasons": reasons})
            }
        }
    }

    async fn kubectl(&self, arguments: &str, step: &Step, place: &Place, folder: &Path) -> Value {
        let program = self.kubectl.as_ref().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let mut child = tokio::process::Command::new(program)
            .args(["--namespace", &place.namespace, "--cache-dir"])
            .arg(self.folder.join("cache"))
            .args(split(arguments))
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("KUBECONFIG", &self.kubeconfig)
            // A process that lives for a moment need not tidy up: half the time.
            .env("GOGC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if let Some(text) = &step.stdin {
            let _ = stdin.write_all(place.fill(text).as_bytes()).await;
        }
        drop(stdin);
        let Ok(output) = tokio::time::timeout(PATIENCE, child.wait_with_output()).await else {
            return json!({"broken": "kubectl did not end"});
        };
        let output = output.unwrap();
        let text = |bytes: &[u8]| normal::printed(&String::from_utf8_lossy(bytes), &place.names());
        let mut out = json!({"exit": output.status.code(), "out": text(&output.stdout)});
        if let Ok(value) = serde_json::from_slice::<Value>(&output.stdout) {
            out["out"] = normal::value(&value, &place.names());
        }
        if !output.stderr.is_empty() {
            out["err"] = json!(text(&output.stderr));
        }
        out
    }
}

fn request(method: Method, path: &str, body: String) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("user-agent", "parity/1")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(Body::from(body.into_bytes()))
        .unwrap()
}

/// Whether an answer has a value at a pointer.
fn holds(answer: &Answer, pointer: &str, wanted: &Value) -> bool {
    if pointer == "code" {
        return json!(answer.code) == *wanted;
    }
    let found = match pointer.strip_suffix("/#") {
        Some(list) => answer.body.pointer(list).map(|list| json!(list.as_array().map_or(0, Vec::len))),
        None => answer.body.pointer(pointer).cloned(),
    };
    match (found, wanted) {
        (Some(_), Value::String(any)) if any == "*" => true,
        (found, wanted) => found.unwrap_or_default() == *wanted,
    }
}

fn capture(step: &Step, place: &mut Place, body: &Value) -> Result<(), Value> {
    for (name, pointer) in &step.capture {
        let text = match body.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => {
                let body = normal::value(body, &place.names());
                return Err(json!({"broken": format!("the answer has no {pointer}"), "body": body}));
            }
        };
        place.words.insert(name.clone(), text);
    }
    Ok(())
}

/// The parts of an answer that are compared.
fn shown(body: &Value, step: &Step, place: &Place, only: &[String]) -> Value {
    let mut body = body.clone();
    for pointer in &step.drop {
        take_away(&mut body, pointer);
    }
    let names = place.names();
    match only {
        [all] if all.is_empty() => normal::value(&body, &names),
        only => {
            let parts: Map<String, Value> = only
                .iter()
                .map(|pointer| {
                    let part = match pointer.strip_suffix("/#") {
                        Some(list) => json!(body.pointer(list).and_then(Value::as_array).map(Vec::len)),
                        None => body.pointer(pointer).map(|part| normal::value(part, &names)).unwrap_or_default(),
                    };
                    (pointer.clone(), part)
                })
                .collect();
            parts.into()
        }
    }
}

/// Takes away what is at a pointer; `*` is every item of a list.
fn take_away(value: &mut Value, pointer: &str) {
    let Some(rest) = pointer.strip_prefix('/') else { return };
    let (first, rest) = rest.split_once('/').map_or((rest, None), |(first, rest)| (first, Some(format!("/{rest}"))));
    let first = first.replace("~1", "/");
    match (value, rest) {
        (Value::Array(list), Some(rest)) if first == "*" => list.iter_mut().for_each(|item| take_away(item, &rest)),
        (Value::Object(map), None) => drop(map.shift_remove(&first)),
        (value, Some(rest)) => {
            let next = match first.parse::<usize>() {
                Ok(index) if value.is_array() => value.get_mut(index),
                _ => value.get_mut(&first),
            };
            if let Some(next) = next {
                take_away(next, &rest);
            }
        }
        _ => {}
    }
}

/// Words of a command line; quotes keep blanks together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut some) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, some) = (Some(c), true),
            (Some(open), c) if open == c => quote = None,
            (None, ' ' | '\n') => {
                if some {
                    words.push(std::mem::take(&mut word));
                }
                some = false;
            }
            (_, c) => {
                word.push(c);
                some = true;
            }
        }
    }
    if some {
        words.push(word);
    }
    words
}
