//! What users see of their mistakes: one message for each, on its token.

#[test]
fn mistakes() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
}
