//! The suite itself: it finds each fault of a store, and stamps every case it has.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use kv_core::conformance::{self, Fixture, Subject};

use crate::broken::{Broken, Fault};

/// One test a fault: the named case passes without it and fails with it.
macro_rules! finds {
    ($($name:ident: $fault:ident by $topic:ident::$case:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let sound = async |clock| Fixture::new(Broken::new(clock, Fault::None));
            conformance::$topic::$case(&Subject::make(sound).await).await;

            let broken = async |clock| Fixture::new(Broken::new(clock, Fault::$fault));
            let subject = Subject::make(broken).await;
            let run = AssertUnwindSafe(conformance::$topic::$case(&subject));
            assert!(run.catch_unwind().await.is_err(), "the case passed");
        }
    )*};
}

finds! {
    an_expiry_that_is_not_cleared_is_found:
        KeepsTheOldExpiry by expiry::overwriting_without_an_expiry_clears_the_old_one;
    an_expiry_a_microsecond_early_is_found:
        EndsAMicrosecondEarly by expiry::an_entry_is_live_a_microsecond_before_its_end;
    an_expiry_a_microsecond_late_is_found:
        EndsAMicrosecondLate by expiry::an_entry_is_absent_at_its_end;
    one_revision_for_two_writes_is_found:
        TakesTheValueForTheRevision by revisions::every_write_of_one_value_has_its_own_revision;
    a_revision_used_again_is_found:
        TakesTheValueForTheRevision
        by modes::update_after_a_delete_and_a_create_of_the_same_value_is_a_conflict;
    a_second_create_that_wins_is_found:
        ChecksBeforeItWrites by race::one_of_many_creates_wins;
    a_second_update_that_wins_is_found:
        ChecksBeforeItWrites by race::one_of_many_updates_of_a_revision_wins;
    a_lost_step_of_a_counter_is_found:
        ChecksBeforeItWrites by race::counting_by_updates_loses_no_step;
    an_update_that_brings_back_a_deleted_entry_is_found:
        ChecksBeforeItWrites by race::an_update_never_brings_back_a_deleted_entry;
    a_second_take_that_wins_is_found:
        ReadsBeforeItRemoves by race::one_of_many_takes_wins;
    half_a_write_is_found_when_it_is_dropped:
        WritesInTwoSteps by cancel::a_dropped_overwrite_leaves_the_old_or_the_new_entry;
    half_a_write_is_found_in_a_race:
        WritesInTwoSteps by race::racing_reads_see_only_whole_entries;
    a_clear_that_hits_the_neighbour_is_found:
        ClearsByPrefix by remove::clear_leaves_the_neighbours;
    dropped_duplicates_are_found:
        DropsDuplicates by bulk::get_many_repeats_a_key_that_stands_twice;
    a_first_duplicate_that_wins_is_found:
        LetsTheFirstDuplicateWin by bulk::the_last_of_two_entries_for_one_key_wins;
    a_bulk_write_before_the_check_is_found:
        WritesBeforeItChecks by bulk::put_many_with_an_invalid_key_writes_nothing;
    a_delete_that_is_always_true_is_found:
        SaysTrueToEveryDelete by remove::deleting_a_missing_entry_is_false;
    names_that_meet_are_found:
        JoinsNamesWithAColon by distinct::pairs_that_join_to_one_text_are_two_entries;
    folded_case_is_found:
        FoldsCase by distinct::keys_in_upper_and_lower_case_are_two_entries;
    an_empty_key_that_passes_is_found:
        TakesAnEmptyKey by names::an_empty_key_is_invalid_in_every_operation;
    rewritten_json_is_found:
        RewritesJson by values::the_text_of_numbers_is_kept;
    rounded_times_are_found:
        RoundsToMilliseconds by times::times_are_kept_to_the_microsecond;
    keys_skipped_between_pages_are_found:
        CountsItsPages by paging::deleting_among_the_pages_skips_no_other_key;
    a_cursor_that_panics_is_found:
        CountsItsPages by paging::a_hostile_cursor_is_invalid_or_gives_a_page;
    a_cull_of_the_living_is_found:
        CullsTheMortal by whole::cull_keeps_every_live_entry;
    a_destroy_that_does_nothing_is_found:
        DestroysNothing by whole::destroy_removes_every_entry;
    a_key_shown_in_debug_is_found:
        ShowsItsKeys by whole::debug_shows_no_key_and_no_value;
    the_model_finds_an_expiry_that_is_not_cleared:
        KeepsTheOldExpiry by model::random_operations_agree_with_a_map;
    the_model_finds_a_revision_used_again:
        TakesTheValueForTheRevision by model::random_operations_agree_with_a_map;
    the_model_finds_an_expiry_a_microsecond_late:
        EndsAMicrosecondLate by model::random_operations_agree_with_a_map;
    the_model_finds_a_first_duplicate_that_wins:
        LetsTheFirstDuplicateWin by model::random_operations_agree_with_a_map;
}

#[tokio::test]
async fn the_model_shows_its_seed_and_a_small_sequence() {
    let broken = async |clock| Fixture::new(Broken::new(clock, Fault::DropsDuplicates));
    let subject = Subject::make(broken).await;
    let run = conformance::model::random_operations_agree_with_a_map(&subject);
    let panic = AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
    let message = panic.downcast::<String>().unwrap();
    assert!(message.contains("KV_CONFORMANCE_SEED=0"), "{message}");
    assert_eq!(message.matches("GetMany(").count(), 2, "{message}");
    assert!(!message.contains("Put("), "{message}");
}

#[test]
fn every_case_is_stamped() {
    let stamped = include_str!("../src/conformance/macros.rs");
    let stamped: Vec<_> = stamped.lines().map(str::trim).collect();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance")).unwrap();
    let mut cases = 0;
    for file in files {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in source.lines() {
            let Some(case) = line.strip_prefix("pub async fn ") else {
                continue;
            };
            let (case, _) = case.split_once('(').unwrap();
            assert!(stamped.contains(&case), "{case} is not stamped");
            cases += 1;
        }
    }
    assert!(cases >= 200, "{cases} cases");
}
