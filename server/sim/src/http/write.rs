//! create, update, patch, delete and deletecollection.

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Context,
    body::{self, FieldValidation},
    negotiate::{json_response, success},
    read::object_response,
    selector::Selector,
};
use crate::{
    cluster::{Cluster, DeleteOptions, Deleted, Propagation, WriteContext},
    convert, fieldmanager,
    patch::{self, PatchKind},
    registry::{ResourceType, Version, api_version},
    status::{FieldError, Result, Status},
    store::ObjectRef,
    strict,
};

/// Checks `dryRun` and `fieldManager`, which every write may carry.
fn check_options(cx: &Context, kind: &str, is_apply: bool) -> Result<()> {
    let mut errors = Vec::new();
    for value in cx.query.all("dryRun") {
        if value != "All" {
            errors.push(FieldError::not_supported("dryRun", json!([value]), &["All"]));
        }
    }
    let manager = cx.query.get("fieldManager");
    if is_apply && manager.is_empty() {
        errors.push(FieldError::required("fieldManager", "is required for apply patch"));
    }
    if manager.len() > 128 {
        errors.push(FieldError::too_long("fieldManager", 128));
    }
    if !is_apply && kind == "PatchOptions" && !cx.query.get("force").is_empty() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", &errors)) }
}

fn check_namespace(cx: &Context, value: &Value) -> Result<()> {
    let given = value["metadata"]["namespace"].as_str().unwrap_or_default();
    if !given.is_empty() && given != cx.info.namespace {
        if cx.info.namespace.is_empty() {
            return Ok(());
        }
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The namespace under which the object is kept; namespaces themselves have none.
pub fn namespace<'a>(cx: &'a Context, resource: &ResourceType) -> &'a str {
    if resource.namespaced { &cx.info.namespace } else { "" }
}

/// create.
pub fn create(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    check_options(cx, "CreateOptions", false)?;
    if !cx.info.name.is_empty() {
        return Err(Status::method_not_supported());
    }
    let value = body::object(cx, resource, version, body)?;
    check_namespace(cx, &value)?;
    if value["metadata"]["resourceVersion"].as_str().is_some_and(|given| !given.is_empty()) {
        return Err(Status::version_on_create());
    }
    let stored = storage_type(cx, resource);
    let write = WriteContext { resource: &stored, version: &version.name, subresource: None, managed: false };
    let value = convert::from_version(&stored, &version.name, value);
    let created = cx.cluster().create_with(write, namespace(cx, resource), value)?;
    Ok(object_response(cx, resource, version, StatusCode::CREATED, &created))
}

/// The resource under which objects are kept (events.k8s.io are core events).
fn storage_type(cx: &Context, resource: &ResourceType) -> std::sync::Arc<ResourceType> {
    cx.api
        .cluster
        .registry
        .get(convert::stored_as(&resource.id))
        .unwrap_or_else(|| std::sync::Arc::new(resource.clone()))
}

fn check_name(cx: &Context, value: &Value) -> Result<()> {
    let given = value["metadata"]["name"].as_str().unwrap_or_default();
    if given.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            cx.info.name
        )));
    }
    if given != cx.info.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            cx.info.name
        )));
    }
    Ok(())
}

/// update, of the object or of its status.
pub fn update(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    check_options(cx, "UpdateOptions", false)?;
    let value = body::object(cx, resource, version, body)?;
    check_name(cx, &value)?;
    check_namespace(cx, &value)?;
    let stored = storage_type(cx, resource);
    let subresource = (!cx.info.subresource.is_empty()).then_some(cx.info.subresource.as_str());
    let write = WriteContext { resource: &stored, version: &version.name, subresource, managed: false };
    let value = convert::from_version(&stored, &version.name, value);
    let updated = cx.cluster().update_with(write, namespace(cx, resource), &cx.info.name, value)?;
    Ok(object_response(cx, resource, version, StatusCode::OK, &updated))
}

/// patch, of the object or of its status.
pub fn patch(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    let kind = PatchKind::of(body::content_type(cx)).ok_or_else(|| {
        let mut status = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
        status.details = Some(Box::default());
        status
    })?;
    if kind == PatchKind::Strategic && resource.custom {
        return Err(body::unsupported(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        ));
    }
    check_options(cx, "PatchOptions", kind == PatchKind::Apply)?;
    let cluster = cx.cluster();
    let (object, created) = patch_object(cx, &cluster, resource, version, kind, body)?;
    let code = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(object_response(cx, resource, version, code, &object))
}

/// Applies a patch; whether it made the object is the second half of the answer.
fn patch_object(
    cx: &Context,
    cluster: &Cluster,
    resource: &ResourceType,
    version: &Version,
    kind: PatchKind,
    body: &Bytes,
) -> Result<(ObjectRef, bool)> {
    let validation = FieldValidation::of(cx)?;
    let stored = storage_type(cx, resource);
    let namespace = namespace(cx, resource);
    let name = &cx.info.name;
    let subresource = (!cx.info.subresource.is_empty()).then_some(cx.info.subresource.as_str());
    let write = WriteContext { resource: &stored, version: &version.name, subresource, managed: false };
    let _guard = cluster.lock();
    let current = cluster.find(&stored.id, namespace, name);
    if kind == PatchKind::Apply {
        return apply(cx, cluster, write, version, current, validation, body);
    }
    let current = current.ok_or_else(|| Status::not_found(&resource.id.group, &resource.id.resource, name))?;
    let view = convert::to_version(resource, &version.name, &current).unwrap_or_else(|| current.value().clone());
    let mut patched = patch::apply(kind, resource, &version.name, &view, body)?;
    body::check_kind(resource, &version.name, &mut patched)?;
    let whole = patched.clone();
    let refuse = |why: String| {
        // A strategic merge shows the patch as Go prints a map, the others show the object that came out.
        let shown = match kind {
            PatchKind::Strategic => go_print(&serde_json::from_slice(body).unwrap_or_default()),
            _ => go_order(&whole),
        };
        Status::invalid("", "", "", &[FieldError::invalid("patch", shown, why)])
    };
    let faults = strict::check(cluster, resource, version, &mut patched).map_err(|status| {
        // The decoder's words, without the frame that a body gets.
        let why = status.message.split_once("cannot be handled as a ").and_then(|(_, rest)| rest.split_once(": "));
        why.map_or(status.clone(), |(_, why)| refuse(why.to_owned()))
    })?;
    validation.settle(cx, &faults, refuse)?;
    check_name(cx, &patched)?;
    check_namespace(cx, &patched)?;
    let value = convert::from_version(&stored, &version.name, patched);
    Ok((cluster.update_with(write, namespace, name, value)?, false))
}

fn apply(
    cx: &Context,
    cluster: &Cluster,
    write: WriteContext<'_>,
    version: &Version,
    current: Option<ObjectRef>,
    validation: FieldValidation,
    body: &Bytes,
) -> Result<(ObjectRef, bool)> {
    let resource = write.resource;
    let mut applied = body::parse_yaml(body)?;
    if !applied.is_object() {
        return Err(Status::bad_request("error decoding YAML: the document is no object"));
    }
    let (kind, api) = (text(&applied, "kind"), text(&applied, "apiVersion"));
    if kind.is_empty() && api.is_empty() {
        return Err(Status::bad_request(format!(
            "invalid object type: Object 'Kind' is missing in '{}'",
            String::from_utf8_lossy(body)
        )));
    }
    if kind != resource.kind || api != api_version(&resource.id.group, &version.name) {
        let (group, number) = crate::registry::split_api_version(api);
        return Err(Status::bad_request(format!("invalid object type: {group}/{number}, Kind={kind}")));
    }
    body::check_kind(resource, &version.name, &mut applied)?;
    let given = applied["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if given.is_empty() {
        applied["metadata"]["name"] = json!(cx.info.name);
    } else {
        check_name(cx, &applied)?;
    }
    check_namespace(cx, &applied)?;
    if !applied["metadata"]["managedFields"].as_array().is_none_or(Vec::is_empty) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let given = applied.clone();
    let faults = strict::check(cluster, resource, version, &mut applied)?;
    // What the schema does not know cannot be owned: refused whatever the validation level.
    let unknown: Vec<String> = faults
        .iter()
        .filter_map(|fault| fault.strip_prefix("unknown field \"")?.strip_suffix('"'))
        .map(|path| format!("{}: field not declared in schema", keyed_path(&applied, path)))
        .collect();
    if !unknown.is_empty() {
        let why = match unknown.as_slice() {
            [one] => one.clone(),
            several => format!("errors:\n  {}", several.join("\n  ")),
        };
        return Err(Status::untyped_patch(&applied, &why));
    }
    validation.settle(cx, &faults, |why| Status::bad_request(format!("error strict decoding YAML: {why}")))?;
    let namespace = namespace(cx, resource);
    if current.is_none() && (write.subresource.is_some() || !applied["metadata"]["uid"].is_null()) {
        if write.subresource.is_none() {
            return Err(Status::conflict(
                &resource.id.group,
                &resource.id.resource,
                &cx.info.name,
                &format!(
                    "uid mismatch: the provided object specified uid {}, and no existing object was found",
                    applied["metadata"]["uid"].as_str().unwrap_or_default()
                ),
            ));
        }
        return Err(Status::not_found(&resource.id.group, &resource.id.resource, &cx.info.name));
    }
    let merged = fieldmanager::apply(
        cluster,
        resource,
        &api_version(&resource.id.group, &version.name),
        write.subresource,
        current.as_deref().map(|object| object.value()),
        (&applied, &given),
        cx.query.flag("force"),
    )?;
    let write = WriteContext { managed: true, ..write };
    let merged = convert::from_version(resource, &version.name, merged);
    match current {
        None => Ok((cluster.create_with(write, namespace, merged)?, true)),
        Some(_) => Ok((cluster.update_with(write, namespace, &cx.info.name, merged)?, false)),
    }
}

/// An object as Go's patch leaves it: keys in order, but those of the metadata in the order of its struct, and without
/// what its managers own.
fn go_order(object: &Value) -> String {
    let mut out = object.clone();
    out.sort_all_objects();
    let order = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
    ];
    let meta = &out["metadata"];
    let known = order.iter().filter(|key| !meta[**key].is_null()).map(|key| ((*key).to_owned(), meta[*key].clone()));
    out["metadata"] = known.collect::<serde_json::Map<_, _>>().into();
    out.to_string()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// A value as Go's `%+v` prints it: `map[a:map[b:1] c:[x y]]`.
pub fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go_print).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let sorted: std::collections::BTreeMap<_, _> = map.iter().collect();
            let pairs: Vec<String> =
                sorted.into_iter().map(|(key, value)| format!("{key}:{}", go_print(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// `.spec.containers[name="a"].x` for `spec.containers[0].x`: items of lists are named by what identifies them.
fn keyed_path(object: &Value, path: &str) -> String {
    let (mut at, mut out) = (object, String::new());
    for part in path.split('.') {
        let (field, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((field, index)) => (field, index.parse::<usize>().ok()),
            None => (part, None),
        };
        at = &at[field];
        out.push('.');
        out.push_str(field);
        let Some(index) = index else { continue };
        at = &at[index];
        match (at["name"].as_str(), at["containerPort"].as_i64()) {
            (_, Some(port)) => {
                let protocol = at["protocol"].as_str().unwrap_or("TCP");
                out.push_str(&format!("[containerPort={port},protocol=\"{protocol}\"]"));
            }
            (Some(name), None) => out.push_str(&format!("[name=\"{name}\"]")),
            (None, None) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// `DeleteOptions` from the body, with the query's parameters when there is none.
pub fn delete_options(cx: &Context, body: &Bytes) -> Result<DeleteOptions> {
    let value = if body.is_empty() {
        let mut value = json!({});
        if let Ok(seconds) = cx.query.get("gracePeriodSeconds").parse::<i64>() {
            value["gracePeriodSeconds"] = json!(seconds);
        }
        if !cx.query.get("propagationPolicy").is_empty() {
            value["propagationPolicy"] = json!(cx.query.get("propagationPolicy"));
        }
        if !cx.query.get("orphanDependents").is_empty() {
            value["orphanDependents"] = json!(cx.query.flag("orphanDependents"));
        }
        value
    } else {
        body::parse(cx, body)?.0
    };
    let mut errors = Vec::new();
    let word = value["propagationPolicy"].as_str();
    let propagation = word.and_then(Propagation::parse);
    if let Some(word) = word.filter(|_| propagation.is_none()) {
        errors.push(FieldError::not_supported(
            "propagationPolicy",
            word,
            &["Foreground", "Background", "Orphan", "nil"],
        ));
    }
    let orphan = value["orphanDependents"].as_bool();
    if orphan.is_some() && propagation.is_some() {
        errors.push(FieldError::invalid(
            "propagationPolicy",
            word.unwrap_or_default(),
            "orphanDependents and deletionPropagation cannot be both set",
        ));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    let text = |field: &str| value["preconditions"][field].as_str().map(str::to_owned);
    Ok(DeleteOptions {
        grace_period_seconds: value["gracePeriodSeconds"].as_i64(),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        propagation: propagation.or(orphan.map(
            |orphan| {
                if orphan { Propagation::Orphan } else { Propagation::Background }
            },
        )),
        dry_run: value["dryRun"].as_array().is_some_and(|list| list.iter().any(|item| item == "All")),
    })
}

/// delete.
pub fn delete(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Response<Body>> {
    check_options(cx, "DeleteOptions", false)?;
    let options = delete_options(cx, body)?;
    let id = convert::stored_as(&resource.id);
    let outcome = cx.cluster().delete(id, namespace(cx, resource), &cx.info.name, &options).map_err(|status| {
        if status.is_not_found() {
            Status::not_found(&resource.id.group, &resource.id.resource, &cx.info.name)
        } else {
            status
        }
    })?;
    match outcome {
        // Pods answer with the object either way (their storage sets ReturnDeletedObject).
        Deleted::Gone(object) if returns_deleted(resource) => {
            Ok(object_response(cx, resource, version, StatusCode::OK, &object))
        }
        Deleted::Gone(object) => {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            Ok(json_response(StatusCode::OK, &success(&resource.id.group, &resource.id.resource, &cx.info.name, uid)))
        }
        Deleted::Marked(object) => Ok(object_response(cx, resource, version, StatusCode::OK, &object)),
    }
}

/// Storages with `ReturnDeletedObject: true`.
fn returns_deleted(resource: &ResourceType) -> bool {
    resource.id.group.is_empty()
        && matches!(
            resource.id.resource.as_ref(),
            "pods"
                | "services"
                | "serviceaccounts"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "podtemplates"
                | "resourcequotas"
        )
}

/// deletecollection.
pub fn delete_collection(
    cx: &Context,
    resource: &ResourceType,
    version: &Version,
    body: &Bytes,
) -> Result<Response<Body>> {
    check_options(cx, "DeleteOptions", false)?;
    let options = delete_options(cx, body)?;
    let selector = Selector::parse(
        cx.query.get("labelSelector"),
        cx.query.get("fieldSelector"),
        resource,
        version.custom.as_deref(),
    )?;
    let cluster = cx.cluster();
    let id = convert::stored_as(&resource.id);
    let namespace = (!cx.info.namespace.is_empty()).then_some(cx.info.namespace.as_str());
    let mut items: Vec<Value> = Vec::new();
    for object in cluster.list(id, namespace).into_iter().filter(|object| selector.matches(object)) {
        let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match cluster.delete(id, own, name, &options) {
            Ok(_) => {
                let mut item =
                    convert::to_version(resource, &version.name, &object).unwrap_or_else(|| object.value().clone());
                if !resource.custom
                    && let Some(item) = item.as_object_mut()
                {
                    item.shift_remove("kind");
                    item.shift_remove("apiVersion");
                }
                items.push(item);
            }
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
    }
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "kind": resource.list_kind,
            "apiVersion": api_version(&resource.id.group, &version.name),
            "metadata": {"resourceVersion": cluster.store.revision().to_string()},
            "items": items,
        }),
    ))
}
