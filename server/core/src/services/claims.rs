//! What an app must not take from another: names of objects in its namespace, and hosts of its cluster. Both are looked up
//! in the cache, so that who is too late is told at once; the controller never takes over what is not its own.

use std::sync::Arc;

use berth_types::{ErrorCode, FieldError, names::component_object};
use serde_json::Value;

use super::Services;
use crate::{
    authz::{AppRef, Grant},
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::{AppClaims, Cluster},
    yaml,
};

impl Services {
    /// Checks a `spec` that `app` shall have: its fields, and what it would take. What the app has already is not asked
    /// about, so that an old quarrel does not keep it from being scaled.
    ///
    /// # Errors
    /// `Invalid` with every wrong field.
    pub(super) async fn fits(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        cluster: &Arc<dyn Cluster>,
        spec: &Value,
    ) -> Result<()> {
        yaml::app_spec(spec)?;
        let name = app.name.as_str();
        let wanted = AppClaims::of(name, spec);
        let mut own = None;
        let mut others: Vec<(String, AppClaims)> = Vec::new();
        cluster.claims(&mut |place, other| {
            let here = *place == *app.namespace.kube_name;
            if here && *other.app == *name {
                own = Some(other.clone());
            } else if other.hosts.iter().any(|host| wanted.hosts.contains(host))
                || here && other.objects.iter().any(|object| wanted.objects.contains(object))
            {
                others.push((place.to_owned(), other.clone()));
            }
        });
        if others.is_empty() {
            return Ok(());
        }
        let known = self.authz.visible_places(ctx, &app.namespace.tenant.name).await?.1;
        let mine = |place: &str| known.iter().any(|n| *n.kube_name == *place && n.cluster == app.namespace.cluster);
        let own = own.as_ref();
        let mut errors = Vec::new();
        for (place, other) in &others {
            if *place == *app.namespace.kube_name {
                errors.extend(same_objects(name, spec, own, other));
            }
            errors.extend(same_hosts(spec, own, other, mine(place)));
        }
        if errors.is_empty() { Ok(()) } else { Err(Error::invalid(errors)) }
    }

    /// Refuses to change what is going away.
    ///
    /// # Errors
    /// `Conflict`.
    pub(super) fn stays(app: &Grant<AppRef>, cluster: &Arc<dyn Cluster>, still: &str) -> Result<()> {
        match cluster.app(app) {
            Some(found) if found.view.deleting_since.is_some() => {
                let message = format!("the app “{}” is {still}being deleted", app.name);
                Err(Error::new(ErrorCode::Conflict, message).retry_after(std::time::Duration::from_secs(2)))
            }
            _ => Ok(()),
        }
    }
}

fn components(spec: &Value) -> impl Iterator<Item = (usize, &Value)> {
    spec["components"].as_array().into_iter().flatten().enumerate()
}

fn same_objects(name: &str, spec: &Value, own: Option<&AppClaims>, other: &AppClaims) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, component) in components(spec) {
        let object = component_object(name, component["name"].as_str().unwrap_or_default());
        if !other.objects.contains(&object) || own.is_some_and(|own| own.objects.contains(&object)) {
            continue;
        }
        // An app that is there keeps its name, so its component must give way.
        let field = if own.is_none() { "name".to_owned() } else { format!("spec.components[{i}].name") };
        let message =
            format!("the app “{}” has a part that is called “{object}” in the cluster; choose another name", other.app);
        errors.push(FieldError::new(field, "objects_clash", message).param("app", &other.app).param("object", object));
    }
    errors
}

fn same_hosts(spec: &Value, own: Option<&AppClaims>, other: &AppClaims, mine: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, component) in components(spec) {
        let Some(host) = AppClaims::host(component) else { continue };
        if !other.hosts.contains(&host) || own.is_some_and(|own| own.hosts.contains(&host)) {
            continue;
        }
        let field = format!("spec.components[{i}].expose.host");
        let host = format!("{}{}", host.0, host.1);
        errors.push(if mine {
            let message = format!("{host} is used by the app “{}”", other.app);
            FieldError::new(field, "host_taken_by", message).param("host", host).param("app", &other.app)
        } else {
            FieldError::new(field, "host_taken", format!("{host} is used by another app")).param("host", host)
        });
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(components: Value) -> Value {
        json!({ "components": components })
    }

    #[test]
    fn objects_of_two_apps_differ() {
        let other = AppClaims::of("web", &spec(json!([{ "name": "main" }, { "name": "api" }])));
        let main = spec(json!([{ "name": "main" }]));
        for (name, wanted, own, field) in [
            ("web-api", &main, None, Some("name")),
            ("web-db", &main, None, None),
            ("we", &spec(json!([{ "name": "b-api" }])), None, None),
        ] {
            let errors = same_objects(name, wanted, own, &other);
            assert_eq!(errors.first().map(|e| e.field.as_str()), field, "{name}");
        }
        let first = AppClaims::of("web-api", &main);
        let more = spec(json!([{ "name": "main" }, { "name": "x" }]));
        let taken = AppClaims::of("web", &spec(json!([{ "name": "api-x" }, { "name": "api" }])));
        let errors = same_objects("web-api", &more, Some(&first), &taken);
        let fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["spec.components[1].name"], "what it had before is not asked about");
    }

    #[test]
    fn hosts_are_taken_with_their_path() {
        let at = |host: &str, path: Value| {
            spec(json!([{ "name": "main", "expose": { "type": "Ingress", "host": host, "path": path } }]))
        };
        let other = AppClaims::of("web", &at("a.example.com", Value::Null));
        for (host, path, taken) in [
            ("a.example.com", Value::Null, true),
            ("a.example.com", json!("/"), true),
            ("a.example.com", json!("/shop"), false),
            ("b.example.com", Value::Null, false),
        ] {
            let wanted = at(host, path);
            assert_eq!(same_hosts(&wanted, None, &other, false).len(), usize::from(taken), "{wanted}");
            assert!(same_hosts(&wanted, Some(&other), &other, false).is_empty() || host != "a.example.com");
        }
        let secret = &same_hosts(&at("a.example.com", Value::Null), None, &other, false)[0];
        assert!(!secret.message.contains("web") && !secret.params.contains_key("app"), "{secret:?}");
        assert!(same_hosts(&at("a.example.com", Value::Null), None, &other, true)[0].message.contains("web"));
        let inside = spec(json!([{ "name": "main", "expose": { "type": "Internal", "host": "a.example.com" } }]));
        assert!(AppClaims::of("x", &inside).hosts.is_empty(), "only an Ingress takes a host");
    }
}
