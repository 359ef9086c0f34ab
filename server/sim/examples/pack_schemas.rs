//! Packs the schemas of Kubernetes from a Go module cache: `pack_schemas CACHE OUT`, where CACHE is
//! `$(go env GOMODCACHE)` after `go mod download` of k8s.io/kubernetes@v1.35.4 and of api, apimachinery and
//! apiextensions-apiserver v0.35.4, and OUT is `server/sim/schemas`.

use std::path::Path;

use berth_sim::schema::generate::{pack, pack_protobuf};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(cache), Some(out)) = (args.next(), args.next()) else {
        return Err(std::io::Error::other("usage: pack_schemas CACHE OUT"));
    };
    let (cache, out) = (Path::new(&cache), Path::new(&out));
    let documents = cache.join("k8s.io/kubernetes@v1.35.4/api/openapi-spec/v3");
    std::fs::write(out.join("kubernetes-1.35.4.json.gz"), pack(&documents)?)?;
    std::fs::write(out.join("protobuf-1.35.4.json.gz"), pack_protobuf(cache, "v0.35.4")?)
}
