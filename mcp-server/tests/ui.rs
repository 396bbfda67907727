//! What the macros refuse to compile, and how they say so.

#[test]
fn a_mistake_is_told_where_it_is() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
