//! Berth's services, authorisation and ports. No SQL, no Kubernetes client, no HTTP.
