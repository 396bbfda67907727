//! What the naming rules are for: `collection::key` tells the pair.

use kv_core::name;
use proptest::prelude::*;

/// Names full of what could blur the separator.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[:a]{1,8}", ".{1,16}"]
}

fn any_pair() -> impl Strategy<Value = (String, String)> {
    (any_name(), any_name()).prop_filter("both names are valid", |(collection, key)| {
        name::check(collection, key).is_ok()
    })
}

fn join((collection, key): &(String, String)) -> String {
    format!("{collection}::{key}")
}

proptest! {
    #[test]
    fn a_joined_name_splits_at_the_first_separator_into_its_pair(pair in any_pair()) {
        let joined = join(&pair);
        let (collection, key) = joined.split_once("::").unwrap();
        prop_assert_eq!((collection, key), (&*pair.0, &*pair.1));
    }

    #[test]
    fn two_pairs_never_share_a_joined_name(left in any_pair(), right in any_pair()) {
        prop_assert_eq!(left == right, join(&left) == join(&right));
    }

    #[test]
    fn a_collection_that_is_refused_for_its_colons_would_split_elsewhere(
        collection in "[:a]{1,8}",
        key in "[:a]{1,8}",
    ) {
        let joined = format!("{collection}::{key}");
        let splits_back = joined.split_once("::") == Some((&*collection, &*key));
        prop_assert_eq!(splits_back, name::check_collection(&collection).is_ok());
    }
}
