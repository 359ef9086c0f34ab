//! status, scale, log, eviction, binding, token, finalize, and metrics.

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Context, body, eviction, negotiate::json_response, patch_scale, read, selector::Selector, tokens, write};
use crate::{
    cluster::{WriteContext, text},
    hooks::LogOptions,
    registry::{ResourceType, Version, builtin::gr},
    status::{FieldError, Result, Status},
    store::{Object, ObjectRef},
};

/// Whether the request turns into a stream in both directions.
pub fn upgrades(cx: &Context) -> bool {
    cx.info.group.is_empty()
        && cx.info.resource == "pods"
        && matches!(cx.info.subresource.as_str(), "exec" | "attach" | "portforward")
}

/// exec, attach and portforward.
pub async fn connect(cx: Context, request: Request<Body>) -> Result<Response<Body>> {
    super::stream::connect(cx, request).await
}

/// Answers a request for a subresource.
pub async fn serve(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    let name = cx.info.subresource.as_str();
    let known = version.subresources.iter().find(|sub| sub.name == name).ok_or_else(Status::no_such_resource)?;
    if !known.verbs.contains(&cx.info.verb) {
        return Err(Status::method_not_supported());
    }
    match (name, cx.info.verb) {
        ("status" | "ephemeralcontainers" | "resize", "get") => read::get(cx, resource, version),
        ("status" | "ephemeralcontainers" | "resize", "update") => write::update(cx, resource, version, body),
        ("status" | "ephemeralcontainers" | "resize", "patch") => write::patch(cx, resource, version, body),
        ("finalize", _) => finalize(cx, resource, version, body),
        ("scale", _) => scale(cx, resource, version, body),
        ("log", _) => log(cx).await,
        ("eviction", _) => eviction::create(cx, body),
        ("binding", _) => bind(cx, body),
        ("token", _) => tokens::request(cx, body),
        _ => Err(Status::no_such_resource()),
    }
}

fn finalize(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    let (value, _) = body::parse(cx, body)?;
    let write = WriteContext { resource, version: &version.name, subresource: Some("finalize"), managed: false };
    let updated = cx.cluster().update_with(write, "", &cx.info.name, value)?;
    Ok(read::object_response(cx, resource, version, StatusCode::OK, &updated))
}

fn scale(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    let cluster = cx.cluster();
    let _guard = cluster.lock();
    let current = cluster.get(&resource.id, &cx.info.namespace, &cx.info.name)?;
    let paths = patch_scale::Paths::of(version);
    let view = patch_scale::view(&paths, &current);
    let wanted = match cx.info.verb {
        "get" => return Ok(json_response(StatusCode::OK, &view)),
        "update" => body::parse(cx, body)?.0,
        _ => patch_scale::patch(cx, &view, body)?,
    };
    let replicas = patch_scale::wanted_replicas(&cx.info.name, &view, &wanted)?;
    let value = patch_scale::with_replicas(&paths, &current, replicas);
    let write = WriteContext { resource, version: &version.name, subresource: Some("scale"), managed: false };
    let updated = cluster.update_with(write, &cx.info.namespace, &cx.info.name, value)?;
    Ok(json_response(StatusCode::OK, &patch_scale::view(&paths, &updated)))
}

fn container_of(pod: &Value, asked: &str) -> Result<String> {
    let name = text(pod, &["metadata", "name"]);
    let names = |field: &str| -> Vec<String> {
        pod["spec"][field]
            .as_array()
            .map(|list| list.iter().map(|container| text(container, &["name"]).to_owned()).collect())
            .unwrap_or_default()
    };
    let (containers, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    if asked.is_empty() {
        if let [only] = containers.as_slice() {
            return Ok(only.clone());
        }
        if let Some(default) = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str()
            && containers.iter().any(|own| own == default)
        {
            return Ok(default.to_owned());
        }
        let mut choose =
            format!("a container name must be specified for pod {name}, choose one of: [{}]", containers.join(" "));
        if !init.is_empty() {
            choose.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
        }
        return Err(Status::bad_request(choose));
    }
    if [&containers, &init, &ephemeral].iter().any(|list| list.iter().any(|own| own == asked)) {
        return Ok(asked.to_owned());
    }
    Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")))
}

/// The pod and container that log, exec and attach are about.
pub fn pod_and_container(cx: &Context) -> Result<(ObjectRef, String)> {
    let pod = cx.api.cluster.get(&gr::PODS, &cx.info.namespace, &cx.info.name)?;
    let container = container_of(&pod, cx.query.get("container"))?;
    Ok((pod, container))
}

async fn log(cx: &Context) -> Result<Response<Body>> {
    let (pod, container) = pod_and_container(cx)?;
    let mut errors = Vec::new();
    let mut number = |field: &str, least: i64| -> Option<u64> {
        let text = cx.query.get(field);
        if text.is_empty() {
            return None;
        }
        match text.parse::<i64>() {
            Ok(value) if value >= least => u64::try_from(value).ok(),
            Ok(value) => {
                let detail = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
                errors.push(FieldError::invalid(field, value, detail));
                None
            }
            Err(_) => {
                errors.push(FieldError::invalid(field, text, "must be an integer"));
                None
            }
        }
    };
    let options = LogOptions {
        follow: cx.query.flag("follow"),
        previous: cx.query.flag("previous"),
        timestamps: cx.query.flag("timestamps"),
        tail_lines: number("tailLines", 0),
        since_seconds: number("sinceSeconds", 1),
        limit_bytes: number("limitBytes", 1),
        since_time: cx.query.get("sinceTime").parse().ok(),
    };
    if options.since_seconds.is_some() && options.since_time.is_some() {
        errors.push(FieldError::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", &cx.info.name, &errors));
    }
    if text(&pod, &["spec", "nodeName"]).is_empty() {
        // A pod without a node has no log yet; the real server answers with nothing.
        return Ok(Response::new(Body::empty()));
    }
    let stream = cx.api.cluster.kubelet().logs(&pod, &container, &options).await?;
    let mut response = Response::new(Body::from_stream(stream.map(Ok::<_, std::convert::Infallible>)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn bind(cx: &Context, body: &Bytes) -> Result<Response<Body>> {
    let (value, _) = body::parse(cx, body)?;
    let node = text(&value, &["target", "name"]);
    if node.is_empty() {
        // An error that Go's server does not expect, hence no reason.
        return Err(Status::new(500, "", FieldError::required("target.name", "").to_string()));
    }
    cx.cluster().bind(&cx.info.namespace, &cx.info.name, node)?;
    Ok(json_response(
        StatusCode::CREATED,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}

/// One object of metrics.k8s.io.
pub fn metrics(cx: &Context, resource: &ResourceType, name: &str) -> Result<ObjectRef> {
    let cluster = &cx.api.cluster;
    let kubelet = cluster.kubelet();
    let missing = || Status::not_found(&resource.id.group, &resource.id.resource, &metric_name(cx, name));
    let sample = if resource.kind == "NodeMetrics" {
        kubelet.node_metrics(cluster.find(&gr::NODES, "", name).ok_or_else(missing)?.value())
    } else {
        let absent = || Status::not_found("", "pods", name);
        kubelet.pod_metrics(cluster.find(&gr::PODS, &cx.info.namespace, name).ok_or_else(absent)?.value())
    };
    sample.map(|value| std::sync::Arc::new(Object::unversioned(value))).ok_or_else(missing)
}

fn metric_name(cx: &Context, name: &str) -> String {
    if cx.info.namespace.is_empty() { name.to_owned() } else { format!("{}/{name}", cx.info.namespace) }
}

/// Every sample that matches.
pub fn all_metrics(cx: &Context, resource: &ResourceType, selector: &Selector) -> Vec<ObjectRef> {
    let cluster = &cx.api.cluster;
    let kubelet = cluster.kubelet();
    let nodes = resource.kind == "NodeMetrics";
    let namespace = (!cx.info.namespace.is_empty()).then_some(cx.info.namespace.as_str());
    let about = if nodes { cluster.list(&gr::NODES, None) } else { cluster.list(&gr::PODS, namespace) };
    about
        .iter()
        .filter(|object| selector.matches(object))
        .filter_map(|object| if nodes { kubelet.node_metrics(object) } else { kubelet.pod_metrics(object) })
        .map(|value| std::sync::Arc::new(Object::unversioned(value)))
        .collect()
}
