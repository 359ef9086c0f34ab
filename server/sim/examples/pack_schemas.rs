//! Packs `api/openapi-spec/v3` of a Kubernetes source tree: `pack_schemas FOLDER OUT`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(out)) = (args.next(), args.next()) else {
        return Err(std::io::Error::other("usage: pack_schemas FOLDER OUT"));
    };
    std::fs::write(out, berth_sim::schema::generate::pack(Path::new(&folder))?)
}
