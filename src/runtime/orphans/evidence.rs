//! Decides which processes are orphans of a killed navigator. Pure: it judges what was observed, and reads nothing itself.
//!
//! A pid proves nothing, because it may be reused; nor does a name, a command line or a parent. Each of these is a proof:
//! - *Mark*: its environment has a mark of this instance, of another life than our own, with the right hash
//!   ([`super::super::mark`]). A process can get such a mark only from a process of that run.
//! - *Group*: it is in or below a control group directory that an earlier life of this instance recorded ([`super::groups`]).
//! - *Main process*: it has the pid and the inode of a main process that was recorded in this boot, or the start time where the
//!   kernel has no such inodes. This finds programs that overwrite their environment with a title.
//! - *Session*: it is in the session of such a main process that lives, so the session can't be another one's.

use super::super::mark::Marker;
use super::groups::GroupRun;
use crate::journal::{Record, RunKey, Started};
use std::collections::{BTreeMap, BTreeSet};

/// What was observed of a process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::runtime) struct SeenProcess {
    pub(in crate::runtime) pid: u32,
    pub(in crate::runtime) parent: u32,
    pub(in crate::runtime) session: u32,
    /// Clock ticks since boot.
    pub(in crate::runtime) started: Option<u64>,
    /// The inode of its pidfd; `None` where the kernel has no unique ones, or it doesn't matter.
    pub(in crate::runtime) inode: Option<u64>,
    /// Whether it has executed a program since its fork.
    pub(in crate::runtime) has_executed: bool,
    /// The mark in its environment.
    pub(in crate::runtime) mark: Option<Vec<u8>>,
    /// The run that its control group belongs to, if that is one of an earlier life.
    pub(in crate::runtime) group_run: Option<GroupRun>,
}

/// The proof that a process is an orphan of an earlier navigator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum OrphanEvidence {
    Mark,
    Group,
    MainProcess,
    /// It is in the session of the main process with this pid.
    Session(u32),
}

/// An orphan, and the run that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct OrphanClaim {
    pub(in crate::runtime) pid: u32,
    /// The name of the managed process that it belongs to.
    pub(in crate::runtime) name: String,
    /// The run.
    pub(in crate::runtime) key: RunKey,
    pub(in crate::runtime) evidence: OrphanEvidence,
}

/// The facts that processes are judged by.
pub(in crate::runtime) struct KnownFacts<'a> {
    pub(in crate::runtime) marker: &'a Marker,
    pub(in crate::runtime) record: &'a Record,
    /// Processes that are never orphans, even with a mark: we ourselves and our ancestors.
    pub(in crate::runtime) excluded: &'a BTreeSet<u32>,
    /// The main processes found before, by pid.
    pub(in crate::runtime) main_processes: &'a BTreeMap<u32, OrphanClaim>,
}

/// The orphans among these processes, main processes first.
pub(in crate::runtime) fn claims(known: &KnownFacts<'_>, seen: &[SeenProcess]) -> Vec<OrphanClaim> {
    let others = || seen.iter().filter(|seen| !known.excluded.contains(&seen.pid));
    let mut claims: Vec<OrphanClaim> = others().filter_map(|seen| by_main_process(known.record, seen)).collect();
    let mains: BTreeMap<u32, OrphanClaim> = claims.iter().map(|claim| (claim.pid, claim.clone())).collect();
    for seen in others().filter(|seen| !mains.contains_key(&seen.pid)) {
        let by_session = || {
            let main = mains.get(&seen.session).or_else(|| known.main_processes.get(&seen.session))?;
            Some(OrphanClaim { pid: seen.pid, evidence: OrphanEvidence::Session(main.pid), ..main.clone() })
        };
        let by_own_evidence = by_mark(known.marker, seen).or_else(|| by_group(seen));
        claims.extend(by_own_evidence.or_else(by_session));
    }
    claims
}

/// A process, its ancestors, and process 1.
pub(in crate::runtime) fn ancestry(seen: &[SeenProcess], own: u32) -> BTreeSet<u32> {
    let parents: BTreeMap<u32, u32> = seen.iter().map(|seen| (seen.pid, seen.parent)).collect();
    let mut excluded = BTreeSet::from([1]);
    let mut next = Some(own);
    // Pids that were reused during the scan could form a circle.
    while let Some(pid) = next.filter(|&pid| excluded.insert(pid)) {
        next = parents.get(&pid).copied();
    }
    excluded
}

fn by_main_process(record: &Record, seen: &SeenProcess) -> Option<OrphanClaim> {
    let recorded = record.runs().find(|recorded| is_recorded_main(recorded, seen))?;
    let Started { key, name, .. } = recorded.clone();
    Some(OrphanClaim { pid: seen.pid, name, key, evidence: OrphanEvidence::MainProcess })
}

/// Whether a process is this recorded main process. Without a recorded start time or inode, it isn't.
pub(in crate::runtime) fn is_recorded_main(recorded: &Started, seen: &SeenProcess) -> bool {
    let is_as_old = recorded.ticks.map_or(recorded.inode.is_some(), |ticks| seen.started == Some(ticks));
    recorded.pid == seen.pid && is_as_old && recorded.inode == seen.inode
}

/// The run of an earlier life of this instance that a process's mark names.
pub(in crate::runtime) fn by_mark(marker: &Marker, seen: &SeenProcess) -> Option<OrphanClaim> {
    let (name, key) = marker.former(seen.mark.as_deref()?)?;
    Some(OrphanClaim { pid: seen.pid, name: name.to_owned(), key, evidence: OrphanEvidence::Mark })
}

/// The run of an earlier life of this instance that a process's control group belongs to.
pub(in crate::runtime) fn by_group(seen: &SeenProcess) -> Option<OrphanClaim> {
    let GroupRun { life, run, name } = seen.group_run.clone()?;
    Some(OrphanClaim { pid: seen.pid, name, key: RunKey { life, run }, evidence: OrphanEvidence::Group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{JournalEntry, entry_line};
    use crate::runtime::mark::tests::{FORMER, INSTANCE, lives};
    use reconcile::event::RunId;

    fn key(run: u64) -> RunKey {
        RunKey { life: FORMER.to_owned(), run }
    }

    /// A journal in which `db` and `web` were started.
    fn journal() -> String {
        let started = |run, name: &str, pid| {
            let (ticks, inode) = (Some(1000 + u64::from(pid)), Some(5000 + u64::from(pid)));
            JournalEntry::Started(Started { key: key(run), name: name.to_owned(), pid, ticks, inode, ..Started::default() })
        };
        let life = JournalEntry::Life { life: FORMER.to_owned(), boot: "boot".to_owned(), groups: None };
        [life, started(1, "db", 100), started(2, "web", 200)].iter().map(entry_line).collect()
    }

    fn record() -> Record {
        Record::read(journal().as_bytes()).0
    }

    fn seen(pid: u32) -> SeenProcess {
        let (started, inode) = (Some(1000 + u64::from(pid)), Some(5000 + u64::from(pid)));
        SeenProcess { pid, parent: 1, session: pid, started, inode, ..SeenProcess::default() }
    }

    fn marked(pid: u32, mark: &str) -> SeenProcess {
        SeenProcess { mark: Some(mark.as_bytes().to_vec()), ..seen(pid) }
    }

    fn claimed(marker: &Marker, record: &Record, seen: &[SeenProcess], own: u32) -> Vec<OrphanClaim> {
        let excluded = ancestry(seen, own);
        claims(&KnownFacts { marker, record, excluded: &excluded, main_processes: &BTreeMap::new() }, seen)
    }

    fn claimed_lines(marker: &Marker, seen: &[SeenProcess], own: u32) -> Vec<String> {
        let claims = claimed(marker, &record(), seen, own);
        claims.into_iter().map(|claim| format!("{} {} {:?}", claim.pid, claim.name, claim.evidence)).collect()
    }

    #[test]
    fn each_kind_of_evidence_is_enough() {
        let [former, marker] = lives();
        let mark = former.write("cron", RunId(7));
        let in_session = SeenProcess { session: 100, ..seen(101) };
        let nested = format!("4444444444444444.5/outer/1,{mark}");
        let in_group =
            SeenProcess { group_run: Some(GroupRun { life: FORMER.to_owned(), run: 8, name: "mail".to_owned() }), ..seen(302) };
        let all = [in_session, marked(300, &mark), seen(100), seen(200), marked(301, &nested), in_group];
        let expected = [
            "100 db MainProcess",
            "200 web MainProcess",
            "101 db Session(100)",
            "300 cron Mark",
            "301 cron Mark",
            "302 mail Group",
        ];
        assert_eq!(claimed_lines(&marker, &all, 9), expected);
    }

    #[test]
    fn a_foreign_process_is_never_claimed() {
        let ([_, marker], [foreign, _]) = (lives(), lives());
        let (other_instance, our_own) = (foreign.write("web", RunId(2)), marker.write("web", RunId(2)));
        let recycled = SeenProcess { started: Some(1), ..seen(100) };
        let same_tick = SeenProcess { inode: Some(1), ..seen(200) };
        let of_recycled = SeenProcess { session: 100, ..seen(101) };
        let unmarked =
            [marked(1, ""), marked(300, "web"), marked(301, &other_instance), marked(302, &our_own), marked(303, "./,/")];
        let strangers: Vec<SeenProcess> = unmarked.into_iter().chain([recycled, same_tick, of_recycled]).collect();
        assert_eq!(claimed_lines(&marker, &strangers, 9), Vec::<String>::new());
    }

    #[test]
    fn a_forged_mark_claims_nothing_and_a_copied_one_claims_its_own_process() {
        let [former, marker] = lives();
        let own = former.write("web", RunId(2));
        let hash = own.rsplit('/').next().expect("it ends in a hash");
        let forged = [
            format!("{INSTANCE}.{FORMER}/db/1"),
            format!("{INSTANCE}.{FORMER}/db/1/{hash}"),
            format!("{INSTANCE}.{FORMER}/web/1/{hash}"),
            format!("{INSTANCE}.4444444444444444/web/2/{hash}"),
            own[..own.len() - 1].to_owned(),
        ];
        let forgers: Vec<SeenProcess> = (300..).zip(&forged).map(|(pid, mark)| marked(pid, mark)).collect();
        assert_eq!(claimed_lines(&marker, &forgers, 9), Vec::<String>::new());
        let copied = [marked(400, &own), marked(401, &format!("{},{own}", forged[1]))];
        assert_eq!(claimed_lines(&marker, &copied, 9), ["400 web Mark", "401 web Mark"]);
    }

    #[test]
    fn a_process_found_later_in_the_session_of_a_main_process_is_claimed_too() {
        let [_, marker] = lives();
        let main = claimed(&marker, &record(), &[seen(100)], 9).remove(0);
        let (excluded, mains) = (BTreeSet::new(), BTreeMap::from([(100, main)]));
        let known = KnownFacts { marker: &marker, record: &record(), excluded: &excluded, main_processes: &mains };
        let later = claims(&known, &[SeenProcess { session: 100, ..seen(101) }, seen(102)]);
        assert_eq!(
            later.iter().map(|claim| (claim.pid, &claim.evidence)).collect::<Vec<_>>(),
            [(101, &OrphanEvidence::Session(100))]
        );
    }

    #[test]
    fn a_start_time_or_inode_that_is_unknown_proves_nothing() {
        let unknown_start = SeenProcess { started: None, ..seen(100) };
        let unknown_inode = SeenProcess { inode: None, ..seen(200) };
        let [_, marker] = lives();
        assert_eq!(claimed_lines(&marker, &[unknown_start, unknown_inode], 9), Vec::<String>::new());
        let recorded = Started { key: key(1), name: "db".to_owned(), pid: 100, ..Started::default() };
        assert!(!is_recorded_main(&recorded, &SeenProcess { started: None, inode: None, ..seen(100) }));
        let by_inode = Started { inode: Some(7), ..recorded };
        assert!(is_recorded_main(&by_inode, &SeenProcess { inode: Some(7), ..seen(100) }));
        assert!(
            !is_recorded_main(&by_inode, &SeenProcess { inode: Some(8), ..seen(100) })
                && !is_recorded_main(&by_inode, &seen(101))
        );
    }

    #[test]
    fn we_and_our_ancestors_are_never_claimed() {
        let [former, marker] = lives();
        let mark = former.write("shell", RunId(1));
        let shell = marked(50, &mark);
        let own = SeenProcess { parent: 50, ..marked(60, &mark) };
        let sibling = SeenProcess { parent: 50, ..marked(61, &mark) };
        assert_eq!(claimed_lines(&marker, &[shell, own, sibling], 60), ["61 shell Mark"]);
    }

    #[test]
    fn a_damaged_record_claims_no_more_than_an_intact_one() {
        let all: Vec<SeenProcess> = (2..400).map(seen).collect();
        let [_, marker] = lives();
        let truth = claimed(&marker, &record(), &all, 9);
        assert_eq!(truth.len(), 2);
        let whole = journal().into_bytes();
        let mut dice = 1_u64;
        let mut roll = |below: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(dice >> 33).expect("31 bits") % below
        };
        for round in 0..3000 {
            let mut damaged = whole.clone();
            let place = roll(damaged.len());
            match round % 4 {
                0 => damaged.truncate(place),
                1 => damaged[place] ^= 1 << roll(8),
                2 => {
                    let until = place + roll(damaged.len() - place);
                    damaged[place..until].fill(0);
                }
                _ => damaged[place] = b"\n0{}9\"\xff"[roll(7)],
            }
            let (record, _) = Record::read(&damaged);
            for claim in claimed(&marker, &record, &all, 9) {
                assert!(truth.contains(&claim), "{claim:?} from {:?}", String::from_utf8_lossy(&damaged));
            }
        }
    }
}
