//! Protected namespaces: they are changed in Berth alone, and `kubectl` only reads there.

use berth_types::{Action, NamespaceName, Resource, TenantName};
use serde_json::json;

use super::{Done, Services};
use crate::{
    authz::{Grant, NamespaceRef},
    ctx::OpCtx,
    error::Result,
};

impl Services {
    /// Sets whether a namespace is changed in Berth alone; the namespace as it is then.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn protect_namespace(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
        protected: bool,
    ) -> Result<Grant<NamespaceRef>> {
        let work = async {
            let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Namespace, Action::Update).await?;
            self.store.protect_namespace(&grant, protected).await?;
            let detail = json!({ "before": grant.protected, "after": protected });
            Ok(Done::with(grant.map(|place| NamespaceRef { protected, ..place }), detail))
        };
        self.audited(ctx, "namespace.protect", format!("{tenant}/{namespace}"), Some(tenant), work).await
    }
}
