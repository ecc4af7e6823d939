//! What users see of their mistakes: one message for each, on its token.

#[test]
fn mistakes() {
    let cases = trybuild::TestCases::new();
    // With one case that compiles, the others are built, which generic sizes need.
    cases.pass("ui/right/*.rs");
    cases.compile_fail("ui/*.rs");
}
