//! `jtwbuild update`: the only verb that moves a pin.

use std::process::ExitCode;

use super::arguments::{Global, Update};
use super::load::{Loaded, Pinning, lock_path, open_store};
use super::realise::tell_moves;
use super::render;
use super::trouble::Trouble;

pub(super) fn run(global: &Global, verb: &Update) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Renew)?;
    let before = loaded.lock_before.clone().unwrap_or_default();
    loaded.plan(&verb.universe, &store)?;
    for remark in loaded.remarks() {
        render::note(&remark);
    }
    let written = loaded.write_lock()?;
    if global.quiet {
        return Ok(ExitCode::SUCCESS);
    }
    tell_moves(global, &loaded);
    let of_worker = (&loaded.lock.tools, &before.tools, "for the worker, ");
    for (now, before, whose) in [(&loaded.lock.packages, &before.packages, ""), of_worker] {
        for (name, version) in now {
            match before.get(name) {
                Some(old) if old == version => {}
                Some(old) => render::note(&format!("{whose}{name}: {old} → {version}")),
                None => render::note(&format!("{whose}{name}: {version} is new")),
            }
        }
    }
    for (name, base) in &loaded.lock.bases {
        let old = before.bases.get(name).map(|base| base.packages.as_slice()).unwrap_or_default();
        let changed = base.packages.iter().filter(|package| !old.contains(package)).count();
        if changed > 0 {
            let of = base.packages.len();
            render::note(&format!("base {name}: {changed} of {of} packages are new ({})", base.release_date));
        }
    }
    let path = lock_path(&verb.universe.universe);
    render::note(&format!("{} {}", path.display(), if written { "was written" } else { "is up to date" }));
    Ok(ExitCode::SUCCESS)
}
