//! What the command palette finds.

use std::sync::Arc;

use berth_types::{Action, ListQuery, NamespaceName, Resource, TenantName};

use super::Services;
use crate::{ctx::OpCtx, error::Result};

impl Services {
    /// What `q` finds for the command palette: tenants, namespaces and apps that the actor may see, best first.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn search(&self, ctx: &OpCtx, q: &str, limit: usize) -> Result<Vec<Hit>> {
        let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
        let fits = |text: &str| words.iter().all(|word| text.contains(word.as_str()));
        let mut hits = Vec::new();
        for tenant in self.authz.visible_tenants(ctx).await? {
            let label = format!("{} {}", tenant.name, tenant.display_name.to_lowercase());
            if fits(&label) {
                hits.push(Hit { tenant: tenant.name.clone(), namespace: None, app: None });
            }
            for namespace in self.authz.visible_namespaces(ctx, &tenant).await? {
                let place = format!("{label} {}", namespace.name);
                if fits(&place) {
                    hits.push(Hit { tenant: tenant.name.clone(), namespace: Some(namespace.name.clone()), app: None });
                }
                // Words that the place already answers need not occur in the app's name.
                let rest: Vec<&str> = words.iter().map(String::as_str).filter(|word| !place.contains(*word)).collect();
                if rest.is_empty() || !self.authz.could_in(ctx, &namespace, Resource::App, Action::Read) {
                    continue;
                }
                let query = ListQuery { q: rest.join(" "), limit, ..ListQuery::default() };
                let cluster = self.clusters.get(&namespace.cluster)?;
                for row in cluster.apps(&namespace, &query)?.items {
                    hits.push(Hit {
                        tenant: tenant.name.clone(),
                        namespace: Some(namespace.name.clone()),
                        app: Some(row.name),
                    });
                }
                if hits.len() >= limit * 4 {
                    break;
                }
            }
        }
        hits.sort_by_cached_key(|hit| hit.rank(&words));
        hits.truncate(limit);
        Ok(hits)
    }
}

/// Something that the palette found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The tenant.
    pub tenant: TenantName,
    /// The namespace, unless it is the tenant itself.
    pub namespace: Option<NamespaceName>,
    /// The app, if it is one.
    pub app: Option<Arc<str>>,
}

impl Hit {
    /// Names that begin with what was typed come first, then shorter ones.
    fn rank(&self, words: &[String]) -> (bool, usize, String) {
        let name = match (&self.app, &self.namespace) {
            (Some(app), _) => app.to_string(),
            (None, Some(namespace)) => namespace.to_string(),
            (None, None) => self.tenant.to_string(),
        };
        let begins = words.iter().any(|word| name.starts_with(word.as_str()));
        (!begins, name.len(), name)
    }
}
