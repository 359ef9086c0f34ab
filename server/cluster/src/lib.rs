//! The Kubernetes adapter: cache, apply, logs, exec, controllers.
