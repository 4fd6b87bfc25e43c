//! The content of watched files: which definitions watch files, and what a change of the files means.

use crate::engine::Engine;
use crate::event::Content;
use crate::observed::ProcessFacts;
use crate::put_back::PutBack;
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Engine {
    /// The definitions that watch files, if those aren't the definitions of the file that was accepted last: those in force, and
    /// those that are tried again when what they watch changes.
    pub fn watching_instead(&self) -> Option<Vec<Arc<Spec>>> {
        let rejected = |(name, put_back): (&Name, &PutBack)| {
            let in_force = self.desired.get(name)?;
            (in_force.spec.watch != put_back.rejected.0.watch).then(|| put_back.rejected.0.clone())
        };
        let rejected: Vec<Arc<Spec>> = self.put_back.iter().filter_map(rejected).collect();
        if rejected.is_empty() && !self.is_rolled_back() {
            return None;
        }
        let in_force = self.desired.entries().iter().map(|entry| entry.spec.clone());
        Some(in_force.chain(rejected).filter(|spec| !spec.watch.is_empty()).collect())
    }

    /// Takes the content of files that only the definition of the file watches. It is tried again if they changed.
    fn fold_content_of_rejected(&mut self, name: &Name, content: Content) {
        let Some(put_back) = self.put_back.get_mut(name).filter(|put_back| put_back.watches_apart(&content)) else { return };
        let is_changed = put_back.content.as_ref().is_some_and(|former| content.first_difference(former).is_some());
        put_back.content = Some(content);
        if is_changed {
            self.retry_put_back(name);
        }
    }

    /// Takes the content of watched files. Content of paths that are no longer watched is late, and ignored.
    pub(crate) fn fold_content(&mut self, now: Time, name: &Name, content: Content) {
        let Some(entry) = self.desired.get(name).filter(|entry| entry.spec.watch == content.watch) else {
            return self.fold_content_of_rejected(name, content);
        };
        let is_of_file = self.file.get(name).is_some_and(|entry| entry.spec.watch == content.watch);
        let wanted = &entry.spec;
        let process: &mut ProcessFacts = self.observed.process_or_new(name);
        let runs = process.runs.iter_mut().map(|run| (&run.spec, &mut run.content));
        let past = process.past.as_mut().map(|past| (&past.spec, &mut past.content));
        // What a run of another program has read still counts, if its definition returns.
        for (_, read) in runs.chain(past).filter(|(spec, _)| spec.exec == wanted.exec) {
            match read {
                Some(former) if former.watch == content.watch => {}
                Some(former) => *read = Some(content.as_read(former)),
                // Without a former content to compare with, the current one counts as read.
                None => *read = Some(content.clone()),
            }
        }
        let is_changed = process.content.as_ref().is_some_and(|former| content.first_difference(former).is_some());
        if is_changed {
            process.watch_restarts.files_changed(now);
        }
        process.content = Some(content);
        if is_changed && is_of_file {
            self.retry_put_back(name);
        }
    }
}
