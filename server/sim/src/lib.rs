//! An embedded Kubernetes API with its controllers and a simulated kubelet.
