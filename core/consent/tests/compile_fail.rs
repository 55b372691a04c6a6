//! What must not compile, with the compiler's words.

#[test]
fn what_would_break_the_law_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}
