//! What a change of an app would make, before it is made.

use berth_types::{Action, AppSpec};
use serde_json::Value;

use super::{Services, apps::AppPath};
use crate::{ctx::OpCtx, error::Result, yaml};

/// An object of the cluster that comes of an app: as the app has it now, and as a changed spec would have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// As the app wants it now; `None` when it would be new.
    pub before: Option<Value>,
    /// As it would be; `None` when it would be removed.
    pub after: Option<Value>,
}

impl Services {
    /// The objects that an app would have with `spec`, beside those that it has now; the app need not exist yet. Changes
    /// nothing.
    ///
    /// # Errors
    /// `Invalid` in `spec`; `NotFound` for its namespace; forbidden.
    pub async fn preview_app(&self, ctx: &OpCtx, path: AppPath<'_>, spec: &Value) -> Result<Vec<Planned>> {
        let (app, cluster) = self.app_for(ctx, path, Action::Read).await?;
        let after = cluster.manifests(&app, &yaml::app_spec(spec)?);
        let now = |spec: AppSpec| cluster.manifests(&app, &spec);
        Ok(plan(cluster.app(&app).map(|found| now(found.view.spec)).unwrap_or_default(), after))
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Pairs objects by kind and name: those that would be there in their order, then those that would go.
fn plan(before: Vec<Value>, after: Vec<Value>) -> Vec<Planned> {
    let key = |object: &Value| (text(object, "/kind"), text(object, "/metadata/name"));
    let mut before: Vec<((String, String), Value)> = before.into_iter().map(|o| (key(&o), o)).collect();
    let mut out = Vec::new();
    for object in after {
        let key = key(&object);
        let found = before.iter().position(|(k, _)| *k == key).map(|at| before.remove(at).1);
        out.push(Planned { kind: key.0, name: key.1, before: found, after: Some(object) });
    }
    out.extend(before.into_iter().map(|((kind, name), o)| Planned { kind, name, before: Some(o), after: None }));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_paired_by_kind_and_name() {
        let object = |kind: &str, name: &str, n: i32| json!({ "kind": kind, "metadata": { "name": name }, "n": n });
        let before = vec![object("Deployment", "web", 1), object("Service", "web", 1), object("Deployment", "old", 1)];
        let after = vec![object("Deployment", "web", 2), object("Ingress", "web", 1), object("Service", "web", 1)];
        let got: Vec<_> = plan(before, after)
            .into_iter()
            .map(|p| {
                (format!("{}/{}", p.kind, p.name), p.before.map(|o| o["n"].clone()), p.after.map(|o| o["n"].clone()))
            })
            .collect();
        let row = |what: &str, before: Option<i32>, after: Option<i32>| {
            (what.to_owned(), before.map(Value::from), after.map(Value::from))
        };
        assert_eq!(
            got,
            [
                row("Deployment/web", Some(1), Some(2)),
                row("Ingress/web", None, Some(1)),
                row("Service/web", Some(1), Some(1)),
                row("Deployment/old", Some(1), None),
            ]
        );
    }
}
