//! [`conformance_tests!`](crate::conformance_tests) and
//! [`undecodable_tests!`](crate::undecodable_tests): the lists of all cases.

/// Stamps the conformance suite into the module it is called in, one `#[tokio::test]` a case.
///
/// `make` is an `async fn(Arc<ManualClock>) -> Fixture<impl Store>`; the store must use that clock.
/// `alone` makes a store that nothing else uses, for the cases that list, cull or destroy
/// everything. Default: `make`.
///
/// The caller needs tokio with the features `macros` and `rt-multi-thread`. See
/// [`conformance`](crate::conformance) for an example and the environment variables.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr $(,)?) => {
        $crate::conformance_tests!($make, alone = $make);
    };
    ($make:expr, alone = $alone:expr $(,)?) => {
        $crate::conformance_tests! { @each $make =>
            names {
                a_key_of_one_byte_is_kept
                the_longest_key_is_kept
                the_longest_key_of_wide_characters_is_kept
                long_keys_that_differ_in_the_last_byte_are_two_entries
                the_longest_collection_is_kept
                an_empty_key_is_invalid_in_every_operation
                a_key_over_1024_bytes_is_invalid_in_every_operation
                a_key_is_measured_in_bytes_and_not_in_characters
                an_empty_collection_is_invalid_in_every_operation
                a_collection_over_2048_bytes_is_invalid_in_every_operation
                a_collection_that_holds_the_separator_is_invalid_in_every_operation
                a_collection_that_ends_in_a_colon_is_invalid_in_every_operation
                a_collection_may_hold_single_colons
                a_key_may_hold_the_separator
                an_invalid_name_is_not_repeated_in_the_error
            }
            distinct {
                keys_of_any_text_are_kept_apart
                keys_of_any_text_are_kept_apart_in_bulk
                a_key_of_any_text_is_removed_alone
                collections_of_any_text_are_kept_apart
                a_collection_of_any_text_is_cleared_alone
                composed_and_decomposed_keys_are_two_entries
                keys_in_upper_and_lower_case_are_two_entries
                one_key_in_two_collections_is_two_entries
                pairs_that_join_to_one_text_are_two_entries
                no_two_of_many_random_pairs_meet
            }
            values {
                an_empty_object_is_kept
                a_value_of_every_json_type_is_kept
                a_text_that_looks_like_another_type_is_kept
                a_value_nested_a_hundred_levels_deep_is_kept
                the_text_of_numbers_is_kept
                the_text_of_strings_is_kept
                whitespace_inside_a_value_is_kept
                the_order_and_the_repeats_of_members_are_kept
                members_named_like_those_of_a_record_are_kept
                a_value_of_one_mebibyte_is_kept
                a_value_over_the_limit_is_refused_and_changes_nothing
                a_short_value_replaces_a_long_one_whole
            }
            modes {
                get_of_a_missing_key_is_none
                put_then_get_returns_the_value
                get_fresh_reads_what_get_reads
                overwrite_replaces_the_value
                overwrite_stores_where_nothing_is
                create_on_a_missing_key_stores
                create_on_a_live_entry_is_refused_and_changes_nothing
                create_after_a_delete_stores
                create_after_a_take_stores
                update_with_the_live_revision_stores
                update_with_the_revision_of_the_last_update_stores
                update_with_an_older_revision_is_a_conflict_and_changes_nothing
                update_twice_with_one_revision_is_a_conflict
                update_of_a_missing_key_is_a_conflict
                update_after_a_delete_is_a_conflict
                update_after_a_rewrite_of_the_same_value_is_a_conflict
                update_after_a_delete_and_a_create_of_the_same_value_is_a_conflict
                update_with_the_revision_of_another_key_is_a_conflict
            }
            revisions {
                put_returns_the_revision_that_get_reads
                get_many_reads_the_live_revisions
                take_reads_the_live_revision
                reading_does_not_change_the_revision
                a_refused_write_does_not_change_the_revision
                every_write_of_one_value_has_its_own_revision
                writes_of_one_value_to_two_keys_have_two_revisions
                a_revision_is_not_used_again_after_the_entry_went
                a_revision_is_not_used_again_after_the_entry_expired
                the_revision_in_an_entry_to_put_is_ignored
                an_entry_that_was_read_can_be_put_back
            }
            times {
                the_store_lives_by_the_clock_it_was_given
                put_fills_in_the_time_of_creation
                create_and_update_fill_in_the_time_of_creation
                put_keeps_a_given_time_of_creation
                put_keeps_a_time_of_creation_that_is_still_to_come
                overwriting_renews_the_time_of_creation
                times_are_kept_to_the_microsecond
                whole_seconds_are_kept
                the_first_and_the_last_time_are_kept
                an_entry_without_an_expiry_reads_without_one
                get_many_and_take_read_the_times
                an_expiry_at_the_creation_is_invalid
                an_expiry_before_the_creation_is_invalid
                an_expiry_before_a_given_creation_is_invalid
                an_expiry_a_microsecond_after_the_creation_is_valid
            }
            expiry {
                an_entry_is_live_a_microsecond_before_its_end
                an_entry_is_absent_at_its_end
                an_entry_is_absent_a_microsecond_after_its_end
                an_entry_without_an_expiry_never_ends
                the_end_of_one_entry_leaves_the_others
                overwriting_without_an_expiry_clears_the_old_one
                overwriting_with_a_later_expiry_extends_the_life
                overwriting_with_an_earlier_expiry_shortens_the_life
                updating_without_an_expiry_clears_the_old_one
                put_many_without_an_expiry_clears_the_old_ones
                an_expired_entry_is_absent_in_get_many
                an_expired_entry_is_not_taken
                an_entry_is_taken_a_microsecond_before_its_end
                deleting_an_expired_entry_is_false
                deleting_many_expired_entries_is_false
                an_expired_entry_is_not_listed
                a_collection_of_expired_entries_is_not_listed
                clear_does_not_count_an_expired_entry
                create_replaces_an_expired_entry
                update_of_an_expired_entry_is_a_conflict
                an_entry_put_after_its_end_is_absent
                an_entry_put_after_its_end_replaces_a_live_one
                a_clock_ten_years_on_ends_every_life
                a_clock_ten_years_back_hides_nothing
                an_entry_written_ten_years_back_lives_its_full_life
                an_expired_entry_met_by_a_clock_set_back_is_whole_or_absent
            }
            remove {
                deleting_a_live_entry_is_true_and_once
                deleting_a_missing_entry_is_false
                delete_leaves_the_other_entries
                a_deleted_entry_is_not_listed
                a_deleted_key_can_be_put_again
                take_returns_the_whole_entry_and_removes_it
                take_of_a_missing_entry_is_none
                take_leaves_the_other_entries
                a_taken_entry_is_not_listed
                clear_removes_every_entry_and_counts_them
                clear_of_an_empty_collection_is_zero
                clear_removes_more_entries_than_a_page_lists
                clear_leaves_the_neighbours
                clear_of_a_pattern_clears_no_other_collection
                a_cleared_collection_can_be_filled_again
            }
            bulk {
                get_many_keeps_the_order
                get_many_says_none_in_the_place_of_a_missing_key
                get_many_repeats_a_key_that_stands_twice
                get_many_of_no_keys_is_empty
                get_many_reads_what_get_reads
                get_many_reads_only_its_collection
                put_many_stores_every_entry
                put_many_returns_the_revisions_in_order
                put_many_replaces_live_entries
                the_last_of_two_entries_for_one_key_wins
                put_many_fills_in_and_keeps_times_of_creation
                put_many_of_nothing_does_nothing
                put_many_with_an_invalid_key_writes_nothing
                put_many_with_an_invalid_expiry_writes_nothing
                put_many_writes_only_its_collection
                delete_many_tells_of_each_key_in_order
                delete_many_is_true_once_for_a_key_that_stands_twice
                delete_many_of_no_keys_does_nothing
                delete_many_with_an_invalid_key_removes_nothing
                delete_many_removes_only_from_its_collection
                a_thousand_entries_pass_through_every_bulk_operation
            }
            paging {
                a_collection_that_was_never_written_lists_nothing
                every_live_key_is_listed
                a_rewritten_key_is_listed_once
                pages_of_every_size_list_every_key
                a_small_page_size_is_followed_roughly
                a_listing_shows_only_its_collection
                keys_present_throughout_are_listed_among_writes_of_others
                deleting_among_the_pages_skips_no_other_key
                a_prefix_lists_only_what_starts_with_it
                an_empty_prefix_lists_every_key
                a_prefix_that_matches_nothing_lists_nothing
                a_prefix_is_text_and_no_pattern
                a_prefix_holds_over_all_pages
                a_cursor_can_travel_as_text
                a_hostile_cursor_is_invalid_or_gives_a_page
                a_cursor_of_another_listing_shows_nothing_foreign
                a_collection_is_listed_once_it_holds_an_entry
                collections_are_listed_once_over_small_pages
                every_collection_is_listed_without_a_prefix
                a_prefix_lists_only_the_collections_that_start_with_it
                a_hostile_cursor_of_collections_is_invalid_or_gives_a_page
            }
            whole {
                cull_keeps_every_live_entry
                cull_leaves_expired_entries_absent
                cull_keeps_an_entry_that_was_given_a_new_life
                flush_keeps_every_entry
                info_is_steady_and_names_the_store
                debug_shows_no_key_and_no_value
            }
            cancel {
                a_dropped_get_changes_nothing
                a_dropped_overwrite_leaves_the_old_or_the_new_entry
                a_dropped_create_leaves_nothing_or_the_new_entry
                a_dropped_update_leaves_the_old_or_the_new_entry
                a_dropped_delete_leaves_the_entry_or_nothing
                a_dropped_take_leaves_the_entry_or_nothing
                a_dropped_put_many_leaves_every_entry_old_or_new
                a_dropped_clear_leaves_every_entry_whole_or_absent
            }
            model {
                random_operations_agree_with_a_map
            }
        }
        $crate::conformance_tests! { @racing $make =>
            race {
                one_of_many_creates_wins
                one_of_many_creates_wins_over_an_expired_entry
                one_of_many_updates_of_a_revision_wins
                counting_by_updates_loses_no_step
                one_of_many_takes_wins
                one_of_many_deletes_wins
                one_of_many_takes_and_deletes_wins
                an_update_never_brings_back_a_deleted_entry
                racing_overwrites_leave_one_of_them_whole
                racing_reads_see_only_whole_entries
                racing_writes_of_many_keys_are_all_kept
                racing_bulk_writes_leave_every_entry_whole
            }
        }
        $crate::conformance_tests! { @pair $make =>
            revisions {
                revisions_of_two_stores_never_meet
                update_with_a_revision_of_another_store_is_a_conflict
            }
        }
        $crate::conformance_tests! { @each $alone =>
            whole {
                cull_counts_at_most_the_expired_entries_and_these_once
                a_new_store_lists_no_collection
                collections_lists_just_those_that_hold_a_live_entry
                destroy_removes_every_entry
                destroy_of_an_empty_store_does_nothing
                a_destroyed_store_stays_usable
                a_revision_is_not_used_again_after_a_destroy
                destroy_removes_more_entries_than_a_page_lists
            }
        }
    };
    (@each $make:expr => $($topic:ident { $($case:ident)* })*) => {$($(
        #[::tokio::test]
        async fn $case() {
            let subject = $crate::conformance::Subject::make($make).await;
            $crate::conformance::$topic::$case(&subject).await;
            subject.finish().await;
        }
    )*)*};
    (@racing $make:expr => $($topic:ident { $($case:ident)* })*) => {$($(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let subject = $crate::conformance::Subject::make($make).await;
            $crate::conformance::$topic::$case(&subject).await;
            subject.finish().await;
        }
    )*)*};
    (@pair $make:expr => $($topic:ident { $($case:ident)* })*) => {$($(
        #[::tokio::test]
        async fn $case() {
            let one = $crate::conformance::Subject::make($make).await;
            let other = $crate::conformance::Subject::make($make).await;
            $crate::conformance::$topic::$case(&one, &other).await;
            one.finish().await;
        }
    )*)*};
}

/// Stamps the cases about records that cannot be read, as
/// [`conformance_tests!`](crate::conformance_tests) does the others.
///
/// `make` must give its fixture a [`with_spoiler`](crate::conformance::Fixture::with_spoiler).
#[macro_export]
macro_rules! undecodable_tests {
    ($make:expr $(,)?) => {
        $crate::conformance_tests! { @each $make =>
            undecodable {
                reading_an_undecodable_record_is_an_error
                get_many_tells_of_an_undecodable_record_in_its_place
                create_on_an_undecodable_record_is_refused
                update_of_an_undecodable_record_is_a_conflict
                overwriting_an_undecodable_record_replaces_it
                put_many_over_an_undecodable_record_replaces_it
                deleting_an_undecodable_record_is_true
                delete_many_of_an_undecodable_record_is_true
                taking_an_undecodable_record_is_an_error_and_removes_it
                an_undecodable_record_does_not_hide_its_neighbours
            }
        }
    };
}
