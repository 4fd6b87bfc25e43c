//! What proves that a process is one that a killed navigator left behind. Pure: it judges what was seen, and looks at
//! nothing itself.
//!
//! A number proves nothing, since it may be another process's by now; nor does a name, a command line or a parent. What
//! does is one of these:
//! - *Mark*: its environment holds a mark of this very instance, of another life than our own, with the right hash
//!   ([`super::super::mark`]). A process can only have such a mark from a process of that run.
//! - *Group*: it is in a control group at or below a directory that a former life of this instance noted ([`super::groups`]).
//! - *Leader*: it has the number and, where the kernel has such, the inode, else the start time, that were noted for a leader in
//!   this boot. Programs that write their title over their environment are known by this.
//! - *Session*: it is in the session of such a leader, which lives; so the session is still that one's.

use super::super::mark::Marker;
use super::groups::GroupRun;
use crate::journal::{Record, RunKey, Started};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of a process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::runtime) struct SeenProcess {
    pub(in crate::runtime) pid: u32,
    pub(in crate::runtime) parent: u32,
    pub(in crate::runtime) session: u32,
    /// Clock ticks since boot.
    pub(in crate::runtime) started: Option<u64>,
    /// The inode of its pidfd; `None` where the kernel has none that tells processes apart, or it doesn't matter.
    pub(in crate::runtime) inode: Option<u64>,
    /// Whether it has executed a program of its own.
    pub(in crate::runtime) has_executed: bool,
    /// The mark in its environment.
    pub(in crate::runtime) mark: Option<Vec<u8>>,
    /// The run of a former life in whose control group it is.
    pub(in crate::runtime) place: Option<GroupRun>,
}

/// Why a process is known to be left by a former navigator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum OrphanEvidence {
    Mark,
    Group,
    Leader,
    /// Of the session of the leader with this number.
    Session(u32),
}

/// A process that was left, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct OrphanClaim {
    pub(in crate::runtime) pid: u32,
    /// The name of the managed process that it belongs to.
    pub(in crate::runtime) name: String,
    /// The run, as far as it is known.
    pub(in crate::runtime) key: RunKey,
    pub(in crate::runtime) evidence: OrphanEvidence,
}

/// What is known already when somebody is judged.
pub(in crate::runtime) struct KnownFacts<'a> {
    pub(in crate::runtime) marker: &'a Marker,
    pub(in crate::runtime) record: &'a Record,
    /// Never left by anybody, wherever they inherited a mark from: ourselves, and whoever started us.
    pub(in crate::runtime) spared: &'a BTreeSet<u32>,
    /// Those who were claimed as leaders before, by their numbers.
    pub(in crate::runtime) leaders: &'a BTreeMap<u32, OrphanClaim>,
}

/// Which of these processes were left behind, leaders first.
pub(in crate::runtime) fn claims(known: &KnownFacts<'_>, seen: &[SeenProcess]) -> Vec<OrphanClaim> {
    let others = || seen.iter().filter(|seen| !known.spared.contains(&seen.pid));
    let mut claims: Vec<OrphanClaim> = others().filter_map(|seen| by_leader(known.record, seen)).collect();
    let leaders: BTreeMap<u32, OrphanClaim> = claims.iter().map(|claim| (claim.pid, claim.clone())).collect();
    for seen in others().filter(|seen| !leaders.contains_key(&seen.pid)) {
        let by_session = || {
            let leader = leaders.get(&seen.session).or_else(|| known.leaders.get(&seen.session))?;
            Some(OrphanClaim { pid: seen.pid, evidence: OrphanEvidence::Session(leader.pid), ..leader.clone() })
        };
        let by_itself = by_mark(known.marker, seen).or_else(|| by_group(seen));
        claims.extend(by_itself.or_else(by_session));
    }
    claims
}

/// A process and everything above it.
pub(in crate::runtime) fn ancestry(seen: &[SeenProcess], own: u32) -> BTreeSet<u32> {
    let parents: BTreeMap<u32, u32> = seen.iter().map(|seen| (seen.pid, seen.parent)).collect();
    let mut spared = BTreeSet::from([1]);
    let mut next = Some(own);
    // Numbers that were reused between two looks could close a circle.
    while let Some(pid) = next.filter(|&pid| spared.insert(pid)) {
        next = parents.get(&pid).copied();
    }
    spared
}

fn by_leader(record: &Record, seen: &SeenProcess) -> Option<OrphanClaim> {
    let noted = record.runs().find(|noted| is_leader(noted, seen))?;
    let Started { key, name, .. } = noted.clone();
    Some(OrphanClaim { pid: seen.pid, name, key, evidence: OrphanEvidence::Leader })
}

/// Whether a process is a leader that was noted. Where nothing was noted that can be compared, it isn't.
pub(in crate::runtime) fn is_leader(noted: &Started, seen: &SeenProcess) -> bool {
    let is_as_old = noted.ticks.map_or(noted.inode.is_some(), |ticks| seen.started == Some(ticks));
    noted.pid == seen.pid && is_as_old && noted.inode == seen.inode
}

/// The run of a former life of this instance that a process is marked with.
pub(in crate::runtime) fn by_mark(marker: &Marker, seen: &SeenProcess) -> Option<OrphanClaim> {
    let (name, key) = marker.former(seen.mark.as_deref()?)?;
    Some(OrphanClaim { pid: seen.pid, name: name.to_owned(), key, evidence: OrphanEvidence::Mark })
}

/// The run of a former life of this instance in whose control group a process is.
pub(in crate::runtime) fn by_group(seen: &SeenProcess) -> Option<OrphanClaim> {
    let GroupRun { life, run, name } = seen.place.clone()?;
    Some(OrphanClaim { pid: seen.pid, name, key: RunKey { life, run }, evidence: OrphanEvidence::Group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalEntry;
    use crate::runtime::mark::tests::{FORMER, INSTANCE, lives};
    use reconcile::event::RunId;

    fn key(run: u64) -> RunKey {
        RunKey { life: FORMER.to_owned(), run }
    }

    /// A journal in which `db` and `web` were started.
    fn journal() -> String {
        let started = |run, name: &str, pid| {
            let (ticks, inode) = (Some(1000 + u64::from(pid)), Some(5000 + u64::from(pid)));
            JournalEntry::Started(Started { key: key(run), name: name.to_owned(), pid, ticks, inode, leaf: None })
        };
        let life = JournalEntry::Life { life: FORMER.to_owned(), boot: "boot".to_owned(), groups: None };
        [life, started(1, "db", 100), started(2, "web", 200)].iter().map(JournalEntry::line).collect()
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
        let spared = ancestry(seen, own);
        claims(&KnownFacts { marker, record, spared: &spared, leaders: &BTreeMap::new() }, seen)
    }

    fn told(marker: &Marker, seen: &[SeenProcess], own: u32) -> Vec<String> {
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
            SeenProcess { place: Some(GroupRun { life: FORMER.to_owned(), run: 8, name: "mail".to_owned() }), ..seen(302) };
        let all = [in_session, marked(300, &mark), seen(100), seen(200), marked(301, &nested), in_group];
        let expected =
            ["100 db Leader", "200 web Leader", "101 db Session(100)", "300 cron Mark", "301 cron Mark", "302 mail Group"];
        assert_eq!(told(&marker, &all, 9), expected);
    }

    #[test]
    fn a_stranger_is_never_claimed() {
        let ([_, marker], [stranger, _]) = (lives(), lives());
        let (other_instance, our_own) = (stranger.write("web", RunId(2)), marker.write("web", RunId(2)));
        let recycled = SeenProcess { started: Some(1), ..seen(100) };
        let same_tick = SeenProcess { inode: Some(1), ..seen(200) };
        let of_recycled = SeenProcess { session: 100, ..seen(101) };
        let unmarked =
            [marked(1, ""), marked(300, "web"), marked(301, &other_instance), marked(302, &our_own), marked(303, "./,/")];
        let strangers: Vec<SeenProcess> = unmarked.into_iter().chain([recycled, same_tick, of_recycled]).collect();
        assert_eq!(told(&marker, &strangers, 9), Vec::<String>::new());
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
        assert_eq!(told(&marker, &forgers, 9), Vec::<String>::new());
        let copied = [marked(400, &own), marked(401, &format!("{},{own}", forged[1]))];
        assert_eq!(told(&marker, &copied, 9), ["400 web Mark", "401 web Mark"]);
    }

    #[test]
    fn who_turns_up_later_in_the_session_of_a_leader_is_claimed_too() {
        let [_, marker] = lives();
        let leader = claimed(&marker, &record(), &[seen(100)], 9).remove(0);
        let (spared, leaders) = (BTreeSet::new(), BTreeMap::from([(100, leader)]));
        let known = KnownFacts { marker: &marker, record: &record(), spared: &spared, leaders: &leaders };
        let later = claims(&known, &[SeenProcess { session: 100, ..seen(101) }, seen(102)]);
        assert_eq!(
            later.iter().map(|claim| (claim.pid, &claim.evidence)).collect::<Vec<_>>(),
            [(101, &OrphanEvidence::Session(100))]
        );
    }

    #[test]
    fn what_was_not_noted_or_can_not_be_seen_proves_nothing() {
        let unknown_start = SeenProcess { started: None, ..seen(100) };
        let unknown_inode = SeenProcess { inode: None, ..seen(200) };
        let [_, marker] = lives();
        assert_eq!(told(&marker, &[unknown_start, unknown_inode], 9), Vec::<String>::new());
        let noted = Started { key: key(1), name: "db".to_owned(), pid: 100, ticks: None, inode: None, leaf: None };
        assert!(!is_leader(&noted, &SeenProcess { started: None, inode: None, ..seen(100) }));
        let by_inode = Started { inode: Some(7), ..noted };
        assert!(is_leader(&by_inode, &SeenProcess { inode: Some(7), ..seen(100) }));
        assert!(!is_leader(&by_inode, &SeenProcess { inode: Some(8), ..seen(100) }) && !is_leader(&by_inode, &seen(101)));
    }

    #[test]
    fn we_and_whoever_started_us_are_spared() {
        let [former, marker] = lives();
        let mark = former.write("shell", RunId(1));
        let shell = marked(50, &mark);
        let own = SeenProcess { parent: 50, ..marked(60, &mark) };
        let sibling = SeenProcess { parent: 50, ..marked(61, &mark) };
        assert_eq!(told(&marker, &[shell, own, sibling], 60), ["61 shell Mark"]);
    }

    #[test]
    fn a_damaged_record_claims_no_more_than_a_whole_one() {
        let everybody: Vec<SeenProcess> = (2..400).map(seen).collect();
        let [_, marker] = lives();
        let truth = claimed(&marker, &record(), &everybody, 9);
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
            for claim in claimed(&marker, &record, &everybody, 9) {
                assert!(truth.contains(&claim), "{claim:?} from {:?}", String::from_utf8_lossy(&damaged));
            }
        }
    }
}
