//! Damaged files are used in full by a child with bounded memory and time. They give the right data
//! or are reported; never a wrong value, a panic, a hang or a huge allocation.
//!
//! `KV_DAMAGE_FACTOR` makes that many times as many random cases, `KV_DAMAGE_SEED` repeats the
//! choices of a run that failed.

mod examine;
mod file;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use std::{env, fs, thread};

use fastrand::Rng;
use tempfile::TempDir;

use crate::role::Child;
use examine::{Case, Findings, Orders};
use file::{Damage, Effort, Part, Setup, damages};

pub(crate) use examine::child;

/// How long a child may take for one file.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many children share the work of a test.
const CHILDREN: usize = 2;

/// How a case ended, or what is wrong with it.
type Verdict = Result<&'static str, &'static str>;

#[tokio::test]
async fn a_damaged_file_gives_the_right_data_or_is_reported() {
    let setup = Setup::default();
    let tally = examine(setup, Effort::Thorough, nothing_is_missed).await;
    assert!(tally["refused"] > 500 && tally["right"] > 500, "{tally:?}");
}

#[tokio::test]
async fn a_damaged_file_that_is_shared_gives_the_right_data_or_is_reported() {
    let setup = Setup {
        shared: true,
        ..Setup::default()
    };
    let tally = examine(setup, Effort::Quick, nothing_is_missed).await;
    assert!(tally["refused"] > 100 && tally["right"] > 100, "{tally:?}");
}

/// The commit that a crash interrupted looks like one that was damaged, so the last commit may be
/// taken back.
#[tokio::test]
async fn a_damaged_file_after_a_crash_loses_at_most_its_last_commit() {
    for shared in [false, true] {
        let setup = Setup {
            crashed: true,
            shared,
            ..Setup::default()
        };
        let tally = examine(setup, Effort::Quick, nothing_is_missed).await;
        assert!(tally["refused"] > 100 && tally["right"] > 100, "{tally:?}");
    }
}

#[tokio::test]
async fn a_damaged_log_loses_at_most_its_last_commit_or_is_reported() {
    let setup = Setup {
        crashed: true,
        damaged: Part::Log,
        ..Setup::default()
    };
    let tally = examine(setup, Effort::Quick, nothing_is_missed).await;
    assert!(tally["refused"] > 100 && tally["right"] > 100, "{tally:?}");
}

#[tokio::test]
async fn a_damaged_file_that_was_not_verified_gives_no_wrong_value_and_fails_the_check() {
    let setup = Setup {
        verify: false,
        ..Setup::default()
    };
    let tally = examine(setup, Effort::Quick, what_is_missing_is_found).await;
    assert!(tally["refused"] > 100 && tally["right"] > 100, "{tally:?}");
}

fn nothing_is_missed(_: &Case, findings: &Findings) -> Verdict {
    if findings.refused.is_some() {
        Ok("refused")
    } else if findings.missing > 0 || findings.missing_after_check > 0 {
        Err("an entry is missing")
    } else if findings.intact.is_none() {
        Ok("reported")
    } else {
        Ok("right")
    }
}

/// Without verification a damaged page of the tree can hide entries. The check finds that, unless a
/// write came first: it reads the damaged page and stores it again as if it were sound.
fn what_is_missing_is_found(case: &Case, findings: &Findings) -> Verdict {
    if findings.refused.is_some() {
        Ok("refused")
    } else if findings.intact.is_none() {
        Ok("reported")
    } else if findings.missing_after_check == 0 {
        Ok("right")
    } else if case.write_first {
        Ok("stored again")
    } else {
        Err("an entry is missing and the check found nothing")
    }
}

/// Examines damages of one file, and counts how they ended.
async fn examine(
    setup: Setup,
    effort: Effort,
    judge: fn(&Case, &Findings) -> Verdict,
) -> BTreeMap<&'static str, usize> {
    let scratch = scratch();
    let original = setup.make(scratch.path()).await;
    let seed = setting("KV_DAMAGE_SEED", fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let part = setup.damaged;
    let len = fs::metadata(original.join(part.file_name())).unwrap().len();
    let factor = setting("KV_DAMAGE_FACTOR", 1);
    let cases = damages(len, effort, factor, &mut rng)
        .into_iter()
        .filter(|damage| part == Part::Database || !damage.shortens())
        .map(|damage| Case {
            damage,
            write_first: rng.bool(),
        });
    let cases = Mutex::new(cases);
    let tally = Mutex::new(BTreeMap::new());
    let orders = Orders {
        setup,
        original,
        scratch: scratch.path().to_owned(),
    };
    let examine_some = || {
        let mut child = Child::start("damage", &orders, scratch.path());
        loop {
            let Some(case) = cases.lock().unwrap().next() else {
                break;
            };
            child.tell(&case);
            let findings: Findings = child
                .hear(PATIENCE)
                .unwrap_or_else(|silence| panic!("KV_DAMAGE_SEED={seed} {case:?}: {silence}"));
            let verdict = match findings.faults.first() {
                Some(fault) => Err(fault.as_str()),
                None => judge(&case, &findings),
            };
            match verdict {
                Ok(ending) => *tally.lock().unwrap().entry(ending).or_default() += 1,
                Err(fault) => panic!("KV_DAMAGE_SEED={seed} {case:?}: {fault}: {findings:?}"),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..CHILDREN {
            scope.spawn(examine_some);
        }
    });
    tally.into_inner().unwrap()
}

#[tokio::test]
async fn what_is_no_file_is_refused_by_name_without_waiting() {
    let scratch = scratch();
    let setup = Setup::default();
    let original = setup.make(scratch.path()).await;
    let orders = Orders {
        setup,
        original,
        scratch: scratch.path().to_owned(),
    };
    for damage in [Damage::Folder, Damage::Fifo] {
        let mut child = Child::start("damage", &orders, scratch.path());
        child.tell(&Case {
            damage,
            write_first: false,
        });
        let findings: Findings = child.hear(PATIENCE).unwrap();
        let reason = findings.refused.unwrap();
        assert!(reason.contains("store.redb is no file"), "{reason}");
    }
}

fn setting(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Makes a folder in memory where that is possible: that a sync works is not what is tested.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        env::temp_dir()
    };
    tempfile::tempdir_in(parent).unwrap()
}
