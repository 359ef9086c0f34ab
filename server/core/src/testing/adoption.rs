//! Namespaces of a [`FakeCluster`] that are nobody's.

use berth_types::ErrorCode;

use super::FakeCluster;
use crate::{
    adoption::Strange,
    error::{Error, Result},
    ports::cluster::DesiredNamespace,
};

impl FakeCluster {
    /// It has a namespace that is nobody's.
    pub fn stranger(&self, strange: Strange) {
        self.state.lock().strange.push(strange);
    }

    pub(super) fn taken(&self, desired: &DesiredNamespace) -> Result<bool> {
        self.up()?;
        let state = self.state.lock();
        let here = state.namespaces.iter().find(|n| n.kube_name == desired.kube_name);
        Ok(here.is_some_and(|n| (&n.tenant, &n.name) != (&desired.tenant, &desired.name)))
    }

    pub(super) fn nobodys(&self) -> Result<Vec<String>> {
        self.up()?;
        let state = self.state.lock();
        let nobodys = |name: &String| state.namespaces.iter().all(|n| n.kube_name != *name);
        Ok(state.strange.iter().map(|strange| strange.kube_name.clone()).filter(nobodys).collect())
    }

    pub(super) fn look(&self, desired: &DesiredNamespace) -> Result<Strange> {
        if self.taken(desired)? {
            return Err(Error::new(ErrorCode::Conflict, "it is another tenant's"));
        }
        let state = self.state.lock();
        state.strange.iter().find(|s| s.kube_name == desired.kube_name).cloned().ok_or_else(Error::not_found)
    }

    pub(super) fn adopt(&self, desired: &DesiredNamespace, uid: &str) -> Result<()> {
        if self.look(desired)?.uid != uid {
            return Err(Error::new(ErrorCode::Conflict, "it was made anew"));
        }
        let mut state = self.state.lock();
        state.namespaces.retain(|n| n.kube_name != desired.kube_name);
        state.namespaces.push(desired.clone());
        Ok(())
    }

    pub(super) fn disown(&self, desired: &DesiredNamespace) -> Result<()> {
        self.up()?;
        self.state.lock().namespaces.retain(|n| n.kube_name != desired.kube_name);
        Ok(())
    }
}
