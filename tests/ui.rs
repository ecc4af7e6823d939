//! Compile errors: one message per mistake, on its token.

#[test]
fn mistakes() {
    let cases = trybuild::TestCases::new();
    // Generic sizes are checked in builds only; a passing case makes trybuild build all cases.
    cases.pass("ui/right/*.rs");
    cases.compile_fail("ui/*.rs");
}
