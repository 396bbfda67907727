//! A child writes and is killed at a random moment; what it had reported as acknowledged must be in
//! the file, batches must be whole, and the file sound. All cycles of a run use one file.
//!
//! `KV_CRASH_CYCLES` sets the number of cycles of a run (200), `KV_CRASH_SEED` repeats the choices
//! of a run that failed.

mod parent;
mod script;
mod worker;

use std::ops::Range;
use std::thread;
use std::time::Duration;

use kv_core::Store;
use kv_disk::DiskStore;

use crate::role::{Child, PATIENCE};
use parent::{Life, Run, cycles};
use worker::Access;

pub(crate) use worker::{child, put_once};

/// In milliseconds: when a child is killed after its first answer.
const AT_WORK: Range<u64> = 1..150;

/// In milliseconds: when a child is killed after its start, mostly before its first answer.
const OPENING: Range<u64> = 0..40;

#[test]
fn acknowledged_writes_survive_a_kill() {
    one_child_after_another(Access::Exclusive, cycles());
}

#[test]
fn interval_durability_loses_only_the_newest_writes() {
    one_child_after_another(Access::Interval, cycles() / 2);
}

fn one_child_after_another(access: Access, cycles: usize) {
    let mut run = Run::new(access);
    for cycle in 0..cycles {
        let mut child = run.start("only");
        if cycle % 10 == 9 {
            run.pause(OPENING);
        } else {
            child.await_answers(1);
            run.pause(AT_WORK);
        }
        run.settle(&child.kill());
    }
    run.finish();
}

#[tokio::test]
async fn an_acknowledged_write_survives_a_kill_after_its_interval() {
    // The interval is 10 ms. Only a machine that is very busy needs more than the first time.
    for millis in [100, 1000, 10_000] {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("store");
        let mut child = Child::start("put_once", &folder, scratch.path());
        child.hear::<()>(PATIENCE).unwrap();
        thread::sleep(Duration::from_millis(millis));
        child.kill::<()>();
        let store = DiskStore::new(&folder).unwrap();
        if store.get("c", "k").await.unwrap().is_some() {
            return;
        }
    }
    panic!("it was lost");
}

#[test]
fn a_shared_writer_goes_on_when_another_is_killed() {
    let mut run = Run::new(Access::Shared);
    let mut survivor = started(&mut run, "even");
    for cycle in 0..cycles() {
        let name = if cycle % 2 == 0 { "odd" } else { "even" };
        if cycle % 10 == 4 {
            let newborn = run.start(name);
            run.pause(OPENING);
            run.settle_beside_others(&newborn.kill());
            survivor.await_answers(20);
        }
        let victim = std::mem::replace(&mut survivor, started(&mut run, name));
        run.pause(AT_WORK);
        let victim = victim.kill();
        survivor.await_answers(20);
        run.settle_beside_others(&victim);
        // Time goes on while nobody is there to see it.
        if cycle % 10 == 9 {
            run.settle(&survivor.kill());
            survivor = started(&mut run, name);
        }
    }
    run.settle(&survivor.kill());
    run.finish();
}

#[test]
fn a_kill_while_the_store_is_made_leaves_none_or_a_whole_one() {
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let mut run = Run::new(Access::Shared);
        let victim = run.start("odd");
        let mut survivor = run.start("even");
        run.pause(OPENING);
        let victim = victim.kill();
        survivor.await_answers(1);
        run.settle_beside_others(&victim);
        run.settle(&survivor.kill());
        run.finish();
    }
}

fn started(run: &mut Run, name: &str) -> Life {
    let mut life = run.start(name);
    life.await_answers(1);
    life
}
